"""Encodings: a document's bytes to UTF-8, piece by piece. Pure: no clock, file or logger.

A document is decoded before the parser sees it, and given to it without byte-order mark or declaration. So what the
parser would have to believe of a declaration is decided here, and every fault of an encoding is said in plain words.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from watcher.errors import DocumentError

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# How a document begins without a byte-order mark, blanks included (XML 1.0, appendix F.1).
_BEGINNINGS = (
    (re.compile(rb"[<\s]\0\0\0|\0\0\0[<\s]"), "utf-32"),
    (re.compile(rb"[<\s]\0"), "utf-16-le"),
    (re.compile(rb"\0"), "utf-16-be"),
)
_WIDE = ("utf-16-le", "utf-16-be")
# The encodings a declaration may name; Python knows others that are no encodings of text, or unsafe ones such as UTF-7.
_DECLARABLE = {
    codecs.lookup(name).name: name
    for name in (
        *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "us-ascii"),
        *(f"iso-8859-{part}" for part in (*range(1, 12), *range(13, 17))),
        *(f"windows-{page}" for page in range(1250, 1259)),
    )
}
# XML 1.0, 2.8: XMLDecl. Blanks before it are no part of it but stand in many exports.
_DECLARATION = re.compile(
    r"""\s*(?P<declaration><\?xml\s+version\s*=\s*(?:"1\.\d+"|'1\.\d+')"""
    r"""(?:\s+encoding\s*=\s*(?:"(?P<double>[A-Za-z][\w.-]*)"|'(?P<single>[A-Za-z][\w.-]*)'))?"""
    r"""(?:\s+standalone\s*=\s*(?:"(?:yes|no)"|'(?:yes|no)'))?\s*\?>)""",
    re.ASCII,
)
_DECLARED = re.compile(r"\s*<\?xml\s[^>]*\?>", re.ASCII)
# What people take for XML by its name.
_SIGNATURES = {
    b"\x1f\x8b": "compressed (gzip)",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"BZh": "compressed (bzip2)",
    b"\xfd7zXZ": "compressed (xz)",
    b"\x28\xb5\x2f\xfd": "compressed (zstd)",
    b"7z\xbc\xaf": "compressed (7-Zip)",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook or Word document",
    b"%PDF": "a PDF",
}

# How much is decoded at once, bytes.
_CHUNK = 65536


class CutOff(DocumentError):
    """The bytes end in the middle of a character."""


def wide_encoding(data: bytes) -> str | None:
    """Give the encoding of a document in UTF-16, by its first bytes; None for any other.

    Raises:
        DocumentError: it is no XML by its first bytes.
    """
    encoding, _ = _encoding(data)
    return encoding if encoding in _WIDE else None


def shown(text: str) -> str:
    """Shorten what a message quotes, so that a megabyte in a field stays out of the messages."""
    limit = 40
    return text if len(text) <= limit else f"{text[:limit]}…"


def _encoding(data: bytes) -> tuple[str, int]:
    """Give the encoding that a document's first bytes show, and how many of them are its byte-order mark."""
    for signature, kind in _SIGNATURES.items():
        if data.startswith(signature):
            raise DocumentError(f"This is not an XML file but {kind}. Unpack it, or export it as XML.", 1)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return encoding, len(mark)
        if mark.startswith(data):
            raise CutOff("The file ends within its first character.", 1)
    return next((encoding for beginning, encoding in _BEGINNINGS if beginning.match(data)), ""), 0


def decoded(data: bytes) -> Iterator[bytes]:
    """Yield a document piece by piece in UTF-8, blanks in place of its declaration so that all lines stay.

    Raises:
        DocumentError: its bytes are no text in the encoding that its first bytes or its declaration tell.
    """
    if not data:
        raise DocumentError("The file is empty.")
    seen, start = _encoding(data)
    if seen == "utf-32":
        raise DocumentError("The file is in UTF-32, which is not read. Export it in UTF-8.", 1)
    head = data[start : start + _CHUNK].decode(seen or "latin-1", errors="ignore")
    if head.strip() and not head.lstrip().startswith("<"):
        raise DocumentError("This is not an XML file: it does not start with <.", 1)
    declaration = _DECLARATION.match(head)
    if declaration is None and (found := _DECLARED.match(head)):
        line = 1 + head.count("\n", 0, found.end())
        raise DocumentError(
            f"The XML is not well-formed: the declaration {shown(found[0].strip())} is not one of XML 1.0.", line
        )
    encoding = _agreed(seen, declaration)
    decode = codecs.getincrementaldecoder(encoding)().decode
    line = 1
    for place in range(start, len(data), _CHUNK):
        try:
            text = decode(data[place : place + _CHUNK])
        except UnicodeDecodeError as error:
            line += error.object[: error.start].decode(encoding, errors="replace").count("\n")
            raise _undecodable(error, encoding, declaration, line) from error
        line += text.count("\n")
        if declaration is not None:
            kept = "".join(letter if letter == "\n" else " " for letter in text[: declaration.end()])
            text, declaration = kept + text[declaration.end() :], None
        yield text.encode()
    try:
        decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise CutOff("The file ends in the middle of a character.", line) from error


def _agreed(seen: str, declaration: re.Match[str] | None) -> str:
    """Give the encoding that a document's bytes and its declaration agree on."""
    declared = (declaration["double"] or declaration["single"]) if declaration else None
    if declaration is None or declared is None:
        return seen or "utf-8"
    line = 1 + declaration.string.count("\n", 0, declaration.start("declaration"))
    try:
        named = codecs.lookup(declared).name
    except LookupError:
        named = ""
    if named not in _DECLARABLE:
        raise DocumentError(
            f'The encoding "{shown(declared)}" is not known. UTF-8, UTF-16, US-ASCII, ISO-8859-1 to 16 and '
            "windows-1250 to 1258 are read.",
            line,
        )
    wide = named.startswith("utf-16")
    if (seen in _WIDE) != wide or (seen == "utf-8" and named != "utf-8") or (wide and named not in ("utf-16", seen)):
        written = {"utf-8": "UTF-8, as its first bytes (a byte-order mark) say", "": "one byte a character"}
        raise DocumentError(
            f'The declaration says encoding="{declared}", but the file is written in '
            f"{written.get(seen, seen.upper())}. Export it in UTF-8, or with a declaration that is true.",
            line,
        )
    return seen if wide else named


def _undecodable(
    error: UnicodeDecodeError, encoding: str, declaration: re.Match[str] | None, line: int
) -> DocumentError:
    return DocumentError(
        f"The byte 0x{error.object[error.start]:02X} is no character of {_DECLARABLE[encoding].upper()}, the encoding "
        f"that the file is in by its {'declaration' if declaration else 'first bytes'}. Export it in UTF-8, or name "
        "the encoding that it is really in, such as windows-1252.",
        line,
    )
