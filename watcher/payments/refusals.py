"""Payments that ConnectWise does not take: whose fault that is, by evidence. Pure: times come in.

A 500 or a 403 may mean that ConnectWise is down, or that the API member lacks a right. Then every payment waits. It may
also be about one record: data that ConnectWise cannot take, or an invoice that this member may not change. Then this
record is rejected, and no other one waits for it. A look that goes wrong says nothing of the record, and neither does
an answer that never came: such a payment waits, and is tried again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from watcher.errors import AnswerLost, Outage, Rejection, SignInRefused
from watcher.payments.model import Action, Demand, DemandId

# So often, and over so many seconds, the call for a payment is refused before that is the payment's own fault.
_ROUNDS = 3
_SECONDS = 60.0
# When a payment is tried again (seconds after its first trouble), and then every so often (seconds).
_TRIES = (0.0, 20.0, 61.0)
_FIRST_PAUSE = 60.0
_LONGEST_PAUSE = 300.0
# If so many payments are refused by 403 that are all to be made, or changed, or removed, and ConnectWise has done that
# with none yet, the API member lacks this right.
_MISSING_RIGHT = 3

Refused = Outage | AnswerLost | Rejection


@dataclass(slots=True)
class Refusal:
    """What keeps a payment from being made.

    Attributes:
        error: the latest trouble with it.
        key: the key of its invoice.
        first_at, last_at: when it met trouble (monotonic seconds).
        tries: how often.
        write: how its call was refused last; None if only looks went wrong.
        action: what that call does.
        rounds: how many refusals of its call count, each after its payments were read back.
        since: since when these count (monotonic seconds).
        at: when the last of these was.
        met: which event the first trouble was.
        begun, before, latest: which events the first, the last but one and the last refusal of its call were.
        is_hastened: True if a person has asked to try it now.
    """

    error: Refused
    key: str
    first_at: float
    last_at: float
    tries: int = 0
    write: Refused | None = None
    action: Action | None = None
    rounds: int = 0
    since: float = 0.0
    at: float = 0.0
    met: int = 0
    begun: int = 0
    before: int = 0
    latest: int = 0
    is_hastened: bool = False

    @property
    def due(self) -> float:
        """When the payment is tried again (monotonic seconds)."""
        if self.is_hastened:
            return 0.0
        if self.tries <= len(_TRIES):
            return self.first_at + _TRIES[self.tries - 1]
        pause = _FIRST_PAUSE * (1 << min(self.tries - len(_TRIES) - 1, 10))
        return self.last_at + min(pause, _LONGEST_PAUSE)


class Refusals:
    """Remembers which payments met trouble, and what else ConnectWise did meanwhile.

    Attributes:
        nothing_follows: True if no further payment will come that could show whose fault a refusal is.
    """

    def __init__(self) -> None:
        self.nothing_follows = False
        self._known: dict[DemandId, Refusal] = {}
        # What the API member is known to be allowed.
        self._done: set[Action] = set()
        # Events are counted: of two at one time, it counts which came first.
        self._events = 0
        self._went_well = 0
        self._good = 0

    def error_of(self, demand_id: DemandId) -> Refused:
        """Return the latest trouble with a payment."""
        return self._known[demand_id].error

    def error_at(self, demand_id: DemandId) -> float:
        """Return when that was (monotonic seconds); 0 if there is none."""
        known = self._known.get(demand_id)
        return 0.0 if known is None else known.last_at

    def of(self, demand_id: DemandId) -> Refusal | None:
        """Return what keeps a payment from being made; None if nothing does."""
        return self._known.get(demand_id)

    def dues(self) -> dict[str, float]:
        """Return when each payment that met trouble has its next turn, by the key of its invoice."""
        return {known.key: known.due for known in self._known.values()}

    def keys(self) -> set[str]:
        """Return the keys of the invoices whose payments met trouble."""
        return {each.key for each in self._known.values()}

    def refused(self, demand: Demand, action: Action | None, error: Refused, now: float) -> None:
        """Take in that a payment was not taken.

        Args:
            demand: its demand.
            action: what its call was to do; None if a look at its invoice went wrong.
            error: of any scope but ``LINE``, or a 404 to a write on an invoice that is there.
            now: monotonic seconds.
        """
        known = self._known.setdefault(demand.id, Refusal(error, demand.key, now, now))
        known.error, known.last_at = error, now
        known.tries += 1
        known.is_hastened = False
        self._events += 1
        known.met = known.met or self._events
        if action is None:
            return
        known.before, known.latest = known.latest, self._events
        known.write, known.action, known.at = error, action, now
        known.begun = known.begun or self._events
        if not error.scope.never_rejects:
            known.since = known.since if known.rounds else now
            known.rounds += 1

    def went_well(self, action: Action, now: float) -> None:
        """Take in that a payment was made, changed or removed: there is no outage, and that is allowed.

        Args:
            action: what was done.
            now: monotonic seconds.
        """
        self._done.add(action)
        self._good += 1
        for each in self._known.values():
            if each.begun > self._went_well:
                # What was refused before may have been an outage, and does not count.
                each.since, each.rounds = now, min(each.rounds, 1)
                each.first_at, each.last_at, each.tries = now, now, 1
        self._events += 1
        self._went_well = self._events

    def hasten(self) -> None:
        """Let each payment have its next turn now. That makes no refusal count for more."""
        for each in self._known.values():
            each.is_hastened = True

    def unchanged(self) -> None:
        """Take in that a payment needed no call."""
        self._good += 1

    def is_often_enough(self, demand_id: DemandId) -> bool:
        """Return True if the call for a payment was refused so often, and for so long, that it is decided about."""
        known = self._known.get(demand_id)
        return known is not None and known.rounds >= _ROUNDS and known.at - known.since >= _SECONDS

    def can_be_records(self, demand_id: DemandId, *, nothing_else: bool) -> bool:
        """Return True if the fault is the record's own once that was refused often enough.

        Args:
            demand_id: its demand.
            nothing_else: True if there is no payment that was not tried yet. Looks at its own invoice then have to show
                that ConnectWise answers.
        """
        known = self._known.get(demand_id)
        if known is None or known.write is None or known.write.scope.never_rejects or self.lacks_right(demand_id):
            return False
        return (nothing_else or self._went_well > known.before) and not self._all_are_refused(demand_id)

    def is_suspect(self, demand_id: DemandId) -> bool:
        """Return True if ConnectWise took another payment since it refused this one: only this one is to blame."""
        known = self._known.get(demand_id)
        return known is not None and 0 < known.begun < self._went_well

    def others_go_on(self, demand_id: DemandId) -> bool:
        """Return True if ConnectWise took another payment since a payment met trouble."""
        known = self._known.get(demand_id)
        return known is not None and known.met < self._went_well

    def is_decided_soon(self, demand_id: DemandId, *, nothing_else: bool) -> bool:
        """Return True if a few more tries will decide about a payment that met trouble."""
        known = self._known[demand_id]
        if known.error is not known.write or known.error.scope.never_rejects:
            # It may pass, and it never decides.
            return known.tries < _ROUNDS
        return self.can_be_records(demand_id, nothing_else=nothing_else)

    def is_worth_telling(self, demand_id: DemandId) -> bool:
        """Return True if people should know of the trouble. An answer that was lost once is no matter of theirs."""
        known = self._known.get(demand_id)
        return known is not None and (known.tries > 1 or not known.error.scope.never_rejects)

    def lacks_right(self, demand_id: DemandId) -> bool:
        """Return True if the API member seems to lack the right to do what was refused, on any invoice."""
        known = self._known[demand_id]
        if known.action in self._done or not isinstance(known.write, SignInRefused):
            return False
        same = [each for each in self._known.values() if each.action == known.action]
        return sum(isinstance(each.write, SignInRefused) for each in same) >= _MISSING_RIGHT

    def forget(self, demand_id: DemandId) -> None:
        """Forget a payment that has its outcome."""
        self._known.pop(demand_id, None)

    def keep_only(self, claim_ids: Collection[str]) -> None:
        """Forget the payments of claims other than these."""
        self._known = {key: known for key, known in self._known.items() if key[0] in claim_ids}

    def _all_are_refused(self, demand_id: DemandId) -> bool:
        """Return True if others, too, were refused for the first time since a payment went well: that is an outage.

        Where no further payment will come, it is one if more are refused than went well.
        """
        new = {each for each, known in self._known.items() if known.begun > self._went_well}
        if self.nothing_follows:
            return len(new) > max(1, self._good)
        return bool(new - {demand_id})
