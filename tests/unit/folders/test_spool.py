"""The spool: claims, published files, the archive, and what it does when a folder fails it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.claim import Claim, ReadyFile
from watcher.errors import FolderTrouble
from watcher.folders import spool as module
from watcher.folders.spool import Changed, Folders, Spool, probe, write_whole

NOW = datetime(2025, 6, 1, 12, 30, 15, 250000, tzinfo=UTC)
ID = "20250601T123015Z_0123abcd"
LONGEST = 255
NAMES = ("inbox", ".work", "success", "fail", "archive")


def settled(folders: Folders, name: str = "pay.xml", content: bytes = b"<pay/>") -> ReadyFile:
    """Put a file into the inbox and describe it as a scan would."""
    path = folders.inbox / name
    path.write_bytes(content)
    facts = path.stat()
    digest = hashlib.sha256(content).hexdigest()
    return ReadyFile(name, facts.st_size, facts.st_mtime_ns, facts.st_ino, digest)


def claimed(folders: Folders, name: str = "pay.xml", content: bytes = b"<pay/>") -> Claim:
    """Put a file into work under a known claim id, as claiming it leaves it."""
    place = folders.work / ID
    place.mkdir()
    (place / name).write_bytes(content)
    return Claim(ID, name)


def tree(*folders: Path) -> dict[str, bytes]:
    """Give every file of some folders by path, hidden ones too."""
    return {
        str(path.relative_to(folder.parent)): path.read_bytes()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def archive(spool: Spool, claim: Claim, receipt: bytes = b"receipt") -> Path:
    """Write a claim's receipt and put it and the original into the archive."""
    spool.decide(claim, receipt)
    return spool.archive(claim)


def outboxes(folders: Folders) -> dict[str, bytes]:
    """Give every file of the three folders that people look into."""
    return tree(folders.success, folders.fail, folders.archive)


# --- what happens between two steps: Python's own audit events, raised before the system is called ------------------

_listeners: list[Callable[[str, tuple[object, ...]], None]] = []
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_STEPS = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}


def _audit(event: str, args: tuple[object, ...]) -> None:
    for listener in _listeners:
        listener(event, args)


@cache
def _hook_in() -> None:
    """Audit hooks stay for good, so there is one, that hands on to the listeners of the moment."""
    sys.addaudithook(_audit)


@contextmanager
def listening(listener: Callable[[str, tuple[object, ...]], None]) -> Iterator[None]:
    """Let a function see every audit event; it may act, or raise in the place of the call."""
    _hook_in()
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


class Interrupted(Exception):
    """The program came to its end here."""


@contextmanager
def interrupted_at(step: int) -> Iterator[list[str]]:
    """End the program, as far as it can tell, before the given one of the steps that change a folder."""
    seen: list[str] = []

    def listener(event: str, args: tuple[object, ...]) -> None:
        if event in _STEPS or (event == "open" and isinstance(args[2], int) and args[2] & _WRITING):
            seen.append(f"{event} {args[0]}")
            if len(seen) == step:
                raise Interrupted

    with listening(listener):
        yield seen


# --- other file systems ---------------------------------------------------------------------------------------------


@pytest.fixture
def mount() -> Iterator[Callable[[Path, str], None]]:
    """Mount small file systems of their own over folders; unmounted at the end."""
    mounted: list[Path] = []

    def mount_on(folder: Path, options: str) -> None:
        if os.geteuid() != 0:
            pytest.skip("mounting a file system needs root")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        mounted.append(folder)

    yield mount_on
    for folder in reversed(mounted):
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another device than the other folders of a test."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.fixture(params=["one device", "outboxes on another device"])
def placed(request: pytest.FixtureRequest, folders: Folders) -> Folders:
    """A set of folders, on one device and on two."""
    if request.param == "one device":
        return folders
    away = request.getfixturevalue("elsewhere")
    for name in ("success", "fail", "archive"):
        (away / name).mkdir()
    return replace(folders, success=away / "success", fail=away / "fail", archive=away / "archive")


