"""The rules about money: what a document asks and what ConnectWise holds, to steps. Pure.

Only one payment per invoice can be set in ConnectWise, so an amount is absolute: what is asked replaces what is there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from watcher.records import (
    ZERO,
    Action,
    Change,
    Claim,
    Create,
    Demand,
    HeldPayment,
    Intent,
    Invoice,
    Keep,
    Misfit,
    Outcome,
    Payment,
    Plan,
    Record,
    Reject,
    Remove,
    Result,
    Rules,
    money,
)


def demands(claim_id: str, records: Sequence[Record], rules: Rules) -> tuple[list[Demand], list[Result]]:
    """Sort a document's records into demands on invoices and records that are rejected before any call.

    Args:
        claim_id: the claim the document belongs to.
        records: all records of the document.
        rules: whether duplicates are summed, what zero means.

    Returns:
        The demands, in the order of their first record, and the results of the rejected records.
    """
    by_invoice: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        # A record without a number can be the duplicate of none.
        key = record.invoice_number.casefold() or f"\0{record.position}"
        by_invoice[key].append(record)
    wanted: list[Demand] = []
    rejected: list[Result] = []
    for group in by_invoice.values():
        faults = _group_faults(group, rules)
        payments = tuple(record for record in group if isinstance(record, Payment))
        if faults:
            rejected.extend(reject(record, faults[record.position]) for record in group)
        else:
            wanted.append(Demand(claim_id, payments[0].invoice_number, payments))
    return wanted, rejected


def numbered(records: Sequence[Record], numbers: Mapping[int, str]) -> tuple[Record, ...]:
    """Put in the invoice numbers of payments that give ConnectWise's id of the invoice alone.

    Args:
        records: all records of the document.
        numbers: the numbers that ConnectWise has for those ids; an id that is not there has no invoice.

    Returns:
        The records in order; a payment whose invoice has no number that can be used is a misfit.
    """
    return tuple(
        _numbered(record, record.invoice_id, numbers)
        if isinstance(record, Payment) and record.invoice_id is not None and not record.invoice_number
        else record
        for record in records
    )


def _numbered(payment: Payment, invoice_id: int, numbers: Mapping[int, str]) -> Record:
    number = numbers.get(invoice_id, "").strip()
    if not number:
        return misfit(payment, f"Cannot find an invoice with id {invoice_id}")
    return replace(payment, invoice_number=number)


def unrepeated(records: Sequence[Record], earlier: Mapping[str, Claim]) -> tuple[Record, ...]:
    """Take out the payments that bear an externalId which has been used before (``prevent_reprocessing``).

    Args:
        records: all records of the document.
        earlier: by externalId, the earlier file in which a payment bore it that was applied, or still is in work.

    Returns:
        The records in order, repeated payments as misfits; of several in one document, all are repeated.
    """
    lines: dict[str, list[int]] = defaultdict(list)
    for record in records:
        if isinstance(record, Payment) and record.external_id:
            lines[record.external_id].append(record.line)
    return tuple(
        _unrepeated(record, lines[record.external_id], earlier.get(record.external_id))
        if isinstance(record, Payment) and record.external_id
        else record
        for record in records
    )


def _unrepeated(payment: Payment, lines: Sequence[int], earlier: Claim | None) -> Record:
    if earlier is not None:
        return misfit(
            payment,
            f"The payment with externalId {payment.external_id} was processed already, in {earlier.name} taken on "
            f"{earlier.claimed_at:%Y-%m-%d at %H:%M} UTC (claim {earlier.id}), "
            "and payments.prevent_reprocessing is set",
        )
    if len(lines) > 1:
        return misfit(
            payment,
            f"externalId {payment.external_id} stands {len(lines)} times in this file{_places(lines)}, "
            "and payments.prevent_reprocessing is set",
        )
    return payment


def misfit(payment: Payment, fault: str) -> Misfit:
    """Turn a payment that cannot be set into a misfit.

    Args:
        payment: the payment.
        fault: why, for the payer.
    """
    place = _place(payment.line)
    return Misfit(payment.position, payment.line, payment.invoice_number, payment.amount, f"{fault}{place}")


def _place(line: int) -> str:
    return f" (line {line})" if line else ""


def _places(lines: Sequence[int]) -> str:
    """Say in which lines something stands, where they are known."""
    return f" (lines {', '.join(str(line) for line in lines)})" if all(lines) else ""


def _group_faults(group: Sequence[Record], rules: Rules) -> dict[int, str]:
    """Why the records of one invoice are all rejected, by position; empty when they make a demand."""
    own = {record.position: fault for record in group if (fault := _own_fault(record, rules))}
    if len(group) == 1 or (rules.sum_duplicates and not own):
        return own
    lines = _places([record.line for record in group])
    number = group[0].invoice_number
    if rules.sum_duplicates:
        shared = (
            f"Not added up: another record of invoice {number} is wrong{lines}, "
            "and a sum without one of its parts would be a wrong amount"
        )
    else:
        shared = (
            f"Invoice {number} stands {len(group)} times in this file{lines}, and ConnectWise holds "
            'one payment an invoice: group them into one, or set duplicates = "sum" in the configuration'
        )
    return {record.position: own.get(record.position, shared) for record in group}


def _own_fault(record: Record, rules: Rules) -> str | None:
    if isinstance(record, Misfit):
        return record.fault
    if record.amount == ZERO and not rules.remove_on_zero:
        return (
            f"PaidAmount is zero{_place(record.line)}: nothing to pay. "
            'To take a payment off an invoice with a zero, set zero_amount = "remove" in the configuration'
        )
    return None


def must_list(invoice: Invoice) -> bool:
    """Say whether an invoice's payment rows must be listed before a plan can be made.

    An invoice whose payments add up to zero has none.
    """
    return invoice.paid is None or invoice.paid != ZERO


def plan(
    demand: Demand, found: Sequence[Invoice], intent: Intent | None, rules: Rules, made: int | None = None
) -> Plan:
    """Decide what to do about one demand.

    Args:
        demand: what is asked.
        found: the invoices whose number matches, each with its payments listed wherever ``must_list`` says so.
        intent: what an earlier attempt of the same claim was going to do and may have done.
        rules: the operator's choices.
        made: the id of a row that is known to be ours, made although another payment came in between.

    Returns:
        The plan; its step is a call only if ConnectWise does not hold yet what is asked.
    """
    number = demand.invoice_number
    if not found:
        return Plan(demand, Reject(f"Cannot find Invoice Number {number}"))
    if demand.invoice_ids:
        meant = [invoice for invoice in found if {invoice.id} == demand.invoice_ids]
        if not meant:
            there = _listed(invoice.id for invoice in found)
            asked = _listed(demand.invoice_ids)
            return Plan(
                demand,
                Reject(f"Invoice Number {number} has the id {there} in ConnectWise, not {asked}; nothing is guessed"),
            )
        found = meant
    if len(found) > 1:
        ids = _listed(invoice.id for invoice in found)
        return Plan(
            demand,
            Reject(
                f"ConnectWise has {len(found)} invoices with Invoice Number {number} (ids {ids}); nothing is guessed"
            ),
        )
    invoice = found[0]
    if invoice.type.casefold() == "creditmemo":
        return Plan(demand, Reject(f"Invoice Number {number} is a credit memo, which takes no payment"))
    rows = [row for row in invoice.payments or () if not row.applies_credit]
    if len(rows) > 1:
        return _several(demand, invoice, rows, intent, made)
    held = rows[0] if rows else None
    if demand.amount == ZERO:
        return _removal(demand, invoice, held, intent)
    return _payment(demand, invoice, held, intent, rules)


def _listed(ids: Iterable[int]) -> str:
    return ", ".join(str(one) for one in sorted(ids))


def _several(
    demand: Demand, invoice: Invoice, rows: Sequence[HeldPayment], intent: Intent | None, made: int | None
) -> Plan:
    surplus = next((row.id for row in rows if row.id == made), None)
    if surplus is None and intent and intent.action is Action.CREATE:
        # There was none when we wrote down to make one. Where all are of our amount, two POSTs of ours arrived although
        # one went unanswered: the later row goes.
        surplus = max(row.id for row in rows) if all(row.amount == intent.amount for row in rows) else None
    if surplus is not None:
        return Plan(demand, Remove(invoice.id, surplus, surplus=True), demand.amount)
    listed = ", ".join(f"{row.id} of {money(row.amount)}" for row in rows)
    return Plan(
        demand,
        Reject(
            f"Invoice {demand.invoice_number} has {len(rows)} payments in ConnectWise ({listed}), "
            "where one was expected; leave one of them and send this again"
        ),
    )


def _removal(demand: Demand, invoice: Invoice, held: HeldPayment | None, intent: Intent | None) -> Plan:
    if held is None:
        ours = intent is not None and intent.action is Action.REMOVE
        warnings = (intent.warning,) if ours and intent and intent.warning else ()
        return Plan(demand, Keep(invoice.id, None), warnings=warnings, applied=ours)
    return Plan(
        demand,
        Remove(invoice.id, held.id),
        warnings=(f"The earlier payment of {money(held.amount)} was removed",),
    )


def _payment(demand: Demand, invoice: Invoice, held: HeldPayment | None, intent: Intent | None, rules: Rules) -> Plan:
    if invoice.total is None:
        return Plan(demand, Reject(f"ConnectWise gives no total for invoice {demand.invoice_number}"))
    payable = invoice.total - invoice.credits
    if payable <= ZERO:
        return Plan(
            demand,
            Reject(
                f"Invoice {demand.invoice_number} has nothing to pay: its total is {money(invoice.total)} "
                f"and its credits are {money(invoice.credits)}"
            ),
        )
    amount = min(demand.amount, payable)
    day = demand.date_paid if amount == payable or rules.date_partial_payments else None
    warnings = _warnings(demand, amount, held)
    if held is None:
        return Plan(demand, Create(invoice.id, amount, day, payable - amount), amount, warnings)
    if held.amount == amount and held.date_paid == day:
        ours = intent is not None and intent.action is not Action.REMOVE and intent.amount == amount
        if ours and intent:
            warnings = (intent.warning,) if intent.warning else ()
        return Plan(demand, Keep(invoice.id, held.id), amount, warnings, applied=ours)
    step = Change(
        invoice.id,
        held.id,
        amount if held.amount != amount else None,
        day if day is not None and held.date_paid != day else None,
        clear_date=day is None and held.date_paid is not None,
    )
    return Plan(demand, step, amount, warnings)


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


def first_of_each(waiting: Iterable[Demand], limit: int) -> list[Demand]:
    """Take the next demands that may be worked on side by side: at most one an invoice, the earliest.

    Args:
        waiting: the demands without an outcome, in order of arrival.
        limit: how many to take at most.
    """
    taken: dict[str, Demand] = {}
    for demand in waiting:
        if len(taken) == limit:
            break
        taken.setdefault(demand.key, demand)
    return list(taken.values())
