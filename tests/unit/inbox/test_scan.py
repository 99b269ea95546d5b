"""The inbox: which of its entries are payment files, when they are ready, and whether it is the inbox at all."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.documents import document

from watcher.claim import ReadyFile
from watcher.documents.unfinished import unfinished
from watcher.errors import FolderTrouble
from watcher.inbox.scan import MARKER, Inbox

WHOLE = document(("CW-34251", "346.34"))
SETTLE = 5.0
MANY = 100
STALLED = 600.0


class Clock:
    """Monotonic seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is set on."""
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty inbox folder."""
    made = tmp_path / "inbox"
    made.mkdir()
    return made


@pytest.fixture
def look(folder: Path, clock: Clock) -> Callable[..., Inbox]:
    """Give inboxes over the folder, with the usual times and some settings changed."""

    def inbox(**changes: object) -> Inbox:
        usual = {"settle_seconds": SETTLE, "stalled_after_seconds": STALLED}
        return Inbox(folder, clock=clock, **({"unfinished": unfinished} | usual | changes))

    return inbox


def scanned(inbox: Inbox, clock: Clock, seconds: float) -> list[str]:
    """Set the clock on and give the names that are ready then."""
    clock.now += seconds
    return [file.name for file in inbox.scan(MANY)]


def told(inbox: Inbox) -> list[tuple[str, bool]]:
    """Give the fresh notices: the name, and whether it is a payment file that waits."""
    return sorted((notice.name, notice.waits) for notice in inbox.notices())


@contextmanager
def no_special_rights() -> Iterator[None]:
    """Let file permissions count for this thread even if it is root's."""
    # capabilities(7): bits 1 and 2 are CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH; capset(2) is about one thread.
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets):
        pytest.skip("root's rights cannot be laid down here")
    before = sets[0]
    sets[0] = before & ~0b110
    if libc.capset(header, sets):
        pytest.skip("root's rights cannot be laid down here")
    try:
        yield
    finally:
        sets[0] = before
        libc.capset(header, sets)


# --- ready ----------------------------------------------------------------------------------------------------------


def test_a_whole_file_is_ready_once_it_was_quiet(folder, look, clock):
    """A file is ready when it has not changed for the settle period, no moment earlier, with its facts and digest."""
    inbox = look()
    (folder / "pay.xml").write_bytes(WHOLE)
    assert scanned(inbox, clock, 0) == []
    assert scanned(inbox, clock, SETTLE - 0.001) == []
    clock.now += 0.001
    facts = (folder / "pay.xml").stat()
    digest = hashlib.sha256(WHOLE).hexdigest()
    assert inbox.scan(MANY) == [ReadyFile("pay.xml", len(WHOLE), facts.st_mtime_ns, facts.st_ino, digest)]
    assert told(inbox) == []


def test_an_old_time_stamp_does_not_make_a_file_quiet(folder, look, clock):
    """A copy that kept its time stamp of years ago, or one of the future, settles on our clock like any other file."""
    inbox = look()
    for name, stamp in (("old.xml", 1), ("new.xml", 4102444800)):
        (folder / name).write_bytes(WHOLE)
        os.utime(folder / name, (stamp, stamp))
    assert scanned(inbox, clock, 0) == []
    assert scanned(inbox, clock, SETTLE) == ["old.xml", "new.xml"]


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
def test_a_change_begins_the_settle_period_anew(folder, look, clock, change):
    """Whatever of a file changes, it has to be quiet for the whole period again."""
    inbox = look()
    (folder / "pay.xml").write_bytes(WHOLE)
    scanned(inbox, clock, 0)
    clock.now += SETTLE
    change(folder / "pay.xml")
    assert scanned(inbox, clock, 0) == []
    assert scanned(inbox, clock, SETTLE - 0.001) == []
    assert scanned(inbox, clock, 0.001) == ["pay.xml"]


