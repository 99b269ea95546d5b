"""Remove what is old enough: published files and the journal's rows, and never what is unresolved.

A file is unresolved if it is not finished, if it was refused, or if one of its payments failed and has not been made or
tried again since. Its results, its original and its rows stay, however old they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from watcher.folders.published import Published
from watcher.journal.history import History


@dataclass(frozen=True, slots=True)
class Ages:
    """How old each kind may become; None keeps it for ever."""

    archive: timedelta | None = None
    success: timedelta | None = None
    fail: timedelta | None = None
    journal: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Aged:
    """What is old enough to be removed.

    Attributes:
        paths: published files.
        claims: the claims whose rows the journal forgets.
    """

    paths: list[Path]
    claims: list[str]


def aged(ages: Ages, published: Published, history: History, now: datetime) -> Aged:
    """Find what is old enough.

    Args:
        ages: how old each kind may become.
        published: the outboxes and the archive.
        history: knows what is resolved, and since when.
        now: aware.

    Raises:
        FolderTrouble: a folder cannot be read.
        JournalTrouble: the journal cannot be read.
    """
    folders = published.folders
    paths: list[Path] = []
    for folder, age in ((folders.archive, ages.archive), (folders.success, ages.success), (folders.fail, ages.fail)):
        if age is not None:
            resolved = history.resolved_before(now - age)
            paths += [path for claim_id, path in published.listed(folder) if claim_id in resolved]
    return Aged(paths, sorted(history.resolved_before(now - ages.journal)) if ages.journal is not None else [])


def remove(aged: Aged, published: Published, history: History) -> None:
    """Remove what is old: files first, so that none is left lying about that the journal has forgotten.

    Raises:
        FolderTrouble: a file cannot be removed.
        JournalTrouble: the journal cannot be written.
    """
    for path in aged.paths:
        published.remove(path)
    # A power cut must not bring a file back that the journal has forgotten: nobody would ever remove it.
    published.sync(aged.paths)
    history.forget(aged.claims)