# --- claiming -------------------------------------------------------------------------------------------------------


def test_a_claim_takes_the_file_out_of_the_inbox_into_a_place_of_its_own(folders):
    """A claimed file lies in work under its claim and its own name, byte for byte, and in the inbox no more."""
    claim = Spool(folders).claim(settled(folders, content=b"<some bytes/>"), NOW)
    assert list(folders.inbox.iterdir()) == []
    assert tree(folders.work) == {f".work/{claim.id}/pay.xml": b"<some bytes/>"}
    assert Spool(folders).claimed() == [claim]


@pytest.mark.parametrize(
    "zone", [UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=11, minutes=30))], ids=str
)
def test_a_claim_id_is_the_utc_second_and_eight_hex_digits(folders, zone):
    """Whatever the clock's zone, the id is ``yyyymmddThhmmssZ_`` in UTC with eight hex digits, and tells its time."""
    claim = Spool(folders).claim(settled(folders), NOW.astimezone(zone))
    assert re.fullmatch(r"20250601T123015Z_[0-9a-f]{8}", claim.id)
    assert claim.claimed_at == NOW.replace(microsecond=0)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.timedeltas(timedelta(seconds=-5), timedelta(seconds=5)), min_size=2, max_size=8))
def test_claims_sort_in_the_order_of_claiming_however_the_clock_runs(jumps):
    """The ids of claims in work are all different and rise, even if the clock stands still or is set back."""
    with tempfile.TemporaryDirectory() as base:
        folders = Folders(*(Path(base, name) for name in NAMES))
        for folder in (folders.inbox, folders.work):
            folder.mkdir()
        spool, now, claims = Spool(folders), NOW, []
        for number, jump in enumerate(jumps):
            now += jump
            claims.append(spool.claim(settled(folders, f"{number}.xml"), now))
        assert [claim.id for claim in claims] == sorted({claim.id for claim in claims})
        assert spool.claimed() == claims
        assert all(re.fullmatch(r"\d{8}T\d{6}Z_[0-9a-f]{8}", claim.id) for claim in claims)


def test_the_clock_running_on_gives_a_claim_its_own_second_again(folders):
    """A clock that was set back does not leave later claims in the past once it has caught up."""
    spool = Spool(folders)
    spool.claim(settled(folders, "1.xml"), NOW)
    spool.claim(settled(folders, "2.xml"), NOW - timedelta(hours=1))
    last = spool.claim(settled(folders, "3.xml"), NOW + timedelta(seconds=1))
    assert last.claimed_at == (NOW + timedelta(seconds=1)).replace(microsecond=0)


def test_a_file_that_is_gone_is_not_claimed(folders):
    """A file that was taken away before the claim is ``Changed``, and leaves no place in work behind."""
    ready = settled(folders)
    (folders.inbox / "pay.xml").unlink()
    with pytest.raises(Changed):
        Spool(folders).claim(ready, NOW)
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
    with socket.socket(socket.AF_UNIX) as server:
        # The path of a socket is short by law; a relative one always is.
        before = Path.cwd()
        os.chdir(path.parent)
        try:
            server.bind(path.name)
        finally:
            os.chdir(before)


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
def test_a_file_that_changed_after_it_settled_is_put_back_as_it_is(folders, change):
    """What is no more what settled is not worked on: whatever it became, it lies in the inbox again, not in work."""
    ready = settled(folders)
    change(folders.inbox / "pay.xml")
    before = (folders.inbox / "pay.xml").lstat()
    with pytest.raises(Changed):
        Spool(folders).claim(ready, NOW)
    after = (folders.inbox / "pay.xml").lstat()
    assert (after.st_ino, after.st_mode, after.st_size, after.st_nlink) == (
        before.st_ino,
        before.st_mode,
        before.st_size,
        before.st_nlink,
    )
    assert [path.name for path in folders.inbox.iterdir()] == ["pay.xml"]
    assert list(folders.work.iterdir()) == []


