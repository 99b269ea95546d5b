"""Ways to write a payment file, each of them as a program of the field does it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from support.documents import document, records

PAYMENTS = 3
PIECES = 12
OLD = (1_000_000_000, 1_000_000_000)
_PADDING = "".join(f"<!-- {number:060} -->\n" for number in range(1000)).encode()


def content_of(file: int, first_amount: int) -> bytes:
    """Return a document of some size, whose last payment is complete with its last line."""
    payments = ((f"CW-{file}-{number}", f"{first_amount + number}.00") for number in range(PAYMENTS))
    return document(*payments).replace(b"<UpdateInvoicePayment>", _PADDING + b"<UpdateInvoicePayment>", 1)


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


# What the log may say where nothing is wrong.
QUIET_EVENTS = {
    *("service.started", "service.stopping", "service.stopped", "inbox.watching", "inbox.ignored"),
    *("file.waiting", "file.claimed", "file.finished", "payment.finished"),
}


def asked(document: bytes | Path) -> dict[str, str]:
    """Return what a document asks: invoice number to amount."""
    # What is no record is a comment.
    return {record["InvoiceNumber"]: record["PaidAmount"] for record in records(document) if record}
