"""Payments that ConnectWise refuses again and again: whose fault that is, by evidence. Pure: times come in.

A 500 or a 403 may mean that ConnectWise is down, or that the API member lacks a right. Then every payment waits. It may
also be about one record: data that ConnectWise cannot take, or an invoice that this member may not change. Then this
record is rejected, and no other one waits for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from watcher.errors import AnswerLost, Outage, Rejection, Scope, SignInRefused
from watcher.payments.model import Action, Demand, DemandId

# So often, and over so many seconds, a payment is refused before that is its own fault.
_ROUNDS = 3
_SECONDS = 60.0
# When a refused payment is tried again (seconds after its first refusal), and then every so often (seconds).
_TRIES = (0.0, 20.0, 61.0)
_FIRST_PAUSE = 60.0
_LONGEST_PAUSE = 300.0
# If so many payments are refused by 403 that are all to be made, or changed, or removed, and ConnectWise has done that
# with none yet, the API member lacks this right.
_MISSING_RIGHT = 3
# How many payments in a row may be refused before that is the line's trouble. After every time that it was, it is twice
# as many, up to the most: good payments may stand behind many bad ones. In a long outage it is few again.
_FEW, _MANY = 8, 64

Refused = Outage | AnswerLost | Rejection


@dataclass(slots=True)
class Refusal:
    """How a payment is refused.

    Attributes:
        error: the latest refusal.
        first_at, last_at: when it was refused (monotonic seconds).
        key: the key of its invoice.
        action: what was to be done; None if ConnectWise refused to show what there is.
        rounds: how often.
        others_went_well: another payment was made since the first refusal.
        looked_up: its own invoice was looked up well since the first refusal.
    """

    error: Refused
    first_at: float
    last_at: float
    key: str
    action: Action | None
    rounds: int = 1
    others_went_well: bool = False
    looked_up: bool = False

    @property
    def due(self) -> float:
        """When the payment is tried again (monotonic seconds)."""
        if self.rounds <= len(_TRIES):
            return self.first_at + _TRIES[self.rounds - 1]
        pause = _FIRST_PAUSE * (1 << min(self.rounds - len(_TRIES) - 1, 10))
        return self.last_at + min(pause, _LONGEST_PAUSE)


class Refusals:
    """Remembers which payments are refused, and what else ConnectWise did meanwhile."""

    def __init__(self) -> None:
        self._known: dict[DemandId, Refusal] = {}
        self._given_up = 0
        # What the API member is known to be allowed.
        self._done: set[Action | None] = set()

    @property
    def patience(self) -> int:
        """How many payments in a row may be refused before that is the line's trouble."""
        many = _FEW << self._given_up
        return many if many <= _MANY else _FEW

    def error_of(self, demand_id: DemandId) -> Refused:
        """Return how a payment that is refused was refused last."""
        return self._known[demand_id].error

    def due(self, demand_id: DemandId, *, alone: bool = False) -> float:
        """Return when a payment has its next turn (monotonic seconds); 0 for now. ``alone`` as for ``is_records``."""
        known = self._known.get(demand_id)
        return 0.0 if known is None or self.is_records(demand_id, alone=alone) else known.due

    def dues(self) -> dict[str, float]:
        """Return when each payment that is refused has its next turn, by the key of its invoice."""
        return {known.key: self.due(demand_id) for demand_id, known in self._known.items()}

    def of(self, demand_id: DemandId) -> Refusal | None:
        """Return how a payment is refused; None if it is not."""
        return self._known.get(demand_id)

    def keys(self) -> set[str]:
        """Return the keys of the invoices whose payments are refused."""
        return {each.key for each in self._known.values()}

    def refused(self, demand: Demand, action: Action | None, error: Refused, now: float) -> None:
        """Take in that a payment was refused.

        Args:
            demand: its demand.
            action: what was to be done; None if ConnectWise refused to show what there is.
            error: of scope ``ODD`` or ``REFUSED``, or a 404 to a write on an invoice that is there.
            now: monotonic seconds.
        """
        known = self._known.get(demand.id)
        if known is None:
            self._known[demand.id] = Refusal(error, now, now, demand.key, action)
        else:
            known.error, known.last_at, known.action = error, now, action
            known.rounds += 1

    def went_well(self, action: Action) -> None:
        """Take in that a payment was made, changed or removed: there is no outage, and that is allowed."""
        self._done.add(action)
        self._given_up = 0
        for each in self._known.values():
            if not each.others_went_well:
                # What was refused before may have been an outage, and does not count.
                each.first_at, each.rounds, each.others_went_well = each.last_at, 1, True

    def looked_up(self, demand_ids: Iterable[DemandId]) -> None:
        """Take in whose invoices were looked up well, with all that a plan needs."""
        for demand_id in demand_ids:
            if demand_id in self._known:
                self._known[demand_id].looked_up = True

    def gave_up(self) -> None:
        """Take in that nothing but refusals came, so that the line waits."""
        self._given_up += 1

    def is_records(self, demand_id: DemandId, *, alone: bool) -> bool:
        """Return True if the evidence says that the fault is the record's own.

        Args:
            demand_id: its demand.
            alone: True if no other invoice is to be paid. A look-up of its own invoice then shows that ConnectWise
                answers.
        """
        known = self._known.get(demand_id)
        enough = known is not None and known.rounds >= _ROUNDS and known.last_at - known.first_at >= _SECONDS
        return enough and self.can_be_records(demand_id, alone=alone)

    def can_be_records(self, demand_id: DemandId, *, alone: bool) -> bool:
        """Return True if the fault is the record's own once that was refused often enough; as ``is_records``."""
        known = self._known.get(demand_id)
        return (
            known is not None
            and known.error.scope is not Scope.ODD
            and (known.others_went_well or (alone and known.looked_up))
            and not self._lacks_right(known)
        )

    def _lacks_right(self, refusal: Refusal) -> bool:
        """Return True if the API member seems to lack the right to do what was refused, on any invoice."""
        if refusal.action in self._done or not isinstance(refusal.error, SignInRefused):
            return False
        same = [each for each in self._known.values() if each.action == refusal.action]
        return sum(isinstance(each.error, SignInRefused) for each in same) >= _MISSING_RIGHT

    def forget(self, demand_id: DemandId) -> None:
        """Forget a payment that has its outcome."""
        self._known.pop(demand_id, None)

    def keep_only(self, claim_ids: Collection[str]) -> None:
        """Forget the payments of claims other than these."""
        self._known = {key: known for key, known in self._known.items() if key[0] in claim_ids}
