"""Work: originals are set aside, put back, found again and cleared, and nothing that lies there is believed."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest
from support.claims import ID, PUT_BACK, claimed, leave_strays, ready, tree
from support.documents import leave_socket
from support.rights import no_special_rights
from support.steps import Interrupted, instead, interrupted_at

from watcher.claim import Claim
from watcher.disk.hanging import FolderCalls
from watcher.errors import FolderTrouble
from watcher.folders.layout import Folders
from watcher.folders.version_3 import LeftByVersion3
from watcher.folders.work import Gone, Unmovable, Work

CLAIM = Claim(ID, "pay.xml")
OTHER = "20250601T123016Z_00000001"


def sha256(content: bytes) -> str:
    """Return a digest as the journal keeps it."""
    return hashlib.sha256(content).hexdigest()


PAY = sha256(b"<pay/>")


@pytest.fixture
def work(folders: Folders) -> Work:
    """The work of a process that has just started."""
    return Work(folders, FolderCalls(), 100)


@pytest.fixture
def dropped(folders: Folders) -> Path:
    """A file that is about to be claimed."""
    ready(folders.inbox)
    return folders.inbox / "pay.xml"


# --- setting aside --------------------------------------------------------------------------------------------------


def test_file_is_set_aside_in_a_place_of_its_own(work, folders, dropped):
    """It lies in work under its claim and its own name, byte for byte, for us alone, and in the inbox no more."""
    work.set_aside(CLAIM)
    work.sync()
    assert list(folders.inbox.iterdir()) == []
    assert tree(folders.work) == {f".work/{ID}/pay.xml": b"<pay/>"}
    assert (folders.work / ID).stat().st_mode & 0o777 == 0o700
    assert work.found() == [(ID, CLAIM)]


def test_file_that_is_gone_is_not_set_aside(work, folders):
    """A file that was taken away is ``Gone``, and leaves no place in work behind."""
    with pytest.raises(Gone):
        work.set_aside(CLAIM)
    assert list(folders.work.iterdir()) == []


def test_gone_is_gone_though_something_lies_in_its_place(work, folders):
    """What others left in the place of a claim stays there, and hides nothing."""
    (folders.work / ID).mkdir()
    strays = leave_strays(folders.work / ID)
    with pytest.raises(Gone):
        work.set_aside(CLAIM)
    assert sorted(path.name for path in (folders.work / ID).iterdir()) == strays


def test_file_that_cannot_be_moved_alone_waits_alone(work, folders, dropped):
    """If the file cannot be moved and another one can, that is about this file; it stays, and no place is left."""

    def is_open_elsewhere(path: Path) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))

    with instead("os.rename", dropped, is_open_elsewhere), pytest.raises(Unmovable, match="busy"):
        work.set_aside(CLAIM)
    assert tree(folders.inbox) == {"inbox/pay.xml": b"<pay/>"}
    assert list(folders.work.iterdir()) == []


def test_file_of_somebody_else_in_a_sticky_folder_waits_alone(work, folders, dropped):
    """A folder with the sticky bit lets nobody move another user's file; ours can be moved."""
    if os.geteuid():
        pytest.skip("needs root, which can give a file to somebody else")
    folders.inbox.chmod(0o1777)
    os.chown(dropped, 65534, 65534)
    for folder in (folders.inbox.parent, folders.inbox, folders.work):
        os.chown(folder, 65533, 65533)
    folders.inbox.parent.chmod(0o711)
    os.chown(folders.inbox, 65532, 65532)
    child = os.fork()
    if not child:
        code = 1
        with suppress(BaseException):
            os.chdir(folders.inbox)
            os.setgroups([])
            os.setresgid(65533, 65533, 65533)
            os.setresuid(65533, 65533, 65533)
            here = Folders(*(Path("..", name) for name in ("inbox", ".work", "success", "fail", "archive")))
            try:
                Work(here, FolderCalls(), 100).set_aside(CLAIM)
            except Unmovable:
                code = 0
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert tree(folders.inbox) == {"inbox/pay.xml": b"<pay/>"}
    assert list(folders.work.iterdir()) == []


