"""Builds every part from the settings. The only place that does; tests use it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import watcher
from watcher.actions import prune as retention
from watcher.claim import Claim
from watcher.config.settings import Settings
from watcher.connectwise.client import ConnectWise
from watcher.connectwise.http import Account, Gateway
from watcher.connectwise.pace import Pace
from watcher.connectwise.workers import Workers
from watcher.daemon.service import Service
from watcher.disk.hanging import Pulse
from watcher.documents.stylesheet import Stylesheet
from watcher.documents.unfinished import unfinished
from watcher.errors import (
    ConfigurationError,
    Fault,
)
from watcher.events import log as logs
from watcher.events.messenger import Messenger
from watcher.events.metrics import Metrics
from watcher.events.notices import Reporter
from watcher.folders.spool import Folders, Spool
from watcher.inbox.observer import Observer
from watcher.inbox.scan import Inbox
from watcher.journal.ledger import Journal
from watcher.lifetime import Systemd
from watcher.payments.model import Rules
from watcher.processing.batch import Pipeline

# How long messages may take that wait when the daemon ends, seconds; it ends within five in all.
_LAST_WORDS_SECONDS = 2.0


@contextmanager
def listening(settings: Settings, folders: Folders, hears: list[logs.Hears]) -> Iterator[None]:
    """Add those who hear the daemon's events, the figures that are served and the messenger; they have threads."""
    spool = Spool(folders)
    with ExitStack() as stack:
        if settings.status.address is not None:
            silence = max(60.0, 3 * settings.inbox.scan_seconds + 3 * settings.connectwise.timeout_seconds)
            metrics = Metrics(watcher.__version__, silence_seconds=silence)
            try:
                stack.callback(metrics.serve(*settings.status.address))
            except OSError as error:
                problem = f"{settings.status.listen}: {os.strerror(error.errno or 0)}"
                fault = Fault("status.listen", problem, "Choose an address of this machine and a port that is free.")
                raise ConfigurationError((fault,)) from error
            hears.append(metrics.hear)
        if settings.notify.urls:
            reporter = Reporter(
                lambda name, claim: str(folders.fail / spool.published_name(Claim(claim, name))),
                settings.notify.outage_seconds,
            )
            messenger = Messenger([url.get_secret_value() for url in settings.notify.urls], reporter)
            stack.callback(messenger.close, _LAST_WORDS_SECONDS)
            hears.append(messenger.hear)
        yield


def folders_of(settings: Settings) -> Folders:
    named = settings.folders
    if named is None:
        raise ConfigurationError((Fault("folders", "is missing", "Name the folders in [folders]."),))
    return Folders(named.inbox, named.work, named.success, named.fail, named.archive)


def ages_of(settings: Settings) -> retention.Ages:
    chosen = settings.retention.model_dump()
    return retention.Ages(
        **{name.removesuffix("_days"): timedelta(days=days) for name, days in chosen.items() if days is not None}
    )


def stylesheet_of(settings: Settings) -> Stylesheet | None:
    section = settings.inbox
    return Stylesheet(section.transform, section.max_file_bytes) if section.transform else None


def rules_of(settings: Settings) -> Rules:
    chosen = settings.payments
    return Rules(chosen.duplicates == "sum", chosen.zero_amount == "remove", chosen.date_partial_payments)


def client_of(
    settings: Settings, stop: threading.Event, alive: Callable[[], None] = lambda: None
) -> tuple[ConnectWise, Workers]:
    section = settings.connectwise
    account = Account(
        url=section.url,
        company=section.company,
        public_key=section.public_key.get_secret_value(),
        private_key=section.private_key.get_secret_value(),
        client_id=section.client_id.get_secret_value(),
        api_version=section.api_version,
        ca_bundle=str(section.ca_bundle) if section.ca_bundle else None,
        timeout_seconds=section.timeout_seconds,
    )
    pace = Pace(section.requests_per_minute, stop, alive=alive)
    return ConnectWise(Gateway(account, pace)), Workers(section.concurrency, stop, alive)


def inbox_of(
    settings: Settings,
    folders: Folders,
    touching: Callable[[Path], AbstractContextManager[None]] = lambda _path: nullcontext(),
) -> Inbox:
    section = settings.inbox
    return Inbox(
        folders.inbox,
        unfinished=unfinished,
        pattern=section.pattern,
        settle_seconds=section.settle_seconds,
        stalled_after_seconds=section.stalled_after_seconds,
        max_file_bytes=section.max_file_bytes,
        touching=touching,
    )


def service_of(settings: Settings, folders: Folders) -> Service:
    stop, systemd = threading.Event(), Systemd()
    client, workers = client_of(settings, stop, systemd.alive)
    pulse = Pulse(stop)
    spool, journal = Spool(folders, pulse.touching), Journal(settings.journal.url)
    section = settings.inbox
    pipeline = Pipeline(
        spool,
        journal,
        client,
        workers,
        rules_of(settings),
        max_file_bytes=section.max_file_bytes,
        transform=stylesheet_of(settings),
        prevent_reprocessing=settings.payments.prevent_reprocessing,
        alive=systemd.alive,
    )
    return Service(
        inbox_of(settings, folders, pulse.touching),
        Observer(folders.inbox, section.observer),
        spool,
        journal,
        pipeline,
        stop=stop,
        systemd=systemd,
        scan_seconds=section.scan_seconds,
        batch_bytes=section.max_file_bytes,
        pulse=pulse,
        answered_at=client.answered_at,
        ages=ages_of(settings),
    )
