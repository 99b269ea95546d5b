"""What people see on a terminal, drawn with Rich: faults, findings, the plan, the sums."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from watcher.errors import ConfigurationError, Fault, Outage, PaymentWatcherError
from watcher.payments.model import Change, Create, Keep, Plan, Reject, Remove, money
from watcher.payments.outcomes import Result, in_none_of_the_sums, total
from watcher.plain import plain, plain_lines

if TYPE_CHECKING:
    # What is shown, and nothing of what finds it out.
    from watcher.actions.check import Finding

out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
err = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def show_sentences(sentences: Iterable[str]) -> None:
    """Print sentences, each on a line."""
    for sentence in sentences:
        out.print(Text(plain(sentence)))


def show_error(error: PaymentWatcherError) -> None:
    """Print to standard error why a command ends, and what to do."""
    if isinstance(error, ConfigurationError):
        show_faults(error.faults)
    else:
        text = f"{error}. {error.mend}." if isinstance(error, Outage) else str(error)
        err.print(Text(plain_lines(text), style="red"))


def show_faults(faults: Iterable[Fault]) -> None:
    """Print faults to standard error, each with its mend."""
    for fault in faults:
        err.print(Text.assemble((plain(fault.key), "bold red"), _problem(fault, "    ")))


def show_finding(finding: Finding) -> None:
    """Print one finding of a check."""
    what = (plain(finding.what), "bold")
    if finding.fault is None:
        out.print(Text.assemble(("ok    ", "green"), what, f": {plain_lines(finding.good)}"))
    else:
        out.print(Text.assemble(("FAULT ", "bold red"), what, _problem(finding.fault, "      ")))


def _problem(fault: Fault, indent: str) -> str:
    """Return what is wrong, and on a line of its own what to do."""
    return f": {plain_lines(fault.problem)}\n{indent}{plain_lines(fault.mend)}"


def show_plan(rejected: Sequence[Result], plans: Sequence[Plan]) -> None:
    """Print what would be done: a row for each record, in the order of the document."""
    if not rejected and not plans:
        out.print("Plan (nothing is written): the document holds no payment, so there is nothing to do.")
        return
    rows: dict[int, tuple[str, str, str, str, str]] = {}
    for result in rejected:
        rows[result.position] = (
            str(result.line or ""), result.invoice_number, _amount(result.asked, result.asked_as_written), "reject",
            result.message or "",
        )  # fmt: skip
    for plan in plans:
        for part in plan.demand.parts:
            what, why = _step_of(plan, part.position)
            rows[part.position] = (str(part.line or ""), part.invoice_number, money(part.amount), what, why)
    table = Table("Line", "Invoice", "Asked", "Would", "Note", title="Plan (nothing is written)", title_justify="left")
    table.columns[2].justify = "right"
    for position in sorted(rows):
        table.add_row(*(Text(plain(cell)) for cell in rows[position]))
    out.print(table)


def _step_of(plan: Plan, position: int) -> tuple[str, str]:
    """Return what is done about one record of a plan, and what there is to say of it."""
    what, why = _step(plan)
    adding = plan.adding
    if adding is None:
        return what, why
    if (fault := adding.faults.get(position)) is not None:
        return "reject", fault
    if position in adding.repeated and not (plan.rejects and position not in adding.accepted_before):
        return "keep as it is", "; ".join(filter(None, ("accepted before", why)))
    return what, why if plan.rejects else "; ".join(filter(None, (adding.in_words, why)))


def _step(plan: Plan) -> tuple[str, str]:
    note = "; ".join(plan.warnings)
    match plan.step:
        case Create(amount=amount, date_paid=day):
            return f"create {money(amount)}{f' on {day}' if day else ', no date'}", note
        case Change(amount=amount, date_paid=day, clear_date=clear):
            changes = [money(amount)] if amount is not None else []
            changes += [f"date {day}"] if day else []
            changes += ["no date"] if clear else []
            return f"change to {', '.join(changes)}", note
        case Remove():
            return "remove the payment", note
        case Keep():
            return "keep as it is", note
        case Reject(message=message):
            return "reject", message


def show_sums(results: Sequence[Result], waiting: int) -> None:
    """Print the sums of a document to standard error, after each payment that needs a word."""
    for result in results:
        if result.message or result.warning:
            style = "red" if result.message else "yellow"
            said = plain(result.message or result.warning or "")
            number = plain(result.invoice_number) or f"line {result.line}"
            err.print(Text.assemble((number, f"bold {style}"), f": {said}"))
    sums = total(results)
    lacks = f" {in_none_of_the_sums(sums.unreadable)}" if sums.unreadable else ""
    count = sums.records + waiting
    waits = f", {waiting} waiting" if waiting else ""
    err.print(
        f"{count} payment{'' if count == 1 else 's'}: {sums.succeeded} succeeded, {sums.rejected} rejected{waits}. "
        f"Asked {money(sums.asked)} = applied {money(sums.applied)} + unchanged {money(sums.unchanged)} "
        f"+ discarded {money(sums.discarded)} + failed {money(sums.failed)}.{lacks}"
    )


def _amount(amount: Decimal | None, as_written: str = "") -> str:
    return as_written if amount is None else money(amount)
