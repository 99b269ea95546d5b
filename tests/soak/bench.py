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
- Tables: 100,000 rows, 5 MB; the ideal is a loop over a bare ``csv.reader`` that makes an amount and a day of each row.
  Both looks are counted: if the table is whole, and what it holds.
- Batches: 50 files of one payment each are dropped at once into the inbox of a daemon that has paid one before; it
  takes them as one batch. Their documents name the invoices by number or by id.
- Calls on the folders: counted by strace in a running daemon. What a client answers itself (close, a look at an open
  file) does not count.
- A share: a folder passed through FUSE where each call takes 5 or 20 ms, files of one payment, a ConnectWise of 50 ms,
  and 1,000 requests a minute; from the first request to the last finished file.
- Start and rest: processor time of a command as a process of its own, the best of several rounds; resident memory of a
  daemon that has paid one file.
- The plain way: a ``requests.Session`` that looks up one invoice, lists its payments and posts one, in turn.

With ``--quick`` all numbers are smaller and the run takes about a minute; the ratios are coarser.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.table import Table
from soak.parsing import document_rows, table_rows
from soak.paying import LATENCY, limit_rows, settle, settle_plainly
from soak.running import batch_rows, large_rows, longest_pick_up, rest_rows, start_rows
from soak.servers import numbered
from soak.sharing import call_rows, share_rows
from soak.table import Row

from watcher.events import log as logs
from watcher.sandbox import PaymentSeed


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        limited_seconds: for the limits; whole windows beyond the settling.
        rounds: for documents.
        large: the payments of the largest file.
        shared: the files on a share.
    """

    new: int
    new_by_one_worker: int
    replaced: int
    plain: int
    limited_seconds: float
    rounds: int
    large: int
    shared: int


WHOLE = Size(
    new=2000, new_by_one_worker=400, replaced=500, plain=400, limited_seconds=54, rounds=5, large=430_000, shared=1000
)
QUICK = Size(
    new=320, new_by_one_worker=60, replaced=100, plain=30, limited_seconds=18, rounds=2, large=20_000, shared=200
)


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
    tell("50 files in one batch")
    yield from batch_rows()
    tell("calls on the folders")
    yield from call_rows()
    yield from share_rows(size.shared, tell)
    tell("100,000 payments in a document")
    yield from document_rows(size.rounds)
    tell("100,000 rows in a table")
    yield from table_rows(size.rounds)
    tell(f"{size.large:,} payments in a file")
    yield from large_rows(size.large)
    tell("15 files into an inbox")
    yield Row(
        "Last byte to first request, beyond settle_seconds, the longest of 15", longest_pick_up(), 2, " s", target=0.5
    )
    tell("a daemon at rest, and single commands")
    yield from rest_rows()
    yield from start_rows(size.rounds)
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
