"""Writes that are carried out long after they came, when nobody waits for them any more."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from watcher.sandbox.clock import Clock
from watcher.sandbox.errors import RequestError


class LateWrites:
    """Keeps writes until they are due.

    Nothing happens by itself: whoever looks at the books has what is due carried out first. It bears the time at which
    it was due, so nobody can tell the difference.

    Args:
        clock: the time of the sandbox.
        seconds: how late a write is carried out; 0 for at once, so that none is to be put off.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        """Start with none."""
        self.offered = seconds > 0
        self._clock = clock
        self._delay = timedelta(seconds=seconds)
        self._waiting: deque[tuple[datetime, Callable[[], object]]] = deque()
        self._lock = threading.Lock()

    def put_off(self, write: Callable[[], object]) -> None:
        """Keep a write until it is due; whether it is refused then, only the journal tells."""
        with self._lock:
            self._waiting.append((self._clock.now() + self._delay, write))

    def carry_out(self) -> None:
        """Do what is due, in the order in which it came."""
        with self._lock:
            while self._waiting and self._waiting[0][0] <= self._clock.now():
                due, write = self._waiting.popleft()
                with self._clock.at(due), suppress(RequestError):
                    write()