def test_an_oversize_file_is_checked_by_its_size_alone(folders):
    """A file without a digest is claimed if its size is what settled, and put back if it is not."""
    unread = replace(settled(folders), digest=None)
    (folders.inbox / "pay.xml").write_bytes(b"<six!>")
    assert Spool(folders).claim(unread, NOW).name == "pay.xml"
    (folders.inbox / "pay.xml").write_bytes(b"<seven>")
    with pytest.raises(Changed):
        Spool(folders).claim(unread, NOW)


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


def test_a_changed_file_and_one_that_took_its_name_meanwhile_both_survive(folders):
    """A file to be put back whose name has been taken again gets another name: neither replaces the other."""
    ready = settled(folders)
    (folders.inbox / "pay.xml").write_bytes(b"<changed/>")

    with name_taken_again(folders), pytest.raises(Changed):
        Spool(folders).claim(ready, NOW)
    assert (folders.inbox / "pay.xml").read_bytes() == b"<another/>"
    (other,) = (path for path in folders.inbox.iterdir() if path.name != "pay.xml")
    assert other.read_bytes() == b"<changed/>"
    assert re.fullmatch(r"pay__\d{8}T\d{6}Z_[0-9a-f]{8}\.xml", other.name)
    assert list(folders.work.iterdir()) == []


@pytest.mark.parametrize("missing", ["work", "inbox"])
def test_a_missing_folder_holds_up_claiming_and_says_so(folders, missing):
    """Without work or inbox nothing is claimed: the trouble names the folder and the mend, and no folder is made."""
    ready = settled(folders)
    folder: Path = getattr(folders, missing)
    folder.rename(folder.with_name("away"))
    with pytest.raises(FolderTrouble, match=re.escape(str(folder))) as trouble:
        Spool(folders).claim(ready, NOW)
    if missing == "work":
        assert "mount" in trouble.value.mend
        assert (folders.inbox / "pay.xml").exists()
    assert not folder.exists()


def test_work_may_hold_what_is_no_claim(folders):
    """A stray file or folder in work is no claim and keeps nothing from being listed in order."""
    spool = Spool(folders)
    first = spool.claim(settled(folders, "b.xml"), NOW)
    second = spool.claim(settled(folders, "a.xml"), NOW + timedelta(seconds=1))
    (folders.work / "lost+found").mkdir()
    (folders.work / "20250601T123015Z_0000000x").mkdir()
    (folders.work / "20250601T123015Z_00000001").write_bytes(b"a file, not a place")
    (folders.work / "20250601T123015Z_00000002").mkdir()
    assert spool.claimed() == [first, second]
    assert spool.emptied() == ["20250601T123015Z_00000002"]


def test_an_emptied_place_is_cleared_and_clearing_again_is_no_fault(folders):
    """Clearing takes the empty place of a claim away; once it is gone there is nothing to do."""
    (folders.work / ID).mkdir()
    for _ in range(2):
        Spool(folders).clear(ID)
        assert Spool(folders).emptied() == []


@pytest.mark.parametrize(("limit", "content"), [(6, b"<pay/>"), (5, None)], ids=["at the limit", "beyond it"])
def test_a_claimed_file_is_read_up_to_a_limit(folders, limit, content):
    """A file of the limit's size is read; a larger one is not, but its digest is known all the same."""
    claim = claimed(folders, content=b"<pay/>")
    assert Spool(folders).read(claim, limit) == content
    assert Spool(folders).digest(claim) == hashlib.sha256(b"<pay/>").hexdigest()


# --- names ----------------------------------------------------------------------------------------------------------

