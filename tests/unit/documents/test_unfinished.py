"""Documents that are still being written, or were cut off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.documents import document
from support.markup import GOOD, RECORD, ROOT, encoded_documents, law, rooted

from watcher.documents.reading import read
from watcher.documents.unfinished import unfinished
from watcher.errors import DocumentError


@law
@given(encoded_documents(), st.data())
def test_document_cut_anywhere_is_unfinished_and_unreadable(content, data):
    """No beginning of a document, however near its end, is taken for a whole one."""
    assert unfinished(content) is None
    read(content)

    cut = content[: data.draw(st.integers(0, len(content) - 1), label="cut")]

    assert unfinished(cut) is not None
    with pytest.raises(DocumentError, match=r"The file is (cut off: .*Export it again|empty)"):
        read(cut)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16le", "utf-16be", "iso-8859-1", "windows-1252"]
)
def test_document_cut_at_every_byte_is_unfinished(encoding):
    """A document with every kind of markup is unfinished, at whatever byte it is cut."""
    content = (
        f"<?xml version='1.0' encoding='{encoding.removesuffix('-sig')}'?>\n<!-- \u00e9 & <a> -->"
        f"<x:{ROOT} xmlns:x='urn:x' a='&lt;'><?pi & </a> ?><x:{RECORD}><Memo a='x > &gt; y'>\u00fc&amp;&#233;</Memo>"
        f"<![CDATA[ & </a> ]]></x:{RECORD}><!-- & --></x:{ROOT}\n>"
    ).encode(encoding)

    assert unfinished(content) is None
    assert [length for length in range(len(content)) if unfinished(content[:length]) is None] == []


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        pytest.param(b"", "it is empty", id="no bytes"),
        pytest.param(b" \n", "no element in it yet", id="blank"),
        pytest.param(b"\xef\xbb\xbf", "no element in it yet", id="byte order mark alone"),
        pytest.param(b"<?xml version='1.0'?>\n", "no element in it yet", id="declaration alone"),
        pytest.param(f"<{ROOT}>".encode(), f"no closing </{ROOT}> yet", id="root alone"),
        pytest.param(f"<{ROOT}><{RECORD}>".encode(), f"no closing </{ROOT}> yet", id="open record"),
        pytest.param(f"<p:{ROOT} xmlns:p='urn:p'>".encode(), f"no closing </{ROOT}> yet", id="prefixed root"),
        pytest.param(rooted(GOOD)[:50] + bytes(4096), "reserved space", id="zeros after the beginning"),
        pytest.param(bytes(4096), "reserved space", id="zeros alone"),
        pytest.param(rooted(GOOD) + bytes(4), "reserved space", id="zeros after the end"),
    ],
)
def test_unfinished_document_says_what_it_misses(content, missing):
    """Someone who asks why a file waits gets an answer."""
    assert missing in unfinished(content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(f"<{ROOT}/>".encode(), id="self-closing root"),
        pytest.param(document(("CW-1", "1")), id="payments"),
        pytest.param(document(("CW-1", "1")) + b"\r\n\r\n", id="blank lines after the end"),
        pytest.param(document(("CW-1", "1")).decode().replace("utf-8", "utf-16").encode("utf-16"), id="utf-16"),
        pytest.param(rooted("<Memo/>"), id="another element"),
    ],
)
def test_whole_document_is_not_unfinished(content):
    """A document that reaches its closing root tag misses nothing."""
    assert unfinished(content) is None
