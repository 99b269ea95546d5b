"""Tells what a file is that is neither a payment document nor a table. Pure."""

from __future__ import annotations

import codecs
import re
from enum import Enum, auto
from html import unescape

from watcher.documents.letters import quoted


class ToDo(Enum):
    """What is to be done with a file of another kind."""

    UNPACK = auto()
    SAVE_SHEET = auto()
    EXPORT = auto()


_SIGNATURES = {
    b"\x1f\x8b": ("compressed (gzip)", ToDo.UNPACK),
    b"BZh": ("compressed (bzip2)", ToDo.UNPACK),
    b"\xfd7zXZ": ("compressed (xz)", ToDo.UNPACK),
    b"\x28\xb5\x2f\xfd": ("compressed (zstd)", ToDo.UNPACK),
    b"7z\xbc\xaf": ("compressed (7-Zip)", ToDo.UNPACK),
    b"Rar!": ("compressed (RAR)", ToDo.UNPACK),
    b"PK\x05\x06": ("an empty ZIP archive", ToDo.EXPORT),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook or Word document", ToDo.SAVE_SHEET),
    b"%PDF": ("a PDF", ToDo.EXPORT),
    b"\x89PNG": ("a picture (PNG)", ToDo.EXPORT),
    b"\xff\xd8\xff": ("a picture (JPEG)", ToDo.EXPORT),
    b"SQLite format 3\0": ("a database (SQLite)", ToDo.EXPORT),
}
_ZIP = b"PK\x03\x04"
# Names that stand in a ZIP archive of this kind.
_ZIPPED = {
    b"xl/": ("an Excel workbook", ToDo.SAVE_SHEET),
    b"opendocument.spreadsheet": ("an OpenDocument spreadsheet", ToDo.SAVE_SHEET),
    b"word/": ("a Word document", ToDo.EXPORT),
}
# MYOB's tables begin with a line that holds {} alone.
_TEXTS = (
    (r"\{\\rtf", "a text of a word processor (RTF)"),
    (r'[\[{]\s*["\[{]|(?:\{\s*\}|\[\s*\])\s*\Z', "JSON"),
    (r"HTTP/[0-9]", "the answer of a web server with its headers"),
    (r"(?:MIME-Version|Received|Return-Path|Delivered-To|From): ", "an e-mail"),
    (r"-----BEGIN ", "encrypted or signed"),
    (r"OFXHEADER", "a bank statement (OFX)"),
    (r":20:|\{1:F01", "a bank statement (MT940)"),
    (r"!Type:", "a bank statement (QIF)"),
    (r"&lt;", "XML that was escaped: &lt; stands where < belongs"),
)
_PROLOG = re.compile(r"(?:\s++|\ufeff|<!--.*?-->|<\?.*?\?>)*+", re.DOTALL)
_PAGE = re.compile(
    r"<(?:!doctype\s+html|html|head|body|script|table|meta|title|br|div|center|h[1-6]|pre)\b", re.IGNORECASE
)
_TITLE = re.compile(r"<title\b[^>]*>([^<]+)</title", re.IGNORECASE)
# A program that writes a table as HTML writes none of these; sites have them.
_OF_A_SITE = re.compile(r"<(?:title|form|script|input)\b", re.IGNORECASE)
_TABLE = re.compile(r"<table\b", re.IGNORECASE)
_OF_EXCEL = "urn:schemas-microsoft-com:office:excel"
_WORKBOOK = "urn:schemas-microsoft-com:office:spreadsheet"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# How much of a file is looked at (bytes).
_HEAD = 8192
# What is said of a byte-order mark that is not the first character.
TWO_MARKS = (
    "The invisible character U+FEFF (a byte-order mark) stands where none may: one may be the first character of a "
    "file, and this is a second one, or stands further on. Programs that join files do that. Export the file again, or "
    "delete the invisible character in a text editor and save the file as UTF-8."
)


def head_of(data: bytes) -> str:
    """Return the beginning of a file's text without its byte-order mark, for a look at what it is."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) : _HEAD].decode(encoding, errors="ignore")
    text = data[:_HEAD].decode("utf-8", errors="replace")
    return text.replace("\0", "")


def other_kind(data: bytes) -> tuple[str, ToDo] | None:
    """Return in words what a file is, and what is to be done with it; None if its first bytes do not show that."""
    if data.startswith(_ZIP):
        found = (kind for name, kind in _ZIPPED.items() if name in data)
        return next(found, ("an Excel workbook or a ZIP archive", ToDo.SAVE_SHEET))
    return next((kind for signature, kind in _SIGNATURES.items() if data.startswith(signature)), None)


def other_text(data: bytes) -> tuple[str, ToDo] | None:
    """Return in words what a text is that is neither XML nor a table, as ``other_kind`` does."""
    head = head_of(data).lstrip()
    return next(((kind, ToDo.EXPORT) for beginning, kind in _TEXTS if re.match(beginning, head)), None)


def web_page(data: bytes) -> tuple[str, ToDo] | None:
    """Return in words what a web page is, as ``other_kind`` does; None if it is none."""
    head = head_of(data)
    prolog = _PROLOG.match(head)
    assert prolog is not None
    if not _PAGE.match(head, prolog.end()):
        return None
    title = _TITLE.search(head)
    name = f" with the title {quoted(' '.join(unescape(title[1]).split()))}" if title else ""
    if _OF_EXCEL in head or (_TABLE.search(head) and not _OF_A_SITE.search(head)):
        return f"a sheet saved as a web page (HTML){name}", ToDo.SAVE_SHEET
    what = f"a web page (HTML){name}, probably a sign-in page or an error page; a browser shows what it says"
    return what, ToDo.EXPORT


def saved_page(data: bytes) -> tuple[str, ToDo] | None:
    """Return in words what a web page or a workbook in XML is, as ``other_kind`` does; None if it is none."""
    if _WORKBOOK in head_of(data):
        return "an Excel workbook in XML (XML Spreadsheet 2003)", ToDo.SAVE_SHEET
    return web_page(data)
