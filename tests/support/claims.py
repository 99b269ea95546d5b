"""Files that are ready or claimed, names of every kind, and what lies in some folders."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from pathlib import Path

from watcher.claim import Claim, ReadyFile
from watcher.folders.layout import Folders

ID = "20250601T123015Z_0123abcd"
EARLIER = "20240101T000000Z_deadbeef"
LONGEST = 255
# Of 255 bytes, two underscores, the claim and .xml leave this many for the stem.
ROOM = LONGEST - len(f"__{ID}.xml")
NFC, NFD = (unicodedata.normalize(form, "Zahlungen für Käthe.xml") for form in ("NFC", "NFD"))
# A name in the inbox, and the name under which it is published with ID.
NAMES = {
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
    "an earlier claim": (f"pay__{EARLIER}.xml", f"pay__{ID}.xml"),
    "nothing but an earlier claim": (f"__{EARLIER}.xml", f"__{ID}.xml"),
    "nearly a claim": ("pay__20240101T000000Z_deadbee.xml", f"pay__20240101T000000Z_deadbee__{ID}.xml"),
    "a claim inside": (f"a__{EARLIER}-2.xml", f"a__{EARLIER}-2__{ID}.xml"),
    "the longest that stays whole": (f"{'n' * ROOM}.xml", f"{'n' * ROOM}__{ID}.xml"),
    "one byte too long": (f"{'n' * ROOM}m.xml", f"{'n' * ROOM}__{ID}.xml"),
    "the longest there is": (f"{'n' * 251}.xml", f"{'n' * ROOM}__{ID}.xml"),
    "letters of three bytes": (f"{'円' * 83}.xml", f"{'円' * (ROOM // 3)}__{ID}.xml"),
    "letters of four bytes": (f"{'💷' * 62}.xml", f"{'💷' * (ROOM // 4)}__{ID}.xml"),
    "long without an earlier claim": (f"{'n' * 220}__{EARLIER}.xml", f"{'n' * 220}__{ID}.xml"),
}

# The name under which a file is put back whose own name is taken.
PUT_BACK = r"pay__\d{8}T\d{6}Z_[0-9a-f]{8}\.xml"
# What servers, network file systems and file managers leave beside files.
STRAYS = (".fuse_hidden0000000400000001", ".nfs000000000001", ".DS_Store", "._pay.xml", "Thumbs.db", "desktop.ini")


def ready(inbox: Path, name: str = "pay.xml", content: bytes = b"<pay/>") -> ReadyFile:
    """Put a file into an inbox and describe it as a scan does."""
    (inbox / name).write_bytes(content)
    return ReadyFile(name, len(content), hashlib.sha256(content).hexdigest())


def claimed(folders: Folders, name: str = "pay.xml", content: bytes = b"<pay/>") -> Claim:
    """Put a file into work under a known claim id, as claiming it leaves it."""
    place = folders.work / ID
    place.mkdir()
    (place / name).write_bytes(content)
    return Claim(ID, name)


def leave_strays(place: Path) -> list[str]:
    """Leave beside an original what others leave there; return the names."""
    for name in STRAYS:
        (place / name).write_bytes(b"<pay/>")
    (place / "@eaDir").mkdir()
    (place / "@eaDir" / "pay.xml").write_bytes(b"<pay/>")
    return sorted([*STRAYS, "@eaDir"])


def tree(*folders: Path) -> dict[str, bytes]:
    """Return every file of some folders by path, hidden ones too."""
    return {
        str(path.relative_to(folder.parent)): path.read_bytes()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def published(folders: Folders) -> dict[str, bytes]:
    """Return every file of the three folders that people look into."""
    return tree(folders.success, folders.fail, folders.archive)


def scanned(inbox: Path) -> list[ReadyFile]:
    """Return the files of an inbox as a scan does that finds them whole and quiet."""
    paths = sorted(path for path in inbox.iterdir() if path.is_file() and not path.is_symlink())
    return [ReadyFile(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]
