"""What a document may cost: one that means to exhaust the machine is refused at once, in little memory."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from support.effort import effort
from support.markup import GOOD, RECORD, ROOT, rooted

from watcher.documents.reading import read
from watcher.documents.unfinished import unfinished
from watcher.errors import DocumentError


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
