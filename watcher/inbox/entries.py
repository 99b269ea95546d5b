"""The entries of the inbox: which of them are payment files, and why the others are left alone."""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field

from watcher.disk.opened import OpenFolder
from watcher.disk.side_by_side import side_by_side
from watcher.inbox import marker
from watcher.inbox.quiet import Sighting

# The reason why a file waits that is busy or may not be read.
UNREADABLE = "it cannot be read yet"
# What a file system answers about a file that another program has open for itself alone.
_BUSY = (errno.EAGAIN, errno.EBUSY, errno.EIO, errno.ETXTBSY)
# What writers, editors, file managers and servers leave beside real files (case-folded). The leading dots are those of
# rsync, Syncthing, macOS, NFS and Samba; see the manuals of these programs.
_JUNK_NAMES = (
    *(".*", "~*", "*~", "*.tmp", "*.temp", "*.part", "*.partial", "*.filepart", "*.crdownload", "*.download"),
    *("*.swp", "*.bak", "*.writing", "*.camellock", "thumbs.db", "desktop.ini"),
    *("$recycle.bin", "@eadir", "#recycle"),
)
_JUNK = re.compile("|".join(fnmatch.translate(pattern) for pattern in _JUNK_NAMES))


@dataclass(frozen=True, slots=True)
class Remark:
    """What a scan says about an entry of the inbox. It is said once as long as it stays true.

    Attributes:
        name: the entry's name.
        reason: why it is not taken.
        waits: True for a payment file that may still become ready; False for an entry that is left alone.
        overdue: True for a payment file that has waited for longer than ``stalled_after_seconds``.
        waited: how long the file had been in the inbox by then (seconds).
        is_file: True for a regular file.
    """

    name: str
    reason: str
    waits: bool = False
    overdue: bool = False
    waited: float = field(default=0.0, compare=False)
    is_file: bool = field(default=True, compare=False)


def name_pattern(pattern: str) -> re.Pattern[str]:
    """Return the expression for ``inbox.pattern``, which ``unfit_name`` takes."""
    return re.compile(fnmatch.translate(pattern.casefold()))


def entries(
    folder: OpenFolder, pattern: re.Pattern[str], known: Mapping[str, Sighting | Remark]
) -> list[Sighting | Remark]:
    """Look at every entry of the inbox but the marker and its lock.

    The listing itself tells files from other entries. A server is asked about an entry only if more is to be known.

    Args:
        folder: the inbox.
        pattern: what ``name_pattern`` returned.
        known: what was found out before about some entries, and need not be asked again: by name, a sighting of a file,
            or a remark about an entry that is no file.

    Returns:
        A sighting of each payment file, ready or not; a remark about each entry that is left alone.

    Raises:
        OSError: the inbox cannot be read.
    """
    found: list[Sighting | Remark] = []
    asked: list[str] = []
    with os.scandir(folder.descriptor) as listing:
        for entry in listing:
            if entry.name.casefold().startswith(marker.NAME):
                continue
            reason = unfit_name(entry.name, pattern)
            before = known.get(entry.name)
            if reason is not None:
                found.append(Remark(entry.name, reason))
            elif before is not None and isinstance(before, Remark) is not entry.is_file(follow_symlinks=False):
                found.append(before)
            else:
                asked.append(entry.name)
    return found + [each for each in side_by_side(lambda name: _look(folder, name), asked) if each is not None]


def _look(folder: OpenFolder, name: str) -> Sighting | Remark | None:
    """Look at an entry; return None if it went away after it was listed."""
    try:
        facts = folder.facts(name)
    except FileNotFoundError:
        return None
    reason = unfit_kind(facts)
    return sighting(name, facts) if reason is None else Remark(name, reason, is_file=stat.S_ISREG(facts.st_mode))


def sighting(name: str, facts: os.stat_result) -> Sighting:
    """Return a sighting of a file by what the system says of it."""
    return Sighting(name, facts.st_size, facts.st_mtime_ns, facts.st_ino, facts.st_ctime_ns)


def unfit_name(name: str, pattern: re.Pattern[str]) -> str | None:
    """Return why an entry of this name is no payment file; None if it may be one. Letter case does not count."""
    folded = name.casefold()
    if _JUNK.fullmatch(folded):
        return "a temporary or system file by its name"
    if not pattern.fullmatch(folded):
        return "its name is not that of a payment file"
    return None


def unfit_kind(facts: os.stat_result) -> str | None:
    """Return why an entry is no file that is taken; None if it is one."""
    if stat.S_ISREG(facts.st_mode):
        several = "it has more than one name (hard links): it is taken once only one is left"
        return None if facts.st_nlink == 1 else several
    if stat.S_ISLNK(facts.st_mode):
        return "a symbolic link is not followed"
    if stat.S_ISDIR(facts.st_mode):
        return "a folder; only files directly in the inbox are taken"
    if stat.S_ISFIFO(facts.st_mode):
        return "a named pipe, not a file"
    return "a device or socket, not a file"


def unreadable(error: OSError) -> str:
    """Return why a file cannot be read, with what a person can do about it."""
    busy = "; another program may have it open" if error.errno in _BUSY else ""
    return f"{UNREADABLE}: {os.strerror(error.errno or 0)}{busy}"
