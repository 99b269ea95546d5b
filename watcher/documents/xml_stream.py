"""Reads XML as a stream: takes bytes, and yields elements that can do no harm. Pure.

Only the part of a document that is being read is in memory. Nothing in a document can open a file or a connection. A
DOCTYPE, and with it every entity, is refused before the parser sees it. XInclude is refused wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree

from watcher.documents.encoding import decoded
from watcher.documents.ill_formed import broken, unreadable
from watcher.documents.letters import shown
from watcher.errors import DocumentError

# Everything that may stand before the root element.
_PROLOG = re.compile(rb"(?:\s++|<!--.*?-->|<\?.*?\?>)*+", re.DOTALL)
# A start tag, or its beginning. The value of an attribute may hold any character but < (XML 1.0, 3.1).
_START_TAG = re.compile(
    rb"""<[^\s<>/!?"'=][^<>"']*+(?:"[^<"]*+"[^<>"']*+|'[^<']*+'[^<>"']*+)*+(?:"[^<"]*+|'[^<']*+)?"""
)
_DOCTYPE = (
    "The document has a DOCTYPE (<!DOCTYPE …>), which payment documents do not need and which can do harm. Export it "
    "without one."
)
_XINCLUDE = "{http://www.w3.org/2001/XInclude}*"
# The root element must start within so many bytes.
_LONGEST_PROLOG = 32768
# The longest start tag (bytes). A longer one holds too many attributes, which would take too much memory.
_LONGEST_TAG = 65536
# The largest record (bytes).
_LARGEST_RECORD = 8388608
# The most elements and attributes of one record, counted together. Each takes some 140 bytes of memory.
_MOST_PARTS = 100_000
# libxml2 keeps line numbers in short integers.
_LONGEST_COUNT = 65535


def _too_large(root: etree._Element) -> DocumentError:
    place = root[-1] if len(root) else root
    return DocumentError(
        f"<{named(place)}> holds more than {_MOST_PARTS} elements and attributes, or more than "
        f"{_LARGEST_RECORD} bytes. No payment needs that.",
        line_of(place),
    )


def batches(data: bytes, *, bare: bool) -> Iterator[tuple[etree._Element, list[etree._Element]]]:
    """Read a document as a stream.

    Each child of the root is yielded exactly once, in order. An empty document yields one empty list. The children of a
    batch are deleted when the next batch is asked for.

    Args:
        data: the document's bytes.
        bare: leave out comments and processing instructions.

    Yields:
        The root element, and the next of its children with their tails.

    Raises:
        DocumentError: the document is cut off, not well-formed, too large, or means harm.
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
    """Read a whole document into memory, for work that needs all of it at once.

    A document of many small elements takes some forty times its size in memory.

    Args:
        data: the document's bytes.

    Returns:
        The root element.

    Raises:
        DocumentError: the document is cut off, not well-formed, or means harm.
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
        raise unreadable(error, data) from error
    _check(root, parser.feed_error_log, data)
    return root


def local_name(element: etree._Element) -> str:
    """Return an element's name without its namespace; empty for a comment or a processing instruction."""
    # QName would refuse some names that the parser accepts.
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def named(element: etree._Element) -> str:
    """Return an element's name without its namespace, as messages show it."""
    return shown(local_name(element))


def line_of(element: etree._Element) -> int:
    """Return the line in which an element stands, from 1."""
    line = int(element.sourceline or 0)
    if line >= _LONGEST_COUNT:
        # Beyond that, the parser gives the line where the text after the start tag ends.
        line -= _text_after(element).count("\n")
    return line


def _text_after(element: etree._Element) -> str:
    return element.text or (_text_after(element[0]) if len(element) else element.tail) or ""


class Stream:
    """Feeds a document to the parser, and yields the root element as it grows.

    Attributes:
        root: the root element; None until the parser has found it.
        ended_early: True if reading failed because the document ends before its root element does.
    """

    def __init__(self, data: bytes, *, bare: bool) -> None:
        self._data = data
        self._bare = bare
        self.root: etree._Element | None = None
        self.ended_early = False

    def __iter__(self) -> Iterator[tuple[etree._Element, bytes]]:
        """Yield the root element after each piece of the document, and the piece.

        All children of the root but the last are complete, with their tails. The caller deletes them.
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
                _check(self.root, parser.feed_error_log, self._data)
                yield self.root, chunk
            if parser is None:
                self.ended_early = True
                raise DocumentError("The file is empty.")
            self._close(parser)
        except etree.XMLSyntaxError as error:
            raise unreadable(error, self._data) from error

    def _parser(self, beginning: bytes) -> etree.XMLPullParser[etree._Element]:
        """Return a parser that reports the root element, by its name: to report all elements would double the time."""
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
            _check(self.root, parser.feed_error_log, self._data)

    def _has_root(self, parser: etree.XMLPullParser[etree._Element]) -> bool:
        # Further elements may have the root's name. Their events are fetched, since waiting events keep elements alive.
        for _, element in parser.read_events():
            if self.root is None:
                self.root = element
        return self.root is not None


class _Tags:
    """Refuses a start tag that is too long, before the parser makes attributes of it."""

    def __init__(self) -> None:
        self._open = b""
        self._line = 1

    def check(self, chunk: bytes) -> None:
        """Check the next piece of the document.

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
                f"The tag of <{shown(name)}> is longer than {_LONGEST_TAG} bytes. No payment needs so many attributes.",
                self._line,
            )
        # It is text, a comment or a CDATA section. The parser limits their length.
        self._open = b""


def _check_beginning(beginning: bytes) -> None:
    """Refuse a DOCTYPE before the parser sees it."""
    prolog = _PROLOG.match(beginning)
    assert prolog is not None
    end = prolog.end()
    line = 1 + beginning.count(b"\n", 0, end)
    if beginning.startswith(b"<!D", end):
        raise DocumentError(_DOCTYPE, line)
    if end > _LONGEST_PROLOG or (len(beginning) > _LONGEST_PROLOG and beginning[end : end + 2] in (b"<!", b"<?")):
        raise DocumentError(f"The first element does not start within the first {_LONGEST_PROLOG} bytes.", line)


def _check(root: etree._Element, log: etree._ListErrorLog, data: bytes) -> None:
    """Refuse what the parser accepts: prefixes that are not declared, and the inclusion of other files."""
    for entry in log:
        if entry.level >= etree.ErrorLevels.ERROR:
            # Namespaces in XML 1.0, section 5, forbids it. A result file with it could not be read again.
            raise broken(entry, data)
    if root.getroottree().docinfo.doctype:
        raise DocumentError(_DOCTYPE, 1)
    for element in root.iter(_XINCLUDE):
        raise DocumentError(
            f"<{named(element)}> would include another file (XInclude), which payment documents may not do.",
            line_of(element),
        )
