"""The outboxes and the archive: what is published there, and what happens when a folder fails."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from support.claims import ID, LONGEST, NAMES, claimed, published, ready, tree
from support.mounts import Mounts, make_room
from support.rights import no_special_rights
from support.steps import Interrupted, interrupted_at, listening

from watcher.claim import Claim
from watcher.disk.hanging import FolderCalls
from watcher.errors import FolderTrouble
from watcher.folders.layout import Folders
from watcher.folders.outboxes import Outboxes
from watcher.folders.work import Work


class Line:
    """Work and the outboxes of one process."""

    def __init__(self, folders: Folders) -> None:
        calls = FolderCalls()
        self.work, self.outboxes = Work(folders, calls), Outboxes(folders, calls)

    def archive(self, claim: Claim, receipt: bytes = b"receipt") -> Path:
        """Write a claim's receipt and put it and the original into the archive."""
        self.work.keep_receipt(claim, receipt)
        return self.outboxes.archive(claim)


PUBLISH = {
    "success": lambda line, claim: line.outboxes.publish_success(claim, b"result"),
    "fail": lambda line, claim: line.outboxes.publish_fail(claim, b"result"),
    "refusal": lambda line, claim: line.outboxes.publish_refusal(claim, b"note"),
    "archive": lambda line, claim: line.archive(claim),
}


@pytest.fixture(params=["one device", "outboxes on another device"])
def placed(request: pytest.FixtureRequest, folders: Folders) -> Folders:
    """A set of folders, on one device and on two."""
    if request.param == "one device":
        return folders
    away = request.getfixturevalue("elsewhere")
    for name in ("success", "fail", "archive"):
        (away / name).mkdir()
    return replace(folders, success=away / "success", fail=away / "fail", archive=away / "archive")


# --- what lies where ------------------------------------------------------------------------------------------------


def test_published_files_hold_what_was_given(placed):
    """The result files, the refused file with its note, and the original with its receipt lie where they belong."""
    line, claim = Line(placed), claimed(placed, content=b"<original/>")
    line.outboxes.publish_success(claim, b"good")
    line.outboxes.publish_refusal(claim, b"why")
    line.archive(claim)
    line.work.clear(claim.id)
    assert published(placed) == {
        f"success/pay__{ID}.xml": b"good",
        f"fail/pay__{ID}.error.txt": b"why",
        f"fail/pay__{ID}.xml": b"<original/>",
        f"archive/2025/06/01/pay__{ID}.receipt.json": b"receipt",
        f"archive/2025/06/01/pay__{ID}.xml": b"<original/>",
    }
    assert list(placed.work.iterdir()) == []


@pytest.mark.parametrize(("name", "as_published"), NAMES.values(), ids=NAMES)
def test_published_file_has_the_name_of_its_original_and_its_claim(folders, name, as_published):
    """The name with the claim is the same in every box, and the receipt and the note lie beside it."""
    line, claim = Line(folders), claimed(folders, name)
    day = folders.archive / "2025/06/01"
    assert line.outboxes.publish_success(claim, b"s") == folders.success / as_published
    assert line.outboxes.publish_refusal(claim, b"n") == folders.fail / as_published
    assert line.archive(claim, b"r") == day / as_published
    assert {path.name: path.read_bytes() for path in folders.success.iterdir()} == {as_published: b"s"}
    assert {path.name: path.read_bytes() for path in folders.fail.iterdir()} == {
        as_published: b"<pay/>",
        claim.note_name: b"n",
    }
    assert {path.name: path.read_bytes() for path in day.iterdir()} == {
        as_published: b"<pay/>",
        claim.receipt_name: b"r",
    }


def test_long_name_that_is_no_utf_8_is_cut_too(folders):
    """A name of 255 bytes that no encoding explains can be published and archived all the same."""
    name = os.fsdecode(b"\xff\xfe" * 125 + b".xml")
    line, claim = Line(folders), claimed(folders, name)
    assert line.outboxes.publish_success(claim, b"s").name.endswith(f"__{ID}.xml")
    assert line.archive(claim).read_bytes() == b"<pay/>"