NFC, NFD = (unicodedata.normalize(form, "Zahlungen für Käthe.xml") for form in ("NFC", "NFD"))
PUBLISHED = {
    "plain": ("pay.xml", f"pay__{ID}.xml"),
    "upper case": ("PAY.XML", f"PAY__{ID}.XML"),
    "no suffix": ("pay", f"pay__{ID}"),
    "several dots": ("pay.v2.xml", f"pay.v2__{ID}.xml"),
    "a dot at the end": ("pay.", f"pay__{ID}."),
    "a blank at the end": ("pay.xml ", f"pay__{ID}.xml "),
    "a dash at the start": ("-rf.xml", f"-rf__{ID}.xml"),
    "a newline": ("pay\nment.xml", f"pay\nment__{ID}.xml"),
    "an emoji": ("💷.xml", f"💷__{ID}.xml"),
    "a reserved name": ("CON.xml", f"CON__{ID}.xml"),
    "composed letters": (NFC, f"{NFC[:-4]}__{ID}.xml"),
    "decomposed letters": (NFD, f"{NFD[:-4]}__{ID}.xml"),
    "no UTF-8": (os.fsdecode(b"pay\xff.xml"), os.fsdecode(b"pay\xff__%b.xml" % ID.encode())),
    "an earlier claim": ("pay__20240101T000000Z_deadbeef.xml", f"pay__{ID}.xml"),
    "nothing but an earlier claim": ("__20240101T000000Z_deadbeef.xml", f"__{ID}.xml"),
    "nearly a claim": ("pay__20240101T000000Z_deadbee.xml", f"pay__20240101T000000Z_deadbee__{ID}.xml"),
    "a claim inside": ("a__20240101T000000Z_deadbeef-2.xml", f"a__20240101T000000Z_deadbeef-2__{ID}.xml"),
}
# Of 255 bytes, two underscores, the claim and .xml leave this many for the stem.
ROOM = LONGEST - len(f"__{ID}.xml")
CUT = {
    "the longest that stays whole": (f"{'n' * ROOM}.xml", f"{'n' * ROOM}__{ID}.xml"),
    "one byte too long": (f"{'n' * ROOM}m.xml", f"{'n' * ROOM}__{ID}.xml"),
    "the longest there is": (f"{'n' * 251}.xml", f"{'n' * ROOM}__{ID}.xml"),
    "letters of three bytes": (f"{'円' * 83}.xml", f"{'円' * (ROOM // 3)}__{ID}.xml"),
    "letters of four bytes": (f"{'💷' * 62}.xml", f"{'💷' * (ROOM // 4)}__{ID}.xml"),
    "long without an earlier claim": (
        f"{'n' * 220}__20240101T000000Z_deadbeef.xml",
        f"{'n' * 220}__{ID}.xml",
    ),
}


@pytest.mark.parametrize(("name", "published"), [*PUBLISHED.values(), *CUT.values()], ids=[*PUBLISHED, *CUT])
def test_a_published_file_has_the_name_of_its_original_and_its_claim(folders, name, published):
    """``name.xml`` becomes ``name__<claim>.xml`` in every box: cut where too long, an earlier claim replaced."""
    spool, claim = Spool(folders), claimed(folders, name)
    assert spool.published_name(claim) == published
    assert len(os.fsencode(published)) <= LONGEST
    assert spool.publish_success(claim, b"s") == folders.success / published
    assert spool.publish_refusal(claim, b"n") == folders.fail / published
    assert archive(spool, claim, b"r") == folders.archive / "2025/06/01" / published
    stem = os.path.splitext(name)[0].removesuffix("__20240101T000000Z_deadbeef")  # noqa: PTH122
    for folder, ending in ((folders.fail, ".error.txt"), (folders.archive / "2025/06/01", ".receipt.json")):
        (beside,) = (path.name for path in folder.iterdir() if path.name.endswith(ending))
        kept = beside.removesuffix(f"__{ID}{ending}")
        assert stem.startswith(kept)
        assert kept == stem or len(os.fsencode(beside)) > LONGEST - 4


