"""Decodes a document's bytes, whatever their encoding, and yields UTF-8 piece by piece. Pure.

The parser gets UTF-8 without a byte-order mark or a declaration. So this module alone decides which encoding a document
has, and every fault of an encoding gets a message in plain words.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from watcher.documents.kinds import TWO_MARKS, ToDo, head_of, other_kind, other_text
from watcher.documents.letters import quoted, shown
from watcher.errors import DocumentError

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# The first bytes of a document without a byte-order mark; blanks may come first (XML 1.0, appendix F.1).
_BEGINNINGS = (
    (re.compile(rb"[<\s]\0\0\0|\0\0\0[<\s]"), "utf-32"),
    (re.compile(rb"[<\s]\0"), "utf-16-le"),
    (re.compile(rb"\0"), "utf-16-be"),
)
_WIDE = ("utf-16-le", "utf-16-be")
# The encodings that a declaration may name. Python knows more, but some encode no text, and some (UTF-7) are unsafe.
_DECLARABLE = {
    codecs.lookup(name).name: name
    for name in (
        *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "us-ascii"),
        *(f"iso-8859-{part}" for part in (*range(1, 12), *range(13, 17))),
        *(f"windows-{page}" for page in range(1250, 1259)),
    )
}
# XMLDecl (XML 1.0, 2.8). XML allows no blanks before it, but many exports have some.
_DECLARATION = re.compile(
    r"""\s*(?P<declaration><\?xml\s+version\s*=\s*(?:"1\.\d+"|'1\.\d+')"""
    r"""(?:\s+encoding\s*=\s*(?:"(?P<double>[A-Za-z][\w.-]*)"|'(?P<single>[A-Za-z][\w.-]*)'))?"""
    r"""(?:\s+standalone\s*=\s*(?:"(?:yes|no)"|'(?:yes|no)'))?\s*\?>)""",
    re.ASCII,
)
# What is meant as one, also if it ends in > alone.
_DECLARED = re.compile(r"\s*<\?xml\s(?:[^>]*\?>|[^<>]*>)", re.ASCII)
_TO_DO = {
    ToDo.UNPACK: "Unpack it, and drop the file that is in it.",
    ToDo.SAVE_SHEET: "Export the payments as XML. A sheet that is saved as CSV UTF-8 needs transform = "
    '"csv" in [inbox], and its columns in [csv].',
    ToDo.EXPORT: "Export the payments as XML.",
}
# Some of these stand between the cells of a table.
_DELIMITER = re.compile(r"[,;\t|]")

# So much of what stands before a fault is quoted (bytes).
_QUOTE = 30
# How much is decoded at once (bytes).
_CHUNK = 65536


class CutOff(DocumentError):
    """The bytes end in the middle of a character."""


def wide_encoding(data: bytes) -> str | None:
    """Return which UTF-16 a document's first bytes show; None if it is not in UTF-16.

    Raises:
        DocumentError: the first bytes are those of a file of another kind.
    """
    encoding, _ = _encoding(data)
    return encoding if encoding in _WIDE else None


def not_xml(kind: tuple[str, ToDo]) -> DocumentError:
    """Return the fault of a file of another kind."""
    what, to_do = kind
    return DocumentError(f"This is not an XML file of payments but {what}. {_TO_DO[to_do]}", 1)


def _encoding(data: bytes) -> tuple[str, int]:
    """Return the encoding that a document's first bytes show, and the length of its byte-order mark (bytes)."""
    if (kind := other_kind(data)) is not None:
        raise not_xml(kind)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return encoding, len(mark)
        if mark.startswith(data):
            raise CutOff("The file ends within its first character.", 1)
    return next((encoding for beginning, encoding in _BEGINNINGS if beginning.match(data)), ""), 0


