"""``prune``: what is old goes, while the daemon is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

from watcher.actions.prune import aged, remove
from watcher.assembly.daemon import ages_of
from watcher.assembly.local import folders_of
from watcher.cli.local import settings_of
from watcher.disk.hanging import FolderCalls
from watcher.disk.lock import holding, lock_file
from watcher.folders.published import Published
from watcher.journal.database import opened
from watcher.journal.history import History
from watcher.plain import plain


def prune(config_file: Path | None, *, dry_run: bool) -> Iterator[str]:
    """Remove what is older than ``[retention]`` says.

    Args:
        config_file: the configuration file that was named; None if none was.
        dry_run: remove nothing.

    Yields:
        What to print.

    Raises:
        Occupied: the daemon runs.
    """
    settings = settings_of(config_file)
    published, journal = Published(folders_of(settings), FolderCalls()), settings.journal
    with opened(journal.url) as database:
        if database is None:
            yield f"There is no journal at {journal.path} yet, and nothing to remove."
            return
        history = History(database)
        with nullcontext() if dry_run else holding(lock_file(journal.path)):
            gone = aged(ages_of(settings), published, history, datetime.now(UTC))
            if not dry_run:
                remove(gone, published, history)
    yield from (plain(str(path)) for path in gone.paths)
    would = "would go" if dry_run else "are gone"
    yield f"{len(gone.paths)} files, and the journal's rows of {len(gone.claims)} files, {would}."
