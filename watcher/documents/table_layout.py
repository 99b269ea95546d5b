"""Finds the delimiter, the heading row and the columns of a table by the headings that were declared. Pure."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from watcher.documents.encoding import CutOff
from watcher.documents.letters import shown
from watcher.documents.table_terms import Column, Terms, Values
from watcher.documents.table_text import Rows, Script, beginning_of
from watcher.errors import DocumentError

DELIMITERS = (",", ";", "\t", "|")
# What results add to a table. People drop a corrected fail file in again without removing it.
MESSAGES = ("ErrorMessage", "WarningMessage")
# The heading row stands among so many first rows.
_MOST_TITLES = 30
# The most headings that a message names.
_MOST_NAMED = 40


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stands in a table.

    Attributes:
        delimiter: stands between cells.
        start: the row of the headings; without headings, the first row that counts.
        headings: the headings, without ours; none if there is no heading row.
        messages: the indexes of the cells that results have added.
        columns: the index of each column that is read, by its heading or position, among the cells without ours.
        width: how many cells a row has, without ours.
    """

    delimiter: str
    start: int
    headings: tuple[str, ...]
    messages: frozenset[int]
    columns: dict[Column, int]
    width: int

    @property
    def is_result(self) -> bool:
        """True if the table is a result file that was dropped in again."""
        return bool(self.messages)

    def named(self, column: Column) -> str:
        """Return a column as messages name it."""
        if self.headings and self.columns[column] < len(self.headings):
            return shown(self.headings[self.columns[column]].strip())
        return str(column)

    def wanted(self, values: Values) -> list[tuple[int, frozenset[str]]]:
        """Return where values are asked for: the index of each column, and the values as they are compared."""
        return [(self.columns[column], frozenset(map(folded, each))) for column, each in values.items()]

    def theirs(self, cells: list[str]) -> list[str]:
        """Return the cells of a row as they came, without what results have added."""
        may_be_marked = self.messages or not self.headings or len(cells) != self.width
        if may_be_marked and "Message: " in "\0".join(cells):
            # A row without headings, or with too many or too few cells: its message says itself what it is.
            cells = cells[: marked_at(cells)]
            return cells if self.headings else cells[: self._end(cells)]
        kept = [cell for place, cell in enumerate(cells) if place not in self.messages] if self.messages else cells
        return kept[: self._end(kept)]

    def _end(self, cells: list[str]) -> int:
        """Return how many cells a row has, without empty ones beyond the last column."""
        end = len(cells)
        while end > self.width and not cells[end - 1].strip():
            end -= 1
        return end


_MARKED = tuple(f"{name}: " for name in MESSAGES)


def marked_at(cells: list[str]) -> int:
    """Return the index of the cell that says itself that it is a message; the number of cells if none does."""
    return next((place for place, cell in enumerate(cells) if cell.startswith(_MARKED)), len(cells))


def folded(text: str) -> str:
    """Return a heading or value as it is compared: without blanks around it, letter case does not count."""
    # A letter with an accent may be written as one character or as two.
    return unicodedata.normalize("NFC", " ".join(text.split())).casefold()


def has_one(cells: Sequence[str], wanted: Sequence[tuple[int, frozenset[str]]]) -> bool:
    """Return True if a row has one of the values that ``Layout.wanted`` returned."""
    return any(place < len(cells) and folded(cells[place]) in values for place, values in wanted)


def _seen(text: str) -> str:
    """Return a heading as people see it: without characters that have no width, and with every dash as a hyphen."""
    visible = (letter for letter in text if unicodedata.category(letter) != "Cf")
    return folded("".join("-" if unicodedata.category(letter) == "Pd" else letter for letter in visible))


def _odd_one(heading: str, cells: Sequence[str]) -> str:
    """Return in words which cell looks like a heading, and by which character it is another; empty if none does."""
    for cell in cells:
        odd = next((letter for letter in cell.strip() if letter not in heading and not letter.isalpha()), None)
        if odd is not None and _seen(cell) == _seen(heading):
            name = unicodedata.name(odd, "a control character")
            return f' "{shown(cell.strip())}" only looks like "{shown(heading)}": it has U+{ord(odd):04X} {name} in it.'
    return ""


def layout_of(data: bytes, script: Script, terms: Terms) -> Layout:
    """Find out where everything stands in a table.

    Raises:
        CutOff: the table ends before its headings do.
        DocumentError: a heading is missing or stands there twice, or the delimiter cannot be known.
    """
    columns = terms.columns.named()
    headings = [column for column in columns if isinstance(column, str)]
    candidates = (terms.form.delimiter,) if terms.form.delimiter else DELIMITERS
    if not headings:
        return _by_position(data, script, terms, candidates)
    wanted = {folded(heading) for heading in headings}
    closest = _Closest()
    broken: list[DocumentError] = []
    is_ended = True
    for delimiter in candidates:
        rows = Rows(data, script, delimiter)
        try:
            found = closest.look(rows, wanted)
        except DocumentError as error:
            broken.append(error)
            continue
        if found is not None:
            row, cells = found
            _refuse_alike(row, cells, columns, data, script)
            return _by_headings(row, cells, delimiter, columns)
        is_ended = is_ended and rows.is_ended
    if len(broken) == len(candidates):
        raise _likeliest(broken)
    missing = _missing(closest, headings, columns, script)
    if not is_ended:
        # The rest of the headings may still be written.
        raise CutOff(missing.problem, missing.line, unit="row")
    raise missing