def test_inbox_that_lets_nothing_go_holds_up_the_line(work, folders, dropped):
    """If no file at all can be moved out of the inbox, that is the folder's trouble, and says so with the mend."""
    folders.inbox.chmod(0o500)
    try:
        with no_special_rights(), pytest.raises(FolderTrouble, match="Permission denied") as trouble:
            work.set_aside(CLAIM)
    finally:
        folders.inbox.chmod(0o700)
    assert str(folders.inbox) in str(trouble.value)
    assert "right" in trouble.value.mend
    assert dropped.exists()
    assert list(folders.work.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EXDEV])
def test_trouble_of_the_disk_is_no_trouble_of_the_file(work, folders, dropped, number):
    """A full disk, a quota, a read-only mount, two file systems: whichever file meets it, all wait."""

    def fails(path: Path) -> None:
        raise OSError(number, os.strerror(number), str(path))

    with instead("os.rename", dropped, fails), pytest.raises(FolderTrouble, match=re.escape(os.strerror(number))):
        work.set_aside(CLAIM)
    assert dropped.exists()
    assert list(folders.work.iterdir()) == []


@pytest.mark.parametrize("missing", ["work", "inbox"])
def test_missing_folder_holds_up_claiming_and_is_named(work, folders, dropped, missing):
    """Without work or inbox nothing is set aside: the trouble names the folder and the mend, and no folder is made."""
    folder: Path = getattr(folders, missing)
    folder.rename(folder.with_name("away"))
    with pytest.raises(FolderTrouble, match=re.escape(str(folder))) as trouble:
        work.set_aside(CLAIM)
    if missing == "work":
        assert "mount" in trouble.value.mend
        assert dropped.exists()
    assert not folder.exists()


def _link_elsewhere(path: Path) -> None:
    path.symlink_to(path.parent.parent / "success")


PLACES = {
    "a link to a folder": _link_elsewhere,
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a file": lambda path: path.write_bytes(b"no place"),
    "a pipe": os.mkfifo,
    "a socket": leave_socket,
}


@pytest.mark.parametrize("taken", PLACES.values(), ids=PLACES)
def test_place_that_is_no_folder_is_not_used(work, folders, dropped, taken):
    """Nothing goes through a link in the place of a claim, or replaces what lies there; that file alone waits."""
    (folders.success / "pay.xml").write_bytes(b"<theirs/>")
    taken(folders.work / ID)
    before = (folders.work / ID).lstat()
    with pytest.raises(Unmovable):
        work.set_aside(CLAIM)
    assert dropped.read_bytes() == b"<pay/>"
    assert work.is_still(CLAIM, PAY) is None
    assert work.read(CLAIM) is None
    assert work.found() == []
    with work.opened(CLAIM) as file:
        assert file is None
    work.sync()
    work.put_back(CLAIM)
    work.clear(CLAIM)
    assert tree(folders.success) == {"success/pay.xml": b"<theirs/>"}
    assert (folders.work / ID).lstat() == before


def test_sync_of_what_a_person_took_away_is_no_fault(work, folders, dropped):
    """Only folders that are still there can be synced; a missing work or inbox is a trouble."""
    work.set_aside(CLAIM)
    shutil.rmtree(folders.work / ID)
    work.sync([CLAIM, Claim(OTHER, "other.xml")])
    for folder in (folders.inbox, folders.work):
        folder.rename(folder.with_name("away"))
        with pytest.raises(FolderTrouble, match=re.escape(str(folder))):
            work.sync([])
        folder.with_name("away").rename(folder)


# --- comparing ------------------------------------------------------------------------------------------------------


