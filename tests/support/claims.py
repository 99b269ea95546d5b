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
