"""What lies under a name in work or in the inbox, as far as it may be an original. No link is followed."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from watcher.disk.durable import reading

# What file managers, servers and network file systems put beside files (case-folded).
_STRAYS = ("thumbs.db", "desktop.ini", "@eadir")


class Original(NamedTuple):
    """What a file was when it was read.

    Attributes:
        digest: SHA-256 of its content, hex.
        content: its content; None if it is larger than what is kept.
        size: its size (bytes).
        names: how many names it has (hard links).
    """

    digest: str
    content: bytes | None
    size: int
    names: int


def is_folder(path: Path) -> bool:
    """Return True if a folder has a name. A link is none."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_same(path: Path, digest: str) -> bool | None:
    """Return True if a file of this digest has a name, False if something else has it; None if nothing has it."""
    try:
        with reading(path) as file:
            return file is not None and hashlib.file_digest(file, "sha256").hexdigest() == digest
    except (FileNotFoundError, NotADirectoryError):
        return None


def read(path: Path, limit: int) -> Original | None:
    """Read a file; None if no file has the name. The content is kept up to a limit (bytes)."""
    with suppress(FileNotFoundError, NotADirectoryError), reading(path) as file:
        if file is None:
            return None
        facts = os.fstat(file.fileno())
        if facts.st_size > limit:
            return Original(hashlib.file_digest(file, "sha256").hexdigest(), None, facts.st_size, facts.st_nlink)
        content = file.read()
        return Original(hashlib.sha256(content).hexdigest(), content, len(content), facts.st_nlink)
    return None


def originals(folder: Path) -> list[str]:
    """List the names of the files in the place of a claim, without what others leave beside files."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if not entry.name.startswith(".")
                and entry.name.casefold() not in _STRAYS
                and stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode)
            )
    except (FileNotFoundError, NotADirectoryError):
        return []