def _link_to_a_secret(path: Path) -> None:
    secret = path.parents[1] / "secret"
    secret.write_bytes(b"<pay/>")
    path.symlink_to(secret)


# What something becomes, and what the comparison with <pay/> says of it.
KINDS = {
    "the same bytes": (lambda path: path.write_bytes(b"<pay/>"), True),
    "more bytes": (lambda path: path.write_bytes(b"<pay/><!-- more -->"), False),
    "fewer bytes": (lambda path: path.write_bytes(b"<p/>"), False),
    "other bytes of the same number": (lambda path: path.write_bytes(b"<buy/>"), False),
    "a link to a file of the very same bytes": (_link_to_a_secret, False),
    "a link to nothing": (lambda path: path.symlink_to("nothing"), False),
    "a pipe": (os.mkfifo, False),
    "a socket": (leave_socket, False),
    "a folder": (lambda path: path.mkdir(), False),
    "nothing": (lambda path: None, None),
}
CHANGES = {name: make for name, (make, same) in KINDS.items() if same is False}


@pytest.mark.parametrize(("make", "same"), KINDS.values(), ids=KINDS)
def test_file_is_compared_with_what_was_read_of_it(work, folders, make, same):
    """Whatever else has the name is another file, a link to the same bytes, too; only a free name is none."""
    (folders.work / ID).mkdir()
    make(folders.inbox / "pay.xml")
    assert work.is_dropped(CLAIM, PAY) is same
    assert work.is_still(CLAIM, PAY) is None
    if (folders.inbox / "pay.xml").is_symlink() or (folders.inbox / "pay.xml").exists():
        (folders.inbox / "pay.xml").rename(folders.work / ID / "pay.xml")
    assert work.is_still(CLAIM, PAY) is same
    assert work.is_dropped(CLAIM, PAY) is None


def test_missing_inbox_is_no_free_name(work, folders):
    """Whether a file lies in the inbox cannot be known without the inbox."""
    folders.inbox.rmdir()
    with pytest.raises(FolderTrouble, match=re.escape(str(folders.inbox))):
        work.is_dropped(CLAIM, PAY)


def test_file_that_may_not_be_read_is_a_trouble_and_not_another_file(work, folders):
    """Without the right to read there is nothing to compare; who asks decides what that means."""
    claimed(folders)
    (folders.work / ID / "pay.xml").chmod(0)
    ready(folders.inbox)
    (folders.inbox / "pay.xml").chmod(0)
    with no_special_rights():
        for compare in (work.is_still, work.is_dropped):
            with pytest.raises(FolderTrouble, match=r"pay\.xml: Permission denied"):
                compare(CLAIM, PAY)
        with pytest.raises(Unmovable, match="Permission denied"):
            work.read_dropped(CLAIM)
        with pytest.raises(FolderTrouble, match=r"pay\.xml: Permission denied"):
            work.read(CLAIM)


# --- putting back -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_file_is_put_back_as_it_is(work, folders, change):
    """Whatever a file became before it was set aside, it is in the inbox again, the same as before, with one name."""
    change(folders.inbox / "pay.xml")
    before = (folders.inbox / "pay.xml").lstat()
    work.set_aside(CLAIM)
    assert list(folders.inbox.iterdir()) == []
    work.put_back(CLAIM)
    after = (folders.inbox / "pay.xml").lstat()
    assert (after.st_ino, after.st_mode, after.st_size, after.st_nlink) == (
        before.st_ino,
        before.st_mode,
        before.st_size,
        before.st_nlink,
    )
    assert [path.name for path in folders.inbox.iterdir()] == ["pay.xml"]
    assert list(folders.work.iterdir()) == []


def test_second_name_of_a_file_stays(work, folders, dropped):
    """A file that somebody gave another name is put back with both."""
    os.link(dropped, folders.inbox.parent / "second")
    work.set_aside(CLAIM)
    work.put_back(CLAIM)
    assert dropped.stat().st_nlink == 2
    assert dropped.samefile(folders.inbox.parent / "second")
    assert list(folders.work.iterdir()) == []


