"""The pace of requests: evenly spaced, held while ConnectWise asks for it, slower after that, slowly back again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from watcher.errors import Stopping

# After a 429 the rate falls to this part of what it was, but never below this part of what is configured.
_SLOWER = 0.8
_SLOWEST = 0.1
# Each later turn wins back this part of the configured rate: a fifth of it takes four hundred requests.
_RECOVERY = 1 / 2000
# A thread may wake late, and two late turns could crowd a minute; this much more space between turns absorbs it.
_SLACK = 1.005
# How often a wait looks up to say that it is alive, seconds.
_BREATH = 1.0


class Pace:
    """Hands out turns to call ConnectWise; shared by all workers.

    Turns are evenly spaced, so no window of a minute ever holds more than ``requests_per_minute`` of them, and neither
    does a shorter window hold more than its part: a server that counts in seconds sees no burst.
    """

    def __init__(
        self,
        requests_per_minute: float,
        stop: threading.Event,
        *,
        alive: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start at the full rate.

        Args:
            requests_per_minute: the most turns in any minute.
            stop: set when the program ends; every wait here ends with it.
            alive: called about every second of a wait, which is work as intended.
            clock: monotonic seconds.
        """
        self._full = requests_per_minute
        self._rate = requests_per_minute
        self._stop = stop
        self._alive = alive
        self._clock = clock
        self._lock = threading.Lock()
        self._next = clock()
        # When the latest turn that was not void began; the next one keeps its distance from it.
        self._taken = clock() - 60
        self._held_until = clock()
        # Counts the holds: a turn that was waiting when one came is void and drawn anew.
        self._holds = 0

    @property
    def requests_per_minute(self) -> float:
        """The rate in force."""
        return self._rate

    def turn(self) -> None:
        """Wait for the next turn.

        Raises:
            Stopping: the program ends.
        """
        while True:
            with self._lock:
                holds = self._holds
                mine = max(self._next, self._clock())
                self._next = mine + 60 / self._rate * _SLACK
                self._rate = min(self._full, self._rate + self._full * _RECOVERY)
            if self._sleep_until(mine, holds):
                self._taken = max(self._taken, mine)
                return

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds on purpose.

        Raises:
            Stopping: the program ends.
        """
        self._sleep_until(self._clock() + seconds, None)

    def _sleep_until(self, when: float, holds: int | None) -> bool:
        """Wait until a monotonic time; False as soon as another hold has come than the given count knows of."""
        while holds is None or holds == self._holds:
            if self._stop.is_set():
                raise Stopping("asked to end while waiting to call ConnectWise")
            left = when - self._clock()
            if left <= 0:
                return True
            self._stop.wait(min(left, _BREATH))
            self._alive()
        return False

    def hold(self, seconds: float) -> None:
        """Let no turn begin for some seconds and lower the rate, once however many calls are told so together."""
        with self._lock:
            now = self._clock()
            if now >= self._held_until:
                self._rate = max(self._full * _SLOWEST, self._rate * _SLOWER)
            self._held_until = max(self._held_until, now + seconds)
            self._next = max(self._held_until, self._taken + 60 / self._rate * _SLACK)
            self._holds += 1
