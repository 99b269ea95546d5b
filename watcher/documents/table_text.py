"""Turns the bytes of a table (CSV) into rows of cells, and refuses bytes that are no table. Pure.

A row is named by its line, as a text editor counts lines. A cell that holds a line break makes the rows after it stand
further down in the editor than in a spreadsheet.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass

from watcher.documents.encoding import CutOff
from watcher.documents.kinds import TWO_MARKS, ToDo, head_of, other_kind, other_text, saved_page
from watcher.documents.table_terms import MOST_COLUMNS
from watcher.errors import DocumentError

# More rows take too long, also if they are empty.
_MOST_ROWS = 1_000_000
# The longest row (characters), and how much is decoded at once (bytes).
_LONGEST_ROW = 1 << 20
_CHUNK = 1 << 16
# Programs of DOS write it at the end of a text, some of them as often as fills the last block.
CTRL_Z = "\x1a"
# In this order: UTF-32's mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, ""),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SAVE_AS = (
    'Open it in the spreadsheet program and save the sheet as "CSV UTF-8 (Comma delimited)" (File, Save As), '
    "then drop that file"
)
_TO_DO = {
    ToDo.UNPACK: "Unpack it",
    ToDo.SAVE_SHEET: SAVE_AS,
    ToDo.EXPORT: "Export the payments as CSV",
}


@dataclass(frozen=True, slots=True)
class Script:
    """How the text of a table is written.

    Attributes:
        encoding: the name of its encoding.
        mark: its byte-order mark; empty without one.
        newline: what ends its lines.
    """

    encoding: str
    mark: bytes
    newline: str

    @property
    def is_sure(self) -> bool:
        """True if the bytes themselves show the encoding."""
        return bool(self.mark) or self.encoding == "utf-8"

    @property
    def name(self) -> str:
        """The encoding as people write it."""
        name = {"utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-8": "UTF-8"}.get(self.encoding, self.encoding)
        name = name.replace("cp125", "windows-125")
        return f"{name} with a byte-order mark" if self.mark else name


def is_markup(data: bytes) -> bool:
    """Return True if a file begins with ``<``: it is XML or a web page."""
    return head_of(data).lstrip().startswith("<")


def refuse_saved_page(data: bytes) -> None:
    """Refuse what spreadsheet programs and web sites save as a table although it is none.

    Raises:
        DocumentError: the file is a web page, or a workbook in XML.
    """
    if (kind := saved_page(data)) is not None:
        raise _not_csv(kind)


def _not_csv(kind: tuple[str, ToDo]) -> DocumentError:
    what, to_do = kind
    return DocumentError(f"This is not a CSV file but {what}. {_TO_DO[to_do]}.", 1)


def script_of(data: bytes, fallback: str) -> Script:
    """Return how a table is written: its byte-order mark decides, then strict UTF-8, else the declared encoding.

    Args:
        data: the file's bytes.
        fallback: the encoding of a file that has no mark and is no UTF-8.

    Raises:
        CutOff: the file is empty, or not written yet.
        DocumentError: it is a file of another kind.
    """
    if not data or data.isspace():
        raise CutOff("The file is empty.")
    if (kind := other_kind(data) or other_text(data)) is not None:
        raise _not_csv(kind)
    if head_of(data).startswith("\ufeff"):
        raise DocumentError(TWO_MARKS, 1)
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            if not encoding:
                raise DocumentError("The file is in UTF-32, which cannot be read here. Export it in UTF-8.", 1)
            return Script(encoding, mark, _newline(data[len(mark) :], encoding))
    encoding = codecs.lookup(fallback).name
    if encoding != "utf-8" and _is_utf_8(data):
        encoding = "utf-8"
    return Script(encoding, b"", _newline(data, encoding))


def _is_utf_8(data: bytes) -> bool:
    decode = codecs.getincrementaldecoder("utf-8")().decode
    try:
        for place in range(0, len(data), _CHUNK):
            decode(data[place : place + _CHUNK])
    except UnicodeDecodeError:
        return False
    # A last character that is cut off is found where the lines are read.
    return True


def _newline(data: bytes, encoding: str) -> str:
    """Return what ends lines. Old programs of the Macintosh write CR alone.

    A single CR at the very end is half of a line break that is still being written.
    """
    text = data[:_CHUNK].decode(encoding, errors="ignore")
    end = text.find("\n")
    if end < 0:
        return "\r" if "\r" in text[:-1] else "\n"
    return "\r\n" if text[end - 1 : end] == "\r" else "\n"


def beginning_of(row: int, data: bytes, script: Script) -> int:
    """Return at which byte of a table a row begins, from 1."""
    end = "\r" if script.newline == "\r" else "\n"
    text = data[len(script.mark) :].decode(script.encoding, errors="replace")
    place = 0
    for _ in range(row - 1):
        place = text.index(end, place) + 1
    return len(script.mark) + len(text[:place].encode(script.encoding, errors="replace")) + 1


class Rows:
    """Yields the rows of a table.

    Attributes:
        is_ended: False if the last line has no line break at its end; known once all rows are read.
        wrapped: how many lines belong to a row that began on an earlier line.
    """

    def __init__(self, data: bytes, script: Script, delimiter: str) -> None:
        self._data = data
        self._script = script
        self._delimiter = delimiter
        self._row = 1
        self._size = 0
        self.is_ended = True
        self.wrapped = 0

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row: the line where it begins, from 1, and its cells. A blank line has no cells.

        Raises:
            CutOff: the file ends within a row.
            DocumentError: the bytes are no table.
        """
        reader = csv.reader(self._lines(), delimiter=self._delimiter, strict=True)
        for _ in range(_MOST_ROWS):
            self._row, self._size = reader.line_num + 1, 0
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise self._broken(str(error)) from error
            if len(cells) > MOST_COLUMNS:
                raise DocumentError(
                    f"It has {len(cells)} cells; at most {MOST_COLUMNS} are accepted.", self._row, unit="row"
                )
            self.wrapped += reader.line_num - self._row
            yield self._row, cells
        raise DocumentError(f"The file has more than {_MOST_ROWS:,} rows. Split it.", self._row, unit="row")

    def _lines(self) -> Iterator[str]:
        end = "\r" if self._script.newline == "\r" else "\n"
        rest = ""
        for text in self._texts():
            rest += text
            lines = rest.split(end)
            rest = lines.pop()
            for line in lines:
                self._grow(len(line))
                yield line + end
            self._grow(len(rest), stays=True)
        if rest.endswith(CTRL_Z):
            # It says that nothing follows, as a line break at the end does.
            rest = rest.rstrip(CTRL_Z)
            rest += end if rest else ""
        if rest:
            self.is_ended = rest.endswith(end)
            self._grow(len(rest))
            yield rest

    def _grow(self, length: int, *, stays: bool = False) -> None:
        if self._size + length > _LONGEST_ROW:
            raise DocumentError(
                f"It is longer than {_LONGEST_ROW:,} characters. Most likely a quotation mark is never closed.",
                self._row,
                unit="row",
            )
        if not stays:
            self._size += length

    def _texts(self) -> Iterator[str]:
        encoding = self._script.encoding
        decode = codecs.getincrementaldecoder(encoding)().decode
        start, size = len(self._script.mark), len(self._data)
        for place in range(start, size, _CHUNK):
            chunk = self._data[place : place + _CHUNK]
            # What the decoder kept of the last chunk comes first in what it complains about.
            try:
                text = decode(chunk, final=place + _CHUNK >= size)
            except UnicodeDecodeError as error:
                at = min(size, place + _CHUNK) - len(error.object) + error.start
                raise self._undecodable(error, at) from error
            if "\0" in text:
                raise self._with_nul()
            yield text

    def _line_at(self, at: int) -> int:
        """Return the line in which a byte stands."""
        end = "\r" if self._script.newline == "\r" else "\n"
        before = self._data[len(self._script.mark) : at].decode(self._script.encoding, errors="replace")
        return 1 + before.count(end)

    def _undecodable(self, error: UnicodeDecodeError, at: int) -> DocumentError:
        row = self._line_at(at)
        if "end of data" in error.reason or "unexpected end" in error.reason or "truncated" in error.reason:
            return CutOff("The file ends in the middle of a character.", row, unit="row")
        return DocumentError(
            f"Byte {at + 1:,} is 0x{self._data[at]:02X}, which is no character of {self._script.name}. Export it as "
            "UTF-8, or let csv.encoding name the encoding that the file is really in.",
            row,
            unit="row",
        )

    def _with_nul(self) -> DocumentError:
        if b"\0\0\0\0" in self._data:
            # As in documents.unfinished: a writer may set a file's size first.
            return CutOff("Part of it is reserved space that has not been written yet.")
        nul = "\0".encode(self._script.encoding)
        step = len(nul)
        start = len(self._script.mark)
        at = self._data.index(nul, start)
        while (at - start) % step:
            at = self._data.index(nul, at + 1)
        return DocumentError(
            f"Byte {at + 1:,} is a NUL character, which no text has. If the file is in UTF-16, export it with a "
            "byte-order mark, or as UTF-8.",
            self._line_at(at),
            unit="row",
        )

    def _broken(self, words: str) -> DocumentError:
        """Return the fault of a row that the csv module cannot read."""
        begins = f"(The row begins at byte {beginning_of(self._row, self._data, self._script):,}.)"
        if "unexpected end" in words:
            return CutOff(f"A quotation mark is opened in it and never closed. {begins}", self._row, unit="row")
        if "field limit" in words:
            problem = (
                f"A cell in it is longer than {csv.field_size_limit():,} characters. Most likely a quotation mark is "
                "never closed."
            )
        elif "new-line" in words:
            problem = (
                "A carriage return (CR) stands alone in it, outside quotation marks. Line breaks within a cell need "
                "quotation marks around the cell."
            )
        else:
            problem = (
                "Its quotation marks are broken: after a closing one only a delimiter or the end of the line may "
                'stand. A quotation mark within a quoted cell is written twice, "".'
            )
        return DocumentError(f"{problem} {begins}", self._row, unit="row")
