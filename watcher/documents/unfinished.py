"""Whether a document still misses its end, as one that is being written does. Pure."""

from __future__ import annotations

import re

from lxml import etree

from watcher.documents.encoding import CutOff, wide_encoding
from watcher.documents.xml_stream import Stream, local_name
from watcher.errors import DocumentError

# The last & of a document if what follows is no reference, not even one that is cut off.
_BARE_AMPERSAND = re.compile(rb"&[#\w.:\x80-\xff-]*[^#\w.:;\x80-\xff-][^&;]*$")
# Where an ampersand may stand for itself, whole or cut off.
_QUOTED = re.compile(rb"<!\[CDATA\[.*?(\]\]>|$)|<!--.*?(-->|$)|<\?.*?(\?>|$)", re.DOTALL)


def _forget(root: etree._Element) -> None:
    """Delete every element that is complete; what is still open, and the last of its children, stays."""
    element = root
    while len(element):
        del element[:-1]
        element = element[0]


def unfinished(data: bytes) -> str | None:
    """Say whether a document still misses its end, as one that is being written does.

    A document that is broken in any other way is not unfinished: it will not get better by waiting.

    Args:
        data: the bytes so far.

    Returns:
        What is missing, in words; None when the document reaches its closing root tag or cannot become one.
    """
    if not data:
        return "it is empty"
    if b"\0\0\0\0" in data and _may_be_text(data):
        # A writer that sets the size first leaves zeros where it has not written yet; no text encoding holds four.
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


def cut_off(data: bytes, error: DocumentError) -> DocumentError:
    """Give the better answer where a document's fault is that it was cut off: a cut can look like another fault.

    Args:
        data: the document's bytes.
        error: what was found in it.
    """
    missing = unfinished(data)
    if not data or missing is None:
        return error
    return DocumentError(f"The file is cut off: {missing}. Export it again.", error.line)


def _missing_end(stream: Stream) -> str:
    if stream.root is None:
        return "no element in it yet"
    return f"no closing </{local_name(stream.root)}> yet"


def _may_be_text(data: bytes) -> bool:
    """Say whether a document's first bytes are not those of an archive or a workbook."""
    try:
        wide_encoding(data)
    except CutOff:
        return True
    except DocumentError:
        return False
    return True


def _has_bare_ampersand(data: bytes) -> bool:
    """Say whether the parser waits for the semicolon of a reference that is none: broken, not unfinished."""
    if wide := wide_encoding(data):
        data = data.decode(wide, errors="ignore").encode()
    return _BARE_AMPERSAND.search(_QUOTED.sub(b"", data)) is not None
