"""The pulse: keeps the process answering while a folder does not.

A call on a share whose server has gone neither fails nor returns, for hours (nfs(5), mount option ``hard``), and
whoever made it can do nothing meanwhile. A thread of its own notices that, says so, goes on telling systemd that the
process lives, since a restart would mend nothing, and ends the process when that is asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# How often the thread looks, seconds; a stop wakes it at once.
_LOOK_SECONDS = 5.0
# A call on a folder that takes longer than this hangs, seconds.
_HANGS_AFTER = 10.0
# How long a call may still take once the process is asked to end, seconds.
_GRACE_SECONDS = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class _Touch:
    """A call on a folder that is under way."""

    path: Path
    began: float


class Pulse:
    """Watches the calls of one thread on folders."""

    def __init__(
        self,
        stop: threading.Event,
        *,
        look_seconds: float = _LOOK_SECONDS,
        hangs_after: float = _HANGS_AFTER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start no thread yet.

        Args:
            stop: set when the process is to end.
            look_seconds: how often it is looked.
            hangs_after: after how many seconds a call hangs.
            clock: monotonic seconds.
        """
        self._stop = stop
        self._look_seconds = look_seconds
        self._hangs_after = hangs_after
        self._clock = clock
        self._touch: _Touch | None = None

    @contextmanager
    def touching(self, path: Path) -> Iterator[None]:
        """Make calls on a folder, or on a file in it, within this."""
        outer = self._touch
        self._touch = outer or _Touch(path, self._clock())
        try:
            yield
        finally:
            self._touch = outer

    def start(
        self,
        alive: Callable[[], None],
        hangs: Callable[[Path, float], None],
        answers: Callable[[float], None],
        give_up: Callable[[], None],
    ) -> None:
        """Begin to look; all of these are called in the thread that looks, but for ``hangs``, which has its own.

        Args:
            alive: called at every look while a call hangs.
            hangs: called once when a call hangs, with its path and since how many seconds.
            answers: called once when it has come back, with the seconds that it took.
            give_up: called when the process is to end and a call keeps it from that.
        """

        def run() -> None:
            hanging: _Touch | None = None
            while not self._stop.wait(self._look_seconds):
                touch, now = self._touch, self._clock()
                if hanging is not None and touch is not hanging:
                    answers(now - hanging.began)
                    hanging = None
                if touch is not None and now - touch.began >= self._hangs_after:
                    if hanging is None:
                        hanging = touch
                        # To write down that one folder hangs may hang on another.
                        threading.Thread(target=hangs, args=(touch.path, now - touch.began), daemon=True).start()
                    alive()
            last = self._touch
            if last is None:
                return
            deadline, pause = self._clock() + _GRACE_SECONDS, threading.Event()
            while self._touch is last:
                if self._clock() >= deadline:
                    give_up()
                    return
                pause.wait(0.1)

        threading.Thread(target=run, name="pulse", daemon=True).start()
