"""Work on several files at once, where each call waits for a file server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# If the work on one file takes longer than this (seconds), it waits for a server, and the others need not wait for it.
_SLOW_SECONDS = 0.008
# So many files are worked on at once. More of them gain little: the processor is the limit by then.
_THREADS = 24


def side_by_side(
    act: Callable[[Item], Result], items: Iterable[Item], advanced: Callable[[], object] = lambda: None
) -> list[Result]:
    """Do the same for each of some files: one after the other on a quick disk, side by side on a slow one.

    Args:
        act: works on one file. It is called from several threads at once.
        items: the files.
        advanced: called whenever the work on a file is done, in the thread of the caller.

    Returns:
        What came of each, in order.

    Raises:
        Exception: what ``act`` raised for the first file for which it raised something. Nothing is under way any more
            then, and of the files after it some were worked on.
    """
    left = list(items)
    results: list[Result] = []
    for place, item in enumerate(left):
        began = time.monotonic()
        results.append(act(item))
        advanced()
        if time.monotonic() - began > _SLOW_SECONDS and len(left) - place > 2:
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="folders") as pool:
                futures = [pool.submit(act, each) for each in left[place + 1 :]]
                for _ in as_completed(futures):
                    advanced()
            return results + [future.result() for future in futures]
    return results