@pytest.mark.parametrize("taken", [make for make, same in KINDS.values() if same is not None])
def test_both_files_survive_if_the_name_is_taken_again(work, folders, taken):
    """A file whose name has been taken meanwhile gets another one: neither replaces the other."""
    claimed(folders, content=b"<changed/>")
    taken(folders.inbox / "pay.xml")
    before = (folders.inbox / "pay.xml").lstat()
    work.put_back(CLAIM)
    assert (folders.inbox / "pay.xml").lstat() == before
    (other,) = (path for path in folders.inbox.iterdir() if path.name != "pay.xml")
    assert other.name == f"pay__{ID}.xml"
    assert other.read_bytes() == b"<changed/>"
    assert other.stat().st_nlink == 1
    assert list(folders.work.iterdir()) == []


def test_all_files_survive_if_the_other_name_is_taken_too(work, folders):
    """However many names are taken, the file gets one of its own, and nothing is deleted."""
    claimed(folders, content=b"<changed/>")
    names = ["pay.xml", f"pay__{ID}.xml", f"pay__{ID[:-1]}e.xml"]
    for name in names:
        (folders.inbox / name).write_bytes(name.encode())
    work.put_back(CLAIM)
    inbox = {path.name: path.read_bytes() for path in folders.inbox.iterdir()}
    (last,) = inbox.keys() - set(names)
    assert inbox.pop(last) == b"<changed/>"
    assert re.fullmatch(PUT_BACK, last)
    assert inbox == {name: name.encode() for name in names}
    assert list(folders.work.iterdir()) == []


def test_putting_back_what_a_person_took_away_is_no_fault(work, folders):
    """Then there is nothing to put back, and the place goes."""
    claimed(folders)
    (folders.work / ID / "pay.xml").unlink()
    work.put_back(CLAIM)
    work.put_back(CLAIM)
    assert list(folders.work.iterdir()) == list(folders.inbox.iterdir()) == []


def test_putting_back_waits_for_the_inbox(work, folders):
    """Without an inbox nothing is put back and nothing is lost."""
    claimed(folders)
    folders.inbox.rmdir()
    with pytest.raises(FolderTrouble, match=re.escape(str(folders.inbox))):
        work.put_back(CLAIM)
    assert tree(folders.work) == {f".work/{ID}/pay.xml": b"<pay/>"}


# --- the end ----------------------------------------------------------------------------------------------------------


def test_original_and_its_place_are_cleared_and_clearing_again_is_no_fault(work, folders):
    """Once they are gone there is nothing to do."""
    claimed(folders)
    for _ in range(2):
        work.clear(CLAIM)
        assert list(folders.work.iterdir()) == []


def test_strays_are_left_alone(work, folders):
    """What others leave beside an original is never deleted, or taken for it; with them its place stays."""
    claimed(folders)
    strays = leave_strays(folders.work / ID)
    assert work.found() == [(ID, CLAIM)]
    for _ in range(2):
        work.clear(CLAIM)
        assert sorted(path.name for path in (folders.work / ID).iterdir()) == strays
        assert work.found() == [(ID, None)]
    (folders.work / ID / "@eaDir" / "pay.xml").unlink()
    for stray in (folders.work / ID).iterdir():
        stray.rmdir() if stray.is_dir() else stray.unlink()
    work.clear(CLAIM)
    assert list(folders.work.iterdir()) == []


def test_folder_in_the_place_of_an_original_is_left_alone(work, folders):
    """It is not what was set aside, and what lies in it is somebody's."""
    (folders.work / ID / "pay.xml").mkdir(parents=True)
    (folders.work / ID / "pay.xml" / "inside").write_bytes(b"somebody's")
    work.clear(CLAIM)
    assert tree(folders.work) == {f".work/{ID}/pay.xml/inside": b"somebody's"}


