"""Work: files are claimed, put back, found again, and what is kept beside them."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.claims import ID, claimed, ready, tree
from support.documents import leave_socket
from support.steps import Interrupted, interrupted_at, listening

from watcher.disk.hanging import FolderCalls
from watcher.errors import FolderTrouble
from watcher.folders.layout import Folders
from watcher.folders.work import Changed, Work

NOW = datetime(2025, 6, 1, 12, 30, 15, 250000, tzinfo=UTC)


def work_in(folders: Folders) -> Work:
    """Return the work of a process that has just started."""
    return Work(folders, FolderCalls())


# --- claiming -------------------------------------------------------------------------------------------------------


def test_claim_takes_the_file_out_of_the_inbox_into_a_place_of_its_own(folders):
    """A claimed file lies in work under its claim and its own name, byte for byte, and in the inbox no more."""
    claim = work_in(folders).claim(ready(folders.inbox, content=b"<some bytes/>"), NOW)
    assert list(folders.inbox.iterdir()) == []
    assert tree(folders.work) == {f".work/{claim.id}/pay.xml": b"<some bytes/>"}
    assert work_in(folders).claimed() == work_in(folders).claimed_names() == [claim]


def test_claims_of_this_process_are_known_until_they_are_cleared(folders):
    """A claim of an earlier process is told apart from one of this process."""
    before = work_in(folders).claim(ready(folders.inbox, "1.xml"), NOW)
    work = work_in(folders)
    claim = work.claim(ready(folders.inbox, "2.xml"), NOW)
    assert work.claimed() == [before, claim]
    assert work.made == {claim.id}
    (folders.work / claim.id / claim.name).unlink()
    work.clear(claim.id)
    assert work.made == set()


@pytest.mark.parametrize(
    "zone", [UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=11, minutes=30))], ids=str
)
def test_claim_id_is_the_utc_second_and_eight_hex_digits(folders, zone):
    """Whatever the clock's zone, the id is ``yyyymmddThhmmssZ_`` in UTC with eight hex digits, and holds its time."""
    claim = work_in(folders).claim(ready(folders.inbox), NOW.astimezone(zone))
    assert re.fullmatch(r"20250601T123015Z_[0-9a-f]{8}", claim.id)
    assert claim.claimed_at == NOW.replace(microsecond=0)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.timedeltas(timedelta(seconds=-5), timedelta(seconds=5)), min_size=2, max_size=8))
def test_claims_sort_in_the_order_of_claiming_however_the_clock_runs(jumps):
    """The ids of claims in work are all different and rise, even if the clock stands still or is set back."""
    with tempfile.TemporaryDirectory() as base:
        folders = Folders(*(Path(base, name) for name in ("inbox", ".work", "success", "fail", "archive")))
        for folder in (folders.inbox, folders.work):
            folder.mkdir()
        work, now, claims = work_in(folders), NOW, []
        for number, jump in enumerate(jumps):
            now += jump
            claims.append(work.claim(ready(folders.inbox, f"{number}.xml"), now))
        assert [claim.id for claim in claims] == sorted({claim.id for claim in claims})
        assert work.claimed() == claims
        assert all(re.fullmatch(r"\d{8}T\d{6}Z_[0-9a-f]{8}", claim.id) for claim in claims)


def test_clock_that_runs_on_gives_a_claim_its_own_second_again(folders):
    """A clock that was set back does not leave later claims in the past once it has caught up."""
    work = work_in(folders)
    work.claim(ready(folders.inbox, "1.xml"), NOW)
    work.claim(ready(folders.inbox, "2.xml"), NOW - timedelta(hours=1))
    last = work.claim(ready(folders.inbox, "3.xml"), NOW + timedelta(seconds=1))
    assert last.claimed_at == (NOW + timedelta(seconds=1)).replace(microsecond=0)


def test_file_that_is_gone_is_not_claimed(folders):
    """A file that was taken away before the claim is ``Changed``, and leaves no place in work behind."""
    file = ready(folders.inbox)
    (folders.inbox / "pay.xml").unlink()
    with pytest.raises(Changed):
        work_in(folders).claim(file, NOW)
    assert list(folders.work.iterdir()) == []


def _link_to_a_secret(path: Path) -> None:
    secret = path.parent.parent / "secret"
    secret.write_bytes(b"<pay/>")
    path.unlink()
    path.symlink_to(secret)


