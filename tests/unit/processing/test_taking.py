"""Files are taken from the inbox once, whatever happens to them, to work or to the program meanwhile."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.claims import EARLIER, ID, leave_strays, ready, tree
from support.documents import leave_socket
from support.line import Line, stepping
from support.rights import no_special_rights
from support.steps import Interrupted, instead, interrupted_at, listening

from watcher.claim import Claim
from watcher.errors import FolderTrouble
from watcher.folders.layout import Folders
from watcher.journal.claims import NewClaim

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def start(folders: Folders) -> Iterator[Callable[..., Line]]:
    """Start the parts of the program as often as wanted, over one journal or another."""
    lines: list[Line] = []

    def again(**sections: dict[str, object]) -> Line:
        lines.append(Line(folders, NOWHERE, **sections))
        return lines[-1]

    yield again
    for line in lines:
        line.close()


@pytest.fixture
def line(start: Callable[..., Line]) -> Line:
    """The parts of the program over empty folders and a new journal."""
    return start()


def lost(folders: Folders) -> None:
    """Lose the journal."""
    for file in folders.inbox.parent.glob("journal.db*"):
        file.unlink()


def rows(folders: Folders) -> dict[str, int]:
    """Count what the journal holds of files."""
    with closing(sqlite3.connect(folders.inbox.parent / "journal.db")) as journal:
        return {
            table: journal.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("files", "documents")
        }


NOTHING = {"files": 0, "documents": 0}


def copies(line: Line, claims: Iterable[Claim]) -> dict[str, bytes | None]:
    """Return our copies of some files by the files' names."""
    return {claim.name: line.claims.copy(claim.id).content for claim in claims}


# --- taking -----------------------------------------------------------------------------------------------------------


def test_files_are_taken_in_order(line, folders):
    """The journal has a copy of each, in the order given, whatever the clock says; work holds the originals."""
    names = ["b.xml", "a.xml", "c.xml"]
    taken = line.taker.take([ready(folders.inbox, name, name.encode()) for name in names])
    assert [claim.name for claim in taken.claims] == names
    assert list(taken.claims.values()) == [5, 5, 5]
    assert (taken.returned, taken.held_back) == ({}, {})
    assert copies(line, taken.claims) == {name: name.encode() for name in names}
    assert tree(folders.work) == {f".work/{claim.id}/{claim.name}": claim.name.encode() for claim in taken.claims}
    assert list(folders.inbox.iterdir()) == []
    assert [file.claim for file in line.claims.unfinished()] == list(taken.claims)
    assert line.taker.made == {claim.id for claim in taken.claims}
    again = line.again()
    assert again.taker.resume() == taken.claims
    assert again.taker.made == set()


def test_order_is_that_of_taking_however_the_clock_runs(line, folders, monkeypatch):
    """With a clock that is set back between two files, the later file stays the later one, after a restart, too."""
    now = datetime(2026, 6, 1, 12, tzinfo=UTC)
    times = iter([now, now - timedelta(days=400), now - timedelta(days=1), now + timedelta(days=1), now])

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return next(times)

    monkeypatch.setattr("watcher.processing.taking.datetime", Clock)
    claims = [claim for name in "edcba" for claim in line.taker.take([ready(folders.inbox, f"{name}.xml")]).claims]
    assert [claim.name[0] for claim in claims] == list("edcba")
    assert list(line.again().taker.resume()) == claims
    assert len({claim.id for claim in claims}) == 5


def test_name_that_is_no_utf_8_is_the_same_after_a_restart(line, folders):
    """So is one that looks as the journal keeps such a name: neither file is mistaken for another."""
    names = [os.fsdecode(b"M\xe4rz.xml"), "M\\udce4rz.xml", "M\\x5cudce4rz.xml", "back\\slash.xml", "März.xml"]
    taken = line.taker.take([ready(folders.inbox, name, os.fsencode(name)) for name in names])
    assert [claim.name for claim in line.again().taker.resume()] == [claim.name for claim in taken.claims] == names
    assert copies(line, taken.claims) == {name: os.fsencode(name) for name in names}
    for claim in taken.claims:
        line.claims.finish(claim.id)
    assert line.again().taker.resume() == {}
    assert list(folders.work.iterdir()) == []


# --- files that changed or went since the scan ------------------------------------------------------------------------


def _link_to_a_secret(path: Path) -> None:
    secret = path.parents[1] / "secret"
    secret.write_bytes(b"<pay/>")
    path.unlink()
    path.symlink_to(secret)


