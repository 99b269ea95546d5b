"""How many calls a minute ConnectWise allows, learnt from its 429s. Pure: the time is passed in.

ConnectWise does not publish its limit. A 429 (too many requests) comes once the limit is used up, and it says how long
to wait. So each 429 gives an estimate::

    limit ≈ accepted calls ÷ (time they took + the wait that the 429 asks for)

The rate starts at what is configured, falls to the estimate after a 429, and then grows back slowly.
"""

from __future__ import annotations

import math

# The estimate needs this many accepted calls. After fewer the rate falls by a fixed part, but not below a share of the
# configured rate.
_ENOUGH_CALLS = 20
_BLIND_CUT = 0.8
_BLIND_FLOOR = 0.1
# A wait in whole seconds was rounded up: it is half a second too long on average.
_ROUNDING_SECONDS = 0.5
# The rate was too high, so an estimate above this part of it is cut to this part.
_CUT = 0.97
# The lowest estimate (calls a minute).
_SLOWEST = 6.0
# The rate was nearly right, and has only just grown past the limit, if it has grown by this factor since it was last
# learnt, or if the calls took up this part of (time they took + wait).
_GROWN = 1.02
_NEARLY_ALL = 0.8
# The rate doubles within this time without a 429 (seconds). It doubles later if it was nearly right.
_DOUBLES_AFTER = 60.0
_DOUBLES_LATER = 600.0
# A pause between two calls begins a new run if it is longer than this many seconds and this many turns.
_PAUSE_SECONDS = 5.0
_PAUSE_TURNS = 3
# A thread may wake late, and two late turns could crowd a minute. This much more space between turns makes up for it.
_SLACK = 1.005


class Rate:
    """The rate of calls at any time. Every time is in seconds on one monotonic clock.

    Calls without a pause between them are a run. The estimate is made from the run that a 429 ends.

    Attributes:
        held_until: when the wait that the latest 429 asked for is over.
    """

    def __init__(self, full: float) -> None:
        """Start at the full rate.

        Args:
            full: the configured rate, which is never exceeded (calls a minute).
        """
        self.held_until = -math.inf
        self._full = full
        self._learnt = full
        self._doubles_after = _DOUBLES_AFTER
        self._latest_turn = -math.inf
        self._run_began = -math.inf
        self._run_calls = 0

    def per_minute(self, now: float) -> float:
        """Return the rate in force (calls a minute)."""
        # By the cube of the time, so that the rate stays near what was learnt for long.
        grown = max(0.0, now - self.held_until) / self._doubles_after
        return min(self._full, self._learnt * (1 + grown**3))

    def spacing(self, now: float) -> float:
        """Return the time from one turn to the next (seconds)."""
        return 60 / self.per_minute(now) * _SLACK

    def next_turn(self) -> float:
        """Return when the first turn after a 429 may begin: after the wait, and not too near the turn before it."""
        return max(self.held_until, self._latest_turn + self.spacing(self.held_until))

    def count(self, turn: float) -> None:
        """Count a call. After a pause a new run begins.

        Args:
            turn: when the call began.
        """
        pause = max(_PAUSE_SECONDS, _PAUSE_TURNS * self.spacing(turn))
        if self._run_calls == 0 or turn - self._latest_turn > pause:
            self._run_began, self._run_calls = turn, 0
        self._run_calls += 1
        self._latest_turn = max(self._latest_turn, turn)

    def learn(self, now: float, wait: float) -> None:
        """Learn from a 429. Several calls that are refused together count once.

        Args:
            now: when the 429 came.
            wait: how long the 429 asks to wait (seconds).
        """
        if now >= self.held_until:
            # The latest call of the run is the refused one.
            accepted = max(self._run_calls - 1, 0)
            if accepted < _ENOUGH_CALLS:
                self._fall(now, accepted)
            else:
                self._estimate(now, accepted, wait)
        self.held_until = max(self.held_until, now + wait)

    def _fall(self, now: float, accepted: int) -> None:
        """Lower the rate after too few calls for an estimate."""
        rate = self.per_minute(now)
        self._learnt = max(rate * _BLIND_CUT, min(rate, self._full * _BLIND_FLOOR))
        self._doubles_after = _DOUBLES_AFTER
        # The run goes on after the wait, until it is long enough for an estimate.
        self._run_calls = accepted

    def _estimate(self, now: float, accepted: int, wait: float) -> None:
        """Set the rate to what the run says about the limit."""
        rate = self.per_minute(now)
        took = max(now - self._run_began, 60 / rate)
        whole = took + wait - (_ROUNDING_SECONDS if wait % 1 == 0 else 0)
        # limit ≈ accepted calls ÷ (time they took + the wait that the 429 asks for)
        limit = accepted / whole * 60
        grown = rate > self._learnt * _GROWN
        # The rate before it grew was right, however long a wait is asked for.
        lowest = self._learnt if grown else _SLOWEST
        self._learnt = max(lowest, min(limit, rate * _CUT))
        nearly_right = grown or took / whole >= _NEARLY_ALL
        self._doubles_after = _DOUBLES_LATER if nearly_right else _DOUBLES_AFTER
        self._run_calls = 0