def test_a_file_that_was_away_settles_anew(folder, look, clock):
    """A file that was gone at one scan is a new file at the next."""
    inbox = look()
    path = folder / "pay.xml"
    path.write_bytes(WHOLE)
    scanned(inbox, clock, 0)
    path.rename(folder.parent / "pay.xml")
    assert scanned(inbox, clock, SETTLE) == []
    (folder.parent / "pay.xml").rename(path)
    assert scanned(inbox, clock, 0) == []
    assert scanned(inbox, clock, SETTLE) == ["pay.xml"]


def test_a_file_stays_ready_until_it_is_taken(folder, look, clock):
    """What is ready is given at every scan; once it has left it is forgotten, and its name begins anew."""
    inbox = look()
    path = folder / "pay.xml"
    path.write_bytes(WHOLE)
    scanned(inbox, clock, 0)
    assert scanned(inbox, clock, SETTLE) == scanned(inbox, clock, 0) == ["pay.xml"]
    inbox.taken("pay.xml")
    assert inbox.waiting == 0
    assert scanned(inbox, clock, 0) == []
    assert scanned(inbox, clock, SETTLE) == ["pay.xml"]


def test_files_are_ready_in_the_order_of_arrival(folder, look, clock):
    """What an earlier scan saw comes first; within one scan the older file does, and then the name decides."""
    inbox = look(settle_seconds=0)
    arrivals = [("z.xml", 900), ("b.xml", 200), ("a.xml", 200), ("c.xml", 100)]
    for names in (arrivals[:1], arrivals[1:]):
        for name, stamp in names:
            (folder / name).write_bytes(WHOLE)
            os.utime(folder / name, (stamp, stamp))
        inbox.scan(MANY)
    assert scanned(inbox, clock, 1) == ["z.xml", "c.xml", "a.xml", "b.xml"]


def test_no_more_files_are_read_than_are_wanted(folder, look, clock):
    """A scan gives the first files up to a limit and reads no other; what is left over is due at once."""
    looks: list[bytes] = []
    inbox = look(unfinished=lambda content: looks.append(content))
    for number in range(5):
        (folder / f"{number}.xml").write_bytes(WHOLE)
        os.utime(folder / f"{number}.xml", (number, number))
    inbox.scan(MANY)
    clock.now += SETTLE
    for taken in (["0.xml", "1.xml"], ["2.xml", "3.xml"], ["4.xml"]):
        looks.clear()
        assert inbox.seconds_to_next() == 0
        assert [file.name for file in inbox.scan(2)] == taken
        assert len(looks) == len(taken)
        for name in taken:
            (folder / name).unlink()
            inbox.taken(name)
    assert inbox.seconds_to_next() is None


def test_a_file_that_goes_on_changing_keeps_its_place(folder, look, clock):
    """A file that arrived first and settled last is still the first of those that are ready together."""
    inbox = look()
    (folder / "first.xml").write_bytes(WHOLE[:50])
    scanned(inbox, clock, 0)
    (folder / "second.xml").write_bytes(WHOLE)
    scanned(inbox, clock, 1)
    (folder / "first.xml").write_bytes(WHOLE)
    scanned(inbox, clock, 1)
    assert scanned(inbox, clock, SETTLE) == ["first.xml", "second.xml"]


def test_the_wait_for_the_next_file_is_known(folder, look, clock):
    """It is as long as the first settling file still needs; with nothing settling there is none to wait for."""
    inbox = look()
    inbox.scan(MANY)
    assert inbox.seconds_to_next() is None
    (folder / "whole.xml").write_bytes(WHOLE)
    scanned(inbox, clock, 0)
    clock.now += 2
    (folder / "half.xml").write_bytes(WHOLE[:60])
    scanned(inbox, clock, 0)
    assert inbox.seconds_to_next() == pytest.approx(SETTLE - 2)
    assert inbox.waiting == 2
    assert scanned(inbox, clock, SETTLE) == ["whole.xml"]
    inbox.taken("whole.xml")
    assert inbox.seconds_to_next() is None, "half a file is waited for by scans, not by the second"
    assert inbox.waiting == 1


