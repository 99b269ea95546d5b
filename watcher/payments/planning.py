"""Decides on one step for a demand, by what ConnectWise holds: a call, nothing to do, or a rejection. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from watcher.payments.doubts import InDoubt
from watcher.payments.invoices import HeldPayment, Invoice
from watcher.payments.model import (
    ZERO,
    Action,
    Change,
    Create,
    Dates,
    Demand,
    Intent,
    Keep,
    Plan,
    Reject,
    Remove,
    Rules,
    listed,
    money,
)
from watcher.payments.sums import Adding, Before, add, foreign


def must_list(invoice: Invoice) -> bool:
    """Return True if an invoice's payment rows must be listed before a plan can be made.

    An invoice whose payments add up to zero is taken to have none. A row of 0.00 is worth nothing.
    """
    return invoice.paid is None or invoice.paid != ZERO


def plan(
    demand: Demand,
    found: Sequence[Invoice],
    intent: Intent | None,
    rules: Rules,
    made: int | None = None,
    earlier: InDoubt | None = None,
    dates: Dates = Dates(),  # noqa: B008  (it cannot change)
    refused: Plan | None = None,
    before: Before | None = None,
) -> Plan:
    """Decide what to do about one demand.

    Args:
        demand: what is asked.
        found: the invoices with this number. Their payments are listed where ``must_list`` asks for it.
        intent: the call that an earlier attempt of the same claim wrote down; it may have been made.
        rules: the operator's choices.
        made: the id of a row that we are known to have made, although another payment came in between.
        earlier: the calls of earlier files on this invoice that may be carried out late; None without any.
        dates: what ConnectWise has done with the dates that it was sent.
        refused: the plan whose call ConnectWise refused in words; it may have been carried out all the same.
        before: what was accepted before, where payments are added up.

    Returns:
        The plan. Its step is a call only if ConnectWise does not hold yet what is asked.
    """
    invoice = _meant(demand, found)
    if not demand.adds:
        return (
            Plan(demand, invoice)
            if isinstance(invoice, Reject)
            else _of_invoice(demand, invoice, _Attempt(intent, refused, made, earlier), rules, dates)
        )
    adding = add(demand, None if isinstance(invoice, Reject) else invoice.id, before or Before(), rules)
    if isinstance(invoice, Reject):
        return Plan(demand, invoice, adding=adding)
    decided = _of_invoice(demand, invoice, _Attempt(intent, refused, made, earlier), rules, dates, adding)
    held = invoice.paying[0] if invoice.paying else None
    return replace(decided, adding=adding, room=invoice.room(held))


def _meant(demand: Demand, found: Sequence[Invoice]) -> Invoice | Reject:
    """Return the invoice that is meant, or why there is none."""
    number = demand.invoice_number
    if not found:
        return Reject(f"Cannot find Invoice Number {number}")
    if demand.invoice_ids:
        meant = [invoice for invoice in found if {invoice.id} == demand.invoice_ids]
        if not meant:
            there = _listed(invoice.id for invoice in found)
            asked = _listed(demand.invoice_ids)
            return Reject(f"Invoice Number {number} has the id {there} in ConnectWise, not {asked}; nothing is guessed")
        found = meant
    if len(found) > 1:
        ids = _listed(invoice.id for invoice in found)
        return Reject(
            f"ConnectWise has {len(found)} invoices with Invoice Number {number} (ids {ids}); nothing is guessed"
        )
    if found[0].type.casefold() == "creditmemo":
        return Reject(f"Invoice Number {number} is a credit memo, which takes no payment")
    if (currency := _other_currency(demand, found[0])) is not None:
        return Reject(
            f"Invoice Number {number} is in {found[0].currencies[0]}, and this payment is in {currency}: "
            "an amount is not converted. Correct the currency, or set this payment in ConnectWise by hand"
        )
    return found[0]


def _other_currency(demand: Demand, invoice: Invoice) -> str | None:
    """Return the currency of a payment that is not the invoice's; None if there is none, or it cannot be told."""
    names = {name.casefold() for name in invoice.currencies}
    others = (part.currency for part in demand.parts if part.currency and part.currency.casefold() not in names)
    return next(others, None) if names else None