@pytest.mark.parametrize("name", [f"a.{'x' * 253}", f"pay.{'x' * 226}"], ids=["255 bytes", "just beyond"])
def test_name_that_is_nearly_all_suffix_does_not_hold_up_the_line(folders, name):
    """A file whose last dot comes early, as an own pattern may let in, is published and archived like any other."""
    line, claim = Line(folders), claimed(folders, name)
    assert len(os.fsencode(claim.published_name)) <= LONGEST
    line.outboxes.publish_refusal(claim, b"note")
    assert line.archive(claim).read_bytes() == b"<pay/>"


def test_archive_is_kept_by_the_day_of_the_claim(folders):
    """Originals lie under the year, month and day of their claim in UTC; a day that is there already is used."""
    line = Line(folders)
    just_before_midnight = datetime(2025, 1, 1, 1, 59, 59, tzinfo=timezone(timedelta(hours=2)))
    for name in ("1.xml", "2.xml"):
        claim = line.work.claim(ready(folders.inbox, name), just_before_midnight)
        assert line.archive(claim, b"{}").parent == folders.archive / "2024/12/31"
        line.work.clear(claim.id)


# --- again, and beside the files of others ----------------------------------------------------------------------------


@pytest.mark.parametrize("publish", PUBLISH.values(), ids=PUBLISH.keys())
def test_same_file_published_again_is_no_fault(placed, publish):
    """Publishing what is there already with the same bytes is done, and changes nothing."""
    line, claim = Line(placed), claimed(placed)
    first = publish(line, claim)
    before, inode = published(placed), first.stat().st_ino
    (placed.work / ID / "pay.xml").write_bytes(b"<pay/>")
    assert publish(line, claim) == first
    assert published(placed) == before
    assert first.stat().st_ino == inode


@pytest.mark.parametrize("taken", ["the first file", "the second file"])
@pytest.mark.parametrize("publish", PUBLISH.values(), ids=PUBLISH.keys())
def test_nothing_is_ever_overwritten(placed, publish, taken):
    """Where another file has the name, it stays as it is; the line waits and says which file to move away."""
    line, claim = Line(placed), claimed(placed)
    publish(line, claim)
    (placed.work / ID / "pay.xml").write_bytes(b"<pay/>")
    names = sorted(placed.success.parent / path for path in published(placed))
    foreign = names[0 if taken == "the first file" else -1]
    for path in names:
        path.unlink()
    foreign.write_bytes(b"somebody else's")
    with pytest.raises(FolderTrouble, match=re.escape(str(foreign))) as trouble:
        publish(line, claim)
    assert "Move that file" in trouble.value.mend
    assert foreign.read_bytes() == b"somebody else's"
    assert (placed.work / ID / "pay.xml").read_bytes() == b"<pay/>"
    foreign.unlink()
    publish(line, claim)
    assert sorted(placed.success.parent / path for path in published(placed)) == names


