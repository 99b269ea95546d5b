"""One demand on its way to its outcome: what is planned for it, and what has happened to it so far."""

from __future__ import annotations

from dataclasses import dataclass

from watcher.payments.model import Call, Demand, Intent, Keep, Plan, Reject
from watcher.payments.outcomes import Outcome, Result, finish, reject


@dataclass(slots=True, eq=False)
class Pending:
    """A demand without an outcome, and what has happened to it so far.

    Attributes:
        demand: what is asked.
        intent: the call that was planned for it and may have been carried out.
        plan: what is done about it in this round.
        refused: the call that ConnectWise refused, and its words. The invoice is looked up once more, since another
            user may have changed it.
        surprises: how many calls were refused.
        doubtful: its last call was refused or went unanswered, so that its payments are listed in any case.
        made: the id of the payment row that its last call made, where the id is known and the effect is not.
        held_until: when it may be POSTed again (monotonic seconds); 0 if it does not wait for that.
        decided: it has its outcome.
    """

    demand: Demand
    intent: Intent | None = None
    plan: Plan | None = None
    refused: tuple[Call, str] | None = None
    surprises: int = 0
    doubtful: bool = False
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
    def named(self) -> dict[str, str]:
        """The keys by which the log names it."""
        return {"claim": self.demand.claim_id, "invoice_number": self.demand.invoice_number}


def without_call(one: Pending, decided: Plan) -> list[Result]:
    """Return the results of a plan that needs no call, or whose call has been refused already; else none."""
    step = decided.step
    if isinstance(step, Reject):
        return rejected(decided, step.message)
    if isinstance(step, Keep):
        return finish(decided, Outcome.APPLIED if decided.applied else Outcome.UNCHANGED, step.payment_id)
    if one.refused is not None and one.refused[0] == step:
        return rejected(decided, one.refused[1])
    return []


def rejected(decided: Plan, message: str) -> list[Result]:
    """Return the results of a plan whose records are all rejected, with the reason in words for the payer."""
    invoice_id = None if isinstance(decided.step, Reject) else decided.step.invoice_id
    return [reject(part, message, invoice_id) for part in decided.demand.parts]