def _becomes(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


CHANGES = {
    "more bytes": lambda path: path.write_bytes(b"<pay/><!-- more -->"),
    "fewer bytes": lambda path: path.write_bytes(b"<p/>"),
    "other bytes of the same number": lambda path: path.write_bytes(b"<buy/>"),
    "a link to a file of the very same bytes": _link_to_a_secret,
    "a link to nothing": _becomes(lambda path: path.symlink_to("nothing")),
    "a pipe": _becomes(os.mkfifo),
    "a socket": _becomes(leave_socket),
    "a folder": _becomes(Path.mkdir),
    "gone": Path.unlink,
}
MOMENTS = {"after the scan": None, "after it was read": "os.rename"}


def facts(path: Path) -> tuple[int, ...] | None:
    """Return what must not change of an entry; None if there is none."""
    if not os.path.lexists(path):
        return None
    found = path.lstat()
    return found.st_ino, found.st_mode, found.st_size, found.st_nlink


@pytest.mark.parametrize("event", MOMENTS.values(), ids=MOMENTS)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_file_that_changed_is_not_taken(line, folders, change, event):
    """It lies in the inbox as it is now, others are taken, and neither work nor the journal has anything of it."""
    files = [ready(folders.inbox, name) for name in ("a.xml", "pay.xml", "z.xml")]
    changed = []

    def change_it(path: Path) -> None:
        change(path)
        changed.append(facts(path))

    if event is None:
        change_it(folders.inbox / "pay.xml")
    with nullcontext() if event is None else instead(event, folders.inbox / "pay.xml", change_it):
        taken = line.taker.take(files)
    assert facts(folders.inbox / "pay.xml") == changed[0]
    assert [path.name for path in folders.inbox.iterdir()] == (["pay.xml"] if changed[0] else [])
    assert [claim.name for claim in taken.claims] == ["a.xml", "z.xml"]
    assert taken.held_back == {}
    reason = "taken away" if change is Path.unlink else "changed|taken away"
    assert list(taken.returned) == ["pay.xml"]
    assert any(word in taken.returned["pay.xml"] for word in reason.split("|"))
    assert sorted(path.name for path in folders.work.iterdir()) == sorted(claim.id for claim in taken.claims)
    assert rows(folders) == {"files": 2, "documents": 2}
    assert line.taker.made == {claim.id for claim in taken.claims}
    assert list(line.again().taker.resume()) == list(taken.claims)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_ten_files_that_change_at_once_are_all_returned(line, folders, change):
    """Nothing is taken, nothing is left in work or in the journal, and each file is what it became."""
    files = [ready(folders.inbox, f"{number}.xml") for number in range(10)]
    for number in range(0, 10, 2):
        change(folders.inbox / f"{number}.xml")
    names = {file.name for file in files}
    moved: list[object] = []

    def change_as_it_goes(event: str, args: tuple[object, ...]) -> None:
        if event == "os.rename" and args[0] in names and args[0] not in moved:
            moved.append(args[0])
            change(folders.inbox / str(args[0]))

    with listening(change_as_it_goes):
        taken = line.taker.take(files)
    assert len(moved) == 5
    assert (taken.claims, taken.held_back) == ({}, {})
    assert sorted(taken.returned) == [file.name for file in files]
    assert list(folders.work.iterdir()) == []
    assert rows(folders) == NOTHING
    assert line.taker.made == set()
    present = [file.name for file in files if os.path.lexists(folders.inbox / file.name)]
    assert present == ([] if change is Path.unlink else [file.name for file in files])
    assert len(list(folders.inbox.iterdir())) == len(present)


def test_changed_file_and_one_that_took_its_name_meanwhile_both_survive(line, folders):
    """A file to be put back whose name has been taken again gets another name: neither replaces the other."""
    file = ready(folders.inbox)
    pay = folders.inbox / "pay.xml"

    dropped: list[str] = []

    def another(event: str, args: tuple[object, ...]) -> None:
        # When the file in work is opened, to see what was taken.
        if event == "open" and Path(str(args[0])).name == "pay.xml" and not pay.exists() and not dropped:
            dropped.append(event)
            pay.write_bytes(b"<another/>")

    with listening(another), instead("os.rename", pay, CHANGES["more bytes"]):
        taken = line.taker.take([file])
    assert taken.returned.keys() == {"pay.xml"}
    assert pay.read_bytes() == b"<another/>"
    (other,) = (path for path in folders.inbox.iterdir() if path.name != "pay.xml")
    assert other.read_bytes() == b"<pay/><!-- more -->"
    assert list(folders.work.iterdir()) == []
    assert rows(folders) == NOTHING


def test_file_that_got_a_second_name_is_returned(line, folders):
    """Its other name could be written to; the scan leaves such files alone, and says so."""
    file = ready(folders.inbox)
    os.link(folders.inbox / "pay.xml", folders.inbox.parent / "second")
    assert line.taker.take([file]).returned.keys() == {"pay.xml"}
    assert (folders.inbox / "pay.xml").samefile(folders.inbox.parent / "second")
    assert rows(folders) == NOTHING


def test_oversize_file_is_taken_without_a_copy(start, folders):
    """Its size counts as the scan saw it: a smaller one that took its place was never looked at, and is returned."""
    line = start(inbox={"max_file_bytes": 10})
    unread = replace(ready(folders.inbox, content=b"<11 bytes/>"), digest=None)
    ready(folders.inbox, content=b"<half")
    assert line.taker.take([unread]).returned.keys() == {"pay.xml"}
    ready(folders.inbox, content=b"<12  bytes/>")
    assert line.taker.take([unread]).returned.keys() == {"pay.xml"}
    assert rows(folders) == NOTHING
    ready(folders.inbox, content=b"<!! bytes/>")
    ((claim, size),) = line.taker.take([unread]).claims.items()
    assert size == 11
    assert line.claims.copy(claim.id).content is None
    assert line.claims.copy(claim.id).digest == sha256(b"<!! bytes/>").hexdigest()
    assert line.again().taker.resume() == {claim: None}


# --- files that cannot be taken now -----------------------------------------------------------------------------------


def test_file_that_may_not_be_read_waits_alone(line, folders):
    """It is held back with the reason, nothing of it is anywhere, and the others are taken."""
    files = [ready(folders.inbox, name) for name in ("a.xml", "pay.xml", "z.xml")]
    (folders.inbox / "pay.xml").chmod(0)
    with no_special_rights():
        taken = line.taker.take(files)
    assert [claim.name for claim in taken.claims] == ["a.xml", "z.xml"]
    assert taken.returned == {}
    assert taken.held_back == {"pay.xml": "it cannot be read now: Permission denied"}
    assert [path.name for path in folders.inbox.iterdir()] == ["pay.xml"]
    assert rows(folders) == {"files": 2, "documents": 2}


def test_file_that_somebody_has_open_waits_alone(line, folders):
    """What cannot be moved stays where it is, and is no claim; the next attempt takes it."""
    files = [ready(folders.inbox, name) for name in ("a.xml", "pay.xml", "z.xml")]

    def is_open_elsewhere(path: Path) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))

    with instead("os.rename", folders.inbox / "pay.xml", is_open_elsewhere):
        taken = line.taker.take(files)
    assert [claim.name for claim in taken.claims] == ["a.xml", "z.xml"]
    assert taken.returned == {}
    assert taken.held_back == {"pay.xml": "it cannot be moved now: Device or resource busy"}
    assert tree(folders.inbox) == {"inbox/pay.xml": b"<pay/>"}
    assert len(list(folders.work.iterdir())) == 2
    assert rows(folders) == {"files": 2, "documents": 2}
    assert [claim.name for claim in line.taker.take(files[1:2]).claims] == ["pay.xml"]


