"""What reading and writing a large document costs, in processor time and memory."""

from __future__ import annotations

import csv
import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from decimal import Decimal
from functools import partial
from io import BytesIO, StringIO
from itertools import islice
from pathlib import Path

from lxml import etree
from soak.servers import PROCESSES
from soak.table import Row
from support.documents import document

from watcher.documents.formats import PaymentDocuments, records, unfinished
from watcher.documents.reading import read
from watcher.documents.table_terms import Columns, Form, Notation, Terms
from watcher.documents.writing import result_file
from watcher.payments.model import ZERO, Record
from watcher.payments.outcomes import Outcome, Result


def document_rows(rounds: int) -> Iterator[Row]:
    """Measure reading and writing against a bare parser that touches the same elements."""
    content = document(*((f"CW-{number}", f"{number % 1000}.34") for number in range(100_000)))
    payments = read(content)
    results = [
        Result(one.position, one.line, "", Outcome.REJECTED, ZERO, message="Cannot find it")
        if one.position % 2
        else Result(one.position, one.line, "", Outcome.APPLIED, ZERO)
        for one in payments
    ]
    del payments
    ways = {
        "bare": lambda: bare_parse(content),
        "read": lambda: read(content),
        "write": lambda: written(content, results),
    }
    best = dict.fromkeys(ways, math.inf)
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            way()
            best[name] = min(best[name], time.process_time() - began)
    yield Row("Reading 100,000 payments against a bare iterparse", best["read"] / best["bare"], 2, target=2)
    yield Row("Writing their results against the same", best["write"] / best["bare"], 2, target=2)
    # A process that has done nothing yet has no memory to use again.
    for name, way in (("read", read), ("write", partial(written, results=results))):
        with ProcessPoolExecutor(1, mp_context=PROCESSES) as fresh:
            peak = fresh.submit(peak_megabytes, way, content).result()
        yield Row(f"Peak memory above rest, to {name} them", peak, 0, " MB", target=150)


def table_rows(rounds: int) -> Iterator[Row]:
    """Measure reading a table (CSV) against a bare loop over its cells, and against the bounds that users are told."""
    rows = (
        f'"M\u00fcller; S\u00f6hne";CW-{number};{number % 9}.346,{number % 100:02d};{1 + number % 28:02d}/09/2016'
        for number in range(100_000)
    )
    content = "\r\n".join(("Name;Invoice;Paid;Date", *rows, "")).encode()
    terms = Terms(
        Columns("Invoice", "Paid", "Date"), Notation(decimal=",", thousands=".", date_format="%d/%m/%Y"), Form()
    )
    ways = {
        "bare": lambda: bare_rows(content),
        "read": lambda: read_table(content, terms),
    }
    best = dict.fromkeys(ways, math.inf)
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            way()
            best[name] = min(best[name], time.process_time() - began)
    yield Row("Reading 100,000 rows of a table against a bare loop", best["read"] / best["bare"], 2, target=8)
    yield Row("Processor time of the same", best["read"], 2, " s", target=10)
    with ProcessPoolExecutor(1, mp_context=PROCESSES) as fresh:
        peak = fresh.submit(peak_megabytes, partial(read_table, terms=terms), content).result()
    yield Row("Peak memory above rest, to read them", peak, 0, " MB", target=150)


def bare_rows(content: bytes) -> None:
    """Make an amount and a day of every row, and do nothing with them."""
    for row in islice(csv.reader(StringIO(content.decode(), newline=""), delimiter=";"), 1, None):
        _, _, amount, day = row
        Decimal(amount.replace(".", "").replace(",", ".")), date(int(day[6:]), int(day[3:5]), int(day[:2]))


def read_table(content: bytes, terms: Terms) -> tuple[Record, ...]:
    """Find out if a table is whole, and read it."""
    assert unfinished(content, terms) is None
    return tuple(records(PaymentDocuments(table=terms).of(content)))


def written(content: bytes, results: Sequence[Result]) -> int:
    """Write both result files piece by piece, as they are published; return their size (bytes)."""
    return sum(len(piece) for rejected in (False, True) for piece in result_file(content, results, rejected=rejected))


def bare_parse(content: bytes) -> None:
    """Look up the three elements of every record and do nothing with them."""
    for _, record in etree.iterparse(BytesIO(content), tag="UpdateInvoicePayment"):
        record.findtext("InvoiceNumber"), record.findtext("PaidAmount"), record.findtext("DatePaid")
        record.clear()


def peak_megabytes(way: Callable[[bytes], object], content: bytes) -> float:
    """Return how many megabytes more a process takes while it does something than before."""

    def of(kind: str) -> int:
        facts = Path("/proc/self/status").read_text().partition(f"{kind}:")[2]
        return int(facts.split(maxsplit=1)[0])

    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = of("VmRSS")
    kept = way(content)
    assert kept
    return (of("VmHWM") - before) / 1000
