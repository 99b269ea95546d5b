"""What people see on a terminal, drawn with Rich: faults, findings, the sums, how things are."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from watcher.errors import ConfigurationError, Fault, Outage, PaymentWatcherError
from watcher.payments.model import money
from watcher.payments.outcomes import Result, in_none_of_the_sums, total
from watcher.plain import plain, plain_lines

if TYPE_CHECKING:
    # What is shown, and nothing of what finds it out.
    from watcher.actions.check import Finding
    from watcher.actions.history import InSum
    from watcher.actions.status import Status
    from watcher.journal.history import Attempt, FinishedFile

out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
err = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())

# The most payments that are shown of those that are still unpaid.
_MOST_UNPAID = 50


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


def show_status(status: Status) -> None:
    """Print how things are."""
    line = status.line
    running = f"is running ({plain(status.running)})" if status.running else "is not running"
    out.print(Text(f"The daemon {running}."))
    if line is not None:
        style = "bold red" if line.state == "waiting" else "bold"
        since = f" since {line.since:%Y-%m-%d %H:%M:%S} UTC: {plain(line.reason)}"
        out.print(Text.assemble((line.state.capitalize(), style), since))
        if line.mend:
            out.print(Text(f"    {plain(line.mend)}."))
        if line.watch:
            out.print(Text(f"Inbox: {plain(line.watch)}"))
    answered = f"; last good answer {_at(line.answered_at)} UTC" if line and line.answered_at else ""
    out.print(Text(f"ConnectWise: {plain(status.connectwise)}{answered}"))
    out.print(Text(f"Assumptions: {plain(status.proved)}"))
    for trouble in status.troubles:
        out.print(Text(plain(trouble), style="bold red"))
    _show_rows(
        "In the inbox",
        ("File", "Bytes", "Last change (UTC)", "Age"),
        [(file.name, str(file.bytes), _at(file.changed_at), _age(file.changed_at)) for file in status.waiting],
    )
    _show_rows(
        "In work",
        ("File", "Taken (UTC)", "Decided"),
        [(f.name, f"{f.claimed_at:%Y-%m-%d %H:%M:%S}", f"{f.decided} of {f.records}") for f in status.claimed],
    )
    if status.held:
        _show_rows(
            "Held up by themselves",
            ("File", "In", "Since (UTC)", "", "Why"),
            [
                (
                    *(wait.file, "work" if wait.claim else "inbox", _at(wait.since)),
                    *("too long" if wait.overdue else "", wait.sentence),
                )
                for wait in status.held
            ],
        )
    _show_rows(
        "Finished last",
        ("File", "At (UTC)", "Succeeded", "Rejected", "Asked", "Failed", ""),
        [
            (
                *(file.name, f"{file.finished_at:%Y-%m-%d %H:%M:%S}", str(file.succeeded), str(file.rejected)),
                *(money(file.asked), money(file.failed), _remark(file)),
            )
            for file in status.finished
        ],
    )

    if status.unpaid:
        _show_rows(
            "Failed and still unpaid",
            ("Invoice", "Amount", "File", "At (UTC)", "Why"),
            [
                (
                    *(payment.invoice_number, _amount(payment.asked, payment.asked_as_written), payment.file),
                    *(_at(payment.decided_at), payment.message or ""),
                )
                for payment in status.unpaid[-_MOST_UNPAID:]
            ],
        )
        if len(status.unpaid) > _MOST_UNPAID:
            out.print(Text(f"... and {len(status.unpaid) - _MOST_UNPAID} earlier ones (--json lists all)."))


def show_sum(sums: Sequence[InSum]) -> None:
    """Print how the sum of an invoice came together: a row for each payment that was accepted."""
    if not sums:
        return
    _show_rows(
        "Sum of the accepted payments",
        ("Accepted (UTC)", "File", "externalId", "Invoice", "Day", "Amount", "Sum"),
        [
            (
                *(_at(one.accepted.accepted_at), one.accepted.file, one.accepted.external_id),
                *(one.accepted.invoice_number, str(one.accepted.date_paid)),
                *(money(one.accepted.amount), money(one.total)),
            )
            for one in sums
        ],
    )


def show_attempts(attempts: Sequence[Attempt]) -> None:
    """Print what happened to an invoice or a file: a row for each attempt."""
    _show_rows(
        "History",
        ("At (UTC)", "File", "Line", "Invoice", "Asked", "Outcome", "ConnectWise holds", "Payment id", ""),
        [
            (
                *(_at(attempt.decided_at or attempt.begun_at), attempt.file, str(attempt.line or "")),
                *(attempt.invoice_number, _amount(attempt.asked, attempt.asked_as_written)),
                *(attempt.outcome, _amount(attempt.held), str(attempt.payment_id or ""), attempt.message or ""),
            )
            for attempt in attempts
        ],
    )
    for claim, name in dict.fromkeys((attempt.claim, attempt.file) for attempt in attempts):
        out.print(Text(f"{plain(name)} was claim {claim}"))


def _at(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}" if time else ""


def _age(time: datetime) -> str:
    seconds = max(0, int((datetime.now(UTC) - time).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _amount(amount: Decimal | None, as_written: str = "") -> str:
    return as_written if amount is None else money(amount)


def _remark(file: FinishedFile) -> str:
    """Return what a row of a finished file says beside its sums."""
    if file.refusal:
        return f"refused: {file.refusal}"
    return in_none_of_the_sums(file.unreadable) if file.unreadable else ""


def _show_rows(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        out.print(Text(f"{title}: nothing."))
        return
    table = Table(*heads, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    out.print(table)
