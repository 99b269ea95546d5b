"""Sorts records into demands on invoices, and rejects what cannot be one before any call is made. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import TypeGuard

from watcher.claim import Claim
from watcher.payments.model import (
    ZERO,
    Demand,
    Misfit,
    Payment,
    Record,
    Rules,
    listed,
)
from watcher.payments.outcomes import Result, reject
from watcher.payments.sums import conflicts
from watcher.plain import plain

# A payment may be dated so many days ahead, for example a direct debit. A later day is a slip of the keyboard.
_MOST_DAYS_AHEAD = 31
# The longest externalId that is quoted whole in a message (characters).
_LONGEST_QUOTE = 100


def demands_of(claim_id: str, records: Sequence[Record], rules: Rules) -> tuple[list[Demand], list[Result]]:
    """Sort a document's records into demands on invoices and rejected records.

    Args:
        claim_id: the id of the claim to which the document belongs.
        records: all records of the document.
        rules: the operator's choices about duplicates and zero.

    Returns:
        The demands, in the order of their first records, and the results of the rejected records.
    """
    if rules.add_up:
        return _added_up(claim_id, records, rules)
    # Most invoices stand in a document once. A list for each would be the largest part of the memory that this takes.
    by_invoice: dict[str, Record | list[Record]] = {}
    for record in records:
        # A record without a number duplicates no other record.
        key = record.invoice_number.casefold() or f"\0{record.position}"
        others = by_invoice.setdefault(key, record)
        if isinstance(others, list):
            others.append(record)
        elif others is not record:
            by_invoice[key] = [others, record]
    wanted: list[Demand] = []
    rejected: list[Result] = []
    for found in by_invoice.values():
        group = found if isinstance(found, list) else [found]
        faults = _group_faults(group, rules)
        payments = tuple(record for record in group if isinstance(record, Payment))
        if faults:
            rejected.extend(reject(record, faults[record.position]) for record in group)
        else:
            wanted.append(Demand(claim_id, payments[0].invoice_number, payments))
    return wanted, rejected


def _added_up(claim_id: str, records: Sequence[Record], rules: Rules) -> tuple[list[Demand], list[Result]]:
    """Do as ``demands_of`` where every record is one payment: a wrong one keeps no other from being added."""
    repeated = conflicts(record for record in records if isinstance(record, Payment) and record.external_id)
    groups: dict[tuple[str, int | None], list[Payment]] = {}
    rejected: list[Result] = []
    for record in records:
        fault = _own_fault(record, rules) or repeated.get(record.position)
        if isinstance(record, Payment) and fault is None and not record.external_id:
            fault = (
                f'externalId is missing{_place(record)}: with payments.amounts = "each" every payment needs one, '
                "by which it is known if it comes again"
            )
        if fault is not None or isinstance(record, Misfit):
            rejected.append(reject(record, fault or ""))
        else:
            # A record that names the wrong id of its invoice is wrong alone.
            groups.setdefault((record.invoice_number.casefold(), record.invoice_id), []).append(record)
    return [Demand(claim_id, parts[0].invoice_number, tuple(parts), adds=True) for parts in groups.values()], rejected


def lacks_number(record: Record) -> TypeGuard[Payment]:
    """Return True if a record is a payment that gives ConnectWise's id of the invoice alone."""
    return isinstance(record, Payment) and record.invoice_id is not None and not record.invoice_number


def numbered(
    records: Sequence[Record], numbers: Mapping[int, str], unknown: Collection[int] = ()
) -> tuple[Record, ...]:
    """Fill in the invoice numbers of payments that give ConnectWise's id of the invoice alone.

    Args:
        records: all records of the document.
        numbers: ConnectWise's invoice number of each id; an id that is missing has no invoice.
        unknown: the ids that cannot be looked up now. Their payments stay as they are.

    Returns:
        The records in order. A payment whose id has no invoice, or an invoice without a number, becomes a misfit.
    """
    return tuple(
        _numbered(record, record.invoice_id or 0, numbers)
        if lacks_number(record) and record.invoice_id not in unknown
        else record
        for record in records
    )


def timely(records: Sequence[Record], today: date, begun: Collection[int] = ()) -> tuple[Record, ...]:
    """Turn payments whose day is too far ahead into misfits.

    Args:
        records: all records of the document.
        today: the day by UTC.
        begun: the positions of records whose payments may have been made already.

    Returns:
        The records in order.
    """
    latest = today + timedelta(days=_MOST_DAYS_AHEAD)
    return tuple(
        misfit(record, _too_far_ahead(record.date_paid, today))
        if isinstance(record, Payment) and record.date_paid > latest and record.position not in begun
        else record
        for record in records
    )