# --- names ----------------------------------------------------------------------------------------------------------

JUNK = [
    ".hidden.xml",
    ".pay.xml.Xa81bQ",
    ".sftpgo-upload.1234.pay.xml",
    ".syncthing.pay.xml.tmp",
    "._pay.xml",
    ".nfs000000000004.xml",
    ".smbdelete0001.xml",
    ".goutputstream-7H2KQ1",
    ".~lock.pay.xml#",
    ".Trashes",
    ".Spotlight-V100",
    "~pay.xml",
    "pay.xml~",
    "~$pay.xml",
    "pay.xml.tmp",
    "pay.xml.temp",
    "pay.xml.part",
    "pay.xml.partial",
    "pay.xml.filepart",
    "pay.xml.crdownload",
    "pay.xml.download",
    "pay.xml.swp",
    "pay.xml.bak",
    "pay.xml.writing",
    "pay.xml.camelLock",
    "Thumbs.db",
    "desktop.ini",
    "$RECYCLE.BIN",
    "@eaDir",
    "#recycle",
]


@pytest.mark.parametrize("case", [str, str.upper, str.lower], ids=["as it is", "upper", "lower"])
@pytest.mark.parametrize("name", JUNK)
def test_a_junk_name_is_never_a_payment_file(folder, look, clock, name, case):
    """What writers, editors and servers leave beside real files is left alone, even where the pattern would take it."""
    inbox = look(pattern="*", settle_seconds=0)
    (folder / case(name)).write_bytes(WHOLE)
    (folder / "pay.xml").write_bytes(WHOLE)
    assert scanned(inbox, clock, 0) == ["pay.xml"]
    (notice,) = inbox.notices()
    assert (notice.name, notice.waits) == (case(name), False)
    assert "temporary or system file" in notice.reason
    assert (folder / case(name)).read_bytes() == WHOLE


@pytest.mark.parametrize(
    ("pattern", "name", "taken"),
    [
        ("*.xml", "pay.xml", True),
        ("*.xml", "PAY.XML", True),
        ("*.XML", "pay.Xml", True),
        ("Pay-*.xml", "pAY-7.xml", True),
        ("*.xml", "pay.xml.txt", False),
        ("*.xml", "payxml", False),
        ("pay.xml", "repay.xml", False),
        ("pay?.xml", "pay12.xml", False),
    ],
)
def test_the_pattern_takes_names_in_any_letter_case(folder, look, clock, pattern, name, taken):
    """Names that fit the pattern are payment files, letter case aside; others are told of once and left alone."""
    inbox = look(pattern=pattern, settle_seconds=0)
    (folder / name).write_bytes(WHOLE)
    assert scanned(inbox, clock, 0) == ([name] if taken else [])
    assert told(inbox) == ([] if taken else [(name, False)])
    assert scanned(inbox, clock, 1) == ([name] if taken else [])
    assert told(inbox) == []


@pytest.mark.parametrize(
    "name",
    [
        "pay\nment.xml",
        "💷.xml",
        "-rf.xml",
        " .xml",
        "pay; rm -rf $HOME.xml",
        "CON.xml",
        os.fsdecode(b"pay\xff.xml"),
        f"{'円' * 83}.xml",
    ],
    ids=["newline", "emoji", "dash", "blank", "shell", "reserved", "no UTF-8", "255 bytes"],
)
def test_an_odd_name_is_a_name(folder, look, clock, name):
    """A payment file may be called whatever the file system allows."""
    inbox = look(settle_seconds=0)
    (folder / name).write_bytes(WHOLE)
    assert scanned(inbox, clock, 0) == [name]
    assert (folder / name).exists()


# --- entries that are left alone --------------------------------------------------------------------------------------


def _link(path: Path) -> None:
    secret = path.parent.parent / "secret"
    secret.write_bytes(WHOLE)
    path.symlink_to(secret)