class _Closest:
    """Looks for the headings, and keeps the row that comes closest to having them all.

    Attributes:
        row: its line.
        cells: its cells; none if no row has any.
    """

    def __init__(self) -> None:
        self.row = 1
        self.cells: list[str] = []
        self._score = (-1, 0)

    def look(self, rows: Rows, wanted: set[str]) -> tuple[int, list[str]] | None:
        """Return the first of the first rows that has all headings, and its line; None if none has."""
        for row, cells in islice(rows, _MOST_TITLES):
            there = {folded(cell) for cell in cells}
            if wanted <= there:
                return row, cells
            score = (len(wanted & there), len(cells))
            if cells and score > self._score:
                self.row, self.cells, self._score = row, cells, score
        return None


def _likeliest(broken: Sequence[DocumentError]) -> DocumentError:
    """Return the fault that counts of those that were met with several delimiters.

    With a wrong delimiter, a quoted cell seems to go on after its closing quotation mark.
    """
    return max(broken, key=lambda error: (isinstance(error, CutOff), error.line or 0))


def _by_headings(row: int, cells: list[str], delimiter: str, columns: dict[Column, str]) -> Layout:
    ours = {folded(name) for name in MESSAGES}
    messages = frozenset(place for place, cell in enumerate(cells) if folded(cell) in ours)
    headings = tuple(cell for place, cell in enumerate(cells) if place not in messages)
    places = [folded(heading) for heading in headings]
    found: dict[Column, int] = {}
    for column, setting in columns.items():
        if isinstance(column, int):
            found[column] = _checked(column, len(headings), setting, row)
            continue
        found[column] = places.index(folded(column))
    return Layout(delimiter, row, headings, messages, found, len(headings))


def _refuse_alike(row: int, cells: list[str], columns: dict[Column, str], data: bytes, script: Script) -> None:
    """Refuse a heading that is asked for and stands there twice. Others may: MYOB has two columns named Memo."""
    there = [folded(cell) for cell in cells]
    for column, setting in columns.items():
        same = [place for place, heading in enumerate(there, 1) if heading == folded(str(column))]
        if isinstance(column, str) and len(same) > 1:
            raise DocumentError(
                f'The heading "{shown(column)}" (csv.{setting}) stands {len(same)} times in it, in columns '
                f"{', '.join(map(str, same))}: nobody can know which one counts. Rename one, or give csv.{setting} "
                f"the number of the column. (The row begins at byte {beginning_of(row, data, script):,}.)",
                row,
                unit="row",
            )


def _checked(position: int, width: int, setting: str, row: int) -> int:
    if position > width:
        raise DocumentError(f"It has {width} columns, but csv.{setting} names column {position}.", row, unit="row")
    return position - 1


def _missing(closest: _Closest, headings: Sequence[str], columns: dict[Column, str], script: Script) -> DocumentError:
    cells = closest.cells
    if not cells:
        return CutOff("The file has no row yet.")
    there = {folded(cell) for cell in cells}
    absent = [heading for heading in headings if folded(heading) not in there]
    named = ", ".join(f'"{shown(heading)}" (csv.{columns[heading]})' for heading in absent)
    seen = [f'"{shown(cell.strip())}"' for cell in cells if cell.strip()]
    more = f" and {len(seen) - _MOST_NAMED} more" if len(seen) > _MOST_NAMED else ""
    listed = ", ".join(seen[:_MOST_NAMED])
    alike = "".join(_odd_one(heading, cells) for heading in absent)
    if not script.is_sure and not "".join(cells).isascii():
        alike += f" If letters in them are wrong: the file was read as {script.name}; csv.encoding can name another."
    return DocumentError(
        f"The {'heading is' if len(absent) == 1 else 'headings are'} missing: {named}. All headings must stand in one "
        f"of the first {_MOST_TITLES} rows; the one that comes closest has {listed}{more}.{alike} "
        "Let [csv] name headings that are there, or export the file with these columns.",
        closest.row,
        unit="row",
    )


def _by_position(data: bytes, script: Script, terms: Terms, candidates: Sequence[str]) -> Layout:
    columns = terms.columns.named()
    needed = max(column for column in columns if isinstance(column, int))
    fitting: list[tuple[str, int]] = []
    broken: list[DocumentError] = []
    is_ended = True
    for delimiter in candidates:
        counts: Counter[int] = Counter()
        rows = Rows(data, script, delimiter)
        try:
            for row, cells in islice(rows, _MOST_TITLES + terms.form.first_row):
                if row >= terms.form.first_row and any(cell.strip() for cell in cells):
                    counts[marked_at(cells)] += 1
        except DocumentError as error:
            broken.append(error)
            continue
        is_ended = is_ended and rows.is_ended
        if counts and (width := counts.most_common(1)[0][0]) >= needed:
            fitting.append((delimiter, width))
    if len(broken) == len(candidates):
        raise _likeliest(broken)
    if len(fitting) != 1:
        which = "none" if not fitting else "more than one"
        raise (DocumentError if is_ended else CutOff)(
            f"The table needs {needed} columns, and {which} of the delimiters "
            f"{' '.join(repr(each) for each in candidates)} gives as many. Set csv.delimiter, or correct the "
            "positions in [csv].",
            terms.form.first_row,
            unit="row",
        )
    ((delimiter, width),) = fitting
    places: dict[Column, int] = {column: int(column) - 1 for column in columns}
    return Layout(delimiter, terms.form.first_row, (), frozenset(), places, width)
