"""``run``: the daemon, from its settings to its end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import structlog

import watcher
from watcher.actions.check import folder_faults
from watcher.assembly.connectwise import client_of, secrets_of
from watcher.assembly.daemon import hearers_of, service_of
from watcher.assembly.local import folders_of
from watcher.cli import identity
from watcher.cli.init import make_folder
from watcher.config.settings import Settings
from watcher.disk.lock import holding, lock_file
from watcher.errors import ConfigurationError, Fault, FolderTrouble, Stopping
from watcher.events import log
from watcher.events.catalogue import Event
from watcher.lifetime import Lifetime
from watcher.processing.claimed import Tally
from watcher.proving import proved
from watcher.proving.comparing import VersionLook

# A disk that failed at the start is tried again after so long (seconds).
_RETRY_SECONDS = 2.0


def run(config_file: Path | None, *, once: bool) -> Tally:
    """Run the daemon until it is asked to end.

    Args:
        config_file: the configuration file that was named; None if none was.
        once: end once what lies in the inbox now is handled.

    Returns:
        What the files came to, if it ran once.

    Raises:
        PaymentWatcherError: the daemon cannot run, or cannot handle everything now.
    """
    settings = identity.settings_of(config_file)
    folders, journal = folders_of(settings), settings.journal.path
    if faults := folder_faults(folders):
        raise ConfigurationError(tuple(faults))
    make_folder(journal.parent)
    lifetime = Lifetime()
    # Before any thread is started, so that all of them leave the signals to the one that waits for them.
    lifetime.catch_signals()
    client, _ = client_of(settings, lifetime)
    look = VersionLook(journal.parent, client.version)
    try:
        with (
            _held(lock_file(journal), settings, lifetime),
            hearers_of(settings) as hears,
            service_of(settings, lifetime, client) as service,
        ):
            log_to(settings, hears if once else [*hears, look.hear])
            structlog.get_logger().info(
                Event.STARTED,
                version=watcher.__version__,
                inbox=str(folders.inbox),
                site=settings.connectwise.site,
                proved=proved.sentence(journal.parent),
            )
            if once:
                return service.run_once()
            service.run()
    except Stopping:
        # A daemon that is asked to end, at whatever moment, ends in order.
        if once:
            raise
    return Tally()


@contextmanager
def _held(lock: Path, settings: Settings, lifetime: Lifetime) -> Iterator[None]:
    """Hold the lock of the journal. A disk that fails for a moment is waited out.

    Raises:
        FolderTrouble: a person has to mend something first.
        Stopping: the process is asked to end meanwhile.
    """
    logged = ""
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(holding(lock))
                break
            except FolderTrouble as trouble:
                if not trouble.passes:
                    raise
                if str(trouble) != logged:
                    logged = str(trouble)
                    # Nobody else hears of the events yet.
                    log_to(settings, [])
                    since = datetime.now(UTC).isoformat(timespec="seconds")
                    keys = {"request_id": None, "retry_in_seconds": _RETRY_SECONDS, "since": since}
                    structlog.get_logger().error(Event.LINE_WAITING, reason=logged, mend=trouble.mend, **keys)
                    lifetime.systemd.status(f"Waiting: {trouble}. {trouble.mend}.")
            lifetime.sleep(_RETRY_SECONDS)
        yield


def log_to(settings: Settings, hears: list[log.Hears], level: str = "") -> None:
    """Log as the settings say.

    Args:
        settings: any.
        hears: those who hear the events.
        level: in place of the settings' own, if one is given.

    Raises:
        ConfigurationError: the log file cannot be written.
    """
    chosen = settings.logging
    try:
        log.set_up(level or chosen.level, chosen.format, secrets_of(settings), file=chosen.file, hears=hears)
    except OSError as error:
        mend = "Make its folder, and give the service's user the right to write there."
        problem = f"{chosen.file}: {os.strerror(error.errno or 0)}"
        raise ConfigurationError((Fault("logging.file", problem, mend),)) from error
