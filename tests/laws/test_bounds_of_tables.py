"""What a table (CSV) may cost: one that means to exhaust the machine is read or refused in little time and memory."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.effort import effort
from support.tables import table, terms

from watcher.documents.formats import PaymentDocuments, records, unfinished
from watcher.errors import DocumentError

SIZE = 1_500_000
HEAD = table()
HUGE = {
    "line breaks": lambda: HEAD + b"\n" * SIZE,
    "empty rows": lambda: HEAD + b",,\n" * (SIZE // 3),
    "delimiters": lambda: HEAD + (b"," * 199 + b"\n") * (SIZE // 200),
    "delimiters in one row": lambda: HEAD + b"," * SIZE,
    "quotation marks": lambda: HEAD + b'"' * SIZE,
    "quoted line breaks": lambda: HEAD + b'"\n' * (SIZE // 2),
    "one cell": lambda: HEAD + b"x" * SIZE,
    "long cells": lambda: HEAD + b"".join(b"%d%s,1,1\n" % (n, b"x" * 100_000) for n in range(SIZE // 100_000)),
    "long amounts": lambda: HEAD + b"".join(b"1,%d%s,1\n" % (n, b"1" * 100_000) for n in range(SIZE // 100_000)),
    "long dates": lambda: HEAD + b"".join(b"1,1,%d%s\n" % (n, b"1" * 100_000) for n in range(SIZE // 100_000)),
    "no headings": lambda: b"x\n" * (SIZE // 2),
    "bytes of no encoding": lambda: HEAD + b"\x81" * SIZE,
    "zeros": lambda: HEAD + b"\0" * SIZE,
    "utf-16": lambda: ("\ufeff" + "x" * (SIZE // 2)).encode("utf-16-le"),
    "messages": lambda: HEAD + b"a,b,ErrorMessage: ,c\n" * (SIZE // 21),
}


def peak_memory():
    """Return the most memory that this process has taken (kilobytes)."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


@pytest.mark.parametrize("kind", HUGE)
def test_table_that_would_exhaust_the_machine_costs_little(kind):
    """Time and memory stay in proportion to its size."""
    content = HUGE[kind]()
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_memory()
    said = ""
    with effort() as spent:
        unfinished(content, terms())
        try:
            for _ in records(PaymentDocuments(table=terms()).of(content)):
                pass
        except DocumentError as error:
            said = str(error)
    assert len(said) < 1000
    assert spent.pieces < 200
    assert peak_memory() - before < 100 * 1024
