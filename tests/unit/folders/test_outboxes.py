"""The outboxes and the archive: what is published there, and what happens when a folder fails."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from support.claims import ID, LONGEST, NAMES, published, tree
from support.mounts import Mounts, make_room
from support.rights import no_special_rights
from support.steps import Interrupted, interrupted_at, listening

from watcher.claim import Claim, next_id
from watcher.disk.durable import Content
from watcher.disk.hanging import FolderCalls
from watcher.disk.opened import is_aside
from watcher.errors import FolderTrouble, NameTaken
from watcher.folders.layout import Folders
from watcher.folders.outboxes import Outboxes

PAY = Claim(ID, "pay.xml")
PUBLISH = {
    "success": lambda boxes, claim: boxes.publish_success(claim, b"result"),
    "fail": lambda boxes, claim: boxes.publish_fail(claim, b"result"),
    "refusal": lambda boxes, claim: refuse(boxes, claim, b"<pay/>", b"note"),
    "changed": lambda boxes, claim: boxes.publish_changed(claim, "0123456789", b"<pay>", b"note"),
    "archive": lambda boxes, claim: archive(boxes, claim),
}


def archive(boxes: Outboxes, claim: Claim, content: Content | None = b"<pay/>", receipt: bytes = b"receipt") -> Path:
    """Put a claim's receipt and then its original into the archive."""
    boxes.publish_receipt(claim, receipt)
    return boxes.archive(claim, content)


def refuse(boxes: Outboxes, claim: Claim, content: Content | None, note: bytes) -> None:
    """Put a note, and then the refused file if it is there, into the fail outbox."""
    boxes.publish_note(claim, note)
    if content is not None:
        boxes.publish_fail(claim, content)


def outboxes(folders: Folders) -> Outboxes:
    """Return the outboxes of one process."""
    return Outboxes(folders, FolderCalls())


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
    boxes = outboxes(placed)
    boxes.publish_success(PAY, b"good")
    refuse(boxes, PAY, b"<original/>", b"why")
    boxes.publish_changed(PAY, "0123456789", b"<original>", b"more came")
    archive(boxes, PAY, b"<original/>", b"receipt")
    assert published(placed) == {
        f"success/pay__{ID}.xml": b"good",
        f"fail/pay__{ID}.error.txt": b"why",
        f"fail/pay__{ID}.xml": b"<original/>",
        f"fail/pay__{ID}.changed-01234567.xml": b"<original>",
        f"fail/pay__{ID}.changed-01234567.xml.txt": b"more came",
        f"archive/2025/06/01/pay__{ID}.receipt.json": b"receipt",
        f"archive/2025/06/01/pay__{ID}.xml": b"<original/>",
    }
    assert list(placed.work.iterdir()) == []


def test_file_of_any_size_is_copied_from_an_open_file(placed, tmp_path):
    """A file that is too large to be kept in memory is refused and archived all the same, again and again."""
    boxes, content = outboxes(placed), b"<pay/>" * (1 << 18)
    (tmp_path / "large").write_bytes(content)
    with (tmp_path / "large").open("rb") as file:
        for _ in range(2):
            refuse(boxes, PAY, file, b"why")
            archive(boxes, PAY, file, b"receipt")
    assert (placed.fail / PAY.published_name).read_bytes() == content
    assert (placed.archive / "2025/06/01" / PAY.published_name).read_bytes() == content


def test_original_that_is_gone_leaves_its_note_and_its_receipt(placed):
    """What is known of it is published without it."""
    refuse(outboxes(placed), PAY, None, b"why")
    archive(outboxes(placed), PAY, None, b"receipt")
    assert published(placed) == {
        f"fail/pay__{ID}.error.txt": b"why",
        f"archive/2025/06/01/pay__{ID}.receipt.json": b"receipt",
    }


@pytest.mark.parametrize(("name", "as_published"), NAMES.values(), ids=NAMES)
def test_published_file_has_the_name_of_its_original_and_its_claim(folders, name, as_published):
    """The name with the claim is the same in every box, and the receipt and the note lie beside it."""
    boxes, claim = outboxes(folders), Claim(ID, name)
    day = folders.archive / "2025/06/01"
    assert boxes.publish_success(claim, b"s") == folders.success / as_published
    refuse(boxes, claim, b"<pay/>", b"n")
    assert archive(boxes, claim, b"<pay/>", b"r") == day / as_published
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
    claim = Claim(ID, os.fsdecode(b"\xff\xfe" * 125 + b".xml"))
    assert outboxes(folders).publish_success(claim, b"s").name.endswith(f"__{ID}.xml")
    assert archive(outboxes(folders), claim, b"<pay/>", b"receipt").read_bytes() == b"<pay/>"


