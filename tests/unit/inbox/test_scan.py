"""Scans: which payment files are ready, in which order, and what a scan survives."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tables
from support.documents import document
from support.rights import no_special_rights
from support.scans import SETTLE, STALLED, Scans
from support.steps import listening

from watcher.claim import ReadyFile
from watcher.errors import FolderTrouble
from watcher.inbox import entries
from watcher.inbox.entries import Remark
from watcher.inbox.quiet import Sighting
from watcher.inbox.scan import Terms

WHOLE = document(("CW-34251", "346.34"))


@contextmanager
def opened_in(folder: Path) -> Iterator[list[str]]:
    """Yield the names of the files of a folder that are opened, as they are opened."""
    opened: list[str] = []

    def listener(event: str, args: tuple[object, ...]) -> None:
        # A file is opened by its name alone in a folder that is open.
        if event == "open" and isinstance(args[0], str) and (folder / args[0]).parent == folder != Path(args[0]).parent:
            opened.append(args[0])

    with listening(listener):
        yield opened


def test_table_is_ready_once_its_last_line_ends(folder, scans):
    """Half a table waits, with the reason; after ``stalled_after`` it is taken, and refused where it is read."""
    line = scans(pattern="*.csv", table=tables.terms())
    (folder / "pay.csv").write_bytes(b"Invoice,Paid,Date\nCW-1,1.00,2016-09-22")
    line.after(0)
    assert line.after(SETTLE) == []
    (remark,) = line.inbox.remarks()
    assert "its last line has no line break" in remark.reason
    (folder / "pay.csv").write_bytes(b"Invoice,Paid,Date\nCW-1,1.00,2016-09-22\n")
    line.after(0)
    assert line.after(SETTLE) == ["pay.csv"]
    (folder / "half.csv").write_bytes(b"Invoice,Paid,Date\nCW-1")
    line.after(0)
    assert "half.csv" in line.after(STALLED)


# --- ready ----------------------------------------------------------------------------------------------------------


def test_whole_file_is_ready_once_it_was_quiet(folder, scans):
    """A file is ready when it has not changed for the settle period, no moment earlier, with its facts and digest."""
    line = scans()
    (folder / "pay.xml").write_bytes(WHOLE)
    assert line.after(0) == []
    assert line.after(SETTLE - 0.001) == []
    line.now += 0.001
    assert line.ready() == [ReadyFile("pay.xml", len(WHOLE), hashlib.sha256(WHOLE).hexdigest())]
    assert line.remarks() == []


def test_old_time_stamp_does_not_make_a_file_quiet(folder, scans):
    """A copy that kept its time stamp of years ago, or one of the future, settles on our clock like any other file."""
    line = scans()
    for name, stamp in (("old.xml", 1), ("new.xml", 4102444800)):
        (folder / name).write_bytes(WHOLE)
        os.utime(folder / name, (stamp, stamp))
    assert line.after(0) == []
    assert line.after(SETTLE) == ["old.xml", "new.xml"]


def _replace(path: Path) -> None:
    facts = path.stat()
    other = path.with_name("other.tmp")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    other.replace(path)


CHANGES = {
    "its size": lambda path: path.write_bytes(WHOLE + b"\n"),
    "its time": lambda path: os.utime(path, (2, 2)),
    "its inode alone": _replace,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_change_begins_the_settle_period_anew(folder, scans, change):
    """Whatever of a file changes, it has to be quiet for the whole period again."""
    line = scans()
    (folder / "pay.xml").write_bytes(WHOLE)
    line.after(0)
    line.now += SETTLE
    change(folder / "pay.xml")
    assert line.after(0) == []
    assert line.after(SETTLE - 0.001) == []
    assert line.after(0.001) == ["pay.xml"]


def test_file_that_was_away_settles_anew(folder, scans):
    """A file that was gone at one scan is a new file at the next."""
    line = scans()
    path = folder / "pay.xml"
    path.write_bytes(WHOLE)
    line.after(0)
    path.rename(folder.parent / "pay.xml")
    assert line.after(SETTLE) == []
    (folder.parent / "pay.xml").rename(path)
    assert line.after(0) == []
    assert line.after(SETTLE) == ["pay.xml"]


def test_file_stays_ready_until_it_is_taken(folder, scans):
    """What is ready is given at every scan; once it has left it is forgotten, and its name begins anew."""
    line = scans()
    path = folder / "pay.xml"
    path.write_bytes(WHOLE)
    line.after(0)
    assert line.after(SETTLE) == line.after(0) == ["pay.xml"]
    line.inbox.taken("pay.xml")
    assert line.inbox.waiting == 0
    assert line.after(0) == []
    assert line.after(SETTLE) == ["pay.xml"]


def test_files_are_ready_in_the_order_of_arrival(folder, scans):
    """What an earlier scan saw comes first; within one scan the older file does, and then the name decides."""
    line = scans(settle_seconds=0)
    arrivals = [("z.xml", 900), ("b.xml", 200), ("a.xml", 200), ("c.xml", 100)]
    for names in (arrivals[:1], arrivals[1:]):
        for name, stamp in names:
            (folder / name).write_bytes(WHOLE)
            os.utime(folder / name, (stamp, stamp))
        line.ready()
    assert line.after(1) == ["z.xml", "c.xml", "a.xml", "b.xml"]


def test_no_more_files_are_read_than_are_wanted(folder, scans):
    """A scan gives the first files up to a limit and reads no other; what is left over is due at once."""
    line = scans()
    for number in range(5):
        (folder / f"{number}.xml").write_bytes(WHOLE)
        os.utime(folder / f"{number}.xml", (number, number))
    line.ready()
    line.now += SETTLE
    for taken in (["0.xml", "1.xml"], ["2.xml", "3.xml"], ["4.xml"]):
        assert line.inbox.seconds_to_next(line.now) == 0
        with opened_in(folder) as opened:
            assert [file.name for file in line.ready(limit=2)] == taken
        assert opened == taken
        for name in taken:
            (folder / name).unlink()
            line.inbox.taken(name)
    assert line.inbox.seconds_to_next(line.now) is None


def test_file_that_goes_on_changing_keeps_its_place(folder, scans):
    """A file that arrived first and was quiet last is still the first of those that are ready together."""
    line = scans()
    (folder / "first.xml").write_bytes(WHOLE[:50])
    line.after(0)
    (folder / "second.xml").write_bytes(WHOLE)
    line.after(1)
    (folder / "first.xml").write_bytes(WHOLE)
    line.after(1)
    assert line.after(SETTLE) == ["first.xml", "second.xml"]


def test_wait_for_the_next_file_is_known(folder, scans):
    """It is as long as the first settling file still needs; with nothing settling there is none to wait for."""
    line = scans()
    line.ready()
    assert line.inbox.seconds_to_next(line.now) is None
    (folder / "whole.xml").write_bytes(WHOLE)
    line.after(0)
    line.now += 2
    (folder / "half.xml").write_bytes(WHOLE[:60])
    line.after(0)
    assert line.inbox.seconds_to_next(line.now) == pytest.approx(SETTLE - 2)
    assert line.inbox.waiting == 2
    assert line.after(SETTLE) == ["whole.xml"]
    line.inbox.taken("whole.xml")
    assert line.inbox.seconds_to_next(line.now) is None, "half a file is waited for by scans, not by the second"
    assert line.inbox.waiting == 1


# --- files that are not whole -----------------------------------------------------------------------------------------

NOT_WHOLE = {
    "empty": (b"", "empty"),
    "the declaration alone": (WHOLE[:39], "no element"),
    "within a record": (WHOLE[:100], "</ArrayOfUpdateInvoicePayment>"),
    "all but the closing root": (
        WHOLE.replace(b"</ArrayOfUpdateInvoicePayment>", b""),
        "</ArrayOfUpdateInvoicePayment>",
    ),
    "one byte short": (WHOLE.rstrip()[:-1], "</ArrayOfUpdateInvoicePayment>"),
    "space that was only reserved": (b"\0" * 4096, "reserved space"),
    "written at the front, reserved behind": (WHOLE[:100] + b"\0" * 400, "reserved space"),
    "whole at the end, reserved before": (b"\0" * 512 + WHOLE, "reserved space"),
}


@pytest.mark.parametrize(("content", "missing"), NOT_WHOLE.values(), ids=NOT_WHOLE.keys())
def test_file_that_is_not_whole_waits_until_it_is_given_up(folder, scans, content, missing):
    """It waits, reported once, as long as a writer may come back; after ``stalled_after`` it is ready as it is."""
    line = scans()
    (folder / "pay.xml").write_bytes(content)
    assert line.after(0) == []
    assert line.remarks() == [], "nothing is said of a file that still settles"
    assert line.after(SETTLE) == []
    (remark,) = line.inbox.remarks()
    assert (remark.name, remark.waits) == ("pay.xml", True)
    assert missing in remark.reason
    assert line.after(STALLED - SETTLE - 0.001) == []
    assert line.remarks() == []
    line.now += 0.001
    (ready,) = line.ready()
    assert (ready.size, ready.digest) == (len(content), hashlib.sha256(content).hexdigest())


def test_file_that_grows_slowly_is_never_given_up(folder, scans):
    """Every change begins the wait anew; the file is ready when it is whole and quiet."""
    line = scans()
    path = folder / "pay.xml"
    for end in range(40, len(WHOLE) - 1, 40):
        path.write_bytes(WHOLE[:end])
        assert line.after(STALLED - 1) == []
    path.write_bytes(WHOLE)
    assert line.after(1) == []
    assert line.after(SETTLE) == ["pay.xml"]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_part_of_a_document_is_ever_ready(tmp_path_factory, data):
    """Wherever a writer pauses within a document, what is there so far waits."""
    whole = document(*((f"CW-{number}", "1.00") for number in range(3))).rstrip()
    end = data.draw(st.integers(0, len(whole) - 1))
    folder = tmp_path_factory.mktemp("inbox")
    line = Scans(folder, Terms(settle_seconds=0))
    (folder / "pay.xml").write_bytes(whole[:end])
    assert line.after(0) == line.after(STALLED - 1) == []
    (folder / "pay.xml").write_bytes(whole)
    assert line.after(0) == ["pay.xml"]


@pytest.mark.parametrize(
    "content",
    [b"hello", b"<a></b>", b"<other/>", WHOLE + b"rest", WHOLE.replace(b"</PaidAmount>", b"</Paid>")],
    ids=["no XML", "crossed tags", "another document", "more behind the root", "a wrong tag"],
)
def test_file_that_waiting_cannot_mend_does_not_wait(folder, scans, content):
    """What is broken in any other way than being cut off is ready at once: its sender is to know of it."""
    line = scans()
    (folder / "pay.xml").write_bytes(content)
    line.after(0)
    assert line.after(SETTLE) == ["pay.xml"]


def test_waiting_file_is_looked_into_once_for_each_state(folder, scans):
    """A file that waits unchanged is not read again at every scan."""
    line = scans()
    for content in (b"<a>", b"<a><b>"):
        (folder / "pay.xml").write_bytes(content)
        with opened_in(folder) as opened:
            assert line.after(0) == []
            assert opened == []
            for _ in range(5):
                assert line.after(SETTLE) == []
        assert opened == ["pay.xml"]


@pytest.mark.parametrize(("more", "read"), [(0, True), (1, False)], ids=["at the limit", "one byte beyond"])
def test_oversize_file_is_ready_unread(folder, scans, more, read):
    """Beyond ``max_file_bytes`` nothing is read and nothing waited for: the file is taken to be refused."""
    line = scans(max_file_bytes=len(WHOLE))
    (folder / "pay.xml").write_bytes(WHOLE + b" " * more)
    line.after(0)
    line.now += SETTLE
    with opened_in(folder) as opened:
        (ready,) = line.ready()
    assert (ready.digest is not None) is read
    assert bool(opened) is read
    assert ready.size == len(WHOLE) + more


@pytest.mark.parametrize("waits", [SETTLE, STALLED], ids=["seconds", "beyond all patience"])
def test_unreadable_file_waits_and_never_fails(folder, scans, waits):
    """A file nobody lets us read waits for as long as it takes, reported once, and is ready when it can be read."""
    line = scans()
    path = folder / "pay.xml"
    path.write_bytes(WHOLE)
    path.chmod(0)
    with no_special_rights():
        line.after(0)
        for _ in range(3):
            assert line.after(waits) == []
        (remark,) = line.inbox.remarks()
        assert (remark.name, remark.waits) == ("pay.xml", True)
        assert "Permission denied" in remark.reason
        path.chmod(0o600)
        assert line.after(0) == ["pay.xml"]


def test_one_file_that_waits_holds_up_no_other(folder, scans):
    """Unreadable, half and strange entries keep no whole file from being ready."""
    line = scans()
    (folder / "a.xml").write_bytes(WHOLE)
    (folder / "a.xml").chmod(0)
    (folder / "b.xml").write_bytes(WHOLE[:50])
    (folder / "c.xml").mkdir()
    (folder / "d.xml").write_bytes(WHOLE)
    with no_special_rights():
        line.after(0)
        assert line.after(SETTLE) == ["d.xml"]


@pytest.mark.parametrize("number", [errno.EIO, errno.EBUSY], ids=errno.errorcode.get)
def test_file_that_another_program_has_open_waits_by_itself(folder, scans, number):
    """What a share says about a file that is locked is a reason to wait for that file, and for no other."""
    line = scans()
    for name in ("a.xml", "b.xml"):
        (folder / name).write_bytes(WHOLE)

    def refuse(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and args[0] == "a.xml":
            raise OSError(number, os.strerror(number))

    line.after(0)
    with listening(refuse):
        assert line.after(SETTLE) == ["b.xml"]
        (remark,) = line.inbox.remarks()
        assert remark == Remark(
            "a.xml", f"it cannot be read yet: {os.strerror(number)}; another program may have it open", waits=True
        )
    assert line.after(0) == ["a.xml", "b.xml"]


def test_file_that_could_not_be_taken_is_tried_again_and_does_not_hurry(folder, scans):
    """Its reason is reported once, it is ready at every scan, and nothing is due because of it."""
    line = scans()
    (folder / "pay.xml").write_bytes(WHOLE)
    line.after(0)
    for wait in (SETTLE, 10):
        assert line.after(wait) == ["pay.xml"]
        line.inbox.hold_back("pay.xml", "another program has it open")
        assert line.inbox.seconds_to_next(line.now) is None
    assert line.inbox.remarks() == [Remark("pay.xml", "another program has it open", waits=True)]
    line.inbox.hold_back("gone.xml", "another program has it open")
    assert line.inbox.remarks() == []


def test_files_that_could_not_be_taken_leave_all_places_to_others(folder, scans):
    """They come in addition to the files that are wanted, in the order of arrival, as often as they are tried."""
    line = scans()
    names = [f"{number}.xml" for number in range(5)]
    for place, name in enumerate(names):
        (folder / name).write_bytes(WHOLE)
        os.utime(folder / name, (place, place))
    line.after(0)
    line.now += SETTLE
    assert [file.name for file in line.ready(3)] == names[:3]
    for name in names[:3]:
        line.inbox.hold_back(name, "it cannot be moved")
    for _ in range(2):
        assert [(file.name, file.tried) for file in line.ready(1)] == [
            *((name, line.now) for name in names[:3]),
            (names[3], None),
        ]
    assert [remark.name for remark in line.inbox.waits()] == names[:3]
    # One that has changed is still tried beside the others.
    (folder / names[0]).write_bytes(WHOLE + b" ")
    line.after(0)
    line.now += SETTLE
    assert [file.name for file in line.ready(1)] == names[:4]


def test_what_was_said_of_a_file_ends_once_it_is_ready(folder, scans):
    """A file that became whole does not wait any more, although it is not taken yet."""
    line = scans()
    (folder / "pay.xml").write_bytes(WHOLE[:-2])
    line.after(0)
    line.after(SETTLE)
    assert [remark.name for remark in line.inbox.waits()] == ["pay.xml"]
    (folder / "pay.xml").write_bytes(WHOLE)
    line.after(0)
    assert line.after(SETTLE) == ["pay.xml"]
    assert line.inbox.waits() == []


# --- files that wait for too long -------------------------------------------------------------------------------------


def overdue(line: Scans) -> list[tuple[str, str]]:
    """Return the fresh remarks about files that wait for too long: the name and the reason."""
    return [(remark.name, remark.reason) for remark in line.inbox.remarks() if remark.overdue]


def test_file_that_waits_for_too_long_is_reported_once_with_its_reason(folder, scans):
    """Unreadable, unmovable, or written to in pieces: after ``stalled_after`` people hear of it, and once."""
    line = scans()
    for name in ("locked.xml", "held.xml", "growing.xml", "pieces.xml"):
        (folder / name).write_bytes(WHOLE)
    (folder / "locked.xml").chmod(0)
    with no_special_rights():
        line.after(0)
        for step in range(4):
            assert overdue(line) == [], step
            with (folder / "growing.xml").open("ab") as file:
                file.write(b" ")
            (folder / "pieces.xml").write_bytes(WHOLE[: 100 + step])
            line.after(STALLED / 4 - SETTLE)
            assert line.after(SETTLE)[:1] == ["held.xml"]
            line.inbox.hold_back("held.xml", "it cannot be moved")
        found = dict(overdue(line))
        (folder / "growing.xml").write_bytes(WHOLE)
        line.after(0)
        found |= dict(overdue(line))
        for _ in range(3):
            line.after(1)
            line.inbox.hold_back("held.xml", "it cannot be moved")
            assert overdue(line) == []
    assert found == {
        "locked.xml": "it cannot be read yet: Permission denied",
        "held.xml": "it cannot be moved",
        "growing.xml": "it is still being written to",
        "pieces.xml": "no closing </ArrayOfUpdateInvoicePayment> yet",
    }


def test_file_that_is_only_late_to_be_taken_is_not_overdue(folder, scans):
    """A ready file that waits for its turn, or for an outage to end, is nobody's mistake."""
    line = scans()
    (folder / "pay.xml").write_bytes(WHOLE)
    line.after(0)
    assert line.after(STALLED * 2) == ["pay.xml"]
    assert line.inbox.remarks() == []


