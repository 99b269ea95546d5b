"""How a file would be read, row by row, without ConnectWise and without a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from watcher.documents import sheets
from watcher.documents.formats import PaymentDocuments, records
from watcher.documents.table import Reader
from watcher.documents.table_rows import Table
from watcher.documents.table_terms import is_table
from watcher.errors import DocumentError
from watcher.payments.demands import demands_of, timely
from watcher.payments.model import ZERO, Payment, Record, Rules, money

_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}


@dataclass(slots=True)
class Tried:
    """How a file would be read.

    Attributes:
        kind: what the file is, in words.
        facts: what was found out about it, by name.
        refusal: why nothing of it would be read; None if it would be.
        records: its records in order.
        faults: why records would fail, by their positions.
        left_out: how many rows do not count, by the reason.
        contradictions: what contradicts a setting, in sentences.
        leaves_out: what the format leaves out on purpose, in sentences; nobody counts how much of it the file holds.
    """

    kind: str
    facts: dict[str, str] = field(default_factory=dict)
    refusal: str | None = None
    records: Sequence[Record] = ()
    faults: dict[int, str] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)
    leaves_out: tuple[str, ...] = ()

    @property
    def unreadable(self) -> int:
        """How many amounts cannot be read."""
        return sum(record.amount is None for record in self.records)

    @property
    def total(self) -> Decimal:
        """The sum of the amounts that can be read."""
        return sum((record.amount for record in self.records if record.amount is not None), ZERO)

    @property
    def failing(self) -> Decimal:
        """The sum of the amounts that can be read and would fail."""
        amounts = (record.amount for record in self.records if record.position in self.faults)
        return sum((amount for amount in amounts if amount is not None), ZERO)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {
            "kind": self.kind,
            "facts": self.facts,
            "refusal": self.refusal,
            "records": [
                {
                    "line": record.line,
                    "invoice_number": record.invoice_number,
                    "number_in_file": record.number_in_file or None,
                    "amount": None if record.amount is None else money(record.amount),
                    **({"amount_as_written": record.amount_as_written} if record.amount is None else {}),
                    "date": record.date_paid.isoformat() if isinstance(record, Payment) else None,
                    "external_id": record.external_id if isinstance(record, Payment) else "",
                    "currency": record.currency if isinstance(record, Payment) else "",
                    "message": self.faults.get(record.position),
                }
                for record in self.records
            ],
            "left_out": self.left_out,
            "leaves_out": self.leaves_out,
            "contradictions": self.contradictions,
            "count": len(self.records),
            "would_fail": len(self.faults),
            "amounts_unreadable": self.unreadable,
            "sum": money(self.total),
            "sum_failing": money(self.failing),
        }


def try_out(data: bytes, documents: PaymentDocuments, rules: Rules, transform: str) -> Tried:
    """Read a file as it would be read if it were dropped.

    Args:
        data: the file's bytes.
        documents: makes a payment document of it.
        rules: the operator's choices about money.
        transform: the name of a format, or what else stands in inbox.transform.

    Raises:
        Outage: the stylesheet's process cannot be started.
        Stopping: the program is asked to end while the stylesheet works.
    """
    tried = Tried("a payment document")
    try:
        document = documents.of(data)
        if is_table(document):
            tried.kind = "a table (CSV)"
            _read_table(document, tried)
        else:
            if document is not data:
                tried.kind = "a document that becomes a payment document by inbox.transform"
                if transform in sheets.names():
                    tried.leaves_out = sheets.description(transform).leaves_out
            tried.records = tuple(records(document, signed=rules.add_up))
    except DocumentError as error:
        tried.refusal = str(error)
        tried.records = ()
        return tried
    tried.records = timely(tried.records, datetime.now(UTC).date())
    _, rejected = demands_of("", tried.records, rules)
    tried.faults = {result.position: result.message or "" for result in rejected}
    return tried


def _read_table(document: bytes, tried: Tried) -> None:
    """Read a table, and keep what was found out about it even if it is refused later."""
    table = Table(document)
    layout, reader = table.layout, Reader(table)
    tried.facts["encoding"] = table.script.name
    tried.facts["delimiter"] = _NAMES[layout.delimiter]
    tried.facts["headings"] = f"in row {layout.start}" if layout.headings else "none; columns by position"
    if layout.is_result:
        tried.facts["result"] = "a result file that is dropped in again; its messages are ignored"
    for setting, columns in table.terms.columns.by_setting().items():
        named = (f"{layout.named(column)} (column {layout.columns[column] + 1})" for column in columns)
        tried.facts[f"csv.{setting}"] = ", ".join(named)
    try:
        tried.records = tuple(reader.records())
    finally:
        tried.left_out = dict(table.left_out)
        tried.contradictions = [
            f"{setting}: {count:,} {'value contradicts it' if count == 1 else 'values contradict it'}, "
            f'such as "{first}" in row {line}'
            for setting, (count, first, line) in reader.contradictions.items()
        ]
        tried.contradictions += [f"csv.only: no row has {value}" for value in table.never]
    if table.wrapped:
        tried.facts["row numbers"] = (
            "counted as a text editor counts lines; some cells hold line breaks, so a spreadsheet shows lower numbers"
        )