def test_file_that_is_closed_to_us_just_after_it_was_moved_goes_back(line, folders):
    """A writer that keeps its handle can take our right to read away: that file waits in the inbox, and no other."""
    files = [ready(folders.inbox, name) for name in ("a.xml", "pay.xml", "z.xml")]
    with (
        (folders.inbox / "pay.xml").open("rb+") as writer,
        no_special_rights(),
        instead("os.rename", folders.inbox / "pay.xml", lambda _: os.fchmod(writer.fileno(), 0)),
    ):
        taken = line.taker.take(files)
    assert [claim.name for claim in taken.claims] == ["a.xml", "z.xml"]
    assert taken.returned.keys() == {"pay.xml"}
    assert tree(folders.inbox) == {"inbox/pay.xml": b"<pay/>"}
    assert rows(folders) == {"files": 2, "documents": 2}


def test_what_is_taken_before_a_folder_fails_is_taken(line, folders):
    """A disk that is full at the second file of three: all three are taken once there is room, each once."""
    files = [ready(folders.inbox, f"{number}.xml", b"<%d/>" % number) for number in range(3)]

    def is_full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with instead("os.rename", folders.inbox / "1.xml", is_full), pytest.raises(FolderTrouble, match="No space"):
        line.taker.take(files)
    claims = line.taker.resume()
    assert copies(line, claims) == {f"{number}.xml": b"<%d/>" % number for number in range(3)}
    assert {claim.id for claim in claims} == line.taker.made
    assert list(folders.inbox.iterdir()) == []
    assert len(tree(folders.work)) == 3