@pytest.mark.parametrize("name", [f"a.{'x' * 253}", f"pay.{'x' * 226}"], ids=["255 bytes", "just beyond"])
def test_name_that_is_nearly_all_suffix_does_not_hold_up_the_line(folders, name):
    """A file whose last dot comes early, as an own pattern may let in, is published and archived like any other."""
    claim = Claim(ID, name)
    assert len(os.fsencode(claim.published_name)) <= LONGEST
    refuse(outboxes(folders), claim, b"<pay/>", b"note")
    assert archive(outboxes(folders), claim, b"<pay/>", b"receipt").read_bytes() == b"<pay/>"


def test_archive_is_kept_by_the_day_of_the_claim(folders):
    """Originals lie under the year, month and day of their claim in UTC; a day that is there already is used."""
    just_before_midnight = datetime(2025, 1, 1, 1, 59, 59, tzinfo=timezone(timedelta(hours=2)))
    for name in ("1.xml", "2.xml"):
        claim = Claim(next_id(just_before_midnight, "", 0), name)
        archived = archive(outboxes(folders), claim, b"<pay/>", b"{}")
        assert archived.parent == folders.archive / "2024/12/31"
        assert archived.exists()


def test_archived_files_are_there_to_be_read(folders):
    """Their mode lets the group read them and nobody but us write, as does that of the day's folder."""
    before = os.umask(0)
    try:
        archived = archive(outboxes(folders), PAY, b"<pay/>", b"receipt")
    finally:
        os.umask(before)
    for path, mode in ((archived, 0o640), (folders.archived_receipt(PAY), 0o640), (archived.parent, 0o750)):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_receipt_is_read_from_the_archive(folders):
    """It comes back as it was written; without one there is none, and no folder is made."""
    boxes = outboxes(folders)
    assert boxes.receipt(PAY) is None
    assert list(folders.archive.iterdir()) == []
    boxes.publish_receipt(PAY, b"receipt")
    assert boxes.receipt(PAY) == b"receipt"
    assert boxes.receipt(Claim(ID, "other.xml")) is None


