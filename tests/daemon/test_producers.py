"""Whatever way a file comes into the inbox, and whatever it is called, the running daemon pays it whole and once."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from support.connectwise import invoice, payments_of
from support.documents import document, drop, files, records
from support.program import PATIENCE, Daemon, alone, command, configure, until

from watcher.folders.spool import Folders
from watcher.sandbox import Sandbox

SETTLE = 0.3
# How often the inbox is looked through; where it is watched, looks come with the events.
SCANS = {"native": 2, "polling": 0.1, "off": 0.1}
PAYMENTS = 3
PIECES = 12
OLD = (1_000_000_000, 1_000_000_000)
_PADDING = "".join(f"<!-- {number:060} -->\n" for number in range(1000)).encode()


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    alone(monkeypatch, tmp_path)


def content_of(file: int, first_amount: int) -> bytes:
    """Give a document of some size, whose last payment is complete with its last line."""
    payments = ((f"CW-{file}-{number}", f"{first_amount + number}.00") for number in range(PAYMENTS))
    return document(*payments).replace(b"<UpdateInvoicePayment>", _PADDING + b"<UpdateInvoicePayment>", 1)


# --- ways to write a file --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """What a producer lets the daemon come to before it goes on.

    Attributes:
        event: what the daemon says; empty for another look through the inbox.
        file: of which file it says so; empty for the producer's own.
        needed: True if the producer cannot do without it, even while the daemon starts.
    """

    event: str = ""
    file: str = ""
    needed: bool = False


LOOKED = Told()
WAITS = Told("file.waiting")
LEFT_ALONE = Told("inbox.ignored")
TAKEN = Told("file.claimed", needed=True)


@dataclass(frozen=True)
class Place:
    """Where a producer works, and on what.

    Attributes:
        target: the file it makes, in the inbox.
        aside: a file of its own, in another folder of the same disk.
        content: what it writes.
        other: another document for the same invoices.
    """

    target: Path
    aside: Path
    content: bytes
    other: bytes

    @property
    def half(self) -> int:
        """Where its content is cut."""
        return len(self.content) // 2


Steps = Iterator[Told]


def in_one_go(place: Place) -> Steps:
    """Opened, written, closed."""
    yield LOOKED
    place.target.write_bytes(place.content)


def slowly(place: Place) -> Steps:
    """A piece, a look of the daemon, a piece."""
    length = len(place.content) // PIECES
    with place.target.open("wb", buffering=0) as file:
        for start in range(0, len(place.content) - length, length):
            file.write(place.content[start : start + length])
            yield LOOKED
        file.write(place.content[file.tell() :])


def opened_again(place: Place) -> Steps:
    """Opened and closed without a word, as some programs do to see whether they may; then written."""
    place.target.touch()
    yield WAITS
    with place.target.open("r+b") as file:
        file.write(place.content[: place.half])
    yield LOOKED
    with place.target.open("r+b") as file:
        file.seek(place.half)
        file.write(place.content[place.half :])


def size_first(place: Place) -> Steps:
    """The size is set before there is anything, as file managers do; it never changes after that."""
    with place.target.open("wb", buffering=0) as file:
        file.truncate(len(place.content))
        yield WAITS
        file.write(place.content[: place.half])
        yield LOOKED
        yield LOOKED
        file.write(place.content[place.half :])


def end_first(place: Place) -> Steps:
    """The end of the file is there before its middle, as with a download in parts."""
    with place.target.open("wb", buffering=0) as file:
        file.write(place.content[: place.half])
        file.seek(-100, os.SEEK_CUR)
        file.seek(len(place.content) - 100)
        file.write(place.content[-100:])
        yield WAITS
        file.seek(place.half)
        file.write(place.content[place.half :])


def temporary_name(place: Place) -> Steps:
    """Written under another name in the inbox, then renamed."""
    temporary = place.target.with_name(f"{place.target.name}.part")
    temporary.write_bytes(place.content)
    yield Told("inbox.ignored", temporary.name)
    temporary.rename(place.target)


def moved_in(place: Place) -> Steps:
    """Written in another folder, then renamed into the inbox."""
    place.aside.write_bytes(place.content)
    yield LOOKED
    place.aside.rename(place.target)


def linked_in(place: Place) -> Steps:
    """Given a second name in the inbox, then its first one is removed, as programs do that must not overwrite."""
    place.aside.write_bytes(place.content)
    os.link(place.aside, place.target)
    yield LEFT_ALONE
    place.aside.unlink()


def copied_with_its_time(place: Place) -> Steps:
    """A copy that looks years old from its first moment."""
    place.aside.write_bytes(place.content)
    os.utime(place.aside, OLD)
    yield LOOKED
    subprocess.run(["cp", "-p", place.aside, place.target], check=True)
    place.aside.unlink()


def appended(place: Place) -> Steps:
    """Quiet for long, but not whole; then the rest comes."""
    place.target.write_bytes(place.content[: place.half])
    os.utime(place.target, OLD)
    yield WAITS
    with place.target.open("ab") as file:
        file.write(place.content[place.half :])


def replaced(place: Place) -> Steps:
    """Half of another document waits under the name, and is replaced at a stroke."""
    place.target.write_bytes(place.other[: place.half])
    yield WAITS
    place.aside.write_bytes(place.content)
    place.aside.replace(place.target)


def removed(place: Place) -> Steps:
    """Half a document waits, and its writer gives it up."""
    place.target.write_bytes(place.content[: place.half])
    yield WAITS
    place.target.unlink()


def synchronised(place: Place, *options: str) -> Steps:
    """Brought by rsync."""
    place.aside.write_bytes(place.content)
    os.utime(place.aside, OLD)
    yield LOOKED
    subprocess.run(["rsync", "--times", *options, place.aside, place.target], check=True)
    place.aside.unlink()


def synchronised_in_place(place: Place) -> Steps:
    """Brought by rsync under its final name, half of it having come before."""
    place.target.write_bytes(place.content[: place.half])
    yield WAITS
    yield from synchronised(place, "--inplace")


def one_after_the_other(place: Place) -> Steps:
    """Two documents of one name: the second comes once the first has been taken."""
    place.target.write_bytes(place.other)
    yield TAKEN
    place.target.write_bytes(place.content)


@dataclass(frozen=True)
class Producer:
    """A way to write a file.

    Attributes:
        write: writes it; yields where it lets the daemon come to something, never with the whole file under its name.
        versions: which documents are to be paid, in order.
        needs: the program that it takes.
    """

    write: Callable[[Place], Steps]
    versions: tuple[str, ...] = ("content",)
    needs: str = ""


PRODUCERS = {
    "one-go": Producer(in_one_go),
    "slowly": Producer(slowly),
    "opened-again": Producer(opened_again),
    "size-first": Producer(size_first),
    "end-first": Producer(end_first),
    "temporary-name": Producer(temporary_name),
    "moved-in": Producer(moved_in),
    "linked-in": Producer(linked_in),
    "copied": Producer(copied_with_its_time),
    "appended": Producer(appended),
    "replaced": Producer(replaced),
    "removed": Producer(removed, versions=()),
    "rsync": Producer(synchronised, needs="rsync"),
    "rsync-in-place": Producer(synchronised_in_place, needs="rsync"),
    "twice": Producer(one_after_the_other, versions=("other", "content")),
}


# --- many at once ----------------------------------------------------------------------------------------------


def produce(daemon: Daemon, producer: Producer, place: Place, half_way: Callable[[], object] | None) -> None:
    """Go through a producer's steps, and make sure that its file is left alone until the last of them.

    Args:
        daemon: the daemon.
        producer: the producer.
        place: where it works.
        half_way: called in place of the first wait.
    """
    name = place.target.name
    for number, told in enumerate(producer.write(place)):
        if half_way and number == 0:
            half_way()
            if not told.needed:
                continue
        if told.event:
            daemon.event(told.event, file=told.file or name)
        else:
            wait_for_a_look(daemon)
        assert told is TAKEN or not daemon.events("file.claimed", file=name), f"{name} was taken half-written"


def wait_for_a_look(daemon: Daemon) -> None:
    """Wait until the inbox has been looked through once more, which systemd is told of as a sign of life."""

    def looks() -> int:
        return sum(message == "WATCHDOG=1" for _, message in daemon.told)

    before = looks()
    until(lambda: looks() > before)


@pytest.mark.parametrize(
    ("observer", "starts_in_the_middle"),
    [
        pytest.param("native", False, id="watched natively"),
        pytest.param("polling", False, id="polled"),
        pytest.param("off", False, id="scanned alone"),
        pytest.param("native", True, id="the daemon starts in the middle"),
    ],
)
def test_a_file_is_paid_whole_and_once_whatever_way_it_is_written(
    folders, start_sandbox, tmp_path, observer, starts_in_the_middle
):
    """Nothing is taken half-written, every payment is made once, and every original is archived as it came."""
    producers = {name: way for name, way in PRODUCERS.items() if not way.needs or shutil.which(way.needs)}
    (tmp_path / "aside").mkdir()
    places = {
        name: Place(
            folders.inbox / f"{name}.xml", tmp_path / "aside" / name, content_of(file, 100), content_of(file, 200)
        )
        for file, name in enumerate(producers)
    }
    numbers = [f"CW-{file}-{payment}" for file in range(len(producers)) for payment in range(PAYMENTS)]
    sandbox = start_sandbox(*(invoice(number, "500.00") for number in numbers))
    inbox = {"observer": observer, "scan_seconds": SCANS[observer], "settle_seconds": SETTLE}
    daemon = Daemon(configure(folders, sandbox.url, inbox=inbox))
    middle, started = threading.Barrier(len(producers) + 1), threading.Event()

    def meet() -> None:
        middle.wait(PATIENCE)
        assert started.wait(PATIENCE)

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(len(producers)))
        if not starts_in_the_middle:
            stack.enter_context(daemon).tells("READY=1")
        running = [
            pool.submit(produce, daemon, way, places[name], meet if starts_in_the_middle else None)
            for name, way in producers.items()
        ]
        if starts_in_the_middle:
            middle.wait(PATIENCE)
            stack.enter_context(daemon).event("service.started")
            started.set()
        for producing in running:
            producing.result()
        for name, way in producers.items():
            until(lambda: len(daemon.events("file.finished", file=f"{name}.xml")) >= len(way.versions))  # noqa: B023
        assert daemon.end() == 0
    for name, way in producers.items():
        assert_paid(folders, sandbox, daemon, places[name], [getattr(places[name], one) for one in way.versions])
    assert files(folders.fail, "") == list(folders.work.iterdir()) == files(folders.inbox) == []
    assert {line["event"] for line in daemon.log} <= QUIET_EVENTS
    if len(producers) < len(PRODUCERS):
        pytest.skip(f"all is well but for what was left out: {sorted(PRODUCERS.keys() - producers.keys())}")


# What the log may say where nothing is wrong.
QUIET_EVENTS = {
    *("service.started", "service.stopping", "service.stopped", "inbox.watching", "inbox.ignored"),
    *("file.waiting", "file.claimed", "file.finished", "payment.finished"),
}


def assert_paid(folders: Folders, sandbox: Sandbox, daemon: Daemon, place: Place, versions: list[bytes]) -> None:
    """Make sure that the versions of a file, and nothing else, went through, in their order."""
    name, stem = place.target.name, place.target.stem
    claimed = daemon.events("file.claimed", file=name)
    assert [line["bytes"] for line in claimed] == [len(version) for version in versions], name
    finished = daemon.events("file.finished", file=name)
    assert [line["outcome"] for line in finished] == ["succeeded"] * len(versions), name
    for line, version in zip(claimed, versions, strict=True):
        published = f"{stem}__{line['claim']}.xml"
        assert [path.read_bytes() for path in folders.archive.rglob(published)] == [version]
        assert asked(folders.success / published) == asked(version)
    amounts = asked(versions[-1]) if versions else dict.fromkeys(asked(place.content))
    for number, amount in amounts.items():
        found = [row["amount"] for row in payments_of(sandbox, number)]
        assert found == ([Decimal(amount)] if amount else []), f"{name}: {number}"
    writes = [write for write in sandbox.books()["writes"] if write["invoiceNumber"] in amounts]
    assert len(writes) == PAYMENTS * len(versions), name


def asked(document: bytes | Path) -> dict[str, str]:
    """Give what a document asks: invoice number to amount."""
    # What is no record is a comment.
    return {record["InvoiceNumber"]: record["PaidAmount"] for record in records(document) if record}


def test_a_file_whose_size_and_times_never_change_is_taken_soon_after_it_is_whole(folders, start_sandbox):
    """A writer that sets size and times first and puts the times back after the content does not wait to be stalled."""
    sandbox = start_sandbox(*(invoice(f"CW-0-{payment}", "500.00") for payment in range(PAYMENTS)))
    content, target = content_of(0, 100), folders.inbox / "pay.xml"
    with Daemon(configure(folders, sandbox.url)) as daemon, target.open("wb", buffering=0) as file:
        file.truncate(len(content))
        os.utime(target, OLD)
        daemon.event("file.waiting", file="pay.xml")
        file.write(content)
        os.utime(target, OLD)
        assert daemon.event("file.finished", within=10)["outcome"] == "succeeded"


# --- names -----------------------------------------------------------------------------------------------------

A_CLAIM = "20260101T000000Z_0123abcd"
NAMES = {
    "as long as can be": "n" * 251 + ".xml",
    "as long as can be, of wide letters": "共" * 83 + "ab.xml",
    "as long as can be, no UTF-8": os.fsdecode(b"Zahlungen M\xe4rz " + b"n" * 235 + b".xml"),
    "no UTF-8": os.fsdecode(b"M\xe4rz.xml"),
    "no UTF-8 at all": os.fsdecode(b"\xff\xfe\x80.xml"),
    "composed": "M\u00e4rz.xml",
    "decomposed": "Ma\u0308rz.xml",
    "capitals": "A.XML",
    "no capitals": "a.xml",
    "mixed": "a.Xml",
    "line break": "two\nlines.xml",
    "carriage return": "over\rwritten.xml",
    "tabulator": "a\tb.xml",
    "escape sequence": "\x1b[31mred\x1b[0m.xml",
    "blanks": "  pay  .xml",
    "leading dash": "-rf.xml",
    "two leading dashes": "--config.xml",
    "device of another system": "CON.xml",
    "what another system forbids": 'a:b*c?"<>|\\.xml',
    "emoji": "💶👨‍👩‍👧.xml",
    "from right to left": "\u202elmx.xml",
    "percent and braces": "%s{0}%00.xml",
    "quotes and markup": "'; DROP TABLE--<b>&amp;[red].xml",
    "shell": "$(reboot)`id`;&.xml",
    "ending twice": "pay.xml.xml",
    "a claim's name": f"pay__{A_CLAIM}.xml",
}


def test_a_file_is_paid_whatever_it_is_called(folders, start_sandbox):
    """Every name that a file system allows is paid; its results bear it, cut where too long, and the log shows it."""
    sandbox = start_sandbox(*(invoice(f"CW-{file}", "500.00") for file in range(len(NAMES))))
    config = configure(folders, sandbox.url)
    contents = {name: document((f"CW-{file}", f"{100 + file}.00")) for file, name in enumerate(NAMES.values())}
    with Daemon(config) as daemon:
        daemon.tells("READY=1")
        for name, content in contents.items():
            (folders.inbox / name).write_bytes(content)
        for name in contents:
            assert daemon.event("file.finished", file=name)["outcome"] == "succeeded"
        assert daemon.end() == 0
    assert not [line for line in daemon.log if "text" in line], "the log is not JSON"
    assert {line["event"] for line in daemon.log} <= QUIET_EVENTS
    assert files(folders.inbox, "") == list(folders.work.iterdir()) == files(folders.fail, "") == []
    assert len(files(folders.success, "")) == len(contents)
    for file, (name, content) in enumerate(contents.items()):
        (row,) = payments_of(sandbox, f"CW-{file}")
        assert row["amount"] == Decimal(f"{100 + file}.00")
        (claimed,) = daemon.events("file.claimed", file=name)
        (archived,) = (
            path for path in folders.archive.rglob("*") if path.name.endswith(f"__{claimed['claim']}{name[-4:]}")
        )
        assert archived.read_bytes() == content
        assert asked(folders.success / archived.name) == asked(content)
        assert_named_after(archived.name, name, claimed["claim"])


def assert_named_after(result: str, name: str, claim: str) -> None:
    """Make sure that a result bears a file's name, or as much of it as there is room for."""
    stem, dot, ending = name.rpartition(".")
    before = stem.removesuffix(f"__{A_CLAIM}")
    given, tail = os.fsencode(before), os.fsencode(f"__{claim}{dot}{ending}")
    kept = os.fsencode(result).removesuffix(tail)
    # Where a name is cut, a letter of several bytes is left out as a whole.
    shortest = min(len(given), 255 - len(tail) - 3)
    assert given.startswith(kept), f"{result!r} for {name!r}"
    assert len(kept) >= shortest, f"{result!r} for {name!r}"