def decoded(data: bytes) -> Iterator[bytes]:
    """Yield a document piece by piece in UTF-8. Blanks replace its declaration, so that line numbers stay right.

    Args:
        data: the document's bytes.

    Raises:
        DocumentError: the bytes are no text in the encoding that the first bytes or the declaration name.
    """
    if not data:
        raise DocumentError("The file is empty.")
    seen, start = _encoding(data)
    if seen == "utf-32":
        raise DocumentError("The file is in UTF-32, which cannot be read here. Export it in UTF-8.", 1)
    head = data[start : start + _CHUNK].decode(seen or "latin-1", errors="ignore")
    if head.strip() and not head.lstrip().startswith("<"):
        raise _without_markup(data)
    declaration = _DECLARATION.match(head)
    if declaration is None and (found := _DECLARED.match(head)):
        line = 1 + head.count("\n", 0, found.end())
        written = found[0].strip() if seen else found[0].strip().encode("latin-1").decode(errors="replace")
        raise DocumentError(
            f'The declaration {quoted(written)} is not that of XML 1.0, which is like <?xml version="1.0" '
            'encoding="utf-8"?>, with straight quotation marks and ?> at its end. Correct it, or export the file '
            "again.",
            line,
        )
    encoding = _agreed(seen, declaration)
    source = _source(seen, declaration)
    decode = codecs.getincrementaldecoder(encoding)().decode
    line = 1
    for place in range(start, len(data), _CHUNK):
        try:
            text = decode(data[place : place + _CHUNK])
        except UnicodeDecodeError as error:
            line += error.object[: error.start].decode(encoding, errors="replace").count("\n")
            raise _undecodable(error, encoding, source, line) from error
        line += text.count("\n")
        if declaration is not None:
            kept = "".join(letter if letter == "\n" else " " for letter in text[: declaration.end()])
            text, declaration = kept + text[declaration.end() :], None
        yield text.encode()
    try:
        decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise CutOff("The file ends in the middle of a character.", line) from error


def _without_markup(data: bytes) -> DocumentError:
    """Return the fault of a text that does not start with <."""
    text = head_of(data).lstrip()
    if text.startswith("\ufeff"):
        return DocumentError(TWO_MARKS, 1)
    if (kind := other_text(data)) is not None:
        return not_xml(kind)
    before, less_than, _ = text.partition("<")
    first = next(iter(before.splitlines()), "")
    beginning = quoted(first.rstrip())
    if less_than:
        hint = "If this is XML, take out what stands before the first <, and export it again."
    elif _DELIMITER.search(first):
        hint = 'If it is a table (CSV), it needs transform = "csv" in [inbox], and its columns in [csv].'
    else:
        hint = "Export the payments as XML."
    return DocumentError(f"This is not an XML file: it starts with {beginning} and not with <. {hint}", 1)


def _declared(declaration: re.Match[str] | None) -> str | None:
    """Return the encoding that a declaration names; None if it names none."""
    return (declaration["double"] or declaration["single"]) if declaration else None


def _source(seen: str, declaration: re.Match[str] | None) -> str:
    """Return in words how a document's encoding is known."""
    if _declared(declaration):
        return "that the file's declaration names"
    return "that the file's first bytes show" if seen else "of files that name no other"


def _agreed(seen: str, declaration: re.Match[str] | None) -> str:
    """Return the encoding on which a document's first bytes and its declaration agree."""
    declared = _declared(declaration)
    if declaration is None or declared is None:
        return seen or "utf-8"
    line = 1 + declaration.string.count("\n", 0, declaration.start("declaration"))
    try:
        named = codecs.lookup(declared).name
    except LookupError:
        named = ""
    if named not in _DECLARABLE:
        raise DocumentError(
            f'The encoding "{shown(declared)}" is not known here. Use UTF-8, UTF-16, US-ASCII, ISO-8859-1 to 16 or '
            "windows-1250 to 1258.",
            line,
        )
    wide = named.startswith("utf-16")
    if (seen in _WIDE) != wide or (seen == "utf-8" and named != "utf-8") or (wide and named not in ("utf-16", seen)):
        written = {"utf-8": "UTF-8, as its byte-order mark (the first bytes) shows", "": "one byte a character"}
        raise DocumentError(
            f'The declaration says encoding="{shown(declared)}", but the file is written in '
            f"{written.get(seen, seen.upper())}. Export it in UTF-8, or with a declaration that is right.",
            line,
        )
    return seen if wide else named


def _undecodable(error: UnicodeDecodeError, encoding: str, source: str, line: int) -> DocumentError:
    """Return the fault of a byte that its encoding does not have."""
    before = error.object[max(error.start - _QUOTE, 0) : error.start].decode(encoding, errors="ignore")
    place = re.split(r"[>\r\n]", before)[-1].strip()
    after = f" after {quoted(place)}" if place else ""
    return DocumentError(
        f"The byte 0x{error.object[error.start]:02X} is no character of {_DECLARABLE[encoding].upper()}, the encoding "
        f"{source}. It stands in this line{after}. Export the file in UTF-8, or let its declaration name the encoding "
        "that it is really in, such as windows-1252.",
        line,
    )
