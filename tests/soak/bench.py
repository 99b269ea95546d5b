"""Measures what the program costs, as ratios, so that two machines can be compared: ``make bench``, some 4 minutes.

The server is the sandbox, real HTTP in a process of its own, so that it shares no interpreter lock with the client.
What runs is ``apply()`` with the client it has in use; time is taken around it alone. Every run is checked: each
payment is applied, and no invoice has two.

- Requests per payment: counted by the server.
- Time against the ideal: the ideal is payments x latency / workers, as if nothing but the POSTs had to be waited for.
  The pace is the highest that the configuration allows, so that the pace is not what is measured. For 16 workers it is
  the best of three runs: there, what else the machine does shows most.
- Under a limit: the server lets through 100 requests in 6 s, a limit of 1,000 a minute with its time scaled down to a
  tenth, and answers any other with 429 and in Retry-After the time until it would let one through, rounded up to
  seconds that are scaled down alike, or to whole ones. A sliding window counts the last 6 s at any moment; a fixed one
  starts from zero every 6 s. The client is set to ten times the limit and has to find it; what it used of it, and what
  it was refused, is counted by the server once 12 s have passed. The same is run with the client set to 900 a minute.
  These runs go side by side; each has a server of its own.
- Pick-up: a file is written in two pieces into the inbox of a daemon that watches it natively, 15 times, as soon as
  the one before is done or a little later; from its last byte to the first request, less ``settle_seconds``.
- Processor time: of this process, during the run with 4 workers.
- Documents: 100,000 payments, 18 MB. The ideal is a bare lxml ``iterparse`` that looks up the three elements of each
  record and clears it; reading, and writing both result files with every other record rejected, are compared with it by
  processor time, the best of several rounds each. Memory is the peak of the process above what it held before
  (proc(5), VmHWM), the document's own bytes not counted.
- The plain way: a ``requests.Session`` that looks up one invoice, lists its payments and posts one, in turn.

With ``--quick`` all numbers are smaller and the run takes about a minute; the ratios are coarser.
"""

from __future__ import annotations

import gc
import math
import multiprocessing
import os
import platform
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
from lxml import etree
from rich.console import Console
from rich.table import Table
from support.connectwise import account
from support.documents import document
from support.program import Daemon, configure

from watcher.actions.apply import Applied, apply
from watcher.connectwise.client import ConnectWise
from watcher.connectwise.http import Gateway
from watcher.connectwise.pace import Pace
from watcher.connectwise.workers import Workers
from watcher.documents.reading import read
from watcher.documents.writing import write_results
from watcher.errors import Stopping
from watcher.events import log as logs
from watcher.folders.spool import Folders
from watcher.payments.model import ZERO, Rules
from watcher.payments.outcomes import Outcome, Result
from watcher.sandbox import InvoiceSeed, PaymentSeed, Sandbox, SignIn, numbered_invoices
from watcher.sandbox.books import Books
from watcher.sandbox.errors import TooManyRequestsError
from watcher.sandbox.gate import RateLimit
from watcher.sandbox.site import Site

LATENCY = 0.05
# The highest pace that the configuration takes.
UNPACED = 60_000
# The server's limit: so many requests in so many seconds.
LIMIT = 100
WINDOW = 6.0
LIMIT_A_MINUTE = LIMIT / WINDOW * 60
# Seconds in which the client may find the limit.
SETTLING = 2 * WINDOW

