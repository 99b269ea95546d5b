"""What people see on a terminal, drawn with Rich: faults, findings, the sums."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from watcher.errors import ConfigurationError, Fault, Outage, PaymentWatcherError
from watcher.payments.model import money
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
