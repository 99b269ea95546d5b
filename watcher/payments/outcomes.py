"""Turns a step that was taken into results, and a step that will be taken into what is written down before. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from watcher.payments.dated import Dated
from watcher.payments.model import (
    ZERO,
    Intent,
    Keep,
    Plan,
    Record,
    Reject,
    Remove,
    action_of,
)
from watcher.payments.repeated import Repeat
from watcher.payments.sums import Adding, Addition


class Outcome(StrEnum):
    """How a record ended. A record whose end is not known yet has no outcome: it is deferred, and waits."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one record.

    For every result whose amount can be read, ``asked = applied + unchanged + discarded + failed``.

    Attributes:
        position: the record's place in its document, from 0.
        line: its line there, from 1; 0 if it is not known.
        invoice_number: the number as written.
        outcome: how the record ended.
        asked: the amount that it asks; None if it cannot be read. Such a record is rejected.
        held: the part of this amount that ConnectWise now holds.
        message: why the record was rejected; None if it was not.
        warning: what the payer should know about a success; None if there is nothing to know.
        invoice_id: ConnectWise's id of the invoice; None if no invoice was found.
        payment_id: ConnectWise's id of the payment row; None if there is none.
        repeat: the record, if its invoice held its amount before; None if it did not, or that is not known.
        asked_as_written: the amount as it stands in the document, if it cannot be read; else empty.
    """

    position: int
    line: int
    invoice_number: str
    outcome: Outcome
    asked: Decimal | None
    held: Decimal = ZERO
    message: str | None = None
    warning: str | None = None
    invoice_id: int | None = None
    payment_id: int | None = None
    repeat: Repeat | None = field(default=None, compare=False)
    asked_as_written: str = ""

    @property
    def applied(self) -> Decimal:
        """The part that was set now."""
        return self.held if self.outcome is Outcome.APPLIED else ZERO

    @property
    def unchanged(self) -> Decimal:
        """The part that ConnectWise had already."""
        return self.held if self.outcome is Outcome.UNCHANGED else ZERO

    @property
    def discarded(self) -> Decimal:
        """The overage: the part that the invoice cannot take."""
        return ZERO if self.outcome is Outcome.REJECTED or self.asked is None else self.asked - self.held

    @property
    def failed(self) -> Decimal | None:
        """The whole amount of a rejected record; None if it cannot be read."""
        return self.asked if self.outcome is Outcome.REJECTED else ZERO


@dataclass(frozen=True, slots=True)
class Totals:
    """The counts and sums of a document's results.

    Attributes:
        unreadable: how many amounts cannot be read, and are in none of the sums.
        warned: how many succeeded with a warning, such as an overage that was discarded.
    """

    records: int = 0
    succeeded: int = 0
    rejected: int = 0
    asked: Decimal = ZERO
    applied: Decimal = ZERO
    unchanged: Decimal = ZERO
    discarded: Decimal = ZERO
    failed: Decimal = ZERO
    unreadable: int = 0
    warned: int = 0


def total(results: Iterable[Result]) -> Totals:
    """Add up a document's results, which are gone through once."""
    records = rejected = unreadable = warned = 0
    asked = applied = unchanged = discarded = failed = ZERO
    for result in results:
        records += 1
        rejected += result.outcome is Outcome.REJECTED
        unreadable += result.asked is None
        warned += result.warning is not None and result.outcome is not Outcome.REJECTED
        asked += result.asked or ZERO
        applied += result.applied
        unchanged += result.unchanged
        discarded += result.discarded
        failed += result.failed or ZERO
    return Totals(
        records, records - rejected, rejected, asked, applied, unchanged, discarded, failed, unreadable, warned
    )


def in_none_of_the_sums(unreadable: int) -> str:
    """Return what is said beside sums that lack amounts: how many."""
    if unreadable == 1:
        return "1 amount cannot be read, and is in none of these sums."
    return f"{unreadable:,} amounts cannot be read, and are in none of these sums."


def intend(decided: Plan, earlier: Intent | None) -> Intent | None:
    """Return what is written down before a plan's call is made.

    The warning of an earlier attempt ("replaced …") is kept. It is still true, although a later look-up may no longer
    show the amount that was replaced.

    Args:
        decided: the plan.
        earlier: the intent of an earlier attempt; None without one.

    Returns:
        The intent; None for a rejection, for a step without a call, and for the removal of a surplus row.
    """
    step = decided.step
    if isinstance(step, Keep | Reject) or (isinstance(step, Remove) and step.surplus):
        return None
    action = action_of(step)
    warning = "; ".join(decided.warnings) or None
    if earlier and earlier.action is action and earlier.amount == decided.amount:
        warning = earlier.warning
    return Intent(action, decided.amount, warning, step.invoice_id, Dated(decided.date_paid), decided.repeats)