# --- mounts without lasting inode numbers -----------------------------------------------------------------------------


@pytest.fixture
def flickering(monkeypatch: pytest.MonkeyPatch):
    """Give every file another inode number at every look, as some FUSE mounts and servers do."""

    def flicker(*also: str) -> None:
        numbers = itertools.count(1 << 40)
        fields = {"inode", *also}

        def sighting(name: str, size: int, modified_ns: int, inode: int, changed_ns: int) -> Sighting:
            seen = Sighting(name, size, modified_ns, inode, changed_ns)
            return replace(seen, **dict.fromkeys(fields, next(numbers)))

        monkeypatch.setattr(entries, "Sighting", sighting)

    return flicker


def test_inode_number_that_changes_alone_is_no_change(folder, scans, flickering):
    """There a file is known by its name, size and times; each change of these begins the settle period anew."""
    flickering()
    line = scans()
    path = folder / "pay.xml"
    path.write_bytes(WHOLE)
    line.after(0)
    assert line.after(SETTLE) == ["pay.xml"]
    line.inbox.taken("pay.xml")
    line.after(0)
    line.now += SETTLE
    _replace(path)
    assert line.after(0) == []
    assert line.after(SETTLE) == ["pay.xml"]


def test_file_that_nobody_can_know_to_be_quiet_is_reported(folder, scans, flickering):
    """Where the time of change flickers, too, the file waits; people hear of it, and what to do about it."""
    flickering("changed_ns")
    line = scans()
    (folder / "pay.xml").write_bytes(WHOLE)
    for _ in range(4):
        assert line.after(STALLED / 4) == []
        assert overdue(line) == []
    assert line.after(STALLED / 4) == []
    ((name, reason),) = overdue(line)
    assert name == "pay.xml"
    assert "Put the inbox on another mount" in reason


