"""What lies under a name in work or in the inbox, as far as it may be an original. No link is followed."""

from __future__ import annotations

import hashlib
import stat
from contextlib import suppress
from typing import NamedTuple

from watcher.disk.opened import OpenFolder

# What file managers, servers and network file systems put beside files (case-folded).
_STRAYS = ("thumbs.db", "desktop.ini", "@eadir")
# A longer file is not held in memory to be compared (bytes).
_SHORT = 1 << 20


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


def is_same(folder: OpenFolder, name: str, digest: str) -> bool | None:
    """Return True if a file of this digest has a name, False if something else has it; None if nothing has it."""
    try:
        found = _read(folder, name, _SHORT)
    except FileNotFoundError:
        return None
    return found is not None and found.digest == digest


def read(folder: OpenFolder, name: str, limit: int) -> Original | None:
    """Read a file; None if no file has the name. The content is kept up to a limit (bytes)."""
    with suppress(FileNotFoundError):
        return _read(folder, name, limit)
    return None


def _read(folder: OpenFolder, name: str, limit: int) -> Original | None:
    """Read a file; None if something other than a file has the name."""
    found = folder.read(name, limit)
    if found is None:
        return None
    facts, content = found
    if content is not None:
        return Original(hashlib.sha256(content).hexdigest(), content, len(content), facts.st_nlink)
    with folder.reading(name) as file:
        if file is None:
            return None
        return Original(hashlib.file_digest(file, "sha256").hexdigest(), None, facts.st_size, facts.st_nlink)


def originals(place: OpenFolder) -> list[str]:
    """List the names of the files in the place of a claim, without what others leave beside files."""
    return [
        name
        for name in place.names()
        if not name.startswith(".") and name.casefold() not in _STRAYS and stat.S_ISREG(place.facts(name).st_mode)
    ]
