"""How many payments are tried while ConnectWise refuses one after the other, and when they are tried again. Pure.

Bad payments may stand in front of many good ones, and ConnectWise may be down. To tell that, a few payments are tried
in their order, then a few from all places, and if all are refused the line pauses. Every call that is refused may have
been carried out all the same. So in a long outage only few are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from watcher.payments.model import DemandId

# How many different payments may be refused, with none taken, before payments from other places are tried. After every
# time that those were refused, too, it is twice as many, up to the most. In a long outage it is few again.
_FEW, _MANY = 8, 64
# So many payments of files that come in during a pause are tried, and so often (seconds).
_OF_NEW_FILES = 2
_NEW_FILES_SECONDS = 15.0
# The first pause and the longest one (seconds); each is twice as long as the one before.
_FIRST_PAUSE = 2.0
_LONGEST_PAUSE = 300.0

Item = TypeVar("Item")


class Attempts:
    """Counts the payments in a row that ConnectWise refuses.

    Attributes:
        resumes_at: when payments are tried again that wait since all were refused (monotonic seconds).
        new_files_at: when payments of files that come in until then may be tried (monotonic seconds).
    """

    def __init__(self) -> None:
        self.resumes_at = 0.0
        self._refused: set[DemandId] = set()
        self._given_up = 0
        self._in_pause = False
        self.new_files_at = 0.0

    @property
    def is_paused(self) -> bool:
        """True if everything was refused, and nothing has gone well since."""
        return self._given_up > 0

    @property
    def patience(self) -> int:
        """How many payments may be refused in a row before the others are left alone for now."""
        if self._in_pause:
            return _OF_NEW_FILES
        many = _FEW << self._given_up
        return many if many <= _MANY else _FEW

    @property
    def is_doubtful(self) -> bool:
        """True if so many were refused in a row that the next ones are taken from all places."""
        return self.is_paused or len(self._refused) >= self.patience

    @property
    def is_over(self) -> bool:
        """True if those from all places were refused, too."""
        return len(self._refused) >= self.patience * (1 if self.is_paused else 2)

    @property
    def patience_again(self) -> int:
        """How many may be refused in a row that were refused before: these show nothing new."""
        return min(self.patience, _FEW)

    @property
    def is_over_again(self) -> bool:
        """True if so many of these were refused."""
        return len(self._refused) >= self.patience_again

    def begin(self, now: float) -> bool:
        """Begin an attempt to make payments; return False if it is too early for one.

        Args:
            now: monotonic seconds.
        """
        self._refused.clear()
        self._in_pause = self.is_paused and now < self.resumes_at
        if self._in_pause:
            if now < self.new_files_at:
                return False
            self.new_files_at = now + _NEW_FILES_SECONDS
        return True

    def hasten(self) -> None:
        """End the pause, though nothing has gone well."""
        self.resumes_at = self.new_files_at = 0.0

    def refused(self, demand_id: DemandId) -> None:
        """Take in that a payment was refused for which nothing but an outage may be to blame."""
        self._refused.add(demand_id)

    def went_well(self) -> None:
        """Take in that a payment was made, changed or removed."""
        self._refused.clear()
        self._given_up = 0
        self._in_pause = False

    def gave_up(self, now: float) -> None:
        """Take in that nothing but refusals came: the line pauses.

        Args:
            now: monotonic seconds.
        """
        if self._in_pause:
            return
        self.resumes_at = now + min(_FIRST_PAUSE * (1 << min(self._given_up, 10)), _LONGEST_PAUSE)
        self._given_up += 1


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """Return some of many things, from all places of their order; the last one first.

    Args:
        items: the things.
        most: the most to return.
    """
    if len(items) <= most:
        return list(reversed(items))
    return [items[len(items) - 1 - place * len(items) // most] for place in range(most)]