# --- what is read only once -------------------------------------------------------------------------------------------


def test_backlog_is_not_read_again_for_each_batch(folder, scans):
    """Files that wait for their turn are read once; one that changes is read again."""
    line = scans()
    names = [f"{number:02}.xml" for number in range(20)]
    for name in names:
        (folder / name).write_bytes(WHOLE)
    line.after(0)
    line.now += SETTLE
    with opened_in(folder) as opened:
        left = list(names)
        while left:
            assert [file.name for file in line.ready()] == left
            for name in left[:2]:
                (folder / name).unlink()
                line.inbox.taken(name)
            left = left[2:]
    assert opened == names
    (folder / "pay.xml").write_bytes(WHOLE)
    line.after(0)
    with opened_in(folder) as opened:
        (first,) = line.ready() or line.inbox.scan(1, line.now + SETTLE)
        (folder / "pay.xml").write_bytes(WHOLE + b"\n")
        line.now += SETTLE
        line.ready()
        line.now += SETTLE
        (second,) = line.ready()
    assert opened == ["pay.xml", "pay.xml"]
    assert first.digest != second.digest


def test_file_that_grows_while_it_is_read_is_not_ready(folder, scans):
    """What is read must be as long as what was listed; a file that grows without end is not read to its end."""
    line = scans(max_file_bytes=10 * len(WHOLE), settle_seconds=0)
    path = folder / "first.xml"
    path.write_bytes(WHOLE)
    for size in (len(WHOLE) + 1, 1 << 40):
        with when_first_is_opened(lambda size=size: os.truncate(path, size)):
            assert line.after(1) == []
        path.write_bytes(WHOLE)