def finish(decided: Plan, outcome: Outcome, payment_id: int | None) -> list[Result]:
    """Return the results of a plan's records, once its call has succeeded or if it needed none.

    Summed records get their shares of the amount in their order, so that the last ones lack the overage.

    Args:
        decided: the plan.
        outcome: applied or unchanged.
        payment_id: ConnectWise's id of the payment row; None if there is none.
    """
    assert not isinstance(decided.step, Reject)
    if decided.adding is not None:
        return _finish_added(decided, decided.adding, outcome, payment_id)
    left = decided.amount
    results = []
    for part in decided.demand.parts:
        held = min(part.amount, left)
        left -= held
        results.append(
            Result(
                part.position,
                part.line,
                part.invoice_number,
                outcome,
                part.amount,
                held,
                warning="; ".join(decided.warnings) or None,
                invoice_id=decided.step.invoice_id,
                payment_id=payment_id,
                repeat=Repeat(part, decided.amount) if decided.repeats else None,
            )
        )
    return results


def _finish_added(decided: Plan, adding: Adding, outcome: Outcome, payment_id: int | None) -> list[Result]:
    """Do as ``finish`` where payments are added up: each record says by how much it changed what is set."""
    assert not isinstance(decided.step, Reject)
    shares = adding.shares(decided.room)
    results = []
    for part in decided.demand.parts:
        if (fault := adding.faults.get(part.position)) is not None:
            results.append(reject(part, fault, decided.step.invoice_id))
            continue
        repeated = part.position in adding.repeated
        results.append(
            Result(
                part.position,
                part.line,
                part.invoice_number,
                Outcome.UNCHANGED if repeated else outcome,
                part.amount,
                part.amount if repeated else shares[part.position],
                warning="; ".join(filter(None, (adding.note(part), *decided.warnings))) or None,
                invoice_id=decided.step.invoice_id,
                payment_id=payment_id,
            )
        )
    return results


def reject_all(decided: Plan, message: str, invoice_id: int | None = None) -> list[Result]:
    """Return the results of a plan that cannot be carried out. A payment that was accepted before stays so.

    Args:
        decided: the plan.
        message: the reason, in words for the payer.
        invoice_id: ConnectWise's id of the invoice; None if it is not known.
    """
    adding = decided.adding
    if adding is None:
        return [reject(part, message, invoice_id) for part in decided.demand.parts]
    return [
        Result(
            part.position,
            part.line,
            part.invoice_number,
            Outcome.UNCHANGED,
            part.amount,
            part.amount,
            warning=f"This payment was accepted before. {message}",
            invoice_id=invoice_id,
        )
        if part.position in adding.accepted_before
        else reject(part, adding.faults.get(part.position, message), invoice_id)
        for part in decided.demand.parts
    ]


def settled_by(decided: Plan, results: Sequence[Result]) -> Decimal | None:
    """Return the payment that an invoice has by a plan that was carried out; None if it was not, or sets nothing.

    Args:
        decided: the plan of a demand.
        results: what became of its records.
    """
    if decided.adding is None:
        rejected = any(result.outcome is Outcome.REJECTED for result in results)
        return None if rejected else sum((result.held for result in results), ZERO)
    added = addition(decided, results)
    return None if added is None else added.settled


def addition(decided: Plan, results: Iterable[Result]) -> Addition | None:
    """Return what was added to the sum of an invoice; None if nothing was.

    Args:
        decided: the plan of a demand.
        results: what became of its records.
    """
    adding, step = decided.adding, decided.step
    if adding is None or isinstance(step, Reject):
        return None
    accepted = {result.position for result in results if result.outcome is not Outcome.REJECTED}
    new = tuple(part for part in adding.new if part.position in accepted)
    return Addition(decided.demand.claim_id, step.invoice_id, new, decided.amount) if new else None


def reject(record: Record, message: str, invoice_id: int | None = None) -> Result:
    """Return the result of a record that is rejected.

    Args:
        record: the record.
        message: the reason, in words for the payer.
        invoice_id: ConnectWise's id of the invoice; None if no invoice was found.
    """
    return Result(
        record.position,
        record.line,
        record.invoice_number,
        Outcome.REJECTED,
        record.amount,
        message=message,
        invoice_id=invoice_id,
        asked_as_written=record.amount_as_written,
    )