def _too_far_ahead(day: date, today: date) -> str:
    return (
        f"The date {day} is {(day - today).days:,} days ahead of today, {today}; "
        f"at most {_MOST_DAYS_AHEAD} days ahead are accepted"
    )


def _numbered(payment: Payment, invoice_id: int, numbers: Mapping[int, str]) -> Record:
    if invoice_id not in numbers:
        return misfit(payment, f"Cannot find an invoice with id {invoice_id}")
    number = numbers[invoice_id].strip()
    if not number:
        fault = f"The invoice with id {invoice_id} has no number in ConnectWise; give it one there and send this again"
        return misfit(payment, fault)
    return replace(payment, invoice_number=number)


def unrepeated(records: Sequence[Record], earlier: Mapping[str, Claim]) -> tuple[Record, ...]:
    """Turn payments whose externalId was used before into misfits (``prevent_reprocessing``).

    If an externalId stands in one document several times, every payment with it becomes a misfit.

    Args:
        records: all records of the document.
        earlier: for each externalId that was used before, the file in which it was used. A payment with it was applied
            there, or is still in work.

    Returns:
        The records in order.
    """
    using: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if isinstance(record, Payment) and record.external_id:
            using[record.external_id].append(record)
    faults = {
        external_id: fault
        for external_id, group in using.items()
        if (fault := _repeats(external_id, group, earlier.get(external_id)))
    }
    return tuple(
        misfit(record, faults[record.external_id])
        if isinstance(record, Payment) and record.external_id in faults
        else record
        for record in records
    )


def _repeats(external_id: str, group: Sequence[Record], earlier: Claim | None) -> str:
    """Return why the payments with an externalId are rejected; empty if they are not."""
    shown = plain(external_id, _LONGEST_QUOTE)
    if earlier is not None:
        return (
            f"The payment with externalId {shown} was processed already, in {plain(earlier.name)} taken on "
            f"{earlier.claimed_at:%Y-%m-%d at %H:%M} UTC (claim {earlier.id}), "
            "and payments.prevent_reprocessing is set"
        )
    if len(group) > 1:
        return (
            f"externalId {shown} stands {len(group)} times in this file{_places(group)}, "
            "and payments.prevent_reprocessing is set"
        )
    return ""


def misfit(payment: Payment, fault: str) -> Misfit:
    """Turn a payment that cannot be set into a misfit.

    Args:
        payment: the payment.
        fault: the reason, in words for the payer, without the line.
    """
    return Misfit(
        payment.position,
        payment.line,
        payment.invoice_number,
        payment.amount,
        f"{fault}{_place(payment)}",
        number_in_file=payment.number_in_file,
        unit=payment.unit,
    )


def _place(record: Record) -> str:
    return f" ({record.unit} {record.line})" if record.line else ""


def _places(group: Sequence[Record]) -> str:
    """Return the lines in words, the first ten by their numbers; empty if one of them is not known."""
    lines = [record.line for record in group]
    return f" ({group[0].unit}s {listed(lines)})" if all(lines) else ""


def _group_faults(group: Sequence[Record], rules: Rules) -> dict[int, str]:
    """Return why the records of one invoice are rejected, by position; empty if they make a demand."""
    own = {record.position: fault for record in group if (fault := _own_fault(record, rules))}
    if len(group) == 1 or (rules.sum_duplicates and not own):
        return own
    lines = _places(group)
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
    if record.amount == ZERO and not rules.remove_on_zero and rules.add_up:
        return f"The amount is zero{_place(record)}: it adds nothing to what is paid"
    if record.amount == ZERO and not rules.remove_on_zero:
        return (
            f"The amount is zero{_place(record)}: nothing to pay. "
            'To take a payment off an invoice with a zero, set zero_amount = "remove" in the configuration'
        )
    return None


def first_of_each(waiting: Iterable[Demand], limit: int) -> list[Demand]:
    """Return the next demands that may be worked on side by side: of each invoice the earliest one.

    Args:
        waiting: the demands without an outcome, in order of arrival.
        limit: the most demands to return.
    """
    taken: dict[str, Demand] = {}
    for demand in waiting:
        if len(taken) == limit:
            break
        taken.setdefault(demand.key, demand)
    return list(taken.values())
