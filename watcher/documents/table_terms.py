"""How a table (CSV) is to be read: columns, notation, form. Declared by a person, never guessed. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

# The most columns of a table.
MOST_COLUMNS = 200
# A heading; or a position, from 1, where the table has no heading row.
Column = str | int
# Values by the heading or position of their column.
Values = Mapping[Column, tuple[str, ...]]

# No other document begins so: XML holds no NUL.
_BEGINNING = b"\0payment-watcher table 1\n"


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the values of a payment stand.

    Attributes:
        number: the invoice number.
        amount: the amount.
        date: the day of the payment.
        external_id: the accounting system's own id of the payment: its parts; none if there is no such id.
        currency: the currency; None if there is no such column.
        only: the rows that count, by values of other columns; all rows if it is empty.
        negative: the rows whose amounts count as negative, in the same way; none if it is empty.
    """

    number: Column
    amount: Column
    date: Column
    external_id: tuple[Column, ...] = ()
    currency: Column | None = None
    only: Values = field(default_factory=dict)
    negative: Values = field(default_factory=dict)

    def by_setting(self) -> dict[str, tuple[Column, ...]]:
        """Return the columns that each setting names; settings that name none are left out."""
        found: dict[str, tuple[Column, ...]] = {
            "number": (self.number,),
            "amount": (self.amount,),
            "date": (self.date,),
            "external_id": self.external_id,
            "currency": () if self.currency is None else (self.currency,),
            "only": tuple(self.only),
            "negative": tuple(self.negative),
        }
        return {setting: columns for setting, columns in found.items() if columns}

    def named(self) -> dict[Column, str]:
        """Return the first setting that names each column, by the column."""
        found: dict[Column, str] = {}
        for setting, columns in self.by_setting().items():
            for column in columns:
                found.setdefault(column, setting)
        return found


@dataclass(frozen=True, slots=True)
class Notation:
    """How values are written.

    Attributes:
        decimal: stands before the decimals of an amount.
        thousands: may stand between groups of three digits; empty if nothing may.
        currency_sign: may stand before or after an amount; empty if nothing may.
        reverse: turn the sign of every amount.
        date_format: ``iso``, or a form such as ``%d/%m/%Y``.
        period_cells: the positions of the cells of the first row that hold the first and the last day of the file's
            period, from 1; they give the year of a date that has none.
        negative_amounts: amounts below zero are payments, too.
    """

    decimal: str = "."
    thousands: str = ""
    currency_sign: str = ""
    reverse: bool = False
    date_format: str = "iso"
    period_cells: tuple[int, int] | None = None
    negative_amounts: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """What the file is like.

    Attributes:
        delimiter: stands between cells; empty to find it by the headings.
        encoding: of a file that has no byte-order mark and is no UTF-8.
        first_row: the first row that counts where there is no heading row, from 1.
        totals: the last row holds the sum of all amounts.
        open_end: the last line may lack its line break.
        invoice_lines: the file has a row for each line of an invoice. Rows of one payment count once.
        leave_out_zero: rows whose amount is zero do not count: nothing is paid on their invoices.
    """

    delimiter: str = ""
    encoding: str = "windows-1252"
    first_row: int = 1
    totals: bool = False
    open_end: bool = False
    invoice_lines: bool = False
    leave_out_zero: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """How a table is to be read.

    Attributes:
        columns: where values stand.
        notation: how they are written.
        form: what the file is like.
        add_prefix: put before an invoice number that does not begin with it.
        remove_prefix: taken from an invoice number that begins with it.
    """

    columns: Columns
    notation: Notation = Notation()
    form: Form = Form()
    add_prefix: str = ""
    remove_prefix: str = ""


def packed(terms: Terms, content: bytes) -> bytes:
    """Return a table as one document that carries the terms under which it is read.

    The journal keeps this document. So a change of the settings changes nothing about a file in work.
    """
    as_json = asdict(terms)
    for name in ("only", "negative"):
        as_json["columns"][name] = list(as_json["columns"][name].items())
    return b"".join((_BEGINNING, json.dumps(as_json).encode(), b"\n", content))


def is_table(document: bytes) -> bool:
    """Return True if a document is a table with its terms."""
    return document.startswith(_BEGINNING)


def unpacked(document: bytes) -> tuple[Terms, bytes]:
    """Return the terms and the content of a table."""
    end = document.index(b"\n", len(_BEGINNING))
    kept = json.loads(document[len(_BEGINNING) : end])
    columns, notation = kept["columns"], kept["notation"]
    for name in ("only", "negative"):
        columns[name] = {column: tuple(values) for column, values in columns[name]}
    columns["external_id"] = tuple(columns["external_id"])
    if notation["period_cells"]:
        notation["period_cells"] = tuple(notation["period_cells"])
    terms = Terms(
        Columns(**columns), Notation(**notation), Form(**kept["form"]), kept["add_prefix"], kept["remove_prefix"]
    )
    return terms, document[end + 1 :]