def _hard_link(path: Path) -> None:
    second = path.parent.parent / "second"
    second.write_bytes(WHOLE)
    os.link(second, path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        # The path of a socket is short by law; one through a descriptor always is.
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            server.bind(f"/proc/self/fd/{descriptor}/{path.name}")
        finally:
            os.close(descriptor)


ENTRIES = {
    "a link to a file": (_link, "symbolic link"),
    "a link to nothing": (lambda path: path.symlink_to(path.parent / "nothing"), "symbolic link"),
    "a link to a folder": (lambda path: path.symlink_to(path.parent), "symbolic link"),
    "a folder": (lambda path: path.mkdir(), "folder"),
    "a pipe": (os.mkfifo, "named pipe"),
    "a socket": (_socket, "device or socket"),
    "a file of two names": (_hard_link, "more than one name"),
}


@pytest.mark.parametrize(("make", "reason"), ENTRIES.values(), ids=ENTRIES.keys())
def test_what_is_no_ordinary_file_is_left_alone_and_told_of_once(folder, look, clock, make, reason):
    """Under a payment file's name it is never ready and never touched, and told of again only if it comes again."""
    inbox = look(settle_seconds=0, stalled_after_seconds=1)
    path = folder / "pay.xml"
    make(path)
    before = path.lstat()
    assert scanned(inbox, clock, 0) == []
    (notice,) = inbox.notices()
    assert (notice.name, notice.waits) == ("pay.xml", False)
    assert reason in notice.reason
    for _ in range(2):
        assert scanned(inbox, clock, 10) == []
        assert inbox.notices() == []
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    path.rename(folder.parent / "away")
    inbox.scan(MANY)
    (folder.parent / "away").rename(path)
    inbox.scan(MANY)
    assert inbox.notices() == [notice]


def test_a_file_of_two_names_is_taken_once_one_is_left(folder, look, clock):
    """A hard-linked file, as a writer that links and then unlinks makes it, settles when it has one name."""
    inbox = look()
    _hard_link(folder / "pay.xml")
    scanned(inbox, clock, 0)
    (folder.parent / "second").unlink()
    assert scanned(inbox, clock, SETTLE) == []
    assert scanned(inbox, clock, SETTLE) == ["pay.xml"]


def test_files_in_a_folder_of_the_inbox_are_not_taken(folder, look, clock):
    """Only files directly in the inbox are payment files."""
    inbox = look(settle_seconds=0)
    (folder / "more").mkdir()
    (folder / "more/pay.xml").write_bytes(WHOLE)
    assert scanned(inbox, clock, 0) == []
    assert told(inbox) == [("more", False)]


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
def test_a_file_that_is_not_whole_waits_until_it_is_given_up(folder, look, clock, content, missing):
    """It waits, told of once, as long as a writer may come back; after ``stalled_after`` it is ready as it is."""
    inbox = look()
    (folder / "pay.xml").write_bytes(content)
    assert scanned(inbox, clock, 0) == []
    assert told(inbox) == [], "nothing is said of a file that still settles"
    assert scanned(inbox, clock, SETTLE) == []
    (notice,) = inbox.notices()
    assert (notice.name, notice.waits) == ("pay.xml", True)
    assert missing in notice.reason
    assert scanned(inbox, clock, STALLED - SETTLE - 0.001) == []
    assert told(inbox) == []
    clock.now += 0.001
    (ready,) = inbox.scan(MANY)
    assert (ready.size, ready.digest) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_file_that_grows_slowly_is_never_given_up(folder, look, clock):
    """Every change begins the wait anew; the file is ready when it is whole and quiet."""
    inbox = look()
    path = folder / "pay.xml"
    for end in range(40, len(WHOLE) - 1, 40):
        path.write_bytes(WHOLE[:end])
        assert scanned(inbox, clock, STALLED - 1) == []
    path.write_bytes(WHOLE)
    assert scanned(inbox, clock, 1) == []
    assert scanned(inbox, clock, SETTLE) == ["pay.xml"]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_part_of_a_document_is_ever_ready(tmp_path_factory, data):
    """Wherever a writer pauses within a document, what is there so far waits."""
    whole = document(*((f"CW-{number}", "1.00") for number in range(3))).rstrip()
    end = data.draw(st.integers(0, len(whole) - 1))
    folder, clock = tmp_path_factory.mktemp("inbox"), Clock()
    inbox = Inbox(folder, unfinished=unfinished, clock=clock, settle_seconds=0, stalled_after_seconds=STALLED)
    (folder / "pay.xml").write_bytes(whole[:end])
    assert scanned(inbox, clock, 0) == scanned(inbox, clock, STALLED - 1) == []
    (folder / "pay.xml").write_bytes(whole)
    assert scanned(inbox, clock, 0) == ["pay.xml"]


@pytest.mark.parametrize(
    "content",
    [b"hello", b"<a></b>", b"<other/>", WHOLE + b"rest", WHOLE.replace(b"</PaidAmount>", b"</Paid>")],
    ids=["no XML", "crossed tags", "another document", "more behind the root", "a wrong tag"],
)
def test_a_file_that_waiting_cannot_mend_does_not_wait(folder, look, clock, content):
    """What is broken in any other way than being cut off is ready at once: its sender is to know of it."""
    inbox = look()
    (folder / "pay.xml").write_bytes(content)
    scanned(inbox, clock, 0)
    assert scanned(inbox, clock, SETTLE) == ["pay.xml"]


def test_a_waiting_file_is_looked_into_once_for_each_state(folder, look, clock):
    """A file that waits unchanged is not read again at every scan."""
    looks: list[bytes] = []

    def missing(content: bytes) -> str | None:
        looks.append(content)
        return "its end"

    inbox = look(unfinished=missing)
    path = folder / "pay.xml"
    for content in (b"<a>", b"<a><b>"):
        path.write_bytes(content)
        scanned(inbox, clock, 0)
        for _ in range(5):
            scanned(inbox, clock, SETTLE)
    assert looks == [b"<a>", b"<a><b>"]


@pytest.mark.parametrize(("more", "read"), [(0, True), (1, False)], ids=["at the limit", "one byte beyond"])
def test_an_oversize_file_is_ready_unread(folder, look, clock, more, read):
    """Beyond ``max_file_bytes`` nothing is read and nothing waited for: the file is taken to be refused."""
    looks: list[bytes] = []
    inbox = look(max_file_bytes=len(WHOLE), unfinished=lambda content: looks.append(content))
    (folder / "pay.xml").write_bytes(WHOLE + b" " * more)
    scanned(inbox, clock, 0)
    clock.now += SETTLE
    (ready,) = inbox.scan(MANY)
    assert (ready.digest is not None) is read
    assert bool(looks) is read
    assert ready.size == len(WHOLE) + more


@pytest.mark.parametrize("waits", [SETTLE, STALLED], ids=["seconds", "beyond all patience"])
def test_an_unreadable_file_waits_and_never_fails(folder, look, clock, waits):
    """A file nobody lets us read waits for as long as it takes, told of once, and is ready when it can be read."""
    inbox = look()
    path = folder / "pay.xml"
    path.write_bytes(WHOLE)
    path.chmod(0)
    with no_special_rights():
        scanned(inbox, clock, 0)
        for _ in range(3):
            assert scanned(inbox, clock, waits) == []
        (notice,) = inbox.notices()
        assert (notice.name, notice.waits) == ("pay.xml", True)
        assert "Permission denied" in notice.reason
        path.chmod(0o600)
        assert scanned(inbox, clock, 0) == ["pay.xml"]


def test_one_file_that_waits_holds_up_no_other(folder, look, clock):
    """Unreadable, half and strange entries keep no whole file from being ready."""
    inbox = look()
    (folder / "a.xml").write_bytes(WHOLE)
    (folder / "a.xml").chmod(0)
    (folder / "b.xml").write_bytes(WHOLE[:50])
    (folder / "c.xml").mkdir()
    (folder / "d.xml").write_bytes(WHOLE)
    with no_special_rights():
        scanned(inbox, clock, 0)
        assert scanned(inbox, clock, SETTLE) == ["d.xml"]


# --- between the listing and the reading ------------------------------------------------------------------------------


def _while_looking(act: Callable[[], object]) -> Callable[[bytes], str | None]:
    """Act when the first file's content is looked at, after the listing and before the second file is read."""
    done: list[bool] = []

    def missing(_content: bytes) -> None:
        if not done:
            done.append(True)
            act()

    return missing


def _first_and_second(folder: Path) -> Path:
    for name, stamp in (("first.xml", 1), ("second.xml", 2)):
        (folder / name).write_bytes(WHOLE)
        os.utime(folder / name, (stamp, stamp))
    return folder / "second.xml"


def test_a_file_that_vanishes_during_a_scan_is_not_ready(folder, look, clock):
    """A file that was listed and is gone when it is to be read holds up nothing."""
    second = _first_and_second(folder)
    inbox = look(settle_seconds=0, unfinished=_while_looking(second.unlink))
    assert scanned(inbox, clock, 0) == ["first.xml"]


def test_a_pipe_put_in_a_files_place_during_a_scan_holds_up_nothing(folder, look, clock):
    """A pipe in the place of a file that was listed is not waited for, as opening it to read would."""
    second = _first_and_second(folder)

    def swap() -> None:
        second.unlink()
        os.mkfifo(second)

    inbox = look(settle_seconds=0, unfinished=_while_looking(swap))
    found: list[str] = []
    scan = threading.Thread(target=lambda: found.extend(scanned(inbox, clock, 0)), daemon=True)
    scan.start()
    scan.join(2)
    hung = scan.is_alive()
    if hung:
        # A writer that comes and goes ends the wait.
        os.close(os.open(second, os.O_WRONLY | os.O_NONBLOCK))
        scan.join(5)
    assert not hung, "the scan waits for somebody to write into the pipe"
    assert found == ["first.xml"]


def test_a_link_put_in_a_files_place_during_a_scan_is_not_followed(folder, look, clock):
    """What a link points to is never read, so that nothing outside the inbox can get into a result."""
    second = _first_and_second(folder)
    secret = folder.parent / "secret"
    secret.write_bytes(b"<secret/>")

    def swap() -> None:
        second.unlink()
        second.symlink_to(secret)

    inbox = look(settle_seconds=0, unfinished=_while_looking(swap))
    assert scanned(inbox, clock, 0) == ["first.xml"]


# --- the marker -------------------------------------------------------------------------------------------------------


def test_an_inbox_gets_a_marker_of_its_own(folder, look, tmp_path):
    """An inbox without a marker gets one that no other has, and is recognised by it; scans do not see it."""
    inbox = look(pattern="*", settle_seconds=0)
    assert inbox.marker() is None
    marker = inbox.keep_marker()
    assert inbox.marker() == look().marker() == marker
    inbox.check_marker(marker)
    assert inbox.scan(MANY) == []
    assert inbox.notices() == []
    other = tmp_path / "other"
    other.mkdir()
    assert Inbox(other, unfinished=unfinished).keep_marker() != marker


def test_an_empty_marker_is_none(folder, look):
    """A marker that a crash left empty says nothing; a new one can be written."""
    (folder / MARKER).write_bytes(b"")
    inbox = look()
    assert inbox.marker() is None
    inbox.check_marker(inbox.keep_marker())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda marker: marker.unlink(), "has no marker any more"),
        (lambda marker: marker.write_text(""), "has no marker any more"),
        (lambda marker: marker.write_text("0123456789abcdef\n"), "bears the marker of another inbox"),
        (lambda marker: marker.write_bytes(b"\xff\xfe\0"), "bears the marker of another inbox"),
    ],
    ids=["missing", "empty", "foreign", "garbled"],
)
def test_without_its_marker_it_is_not_the_inbox(folder, look, change, words):
    """A missing or foreign marker is an outage, never an empty inbox; its mend, carried out, is the end of it."""
    inbox = look()
    marker = inbox.keep_marker()
    change(folder / MARKER)
    with pytest.raises(FolderTrouble, match=words) as trouble:
        inbox.check_marker(marker)
    assert str(folder) in str(trouble.value)
    command = re.search(r"echo .*", trouble.value.mend)
    assert command
    subprocess.run(["sh", "-c", command[0]], check=True)
    inbox.check_marker(marker)


