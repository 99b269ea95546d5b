"""Finds out if an XML document still misses its end, because it is still being written or was cut off. Pure."""

from __future__ import annotations

import re

from lxml import etree

from watcher.documents.encoding import CutOff, not_xml, wide_encoding
from watcher.documents.kinds import head_of, web_page
from watcher.documents.xml_stream import Stream, named
from watcher.errors import DocumentError

# The last & of a document, if no reference follows it, not even one that is cut off.
_BARE_AMPERSAND = re.compile(rb"&[#\w.:\x80-\xff-]*[^#\w.:;\x80-\xff-][^&;]*$")
# The places where an ampersand may stand for itself. The last one may be cut off.
_QUOTED = re.compile(rb"<!\[CDATA\[.*?(\]\]>|$)|<!--.*?(-->|$)|<\?.*?(\?>|$)", re.DOTALL)

# The closing tag at a document's end.
_LAST_TAG = re.compile(rb"</(?:[^<>:\s]*:)?([^<>:\s]+)\s*>\s*$")


def _forget(root: etree._Element) -> None:
    """Delete the complete elements. Those that are still open stay, each with the last of its children."""
    element = root
    while len(element):
        del element[:-1]
        element = element[0]


def unfinished(data: bytes) -> str | None:
    """Return what a document still misses.

    A document that is broken in any other way is not unfinished: waiting will not mend it.

    Args:
        data: the bytes that have been written so far.

    Returns:
        What is missing, in words; None if the document has its closing root tag, or is broken.
    """
    if not data:
        return "it is empty"
    if b"\0\0\0\0" in data and _may_be_text(data):
        # A writer may set a file's size first; zeros stand where it has not written yet. No text holds four zero bytes.
        return "part of it is reserved space that has not been written yet"
    stream = Stream(data, bare=True)
    try:
        for root, _ in stream:
            _forget(root)
    except CutOff:
        return _missing_end(stream)
    except DocumentError:
        if not stream.ended_early or _has_bare_ampersand(data):
            return None
        return _missing_end(stream)
    return None


def real_fault(data: bytes, error: DocumentError) -> DocumentError:
    """Return the real fault of a document: a web page, and a document that was cut off, can seem to have another.

    Args:
        data: the document's bytes.
        error: the fault that was found.
    """
    if (kind := web_page(data)) is not None:
        return not_xml(kind)
    missing = unfinished(data)
    if missing is None or not data:
        return error
    if not head_of(data).strip():
        return DocumentError("The file is empty: it holds no letter but blanks or line breaks. Export it again.")
    tag = _LAST_TAG.search(data)
    if tag and missing == _no_closing(tag[1].decode(errors="replace")):
        return DocumentError(
            "Quotation marks in a tag, a comment (<!--) or a CDATA section (<![CDATA[) are opened and never closed, so "
            "that the closing tag at the end does not count. Close them, or export the file again.",
            error.line,
        )
    return DocumentError(f"The file is cut off: {missing.removesuffix(' yet')}. Export it again.", error.line)


def _missing_end(stream: Stream) -> str:
    if stream.root is None:
        return "no element in it yet"
    return _no_closing(named(stream.root))


def _no_closing(name: str) -> str:
    return f"no closing </{name}> yet"


def _may_be_text(data: bytes) -> bool:
    """Return False if a document's first bytes are those of a file of another kind, such as an archive."""
    try:
        wide_encoding(data)
    except CutOff:
        return True
    except DocumentError:
        return False
    return True


def _has_bare_ampersand(data: bytes) -> bool:
    """Return True if the document ends after a bare &: the parser waits for a reference, but the document is broken."""
    if wide := wide_encoding(data):
        data = data.decode(wide, errors="ignore").encode()
    return _BARE_AMPERSAND.search(_QUOTED.sub(b"", data)) is not None