def test_the_commands_tell_of_a_file_whatever_it_is_called(folders, start_sandbox):
    """Status and explanation of files with odd names can be printed, and change nothing on a terminal."""
    sandbox = start_sandbox(*(invoice(f"CW-{file}", "500.00") for file in range(len(NAMES))))
    config = configure(folders, sandbox.url)
    for file, name in enumerate(NAMES.values()):
        (folders.inbox / name).write_bytes(document((f"CW-{file}", "100.00")))
    assert command("run", "--once", "--config", config).code == 0
    for question in (["status"], ["status", "--json"], *(["explain", "--", name] for name in NAMES.values())):
        ended = command(question[0], "--config", config, *question[1:])
        assert (ended.code, ended.err) == (0, ""), question
        assert not set(ended.out) & {"\x1b", "\r", "\u202e"}, question


# --- what is no file -------------------------------------------------------------------------------------------


def listen(path: Path) -> None:
    """Leave a socket behind; its path is relative, since that of a socket must be short."""
    with closing(socket.socket(socket.AF_UNIX)) as made:
        made.bind(os.path.relpath(path))


def fill_a_folder(path: Path) -> None:
    """Make a folder with a payment file in it."""
    path.mkdir()
    (path / "inside.xml").write_bytes(document(("CW-1", "100.00")))


