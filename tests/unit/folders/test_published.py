"""What operators do with published files: find them, put them back, remove them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from support.claims import ID, LONGEST, NAMES, claimed, published, tree

from watcher.claim import Claim
from watcher.disk.hanging import FolderCalls
from watcher.errors import FolderTrouble
from watcher.folders.layout import Folders
from watcher.folders.outboxes import Outboxes
from watcher.folders.published import Published
from watcher.folders.work import Work

LATER = "20250602T080000Z_00000001"


def refuse(folders: Folders, name: str = "pay.xml", content: bytes = b"<pay/>") -> Claim:
    """Publish a refused file and archive it."""
    calls, claim = FolderCalls(), claimed(folders, name, content)
    Work(folders, calls).keep_receipt(claim, b"receipt")
    Outboxes(folders, calls).publish_refusal(claim, b"note")
    Outboxes(folders, calls).archive(claim)
    Work(folders, calls).clear(claim.id)
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
