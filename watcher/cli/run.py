"""``run``: the daemon, from its settings to its end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

import watcher
from watcher.actions.check import folder_faults
from watcher.assembly.connectwise import client_of, secrets_of
from watcher.assembly.daemon import hearers_of, service_of
from watcher.assembly.local import documents_of, folders_of
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
    _check(settings)
    journal = settings.journal.path
    make_folder(journal.parent)
    lifetime = Lifetime()
    # Before any thread is started, so that all of them leave the signals to the one that waits for them.
    lifetime.catch_signals(daemon=not once)
    try:
        with _held(lock_file(journal), settings, lifetime):
            lifetime.sign_of_life = lock_file(journal)
            if once:
                return _run_once(settings, lifetime)
            _run(config_file, settings, lifetime)
    except Stopping:
        # A daemon that is asked to end, at whatever moment, ends in order.
        if once:
            raise
    return Tally()


def _run_once(settings: Settings, lifetime: Lifetime) -> Tally:
    with hearers_of(settings) as hears, service_of(settings, lifetime) as service:
        log_to(settings, hears)
        _log_start(Event.STARTED, settings)
        return service.run_once()


def _run(config_file: Path | None, settings: Settings, lifetime: Lifetime) -> None:
    """Run until asked to end. Each time the configuration is read anew, all parts are built anew from it."""
    event = Event.STARTED
    while not lifetime.ending:
        client, _ = client_of(settings, lifetime)
        look = VersionLook(settings.journal.path.parent, client.version)
        with hearers_of(settings) as hears, service_of(settings, lifetime) as service:
            log_to(settings, [*hears, look.hear])
            _log_start(event, settings)
            service.run()
            while lifetime.reloading and not lifetime.ending:
                read = _read_anew(config_file, settings)
                if read is not None:
                    settings, event = read, Event.RELOADED
                    break
                lifetime.reloading = False
                service.run()
        lifetime.reloading = False


def _log_start(event: Event, settings: Settings) -> None:
    structlog.get_logger().info(
        event,
        version=watcher.__version__,
        inbox=str(folders_of(settings).inbox),
        site=settings.connectwise.site,
        proved=proved.sentence(settings.journal.path.parent),
    )


def _check(settings: Settings) -> None:
    """Make sure that a daemon can be built from settings.

    Raises:
        ConfigurationError: two folders are one, work lies on another disk, or the stylesheet cannot be used.
    """
    if faults := folder_faults(folders_of(settings)):
        raise ConfigurationError(tuple(faults))
    documents_of(settings, Lifetime())


def _read_anew(config_file: Path | None, before: Settings) -> Settings | None:
    """Read the settings anew; return None, and log why, if they cannot be used.

    Args:
        config_file: the configuration file that was named; None if none was.
        before: the settings that count until now.
    """
    try:
        settings = identity.settings_of(config_file)
        _check(settings)
    except (ConfigurationError, FolderTrouble) as error:
        structlog.get_logger().error(Event.NOT_RELOADED, reason=str(error))
        return None
    if settings.journal != before.journal:
        reason = "journal.url: it cannot change while the daemon runs. Restart the service to use another journal."
        structlog.get_logger().error(Event.NOT_RELOADED, reason=reason)
        return None
    return settings


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
                    now = datetime.now(UTC)
                    keys = {
                        "request_id": None,
                        "retry_in_seconds": _RETRY_SECONDS,
                        "next_try_at": (now + timedelta(seconds=_RETRY_SECONDS)).isoformat(timespec="seconds"),
                        "since": now.isoformat(timespec="seconds"),
                    }
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
