"""The entries of the inbox: which are payment files, and why the others are left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.documents import document, leave_socket
from support.scans import SETTLE

WHOLE = document(("CW-34251", "346.34"))


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
def test_junk_name_is_never_a_payment_file(folder, scans, name, case):
    """What writers, editors and servers leave beside real files is left alone, even where the pattern would take it."""
    line = scans(pattern="*", settle_seconds=0)
    (folder / case(name)).write_bytes(WHOLE)
    (folder / "pay.xml").write_bytes(WHOLE)
    assert line.after(0) == ["pay.xml"]
    (remark,) = line.inbox.remarks()
    assert (remark.name, remark.waits) == (case(name), False)
    assert "temporary or system file" in remark.reason
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
def test_pattern_takes_names_in_any_letter_case(folder, scans, pattern, name, taken):
    """Names that fit the pattern are payment files, letter case aside; others are reported once and left alone."""
    line = scans(pattern=pattern, settle_seconds=0)
    (folder / name).write_bytes(WHOLE)
    assert line.after(0) == ([name] if taken else [])
    assert line.remarks() == ([] if taken else [(name, False)])
    assert line.after(1) == ([name] if taken else [])
    assert line.remarks() == []


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
def test_odd_name_is_a_name(folder, scans, name):
    """A payment file may be called whatever the file system allows."""
    line = scans(settle_seconds=0)
    (folder / name).write_bytes(WHOLE)
    assert line.after(0) == [name]
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


ENTRIES = {
    "a link to a file": (_link, "symbolic link"),
    "a link to nothing": (lambda path: path.symlink_to(path.parent / "nothing"), "symbolic link"),
    "a link to a folder": (lambda path: path.symlink_to(path.parent), "symbolic link"),
    "a folder": (lambda path: path.mkdir(), "folder"),
    "a pipe": (os.mkfifo, "named pipe"),
    "a socket": (leave_socket, "device or socket"),
    "a file of two names": (_hard_link, "more than one name"),
}


@pytest.mark.parametrize(("make", "reason"), ENTRIES.values(), ids=ENTRIES.keys())
def test_what_is_no_ordinary_file_is_left_alone_and_reported_once(folder, scans, make, reason):
    """Under a payment file's name it is never ready and never touched, and reported again only if it comes again."""
    line = scans(settle_seconds=0, stalled_after_seconds=1)
    path = folder / "pay.xml"
    make(path)
    before = path.lstat()
    assert line.after(0) == []
    (remark,) = line.inbox.remarks()
    assert (remark.name, remark.waits) == ("pay.xml", False)
    assert reason in remark.reason
    for _ in range(2):
        assert line.after(10) == []
        assert line.inbox.remarks() == []
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    path.rename(folder.parent / "away")
    line.ready()
    (folder.parent / "away").rename(path)
    line.ready()
    assert line.inbox.remarks() == [remark]


def test_file_of_two_names_is_taken_once_one_is_left(folder, scans):
    """A hard-linked file, as a writer that links and then unlinks makes it, settles when it has one name."""
    line = scans()
    _hard_link(folder / "pay.xml")
    line.after(0)
    (folder.parent / "second").unlink()
    assert line.after(SETTLE) == []
    assert line.after(SETTLE) == ["pay.xml"]


def test_files_in_a_folder_of_the_inbox_are_not_taken(folder, scans):
    """Only files directly in the inbox are payment files."""
    line = scans(settle_seconds=0)
    (folder / "more").mkdir()
    (folder / "more/pay.xml").write_bytes(WHOLE)
    assert line.after(0) == []
    assert line.remarks() == [("more", False)]
