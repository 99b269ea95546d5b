"""What became of a demand: results for its records, and what is written down before a call. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from watcher.payments.model import (
    ZERO,
    Action,
    Change,
    Create,
    Intent,
    Plan,
    Record,
    Reject,
    Remove,
)


class Outcome(StrEnum):
    """How a record ended. While it cannot be known it is deferred: it has no outcome yet and waits."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one record.

    ``asked = applied + unchanged + discarded + failed`` holds of every one.

    Attributes:
        position: the record's place in its document, from 0.
        line: its line there, from 1; 0 where it is not known.
        invoice_number: as written.
        outcome: how it ended.
        asked: the amount it asked, zero where that cannot be read.
        settled: the part of it that ConnectWise now holds.
        message: why it was rejected, else None.
        warning: what the payer should know of a success, else None.
        invoice_id: ConnectWise's id of the invoice where one was found.
        payment_id: ConnectWise's id of the payment row where there is one.
    """

    position: int
    line: int
    invoice_number: str
    outcome: Outcome
    asked: Decimal
    settled: Decimal = ZERO
    message: str | None = None
    warning: str | None = None
    invoice_id: int | None = None
    payment_id: int | None = None

    @property
    def applied(self) -> Decimal:
        """The part set now."""
        return self.settled if self.outcome is Outcome.APPLIED else ZERO

    @property
    def unchanged(self) -> Decimal:
        """The part that ConnectWise had already."""
        return self.settled if self.outcome is Outcome.UNCHANGED else ZERO

    @property
    def discarded(self) -> Decimal:
        """The overage: asked beyond what the invoice can take."""
        return ZERO if self.outcome is Outcome.REJECTED else self.asked - self.settled

    @property
    def failed(self) -> Decimal:
        """The whole amount of a rejected record."""
        return self.asked if self.outcome is Outcome.REJECTED else ZERO


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums over a document's results."""

    records: int = 0
    succeeded: int = 0
    rejected: int = 0
    asked: Decimal = ZERO
    applied: Decimal = ZERO
    unchanged: Decimal = ZERO
    discarded: Decimal = ZERO
    failed: Decimal = ZERO


def total(results: list[Result]) -> Totals:
    """Add up a document's results."""
    rejected = sum(result.outcome is Outcome.REJECTED for result in results)
    return Totals(
        records=len(results),
        succeeded=len(results) - rejected,
        rejected=rejected,
        asked=sum((result.asked for result in results), ZERO),
        applied=sum((result.applied for result in results), ZERO),
        unchanged=sum((result.unchanged for result in results), ZERO),
        discarded=sum((result.discarded for result in results), ZERO),
        failed=sum((result.failed for result in results), ZERO),
    )


def intend(decided: Plan, earlier: Intent | None) -> Intent | None:
    """Give what is to be written down before a plan's call is made; None where there is none.

    A warning that an earlier attempt was going to give ("replaced …") stays true although the repeated look-up no
    longer shows what was there before.
    """
    match decided.step:
        case Create():
            action = Action.CREATE
        case Change():
            action = Action.CHANGE
        case Remove(surplus=False):
            action = Action.REMOVE
        case _:
            return None
    warning = "; ".join(decided.warnings) or None
    if earlier and earlier.action is action and earlier.amount == decided.amount:
        warning = earlier.warning
    return Intent(action, decided.amount, warning)


def finish(decided: Plan, outcome: Outcome, payment_id: int | None) -> list[Result]:
    """Give the result of each record behind a plan that has been carried out or needed no call.

    The amount set is shared out over summed records in their order; the overage falls on the last ones.

    Args:
        decided: the plan.
        outcome: applied or unchanged.
        payment_id: ConnectWise's id of the payment row, where there is one.
    """
    assert not isinstance(decided.step, Reject)
    left = decided.amount
    results = []
    for part in decided.demand.parts:
        settled = min(part.amount, left)
        left -= settled
        results.append(
            Result(
                part.position,
                part.line,
                part.invoice_number,
                outcome,
                part.amount,
                settled,
                warning="; ".join(decided.warnings) or None,
                invoice_id=decided.step.invoice_id,
                payment_id=payment_id,
            )
        )
    return results


def reject(record: Record, message: str, invoice_id: int | None = None) -> Result:
    """Give the result of a record that is rejected."""
    return Result(
        record.position,
        record.line,
        record.invoice_number,
        Outcome.REJECTED,
        record.amount or ZERO,
        message=message,
        invoice_id=invoice_id,
    )