def test_a_long_name_that_is_no_utf_8_is_cut_too(folders):
    """A name of 255 bytes that no encoding explains can be published and archived all the same."""
    name = os.fsdecode(b"\xff\xfe" * 125 + b".xml")
    spool, claim = Spool(folders), claimed(folders, name)
    assert spool.publish_success(claim, b"s").name.endswith(f"__{ID}.xml")
    assert archive(spool, claim).read_bytes() == b"<pay/>"


@pytest.mark.parametrize("name", [f"a.{'x' * 253}", f"pay.{'x' * 226}"], ids=["255 bytes", "just beyond"])
def test_a_name_that_is_nearly_all_suffix_does_not_hold_up_the_line(folders, name):
    """A file whose last dot comes early, as an own pattern may let in, is published and archived like any other."""
    spool, claim = Spool(folders), claimed(folders, name)
    assert len(os.fsencode(spool.published_name(claim))) <= LONGEST
    spool.publish_refusal(claim, b"note")
    assert archive(spool, claim).read_bytes() == b"<pay/>"


stems = st.one_of(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), max_size=250),
    st.binary(max_size=251).map(lambda raw: os.fsdecode(raw.replace(b"/", b"").replace(b"\0", b""))),
    st.text("n_0", max_size=60).map(lambda text: f"{text}__20240101T000000Z_deadbeef"),
)


@settings(deadline=None, max_examples=200)
@given(stems.filter(lambda stem: 0 < len(os.fsencode(stem)) <= LONGEST - 4 and not stem.endswith(".")))
def test_a_file_dropped_in_again_bears_only_its_new_claim(stem):
    """Whatever its first name, a published file published again is named as if it had never been published before."""
    spool = Spool(Folders(*map(Path, NAMES)))
    old, new = "20250101T000000Z_00000001", "20250102T000000Z_00000002"
    once = spool.published_name(Claim(old, f"{stem}.xml"))
    again = spool.published_name(Claim(new, once))
    assert again == spool.published_name(Claim(new, f"{stem}.xml"))
    assert old not in again
    assert again.endswith(f"__{new}.xml")
    assert len(os.fsencode(again)) <= LONGEST


# --- publishing -----------------------------------------------------------------------------------------------------

PUBLISH = {
    "success": lambda spool, claim: spool.publish_success(claim, b"result"),
    "fail": lambda spool, claim: spool.publish_fail(claim, b"result"),
    "refusal": lambda spool, claim: spool.publish_refusal(claim, b"note"),
    "archive": lambda spool, claim: archive(spool, claim),
}


def test_what_is_published_holds_what_was_given(placed):
    """The result files, the refused file with its note, and the original with its receipt lie where they belong."""
    spool, claim = Spool(placed), claimed(placed, content=b"<original/>")
    spool.publish_success(claim, b"good")
    spool.publish_refusal(claim, b"why")
    archive(spool, claim)
    spool.clear(claim.id)
    assert outboxes(placed) == {
        f"success/pay__{ID}.xml": b"good",
        f"fail/pay__{ID}.error.txt": b"why",
        f"fail/pay__{ID}.xml": b"<original/>",
        f"archive/2025/06/01/pay__{ID}.receipt.json": b"receipt",
        f"archive/2025/06/01/pay__{ID}.xml": b"<original/>",
    }
    assert list(placed.work.iterdir()) == []


def test_the_archive_is_kept_by_the_day_of_the_claim(folders):
    """Originals lie under the year, month and day of their claim in UTC; a day that is there already is used."""
    spool = Spool(folders)
    just_before_midnight = datetime(2025, 1, 1, 1, 59, 59, tzinfo=timezone(timedelta(hours=2)))
    for name in ("1.xml", "2.xml"):
        claim = spool.claim(settled(folders, name), just_before_midnight)
        assert archive(spool, claim, b"{}").parent == folders.archive / "2024/12/31"
        spool.clear(claim.id)


