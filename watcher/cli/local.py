"""Commands that use folders and journal alone; an administrator who has no keys may run them."""

from __future__ import annotations

from pathlib import Path

from watcher.actions import explain, requeue, retry, status
from watcher.assembly.local import folders_of, inbox_of, table_of
from watcher.claim import claim_in
from watcher.cli import identity
from watcher.config.settings import Settings
from watcher.disk.hanging import FolderCalls
from watcher.disk.lock import lock_file
from watcher.folders.published import Published
from watcher.journal.attempts import Attempt
from watcher.journal.database import opened
from watcher.journal.unpaid import Unpaid


def settings_of(config_file: Path | None) -> Settings:
    """Return the settings, whose keys may be missing, and work as the company's user from now on.

    Args:
        config_file: the configuration file that was named; None if none was.
    """
    return identity.settings_of(config_file, account=False)


def look(config_file: Path | None) -> status.Status:
    """Return how things are."""
    settings, calls = settings_of(config_file), FolderCalls()
    journal = settings.journal
    return status.look(inbox_of(settings, calls), journal.url, lock_file(journal.path))


def dismiss(wanted: str | None, config_file: Path | None, reason: str) -> list[Attempt]:
    """Stop telling of payments that will never be paid; return them.

    Args:
        wanted: an invoice number, a file's name or a claim; None for all.
        config_file: the configuration file that was named; None if none was.
        reason: in a person's words.
    """
    settings = settings_of(config_file)
    name = wanted and Path(wanted).name
    with opened(settings.journal.url) as database:
        if database is None:
            return []
        unpaid = Unpaid(database)
        found = unpaid.dismiss(wanted, reason)
        if not found and name:
            found = unpaid.dismiss(claim_in(name) or name, reason)
        return found


def try_now(config_file: Path | None) -> tuple[str, bool]:
    """Ask the daemon to try ConnectWise now; return what was done, in sentences, and True if it does."""
    return retry.ask(lock_file(settings_of(config_file).journal.path))


def sentences(name: str, config_file: Path | None) -> list[str]:
    """Return what is known of a file, in sentences; none if it is not known."""
    settings, calls = settings_of(config_file), FolderCalls()
    folders, journal = folders_of(settings), settings.journal
    inbox = inbox_of(settings, calls)
    return explain.explain(Path(name).name, inbox, folders, journal.url, lock_file(journal.path))


def put_back(name: str, config_file: Path | None, *, anyway: bool) -> tuple[Path, Path]:
    """Put a failed or archived file back into the inbox; return where it was and where it is now."""
    settings = settings_of(config_file)
    published = Published(folders_of(settings), FolderCalls())
    # Where payments are added up, a file that comes again replaces nothing.
    anyway = anyway or settings.payments.amounts == "each"
    return requeue.requeue(name, published, settings.journal.url, anyway=anyway, table=table_of(settings))
