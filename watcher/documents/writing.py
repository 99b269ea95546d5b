"""Writes success and fail files: each record of a document goes to one of them, by its outcome. Pure."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Sequence
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
    """Write a document's success and fail files into memory.

    Args:
        data: the document's bytes, which ``reading.read`` has accepted.
        results: one for each record, in order; None for a record without an outcome, which goes to neither file.

    Returns:
        The success file and the fail file, as ``result_file`` yields them.
    """
    success, fail = (b"".join(result_file(data, results, rejected=rejected)) for rejected in (False, True))
    return success, fail


def result_file(data: bytes, results: Iterable[Result | None], *, rejected: bool) -> Iterator[bytes]:
    """Write a document's success file or its fail file.

    Both files have the root element of the input. Each record goes to exactly one file, in input order. Its elements
    stay as they came. The messages of earlier runs are removed, and the record's own message is added last.

    Args:
        data: the document's bytes, which ``reading.read`` has accepted.
        results: one for each record, in order; None for a record without an outcome, which goes to neither file.
        rejected: write the fail file.

    Yields:
        The file in UTF-8, record by record. A file without records holds the root element alone.
    """
    yield _DECLARATION
    elements = _elements(data)
    writer = _Writer(next(elements))
    yield writer.beginning
    empty = True
    for element, result in zip(elements, results, strict=True):
        if result is not None and (result.outcome is Outcome.REJECTED) is rejected:
            empty = False
            yield writer.record(element, result)
    yield (b"" if empty else b"\n") + writer.ending


def _elements(data: bytes) -> Iterator[etree._Element]:
    """Yield the root element, then the records one at a time."""
    begun = False
    for root, children in batches(data, bare=False):
        if not begun:
            yield root
            begun = True
        for child in children:
            if isinstance(child.tag, str):
                yield child


def empty_results() -> tuple[bytes, bytes]:
    """Return the success and fail files of a document without records."""
    return write_results(f"<{UPDATES.root}/>".encode(), ())


class _Writer:
    """Writes the parts of a result file.

    Attributes:
        beginning: the start tag of its root element, which is that of the input.
        ending: the end tag.
    """

    def __init__(self, root: etree._Element) -> None:
        shell = etree.Element(root.tag, root.attrib, nsmap=_NAMESPACES | root.nsmap)
        shell.text = ""
        tags = etree.tostring(shell, encoding="utf-8")
        self.ending = tags[tags.rindex(b"</") :] + b"\n"
        self.beginning = tags.removesuffix(self.ending.strip())
        # lxml repeats the root's namespaces in each record that it writes. `record` takes them out again.
        parent = copy.deepcopy(root)
        self._inherited = etree.tostring(etree.SubElement(parent, "x"), encoding="utf-8")[2:-2]

    def record(self, element: etree._Element, result: Result) -> bytes:
        """Return a record on a line of its own, with the messages of its result."""
        text = etree.tostring(element, encoding="utf-8", with_tail=False)
        if _TRACES.search(text):
            _clean(element)
            text = etree.tostring(element, encoding="utf-8", with_tail=False)
        if self._inherited and text.startswith(self._inherited, space := text.find(b" ")):
            text = text[:space] + text[space + len(self._inherited) :]
        return b"\n  " + (_with_messages(text, result) if result.message or result.warning else text)


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
