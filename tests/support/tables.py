"""Builds tables (CSV) for tests, and reads result files back."""

from __future__ import annotations

import csv
from pathlib import Path

from watcher.documents.table_terms import Columns, Form, Notation, Terms, packed

DATA = Path(__file__).parents[1] / "data" / "csv"
HEADINGS = "Invoice,Paid,Date"
# The section [csv] for such tables.
SECTION = {"number": "Invoice", "amount": "Paid", "date": "Date"}


def terms(*, columns: dict | None = None, notation: dict | None = None, form: dict | None = None, **others) -> Terms:
    """Return terms for a table with the columns Invoice, Paid and Date, with some of them changed."""
    return Terms(
        Columns(**({"number": "Invoice", "amount": "Paid", "date": "Date"} | (columns or {}))),
        Notation(**(notation or {})),
        Form(**(form or {})),
        **others,
    )


def table(*rows: str, headings: str = HEADINGS, end: str = "\n", encoding: str = "utf-8") -> bytes:
    """Return a table of rows as they are written."""
    return "".join(f"{row}{end}" for row in (headings, *rows)).encode(encoding)


def rows_of(content: bytes | Path, delimiter: str = ",", encoding: str = "utf-8") -> list[list[str]]:
    """Return the rows of a result file, as the csv module reads them."""
    text = (content if isinstance(content, bytes) else content.read_bytes()).decode(encoding)
    return list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True))


def document(content: bytes, **changes) -> bytes:
    """Return a table with its terms, as the journal keeps it."""
    return packed(terms(**changes), content)
