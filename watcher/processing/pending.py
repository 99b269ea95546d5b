"""Demands on their way to an outcome: what is planned for each, and what has happened to it so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from watcher.errors import Missing, Rejection
from watcher.payments.attempts import spread
from watcher.payments.demands import first_of_each
from watcher.payments.model import Call, Change, Demand, DemandId, Intent, Keep, Plan, Reject, Remove
from watcher.payments.outcomes import Outcome, Result, finish, reject_all
from watcher.payments.refusals import Refusal
from watcher.processing.news import Planned

# How often a demand may find the invoice changed before ConnectWise's refusal counts.
SURPRISES = 3


@dataclass(slots=True, eq=False)
class Pending:
    """A demand without an outcome, and what has happened to it so far.

    Attributes:
        demand: what is asked.
        intent: the call that was planned for it and may have been carried out.
        plan: what is done about it in this round.
        refused: the plan whose call ConnectWise refused, and how. The invoice is looked up once more, since another
            user may have changed it.
        surprises: how many calls were refused.
        doubtful: a call for it was refused or went unanswered, so that its payments are listed until it is finished.
        unread: its payments have not been read back since then.
        tried: the call that was refused last, and may have been carried out all the same; None if none was.
        invoice_id: ConnectWise's id of its invoice, once a call was planned for it.
        dates_stay: ConnectWise's words when it refused to take the date off its payment; None if it did not.
        made: the id of the payment row that its last call made, where the id is known and the effect is not.
        held_until: when it may be tried again (monotonic seconds); 0 if it does not wait for that.
        decided: it has its outcome.
    """

    demand: Demand
    intent: Intent | None = None
    plan: Plan | None = None
    refused: tuple[Plan, Rejection] | None = None
    surprises: int = 0
    doubtful: bool = False
    unread: bool = False
    tried: Intent | None = None
    invoice_id: int | None = None
    dates_stay: str | None = None
    made: int | None = None
    held_until: float = 0.0
    decided: bool = False

    @property
    def step(self) -> Call:
        """The call of its plan."""
        assert self.plan is not None
        assert not isinstance(self.plan.step, Keep | Reject)
        return self.plan.step

    @property
    def sent(self) -> Intent | None:
        """The call of ours that its invoice may show; None if there is none."""
        return self.intent or self.tried

    @property
    def in_doubt(self) -> bool:
        """True if it may be set already, so that only a good look at its invoice may reject it."""
        return self.sent is not None or self.made is not None

    @property
    def refused_again(self) -> Rejection | None:
        """How ConnectWise refused the call of its plan when it was made before; None if it was not."""
        again = self.refused is not None and self.plan is not None and self.refused[0].step == self.plan.step
        return self.refused[1] if again and self.refused else None

    @property
    def named(self) -> dict[str, str]:
        """The keys by which the log names it."""
        return {"claim": self.demand.claim_id, "invoice_number": self.demand.invoice_number}


class OpenDemands:
    """Demands without an outcome, in the order of arrival.

    A document may ask for hundreds of thousands of payments. So only those that were begun take more than their own
    memory, and those that have their outcome are let go of.
    """

    def __init__(
        self, demands: Sequence[Demand], intents: Mapping[DemandId, Intent], begun: Mapping[DemandId, Pending]
    ) -> None:
        """Begin with demands none of which has an outcome.

        Args:
            demands: in the order of arrival.
            intents: the calls that earlier attempts planned and may have made.
            begun: those among them that are in doubt, with what has happened to them.
        """
        self._demands = deque(demands)
        self._intents = intents
        wanted = {demand.id for demand in demands} if begun else set()
        self._begun = {demand_id: one for demand_id, one in begun.items() if demand_id in wanted}
        # Those that have their outcome and stand behind one that has none.
        self._decided: set[DemandId] = set()

    def __bool__(self) -> bool:
        """True while a demand has no outcome."""
        return bool(self._demands)

    def earliest(self, most: int, other_than: Collection[str]) -> list[Demand]:
        """Return of each invoice the earliest demand.

        Args:
            most: the most demands to return.
            other_than: the keys of invoices that are left out.
        """
        waiting = (demand for demand in self._demands if demand.id not in self._decided)
        return first_of_each((demand for demand in waiting if demand.key not in other_than), most)

    def from_all_places(self, most: int, other_than: Collection[str]) -> list[Demand]:
        """Return of some invoices the earliest demand, the invoices from all places of the order.

        Args:
            most: the most demands to return.
            other_than: the keys of invoices that are left out.
        """
        return spread(self.earliest(len(self._demands), other_than), most)

    def begin(self, demands: Sequence[Demand]) -> list[Pending]:
        """Return some of the demands with what has happened to them so far."""
        return [self._begun.setdefault(demand.id, Pending(demand, self._intents.get(demand.id))) for demand in demands]

    def unread(self, other_than: Collection[str]) -> list[Demand]:
        """Return the demands whose payments have to be read back.

        Args:
            other_than: the keys of invoices that are left out.
        """
        return [one.demand for one in self._begun.values() if one.unread and one.demand.key not in other_than]

    def in_doubt(self) -> dict[DemandId, Pending]:
        """Return those of the demands for which a call was made, with what has happened to them."""
        return {demand_id: one for demand_id, one in self._begun.items() if one.doubtful}

    def left(self) -> list[Demand]:
        """Return the demands without an outcome, in the order of arrival."""
        return [demand for demand in self._demands if demand.id not in self._decided]

    def take_decided(self, turn: Sequence[Pending]) -> bool:
        """Let go of those of a turn that have their outcome; return True if there are any."""
        decided = {one.demand.id for one in turn if one.decided}
        for demand_id in decided:
            del self._begun[demand_id]
        self._decided |= decided
        while self._demands and self._demands[0].id in self._decided:
            self._decided.remove(self._demands.popleft().id)
        return bool(decided)


def unplanned(unmade: Sequence[Pending], intents: Mapping[DemandId, Intent]) -> Iterator[Planned]:
    """Yield what is planned for demands whose calls were not carried out, so that nobody takes these for done.

    Args:
        unmade: the demands; those with an outcome are passed over.
        intents: what was planned in this round. What was planned before it, if anything, holds again.
    """
    earlier = [
        (one.demand, one.intent)
        for one in unmade
        if not one.decided and intents.get(one.demand.id, one.intent) != one.intent
    ]
    if earlier:
        yield Planned(earlier)


def without_call(one: Pending, decided: Plan) -> list[Result]:
    """Return the results of a plan that needs no call, or whose call has been refused already; else none.

    A call that was refused since something is missing, which is there, is another matter.
    """
    step = decided.step
    if isinstance(step, Reject):
        return rejected(decided, step.message, one.invoice_id if one.in_doubt else None)
    if isinstance(step, Keep):
        return finish(decided, Outcome.APPLIED if decided.applied else Outcome.UNCHANGED, step.payment_id)
    # It is read back by now. An invoice that is another one at every look is not chased for ever.
    counts = one.refused_again is not None or one.surprises >= SURPRISES
    if counts and one.refused is not None and not isinstance(one.refused[1], Missing):
        return rejected(decided, str(one.refused[1]))
    return []


def given_up(one: Pending, refusal: Refusal) -> list[Result]:
    """Return the results of a demand that ConnectWise refuses again and again, while it takes others.

    Args:
        one: the demand, with the call that was planned after its payments were read back.
        refusal: how it is refused.
    """
    assert one.plan is not None
    match one.step:
        case Change(payment_id=payment_id):
            effect = f"payment {payment_id} on the invoice still has another amount or date"
        case Remove(payment_id=payment_id):
            effect = f"payment {payment_id} is still on the invoice"
        case _:
            effect = "the invoice has no payment"
    seconds = round(refusal.at - refusal.since)
    return rejected(
        one.plan,
        f"ConnectWise refused this payment {refusal.rounds} times in {seconds} seconds, although it answers other "
        f"calls: {str(refusal.write).rstrip('.')}. Read back afterwards, {effect}.",
    )


def rejected(decided: Plan, message: str, invoice_id: int | None = None) -> list[Result]:
    """Return the results of a plan whose records are all rejected.

    Args:
        decided: the plan.
        message: the reason, in words for the payer.
        invoice_id: ConnectWise's id of the invoice, where the plan does not name it; None if it is not known.
    """
    if isinstance(decided.step, Reject):
        if invoice_id is not None:
            message = (
                f"{message.rstrip('.')}. An earlier call for this payment got no answer: "
                f"look at the invoice of id {invoice_id} in ConnectWise"
            )
    else:
        invoice_id = decided.step.invoice_id
    return reject_all(decided, message, invoice_id)
