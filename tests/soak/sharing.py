"""What files cost on a share: the calls that ask its server, and how far they keep up with ConnectWise."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from soak.calls import no_strace
from soak.paying import LATENCY
from soak.running import installed
from soak.servers import Server, numbered, pays
from soak.share import mounted
from soak.table import Row
from support.documents import drop
from support.program import Daemon, Started, at, configure, until

from watcher.folders.layout import Folders
from watcher.sandbox import InvoiceSeed

_NAMES = ("inbox", ".work", "success", "fail", "archive")
_MANY = 100
# The requests a minute that the server is asked for.
_LIMIT = 1000
# A client answers these itself.
_LOCAL = ("close", "lseek", "fcntl", "ioctl", "fadvise64")
_CALL = re.compile(r"\d+ +[\d.]+ (\w+)\((.*)")
_SYNCS = ("fsync", "fdatasync")


def call_rows() -> Iterator[Row]:
    """Count the calls on the folders of a daemon that takes a hundred files, one file, and none."""
    if no_strace():
        return
    invoices = numbered(_MANY + 2)
    inbox = {"observer": "off", "scan_seconds": 1, "settle_seconds": 1}
    with (
        Server(invoices) as server,
        installed(server.url, inbox=inbox, logging={"level": "debug"}) as (folders, config),
        ExitStack() as stack,
    ):
        trace = config.parent / "trace"
        starter = ("strace", "-D", "-f", "-ttt", "-y", "-qq", "-s", "300", "-o", str(trace))
        daemon = stack.enter_context(Started(config, *starter))
        daemon.tells("READY=1")
        _pay(daemon, folders, {"first.xml": invoices[0]})
        many = {f"{place}.xml": invoice for place, invoice in enumerate(invoices[1 : 1 + _MANY])}
        for what, files, target in (("a hundred", many, 30), ("one", {"one.xml": invoices[-1]}, 45)):
            calls = _Calls(trace, folders, *_pay(daemon, folders, files))
            name = f"Calls that ask a file server, a file of {what}"
            yield Row(name, calls.asking / len(files), 1, target=target)
            if len(files) > 1:
                yield Row("Syncs of the share, a file of a hundred", calls.syncs / len(files), 1, target=3.2)
                yield Row("Commits of the journal, a file of a hundred", calls.commits / len(files), 2, target=0.3)
        yield Row("Calls that ask a file server, a scan that finds nothing", _idle(daemon, trace, folders), 1, target=4)


def _pay(daemon: Daemon, folders: Folders, files: dict[str, InvoiceSeed]) -> tuple[float, float]:
    """Drop files at once and wait for their end; return the time of both (Unix seconds)."""
    aside = folders.inbox.parent / "aside"
    aside.mkdir(exist_ok=True)
    for name, invoice in files.items():
        drop(aside, name, pays([invoice]))
    began = time.time()
    for name in files:
        (aside / name).rename(folders.inbox / name)
    for name in files:
        daemon.event("file.finished", file=name)
    until(lambda: not list(folders.work.iterdir()))
    return began, time.time()


def _idle(daemon: Daemon, trace: Path, folders: Folders) -> float:
    """Return the calls a scan over some scans that find nothing, between two looks at all folders."""
    junk = folders.inbox / "known.txt"
    junk.write_text("left alone")
    began = time.time()
    before = len(daemon.events("inbox.scanned"))
    until(lambda: len(daemon.events("inbox.scanned")) >= before + 12)
    scans = len(daemon.events("inbox.scanned")) - before
    return min(_Calls(trace, folders, began, time.time()).asking / scans, 99.0)


class _Calls:
    """The calls of a daemon in some time.

    Attributes:
        asking: how many on the folders ask a server.
        syncs: how many of them are syncs.
        commits: how often the journal was brought to disk.
    """

    def __init__(self, trace: Path, folders: Folders, began: float, ended: float) -> None:
        self.asking = self.syncs = self.commits = 0
        names = [f"{folder}{end}" for _, folder in folders.named() for end in ("/", ">", '"')]
        for line in trace.read_text(errors="replace").splitlines():
            found = _CALL.match(line)
            if found is None or not began <= float(line.split()[1]) <= ended:
                continue
            call, rest = found.groups()
            self.commits += call in _SYNCS and "journal.db-wal" in rest
            # A look at an open file itself, which a client answers.
            local = call in _LOCAL or (call in ("newfstatat", "fstat") and (call == "fstat" or ', "", ' in rest))
            if not local and any(name in rest for name in names):
                self.asking += 1
                self.syncs += call in _SYNCS


def share_rows(files: int, tell: Callable[[str], None]) -> Iterator[Row]:
    """Pay one-payment files on shares of some delay, against the limit of ConnectWise."""
    if shutil.which("fusermount3") is None or not Path("/dev/fuse").exists():
        return
    for milliseconds, part, target in ((5, 1, 0.95), (20, 4, 0.5)):
        count = files // part
        tell(f"{count:,} files on a share of {milliseconds} ms")
        name = f"Of {_LIMIT:,} payments a minute, {count:,} files on a share of {milliseconds} ms a call"
        yield Row(name, _share_of_limit(numbered(count), milliseconds), 2, target=target, at_least=True)


def _share_of_limit(invoices: Sequence[InvoiceSeed], milliseconds: float) -> float:
    with _shared(milliseconds) as (folders, local), Server(invoices, LATENCY) as server:
        for place, invoice in enumerate(invoices):
            (local / "inbox" / f"{place:05}.xml").write_bytes(pays([invoice]))
        config = configure(
            folders,
            server.url,
            connectwise={"requests_per_minute": _LIMIT},
            journal={"url": f"sqlite:///{local.parent / 'journal.db'}"},
            inbox={"observer": "off", "settle_seconds": 1, "scan_seconds": 1},
            logging={"level": "debug"},
        )
        with Daemon(config) as daemon:
            began = at(daemon.event("connectwise.request"))
            for place in range(len(invoices)):
                daemon.event("file.finished", file=f"{place:05}.xml")
            ended = at(daemon.events("file.finished")[-1])
    assert set(server.seen.rows) == {1}
    return len(invoices) / ((ended - began) / 60) / _LIMIT


@contextmanager
def _shared(milliseconds: float) -> Iterator[tuple[Folders, Path]]:
    """Make folders on a share of a delay; yield them, and where they lie without it."""
    with TemporaryDirectory(prefix="bench-") as name:
        local, mount = Path(name, "local"), Path(name, "share")
        for folder in _NAMES:
            (local / folder).mkdir(parents=True)
        mount.mkdir()
        with mounted(local, mount, milliseconds):
            yield Folders(*(mount / folder for folder in _NAMES)), local
