"""Reads the records of a table (CSV), and says if one is whole; every fault names its row and its column. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from watcher.documents.encoding import CutOff
from watcher.documents.letters import quoted, shown
from watcher.documents.table_layout import Layout, has_one
from watcher.documents.table_rows import Kind, Row, Table
from watcher.documents.table_terms import Column, Terms, packed
from watcher.documents.table_values import Amounts, Dates
from watcher.documents.values import bounded_id, is_invoice_number
from watcher.documents.wrong_values import BELOW_ZERO, spreadsheet_habit, why_no_number
from watcher.errors import DocumentError
from watcher.payments.model import ZERO, Misfit, Payment, Record, money

# As in documents.reading.
_MOST_RECORDS = 500_000
# What messages call a line of a table.
UNIT = "row"


class Reader:
    """Reads records from the rows of a table.

    Attributes:
        contradictions: how many values contradict a setting, and the first of them with its row, by the setting.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._layout = table.layout
        self._columns = table.terms.columns
        self._notation = table.terms.notation
        self._amounts = Amounts(self._notation)
        self._dates = Dates(self._notation.date_format)
        self.contradictions: dict[str, tuple[int, str, int]] = {}
        self._negative = table.layout.wanted(self._columns.negative)

    def records(self) -> Iterator[Record]:
        """Read the table record by record, as the function ``records`` does."""
        position = 0
        needs_period = self._notation.period_cells is not None
        for row in self._table.rows():
            if needs_period:
                self._take_period(row.cells)
                needs_period = False
            if row.kind is not Kind.RECORD:
                continue
            if position == _MOST_RECORDS:
                problem = f"The file holds more than {_MOST_RECORDS:,} payments. Split it."
                raise DocumentError(problem, row.line, unit=UNIT)
            yield self._record(position, row)
            position += 1

    def _take_period(self, cells: list[str]) -> None:
        """Take the period of the file from the cells of its first row (``csv.period_cells``).

        Raises:
            DocumentError: it does not stand there, or is longer than a year.
        """
        places = self._notation.period_cells or (0, 0)
        found = [cells[place - 1].strip() if place <= len(cells) else "" for place in places]
        days = [_day_of_digits(text) for text in found]
        first, last = days
        if first is None or last is None or not first <= last:
            raise DocumentError(
                f'Its cells {places[0]} and {places[1]} (csv.period_cells) hold "{shown(found[0])}" and '
                f'"{shown(found[1])}"; the first and the last day of the period must stand there, like 20160101 and '
                "20161231.",
                1,
                unit=UNIT,
            )
        if last.year - first.year > ((last.month, last.day) < (first.month, first.day)):
            raise DocumentError(
                f"The period from {first} to {last} is longer than a year, so a date without a year can mean two days. "
                "Export a shorter period.",
                1,
                unit=UNIT,
            )
        self._dates.period = (first, last)

    def _record(self, position: int, row: Row) -> Record:
        """Read the record of a row."""
        layout, columns = self._layout, self._columns
        if len(row.cells) != layout.width:
            number = self._value(row, columns.number)
            cells = len(row.cells)
            hint = (
                "a delimiter within a cell needs quotation marks around the cell"
                if cells > layout.width
                else "write an empty cell where there is no value"
            )
            fault = (
                f"row {row.line}: it has {cells} {'cell' if cells == 1 else 'cells'} where {_expected(layout)}; {hint}"
            )
            return Misfit(position, row.line, shown(number), None, fault, unit=UNIT)
        faults: list[str] = []
        number = self._number(row, faults)
        amount = self._amount(row, faults)
        day = self._day(row, faults)
        written = self._value(row, self._columns.number)
        in_file = shown(written) if written != number else ""
        if faults or amount is None or day is None:
            as_written = shown(self._value(row, columns.amount)) if amount is None else ""
            hint = self._sum_hint(written + self._value(row, columns.date), amount)
            fault = f"row {row.line}, {'; '.join(faults)}{hint}"
            return Misfit(position, row.line, shown(number), amount, fault, as_written, in_file, UNIT)
        return Payment(
            position,
            row.line,
            number,
            amount,
            day,
            external_id=self._external_id(row, amount, day),
            currency="" if columns.currency is None else self._value(row, columns.currency),
            number_in_file=in_file,
            unit=UNIT,
        )

    def _value(self, row: Row, column: Column) -> str:
        place = self._layout.columns[column]
        return row.cells[place].strip() if place < len(row.cells) else ""

    def _fault(self, column: Column, problem: str) -> str:
        return f"column {self._layout.named(column)}: {problem}"

    def _number(self, row: Row, faults: list[str]) -> str:
        column, terms = self._columns.number, self._table.terms
        number = self._value(row, column)
        if not number:
            faults.append(self._fault(column, "the invoice number is missing"))
            return ""
        written = number
        if _begins(number, terms.remove_prefix):
            number = number[len(terms.remove_prefix) :]
        if not _begins(number, terms.add_prefix):
            number = terms.add_prefix + number
        if spreadsheet_habit(written) is not None:
            faults.append(self._fault(column, why_no_number(written)))
        elif not is_invoice_number(number):
            faults.append(self._fault(column, why_no_number(number)))
        return number

    def _amount(self, row: Row, faults: list[str]) -> Decimal | None:
        column = self._columns.amount
        text = self._value(row, column)
        amount = self._amounts.amount(text) if text else None
        if amount is None:
            faults.append(self._fault(column, self._amounts.why_not(text) if text else "the amount is missing"))
            self._contradicts("csv.decimal, csv.thousands, csv.currency_sign", text, row)
            return None
        if (rest := self._cut_off(row, text)) is not None:
            faults.append(
                self._fault(
                    column,
                    f'"{shown(text)}" and "{shown(rest)}" in the next cell may be one amount that the delimiter has '
                    "cut in two. Put quotation marks around amounts, or export with another delimiter",
                )
            )
            return None
        is_below_zero = amount < ZERO
        if self._notation.reverse:
            amount = ZERO - amount
        if has_one(row.cells, self._negative):
            if is_below_zero:
                faults.append(
                    self._fault(
                        column,
                        f"{quoted(text)} is below zero, and csv.negative makes it negative, too. Take csv.negative out "
                        "of the configuration if amounts have signs of their own",
                    )
                )
                return None
            amount = ZERO - amount
        if amount < 0 and not self._notation.negative_amounts:
            faults.append(
                self._fault(
                    column,
                    f"{quoted(text)} counts as {money(amount)}. {BELOW_ZERO}",
                )
            )
            return None
        return amount

    def _cut_off(self, row: Row, text: str) -> str | None:
        """Return what may be the rest of an amount that holds the delimiter and has no quotation marks."""
        place, layout, notation = self._layout.columns[self._columns.amount] + 1, self._layout, self._notation
        if layout.delimiter != "," or place >= len(row.cells) or not text.lstrip("-").isdigit():
            return None
        rest = row.cells[place].strip()
        # Another column may have three digits, too. One without a heading has none.
        is_bare = not layout.headings[place].strip() if layout.headings else notation.thousands == ","
        decimals = notation.decimal == "," and _DECIMALS.fullmatch(rest)
        return rest if decimals or (is_bare and _BARE.fullmatch(rest)) else None

    def _day(self, row: Row, faults: list[str]) -> date | None:
        column = self._columns.date
        text = self._value(row, column)
        day = self._dates.day(text) if text else None
        if day is None:
            faults.append(self._fault(column, self._dates.why_not(text) if text else "the date is missing"))
            self._contradicts("csv.date_format", text, row)
        return day

    def _contradicts(self, setting: str, text: str, row: Row) -> None:
        if text:
            count, first, line = self.contradictions.get(setting, (0, shown(text), row.line))
            self.contradictions[setting] = (count + 1, first, line)

    def _sum_hint(self, named: str, amount: Decimal | None) -> str:
        """Return what to set if a row that failed seems to hold the sum of the file; else empty.

        Such a row names no invoice and no day. Which word stands there instead differs with the language.
        """
        if amount is None or self._table.terms.form.totals or any(letter.isdigit() for letter in named):
            return ""
        return ". If this is no payment but the sum of all rows above it, set csv.totals = true"

    def _external_id(self, row: Row, amount: Decimal, day: date) -> str:
        columns = self._columns
        # A spreadsheet writes them anew in its own way, and a day may have no year.
        known = {columns.amount: money(amount), columns.date: day.isoformat()}
        parts = [known.get(column) or self._value(row, column) for column in columns.external_id]
        if len(parts) > 1:
            parts = [_BETWEEN.sub(r"/\1", part) for part in parts]
        # An id that lacks a part could be the same for two payments.
        return bounded_id(" / ".join(parts)) if all(parts) else ""


