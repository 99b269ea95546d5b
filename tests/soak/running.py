"""What the installed program costs as a process: pick-up of a file, batches of small files, its start, its rest."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from operator import sub
from pathlib import Path
from tempfile import TemporaryDirectory

from soak.servers import Server, numbered, pays
from soak.table import Row
from support.documents import drop, invoice_payments
from support.program import Daemon, configure, program, until

from watcher.folders.layout import Folders
from watcher.sandbox import InvoiceSeed

_NAMES = ("inbox", "work", "success", "fail", "archive")
# The ids of the sandbox's invoices count from here.
_FIRST_ID = 1001
_BATCH = 50
# What the program may take to start, in seconds of the processor.
_STARTS = {"--version": 0.25, "--help": 0.25, "apply": 0.45}


@contextmanager
def installed(url: str, **sections: dict[str, object]) -> Iterator[tuple[Folders, Path]]:
    """Make folders and a configuration for a while.

    Args:
        url: the address of a sandbox.
        sections: keys of the configuration that differ, by section.
    """
    with TemporaryDirectory(prefix="bench-") as name:
        folders = Folders(*(Path(name, folder) for folder in _NAMES))
        for folder in _NAMES:
            Path(name, folder).mkdir()
        yield folders, configure(folders, url, **sections)


def longest_pick_up() -> float:
    """Drop files into the inbox of a daemon, and return the longest time to the first request, without the settling."""
    settling, times = 0.3, []
    invoices = numbered(15)
    inbox = {"settle_seconds": settling, "scan_seconds": 60, "observer": "native"}
    with (
        Server(invoices) as server,
        installed(server.url, inbox=inbox, logging={"level": "debug"}) as (folders, config),
        Daemon(config) as daemon,
    ):
        # The look at the start is not about a file.
        daemon.event("connectwise.request")
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


def batch_rows() -> Iterator[Row]:
    """Measure one batch of files of one payment each, which name their invoices by number or by id.

    The daemon has paid one file before: after the first payment of a run the payments of its invoice are listed.
    """
    first, *invoices = numbered(1 + _BATCH)
    documents = {
        "invoice number": [pays([invoice]) for invoice in invoices],
        "id": [_pays_by_id(_FIRST_ID + 1 + place, invoice) for place, invoice in enumerate(invoices)],
    }
    for what, contents in documents.items():
        name = f"Requests per payment, {_BATCH} files of one payment in one batch, by {what}"
        yield Row(name, _requests_of_batch([first, *invoices], contents) / _BATCH, 2, target=1.02)


def _pays_by_id(invoice_id: int, invoice: InvoiceSeed) -> bytes:
    payment = {"amount": str(invoice.total), "paymentDate": "2016-09-22T00:00:00Z", "invoice/id": str(invoice_id)}
    return invoice_payments(payment)


def _requests_of_batch(invoices: Sequence[InvoiceSeed], contents: Sequence[bytes]) -> int:
    inbox = {"observer": "off", "scan_seconds": 1, "settle_seconds": 1}
    with (
        Server(invoices) as server,
        installed(server.url, inbox=inbox, logging={"level": "debug"}) as (folders, config),
        Daemon(config) as daemon,
    ):
        daemon.tells("READY=1")
        drop(folders.inbox, "first.xml", pays(invoices[:1]))
        daemon.event("file.finished", file="first.xml")
        before = len(daemon.events("connectwise.request"))
        for place, content in enumerate(contents):
            drop(folders.inbox, f"{place}.xml", content)
        for place in range(len(contents)):
            daemon.event("file.finished", file=f"{place}.xml")
        requests = len(daemon.events("connectwise.request")) - before
    assert set(server.seen.rows) == {1}
    return requests


def start_rows(rounds: int) -> Iterator[Row]:
    """Measure the processor time of commands that do little, the best of several rounds each."""
    invoices = numbered(1)
    with Server(invoices) as server, installed(server.url) as (_, config):
        arguments = {name: [name] for name in _STARTS}
        arguments["apply"] += [pays(invoices).decode(), "--config", str(config)]
        for name, target in _STARTS.items():
            best = min(_processor_seconds(arguments[name], config.parent) for _ in range(rounds))
            yield Row(f"Processor time of {name}", best, 2, " s", target=target)


def _processor_seconds(arguments: Sequence[str], folder: Path) -> float:
    def so_far() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = so_far()
    ended = program(*arguments, folder=folder)
    assert ended.code == 0, ended.err
    return so_far() - before


def rest_rows() -> Iterator[Row]:
    """Measure the memory of a daemon that waits for its first file, and again after it has paid one (MiB)."""
    invoices = numbered(1)
    with (
        Server(invoices) as server,
        installed(server.url, inbox={"observer": "native", "scan_seconds": 60}) as (folders, config),
        Daemon(config) as daemon,
    ):
        daemon.tells("READY=1")
        yield Row("Memory of the daemon at rest", _resident(daemon.pid), 1, " MiB", target=60)
        drop(folders.inbox, "pay.xml", pays(invoices))
        daemon.event("file.finished")
        yield Row("Memory of the daemon at rest, after its first file", _resident(daemon.pid), 1, " MiB")


def large_rows(payments: int) -> Iterator[Row]:
    """Measure what one large file takes of the daemon: memory over rest (MB), and the longest time without a sign."""
    # Without a blank and without a time of day, so that it is within inbox.max_file_bytes.
    records = (
        f"<UpdateInvoicePayment><InvoiceNumber>CW-{number}</InvoiceNumber><PaidAmount>346.34</PaidAmount>"
        "<DatePaid>2016-09-22</DatePaid></UpdateInvoicePayment>"
        for number in range(payments)
    )
    content = f"<ArrayOfUpdateInvoicePayment>{''.join(records)}</ArrayOfUpdateInvoicePayment>".encode()
    with (
        # One invoice that no payment is about: a search that finds none at all would be in doubt.
        Server(numbered(1)) as server,
        # Here nobody reads the log, a line a payment.
        installed(server.url, inbox={"observer": "off", "scan_seconds": 1}, logging={"level": "error"}) as place,
        Daemon(place[1]) as daemon,
    ):
        daemon.tells("READY=1")
        rest = _resident(daemon.pid)
        drop(place[0].inbox, "large.xml", content)
        # The archived original is the last that is published.
        until(lambda: list(place[0].archive.rglob("*.xml")), within=600)
        signs = [at for at, _ in daemon.told]
        name = f"a file of {payments:,} payments, {len(content) / 1e6:.0f} MB"
        yield Row(f"Peak memory above rest, {name}", (_peak(daemon.pid) - rest) * 1.048576, 0, " MB", target=300)
        yield Row(f"Longest time without a sign of life, {name}", max(map(sub, signs[1:], signs)), 1, " s", target=30)


def _resident(pid: int) -> float:
    """Return the resident memory of a process that has come to rest (MiB; proc(5), VmRSS)."""
    # Whatever it still has to do is done by then.
    time.sleep(1)
    return _memory(pid, "VmRSS")


def _peak(pid: int) -> float:
    """Return the most memory that a process ever had (MiB; proc(5), VmHWM)."""
    return _memory(pid, "VmHWM")


def _memory(pid: int, kind: str) -> float:
    facts = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(facts.partition(f"{kind}:")[2].split(maxsplit=1)[0]) / 1024
