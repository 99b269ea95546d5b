"""Writes success and fail files: each record of a document goes to one of them, by its outcome. Pure."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from lxml import etree

from watcher.documents.shapes import LINE, UPDATES
from watcher.documents.xml_stream import batches, local_name
from watcher.payments.outcomes import Outcome, Result

# The elements that an earlier run added. People drop a corrected fail file in again without removing them.
_MESSAGES = ("ErrorMessage", "WarningMessage")
_TRACES = re.compile("|".join((*_MESSAGES, LINE)).encode())
# The characters that XML 1.0 does not allow (section 2.2). ConnectWise's words may hold any character.
_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECLARATION = b"<?xml version='1.0' encoding='utf-8'?>\n"
_NAMESPACES: dict[str | None, str] = {
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xsd": "http://www.w3.org/2001/XMLSchema",
}


def write_results(data: bytes, results: Sequence[Result | None]) -> tuple[bytes, bytes]:
    """Write a document's success and fail files.

    Both files have the root element of the input. Each record goes to exactly one file, in input order. Its elements
    stay as they came. The messages of earlier runs are removed, and the record's own message is added last.

    Args:
        data: the document's bytes, which ``reading.read`` has accepted.
        results: one for each record, in order; None for a record without an outcome, which goes to neither file.

    Returns:
        The success file and the fail file, in UTF-8. A file without records holds the root element alone.
    """
    success, fail = _File(), _File()
    for element, result in zip(_elements(data, success, fail), results, strict=True):
        if result is not None:
            (fail if result.outcome is Outcome.REJECTED else success).add(element, result)
    return success.content(), fail.content()


def empty_results() -> tuple[bytes, bytes]:
    """Return the success and fail files of a document without records."""
    return write_results(f"<{UPDATES.root}/>".encode(), ())


def _elements(data: bytes, *files: _File) -> Iterator[etree._Element]:
    """Begin the files with the root element, then yield the records one at a time."""
    begun = False
    for root, children in batches(data, bare=False):
        if not begun:
            for file in files:
                file.begin(root)
            begun = True
        for child in children:
            if isinstance(child.tag, str):
                yield child


class _File:
    """A result file as it grows."""

    def __init__(self) -> None:
        self._content = bytearray(_DECLARATION)
        self._ending = b""
        self._inherited = b""
        self._empty = True

    def begin(self, root: etree._Element) -> None:
        """Begin the file with the root element of the input."""
        shell = etree.Element(root.tag, root.attrib, nsmap=_NAMESPACES | root.nsmap)
        shell.text = ""
        tags = etree.tostring(shell, encoding="utf-8")
        self._ending = tags[tags.rindex(b"</") :] + b"\n"
        self._content += tags.removesuffix(self._ending.strip())
        # lxml repeats the root's namespaces in each record that it writes. `add` takes them out again.
        parent = copy.deepcopy(root)
        self._inherited = etree.tostring(etree.SubElement(parent, "x"), encoding="utf-8")[2:-2]

    def add(self, element: etree._Element, result: Result) -> None:
        """Add a record, with the messages of its result."""
        text = etree.tostring(element, encoding="utf-8", with_tail=False)
        if _TRACES.search(text):
            _clean(element)
            text = etree.tostring(element, encoding="utf-8", with_tail=False)
        if self._inherited and text.startswith(self._inherited, space := text.find(b" ")):
            text = text[:space] + text[space + len(self._inherited) :]
        self._content += b"\n  "
        self._content += _with_messages(text, result) if result.message or result.warning else text
        self._empty = False

    def content(self) -> bytes:
        """Return the whole file, once; nothing is left here, as a large file would take its memory twice."""
        self._content += (b"" if self._empty else b"\n") + self._ending
        content = bytes(self._content)
        self._content.clear()
        return content


def _clean(record: etree._Element) -> None:
    """Remove from a record what an earlier run or a stylesheet's process put into it."""
    for child in [child for child in record if local_name(child) in _MESSAGES]:
        record.remove(child)
    record.attrib.pop(LINE, None)


def _with_messages(record: bytes, result: Result) -> bytes:
    """Return a written record with its result's messages added last, each on a line of its own."""
    if record.endswith(b"/>"):
        name = re.split(rb"[\s/]", record[1:], maxsplit=1)[0]
        record = record[:-2] + b"></" + name + b">"
    end = record.rindex(b"</")
    inside, closing = record[:end], record[end:]
    if inside.rstrip().endswith(b">"):
        inside = inside.rstrip()
    prefix, colon, _ = closing[2:].rpartition(b":")
    for name, text in ((b"WarningMessage", result.warning), (b"ErrorMessage", result.message)):
        if text:
            tag = prefix + colon + name
            carried = escape(_UNPRINTABLE.sub("\ufffd", text)).replace("\r", "&#13;").encode()
            inside += b"\n    <" + tag + b">" + carried + b"</" + tag + b">"
    return inside + b"\n  " + closing
