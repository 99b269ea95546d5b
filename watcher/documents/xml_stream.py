"""XML as it comes: bytes in, harmless elements out. Pure: no clock, file or logger.

A document is read as a stream, so that its size costs no memory beyond what is open at the moment. Nothing in it can
open a file or a connection: document types are refused before the parser meets them, and with them all entities;
XInclude is refused where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree

from watcher.documents.encoding import decoded, shown
from watcher.errors import DocumentError

# What may stand before the root element; then what does.
_PROLOG = re.compile(rb"(?:\s++|<!--.*?-->|<\?.*?\?>)*+", re.DOTALL)
# A start tag, or as much of it as there is: the values of attributes may hold anything but < (XML 1.0, 3.1).
_START_TAG = re.compile(
    rb"""<[^\s<>/!?"'=][^<>"']*+(?:"[^<"]*+"[^<>"']*+|'[^<']*+'[^<>"']*+)*+(?:"[^<"]*+|'[^<']*+)?"""
)
# The parser's words for what it will not hold, and ours.
_LIMITS = {
    "Excessive depth": "Elements are nested more than 256 deep, which no payment document does.",
    "huge text node": "A text in it is longer than ten million characters, which no payment document's is.",
    "too big": "A comment or text in it is longer than ten million characters, which no payment document's is.",
    "too long": "A name or value in it is longer than any payment document's is.",
}
_XINCLUDE = "{http://www.w3.org/2001/XInclude}*"
# How much is given to the parser at once, bytes.
_CHUNK = 65536
# The longest beginning of a file in which its root element must start, bytes.
_LONGEST_PROLOG = 32768
# A start tag of more bytes than this holds more attributes than the memory they take is worth.
_LONGEST_TAG = 65536
# What one record may hold: bytes, and elements and attributes together, which take some 140 bytes each.
_LARGEST_RECORD = 8388608
_MOST_PARTS = 100_000
# libxml2's lines are short integers.
_LONGEST_COUNT = 65535


def _too_large(root: etree._Element) -> DocumentError:
    place = root[-1] if len(root) else root
    return DocumentError(
        f"<{local_name(place)}> holds more than {_MOST_PARTS} elements and attributes, or more than "
        f"{_LARGEST_RECORD} bytes, which no payment does.",
        line_of(place),
    )


def batches(data: bytes, *, bare: bool) -> Iterator[tuple[etree._Element, list[etree._Element]]]:
    """Read a document as a stream.

    Args:
        data: its bytes.
        bare: leave out comments and processing instructions.

    Yields:
        The root element, each time, and the next of its children with their tails; these are gone when the next are
        asked for. Every child comes once, in order; a document without any gives none once.

    Raises:
        DocumentError: it is cut off, not well-formed, larger than one that is meant to be read, or means harm.
    """
    if not data or data.isspace():
        raise DocumentError("The file is empty.")
    stream = Stream(data, bare=bare)
    parts = size = 0
    for root, chunk in stream:
        if children := root[:-1]:
            parts = size = 0
            yield root, children
            del root[: len(children)]
        else:
            parts += chunk.count(b"<") + chunk.count(b"=")
            size += len(chunk)
            if parts > _MOST_PARTS or size > _LARGEST_RECORD:
                raise _too_large(root)
    assert stream.root is not None
    yield stream.root, list(stream.root)


def parse(data: bytes) -> etree._Element:
    """Read a whole document into memory, for what cannot be done with a stream.

    Args:
        data: its bytes.

    Returns:
        Its root element.

    Raises:
        DocumentError: it is cut off, not well-formed, or means harm. One of many small elements takes some forty times
            its bytes.
    """
    parser = etree.XMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, resolve_entities=False, no_network=True, load_dtd=False
    )
    tags = _Tags()
    begun = False
    try:
        for chunk in decoded(data):
            if not begun:
                _check_beginning(chunk)
                begun = True
            tags.check(chunk)
            parser.feed(chunk)
        root = parser.close()
    except etree.XMLSyntaxError as error:
        raise _unreadable(error) from error
    _check(root, parser.feed_error_log)
    return root


def local_name(element: etree._Element) -> str:
    """Give an element's name without its namespace; empty for a comment or processing instruction."""
    # Not QName, which refuses names that the parser lets through.
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def line_of(element: etree._Element) -> int:
    """Give the line an element stands in, from 1."""
    line = int(element.sourceline or 0)
    if line >= _LONGEST_COUNT:
        # The parser counts no further for elements and gives the line where the text after the tag ends instead.
        line -= _text_after(element).count("\n")
    return line


def _text_after(element: etree._Element) -> str:
    return element.text or (_text_after(element[0]) if len(element) else element.tail) or ""


