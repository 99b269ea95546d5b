"""Tells the rows of a table (CSV) apart: titles, headings, records, those that do not count; and if it is whole. Pure.

A table is read from the document that ``table_terms.packed`` makes: the file's bytes with the terms under which they
are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from watcher.documents.encoding import CutOff
from watcher.documents.letters import shown
from watcher.documents.table_layout import Layout, folded, has_one, layout_of
from watcher.documents.table_terms import Column, Terms, unpacked
from watcher.documents.table_text import CTRL_Z, Rows, script_of
from watcher.documents.table_values import Amounts
from watcher.errors import DocumentError
from watcher.payments.model import ZERO, listed, money

# The most values that a message or a preview names.
_MOST_VALUES = 10
_OPEN_END = (
    "its last line has no line break at its end, so nobody can know if more is to come. If the program that writes "
    "it never ends the last line, set csv.open_end = true"
)


class Kind(Enum):
    """What a row is."""

    TITLE = auto()
    HEADING = auto()
    LEFT_OUT = auto()
    RECORD = auto()


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        kind: what it is.
        line: the line where it begins, from 1.
        cells: its cells as they came, without what results have added.
        left_out: why it does not count; empty if it does.
    """

    kind: Kind
    line: int
    cells: list[str]
    left_out: str = ""


class Table:
    """A table with the terms under which it is read.

    Attributes:
        terms: how it is read.
        script: how its text is written.
        layout: where everything stands in it.
        left_out: how many rows do not count, by the reason; known once all rows are read.
        wrapped: how many lines belong to a row that began on an earlier line; known once all rows are read.
        never: the values of ``csv.only`` that no row has; known once all rows are read.
    """

    def __init__(self, document: bytes) -> None:
        """Find out how the table is written, and where everything stands in it.

        Args:
            document: the table with its terms.

        Raises:
            DocumentError: it cannot be read as a table with these terms.
        """
        self.terms, self._content = unpacked(document)
        self.script = script_of(self._content, self.terms.form.encoding)
        self.layout = layout_of(self._content, self.script, self.terms)
        self.left_out: Counter[str] = Counter()
        self.wrapped = 0
        self.never: tuple[str, ...] = ()

    def rows(self) -> Iterator[Row]:
        """Yield all rows in order. None of them may be used before the last one is read.

        Raises:
            CutOff: the table is cut off.
            DocumentError: it cannot be read.
        """
        rows = Rows(self._content, self.script, self.layout.delimiter)
        sums = _Sums(self.terms, self.layout) if self.terms.form.totals and not self.layout.is_result else None
        chosen = _Chosen(self.terms, self.layout)
        counted = 0
        held: Row | None = None
        for line, cells in rows:
            row = self._row(line, cells, chosen)
            if sums is None or row.kind in (Kind.TITLE, Kind.HEADING) or _is_blank(cells):
                counted += self._count(row)
                yield row
                continue
            # The last row is none of the payments: each row waits until another one follows.
            if held is not None:
                sums.add(held, self._cell(held.cells, self.terms.columns.amount))
                counted += self._count(held)
                yield held
            held = row
        self.wrapped, self.never = rows.wrapped, chosen.never
        if sums is not None:
            if held is None:
                raise CutOff("The file is cut off: the row with the sum (csv.totals) is missing.")
            if self._is_payment(held):
                raise CutOff(
                    "The file is cut off: its last row must hold the sum of all rows above it (csv.totals), but it is "
                    "a payment with a number and a date.",
                    held.line,
                    unit="row",
                )
            sums.check(held.line, self._cell(held.cells, self.terms.columns.amount), rows.is_ended)
            last = Row(Kind.LEFT_OUT, held.line, held.cells, "the sum of the file (csv.totals)")
            self._count(last)
            yield last
        else:
            self._check_end(rows)
        if not counted:
            chosen.refuse_if_all_are_left_out()

    def finish(self) -> None:
        """Make sure that the table is whole.

        Raises:
            CutOff: it is not.
            DocumentError: it cannot be read.
        """
        if self.terms.form.totals:
            for _ in self.rows():
                pass
            return
        rows = Rows(self._content, self.script, self.layout.delimiter)
        for _ in rows:
            pass
        self._check_end(rows)

    def _check_end(self, rows: Rows) -> None:
        if not rows.is_ended and not self.terms.form.open_end:
            raise CutOff(f"The file is cut off: {_OPEN_END}.")

    def _count(self, row: Row) -> int:
        if row.left_out:
            self.left_out[row.left_out] += 1
        return row.kind is Kind.RECORD

    def _row(self, line: int, cells: list[str], chosen: _Chosen) -> Row:
        layout = self.layout
        if line < layout.start:
            return Row(Kind.TITLE, line, cells, "" if not cells else "above the headings")
        if layout.headings and line == layout.start:
            return Row(Kind.HEADING, line, list(layout.headings))
        theirs = layout.theirs(cells)
        if _is_blank(theirs):
            return Row(Kind.LEFT_OUT, line, theirs, "empty rows")
        # A row with too many or too few cells is no row of a kind that does not count: nobody can know.
        reason = chosen.left_out(theirs) if len(theirs) == layout.width else ""
        return Row(Kind.LEFT_OUT if reason else Kind.RECORD, line, theirs, reason)

    def _is_payment(self, row: Row) -> bool:
        """Return True if a row has an invoice number and a date: an equal payment must not be taken for the sum."""
        number, day = (self._cell(row.cells, column) for column in (self.terms.columns.number, self.terms.columns.date))
        return bool(day) and any(letter.isdigit() for letter in number)

    def _cell(self, cells: list[str], column: Column) -> str:
        place = self.layout.columns[column]
        return cells[place].strip() if place < len(cells) else ""