@pytest.mark.parametrize("publish", PUBLISH.values(), ids=PUBLISH.keys())
def test_the_same_file_published_again_is_no_fault(placed, publish):
    """Publishing what is there already with the same bytes is done, and changes nothing."""
    spool, claim = Spool(placed), claimed(placed)
    first = publish(spool, claim)
    before, inode = outboxes(placed), first.stat().st_ino
    (placed.work / ID / "pay.xml").write_bytes(b"<pay/>")
    assert publish(spool, claim) == first
    assert outboxes(placed) == before
    assert first.stat().st_ino == inode


@pytest.mark.parametrize("taken", ["the first file", "the second file"])
@pytest.mark.parametrize("publish", PUBLISH.values(), ids=PUBLISH.keys())
def test_nothing_is_ever_overwritten(placed, publish, taken):
    """Where another file has the name, it stays as it is; the line waits and says which file to move away."""
    spool, claim = Spool(placed), claimed(placed)
    publish(spool, claim)
    (placed.work / ID / "pay.xml").write_bytes(b"<pay/>")
    published = sorted(path for path in map(placed.success.parent.joinpath, outboxes(placed)))
    foreign = published[0 if taken == "the first file" else -1]
    for path in published:
        path.unlink()
    foreign.write_bytes(b"somebody else's")
    with pytest.raises(FolderTrouble, match=re.escape(str(foreign))) as trouble:
        publish(spool, claim)
    assert "Move that file" in trouble.value.mend
    assert foreign.read_bytes() == b"somebody else's"
    assert (placed.work / ID / "pay.xml").read_bytes() == b"<pay/>"
    foreign.unlink()
    publish(spool, claim)
    assert sorted(placed.success.parent.joinpath(path) for path in outboxes(placed)) == published


