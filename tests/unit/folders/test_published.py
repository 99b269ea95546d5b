"""What operators do with published files: find them, put them back, remove them."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.claims import ID, LONGEST, NAMES, published, tree
from support.rights import as_user

import watcher
from watcher.claim import Claim
from watcher.disk.hanging import FolderCalls
from watcher.errors import FolderTrouble
from watcher.folders.layout import Folders
from watcher.folders.outboxes import Outboxes
from watcher.folders.published import Published

LATER = "20250602T080000Z_00000001"


def refuse(folders: Folders, name: str = "pay.xml", content: bytes = b"<pay/>") -> Claim:
    """Publish a refused file and archive it."""
    calls, claim = FolderCalls(), Claim(ID, name)
    boxes = Outboxes(folders, calls)
    boxes.publish_note(claim, b"note")
    boxes.publish_fail(claim, content)
    Outboxes(folders, calls).publish_receipt(claim, b"receipt")
    Outboxes(folders, calls).archive(claim, content)
    return claim


def published_in(folders: Folders) -> Published:
    """Return what is published in some folders."""
    return Published(folders, FolderCalls())


@pytest.mark.parametrize("name", ["pay.xml", f"pay__{ID}.xml"], ids=["as in the inbox", "with its claim"])
def test_fail_file_is_found_by_either_name(folders, name):
    """The fail file comes first; without one, the archived original is found. Notes and receipts never are."""
    claim = refuse(folders)
    assert published_in(folders).named(name) == [folders.fail_file(claim)]
    folders.fail_file(claim).unlink()
    assert published_in(folders).named(name) == [folders.archived(claim)]
    assert published_in(folders).named("other.xml") == []


def test_files_of_one_name_are_found_in_the_order_of_claiming(folders):
    """Files without a claim, those of other names, and half written ones are left out."""
    for name in (f"pay__{LATER}.xml", f"pay__{ID}.xml", "pay.xml", f"repay__{ID}.xml", f".{ID}.file.tmp"):
        (folders.fail / name).touch()
    (folders.fail / f"pay__{ID}.error.txt").touch()
    assert [path.name for path in published_in(folders).named("pay.xml")] == [f"pay__{ID}.xml", f"pay__{LATER}.xml"]


@pytest.mark.parametrize("name", [name for name, _ in NAMES.values()], ids=NAMES)
def test_fail_file_goes_back_into_the_inbox_with_its_note_gone(folders, name):
    """It leaves the outbox together with its note, and keeps its name with the claim, however long that is."""
    claim = refuse(folders, name)
    target = published_in(folders).requeue(folders.fail_file(claim))
    assert target == folders.inbox / claim.published_name
    assert tree(folders.inbox) == {f"inbox/{claim.published_name}": b"<pay/>"}
    assert list(folders.fail.iterdir()) == []
    assert len(os.fsencode(target.name)) <= LONGEST


def test_archived_file_goes_back_as_a_copy(folders):
    """The archive keeps its original and the receipt, and the fail outbox its files."""
    claim = refuse(folders)
    before = published(folders)
    published_in(folders).requeue(folders.archived(claim))
    assert published(folders) == before
    assert tree(folders.inbox) == {f"inbox/{claim.published_name}": b"<pay/>"}
    assert (folders.inbox / claim.published_name).stat().st_nlink == 1


def test_file_that_waits_in_the_inbox_is_not_overwritten(folders):
    """Another file of the name stays as it is, and the fail file stays where it is."""
    claim = refuse(folders)
    waiting = folders.inbox / claim.published_name
    waiting.write_bytes(b"<another/>")
    with pytest.raises(FolderTrouble, match=re.escape(str(waiting))):
        published_in(folders).requeue(folders.fail_file(claim))
    assert waiting.read_bytes() == b"<another/>"
    assert folders.fail_file(claim).exists()
    assert folders.note(claim).exists()


def test_published_files_are_listed_with_their_claims(folders):
    """Notes and receipts are listed too; a file without a claim is not."""
    claim = refuse(folders)
    (folders.fail / "somebody's.xml").touch()
    (folders.archive / "2025/06/01/somebody's.xml").touch()
    assert published_in(folders).listed(folders.fail) == [
        (ID, folders.note(claim)),
        (ID, folders.fail_file(claim)),
    ]
    assert published_in(folders).listed(folders.archive) == [
        (ID, folders.archived_receipt(claim)),
        (ID, folders.archived(claim)),
    ]
    assert published_in(folders).listed(folders.success) == []


def test_removed_file_takes_the_empty_folders_of_the_archive_with_it(folders):
    """A day goes with its last file, the archive and the outboxes stay, and removing again is no fault."""
    claim = refuse(folders)
    archive = published_in(folders)
    archive.remove(folders.archived(claim))
    assert folders.archive_day(claim).is_dir()
    archive.remove(folders.archived_receipt(claim))
    assert list(folders.archive.iterdir()) == []
    for _ in range(2):
        archive.remove(folders.fail_file(claim))
    assert [path.name for path in folders.fail.iterdir()] == [claim.note_name]


def test_file_that_cannot_be_removed_is_named(folders):
    """What keeps a file from being removed is trouble with its name."""
    path: Path = folders.fail / f"pay__{ID}.xml"
    path.mkdir()
    with pytest.raises(FolderTrouble, match=re.escape(str(path))):
        published_in(folders).remove(path)


# --- what others put in the place of a file or a folder ---------------------------------------------------------------

SECRET = b"a file that only root reads"


def _to_link(path: Path) -> None:
    path.symlink_to(path.parent.parent / "secret")


SOURCES = {
    "a link": (_to_link, "is a link"),
    "a pipe": (os.mkfifo, "is a named pipe"),
    "a folder": (Path.mkdir, "is a folder"),
}


@pytest.mark.parametrize(("make", "words"), SOURCES.values(), ids=SOURCES)
def test_only_a_regular_file_is_put_back_or_read(folders, make, words):
    """What a link leads to never lands in the inbox; a pipe is not waited for; nothing is removed."""
    (folders.inbox.parent / "secret").write_bytes(SECRET)
    path = folders.fail / f"pay__{ID}.xml"
    make(path)
    boxes = published_in(folders)
    assert boxes.named("pay.xml") == [path]
    for act in (boxes.requeue, lambda path: boxes.read(path, 1 << 20)):
        with pytest.raises(FolderTrouble, match=re.escape(f"{path} {words}")):
            act(path)
    assert list(folders.inbox.iterdir()) == []
    assert path.lstat()


@pytest.mark.parametrize("depth", [0, 1, 2, 3], ids=["the archive", "the year", "the month", "the day"])
def test_link_in_the_place_of_a_folder_of_the_archive_is_not_followed(folders, tmp_path, depth):
    """Nothing behind it is listed, put back or removed, even by root."""
    claim = refuse(folders)
    folders.fail_file(claim).unlink()
    exchanged = folders.archive.joinpath(*("2025", "06", "01")[:depth])
    exchanged.rename(tmp_path / "victim")
    exchanged.symlink_to("../" * depth + "victim")
    before = tree(tmp_path / "victim")
    path, boxes = folders.archived(claim), published_in(folders)
    if depth:
        assert boxes.listed(folders.archive) == []
    else:
        with pytest.raises(FolderTrouble, match="A link or a file is in its place"):
            boxes.listed(folders.archive)
    for act in (boxes.requeue, boxes.remove, lambda path: boxes.read(path, 1 << 20)):
        with pytest.raises(FolderTrouble, match="A link or a file is in its place"):
            act(path)
    assert tree(tmp_path / "victim") == before
    assert list(folders.inbox.iterdir()) == []


def test_file_is_not_put_back_through_a_link_in_the_inbox(folders):
    """Neither under its own name nor under the one it is first written to does it land where a link leads."""
    claim = refuse(folders)
    victim = folders.inbox.parent / "victim"
    victim.write_bytes(b"kept")
    for name in (claim.published_name, f".{ID}.file.tmp"):
        (folders.inbox / name).symlink_to(victim)
    with pytest.raises(FolderTrouble, match="is a link"):
        published_in(folders).requeue(folders.fail_file(claim))
    (folders.inbox / claim.published_name).unlink()
    published_in(folders).requeue(folders.fail_file(claim))
    assert victim.read_bytes() == b"kept"
    assert (folders.inbox / claim.published_name).read_bytes() == b"<pay/>"


def test_read_is_bounded(folders):
    """A file that is larger than what is wanted is not read to its end."""
    claim = refuse(folders)
    path = folders.fail_file(claim)
    assert published_in(folders).read(path, 6) == b"<pay/>"
    assert published_in(folders).read(path, 5) is None
    os.truncate(path, 1 << 40)
    assert published_in(folders).read(path, 1 << 20) is None


_REQUEUE = """
import os, sys
from pathlib import Path
from watcher.disk.hanging import FolderCalls
from watcher.folders.layout import Folders
from watcher.folders.published import Published
os.umask(0o077)
folders = Folders(*map(Path, sys.argv[2:]))
Published(folders, FolderCalls()).requeue(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("who", ["root", "a member of the group"])
def test_file_that_is_put_back_can_be_read_by_the_daemon(public, who):
    """Whoever puts it back, and with a umask of 077: it belongs to the inbox's owner or to its group."""
    service, group, member = 61001, 61002, 61003
    before = as_user(*((0, 0) if who == "root" else (member, group)))
    places = [public / name for name in ("inbox", "work", "success", "fail", "archive")]
    folders = Folders(*places)
    for place in places:
        place.mkdir()
        os.chown(place, service, group)
        place.chmod(0o2770)
    claim = refuse(folders)
    os.chown(folders.fail_file(claim), service, group)
    folders.fail_file(claim).chmod(0o640)
    # Where the other user can read it, wherever this one lies.
    shutil.copytree(Path(watcher.__file__).parent, public / "program/watcher")
    subprocess.run(
        [*before, sys.executable, "-c", _REQUEUE, folders.fail_file(claim), *places],
        check=True,
        cwd=public / "program",
    )
    facts = (folders.inbox / claim.published_name).stat()
    assert facts.st_uid == (service if who == "root" else member)
    assert facts.st_gid == group
    assert stat.S_IMODE(facts.st_mode) == 0o640