def _of_another_user(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a file of another user")
    path.write_bytes(b"forged")
    os.chown(path, 65534, 65534)


def _writable_for_a_group(path: Path) -> None:
    path.write_bytes(b"forged")
    path.chmod(0o660)


FORGED = {
    "of another user": _of_another_user,
    "writable for a group": _writable_for_a_group,
    "a link": lambda path: path.symlink_to("receipt"),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
}


@pytest.mark.parametrize("make", FORGED.values(), ids=FORGED)
def test_receipt_that_others_can_have_written_is_none(folders, make):
    """People can put files into the archive; what is not ours alone says nothing of what was paid."""
    path = folders.archived_receipt(PAY)
    path.parent.mkdir(parents=True)
    (path.parent / "receipt").write_bytes(b"forged")
    make(path)
    assert outboxes(folders).receipt(PAY) is None


# --- again, and beside the files of others ----------------------------------------------------------------------------


@pytest.mark.parametrize("publish", PUBLISH.values(), ids=PUBLISH.keys())
def test_same_file_published_again_is_no_fault(placed, publish):
    """Publishing what is there already with the same bytes is done, and changes nothing."""
    publish(outboxes(placed), PAY)
    before, inodes = published(placed), inodes_of(placed)
    publish(outboxes(placed), PAY)
    assert published(placed) == before
    assert inodes_of(placed) == inodes


def inodes_of(folders: Folders) -> dict[str, int]:
    """Return the inode of each published file."""
    return {path: (folders.success.parent / path).stat().st_ino for path in published(folders)}


@pytest.mark.parametrize("taken", ["the first file", "the second file"])
@pytest.mark.parametrize("publish", PUBLISH.values(), ids=PUBLISH.keys())
def test_nothing_is_ever_overwritten(placed, publish, taken):
    """Where another file has the name, it stays as it is; the line waits and says which file to move away."""
    publish(outboxes(placed), PAY)
    names = sorted(placed.success.parent / path for path in published(placed))
    foreign = names[0 if taken == "the first file" else -1]
    for path in names:
        path.unlink()
    foreign.write_bytes(b"somebody else's")
    with pytest.raises(NameTaken, match=re.escape(str(foreign))) as trouble:
        publish(outboxes(placed), PAY)
    assert trouble.value.path == foreign
    assert "Move that file" in trouble.value.mend
    assert foreign.read_bytes() == b"somebody else's"
    foreign.unlink()
    publish(outboxes(placed), PAY)
    assert sorted(placed.success.parent / path for path in published(placed)) == names


OTHERS = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a link to our own file": lambda path: path.symlink_to(path.parent.parent / "journal.db"),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("publish", PUBLISH.values(), ids=PUBLISH.keys())
def test_name_of_a_result_that_is_no_file_holds_up_that_file_alone(placed, publish, make):
    """It is named at once and neither read, followed nor removed; every other claim goes on."""
    own = placed.success.parent / "journal.db"
    own.write_bytes(b"SQLite format 3")
    publish(outboxes(placed), PAY)
    target = placed.success.parent / max(published(placed))
    target.unlink()
    make(target)
    began = time.monotonic()
    with pytest.raises(NameTaken, match=re.escape(str(target))) as taken:
        publish(outboxes(placed), PAY)
    assert time.monotonic() - began < 5
    assert taken.value.path == target
    assert own.read_bytes() == b"SQLite format 3"
    publish(outboxes(placed), Claim(ID, "other.xml"))
    found = names(placed)
    assert len([name for name in found if f"other__{ID}" in name]) == len(
        [name for name in found if f"pay__{ID}" in name]
    )
    target.rmdir() if target.is_dir() and not target.is_symlink() else target.unlink()
    publish(outboxes(placed), PAY)
    assert target.is_file()
    assert not any(Path(name).name.startswith(".") for name in names(placed))


def names(folders: Folders) -> list[str]:
    """Return the names of everything in the outboxes and the archive but folders of days."""
    return [
        str(path)
        for folder in (folders.success, folders.fail, folders.archive)
        for path in folder.rglob("*")
        if ID in path.name or path.name.startswith(".")
    ]


def test_file_that_takes_the_name_meanwhile_is_not_overwritten(placed):
    """A file that appears under the name while ours is being written stays as it is, and the line waits."""
    foreign = placed.success / f"pay__{ID}.xml"

    def take_the_name(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and not taken and is_aside(str(args[0])):
            taken.append(args[0])
            foreign.touch()

    taken: list[object] = []
    with listening(take_the_name), pytest.raises(NameTaken, match="nothing is overwritten"):
        outboxes(placed).publish_success(PAY, b"good")
    assert foreign.read_bytes() == b""
    foreign.unlink()
    outboxes(placed).publish_success(PAY, b"good")
    assert published(placed) == {f"success/pay__{ID}.xml": b"good"}


def _finish(folders: Folders) -> None:
    """Take a claim to its end, as a start after a crash does."""
    boxes = outboxes(folders)
    boxes.sweep([PAY])
    boxes.publish_success(PAY, b"good")
    boxes.publish_fail(PAY, b"bad")
    archive(boxes, PAY, b"<pay/>", b"receipt")


def _refuse(folders: Folders) -> None:
    """Take a refused file to its end, as a start after a crash does."""
    boxes = outboxes(folders)
    boxes.sweep([PAY])
    refuse(boxes, PAY, b"<pay/>", b"why")
    archive(boxes, PAY, b"<pay/>", b"receipt")


@pytest.mark.parametrize("way", [_finish, _refuse], ids=["results", "a refusal"])
def test_publishing_can_be_repeated_from_any_point(placed, way):
    """Ended before any one of its steps and begun again, publishing gives the same names and bytes and no rest."""
    with interrupted_at(0) as steps:
        way(placed)
    expected = published(placed)
    assert len(expected) == 4
    assert len(steps) >= 11
    for step in range(1, len(steps) + 1):
        for folder in (placed.success, placed.fail, placed.archive):
            for path in sorted(folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
        with interrupted_at(step), pytest.raises(Interrupted):
            way(placed)
        assert all(content == expected[name] for name, content in published(placed).items() if _visible(name)), steps[
            step - 1
        ]
        way(placed)
        assert published(placed) == expected, f"after an end before step {step}: {steps[step - 1]}"


# Publishes until it is killed, in the place of the daemon.
_PUBLISH = """
import itertools, sys
from pathlib import Path
from watcher.claim import Claim
from watcher.disk.hanging import FolderCalls
from watcher.folders.layout import Folders
from watcher.folders.outboxes import Outboxes
folders = Folders(*map(Path, sys.argv[1:]))
boxes = Outboxes(folders, FolderCalls())
print("begins", flush=True)
for number in itertools.count():
    claim = Claim(f"20250601T123015Z_{number:08x}", "pay.xml")
    boxes.publish_success(claim, b"x" * 3_000_000)
    boxes.publish_receipt(claim, b"receipt")
    boxes.archive(claim, b"x" * 3_000_000)
"""


def test_what_a_killed_process_wrote_aside_is_swept_away(folders):
    """After some kills nothing stays but whole files, and what others put there under such names."""
    aside = ".payment-watcher-0123abcd.tmp"
    for attempt in range(30):
        paths = [getattr(folders, field.name) for field in fields(folders)]
        command = [sys.executable, "-c", _PUBLISH, *map(str, paths)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(0.003 * (attempt % 10))
            process.kill()
        if any(is_aside(path.name) for path in left(folders)):
            break
    assert any(is_aside(path.name) for path in left(folders)), "no kill came while a file was written"
    (folders.fail / ".20250601T123015Z_0123abcd.file.tmp").write_bytes(b"of version 0.1")
    (folders.inbox / aside).write_bytes(b"of a person who put a file back")
    strange = [folders.success / aside, folders.fail / aside, folders.fail / ".payment-watcher-0123abcd.tmp2"]
    strange[0].mkdir()
    strange[1].symlink_to("nothing")
    strange[2].touch()
    time.sleep(0.01)
    boxes = outboxes(folders)
    now = folders.archive / aside
    now.touch()
    # What is written now is not swept away.
    os.utime(now, (time.time() + 1, time.time() + 1))
    boxes.sweep([PAY])
    assert sorted(left(folders)) == sorted([*strange, now])
    assert all(path.stat().st_size == 3_000_000 for path in folders.success.glob("pay*"))


def test_sweep_passes_over_a_folder_that_is_not_there(folders):
    """Its first use says so; the other folders are swept."""
    aside = folders.archive / ".payment-watcher-0123abcd.tmp"
    aside.touch()
    os.utime(aside, (1, 1))
    folders.inbox.rmdir()
    outboxes(folders).sweep([PAY])
    assert not aside.exists()


def left(folders: Folders) -> list[Path]:
    """List what is hidden in the folders."""
    return [
        path
        for folder in (folders.inbox, folders.success, folders.fail, folders.archive)
        for path in folder.rglob(".*")
    ]


def _visible(name: str) -> bool:
    """Return True if people see a file: it is not hidden."""
    return not Path(name).name.startswith(".")


# --- folders that fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["work", "success", "fail", "archive"])
def test_missing_folder_is_found_before_anything_is_taken(folders, missing):
    """``check`` passes while every folder is there, and names one that is not, with the mend; it makes none."""
    boxes = outboxes(folders)
    boxes.check()
    folder: Path = getattr(folders, missing)
    folder.rmdir()
    for each in (boxes, outboxes(folders)):
        with pytest.raises(FolderTrouble, match=re.escape(str(folder))) as trouble:
            each.check()
        assert trouble.value.mend == "Make it, or mount the share it is on"
    assert not folder.exists()


@pytest.mark.parametrize("exchanged", ["work", "success", "fail", "archive"])
def test_folder_that_is_exchanged_while_the_daemon_runs_is_found(folders, exchanged, tmp_path):
    """A link in its place, or a folder that everybody can write to, is an outage; put right, the work goes on."""
    boxes = outboxes(folders)
    boxes.check()
    folder: Path = getattr(folders, exchanged)
    folder.rename(tmp_path / "away")
    (tmp_path / "state").mkdir()
    folder.symlink_to("state")
    with pytest.raises(FolderTrouble, match=re.escape(f"{folder} is a link")):
        boxes.check()
    folder.unlink()
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(FolderTrouble, match=re.escape(f"every user of this machine can write to {folder}")):
        boxes.check()
    folder.chmod(0o755)
    boxes.check()
    folder.rmdir()
    (tmp_path / "away").rename(folder)
    boxes.check()


@pytest.mark.parametrize("publish", PUBLISH)
def test_outbox_that_is_a_link_is_not_written_to(folders, tmp_path, publish):
    """Nothing lands where the link leads."""
    name = {"success": "success", "archive": "archive"}.get(publish, "fail")
    folder: Path = getattr(folders, name)
    folder.rename(tmp_path / "state")
    folder.symlink_to("state")
    with pytest.raises(FolderTrouble, match=re.escape(f"{folder}: A link or a file is in its place")):
        PUBLISH[publish](outboxes(folders), PAY)
    assert list((tmp_path / "state").iterdir()) == []


@pytest.mark.parametrize("depth", [1, 2, 3], ids=["the year", "the month", "the day"])
@pytest.mark.parametrize("target", ["inbox", "nothing"])
def test_day_of_the_archive_that_is_a_link_is_refused(folders, depth, target):
    """A link made beforehand leads no file back into the inbox; with the link gone, the file is archived."""
    parts = ("2025", "06", "01")[:depth]
    link = folders.archive.joinpath(*parts)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(folders.inbox.parent / target)
    with pytest.raises(FolderTrouble, match=re.escape(f"{link}: A link or a file is in its place")) as trouble:
        archive(outboxes(folders), PAY, b"<pay/>", b"receipt")
    assert "move away what is in its place" in trouble.value.mend
    assert list(folders.inbox.iterdir()) == []
    link.unlink()
    assert archive(outboxes(folders), PAY, b"<pay/>", b"receipt").read_bytes() == b"<pay/>"


def test_day_of_the_archive_that_belongs_to_another_user_is_refused(folders):
    """A folder that somebody made beforehand would be theirs to change."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a folder of another user")
    day = folders.archive_day(PAY)
    day.mkdir(parents=True)
    os.chown(day, 65534, 65534)
    with pytest.raises(FolderTrouble, match=re.escape(f"{day} belongs to another user")):
        archive(outboxes(folders), PAY, b"<pay/>", b"receipt")
    assert list(day.iterdir()) == []
    day.rmdir()
    archive(outboxes(folders), PAY, b"<pay/>", b"receipt")


@pytest.mark.parametrize(
    ("missing", "publish"),
    [("success", "success"), ("fail", "fail"), ("fail", "refusal"), ("archive", "archive")],
    ids=["success", "fail", "refusal", "archive"],
)
def test_outbox_that_is_gone_holds_up_the_line_and_is_never_made(folders, missing, publish):
    """Publishing into a missing folder is trouble that names it and its mend; back again, the work goes on."""
    folder: Path = getattr(folders, missing)
    folder.rmdir()
    with pytest.raises(FolderTrouble, match=re.escape(str(folder))) as trouble:
        PUBLISH[publish](outboxes(folders), PAY)
    assert trouble.value.mend == "Make it, or mount the share it is on"
    assert not folder.exists()
    folder.mkdir()
    PUBLISH[publish](outboxes(folders), PAY)
    assert published(folders)


def test_full_disk_holds_up_the_line_and_no_half_file_gets_a_name(folders: Folders, mounts: Mounts):
    """On a full outbox nothing is published; once there is room the same file is published whole and alone."""
    folders = replace(folders, success=mounts.mount(folders.success, "size=64k"))
    filler = folders.success / "filler"
    filler.write_bytes(b"x" * 32768)
    content = b"r" * 50000
    with pytest.raises(FolderTrouble, match="No space left") as trouble:
        outboxes(folders).publish_success(PAY, content)
    assert trouble.value.mend == "Make room on that disk"
    assert str(trouble.value).startswith(f"{folders.success}: "), "a name that changes at each attempt is not shown"
    assert [path.name for path in folders.success.iterdir()] == ["filler"]
    make_room(folders.success)
    outboxes(folders).publish_success(PAY, content)
    assert tree(folders.success) == {f"success/pay__{ID}.xml": content}


@pytest.mark.parametrize("publish", ["success", "refusal", "archive"])
def test_read_only_outbox_holds_up_the_line(folders: Folders, mounts: Mounts, publish):
    """A folder mounted read-only is trouble whose mend says so, and names no file that nobody has heard of."""
    name = "fail" if publish == "refusal" else publish
    folders = replace(folders, **{name: mounts.mount(getattr(folders, name), "ro,size=64k")})
    with pytest.raises(FolderTrouble, match="Read-only file system") as trouble:
        PUBLISH[publish](outboxes(folders), PAY)
    assert trouble.value.mend == "Mount it for writing"
    assert "tmp:" not in str(trouble.value)


def test_outbox_without_rights_holds_up_the_line(folders):
    """A folder the service's user may not write to is trouble whose mend speaks of rights."""
    folders.success.chmod(0o500)
    with no_special_rights(), pytest.raises(FolderTrouble) as trouble:
        outboxes(folders).publish_success(PAY, b"good")
    assert "right to create" in trouble.value.mend
    folders.success.chmod(0o700)