# --- between the listing and the reading ------------------------------------------------------------------------------


@contextmanager
def when_first_is_opened(act: Callable[[], object]) -> Iterator[None]:
    """Act when the first file is opened, after the listing and before the second file is read."""
    done: list[bool] = []

    def listener(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and not done and args[0] == "first.xml":
            done.append(True)
            act()

    with listening(listener):
        yield
    assert done


def _first_and_second(folder: Path) -> Path:
    for name, stamp in (("first.xml", 1), ("second.xml", 2)):
        (folder / name).write_bytes(WHOLE)
        os.utime(folder / name, (stamp, stamp))
    return folder / "second.xml"


def test_file_that_vanishes_during_a_scan_is_not_ready(folder, scans):
    """A file that was listed and is gone when it is to be read holds up nothing."""
    second = _first_and_second(folder)
    line = scans(settle_seconds=0)
    with when_first_is_opened(second.unlink):
        assert line.after(0) == ["first.xml"]


def test_pipe_put_in_a_files_place_during_a_scan_holds_up_nothing(folder, scans):
    """A pipe in the place of a file that was listed is not waited for, as opening it to read would."""
    second = _first_and_second(folder)

    def swap() -> None:
        second.unlink()
        os.mkfifo(second)

    line = scans(settle_seconds=0)
    found: list[str] = []
    scan = threading.Thread(target=lambda: found.extend(line.after(0)), daemon=True)
    with when_first_is_opened(swap):
        scan.start()
        scan.join(2)
    hung = scan.is_alive()
    if hung:
        # A writer that comes and goes ends the wait.
        os.close(os.open(second, os.O_WRONLY | os.O_NONBLOCK))
        scan.join(5)
    assert not hung, "the scan waits for somebody to write into the pipe"
    assert found == ["first.xml"]


def test_link_put_in_a_files_place_during_a_scan_is_not_followed(folder, scans):
    """What a link points to is never read, so that nothing outside the inbox can get into a result."""
    second = _first_and_second(folder)
    secret = folder.parent / "secret"
    secret.write_bytes(b"<secret/>")

    def swap() -> None:
        second.unlink()
        second.symlink_to(secret)

    line = scans(settle_seconds=0)
    with when_first_is_opened(swap):
        assert line.after(0) == ["first.xml"]


def test_file_that_a_listing_missed_keeps_its_place(folder, scans, monkeypatch):
    """A listing may miss a file that comes while it is made and hold a later one; the earlier is taken first."""
    line = scans(settle_seconds=0)
    for name in ("b-earlier.xml", "a-later.xml", "c-latest.xml"):
        (folder / name).write_bytes(WHOLE)
        until_time_moves(folder / name)
    listings = iter([{"a-later.xml"}, {"a-later.xml", "b-earlier.xml", "c-latest.xml"}])
    scandir = os.scandir

    @contextmanager
    def listing(place):
        # What the system lists in a race cannot be brought about at will.
        seen = next(listings, None)
        with scandir(place) as listed:
            yield (entry for entry in listed if seen is None or entry.name in seen)

    monkeypatch.setattr(os, "scandir", listing)
    assert line.after(0) == ["b-earlier.xml", "a-later.xml"]
    for name in ("b-earlier.xml", "a-later.xml"):
        line.inbox.taken(name)
        (folder / name).unlink()
    assert line.after(0) == ["c-latest.xml"]


def until_time_moves(path):
    """Wait until the file system gives another time than a file's."""
    probe = path.with_suffix(".tmp")
    while True:
        probe.write_bytes(b"")
        if probe.stat().st_ctime_ns > path.stat().st_ctime_ns:
            probe.unlink()
            return


# --- outages ----------------------------------------------------------------------------------------------------------


def test_missing_inbox_is_an_outage(folder, scans):
    """An inbox that is not there is named, with a mend, and is not made."""
    folder.rmdir()
    with pytest.raises(FolderTrouble, match=re.escape(str(folder))) as trouble:
        scans().ready()
    assert "share" in trouble.value.mend
    assert not folder.exists()


def test_file_in_the_place_of_the_inbox_is_an_outage(folder, scans):
    """Something else under the inbox's name is no inbox."""
    folder.rmdir()
    folder.write_bytes(b"")
    with pytest.raises(FolderTrouble):
        scans().ready()


def test_what_is_known_survives_an_outage(folder, scans):
    """A share that was away does not make its files settle anew: an outage is not an empty inbox."""
    line = scans()
    (folder / "pay.xml").write_bytes(WHOLE)
    line.after(0)
    away = folder.rename(folder.with_name("away"))
    with pytest.raises(FolderTrouble):
        line.ready()
    assert line.inbox.waiting == 1
    away.rename(folder)
    assert line.after(SETTLE) == ["pay.xml"]


def test_inbox_that_may_not_be_listed_is_an_outage(folder, scans):
    """Without the right to list it the inbox is not empty but in trouble."""
    folder.chmod(0)
    with no_special_rights():
        with pytest.raises(FolderTrouble, match="Permission denied"):
            scans().ready()
        folder.chmod(0o700)