class Stream:
    """The root element, each time more of its children have come.

    Attributes:
        root: the root element; None before it has come.
        ended_early: the fault that was raised is that the document ends before its root does.
    """

    def __init__(self, data: bytes, *, bare: bool) -> None:
        self._data = data
        self._bare = bare
        self.root: etree._Element | None = None
        self.ended_early = False

    def __iter__(self) -> Iterator[tuple[etree._Element, bytes]]:
        """Yield the root after each piece of the document, and the piece.

        All children but the last are complete, with their tails, and are to be deleted.
        """
        parser: etree.XMLPullParser[etree._Element] | None = None
        tags = _Tags()
        try:
            for chunk in decoded(self._data):
                if parser is None:
                    parser = self._parser(chunk)
                tags.check(chunk)
                parser.feed(chunk)
                if not self._has_root(parser):
                    continue
                assert self.root is not None
                _check(self.root, parser.feed_error_log)
                yield self.root, chunk
            if parser is None:
                self.ended_early = True
                raise DocumentError("The file is empty.")
            self._close(parser)
        except etree.XMLSyntaxError as error:
            raise _unreadable(error) from error

    def _parser(self, beginning: bytes) -> etree.XMLPullParser[etree._Element]:
        """Make a parser that reports the root alone; it is named, since to report every element takes as long again."""
        _check_beginning(beginning)
        prolog = _PROLOG.match(beginning)
        assert prolog is not None
        name = re.compile(rb"<([^\s<>/]*)").match(beginning, prolog.end())
        tag = name[1].rpartition(b":")[2].decode() if name else ""
        return etree.XMLPullParser(
            events=("start",),
            tag=f"{{*}}{tag}" if re.fullmatch(r"[^\W\d][\w.-]*", tag) else None,
            encoding="utf-8",
            remove_comments=self._bare,
            remove_pis=self._bare,
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
        )

    def _close(self, parser: etree.XMLPullParser[etree._Element]) -> None:
        try:
            parser.close()
        except etree.XMLSyntaxError:
            self.ended_early = True
            raise
        if self._has_root(parser):
            assert self.root is not None
            _check(self.root, parser.feed_error_log)

    def _has_root(self, parser: etree.XMLPullParser[etree._Element]) -> bool:
        # The name may come up again further down; what is not fetched would keep its elements.
        for _, element in parser.read_events():
            if self.root is None:
                self.root = element
        return self.root is not None


class _Tags:
    """Refuses a start tag of excessive length before the parser makes attributes of it."""

    def __init__(self) -> None:
        self._open = b""
        self._line = 1

    def check(self, chunk: bytes) -> None:
        """Look at the next piece of the document.

        Raises:
            DocumentError: a start tag is too long.
        """
        start = chunk.rfind(b"<")
        first = chunk.find(b"<")
        if self._open:
            self._open += chunk if first < 0 else chunk[:first]
            if len(self._open) > _LONGEST_TAG:
                self._measure()
        self._line += chunk.count(b"\n")
        if start >= 0:
            self._open = chunk[start:]

    def _measure(self) -> None:
        tag = _START_TAG.match(self._open)
        if tag is not None and tag.end() > _LONGEST_TAG:
            name = re.split(rb"[\s=]", self._open[1:80], maxsplit=1)[0].decode(errors="replace")
            raise DocumentError(
                f"The tag of <{shown(name)}> is longer than {_LONGEST_TAG} bytes: no payment has so many attributes.",
                self._line,
            )
        # Text, a comment or a section of text: the parser sees to their length.
        self._open = b""


def _check_beginning(beginning: bytes) -> None:
    """Refuse a document type before the parser sees it."""
    prolog = _PROLOG.match(beginning)
    assert prolog is not None
    end = prolog.end()
    line = 1 + beginning.count(b"\n", 0, end)
    if beginning.startswith(b"<!D", end):
        raise DocumentError("The document has a DOCTYPE, which payment documents do not use. Export it without.", line)
    if end > _LONGEST_PROLOG or (len(beginning) > _LONGEST_PROLOG and beginning[end : end + 2] in (b"<!", b"<?")):
        raise DocumentError(f"The first element does not start within the first {_LONGEST_PROLOG} bytes.", line)


def _check(root: etree._Element, log: etree._ListErrorLog) -> None:
    """Refuse what the parser lets through: names whose prefix nobody declared, and the inclusion of other files."""
    for entry in log:
        if entry.level >= etree.ErrorLevels.ERROR:
            # Well-formed XML, but not by Namespaces in XML 1.0, section 5; the results could not be read again.
            raise DocumentError(f"The XML is not well-formed: {entry.message}.", entry.line)
    if root.getroottree().docinfo.doctype:
        raise DocumentError("The document has a DOCTYPE, which payment documents do not use. Export it without.", 1)
    for element in root.iter(_XINCLUDE):
        raise DocumentError(
            f"<{local_name(element)}> would include another file (XInclude), which payment documents do not do.",
            line_of(element),
        )


def _unreadable(error: etree.XMLSyntaxError) -> DocumentError:
    # libxml2 ends its message with the place, which the error carries anyway.
    words = " ".join(re.sub(r", line \d+, column \d+$", "", error.msg or "unreadable").split())
    for told, meant in _LIMITS.items():
        if told in words:
            return DocumentError(meant, error.lineno)
    return DocumentError(f"The XML is not well-formed: {words}.", error.lineno)