@pytest.mark.parametrize(
    "act",
    [Inbox.marker, Inbox.keep_marker, lambda inbox: inbox.scan(MANY)],
    ids=["marker", "keep_marker", "scan"],
)
def test_a_missing_inbox_is_an_outage(folder, look, act):
    """An inbox that is not there is told by name with a mend, and is not made."""
    inbox = look()
    folder.rmdir()
    with pytest.raises(FolderTrouble, match=re.escape(str(folder))) as trouble:
        act(inbox)
    assert "share" in trouble.value.mend
    assert not folder.exists()


def test_a_file_in_the_place_of_the_inbox_is_an_outage(folder, look):
    """Something else under the inbox's name is no inbox."""
    folder.rmdir()
    folder.write_bytes(b"")
    with pytest.raises(FolderTrouble):
        look().marker()
    with pytest.raises(FolderTrouble):
        look().scan(MANY)


def test_what_is_known_survives_an_outage(folder, look, clock):
    """A share that was away does not make its files settle anew: an outage is not an empty inbox."""
    inbox = look()
    (folder / "pay.xml").write_bytes(WHOLE)
    scanned(inbox, clock, 0)
    away = folder.rename(folder.with_name("away"))
    with pytest.raises(FolderTrouble):
        inbox.scan(MANY)
    assert inbox.waiting == 1
    away.rename(folder)
    assert scanned(inbox, clock, SETTLE) == ["pay.xml"]


