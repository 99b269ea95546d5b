"""``apply --dry-run``: what would be done, for people and for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from rich.table import Table
from rich.text import Text

from watcher.cli.console import out
from watcher.payments.model import Change, Create, Keep, Payment, Plan, Record, Reject, Remove, money
from watcher.payments.outcomes import Result
from watcher.plain import plain


@dataclass(frozen=True, slots=True)
class _Step:
    """What would be done about a record.

    Attributes:
        what: create, change, remove, keep or reject.
        in_words: the same for people.
        note: what there is to say of it.
        amount: the amount that would be set; None if none would be.
        day: the date that would be set; None if none would be.
    """

    what: str
    in_words: str
    note: str = ""
    amount: Decimal | None = None
    day: date | None = None


def show(records: Sequence[Record], rejected: Sequence[Result], plans: Sequence[Plan], *, as_json: bool) -> None:
    """Print what would be done about each record, in the order of the document.

    Args:
        records: all records of the document.
        rejected: the results of those that are rejected before ConnectWise is asked.
        plans: what would be done about the others.
        as_json: print it as JSON.
    """
    steps = {result.position: _Step("reject", "reject", result.message or "") for result in rejected}
    steps |= {part.position: _step_of(plan, part) for plan in plans for part in plan.demand.parts}
    # The numbers of records that give an invoice's id alone.
    numbers = {part.position: part.invoice_number for plan in plans for part in plan.demand.parts}
    if as_json:
        rows = list(_as_json(records, steps, numbers))
        sys.stdout.write(json.dumps({"records": rows}, indent=2) + "\n")
    else:
        _show_table(records, steps, numbers)


def _as_json(
    records: Sequence[Record], steps: Mapping[int, _Step], numbers: Mapping[int, str]
) -> Iterator[dict[str, object]]:
    for record in records:
        step = steps[record.position]
        yield {
            "record": record.position + 1,
            "line": record.line,
            "invoice_number": numbers.get(record.position, record.invoice_number),
            "number_in_file": record.number_in_file or None,
            "asked": None if record.amount is None else money(record.amount),
            **({"asked_as_written": record.amount_as_written} if record.amount is None else {}),
            "would": step.what,
            "amount": None if step.amount is None else money(step.amount),
            "date": step.day and step.day.isoformat(),
            "note": step.note or None,
        }


def _show_table(records: Sequence[Record], steps: Mapping[int, _Step], numbers: Mapping[int, str]) -> None:
    if not records:
        out.print("Plan (nothing is written): the document holds no payment, so there is nothing to do.")
        return
    # A prefix has made another number of it.
    changed = any(record.number_in_file for record in records)
    heads = ("Line", *["In the file"] * changed, "Invoice", "Asked", "Would", "Note")
    table = Table(*heads, title="Plan (nothing is written)", title_justify="left")
    table.columns[-3].justify = "right"
    for record in records:
        step, number = steps[record.position], numbers.get(record.position, record.invoice_number)
        asked = record.amount_as_written if record.amount is None else money(record.amount)
        cells = (
            str(record.line or ""),
            *[record.number_in_file or number] * changed,
            number,
            asked,
            step.in_words,
            step.note,
        )
        table.add_row(*(Text(plain(cell)) for cell in cells))
    out.print(table)


def _step_of(plan: Plan, part: Payment) -> _Step:
    """Return what would be done about one record of a plan."""
    position = part.position
    step, adding = _step(plan), plan.adding
    if adding is None:
        return step
    if (fault := adding.faults.get(position)) is not None:
        return _Step("reject", "reject", fault)
    if position in adding.repeated and not (plan.rejects and position not in adding.accepted_before):
        return _Step(
            "keep", "keep as it is", "; ".join(filter(None, (adding.note(part) or "accepted before", step.note)))
        )
    if plan.rejects:
        return step
    note = "; ".join(filter(None, (adding.in_words, step.note)))
    return _Step(step.what, step.in_words, note, step.amount, step.day)


def _step(plan: Plan) -> _Step:
    note = "; ".join(plan.warnings)
    match plan.step:
        case Create(amount=amount, date_paid=day):
            words = f"create {money(amount)}{f' on {day}' if day else ', no date'}"
            return _Step("create", words, note, amount, day)
        case Change(amount=new, date_paid=day, clear_date=clear):
            changes = [money(new)] if new is not None else []
            changes += [f"date {day}"] if day else []
            changes += ["no date"] if clear else []
            return _Step("change", f"change to {', '.join(changes)}", note, plan.amount, plan.date_paid)
        case Remove():
            return _Step("remove", "remove the payment", note)
        case Keep():
            return _Step("keep", "keep as it is", note)
        case Reject(message=message):
            return _Step("reject", "reject", message)