class _Chosen:
    """Knows which rows count (``csv.only``, ``csv.leave_out_zero``, ``csv.invoice_lines``)."""

    def __init__(self, terms: Terms, layout: Layout) -> None:
        self._only = [
            (layout.named(column), layout.columns[column], {folded(value) for value in values}, values)
            for column, values in terms.columns.only.items()
        ]
        columns = terms.columns
        named = (columns.number, columns.amount, columns.date, *columns.external_id, columns.currency)
        self._payment = [layout.columns[each] for each in named if each is not None]
        self._amounts = Amounts(terms.notation) if terms.form.leave_out_zero else None
        self._amount = layout.columns[columns.amount]
        self._seen: set[tuple[str, ...]] | None = set() if terms.form.invoice_lines else None
        self._others: dict[str, None] = {}
        self._found: set[tuple[int, str]] = set()

    @property
    def never(self) -> tuple[str, ...]:
        """The values that are asked for and that no row has had."""
        return tuple(
            f'{name} "{shown(value)}"'
            for name, place, _, values in self._only
            for value in values
            if value != "*" and (place, folded(value)) not in self._found
        )

    def left_out(self, cells: list[str]) -> str:
        """Return why a row does not count; an empty text if it does."""
        for name, place, wanted, _ in self._only:
            value = cells[place].strip()
            known = folded(value)
            if known in wanted:
                self._found.add((place, known))
            elif not value or "*" not in wanted:
                return self._unwanted(name, value)
        if self._amounts is not None and self._amounts.amount(cells[self._amount].strip()) == ZERO:
            return "the amount is zero (csv.leave_out_zero)"
        if self._seen is not None:
            payment = tuple(cells[place].strip() for place in self._payment)
            if payment in self._seen:
                return "further lines of an invoice (csv.invoice_lines)"
            self._seen.add(payment)
        return ""

    def _unwanted(self, name: str, value: str) -> str:
        reason = f'{name} is "{shown(value)}"' if value else f"{name} is empty"
        if reason in self._others or len(self._others) < _MOST_VALUES:
            self._others[reason] = None
            return reason
        return f"{name} has further values"

    def refuse_if_all_are_left_out(self) -> None:
        """Refuse a table none of whose rows counts: most likely the setting is wrong."""
        if not self._others:
            return
        wanted = [f'{name} "{shown(value)}"' for name, _, _, values in self._only for value in values]
        raise DocumentError(
            f"No row counts: csv.only asks for {listed(wanted)}, but {listed(list(self._others))}. "
            "Correct csv.only if some of these are payments; if none is, nothing is lost with this file."
        )


class _Sums:
    """Adds up a table whose last row holds the sum (``csv.totals``).

    With ``csv.negative``, a spreadsheet adds up the amounts as they stand, and a bookkeeping program those that count.
    """

    def __init__(self, terms: Terms, layout: Layout) -> None:
        self._amounts = Amounts(terms.notation)
        self._negative = layout.wanted(terms.columns.negative)
        self._sum = self._counting = ZERO
        self._unreadable: list[int] = []

    def add(self, row: Row, text: str) -> None:
        """Take in the amount of a row."""
        amount = self._amounts.amount(text) if text else ZERO
        if amount is None:
            self._unreadable.append(row.line)
            return
        self._sum += amount
        self._counting += -amount if has_one(row.cells, self._negative) else amount

    def check(self, line: int, text: str, is_ended: bool) -> None:
        """Make sure that the last row holds the sum of the others.

        Raises:
            CutOff: it does not.
        """
        said = self._amounts.amount(text)
        if said is not None and said in (self._sum, self._counting) and not self._unreadable:
            return
        holds = f"{money(said)}" if said is not None else f'"{shown(text)}", which is no amount'
        lacks = (
            f" without the amounts that cannot be read (rows {listed(self._unreadable)})" if self._unreadable else ""
        )
        counting = f", or {money(self._counting)} by csv.negative" if self._counting != self._sum else ""
        end = "" if is_ended else " Its last line has no line break either."
        raise CutOff(
            "The file is cut off or altered: the last row must hold the sum of all rows above it (csv.totals). "
            f"It holds {holds}; they add up to {money(self._sum)}{counting}{lacks}.{end} Export it again.",
            line,
            unit="row",
        )


def _is_blank(cells: list[str]) -> bool:
    # An editor may have put a line break after the end mark of an old program.
    return not "".join(cells).strip().strip(CTRL_Z)
