"""``try``: how a file would be read, for people and for programs."""

from __future__ import annotations

import json
import sys
from fnmatch import fnmatch
from pathlib import Path

from rich.table import Table
from rich.text import Text

from watcher.actions.try_out import Tried, try_out
from watcher.assembly.local import documents_of, rules_of
from watcher.cli import identity
from watcher.cli.apply import read_input
from watcher.cli.console import out
from watcher.cli.exits import SOME_FAILED, UNUSABLE
from watcher.config import load as config
from watcher.lifetime import Lifetime
from watcher.payments.model import Payment, money
from watcher.plain import plain

# The most records, faults and kinds of rows that people are shown (--json lists all).
_MOST_RECORDS = 10
_MOST_FAULTS = 20


def show(config_file: Path | None, source: str, *, as_json: bool) -> int:
    """Show how a file would be read.

    Args:
        config_file: the configuration file that was named; None if none was.
        source: the file, or - for standard input.
        as_json: print it as JSON.

    Returns:
        The exit code.

    Raises:
        PaymentWatcherError: the settings cannot be used, or there is no such file.
    """
    settings = config.load(identity.configuration(config_file), folders=False, account=False)
    data = read_input(source, settings.inbox.max_file_bytes)
    tried = try_out(data, documents_of(settings, Lifetime()), rules_of(settings), str(settings.inbox.transform))
    name = Path(source).name
    if source != "-" and not fnmatch(name.lower(), settings.inbox.pattern.lower()):
        tried.contradictions.append(
            f'inbox.pattern: the name does not match "{settings.inbox.pattern}", so the inbox would leave it alone'
        )
    if as_json:
        sys.stdout.write(json.dumps({"file": name} | tried.as_json(), indent=2) + "\n")
    else:
        _show(name, tried)
    if tried.refusal is not None:
        return UNUSABLE
    return SOME_FAILED if tried.faults else 0


def _show(name: str, tried: Tried) -> None:
    _say(f"{name} is read as {tried.kind}.")
    for fact, value in tried.facts.items():
        _say(f"  {fact}: {value}")
    if tried.refusal is not None:
        _say(f"Refused: {tried.refusal}", "bold red")
        _say("Nothing of it would be read.")
    elif tried.records:
        _show_records(tried)
    _show_left_out(tried)
    if tried.contradictions:
        _say("Contradicts a setting:", "yellow")
        for sentence in tried.contradictions:
            _say(f"  {sentence}")
    if tried.refusal is None:
        _show_faults(tried)
        _show_sums(tried)


def _show_records(tried: Tried) -> None:
    shown = tried.records[:_MOST_RECORDS]
    with_id = any(isinstance(record, Payment) and record.external_id for record in shown)
    with_currency = any(isinstance(record, Payment) and record.currency for record in shown)
    # A prefix has made another number of it.
    changed = any(record.number_in_file for record in shown)
    heads = [
        "Row",
        *["In the file"] * changed,
        "Invoice",
        "Amount",
        "Date",
        *["External id"] * with_id,
        *["Currency"] * with_currency,
        "",
    ]
    more = len(tried.records) - len(shown)
    title = f"The first {len(shown)} of {len(tried.records):,} payments" if more else "The payments"
    table = Table(*heads, title=title, title_justify="left")
    table.columns[2 + changed].justify = "right"
    for record in shown:
        payment = record if isinstance(record, Payment) else None
        amount = (record.amount_as_written or "missing") if record.amount is None else money(record.amount)
        cells = [
            *(str(record.line or ""), *[record.number_in_file or record.invoice_number] * changed),
            *(record.invoice_number, amount, str(payment.date_paid) if payment else ""),
            *[payment.external_id if payment else ""] * with_id,
            *[payment.currency if payment else ""] * with_currency,
            "fails" if record.position in tried.faults else "",
        ]
        table.add_row(*(Text(plain(cell)) for cell in cells))
    out.print(table)


def _show_left_out(tried: Tried) -> None:
    if tried.left_out:
        _say("Left out:")
        for reason, count in tried.left_out.items():
            _say(f"  {count:,} {'row' if count == 1 else 'rows'}: {reason}")
    if tried.leaves_out:
        _say("Left out on purpose, if the file holds any:")
        for sentence in tried.leaves_out:
            _say(f"  {sentence}")


def _show_faults(tried: Tried) -> None:
    if not tried.faults:
        return
    _say("Would fail:", "red")
    records = {record.position: record for record in tried.records}
    for position, message in sorted(tried.faults.items())[:_MOST_FAULTS]:
        record = records[position]
        where = f"{record.unit} {record.line}"
        said = message.replace(f" ({where})", "", 1)
        place = f"{where}: " if record.line else ""
        _say(f"  {said}" if said.startswith(where) else f"  {place}{said}")
    if len(tried.faults) > _MOST_FAULTS:
        _say(f"  ... and {len(tried.faults) - _MOST_FAULTS:,} more (--json lists all).")


def _show_sums(tried: Tried) -> None:
    count, failing, unreadable = len(tried.records), len(tried.faults), tried.unreadable
    _say(
        f"{count:,} {'payment' if count == 1 else 'payments'}: {count - failing:,} would go on, {failing:,} would fail."
    )
    if count and unreadable == count:
        _say("None of the amounts could be read.")
        return
    lack = f" (without {unreadable:,} that could not be read)" if unreadable else ""
    fail = f", of which {money(tried.failing)} would fail" if tried.failing else ""
    _say(f"The amounts add up to {money(tried.total)}{lack}{fail}.")


def _say(text: str, style: str = "") -> None:
    out.print(Text(plain(text), style=style))