def _of_invoice(
    demand: Demand, invoice: Invoice, attempt: _Attempt, rules: Rules, dates: Dates, adding: Adding | None = None
) -> Plan:
    rows = invoice.paying
    if len({row.id for row in rows}) > 1:
        return _several(demand, invoice, rows, attempt)
    held = rows[0] if rows else None
    if held is not None and held.amount < ZERO:
        number = demand.invoice_number
        below = f"the payment {held.id} on invoice {number} is {money(held.amount)}, an amount below zero"
        return Plan(demand, Reject(f"In ConnectWise {below}; correct it there and send this again"))
    paid = held if held and held.amount != ZERO else None
    if adding is not None:
        fault = foreign(paid.amount if paid else ZERO, adding.before, attempt.may_have_set(invoice, paid))
        if fault is not None:
            return Plan(demand, Reject(fault))
        if not adding.new:
            return _repeated(demand, invoice, paid, adding)
    if (adding or demand).amount == ZERO:
        return _removal(demand, invoice, paid, attempt)
    return _payment(demand, adding or demand, invoice, held, attempt, rules, dates)


def _repeated(demand: Demand, invoice: Invoice, paid: HeldPayment | None, adding: Adding) -> Plan:
    """Plan records that were all accepted before or are rejected: nothing is to be set."""
    settled, gone = adding.before.settled, tuple[str, ...]()
    if paid is None and settled != ZERO:
        gone = (f"ConnectWise holds nothing on this invoice, where this program set {money(settled)}",)
    return Plan(demand, Keep(invoice.id, paid.id if paid else None), settled, gone)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What an earlier attempt of the same claim may have done.

    Attributes:
        intent: the call that it wrote down; it may have been made.
        refused: the plan whose call was refused in words.
        made: the id of a row that we are known to have made, although another payment came in between.
        earlier: the calls of earlier files on this invoice that may be carried out late; None without any.
    """

    intent: Intent | None
    refused: Plan | None
    made: int | None = None
    earlier: InDoubt | None = None

    def may_have_set(self, invoice: Invoice, paid: HeldPayment | None) -> list[Decimal]:
        """Return what calls of this program may have set on an invoice whose outcome is not known."""
        ours = [one.amount for one in (self.intent, self.refused) if one is not None]
        if paid is not None and paid.id == self.made:
            ours.append(paid.amount)
        if self.earlier is not None and self.earlier.invoice_id == invoice.id:
            ours += [call.amount for call in self.earlier.calls]
            ours += [self.earlier.settled.amount] if self.earlier.settled else []
        return ours

    def that_set(self, held: HeldPayment, amount: Decimal) -> tuple[str, ...] | None:
        """Return what the payer should know if it set what a payment is now; None if it did not."""
        if self.intent is not None and self.intent.action is not Action.REMOVE and self.intent.amount == amount:
            return _said(self.intent)
        step = self.refused.step if self.refused else None
        if self.refused is None or not isinstance(step, Change) or step.payment_id != held.id:
            return None
        # When the call was made, the payment was another one.
        shows = step.amount == held.amount if step.amount is not None else step.date_paid == held.date_paid
        return self.refused.warnings if shows else None

    def repeats(self, amount: Decimal) -> bool:
        """Return True if the invoice held an amount before it, so that it changed the date alone."""
        return any(one is not None and one.repeats and one.amount == amount for one in (self.intent, self.refused))

    def that_removed(self) -> tuple[str, ...] | None:
        """Return what the payer should know if it removed the payment, which is gone; None if it did not."""
        if self.intent is not None and self.intent.action is Action.REMOVE:
            return _said(self.intent)
        step = self.refused.step if self.refused else None
        return self.refused.warnings if self.refused and isinstance(step, Remove) and not step.surplus else None


def _said(intent: Intent) -> tuple[str, ...]:
    return (intent.warning,) if intent.warning else ()


def _listed(ids: Iterable[int]) -> str:
    return listed(sorted(ids))


def _several(
    demand: Demand,
    invoice: Invoice,
    rows: Sequence[HeldPayment],
    attempt: _Attempt,
) -> Plan:
    intent, earlier = attempt.intent, attempt.earlier
    surplus = next((row.id for row in rows if row.id == attempt.made), None)
    if surplus is None and intent and intent.action is Action.CREATE:
        # There was no row when the intent was written down. If all rows have our amount, two POSTs of ours arrived and
        # the answer to one was lost. The later row is removed.
        surplus = max(row.id for row in rows) if all(row.amount == intent.amount for row in rows) else None
    if (
        surplus is None
        and earlier is not None
        and earlier.invoice_id == invoice.id
        and (late := earlier.surplus(rows)) is not None
    ):
        surplus = late.id
    if surplus is not None:
        return Plan(demand, Remove(invoice.id, surplus, surplus=True), demand.amount)
    named = listed([f"{row.id} of {money(row.amount)}" for row in rows])
    return Plan(
        demand,
        Reject(
            f"Invoice {demand.invoice_number} has {len(rows)} payments in ConnectWise ({named}), "
            "where one was expected; leave one of them and send this again"
        ),
    )


def _removal(demand: Demand, invoice: Invoice, held: HeldPayment | None, attempt: _Attempt) -> Plan:
    if held is None:
        ours = attempt.that_removed()
        return Plan(demand, Keep(invoice.id, None), warnings=ours or (), applied=ours is not None)
    return Plan(
        demand,
        Remove(invoice.id, held.id),
        warnings=(f"The earlier payment of {money(held.amount)} was removed",),
    )


def _payment(
    demand: Demand,
    wanted: Demand | Adding,
    invoice: Invoice,
    held: HeldPayment | None,
    attempt: _Attempt,
    rules: Rules,
    dates: Dates,
) -> Plan:
    payable = invoice.room(held)
    if payable is None:
        return Plan(demand, Reject(f"ConnectWise gives no total for invoice {demand.invoice_number}"))
    if payable <= ZERO:
        return Plan(demand, Reject(f"Invoice {demand.invoice_number} has nothing to pay: {_sums(invoice)}"))
    amount = min(wanted.amount, payable)
    day = wanted.date_paid if amount == payable or rules.date_partial_payments else None
    warnings = _warnings(demand, amount, held) if isinstance(wanted, Demand) else _of_sum(wanted, amount, held)
    if held is None:
        return Plan(demand, Create(invoice.id, amount, day, payable - amount), amount, warnings, date_paid=day)
    ours = attempt.that_set(held, amount)
    same = isinstance(wanted, Demand) and held.amount == amount == wanted.amount
    repeats = same and (ours is None or attempt.repeats(amount))
    differs = held.date_paid != day
    told = _kept_date(held, day, dates, same_amount=held.amount == amount) if differs else None
    if told is not None:
        differs, warnings = False, (*warnings, told)
    if held.amount == amount and not differs:
        if ours is not None:
            warnings = (*ours, *filter(None, (told,)))
        return Plan(demand, Keep(invoice.id, held.id), amount, warnings, ours is not None, held.date_paid, repeats)
    step = Change(
        invoice.id,
        held.id,
        amount if held.amount != amount else None,
        day if differs else None,
        clear_date=differs and day is None,
    )
    return Plan(demand, step, amount, warnings, date_paid=day if differs else held.date_paid, repeats=repeats)


def _sums(invoice: Invoice) -> str:
    """Return in words why nothing can be paid on an invoice."""
    named = {"total is": invoice.total, "credits are": invoice.credits, "balance is": invoice.balance}
    said = [f"its {name} {money(amount)}" for name, amount in named.items() if amount is not None]
    return f"{', '.join(said[:-1])} and {said[-1]}"


def _kept_date(held: HeldPayment, day: date | None, dates: Dates, *, same_amount: bool) -> str | None:
    """Return in words that ConnectWise keeps a payment's date as it is, whatever it is sent; None if that is not so.

    Args:
        held: the payment.
        day: the date that it should have.
        dates: what ConnectWise has done with the dates that it was sent.
        same_amount: it has the right amount. Otherwise the call that sent the date may not have been carried out.
    """
    if day is None and dates.stays is not None:
        return f"ConnectWise does not take the date {held.date_paid} off this payment: {dates.stays}"
    if not same_amount or held.id not in dates.sent or dates.sent[held.id] != day:
        return None
    sent = "the date was taken off" if day is None else f"{day} was sent"
    shown = f"the date {held.date_paid}" if held.date_paid else "no date"
    return f"ConnectWise shows {shown} for this payment, although {sent}"


def _of_sum(adding: Adding, amount: Decimal, held: HeldPayment | None) -> tuple[str, ...]:
    """Return what the payer should know where payments are added up."""
    warnings = []
    if adding.amount > amount:
        warnings.append(
            f"The sum of the payments of this invoice is {money(adding.amount)}, which exceeds what it can take: "
            f"{money(amount)} was set and {money(adding.amount - amount)} discarded"
        )
    if adding.before.settled != ZERO and (held is None or held.amount == ZERO):
        warnings.append(
            f"ConnectWise held nothing on this invoice, where this program had set {money(adding.before.settled)}: "
            "the whole sum was set again"
        )
    return tuple(warnings)


def _warnings(demand: Demand, amount: Decimal, held: HeldPayment | None) -> tuple[str, ...]:
    warnings = []
    if len(demand.parts) > 1:
        warnings.append(f"{len(demand.parts)} records of this invoice were added up to {money(demand.amount)}")
    if demand.amount > amount:
        warnings.append(
            f"The paid amount exceeds what the invoice can take: {money(amount)} was set "
            f"and {money(demand.amount - amount)} discarded"
        )
    if held is not None and held.amount != amount:
        warnings.append(f"The earlier amount {money(held.amount)} was replaced by {money(amount)}")
    return tuple(warnings)