def test_link_in_the_place_of_an_original_is_removed_and_not_followed(work, folders):
    """What it leads to stays."""
    claimed(folders)
    (folders.work / ID / "pay.xml").rename(folders.fail / "theirs.xml")
    (folders.work / ID / "pay.xml").symlink_to(folders.fail / "theirs.xml")
    work.clear(CLAIM)
    assert list(folders.work.iterdir()) == []
    assert tree(folders.fail) == {"fail/theirs.xml": b"<pay/>"}


def test_original_that_may_not_be_deleted_is_a_trouble_with_its_name(work, folders):
    """It is named, and stays."""
    claimed(folders)
    (folders.work / ID).chmod(0o500)
    try:
        with no_special_rights(), pytest.raises(FolderTrouble, match=r"pay\.xml: Permission denied"):
            work.clear(CLAIM)
    finally:
        (folders.work / ID).chmod(0o700)
    assert tree(folders.work) == {f".work/{ID}/pay.xml": b"<pay/>"}


# --- finding and reading ----------------------------------------------------------------------------------------------


def test_work_may_hold_what_is_no_claim(work, folders):
    """A stray file or folder in work is no claim and keeps nothing from being listed, in the order of the ids."""
    for claim in (Claim(OTHER, "a.xml"), Claim(ID, "b.xml")):
        (folders.work / claim.id).mkdir()
        (folders.work / claim.id / claim.name).write_bytes(b"<pay/>")
    (folders.work / "lost+found").mkdir()
    (folders.work / "20250601T123015Z_0000000x").mkdir()
    (folders.work / "20259901T123015Z_00000000").mkdir()
    (folders.work / "20250601T123015Z_00000001").write_bytes(b"a file, not a place")
    (folders.work / "20250601T123015Z_00000002").mkdir()
    (folders.work / "20250601T123015Z_00000003").symlink_to(folders.work / ID)
    assert work.found() == [
        ("20250601T123015Z_00000002", None),
        (ID, Claim(ID, "b.xml")),
        (OTHER, Claim(OTHER, "a.xml")),
    ]


@pytest.mark.parametrize("make", CHANGES.values(), ids=CHANGES)
def test_only_a_file_is_found(work, folders, make):
    """A link is not followed, and a folder, a pipe or a socket is no original."""
    (folders.work / ID).mkdir()
    make(folders.work / ID / "pay.xml")
    regular = stat.S_ISREG((folders.work / ID / "pay.xml").lstat().st_mode)
    assert work.found() == [(ID, CLAIM if regular else None)]
    assert (work.read(CLAIM) is not None) is regular
    with work.opened(CLAIM) as file:
        assert (file is not None) is regular


@pytest.mark.parametrize(("limit", "content"), [(6, b"<pay/>"), (5, None)], ids=["at the limit", "beyond it"])
def test_file_is_read_up_to_a_limit(folders, limit, content):
    """A file of the limit's size is kept; of a larger one the digest and the size are known all the same."""
    work = Work(folders, FolderCalls(), limit)
    claimed(folders)
    ready(folders.inbox)
    for read in (work.read, work.read_dropped):
        assert read(CLAIM) == (PAY, content, 6, 1)
    with work.opened(CLAIM) as file:
        assert file.read() == b"<pay/>"
    os.link(folders.inbox / "pay.xml", folders.inbox / "second")
    assert work.read_dropped(CLAIM).names == 2
    (folders.inbox / "pay.xml").unlink()
    assert work.read_dropped(CLAIM) is None