# Servers are forked off a process that has no threads and has imported what takes long.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    ["pytest", "rich.table", "watcher.actions.apply", "watcher.connectwise.client", "watcher.sandbox"]
)


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        limited_seconds: for the limits; whole windows beyond the settling.
        rounds: for documents.
    """

    new: int
    new_by_one_worker: int
    replaced: int
    plain: int
    limited_seconds: float
    rounds: int


WHOLE = Size(new=2000, new_by_one_worker=400, replaced=500, plain=400, limited_seconds=54, rounds=5)
QUICK = Size(new=320, new_by_one_worker=60, replaced=100, plain=30, limited_seconds=18, rounds=2)


class Window(RateLimit):
    """Lets through so many requests a window, and remembers when each one came and whether it was let through.

    Attributes:
        step: what Retry-After is rounded up to, seconds.
    """

    step = WINDOW / 60

    def __init__(self):
        self._lock = threading.Lock()
        self._admitted: deque[float] = deque(maxlen=LIMIT)
        self.asked: list[tuple[float, bool]] = []

    def admit(self):
        with self._lock:
            now = time.monotonic()
            wait = self._free_at(now) - now if len(self._admitted) == LIMIT else 0.0
            self.asked.append((now, wait <= 0))
            if wait > 0:
                raise TooManyRequestsError(round(math.ceil(wait / self.step) * self.step, 3))
            self._admitted.append(now)

    def _free_at(self, now: float) -> float:
        """When the next request is let through, given that there were enough to fill a window."""
        raise NotImplementedError


class Sliding(Window):
    """Counts the last seconds at any moment."""

    def _free_at(self, now):
        return self._admitted[0] + WINDOW


class SlidingInWholeSeconds(Sliding):
    """Tells the whole seconds to wait, as a server of a whole minute would."""

    step = 1.0


class Fixed(Window):
    """Starts from zero again and again; the first request comes in the middle of a window."""

    def _free_at(self, now):
        origin = self.asked[0][0] - WINDOW / 2
        begun = origin + (now - origin) // WINDOW * WINDOW
        return begun + WINDOW if self._admitted[0] >= begun else now


@dataclass(frozen=True)
class Seen:
    """What a server saw.

    Attributes:
        requests: how many came, by method and path template.
        rows: how many payment rows each invoice has in the end.
        asked: when each request came and whether the limit let it through; nothing where there is no limit.
    """

    requests: dict[str, int]
    rows: list[int]
    asked: list[tuple[float, bool]]

    @property
    def all_requests(self) -> int:
        return sum(self.requests.values())

    @property
    def refused(self) -> int:
        return sum(not admitted for _, admitted in self.asked)


class Server:
    """A sandbox in another process, for as long as a ``with`` block; what it saw is in ``seen`` afterwards."""

    def __init__(self, invoices: Sequence[InvoiceSeed], latency: float = 0.0, window: type[Window] | None = None):
        self._ours, self._theirs = _PROCESSES.Pipe()
        self._process = _PROCESSES.Process(target=serve, args=(self._theirs, invoices, latency, window), daemon=True)
        self.url = ""
        self.seen = Seen({}, [], [])

    def __enter__(self):
        self._process.start()
        self._theirs.close()
        self.url = self._ours.recv()
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self._ours.send("that was all")
            self.seen = self._ours.recv()
        self._ours.close()
        self._process.join()


def serve(ours: Connection, invoices: Sequence[InvoiceSeed], latency: float, window: type[Window] | None):
    """Serve until the other side says that it was all, or ends."""
    sandbox = Sandbox(invoices, latency=latency)
    limiter = window() if window else None
    if limiter:
        # The sandbox's own limit is a token bucket of a whole minute; there is no parameter for another one.
        sandbox._site = Site(Books(invoices), SignIn(), limiter)
    with sandbox:
        ours.send(sandbox.url)
        try:
            ours.recv()
        except EOFError:
            return
        books = sandbox.books()
        rows = [len(invoice["paymentRows"]) for invoice in books["invoices"]]
        ours.send(Seen(books["requests"], rows, limiter.asked if limiter else []))


@dataclass(frozen=True)
class Run:
    """What a run took: seconds by the clock and of the processor, and what the server saw of it."""

    payments: int
    seconds: float
    processor_seconds: float
    seen: Seen

    @property
    def requests_per_payment(self) -> float:
        return self.seen.all_requests / self.payments


def applied(data: bytes, url: str, workers: int, requests_per_minute: float, stop: threading.Event) -> Applied:
    """Apply a document as the command line does."""
    client = ConnectWise(Gateway(account(url), Pace(requests_per_minute, stop)))
    return apply(data, client, Workers(workers, stop), Rules())


def pays(invoices: Sequence[InvoiceSeed]) -> bytes:
    """Give a document that pays each invoice in full."""
    return document(*((invoice.number, str(invoice.total)) for invoice in invoices))


def settle(invoices: Sequence[InvoiceSeed], workers: int, latency: float) -> Run:
    """Pay each invoice with nothing to hold it up."""
    data = pays(invoices)
    with Server(invoices, latency) as server:
        began, processor_began = time.perf_counter(), time.process_time()
        outcome = applied(data, server.url, workers, UNPACED, threading.Event())
        seconds, processor_seconds = time.perf_counter() - began, time.process_time() - processor_began
    assert [result.outcome for result in outcome.known] == [Outcome.APPLIED] * len(invoices), outcome.held_up_by
    assert set(server.seen.rows) == {1}
    return Run(len(invoices), seconds, processor_seconds, server.seen)


def settle_plainly(invoices: Sequence[InvoiceSeed]) -> Run:
    """Pay each invoice as a short script would, one call after another."""
    with Server(invoices, LATENCY) as server, requests.Session() as session:
        ours = account(server.url)
        session.trust_env = False
        session.auth = (f"{ours.company}+{ours.public_key}", ours.private_key)
        session.headers["clientId"] = ours.client_id
        began, processor_began = time.perf_counter(), time.process_time()
        for invoice in invoices:
            condition = {"conditions": f'invoiceNumber="{invoice.number}"'}
            (found,) = session.get(f"{ours.url}/finance/invoices", params=condition).json()
            payments = f"{ours.url}/finance/invoices/{found['id']}/payments"
            assert session.get(payments).json() == []
            body = {"type": "P", "amount": float(invoice.total), "invoice": {"id": found["id"]}}
            session.post(payments, json=body).raise_for_status()
        seconds, processor_seconds = time.perf_counter() - began, time.process_time() - processor_began
    assert set(server.seen.rows) == {1}
    return Run(len(invoices), seconds, processor_seconds, server.seen)


def settle_within(window: type[Window], requests_per_minute: float, seconds: float) -> Seen:
    """Pay more invoices than the limit allows until the time is up; give what the server saw in that time."""
    invoices = numbered_invoices(int(LIMIT / WINDOW * (seconds + 2 * WINDOW)))
    data = pays(invoices)
    stop = threading.Event()
    with Server(invoices, window=window) as server:
        time_is_up = threading.Timer(seconds + 0.5, stop.set)
        time_is_up.start()
        outcome = applied(data, server.url, 4, requests_per_minute, stop)
        time_is_up.cancel()
    assert isinstance(outcome.held_up_by, Stopping), outcome.held_up_by or "there were too few payments"
    assert {result.outcome for result in outcome.known} <= {Outcome.APPLIED}
    assert set(server.seen.rows) <= {0, 1}
    began = server.seen.asked[0][0]
    return replace(server.seen, asked=[one for one in server.seen.asked if one[0] < began + seconds])


@dataclass(frozen=True)
class Row:
    """A line of the table; a target that nobody has set is none."""

    name: str
    measured: float
    digits: int = 2
    unit: str = ""
    target: float | None = None
    at_least: bool = False

    @property
    def cells(self) -> tuple[str, str, str, str]:
        measured = f"{self.measured:,.{self.digits}f}{self.unit}"
        if self.target is None:
            return self.name, measured, "", ""
        met = self.measured >= self.target if self.at_least else self.measured <= self.target
        words = "at least" if self.at_least else "at most"
        return self.name, measured, f"{words} {self.target:g}{self.unit}", "ok" if met else "MISS"


def rows(size: Size, tell: Callable[[str], None]) -> Iterator[Row]:
    """Measure everything, in the order of the table."""
    tell(f"{size.new:,} new payments, 4 workers")
    by_four = settle(numbered(size.new), 4, LATENCY)
    tell(f"{size.replaced:,} replaced payments")
    replaced = settle(numbered(size.replaced, PaymentSeed(Decimal(1), date(2016, 1, 1))), 4, 0)
    yield Row(f"Requests per payment, {size.new:,} new", by_four.requests_per_payment, 3, target=1.02)
    yield Row(f"Requests per payment, {size.replaced:,} replaced", replaced.requests_per_payment, 3, target=2.02)
    tell(f"{size.new_by_one_worker:,} new payments, 1 worker")
    by_one = settle(numbered(size.new_by_one_worker), 1, LATENCY)
    tell(f"{size.new:,} new payments, 16 workers")
    by_sixteen = min((settle(numbered(size.new), 16, LATENCY) for _ in range(3)), key=lambda run: run.seconds)
    for workers, run in ((1, by_one), (4, by_four), (16, by_sixteen)):
        name = f"Time against the ideal, {workers} worker{'s' * (workers > 1)}, {run.payments:,} new, 50 ms latency"
        yield Row(name, run.seconds / (run.payments * LATENCY / workers), 3, target=1.15)
    tell("100,000 payments in a document")
    yield from document_rows(size.rounds)
    tell("15 files into an inbox")
    yield Row(
        "Last byte to first request, beyond settle_seconds, the longest of 15", longest_pick_up(), 2, " s", target=0.5
    )
    tell(f"limits, {size.limited_seconds:.0f} s")
    yield from limit_rows(size.limited_seconds)
    yield Row("Processor time per payment, 4 workers", by_four.processor_seconds / by_four.payments * 1000, 2, " ms")
    tell(f"{size.plain:,} new payments, one call after another")
    plain = settle_plainly(numbered(size.plain))
    tell(f"the same {size.plain:,} payments, 4 workers")
    ours = settle(numbered(size.plain), 4, LATENCY)
    name = f"against one call after another, {size.plain:,} new, 4 workers"
    yield Row(f"Time {name}", ours.seconds / plain.seconds, 3)
    yield Row(f"Requests {name}", ours.seen.all_requests / plain.seen.all_requests, 3)


def longest_pick_up() -> float:
    """Drop files into the inbox of a daemon; give the longest time to the first request, without the settling."""
    settling, times = 0.3, []
    invoices = numbered(15)
    with Server(invoices) as server, TemporaryDirectory(prefix="bench-") as name:
        folders = Folders(*(Path(name, folder) for folder in ("inbox", "work", "success", "fail", "archive")))
        for folder in ("inbox", "work", "success", "fail", "archive"):
            Path(name, folder).mkdir()
        inbox = {"settle_seconds": settling, "scan_seconds": 60, "observer": "native"}
        config = configure(folders, server.url, inbox=inbox, logging={"level": "debug"})
        with Daemon(config) as daemon:
            daemon.tells("READY=1")
            for ordinal, invoice in enumerate(invoices):
                content = pays([invoice])
                with (folders.inbox / f"{ordinal}.xml").open("wb") as file:
                    file.write(content[:50])
                    file.flush()
                    time.sleep(ordinal % 5 * 0.13)
                    file.write(content[50:])
                written, before = time.time(), len(daemon.events("connectwise.request"))
                daemon.event("file.finished", file=f"{ordinal}.xml")
                request = daemon.events("connectwise.request")[before]
                answered = datetime.fromisoformat(request["timestamp"]).timestamp()
                times.append(answered - request["duration_ms"] / 1000 - written - settling)
    return max(times)


def document_rows(rounds: int) -> Iterator[Row]:
    """Measure reading and writing against a bare parser that touches the same elements."""
    content = document(*((f"CW-{number}", f"{number % 1000}.34") for number in range(100_000)))
    records = read(content)
    results = [
        Result(one.position, one.line, "", Outcome.REJECTED, ZERO, message="Cannot find it")
        if one.position % 2
        else Result(one.position, one.line, "", Outcome.APPLIED, ZERO)
        for one in records
    ]
    del records
    ways = {
        "bare": lambda: bare_parse(content),
        "read": lambda: read(content),
        "write": lambda: write_results(content, results),
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
    for name, way in (("read", read), ("write", partial(write_results, results=results))):
        with ProcessPoolExecutor(1, mp_context=_PROCESSES) as fresh:
            peak = fresh.submit(peak_megabytes, way, content).result()
        yield Row(f"Peak memory above rest, to {name} them", peak, 0, " MB", target=150)


def bare_parse(content: bytes) -> None:
    """Look up the three elements of every record and do nothing with them."""
    for _, record in etree.iterparse(BytesIO(content), tag="UpdateInvoicePayment"):
        record.findtext("InvoiceNumber"), record.findtext("PaidAmount"), record.findtext("DatePaid")
        record.clear()


def peak_megabytes(way: Callable[[bytes], object], content: bytes) -> float:
    """Say how much more memory a process takes while it does something than before."""

    def of(kind: str) -> int:
        facts = Path("/proc/self/status").read_text().partition(f"{kind}:")[2]
        return int(facts.split(maxsplit=1)[0])

    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = of("VmRSS")
    kept = way(content)
    assert kept
    return (of("VmHWM") - before) / 1000


def limit_rows(seconds: float) -> Iterator[Row]:
    kinds = {
        "sliding window": Sliding,
        "fixed window": Fixed,
        "sliding window, waits in whole seconds": SlidingInWholeSeconds,
    }
    cases = [(window, 10 * LIMIT_A_MINUTE) for window in kinds.values()] + [(Sliding, 900), (Fixed, 900)]
    with ThreadPoolExecutor(len(cases)) as pool:
        *found, below_sliding, below_fixed = pool.map(lambda case: settle_within(*case, seconds), cases)
    for kind, seen in zip(kinds, found, strict=True):
        began = seen.asked[0][0]
        settled = replace(seen, asked=[one for one in seen.asked if one[0] >= began + SETTLING])
        allowed = LIMIT / WINDOW * (seconds - SETTLING)
        admitted = len(settled.asked) - settled.refused
        name = f"{kind}, 100 in 6 s, {SETTLING:.0f} to {seconds:.0f} s"
        # Seconds that are not scaled down are coarse for a window that is: each wait may lose a sixth of it.
        target = None if "whole seconds" in kind else 95
        yield Row(f"Limit used, {name}", 100 * admitted / allowed, 1, " %", target=target, at_least=True)
        yield Row(f"429s per 100 requests, {name}", 100 * settled.refused / len(settled.asked), 2, target=1)
    refused = below_sliding.refused + below_fixed.refused
    yield Row("429s at 900 a minute, 100 in 6 s, either window", refused, 0, target=0)


def numbered(count: int, *payments: PaymentSeed) -> list[InvoiceSeed]:
    """Give invoices that each hold the same payments."""
    return [replace(invoice, payments=payments) for invoice in numbered_invoices(count, first=2)]


def machine() -> str:
    """Name what this runs on, and how busy it was with other things."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {python}, load {os.getloadavg()[0]:.1f} at the start"


def main():
    """Measure, telling on standard error how far it is, and print the table."""
    # A 429 is what is counted here, not news.
    logs.set_up("error")
    about = machine()
    table = Table("Measure", "Measured", "Target", "")
    table.columns[1].justify = "right"
    progress = Console(stderr=True)
    for row in rows(QUICK if "--quick" in sys.argv[1:] else WHOLE, progress.print):
        table.add_row(*row.cells)
    out = Console(width=None if sys.stdout.isatty() else 140)
    out.print(about, highlight=False)
    out.print(table)


if __name__ == "__main__":
    main()
