"""Runs the daemon through a week of work in a quarter of an hour, and prints what it takes up at the end of each day.

20,000 files, twenty at a time under names that come up again, most of them with payments of a few invoices, some with
errors, some refused, and an outage a day. ConnectWise is the sandbox, the daemon a process of its own whose wall clock
runs through the week (libfaketime, where it is installed). Memory, open files, threads and the journal's bytes a
payment must be at the end of the last day what they were at the end of the first; in the end every invoice has at most
one payment and every file lies in the archive.

    cd tests && python -m soak.week [--files N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from support.documents import document, drop, files
from support.program import Daemon, configure, until

from watcher.folders.layout import Folders
from watcher.sandbox import Sandbox, numbered_invoices

DAYS = 7
DAY_SECONDS = 86400
INVOICES = 3000
WAVE = 20
# What a process may hold more of on the last day than on the first.
GROWTH = 1.1
_FAKETIME = [*Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]


@dataclass(frozen=True)
class Taken:
    """What the daemon takes up at one moment."""

    files: int
    payments: int
    seconds: float
    megabytes: float
    descriptors: int
    threads: int
    journal: int

    @property
    def bytes_a_payment(self) -> float:
        """What the journal has grown by for each payment so far."""
        return self.journal / self.payments


class Week:
    """The files of a week, one wave after another, through one daemon."""

    def __init__(
        self, daemon: Daemon, folders: Folders, clock: Path, sandbox: Sandbox, numbers: Sequence[str], files: int
    ) -> None:
        self._daemon, self._folders, self._clock, self._sandbox = daemon, folders, clock, sandbox
        self._numbers = numbers
        self._waves = files // DAYS // WAVE
        self.files = self.payments = 0

    def day(self, number: int) -> Taken:
        """Work through one day, with an outage at noon, and return what is taken up at its end."""
        began = time.monotonic()
        for wave in range(self._waves):
            self._clock.write_text(f"+{int(DAY_SECONDS * (number + wave / self._waves))}", encoding="ascii")
            noon = wave == self._waves // 2
            if noon:
                self._sandbox.stop()
            for place in range(WAVE):
                drop(self._folders.inbox, f"export {place}.xml", self._content())
            if noon:
                self._daemon.event("line.waiting")
                self._sandbox.start()
            until(lambda: not any(self._folders.inbox.glob("export*")) and not any(self._folders.work.iterdir()), 60)
            self._daemon.log.clear()
        return self._taken(time.monotonic() - began)

    def _content(self) -> bytes:
        """Return the next file: one in fifty cannot be read, one in ten names an invoice that is not there."""
        self.files += 1
        if self.files % 50 == 0:
            return b"<ArrayOfUpdateInvoicePayment></ArrayOfUpdateInvoicePayments>"
        numbers = (self._numbers[(self.files * 7 + step) % INVOICES] for step in range(1 + self.files % 4))
        payments = [(number, f"{1 + self.files % 9}.50") for number in numbers]
        if self.files % 10 == 0:
            payments.append(("CW-NONE", "1.00"))
        self.payments += len(payments)
        return document(*payments)

    def _taken(self, seconds: float) -> Taken:
        process = Path("/proc", str(self._daemon.pid))
        facts = dict(line.split(":", 1) for line in (process / "status").read_text(encoding="ascii").splitlines())
        journal = sum(path.stat().st_size for path in self._folders.inbox.parent.glob("journal.db*"))
        return Taken(
            self.files,
            self.payments,
            seconds,
            int(facts["VmRSS"].split()[0]) / 1000,
            len(list((process / "fd").iterdir())),
            int(facts["Threads"]),
            journal,
        )


def not_flat(first: Taken, last: Taken) -> list[str]:
    """Return what is more at the end of the last day than at the end of the first."""
    grown = {
        "memory": (first.megabytes, last.megabytes),
        "open files": (first.descriptors, last.descriptors),
        "threads": (first.threads, last.threads),
        "journal bytes a payment": (first.bytes_a_payment, last.bytes_a_payment),
    }
    return [
        f"{name}: {before:.0f}, then {after:.0f}" for name, (before, after) in grown.items() if after > before * GROWTH
    ]


@contextmanager
def working(place: Path, clock: Path, sandbox: Sandbox) -> Iterator[tuple[Daemon, Folders]]:
    """Run a daemon on folders of its own, with a wall clock of its own."""
    folders = Folders(*(place / name for name in ("inbox", "work", "success", "fail", "archive")))
    for name in ("inbox", "work", "success", "fail", "archive"):
        (place / name).mkdir()
    clock.write_text("+0", encoding="ascii")
    faked = {
        "LD_PRELOAD": str(next(iter(_FAKETIME), "")),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    # Under libfaketime the sleep of watchdog's native observer fails.
    options = {"settle_seconds": 0, "scan_seconds": 0.2, "observer": "polling" if _FAKETIME else "native"}
    config = configure(folders, sandbox.url, inbox=options, status={"listen": "127.0.0.1:0"})
    with Daemon(config, **(faked if _FAKETIME else {})) as daemon:
        daemon.tells("READY=1")
        yield daemon, folders
        assert daemon.end() == 0


def main() -> int:
    """Run the week; 1 if something grew, or is not where it belongs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=20_000, metavar="N")
    asked = parser.parse_args().files
    invoices = numbered_invoices(INVOICES, first=2)
    console = Console(width=None if sys.stdout.isatty() else 120)
    if not _FAKETIME:
        console.print("without libfaketime (package faketime): the wall clock is not that of a week")
    table = Table(
        "Day", "Files", "Payments", "ms a file", "Memory MB", "Open files", "Threads", "Journal bytes a payment"
    )
    with tempfile.TemporaryDirectory(prefix="week-") as name, Sandbox(invoices) as sandbox:
        place = Path(name)
        with working(place, place / "clock", sandbox) as (daemon, folders):
            week = Week(daemon, folders, place / "clock", sandbox, [invoice.number for invoice in invoices], asked)
            days = [week.day(number) for number in range(DAYS)]
        for number, (day, before) in enumerate(zip(days, [None, *days], strict=False), 1):
            of_the_day = day.files - (before.files if before else 0)
            table.add_row(
                str(number),
                f"{day.files:,}",
                f"{day.payments:,}",
                f"{day.seconds / of_the_day * 1000:.0f}",
                f"{day.megabytes:.1f}",
                str(day.descriptors),
                str(day.threads),
                f"{day.bytes_a_payment:.0f}",
            )
        console.print(table)
        faults = not_flat(days[0], days[-1])
        if len(files(folders.archive)) != week.files:
            faults.append(f"{len(files(folders.archive))} of {week.files} files lie in the archive")
        twice = [invoice["invoiceNumber"] for invoice in sandbox.books()["invoices"] if len(invoice["paymentRows"]) > 1]
        faults += [f"{number} has two payments" for number in twice]
    for fault in faults:
        console.print(f"FAILED {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