def test_what_version_3_kept_beside_a_claim_is_read_and_removed(work, folders):
    """The payment document is ours; the receipt is believed by nobody; no link is followed."""
    earlier = LeftByVersion3(folders, FolderCalls())
    claimed(folders)
    assert earlier.document(CLAIM) is None
    document, receipt = (folders.work / f"{ID}.{kind}" for kind in ("payments.xml", "receipt.json"))
    document.write_bytes(b"<made/>")
    receipt.write_bytes(b"{}")
    assert earlier.document(CLAIM) == b"<made/>"
    (folders.work / f".{ID}.receipt.tmp").write_bytes(b"{")
    (folders.work / f"{ID}.bak").write_bytes(b"somebody's")
    names = earlier.names()
    assert {claim: sorted(kept) for claim, kept in names.items()} == {
        ID: [f".{ID}.receipt.tmp", f"{ID}.payments.xml", f"{ID}.receipt.json"]
    }
    (folders.work / f"{ID}.bak").unlink()
    for _ in range(2):
        earlier.forget(names[ID])
        assert tree(folders.work) == {f".work/{ID}/pay.xml": b"<pay/>"}
    (folders.fail / "secret").write_bytes(b"<secret/>")
    document.symlink_to(folders.fail / "secret")
    receipt.mkdir()
    assert earlier.document(CLAIM) is None
    earlier.forget(earlier.names()[ID])
    assert tree(folders.fail) == {"fail/secret": b"<secret/>"}


# --- ended at any point ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", range(1, 4))
def test_setting_aside_can_be_ended_at_any_point(work, folders, dropped, step):
    """Ended before any one of its steps, it leaves the file whole, in the inbox or in work, and nowhere twice."""
    with interrupted_at(step) as steps:
        try:
            work.set_aside(CLAIM)
        except Interrupted:
            assert len(steps) == step
    found = [path for folder in (folders.inbox, folders.work) for path in folder.rglob("*") if path.is_file()]
    assert [(path.name, path.read_bytes()) for path in found] == [("pay.xml", b"<pay/>")]
    assert (work.is_still(CLAIM, PAY), work.is_dropped(CLAIM, PAY)) in ((True, None), (None, True))


@contextmanager
def _name_taken(folders: Folders) -> Iterator[None]:
    (folders.inbox / "pay.xml").write_bytes(b"<another/>")
    yield


@contextmanager
def _both_names_taken(folders: Folders) -> Iterator[None]:
    (folders.inbox / f"pay__{ID}.xml").write_bytes(b"<another/>")
    with _name_taken(folders):
        yield


@pytest.mark.parametrize(
    "meanwhile", [nullcontext, _name_taken, _both_names_taken], ids=["free", "name taken", "both names taken"]
)
def test_putting_back_can_be_ended_at_any_point(work, folders, meanwhile):
    """Ended anywhere and done again, it leaves one file with one name in the inbox: no second name, nothing lost."""
    for step in range(1, 20):
        claimed(folders, content=b"<changed/>")
        with meanwhile(folders), interrupted_at(step) as steps, suppress(Interrupted):
            work.put_back(CLAIM)
        contents = [path.read_bytes() for folder in (folders.inbox, folders.work) for path in folder.rglob("*.xml")]
        assert b"<changed/>" in contents, f"ended before {steps[-1]}"
        work.put_back(CLAIM)
        inbox = list(folders.inbox.iterdir())
        assert [path.read_bytes() for path in inbox].count(b"<changed/>") == 1, f"ended before {steps[-1]}"
        assert all(path.stat().st_nlink == 1 for path in inbox), f"ended before {steps[-1]}"
        assert list(folders.work.iterdir()) == []
        for path in inbox:
            path.unlink()
        if len(steps) < step:
            return
    pytest.fail("putting back has more steps than this test goes through")


def test_clearing_can_be_ended_at_any_point(work, folders):
    """Ended anywhere and done again, nothing is left."""
    for step in range(1, 20):
        claimed(folders)
        with interrupted_at(step) as steps, suppress(Interrupted):
            work.clear(CLAIM)
        work.clear(CLAIM)
        assert list(folders.work.iterdir()) == []
        if len(steps) < step:
            return
    pytest.fail("clearing has more steps than this test goes through")