# --- the next start ---------------------------------------------------------------------------------------------------


def test_what_the_journal_holds_is_finished_though_work_is_empty(start, line, folders):
    """Whoever empties work takes no payment back: our copies are what is worked on, and work is empty at the end."""
    line.taker.take([ready(folders.inbox, f"{number}.xml", b"<Orders/>") for number in range(3)])
    for path in folders.work.iterdir():
        shutil.rmtree(path)
    again = start()
    assert again.resume().files == 3
    assert len(list(folders.fail.glob("*.xml"))) == 3
    assert len(list(folders.archive.rglob("*.xml"))) == 3
    assert again.claims.unfinished() == []
    assert list(folders.work.iterdir()) == list(folders.inbox.iterdir()) == []


def test_nothing_but_our_copy_is_worked_on(start, line, folders):
    """What somebody puts in the place of an original changes no result; it is kept in fail, and reported."""
    ((claim, _),) = line.taker.take([ready(folders.inbox, content=b"<Orders/>")]).claims.items()
    (folders.work / claim.id / "pay.xml").write_bytes(b"<forged/>")
    with capture_logs() as log:
        assert start().resume().files == 1
    assert (folders.fail / claim.published_name).read_bytes() == b"<Orders/>"
    (archived,) = folders.archive.rglob("*.xml")
    assert archived.read_bytes() == b"<Orders/>"
    assert [path.read_bytes() for path in folders.fail.glob("*changed*.xml")] == [b"<forged/>"]
    assert [entry["file"] for entry in log if entry["event"] == "file.changed"] == ["pay.xml"]
    assert list(folders.work.iterdir()) == []


def test_strays_are_neither_taken_nor_deleted(start, line, folders):
    """Beside an original, before and after its end, with the journal and without: they stay, and are no files."""
    ((claim, _),) = line.taker.take([ready(folders.inbox, content=b"<Orders/>")]).claims.items()
    place = folders.work / claim.id
    strays = leave_strays(place)
    (place / "a.xml.bak").write_bytes(b"<a copy/>")
    line.resume()
    kept = sorted([*strays, "a.xml.bak"])
    assert sorted(path.name for path in place.iterdir()) == kept
    before = tree(folders.success, folders.fail, folders.archive)
    assert start().resume().files == 0
    assert sorted(path.name for path in place.iterdir()) == kept
    (place / "a.xml.bak").unlink()
    line.close()
    lost(folders)
    assert start().resume().files == 0
    assert sorted(path.name for path in place.iterdir()) == strays
    assert tree(folders.success, folders.fail, folders.archive) == before


def test_finished_files_are_let_go_and_empty_places_cleared(start, line, folders):
    """A crash after the end of a claim leaves its original, or an empty place: the next start removes both."""
    one, two = line.taker.take([ready(folders.inbox, "1.xml"), ready(folders.inbox, "2.xml")]).claims
    for claim in (one, two):
        line.claims.finish(claim.id)
    (folders.work / two.id / two.name).unlink()
    (folders.work / ID).mkdir()
    assert start().taker.resume() == {}
    assert list(folders.work.iterdir()) == []
    assert tree(folders.fail) == {}


def test_lost_journal(start, line, folders):
    """The originals in work are taken anew under their claims, in the order of their ids, before anything else."""
    claims = line.taker.take([ready(folders.inbox, name, name.encode()) for name in ("b.xml", "c.xml", "a.xml")]).claims
    line.close()
    lost(folders)
    again = start()
    assert list(again.taker.resume()) == list(claims)
    assert copies(again, claims) == {name: name.encode() for name in ("b.xml", "c.xml", "a.xml")}
    assert again.taker.made == set()
    ((later, _),) = again.taker.take([ready(folders.inbox, "d.xml")]).claims.items()
    assert list(again.again().taker.resume()) == [*claims, later]