def test_an_inbox_that_may_not_be_listed_is_an_outage(folder, look):
    """Without the right to list it the inbox is not empty but in trouble."""
    folder.chmod(0)
    with no_special_rights():
        with pytest.raises(FolderTrouble, match="Permission denied"):
            look().scan(MANY)
        folder.chmod(0o700)


def test_a_file_that_a_listing_missed_keeps_its_place(folders, monkeypatch):
    """A listing may miss a file that comes while it is made and hold a later one; the earlier is taken first."""
    inbox = Inbox(folders.inbox, unfinished=lambda _content: None, settle_seconds=0)
    for name in ("b-earlier.xml", "a-later.xml", "c-latest.xml"):
        (folders.inbox / name).write_bytes(b"<a/>")
        until_time_moves(folders.inbox / name)
    listings = iter([{"a-later.xml"}, {"a-later.xml", "b-earlier.xml", "c-latest.xml"}])
    scandir = os.scandir

    @contextmanager
    def listing(folder):
        # What the system lists in a race cannot be brought about at will.
        seen = next(listings, None)
        with scandir(folder) as entries:
            yield (entry for entry in entries if seen is None or entry.name in seen)

    monkeypatch.setattr(os, "scandir", listing)
    assert [ready.name for ready in inbox.scan(9)] == ["b-earlier.xml", "a-later.xml"]
    for name in ("b-earlier.xml", "a-later.xml"):
        inbox.taken(name)
        (folders.inbox / name).unlink()
    assert [ready.name for ready in inbox.scan(9)] == ["c-latest.xml"]


def until_time_moves(path):
    """Wait until the file system gives another time than a file's."""
    probe = path.with_suffix(".tmp")
    while True:
        probe.write_bytes(b"")
        if probe.stat().st_ctime_ns > path.stat().st_ctime_ns:
            probe.unlink()
            return
