"""Calls on folders: one that fails is named, and one that may never return is noticed.

A call on a share whose server has gone neither fails nor returns, for hours (nfs(5), mount option ``hard``). Whoever
made it can do nothing meanwhile. Another thread can see it here (``under_way``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from watcher.errors import FolderTrouble

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call on a folder that is under way.

    Attributes:
        path: the folder, or a file in it.
        began: when it began (monotonic seconds).
    """

    path: Path
    began: float


class FolderCalls:
    """The calls of some threads on folders."""

    def __init__(self) -> None:
        # By thread; the entry of a thread is set and removed by itself alone.
        self._under_way: dict[int, Call] = {}

    @property
    def under_way(self) -> Call | None:
        """The call that has been under way for the longest time; None between calls."""
        return min(list(self._under_way.values()), key=lambda call: call.began, default=None)

    @contextmanager
    def at(self, path: Path) -> Iterator[None]:
        """Make calls on a folder, or on a file in it, within this.

        Raises:
            FolderTrouble: in place of an OSError, with the place and what to do.
        """
        thread = threading.get_ident()
        is_outer = thread not in self._under_way
        if is_outer:
            self._under_way[thread] = Call(path, time.monotonic())
        try:
            yield
        except OSError as error:
            raise FolderTrouble.at(Path(error.filename or path), error) from error
        finally:
            if is_outer:
                del self._under_way[thread]


def within(seconds: float, look: Callable[[], Found]) -> Found:
    """Look at something that may never answer, such as a folder on a dead share.

    Args:
        seconds: how long to wait.
        look: called in a thread of its own. The thread is left to itself when the time is up.

    Returns:
        What the look returned.

    Raises:
        TimeoutError: the time is up.
        Exception: whatever the look raised.
    """
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(look).result(seconds)
    finally:
        pool.shutdown(wait=False)
