"""The section ``[csv]``: how tables are read. Everything is declared here, and nothing is guessed."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, field_validator
from pydantic_core.core_schema import ValidationInfo

from watcher.config.section import Section
from watcher.documents.table_terms import MOST_COLUMNS, Column, Columns, Form, Notation, Terms

_ENCODINGS = {
    codecs.lookup(name).name
    for name in (
        *("utf-8", "us-ascii", "cp437", "cp850", "cp852", "mac-roman", "cp932", "gb18030", "big5", "euc-kr"),
        *(f"iso-8859-{part}" for part in (*range(1, 12), *range(13, 17))),
        *(f"windows-{page}" for page in range(1250, 1259)),
    )
}


def _column(given: Any) -> Column:
    if isinstance(given, bool) or not isinstance(given, str | int):
        # pydantic takes a ValueError.
        raise ValueError("is neither a heading nor the position of a column")  # noqa: TRY004
    if isinstance(given, str):
        if not given.strip():
            raise ValueError("is empty")
        return given.strip()
    if not 1 <= given <= MOST_COLUMNS:
        raise ValueError(f"is no position of a column: positions are 1 to {MOST_COLUMNS}")
    return given


def _columns(given: Any) -> tuple[Column, ...]:
    return tuple(_column(each) for each in (given if isinstance(given, list | tuple) else [given]))


def _values(given: Any) -> dict[Column, tuple[str, ...]]:
    if not isinstance(given, Mapping):
        raise ValueError("is no table of headings and values")  # noqa: TRY004  (as above)
    found: dict[Column, tuple[str, ...]] = {}
    for heading, values in given.items():
        # A key of TOML is a text, also where it is a position.
        column = _column(int(heading) if str(heading).isdecimal() else heading)
        listed = values if isinstance(values, list | tuple) else [values]
        if not listed or not all(isinstance(value, str | int) and not isinstance(value, bool) for value in listed):
            raise ValueError(f"has no list of values for {heading}")
        found[column] = tuple(str(value) for value in listed)
    return found


def _date_format(text: str) -> str:
    if text != "iso":
        # Late, as in documents.formats.
        from watcher.documents.table_values import pattern_of

        pattern_of(text)
    return text


def _encoding(text: str) -> str:
    try:
        known = text == "auto" or codecs.lookup(text).name in _ENCODINGS
    except LookupError:
        known = False
    if not known:
        raise ValueError("is no encoding that is known here, such as windows-1252, iso-8859-1 or utf-8")
    return text


class CsvSection(Section):
    """How tables (CSV) are read, where transform = "csv". Everything is declared here, and nothing is guessed."""

    # A blank is a value: it may stand between thousands.
    model_config = ConfigDict(str_strip_whitespace=False)

    number: Annotated[str | int, PlainValidator(_column)] = Field(
        description="The invoice number: a heading, or a position such as 6 where there is no heading row.",
        examples=["InvoiceNumber"],
    )
    amount: Annotated[str | int, PlainValidator(_column)] = Field(
        description="The amount: a heading or a position.", examples=["InvoiceAmountPaid"]
    )
    date: Annotated[str | int, PlainValidator(_column)] = Field(
        description="The day of the payment: a heading or a position.", examples=["DatePaid"]
    )
    external_id: Annotated[tuple[str | int, ...], PlainValidator(_columns)] = Field(
        (),
        description="The accounting system's own id of a payment: a heading or a position, or several that make it "
        "together.",
        examples=["Reference"],
    )
    currency: Annotated[str | int | None, PlainValidator(_column)] = Field(
        None, description="The currency: a heading or a position.", examples=["Currency"]
    )
    only: Annotated[dict[str | int, tuple[str, ...]], PlainValidator(_values)] = Field(
        {},
        description='The rows that count, by values of a column; "*" is any value but none. The others are left out.',
        examples=[{"Type": ["Sales invoice"]}],
    )
    negative: Annotated[dict[str | int, tuple[str, ...]], PlainValidator(_values)] = Field(
        {},
        description="The rows whose amounts count as negative, by values of a column.",
        examples=[{"Type": ["Refund"]}],
    )
    decimal: Literal[".", ","] = Field(".", description="Stands before the decimals of an amount.")
    thousands: Literal["", ",", ".", " ", "'", "\u2019"] = Field(
        "", description="May stand between groups of three digits; empty if nothing may.", examples=[","]
    )
    currency_sign: str = Field(
        "", max_length=5, description="May stand before or after an amount; empty if nothing may.", examples=["$"]
    )
    sign: Literal["as-is", "reverse"] = Field("as-is", description="reverse: the sign of every amount is turned.")
    date_format: Annotated[str, AfterValidator(_date_format)] = Field(
        "iso",
        max_length=40,
        description="iso: 2016-09-22, alone or with a time. Or a form such as %d/%m/%Y, with %H, %M and %S for a time; "
        "a year of two digits (%y) is 2000 to 2099.",
        examples=["%d/%m/%Y"],
    )
    period_cells: tuple[int, int] | None = Field(
        None,
        description="The positions of the two cells of the first row that hold the first and the last day of the "
        "period (like 20160101); dates without a year get theirs from it.",
        examples=[[15, 16]],
        validate_default=True,
    )
    delimiter: Literal["auto", ",", ";", "tab", "\t", "|"] = Field(
        "auto", description="Stands between cells. auto: the one by which the headings are found."
    )
    encoding: Annotated[str, AfterValidator(_encoding)] = Field(
        "auto", description="Of a file without a byte-order mark that is no UTF-8. auto: windows-1252."
    )
    first_row: int = Field(1, ge=1, le=1000, description="The first row that counts where there is no heading row.")
    totals: bool = Field(False, description="The last row holds the sum of all rows: a file without it is not whole.")
    open_end: bool = Field(False, description="A last line without a line break is accepted as the end of the file.")
    invoice_lines: bool = Field(
        False,
        description="The file has a row for each line of an invoice: rows of one number, amount and date are one "
        "payment.",
    )
    leave_out_zero: bool = Field(
        False, description="Rows whose amount is zero are left out: invoices on which nothing is paid."
    )
    add_prefix: str = Field(
        "", max_length=15, description="Put before invoice numbers that do not begin with it.", examples=["CW-"]
    )
    remove_prefix: str = Field(
        "", max_length=15, description="Taken from invoice numbers that begin with it.", examples=["INV-"]
    )

    @field_validator("thousands")
    @classmethod
    def _differs_from_decimal(cls, thousands: str, known: ValidationInfo) -> str:
        if thousands and thousands == known.data.get("decimal"):
            raise ValueError("is the same as csv.decimal")
        return thousands

    @field_validator("amount", "date")
    @classmethod
    def _is_a_column_of_its_own(cls, column: Column, known: ValidationInfo) -> Column:
        if column in (known.data.get("number"), known.data.get("amount")):
            raise ValueError("is the column of another value, too")
        return column

    @field_validator("period_cells")
    @classmethod
    def _gives_a_year(cls, cells: tuple[int, int] | None, known: ValidationInfo) -> tuple[int, int] | None:
        date_format = known.data.get("date_format", "iso")
        needs = date_format != "iso" and "%y" not in date_format.lower()
        if needs and cells is None:
            raise ValueError("is missing: csv.date_format has no year")
        if cells is not None and (min(cells) < 1 or not needs):
            raise ValueError("has a use only where csv.date_format has no year; positions count from 1")
        return cells

    def terms(self, *, negative_amounts: bool) -> Terms:
        """Return how a table is read.

        Args:
            negative_amounts: amounts below zero are payments, too.
        """
        columns = Columns(
            self.number, self.amount, self.date, self.external_id, self.currency, self.only, self.negative
        )
        notation = Notation(
            self.decimal,
            self.thousands,
            self.currency_sign,
            self.sign == "reverse",
            self.date_format,
            self.period_cells,
            negative_amounts,
        )
        form = Form(
            {"auto": "", "tab": "\t"}.get(self.delimiter, self.delimiter),
            "windows-1252" if self.encoding == "auto" else self.encoding,
            self.first_row,
            self.totals,
            self.open_end,
            self.invoice_lines,
            self.leave_out_zero,
        )
        return Terms(columns, notation, form, self.add_prefix, self.remove_prefix)