def test_a_file_that_takes_the_name_meanwhile_is_not_overwritten(placed):
    """A file that appears under the name while ours is being written stays as it is, and the line waits."""
    spool, claim = Spool(placed), claimed(placed)
    foreign = placed.success / f"pay__{ID}.xml"

    def take_the_name(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and not taken and Path(str(args[0])).parent == placed.success:
            taken.append(args[0])
            foreign.touch()

    taken: list[object] = []
    with listening(take_the_name), pytest.raises(FolderTrouble, match="nothing is overwritten"):
        spool.publish_success(claim, b"good")
    assert foreign.read_bytes() == b""
    foreign.unlink()
    spool.publish_success(claim, b"good")
    assert outboxes(placed) == {f"success/pay__{ID}.xml": b"good"}


def _finish(folders: Folders) -> None:
    """Take what is in work to its end, as a start after a crash does."""
    spool = Spool(folders)
    for claim in spool.claimed():
        spool.publish_success(claim, b"good")
        spool.publish_fail(claim, b"bad")
        archive(spool, claim)
    for claim_id in spool.emptied():
        spool.clear(claim_id)


def _refuse(folders: Folders) -> None:
    """Take a refused file in work to its end, as a start after a crash does."""
    spool = Spool(folders)
    for claim in spool.claimed():
        spool.publish_refusal(claim, b"why")
        archive(spool, claim)
    for claim_id in spool.emptied():
        spool.clear(claim_id)


@pytest.mark.parametrize("way", [_finish, _refuse], ids=["results", "a refusal"])
def test_publishing_can_be_repeated_from_any_point(placed, way):
    """Ended before any one of its steps and begun again, publishing gives the same names and bytes and no rest."""

    def everything() -> dict[str, bytes]:
        return outboxes(placed) | tree(placed.work)

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
    """Whether people see a file: not hidden, and in one of the folders they look into."""
    return not name.startswith(".work") and not Path(name).name.startswith(".")


@pytest.mark.parametrize("step", range(1, 5))
def test_claiming_can_be_ended_at_any_point(folders, step):
    """Ended before any one of its steps, a claim leaves the file whole, in the inbox or in work, and nowhere twice."""
    ready = settled(folders)
    with interrupted_at(step) as steps:
        try:
            Spool(folders).claim(ready, NOW)
        except Interrupted:
            assert len(steps) == step
    found = [path for folder in (folders.inbox, folders.work) for path in folder.rglob("*") if path.is_file()]
    assert [(path.name, path.read_bytes()) for path in found] == [("pay.xml", b"<pay/>")]
    for claim_id in Spool(folders).emptied():
        Spool(folders).clear(claim_id)
    assert len(Spool(folders).claimed()) + len(list(folders.inbox.iterdir())) == 1


@pytest.mark.parametrize("meanwhile", [nullcontext, name_taken_again], ids=["its name is free", "its name is taken"])
def test_putting_a_changed_file_back_can_be_ended_at_any_point(folders, meanwhile):
    """Ended while it puts a changed file back, a claim leaves one file with one name, to be taken once it settles."""
    spool = Spool(folders)
    for step in range(1, 20):
        ready = settled(folders)
        (folders.inbox / "pay.xml").write_bytes(b"<changed/>")
        with interrupted_at(step) as steps, meanwhile(folders), suppress(Interrupted, Changed):
            spool.claim(ready, NOW)
        in_work = [folders.work / claim.id / claim.name for claim in spool.claimed()]
        found = [*in_work, *folders.inbox.iterdir()]
        assert sorted(path.read_bytes() for path in found if path.read_bytes() != b"<another/>") == [b"<changed/>"]
        assert all(path.stat().st_nlink == 1 for path in found), f"ended before {steps[-1]}"
        for path in found:
            path.unlink()
        for claim_id in spool.emptied():
            spool.clear(claim_id)
        assert list(folders.work.iterdir()) == []
        if len(steps) < step:
            return
    pytest.fail("claiming has more steps than this test goes through")


# --- folders that fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["work", "success", "fail", "archive"])
def test_a_missing_folder_is_found_before_anything_is_taken(folders, missing):
    """``check`` passes while every folder is there, and names one that is not, with the mend; it makes none."""
    Spool(folders).check()
    folder: Path = getattr(folders, missing)
    folder.rmdir()
    with pytest.raises(FolderTrouble, match=re.escape(str(folder))) as trouble:
        Spool(folders).check()
    assert trouble.value.mend == "Make it, or mount the share it is on"
    assert not folder.exists()


@pytest.mark.parametrize(
    ("missing", "publish"),
    [("success", "success"), ("fail", "fail"), ("fail", "refusal"), ("archive", "archive")],
    ids=["success", "fail", "refusal", "archive"],
)
def test_an_outbox_that_is_gone_holds_up_the_line_and_is_never_made(folders, missing, publish):
    """Publishing into a missing folder is trouble that names it and its mend; back again, the work goes on."""
    spool, claim = Spool(folders), claimed(folders)
    folder: Path = getattr(folders, missing)
    folder.rmdir()
    with pytest.raises(FolderTrouble, match=re.escape(str(folder))) as trouble:
        PUBLISH[publish](spool, claim)
    assert trouble.value.mend == "Make it, or mount the share it is on"
    assert not folder.exists()
    assert (folders.work / ID / "pay.xml").read_bytes() == b"<pay/>"
    folder.mkdir()
    assert PUBLISH[publish](spool, claim).exists()


def test_a_full_disk_holds_up_the_line_and_no_half_file_gets_a_name(folders, mount):
    """On a full outbox nothing is published; once there is room the same file is published whole and alone."""
    mount(folders.success, "size=64k")
    filler = folders.success / "filler"
    filler.write_bytes(b"x" * 32768)
    spool, claim, content = Spool(folders), claimed(folders), b"r" * 50000
    with pytest.raises(FolderTrouble, match="No space left") as trouble:
        spool.publish_success(claim, content)
    assert trouble.value.mend == "Make room on that disk"
    assert [path.name for path in folders.success.iterdir() if not path.name.startswith(".")] == ["filler"]
    filler.unlink()
    spool.publish_success(claim, content)
    assert tree(folders.success) == {f"success/pay__{ID}.xml": content}


@pytest.mark.parametrize("publish", ["success", "refusal", "archive"])
def test_a_read_only_outbox_holds_up_the_line(folders, mount, publish):
    """A folder mounted read-only is trouble whose mend says so, and the claimed file stays in work."""
    mount(folders.fail if publish == "refusal" else getattr(folders, publish), "ro,size=64k")
    spool, claim = Spool(folders), claimed(folders)
    with pytest.raises(FolderTrouble, match="Read-only file system") as trouble:
        PUBLISH[publish](spool, claim)
    assert trouble.value.mend == "Mount it for writing"
    assert spool.claimed() == [claim]


def test_an_outbox_without_rights_holds_up_the_line(folders):
    """A folder the service's user may not write to is trouble whose mend speaks of rights."""
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    folders.success.chmod(0o500)
    with pytest.raises(FolderTrouble) as trouble:
        Spool(folders).publish_success(claimed(folders), b"good")
    assert "right to create" in trouble.value.mend
    folders.success.chmod(0o700)


# --- files that may be replaced, and probes --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["results.xml", f"{'n' * 251}.xml", f"{'円' * 80}.xml"], ids=["plain", "long", "wide"])
def test_a_whole_file_replaces_an_earlier_one(tmp_path, name):
    """What ``apply`` writes replaces what was there and leaves nothing else beside it."""
    for content in (b"first", b"second"):
        write_whole(tmp_path / name, content)
        assert tree(tmp_path) == {f"{tmp_path.name}/{name}": content}


def test_a_whole_file_is_never_seen_half_written(tmp_path):
    """Ended before any step of writing, the earlier file is there whole, or the later one; no rest stays."""
    target = tmp_path / "results.xml"
    write_whole(target, b"earlier")
    with interrupted_at(0) as steps:
        write_whole(target, b"earlier")
    for step in range(1, len(steps) + 1):
        with interrupted_at(step), pytest.raises(Interrupted):
            write_whole(target, b"later")
        assert target.read_bytes() in (b"earlier", b"later"), steps[step - 1]
        write_whole(target, b"earlier")


def test_a_whole_file_without_a_folder_is_trouble(tmp_path):
    """Writing into a folder that is not there says which, and makes none."""
    with pytest.raises(FolderTrouble, match="nowhere"):
        write_whole(tmp_path / "nowhere/results.xml", b"")
    assert list(tmp_path.iterdir()) == []


def test_a_probe_leaves_nothing_behind(tmp_path):
    """Probing a folder creates, renames and deletes a file there, and it is as empty as before."""
    with interrupted_at(0) as steps:
        probe(tmp_path)
    assert [step.split()[0] for step in steps][:3] == ["open", "os.rename", "os.remove"]
    assert list(tmp_path.iterdir()) == []


def test_a_probe_fails_where_work_would(tmp_path, mount):
    """Probing a folder that is missing or read-only is the system's own error."""
    with pytest.raises(FileNotFoundError):
        probe(tmp_path / "nowhere")
    mount(tmp_path, "ro,size=64k")
    with pytest.raises(OSError, match="Read-only"):
        probe(tmp_path)


def test_a_disk_that_is_nearly_full_is_named_once(folders, monkeypatch):
    """Folders on one disk are one disk; what is left is given in bytes; a roomy disk is not named."""
    monkeypatch.setattr(module, "_LITTLE_BYTES", 0)
    assert list(Spool(folders).nearly_full()) == []
    monkeypatch.setattr(module, "_LITTLE_BYTES", 1 << 62)
    monkeypatch.setattr(module, "_LITTLE_SHARE", 1.0)
    ((folder, left),) = Spool(folders).nearly_full()
    assert folder == folders.work
    assert 0 < left < shutil.disk_usage(folder).total
