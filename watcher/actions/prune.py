"""What is old enough goes: published files and the journal's rows, by age, and never what is unresolved.

Unresolved is a file that is not finished, one that was refused, and one with a failed payment that has not been made
or tried again since: its results, its original and its rows stay, however old.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from watcher.folders.spool import Spool
from watcher.journal.ledger import Journal


@dataclass(frozen=True, slots=True)
class Ages:
    """After how long each kind goes; None keeps it for ever."""

    archive: timedelta | None = None
    success: timedelta | None = None
    fail: timedelta | None = None
    journal: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Old:
    """What is old enough.

    Attributes:
        paths: published files.
        claims: of which the journal's rows go.
    """

    paths: list[Path]
    claims: list[str]


def old(ages: Ages, spool: Spool, journal: Journal, now: datetime) -> Old:
    """Find what is old enough.

    Args:
        ages: after how long.
        spool: the folders.
        journal: knows what is resolved.
        now: aware.

    Raises:
        FolderTrouble: a folder cannot be read.
    """
    folders = spool.folders
    paths: list[Path] = []
    for folder, age in ((folders.archive, ages.archive), (folders.success, ages.success), (folders.fail, ages.fail)):
        if age is not None:
            settled = journal.settled_before(now - age)
            paths += [path for claim, path in spool.published(folder) if claim in settled]
    return Old(paths, sorted(journal.settled_before(now - ages.journal)) if ages.journal is not None else [])


def remove(what: Old, spool: Spool, journal: Journal) -> None:
    """Remove what is old: files first, so that what the journal forgets is not left lying about.

    Raises:
        FolderTrouble: something cannot be removed.
    """
    for path in what.paths:
        spool.remove(path)
    journal.forget(what.claims)