@pytest.mark.parametrize("step", range(1, 40))
def test_lost_journal_and_ended_at_any_step(start, line, folders, step):
    """Ended while it takes up what lies in work, the next start goes on with the rest."""
    claims = line.taker.take([ready(folders.inbox, name, name.encode()) for name in ("b.xml", "a.xml")]).claims
    line.close()
    lost(folders)
    again = start()
    with interrupted_at(step), suppress(Interrupted):
        stepping(again).resume()
    assert list(again.again().taker.resume()) == list(claims)
    assert copies(again, claims) == {name: name.encode() for name in ("b.xml", "a.xml")}


def test_lost_journal_and_a_receipt_in_work_is_not_believed(start, line, folders):
    """What version 3 kept in work, or somebody forged, says nothing about a file."""
    ((claim, _),) = line.taker.take([ready(folders.inbox, content=b"<Orders/>")]).claims.items()
    line.close()
    lost(folders)
    receipt = {"file": "pay.xml", "claim": claim.id, "sha256": sha256(b"<Orders/>").hexdigest(), "records": []}
    receipt["finished_at"] = "2026-01-01T00:00:00+00:00"
    (folders.work / f"{claim.id}.receipt.json").write_text(json.dumps(receipt))
    again = start()
    again.taker.resume()
    assert again.ledger.known(claim.id) is None


def test_unreadable_file_in_work_holds_up_no_other(start, line, folders):
    """After a lost journal the others are taken up; this one is reported once, and taken up when it can be read."""
    one, two = line.taker.take([ready(folders.inbox, "1.xml"), ready(folders.inbox, "2.xml")]).claims
    (folders.work / one.id / "1.xml").chmod(0)
    line.close()
    lost(folders)
    again = start()
    with no_special_rights(), capture_logs() as log:
        for _ in range(3):
            assert list(again.taker.resume()) == [two]
    (told,) = (entry for entry in log if entry["event"] == "file.waiting")
    assert told["file"] == "1.xml"
    assert "Permission denied" in told["reason"]
    (folders.work / one.id / "1.xml").chmod(0o600)
    assert list(again.taker.resume()) == [two, one]


def test_forged_claims_of_no_time_and_of_the_end_of_time_stop_nothing(start, line, folders):
    """An id is never read as more than it is: what lies there counts as newly dropped, and new claims get ids."""
    for claim_id in ("99999999T999999Z_00000000", "99991231T235959Z_ffffffff"):
        (folders.work / claim_id).mkdir()
        (folders.work / claim_id / "forged.xml").write_bytes(b"<Orders/>")
    assert [claim.id for claim in line.taker.resume()] == ["99991231T235959Z_ffffffff"]
    claims = line.taker.take([ready(folders.inbox, f"{number}.xml", b"<Orders/>") for number in range(3)]).claims
    assert len(claims) == 3
    assert start().resume().files == 4
    assert [path.name for path in folders.work.iterdir()] == ["99999999T999999Z_00000000"]


# --- what a journal of version 3 left ---------------------------------------------------------------------------------


def of_version_3(line: Line, folders: Folders, content: bytes = b"<original/>", read: bytes = b"<original/>") -> Claim:
    """Leave a claim as version 3 did: a row without a copy, the original in work, a document and a receipt beside."""
    claim = Claim(EARLIER, "pay.xml")
    line.claims.add([NewClaim(claim, sha256(read).hexdigest(), None)], taken=True)
    with closing(sqlite3.connect(folders.inbox.parent / "journal.db")) as journal, journal:
        journal.execute("DELETE FROM documents")
    (folders.work / claim.id).mkdir()
    (folders.work / claim.id / claim.name).write_bytes(content)
    (folders.work / f"{claim.id}.payments.xml").write_bytes(b"<made/>")
    (folders.work / f"{claim.id}.receipt.json").write_bytes(b"{}")
    (folders.work / f".{claim.id}.receipt.tmp").write_bytes(b"{")
    return claim


def check_brought_along(line: Line, folders: Folders, claim: Claim) -> None:
    """Make sure that the journal has the file and its document, and that work has the original alone."""
    assert line.taker.resume() == {claim: len(b"<original/>")}
    copy = line.claims.copy(claim.id)
    assert (copy.content, copy.document) == (b"<original/>", b"<made/>")
    assert tree(folders.work) == {f".work/{claim.id}/pay.xml": b"<original/>"}


