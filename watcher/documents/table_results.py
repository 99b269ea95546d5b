"""Writes success and fail files of a table (CSV) in the shape of the input, so that they can be dropped in again. Pure.

The rows above the headings stay: the year of a date or the delimiter may stand there. The message is the last cell.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from watcher.documents.table_rows import Kind, Row, Table
from watcher.payments.outcomes import Outcome, Result
from watcher.plain import plain

# The longest message (characters). A cell of a spreadsheet holds 32,767.
_LONGEST = 10_000
# A spreadsheet takes a cell that begins so for a formula (tabs and line breaks are taken out of every message).
_FORMULA = ("=", "+", "-", "@")
_END = "\r\n"


def result_file(document: bytes, results: Iterable[Result | None], *, rejected: bool) -> Iterator[bytes]:
    """Write a table's success file or its fail file.

    Args:
        document: the table with its terms, which ``table.records`` has accepted.
        results: one for each record, in order; None for a record without an outcome, which goes to neither file.
        rejected: write the fail file.

    Yields:
        The file in the encoding of the table, row by row.
    """
    table = Table(document)
    heading = "ErrorMessage" if rejected else "WarningMessage"
    written = _Rows(table)
    yield table.script.mark
    remaining = iter(results)
    for row in table.rows():
        match row.kind:
            case Kind.TITLE:
                yield written.row(row.cells)
            case Kind.HEADING:
                yield written.row([*row.cells, heading])
            case Kind.RECORD:
                result = next(remaining)
                if result is not None and (result.outcome is Outcome.REJECTED) is rejected:
                    yield written.row(_with_message(row, result, heading, table))
            case Kind.LEFT_OUT:
                pass


def _with_message(row: Row, result: Result, heading: str, table: Table) -> list[str]:
    """Return a row's cells with the messages of its result as the last one."""
    said = "; ".join(text for text in (result.message, result.warning) if text)
    message = plain(" ".join(said.split()), _LONGEST)
    if not table.layout.headings or len(row.cells) != table.layout.width:
        # No heading says what this cell is, so it says so itself.
        return [*row.cells, f"{heading}: {message}"] if message else row.cells
    return [*row.cells, f"'{message}" if message.startswith(_FORMULA) else message]


class _Rows:
    """Writes rows as a table has them."""

    def __init__(self, table: Table) -> None:
        self._script = table.script
        self._text = ""
        # All line breaks within cells are quoted, whichever ends the lines.
        self._writer = csv.writer(self, delimiter=table.layout.delimiter, lineterminator=_END)

    def write(self, text: str) -> None:
        """Take what the csv module has made of a row."""
        self._text = text

    def row(self, cells: list[str]) -> bytes:
        r"""Return a row's bytes. A character of a message that the encoding lacks is written as ``\u2026``."""
        self._writer.writerow(cells)
        text = self._text.removesuffix(_END) + self._script.newline
        return text.encode(self._script.encoding, "backslashreplace")