# What a comma cuts off an amount that has no quotation marks: its decimals, or groups of thousands.
_DECIMALS = re.compile("[0-9]{2}")
_BARE = re.compile("[0-9]+(?:[.,][0-9]+)?")
# What stands between the parts of an externalId; a part may hold it, too.
_BETWEEN = re.compile("(?<= )(/+)(?= )")


def _begins(number: str, prefix: str) -> bool:
    return number[: len(prefix)].casefold() == prefix.casefold()


def _expected(layout: Layout) -> str:
    return f"the headings have {layout.width}" if layout.headings else f"the other rows have {layout.width}"


def _day_of_digits(text: str) -> date | None:
    if len(text) != 8 or not text.isascii() or not text.isdigit():
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def records(document: bytes) -> Iterator[Record]:
    """Read a table record by record.

    Args:
        document: the table with its terms.

    Yields:
        Its records in order. None of them may be used before the last one is read.

    Raises:
        DocumentError: the table is cut off, or cannot be read.
    """
    yield from Reader(Table(document)).records()


def unfinished(data: bytes, terms: Terms) -> str | None:
    """Return what a table still misses, in words; None if it is whole, or broken in another way.

    Args:
        data: the bytes that have been written so far.
        terms: how it is to be read.
    """
    if not data:
        return "it is empty"
    try:
        Table(packed(terms, data)).finish()
    except CutOff as error:
        problem = error.problem.removesuffix(".").removeprefix("The file is cut off: ")
        return f"{problem[:1].lower()}{problem[1:]}"
    except DocumentError:
        return None
    return None