def _dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nothing")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _socket(path: Path) -> None:
    path.unlink()
    leave_socket(path)


CHANGES = {
    "more bytes": lambda path: path.write_bytes(b"<pay/><!-- more -->"),
    "fewer bytes": lambda path: path.write_bytes(b"<p/>"),
    "other bytes of the same number": lambda path: path.write_bytes(b"<buy/>"),
    "a second name": lambda path: os.link(path, path.parent.parent / "second"),
    "a link to a file of the very same bytes": _link_to_a_secret,
    "a link to nothing": _dangling_link,
    "a pipe": _pipe,
    "a socket": _socket,
    "a folder": _folder,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_file_that_changed_since_the_scan_is_put_back_as_it_is(folders, change):
    """A file that is not what the scan saw is not worked on: whatever it became, it is in the inbox again."""
    file = ready(folders.inbox)
    change(folders.inbox / "pay.xml")
    before = (folders.inbox / "pay.xml").lstat()
    with pytest.raises(Changed):
        work_in(folders).claim(file, NOW)
    after = (folders.inbox / "pay.xml").lstat()
    assert (after.st_ino, after.st_mode, after.st_size, after.st_nlink) == (
        before.st_ino,
        before.st_mode,
        before.st_size,
        before.st_nlink,
    )
    assert [path.name for path in folders.inbox.iterdir()] == ["pay.xml"]
    assert list(folders.work.iterdir()) == []


def test_oversize_file_is_checked_by_its_size_alone(folders):
    """A file without a digest is claimed if its size is what the scan saw, and put back if it is not."""
    unread = replace(ready(folders.inbox), digest=None)
    (folders.inbox / "pay.xml").write_bytes(b"<six!>")
    assert work_in(folders).claim(unread, NOW).name == "pay.xml"
    (folders.inbox / "pay.xml").write_bytes(b"<seven>")
    with pytest.raises(Changed):
        work_in(folders).claim(unread, NOW)


@contextmanager
def name_taken_again(folders: Folders) -> Iterator[None]:
    """Drop another file of the same name as soon as a claimed one is opened in work, to see what was taken."""
    opened: list[object] = []

    def drop_another(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and not opened and Path(str(args[0])).match(".work/*/pay.xml"):
            opened.append(args[0])
            (folders.inbox / "pay.xml").write_bytes(b"<another/>")

    with listening(drop_another):
        yield


def test_changed_file_and_one_that_took_its_name_meanwhile_both_survive(folders):
    """A file to be put back whose name has been taken again gets another name: neither replaces the other."""
    file = ready(folders.inbox)
    (folders.inbox / "pay.xml").write_bytes(b"<changed/>")

    with name_taken_again(folders), pytest.raises(Changed):
        work_in(folders).claim(file, NOW)
    assert (folders.inbox / "pay.xml").read_bytes() == b"<another/>"
    (other,) = (path for path in folders.inbox.iterdir() if path.name != "pay.xml")
    assert other.read_bytes() == b"<changed/>"
    assert re.fullmatch(r"pay__\d{8}T\d{6}Z_[0-9a-f]{8}\.xml", other.name)
    assert list(folders.work.iterdir()) == []


@pytest.mark.parametrize("missing", ["work", "inbox"])
def test_missing_folder_holds_up_claiming_and_is_named(folders, missing):
    """Without work or inbox nothing is claimed: the trouble names the folder and the mend, and no folder is made."""
    file = ready(folders.inbox)
    folder: Path = getattr(folders, missing)
    folder.rename(folder.with_name("away"))
    with pytest.raises(FolderTrouble, match=re.escape(str(folder))) as trouble:
        work_in(folders).claim(file, NOW)
    if missing == "work":
        assert "mount" in trouble.value.mend
        assert (folders.inbox / "pay.xml").exists()
    assert not folder.exists()


def test_work_may_hold_what_is_no_claim(folders):
    """A stray file or folder in work is no claim and keeps nothing from being listed in order."""
    work = work_in(folders)
    first = work.claim(ready(folders.inbox, "b.xml"), NOW)
    second = work.claim(ready(folders.inbox, "a.xml"), NOW + timedelta(seconds=1))
    (folders.work / "lost+found").mkdir()
    (folders.work / "20250601T123015Z_0000000x").mkdir()
    (folders.work / "20250601T123015Z_00000001").write_bytes(b"a file, not a place")
    (folders.work / "20250601T123015Z_00000002").mkdir()
    assert work.claimed() == [first, second]
    assert work.emptied() == ["20250601T123015Z_00000002"]


# --- the claimed file and what is kept beside it ----------------------------------------------------------------------


def test_emptied_place_is_cleared_and_clearing_again_is_no_fault(folders):
    """Clearing takes the empty place of a claim away; once it is gone there is nothing to do."""
    (folders.work / ID).mkdir()
    for _ in range(2):
        work_in(folders).clear(ID)
        assert work_in(folders).emptied() == []


@pytest.mark.parametrize(("limit", "content"), [(6, b"<pay/>"), (5, None)], ids=["at the limit", "beyond it"])
def test_claimed_file_is_read_up_to_a_limit(folders, limit, content):
    """A file of the limit's size is read; a larger one is not, but its digest is known all the same."""
    claim = claimed(folders, content=b"<pay/>")
    assert work_in(folders).read(claim, limit) == content
    assert work_in(folders).size(claim) == 6
    assert work_in(folders).digest(claim) == hashlib.sha256(b"<pay/>").hexdigest()


def test_receipt_and_document_are_kept_until_the_claim_is_cleared(folders):
    """They lie beside the claim's folder, may be kept again as they are, and go with it, half written ones too."""
    work, claim = work_in(folders), claimed(folders)
    assert work.receipt(ID) is work.document(ID) is None
    for _ in range(2):
        work.keep_receipt(claim, b"receipt")
        work.keep_document(claim, b"document")
    assert (work.receipt(ID), work.document(ID)) == (b"receipt", b"document")
    assert tree(folders.work) == {
        f".work/{ID}/pay.xml": b"<pay/>",
        f".work/{ID}.receipt.json": b"receipt",
        f".work/{ID}.payments.xml": b"document",
    }
    with pytest.raises(FolderTrouble, match="nothing is overwritten"):
        work.keep_receipt(claim, b"another")
    (folders.work / f".{ID}.receipt.tmp").write_bytes(b"rec")
    (folders.work / f".{ID}.file.tmp").write_bytes(b"doc")
    (folders.work / ID / "pay.xml").unlink()
    work.clear(ID)
    assert list(folders.work.iterdir()) == []


# --- ended at any point ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", range(1, 5))
def test_claiming_can_be_ended_at_any_point(folders, step):
    """Ended before any one of its steps, a claim leaves the file whole, in the inbox or in work, and nowhere twice."""
    file = ready(folders.inbox)
    with interrupted_at(step) as steps:
        try:
            work_in(folders).claim(file, NOW)
        except Interrupted:
            assert len(steps) == step
    found = [path for folder in (folders.inbox, folders.work) for path in folder.rglob("*") if path.is_file()]
    assert [(path.name, path.read_bytes()) for path in found] == [("pay.xml", b"<pay/>")]
    for claim_id in work_in(folders).emptied():
        work_in(folders).clear(claim_id)
    assert len(work_in(folders).claimed()) + len(list(folders.inbox.iterdir())) == 1


@pytest.mark.parametrize("meanwhile", [nullcontext, name_taken_again], ids=["its name is free", "its name is taken"])
def test_putting_a_changed_file_back_can_be_ended_at_any_point(folders, meanwhile):
    """Ended while it puts a changed file back, a claim leaves one file with one name, which a scan finds again."""
    work = work_in(folders)
    for step in range(1, 20):
        file = ready(folders.inbox)
        (folders.inbox / "pay.xml").write_bytes(b"<changed/>")
        with interrupted_at(step) as steps, meanwhile(folders), suppress(Interrupted, Changed):
            work.claim(file, NOW)
        in_work = [folders.work / claim.id / claim.name for claim in work.claimed()]
        found = [*in_work, *folders.inbox.iterdir()]
        assert sorted(path.read_bytes() for path in found if path.read_bytes() != b"<another/>") == [b"<changed/>"]
        assert all(path.stat().st_nlink == 1 for path in found), f"ended before {steps[-1]}"
        for path in found:
            path.unlink()
        for claim_id in work.emptied():
            work.clear(claim_id)
        assert list(folders.work.iterdir()) == []
        if len(steps) < step:
            return
    pytest.fail("claiming has more steps than this test goes through")
