"""The pace of requests: evenly spaced, held while ConnectWise asks for it, slower after that, slowly back again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from watcher.errors import Stopping

# ConnectWise does not say what its limit is, so it is learnt from its 429s. What got through since the calls last
# began, spread over that time and the wait that the 429 asks for, has stayed within the limit. A wait in whole seconds
# is rounded up: half a second too long on average.
_ROUNDED_UP = 0.5
_A_LITTLE_LESS = 0.97
# A 429 long after the calls began, measured against its wait, or once the rate has grown by so much from what was
# learnt, means that the rate has just grown past the limit.
_LATE = 0.8
_GROWN = 1.02
# After too few calls to tell, the rate falls by a fifth, but not below a tenth of what is configured.
_ENOUGH_TURNS = 20
_A_FIFTH_LESS = 0.8
_A_TENTH = 0.1
# The rate doubles within this time without a 429, by the cube of the time, so that it stays long near what was right:
# seconds, after an early 429 and after a late one.
_DOUBLES_AFTER_EARLY = 60.0
_DOUBLES_AFTER_LATE = 600.0
# The rate never falls lower than this, requests a minute.
_SLOWEST = 6.0
# A pause in the calls that is longer than this many turns, or seconds, begins a new run of them.
_PAUSE_TURNS = 3
_PAUSE_SECONDS = 5.0
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
        # The rate after the latest 429, None before the first one, and the time in which it doubles.
        self._learnt: float | None = None
        self._doubles_after = _DOUBLES_AFTER_EARLY
        # The present run of calls: when it began, and its turns.
        self._run_began = clock()
        self._run_turns = 0

    @property
    def requests_per_minute(self) -> float:
        """The rate in force."""
        return self._rate(self._clock())

    def _rate(self, now: float) -> float:
        if self._learnt is None:
            return self._full
        grown = max(0.0, now - self._held_until) / self._doubles_after
        return min(self._full, self._learnt * (1 + grown**3))

    def _spacing(self, now: float) -> float:
        return 60 / self._rate(now) * _SLACK

    def turn(self) -> None:
        """Wait for the next turn.

        Raises:
            Stopping: the program ends.
        """
        while True:
            with self._lock:
                holds = self._holds
                mine = max(self._next, self._clock())
                self._next = mine + self._spacing(mine)
            if self._sleep_until(mine, holds):
                with self._lock:
                    self._count(mine)
                return

    def _count(self, mine: float) -> None:
        """Count a turn that is used to the present run, or to a new one after a pause."""
        pause = max(_PAUSE_SECONDS, _PAUSE_TURNS * self._spacing(mine))
        if self._run_turns == 0 or mine - self._taken > pause:
            self._run_began, self._run_turns = mine, 0
        self._run_turns += 1
        self._taken = max(self._taken, mine)

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
        """Let no turn begin for some seconds and learn from it, once however many calls are told so together."""
        with self._lock:
            now = self._clock()
            if now >= self._held_until:
                self._learn(now, seconds)
            self._held_until = max(self._held_until, now + seconds)
            self._next = max(self._held_until, self._taken + self._spacing(self._held_until))
            self._holds += 1

    def _learn(self, now: float, wait: float) -> None:
        """Set the rate by the run of calls that a 429 ends and the wait it asks for."""
        rate = self._rate(now)
        # The latest turn is the one that was refused.
        passed = max(self._run_turns - 1, 0)
        if passed < _ENOUGH_TURNS:
            self._learnt = max(rate * _A_FIFTH_LESS, min(rate, self._full * _A_TENTH))
            self._doubles_after = _DOUBLES_AFTER_EARLY
            # The wait belongs to the run that goes on after it, until that is long enough to tell.
            self._run_turns = passed
        else:
            run = max(now - self._run_began, 60 / rate)
            whole = run + wait - (_ROUNDED_UP if wait % 1 == 0 else 0)
            grown = self._learnt is not None and rate > self._learnt * _GROWN
            # What went well before the rate grew is still right, however long a wait is asked for.
            least = self._learnt if grown and self._learnt else _SLOWEST
            self._learnt = max(least, min(passed / whole * 60, rate * _A_LITTLE_LESS))
            self._doubles_after = _DOUBLES_AFTER_LATE if grown or run / whole >= _LATE else _DOUBLES_AFTER_EARLY
            self._run_turns = 0
        self._learnt = min(self._full, self._learnt)
