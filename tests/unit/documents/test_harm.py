"""Documents that mean harm, and documents of any bytes: they are read, or refused in words."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.markup import GOOD, RECORD, ROOT, SOAK, encoded_documents, law, only, rooted

from watcher.documents.reading import read
from watcher.documents.unfinished import unfinished
from watcher.documents.writing import write_results
from watcher.errors import DocumentError
from watcher.payments.model import Payment

# --- any bytes ---------------------------------------------------------------------------------------------------

_TOKENS = st.sampled_from(
    [
        *("<", ">", "/", "</", "/>", "=", "'", '"', "&", ";", ":", "!", "?", "#", "-", " ", "\n", "\0", "\x01"),
        *("a", "a:b", "xml", "xmlns", "xmlns:a='u'", "xml:lang='en'", "xsi:nil='true'", "&amp;", "&#x0;", "&a;", "]]>"),
        *("<!--", "-->", "<![CDATA[", "<?", "?>", "<!DOCTYPE a", "<!ENTITY a 'b'>", "[", "<a:b>", "<a:b:c/>", "<:a/>"),
        *("<?xml version='1.0'?>", "<?xml version='1.0' encoding='utf-16'?>", "\u00e9", "\ufeff", "\uffff"),
        *(f"<{ROOT}>", f"</{ROOT}>", f"<{RECORD}>", f"</{RECORD}>", GOOD, "<PaidAmount>", "</PaidAmount>", "1.00"),
    ]
)


@st.composite
def damaged_documents(draw):
    """Return documents with a stretch of bytes replaced by others."""
    content = draw(encoded_documents())
    start = draw(st.integers(0, len(content)))
    end = draw(st.integers(start, min(len(content), start + 20)))
    filling = draw(st.binary(max_size=8) | st.lists(_TOKENS, max_size=3).map("".join).map(str.encode))
    return content[:start] + filling + content[end:]


@settings(law, max_examples=300 * SOAK)
@given(
    st.binary(max_size=80)
    | st.lists(_TOKENS, max_size=20).map("".join).map(str.encode)
    | st.lists(_TOKENS, max_size=8).map("".join).map(lambda inside: rooted(f"{GOOD}<{RECORD}>{inside}</{RECORD}>"))
    | damaged_documents()
)
def test_whatever_the_bytes_only_a_document_error_comes_out(content):
    """No file can stop the program: it is read, or it is refused in words."""
    missing = unfinished(content)
    try:
        payments = read(content)
    except DocumentError as error:
        refusal, payments = str(error), None
    else:
        refusal = None

    if payments is None:
        assert refusal
    else:
        assert missing is None
        assert [record.position for record in payments] == list(range(len(payments)))
        write_results(content, [None] * len(payments))


# --- other files and connections ---------------------------------------------------------------------------------


@pytest.mark.timeout(10)
def test_nothing_a_document_names_is_fetched_or_opened(tmp_path):
    """Entities, document types, schemas and style sheets are never followed. An opened pipe would hang the test."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        for target in (url, pipe.as_uri(), str(pipe)):
            for doctype in (
                f'<!DOCTYPE {ROOT} SYSTEM "{target}">',
                f'<!DOCTYPE {ROOT} PUBLIC "-//x" "{target}">',
                f'<!DOCTYPE {ROOT} [<!ENTITY e SYSTEM "{target}">]>',
                f'<!DOCTYPE {ROOT} [<!ENTITY % e SYSTEM "{target}"> %e;]>',
            ):
                hostile = doctype.encode() + rooted(GOOD.replace("CW-1", "&e;"))
                assert unfinished(hostile) is None
                with pytest.raises(DocumentError, match="DOCTYPE"):
                    read(hostile)
            harmless = rooted(
                f"{GOOD}\n<?xml-stylesheet href='{target}'?>",
                start=f"<?xml-stylesheet href='{target}'?><{ROOT} xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'"
                f" xmlns:xi='http://www.w3.org/2001/XInclude' xsi:noNamespaceSchemaLocation='{target}'>",
            )
            assert isinstance(only(harmless), Payment)
            assert unfinished(harmless) is None
            hostile = harmless.replace(b"</DatePaid>", f"</DatePaid><xi:include href='{target}'/>".encode())
            with pytest.raises(DocumentError, match="XInclude"):
                read(hostile)
        with pytest.raises(BlockingIOError):
            listener.accept()