ENTRIES = {
    "link-to-a-secret.xml": lambda path: path.symlink_to("../secret.xml"),
    "link-to-nothing.xml": lambda path: path.symlink_to("nothing.xml"),
    "link-to-itself.xml": lambda path: path.symlink_to(path.name),
    "link-to-a-folder.xml": lambda path: path.symlink_to(".."),
    "link-to-a-pipe.xml": lambda path: path.symlink_to("pipe.xml"),
    "pipe.xml": os.mkfifo,
    "socket.xml": listen,
    "folder.xml": fill_a_folder,
}


@pytest.mark.parametrize("observer", ["native", "polling"])
def test_what_is_no_file_of_its_own_is_left_alone(folders, start_sandbox, tmp_path, observer):
    """Links, pipes, sockets and folders hang nothing and stay as they are; each is told of once."""
    sandbox = start_sandbox(invoice("CW-1", "500.00"), invoice("CW-2", "500.00"), invoice("CW-3", "500.00"))
    secret = document(("CW-1", "100.00"))
    (tmp_path / "secret.xml").write_bytes(secret)
    with Daemon(configure(folders, sandbox.url, inbox={"observer": observer})) as daemon:
        daemon.tells("READY=1")
        for name, make in ENTRIES.items():
            make(folders.inbox / name)
        before = {path.name: path.lstat() for path in folders.inbox.iterdir()}
        for name in ENTRIES:
            assert daemon.event("inbox.ignored", file=name)["reason"]
        for number in (2, 3):
            drop(folders.inbox, f"pay-{number}.xml", document((f"CW-{number}", "100.00")))
            assert daemon.event("file.finished", file=f"pay-{number}.xml")["outcome"] == "succeeded"
        assert daemon.end() == 0
    assert sorted(line["file"] for line in daemon.events("inbox.ignored")) == sorted(ENTRIES)
    after = {path.name: path.lstat() for path in folders.inbox.iterdir()}
    assert {name: (facts.st_ino, facts.st_mode) for name, facts in after.items()} == {
        name: (facts.st_ino, facts.st_mode) for name, facts in before.items()
    }
    assert (tmp_path / "secret.xml").read_bytes() == secret
    assert [len(payments_of(sandbox, f"CW-{number}")) for number in (1, 2, 3)] == [0, 1, 1]
    assert len(files(folders.archive)) == len(files(folders.success)) == 2
    assert files(folders.fail, "") == list(folders.work.iterdir()) == []
