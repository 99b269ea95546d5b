"""``withdraw``: the daemon is asked to take a file out of work, or this process does it while no daemon runs."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import typer

from watcher.actions import withdraw as action
from watcher.assembly.daemon import messengers_of, publisher_of, taker_of, waiting_of, withdrawer_of
from watcher.assembly.local import folders_of
from watcher.cli.local import settings_of
from watcher.cli.run import log_to
from watcher.config.settings import Settings
from watcher.disk.hanging import FolderCalls
from watcher.disk.lock import holder, holding, lock_file
from watcher.errors import InboxHeld, Occupied, Outage
from watcher.inbox import marker
from watcher.journal.database import Database
from watcher.lifetime import Lifetime
from watcher.plain import plain

# How long the daemon is waited for (seconds): longer than a call to ConnectWise may take.
_PATIENCE = 60.0
# How often to look if it is done (seconds).
_LOOK_SECONDS = 0.25


def withdraw(name: str, config_file: Path | None, reason: str) -> tuple[str, bool]:
    """Take a file out of work.

    Args:
        name: its name in the inbox, or its claim.
        config_file: the configuration file that was named; None if none was.
        reason: why, in a person's words; empty if none are given.

    Returns:
        What came of it, in sentences, and True if it is done.

    Raises:
        PaymentWatcherError: no such file is in work, or it cannot be taken out of work now.
    """
    settings = settings_of(config_file)
    folders, journal = folders_of(settings), settings.journal
    claim = action.ask(name, reason, folders, journal.url)
    lock, deadline, told = lock_file(journal.path), time.monotonic() + _PATIENCE, False
    while (done := action.outcome(claim, folders, journal.url)) is None:
        if holder(lock) is None and _carry_out(settings):
            done = action.outcome(claim, folders, journal.url)
            break
        if time.monotonic() >= deadline:
            break
        if not told:
            told = True
            typer.echo(
                f"The daemon takes {plain(claim.name)} out of work once its calls are done. Waiting for up to "
                f"{_PATIENCE:.0f} seconds ...",
                err=True,
            )
        time.sleep(_LOOK_SECONDS)
    return done or action.held_up(claim, journal.url), done is not None


def _carry_out(settings: Settings) -> bool:
    """Carry out all requests in the daemon's place; return False if a daemon has started meanwhile.

    Raises:
        FolderTrouble: a folder cannot be used, or another process holds the inbox.
        JournalTrouble: the journal cannot be used.
    """
    try:
        with holding(lock_file(settings.journal.path)), messengers_of(settings) as hears:
            # On a terminal, what is printed in the end says it all.
            quiet = sys.stderr.isatty() and settings.logging.level == "info"
            log_to(settings, hears, level="error" if quiet else settings.logging.level)
            _work_on(settings)
    except Occupied:
        return False
    except Outage:
        typer.echo("The request stands: the daemon carries it out once it can.", err=True)
        raise
    return True


def _work_on(settings: Settings) -> None:
    """Carry out all requests, with the journal held."""
    calls, lifetime, inbox = FolderCalls(), Lifetime(), folders_of(settings).inbox
    with closing(Database(settings.journal.url, upgrade=False)) as database, ExitStack() as stack:
        waiting = waiting_of(settings, database)
        publisher = publisher_of(settings, database, waiting, calls, lifetime)
        publisher.check()
        try:
            stack.enter_context(holding(lock_file(inbox / marker.NAME), own=True))
        except Occupied as occupied:
            raise InboxHeld.by(occupied) from occupied
        # As a start of the daemon does, before it works on what is claimed.
        taker_of(settings, database, publisher, calls, lifetime).resume()
        withdrawer_of(database, publisher).carry_out()