def test_file_that_takes_the_name_meanwhile_is_not_overwritten(placed):
    """A file that appears under the name while ours is being written stays as it is, and the line waits."""
    line, claim = Line(placed), claimed(placed)
    foreign = placed.success / f"pay__{ID}.xml"

    def take_the_name(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and not taken and Path(str(args[0])).parent == placed.success:
            taken.append(args[0])
            foreign.touch()

    taken: list[object] = []
    with listening(take_the_name), pytest.raises(FolderTrouble, match="nothing is overwritten"):
        line.outboxes.publish_success(claim, b"good")
    assert foreign.read_bytes() == b""
    foreign.unlink()
    line.outboxes.publish_success(claim, b"good")
    assert published(placed) == {f"success/pay__{ID}.xml": b"good"}


def _finish(folders: Folders) -> None:
    """Take what is in work to its end, as a start after a crash does."""
    line = Line(folders)
    for claim in line.work.claimed():
        line.outboxes.publish_success(claim, b"good")
        line.outboxes.publish_fail(claim, b"bad")
        line.archive(claim)
    for claim_id in line.work.emptied():
        line.work.clear(claim_id)


def _refuse(folders: Folders) -> None:
    """Take a refused file in work to its end, as a start after a crash does."""
    line = Line(folders)
    for claim in line.work.claimed():
        line.outboxes.publish_refusal(claim, b"why")
        line.archive(claim)
    for claim_id in line.work.emptied():
        line.work.clear(claim_id)


@pytest.mark.parametrize("way", [_finish, _refuse], ids=["results", "a refusal"])
def test_publishing_can_be_repeated_from_any_point(placed, way):
    """Ended before any one of its steps and begun again, publishing gives the same names and bytes and no rest."""

    def everything() -> dict[str, bytes]:
        return published(placed) | tree(placed.work)

    claimed(placed)
    with interrupted_at(0) as steps:
        way(placed)
    expected = everything()
    assert len(expected) == 4
    assert len(steps) >= 12
    for step in range(1, len(steps) + 1):
        for folder in (placed.success, placed.fail, placed.archive):
            for path in sorted(folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
        claimed(placed)
        with interrupted_at(step), pytest.raises(Interrupted):
            way(placed)
        assert all(content == expected[name] for name, content in everything().items() if _visible(name)), steps[
            step - 1
        ]
        way(placed)
        assert everything() == expected, f"after an end before step {step}: {steps[step - 1]}"
        assert list(placed.work.iterdir()) == []


def _visible(name: str) -> bool:
    """Return True if people see a file: it is not hidden, and in one of the folders they look into."""
    return not name.startswith(".work") and not Path(name).name.startswith(".")


# --- folders that fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["work", "success", "fail", "archive"])
def test_missing_folder_is_found_before_anything_is_taken(folders, missing):
    """``check`` passes while every folder is there, and names one that is not, with the mend; it makes none."""
    Line(folders).outboxes.check()
    folder: Path = getattr(folders, missing)
    folder.rmdir()
    with pytest.raises(FolderTrouble, match=re.escape(str(folder))) as trouble:
        Line(folders).outboxes.check()
    assert trouble.value.mend == "Make it, or mount the share it is on"
    assert not folder.exists()


@pytest.mark.parametrize(
    ("missing", "publish"),
    [("success", "success"), ("fail", "fail"), ("fail", "refusal"), ("archive", "archive")],
    ids=["success", "fail", "refusal", "archive"],
)
def test_outbox_that_is_gone_holds_up_the_line_and_is_never_made(folders, missing, publish):
    """Publishing into a missing folder is trouble that names it and its mend; back again, the work goes on."""
    line, claim = Line(folders), claimed(folders)
    folder: Path = getattr(folders, missing)
    folder.rmdir()
    with pytest.raises(FolderTrouble, match=re.escape(str(folder))) as trouble:
        PUBLISH[publish](line, claim)
    assert trouble.value.mend == "Make it, or mount the share it is on"
    assert not folder.exists()
    assert (folders.work / ID / "pay.xml").read_bytes() == b"<pay/>"
    folder.mkdir()
    assert PUBLISH[publish](line, claim).exists()


def test_full_disk_holds_up_the_line_and_no_half_file_gets_a_name(folders: Folders, mounts: Mounts):
    """On a full outbox nothing is published; once there is room the same file is published whole and alone."""
    folders = replace(folders, success=mounts.mount(folders.success, "size=64k"))
    filler = folders.success / "filler"
    filler.write_bytes(b"x" * 32768)
    line, claim, content = Line(folders), claimed(folders), b"r" * 50000
    with pytest.raises(FolderTrouble, match="No space left") as trouble:
        line.outboxes.publish_success(claim, content)
    assert trouble.value.mend == "Make room on that disk"
    assert [path.name for path in folders.success.iterdir() if not path.name.startswith(".")] == ["filler"]
    make_room(folders.success)
    line.outboxes.publish_success(claim, content)
    assert tree(folders.success) == {f"success/pay__{ID}.xml": content}


@pytest.mark.parametrize("publish", ["success", "refusal", "archive"])
def test_read_only_outbox_holds_up_the_line(folders: Folders, mounts: Mounts, publish):
    """A folder mounted read-only is trouble whose mend says so, and the claimed file stays in work."""
    name = "fail" if publish == "refusal" else publish
    folders = replace(folders, **{name: mounts.mount(getattr(folders, name), "ro,size=64k")})
    line, claim = Line(folders), claimed(folders)
    with pytest.raises(FolderTrouble, match="Read-only file system") as trouble:
        PUBLISH[publish](line, claim)
    assert trouble.value.mend == "Mount it for writing"
    assert line.work.claimed() == [claim]


def test_outbox_without_rights_holds_up_the_line(folders):
    """A folder the service's user may not write to is trouble whose mend speaks of rights."""
    folders.success.chmod(0o500)
    with no_special_rights(), pytest.raises(FolderTrouble) as trouble:
        Line(folders).outboxes.publish_success(claimed(folders), b"good")
    assert "right to create" in trouble.value.mend
    folders.success.chmod(0o700)
