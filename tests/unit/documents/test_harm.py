"""Documents that mean harm, and documents of any bytes: they are read, or refused in words, at little cost."""

from __future__ import annotations

import itertools
import os
import re
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import effort
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


# --- time and memory ---------------------------------------------------------------------------------------------


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "use",
    [
        pytest.param(rooted(GOOD.replace("CW-1", "&j;")), id="in a value"),
        pytest.param(rooted(GOOD, start=f"<{ROOT} a='&j;'>"), id="in an attribute"),
    ],
)
def test_entities_that_multiply_are_refused_before_they_grow(use):
    """A document of a thousand bytes does not become one of gigabytes."""
    names = "abcdefghij"
    entities = f'<!ENTITY a "{"x" * 10}">' + "".join(
        f'<!ENTITY {name} "{f"&{smaller};" * 10}">' for smaller, name in itertools.pairwise(names)
    )
    hostile = f"<!DOCTYPE {ROOT} [{entities}]>".encode() + use

    with pytest.raises(DocumentError):
        read(hostile)
    assert unfinished(hostile) is None


def peak_memory():
    """Return the most memory that this process has taken (kilobytes)."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


def attributes():
    """Return a million attributes; a > in a value does not end the tag."""
    return "".join(f' a{number}=">"' for number in range(1_000_000))


HUGE = {
    "depth": lambda: rooted(f"<{RECORD}>{'<a>' * 100_000}{'</a>' * 100_000}</{RECORD}>"),
    "attributes of the root": lambda: f"<{ROOT}{attributes()}/>".encode(),
    "attributes of a record": lambda: rooted(f"{GOOD}<{RECORD}{attributes()}/>"),
    "attributes in utf-16": lambda: f"<{ROOT}{attributes()}/>".encode("utf-16"),
    "attributes with fake tags in utf-16": lambda: f"<{ROOT}{attributes().replace('>', chr(0x3C3C))}/>".encode(
        "utf-16"
    ),
    "elements of one record": lambda: rooted(f"<{RECORD}>{'<a/>' * 5_000_000}</{RECORD}>"),
    "text": lambda: rooted(f"<{RECORD}><Memo>{'x' * 30_000_000}</Memo></{RECORD}>"),
    "text outside of records": lambda: rooted("x" * 30_000_000),
    "comment": lambda: rooted(f"<!-- {'x' * 30_000_000} -->"),
    "section of text": lambda: rooted(f"<{RECORD}><![CDATA[{'x' * 30_000_000}]]></{RECORD}>"),
    "instruction": lambda: rooted(f"<?a {'x' * 30_000_000}?>"),
    "name": lambda: rooted(f"<{'x' * 30_000_000}/>"),
    "blanks before the root": lambda: b" " * 30_000_000 + rooted(GOOD),
    "comment before the root": lambda: f"<!-- {'x' * 30_000_000} -->".encode() + rooted(GOOD),
    "text that grows in quadrates": lambda: (
        f'<!DOCTYPE {ROOT} [<!ENTITY a "{"x" * 100_000}">]>'.encode() + rooted("&a;" * 100_000)
    ),
}


@pytest.mark.parametrize("kind", HUGE)
def test_document_that_would_exhaust_the_machine_is_refused_at_once_in_little_memory(kind):
    """No document takes much more memory than its own bytes, and it is refused quickly."""
    content = HUGE[kind]()
    # Making the content took more memory than reading it may take: forget that peak (proc(5), clear_refs).
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_memory()

    with effort() as spent:
        with pytest.raises(DocumentError):
            read(content)
        assert unfinished(content) is None

    assert spent.pieces < 300
    assert peak_memory() - before < 100 * 1024