def test_claim_of_version_3_is_brought_along(line, folders):
    """The journal takes a copy of the original and of what the stylesheet made; what lay beside goes."""
    claim = of_version_3(line, folders)
    check_brought_along(line, folders, claim)
    check_brought_along(line.again(), folders, claim)


@pytest.mark.parametrize("step", range(1, 25))
def test_bringing_along_can_be_ended_at_any_step(line, folders, step):
    """The next start does the rest, and nothing is left beside."""
    claim = of_version_3(line, folders)
    with interrupted_at(step), suppress(Interrupted):
        stepping(line).resume()
    check_brought_along(line.again(), folders, claim)


def test_what_lies_beside_a_finished_claim_of_version_3_goes(line, folders):
    """A crash of version 3 at its very end, when the archive had the original, leaves no receipt for ever."""
    claim = of_version_3(line, folders)
    archived = folders.archived(claim)
    archived.parent.mkdir(parents=True)
    (folders.work / claim.id / claim.name).rename(archived)
    assert line.taker.resume() == {}
    assert line.claims.state(claim.id).finished
    assert list(folders.work.iterdir()) == []


@pytest.mark.parametrize("archived", [None, b"<another/>"], ids=["nothing", "another"])
def test_claim_of_version_3_that_was_moved_away_is_told_and_not_forgotten(line, folders, archived):
    """It counts as finished only where the archive has it. It waits by itself until a person puts it back."""
    claim = of_version_3(line, folders)
    original = folders.work / claim.id / claim.name
    content = original.read_bytes()
    original.unlink()
    if archived is not None:
        folders.archived(claim).parent.mkdir(parents=True)
        folders.archived(claim).write_bytes(archived)
    (other,) = line.taker.take([ready(folders.inbox, "other.xml")]).claims
    last = line.again()
    for start in (line, line, last):
        assert list(start.taker.resume()) == [other]
    assert not line.claims.state(claim.id).finished
    (wait,) = line.waits.all()
    assert (wait.claim, "is gone from work" in wait.reason) == (claim.id, True)
    assert str(original) in wait.mend
    original.parent.mkdir(exist_ok=True)
    original.write_bytes(content)
    assert set(last.taker.resume()) == {claim, other}
    assert line.claims.copy(claim.id).document == b"<made/>"
    assert line.waits.all() == []


def test_claim_of_version_3_that_changed_waits_by_itself(line, folders):
    """Nobody knows what was read: a person is told once, all of it stays for the right content, and others go on."""
    claim = of_version_3(line, folders, content=b"<another/>")
    (other,) = line.taker.take([ready(folders.inbox, "other.xml")]).claims
    with capture_logs() as log:
        for start in (line, line, line.again()):
            assert list(start.taker.resume()) == [other]
    told = [(entry["file"], entry["claim"]) for entry in log if entry["event"] == "file.waiting"]
    # Once for each start.
    assert told == [("pay.xml", claim.id)] * 2
    (wait,) = line.waits.all()
    assert "was changed by its writer" in wait.reason
    assert str(folders.work / claim.id / "pay.xml") in wait.mend
    (folders.work / claim.id / "pay.xml").write_bytes(b"<original/>")
    assert set(line.again().taker.resume()) == {claim, other}
    assert line.claims.copy(claim.id).document == b"<made/>"


def test_unreadable_claim_of_version_3_waits_by_itself(line, folders):
    """It is brought along once it can be read, and then waits no longer."""
    claim = of_version_3(line, folders)
    original = folders.work / claim.id / "pay.xml"
    original.chmod(0)
    with no_special_rights():
        assert line.taker.resume() == {}
    assert [wait.claim for wait in line.waits.all()] == [claim.id]
    original.chmod(0o600)
    assert list(line.taker.resume()) == [claim]
    assert line.waits.all() == []


def test_what_waited_and_is_gone_from_work_is_forgotten(start, line, folders):
    """After a lost journal a file that nobody could read waits; once a person took it away, nothing is said of it."""
    (claim,) = line.taker.take([ready(folders.inbox, "1.xml")]).claims
    (folders.work / claim.id / "1.xml").chmod(0)
    line.close()
    lost(folders)
    again = start()
    with no_special_rights():
        assert again.taker.resume() == {}
    assert [wait.file for wait in again.waits.all()] == ["1.xml"]
    (folders.work / claim.id / "1.xml").unlink()
    assert again.again().taker.resume() == {}
    assert again.waits.all() == []
