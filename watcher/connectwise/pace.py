"""The pace of calls to ConnectWise: evenly spaced turns, and none while ConnectWise asks to wait."""

from __future__ import annotations

import threading

from watcher.connectwise.rate import Rate
from watcher.errors import Slowed
from watcher.lifetime import Lifetime

# If ConnectWise answers nothing but 429 for longer, that is an outage (seconds).
_LONGEST_SLOWED = 60.0
# If no call may be made for longer even then, people are told before the next one (seconds).
_PATIENCE_SECONDS = 30.0

# How often a waiting turn looks whether a hold has come meanwhile (seconds).
_LOOK_SECONDS = 1.0


class Pace:
    """Hands out turns to call ConnectWise. All workers share it.

    Turns are evenly spaced. So no minute holds more than ``requests_per_minute`` turns, and no shorter time holds more
    than its part of them: a server that counts in seconds sees no burst.
    """

    def __init__(self, requests_per_minute: float, lifetime: Lifetime) -> None:
        """Start at the full rate.

        Args:
            requests_per_minute: the most turns in any minute.
            lifetime: the clock; every wait ends when the process is asked to end.
        """
        self._lifetime = lifetime
        self._rate = Rate(requests_per_minute)
        self._lock = threading.Lock()
        self._next = lifetime.now()
        # Since when nothing but 429s came; None while something else comes.
        self._held_since: float | None = None
        # Counts the holds. A turn that was waiting when a hold came is void, and another one is taken.
        self._holds = 0

    @property
    def requests_per_minute(self) -> float:
        """The rate in force."""
        return self._rate.per_minute(self._lifetime.now())

    def turn(self) -> None:
        """Wait for the next turn.

        Raises:
            Slowed: nothing but 429s have come for a minute, and the latest one asks to wait for much longer.
            Stopping: the process is asked to end.
        """
        while True:
            with self._lock:
                holds = self._holds
                mine = max(self._next, self._lifetime.now())
                self._next = mine + self._rate.spacing(mine)
            if self._wait_for(mine, holds):
                with self._lock:
                    self._rate.count(mine)
                return

    def sleep(self, seconds: float) -> None:
        """Wait on purpose.

        Raises:
            Stopping: the process is asked to end.
        """
        self._lifetime.sleep(seconds)

    def hold(self, seconds: float) -> bool:
        """Let no turn begin for the time that a 429 asks for, and learn from it.

        Returns:
            True if nothing but 429s have come for so long that it is an outage.
        """
        with self._lock:
            now = self._lifetime.now()
            if self._held_since is None:
                self._held_since = now
            self._rate.learn(now, seconds)
            self._next = self._rate.next_turn()
            self._holds += 1
            return self._is_outage(now)

    def answered(self) -> None:
        """Take in an answer that is no 429."""
        self._held_since = None

    def _wait_for(self, turn: float, holds: int) -> bool:
        """Wait until a turn begins; return False as soon as a hold makes it void."""
        while holds == self._holds:
            now = self._lifetime.now()
            left = turn - now
            if left > _PATIENCE_SECONDS and self._is_outage(now):
                raise Slowed(
                    f"ConnectWise answered 429 (too many requests), and no call may be made for {left:.0f} seconds"
                )
            # A turn that is due waits for nothing, but is not given either if the process is asked to end.
            self._lifetime.sleep(min(max(left, 0.0), _LOOK_SECONDS))
            if left <= 0:
                return True
        return False

    def _is_outage(self, now: float) -> bool:
        """Return True if nothing but 429s have come for so long that it is an outage."""
        return self._held_since is not None and now - self._held_since >= _LONGEST_SLOWED
