"""All parts of the daemon, put together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta

import watcher
from watcher.actions.prune import Ages
from watcher.assembly.connectwise import client_of
from watcher.assembly.local import documents_of, folders_of, inbox_of, rules_of
from watcher.config.settings import Settings
from watcher.connectwise.client import ConnectWise
from watcher.connectwise.workers import Workers
from watcher.daemon.arrivals import Arrivals, Measures
from watcher.daemon.asking import Asking
from watcher.daemon.bulletin import Speaker
from watcher.daemon.service import Service
from watcher.daemon.stuck import StuckCalls
from watcher.daemon.tenure import Tenure
from watcher.daemon.upkeep import Upkeep
from watcher.disk.hanging import FolderCalls
from watcher.errors import ConfigurationError, Fault
from watcher.events import heartbeat
from watcher.events.heartbeat import Heartbeat
from watcher.events.log import Hears
from watcher.folders.outboxes import Outboxes
from watcher.folders.published import Published
from watcher.folders.version_3 import LeftByVersion3
from watcher.folders.work import Work
from watcher.inbox.observer import Observer
from watcher.journal.bulletins import Bulletins
from watcher.journal.claims import Claims
from watcher.journal.database import Database
from watcher.journal.doubts import Doubts
from watcher.journal.earlier import Earlier
from watcher.journal.history import History
from watcher.journal.inboxes import Inboxes
from watcher.journal.ledger import Ledger
from watcher.journal.sums import Sums
from watcher.journal.waits import Waits
from watcher.journal.withdrawals import Withdrawals
from watcher.lifetime import Lifetime
from watcher.processing.audit import Audit
from watcher.processing.batch import Batches
from watcher.processing.look_up import LookUp
from watcher.processing.memory import Memory
from watcher.processing.opening import Acceptance, Opener
from watcher.processing.publishing import Publisher
from watcher.processing.rounds import Rounds
from watcher.processing.taking import Taker
from watcher.processing.waiting import WaitingFiles
from watcher.processing.withdrawing import Withdrawer

# The most files of a batch: their look-ups are shared.
_BATCH_FILES = 100
# How long the messages that wait may take when the daemon ends (seconds); it ends within five in all.
_LAST_WORDS_SECONDS = 2.0


def ages_of(settings: Settings) -> Ages:
    """Return after how long published files and the journal's rows go."""
    chosen = settings.retention.model_dump()
    return Ages(
        **{name.removesuffix("_days"): timedelta(days=days) for name, days in chosen.items() if days is not None}
    )


def waiting_of(settings: Settings, database: Database) -> WaitingFiles:
    """Return what knows the files that wait by themselves.

    Args:
        settings: any.
        database: the journal.
    """
    return WaitingFiles(Waits(database), settings.inbox.stalled_after_seconds)


def publisher_of(
    settings: Settings, database: Database, waiting: WaitingFiles, calls: FolderCalls, lifetime: Lifetime
) -> Publisher:
    """Return what publishes and archives decided files.

    Args:
        settings: with folders.
        database: the journal.
        waiting: the files that wait by themselves.
        calls: makes calls on folders.
        lifetime: of this process.
    """
    folders = folders_of(settings)
    work = Work(folders, calls, settings.inbox.max_file_bytes)
    outboxes = Outboxes(folders, calls, pages=settings.status.pages)
    return Publisher(work, outboxes, Claims(database), Ledger(database), waiting, lifetime)


def taker_of(
    settings: Settings, database: Database, publisher: Publisher, calls: FolderCalls, lifetime: Lifetime
) -> Taker:
    """Return what takes files from the inbox.

    Args:
        settings: with folders.
        database: the journal.
        publisher: knows what to do with an original at its end.
        calls: makes calls on folders.
        lifetime: of this process.
    """
    folders = folders_of(settings)
    work, earlier = Work(folders, calls, settings.inbox.max_file_bytes), LeftByVersion3(folders, calls)
    return Taker(work, earlier, Claims(database), publisher, lifetime)


def withdrawer_of(database: Database, publisher: Publisher) -> Withdrawer:
    """Return what takes files out of work that a person wants out of it.

    Args:
        database: the journal.
        publisher: publishes what became of them.
    """
    return Withdrawer(Withdrawals(database), Ledger(database), publisher)


def batches_of(
    settings: Settings, client: ConnectWise, workers: Workers, database: Database, publisher: Publisher
) -> Batches:
    """Return what takes claimed files to their end.

    Args:
        settings: with folders.
        client: the way to ConnectWise.
        workers: make its calls.
        database: the journal.
        publisher: publishes what they come to.
    """
    ledger, earlier = Ledger(database), Earlier(database)
    rules, look_up = rules_of(settings), LookUp(client.hurried(), workers)
    acceptance = Acceptance(
        documents_of(settings, workers.lifetime),
        settings.inbox.max_file_bytes,
        settings.payments.prevent_reprocessing,
        rules.add_up,
    )
    return Batches(
        Opener(Claims(database), ledger, earlier, look_up, acceptance, workers.lifetime),
        Rounds(client, workers, look_up, rules, sums=Sums(database)),
        Audit(client, workers, Doubts(database)),
        publisher,
        Memory(ledger, earlier),
        rules,
    )


@contextmanager
def service_of(settings: Settings, lifetime: Lifetime, client: ConnectWise | None = None) -> Iterator[Service]:
    """Build the daemon, with its journal open.

    Args:
        settings: with folders.
        lifetime: of this process.
        client: the way to ConnectWise, in place of the settings' own.

    Raises:
        ConfigurationError: the journal or the stylesheet cannot be used.
    """
    folders, calls = folders_of(settings), FolderCalls()
    own, workers = client_of(settings, lifetime)
    client = client or own
    url = settings.journal.url
    with closing(Database(url)) as database, closing(Database(url)) as apart:
        # Another thread writes bulletins, too: they have a connection of their own.
        speaker = Speaker(Bulletins(apart), client, lifetime)
        observer = Observer(folders.inbox, settings.inbox.observer)
        waiting = waiting_of(settings, database)
        publisher = publisher_of(settings, database, waiting, calls, lifetime)
        taker = taker_of(settings, database, publisher, calls, lifetime)
        measures = Measures(settings.inbox.scan_seconds, _BATCH_FILES, settings.inbox.max_file_bytes)
        asking = Asking(client, workers)
        service = Service(
            Tenure(folders.inbox, Inboxes(database), observer, calls),
            Arrivals(
                inbox_of(settings, calls), observer, taker, withdrawer_of(database, publisher), lifetime, measures
            ),
            batches_of(settings, client, workers, database, publisher),
            Upkeep(Published(folders, calls), History(database), ages_of(settings), calls, lifetime, asking),
            speaker,
            lifetime,
        )
        stuck = StuckCalls(calls, lifetime, speaker)
        stuck.start()
        with lifetime.waking(observer.wake):
            try:
                yield service
            finally:
                service.close()
                stuck.stop()
                workers.close()


@contextmanager
def hearers_of(settings: Settings) -> Iterator[list[Hears]]:
    """Start those who hear the daemon's events: the figures that are served, the messenger, and the heartbeat.

    Raises:
        ConfigurationError: the figures cannot be served at the address.
    """
    hears: list[Hears] = []
    with ExitStack() as stack:
        if settings.status.address is not None:
            from watcher.events.metrics import Metrics  # only those who want figures pay for them

            silence = max(60.0, 3 * settings.inbox.scan_seconds + 3 * settings.connectwise.timeout_seconds)
            patience = settings.notify.outage_seconds
            metrics = Metrics(watcher.__version__, silence_seconds=silence, outage_seconds=patience)
            try:
                stack.callback(metrics.serve(*settings.status.address))
            except OSError as error:
                problem = f"{settings.status.listen}: {os.strerror(error.errno or 0)}"
                fault = Fault("status.listen", problem, "Choose an address of this machine and a port that is free.")
                raise ConfigurationError((fault,)) from error
            hears.append(metrics.hear)
        if settings.notify.urls:
            hears.append(stack.enter_context(_messenger_of(settings)))
        if settings.notify.heartbeat_url is not None:
            beat = heartbeat.beat_of(settings.notify.heartbeat_url.get_secret_value())
            beating = Heartbeat(beat, settings.notify.heartbeat_seconds, settings.inbox.scan_seconds)
            stack.callback(beating.close)
            hears.append(beating.hear)
        yield hears


@contextmanager
def messengers_of(settings: Settings) -> Iterator[list[Hears]]:
    """Start what tells people of events, and serve no figures: for a command that works in the daemon's place."""
    with ExitStack() as stack:
        yield [stack.enter_context(_messenger_of(settings))] if settings.notify.urls else []


@contextmanager
def _messenger_of(settings: Settings) -> Iterator[Hears]:
    from watcher.events.messenger import Messenger  # as above
    from watcher.events.notices import Reporter

    notify = settings.notify
    reporter = Reporter(folders_of(settings).fail, notify.outage_seconds, warnings=notify.warnings)
    messenger = Messenger([url.get_secret_value() for url in settings.notify.urls], reporter)
    try:
        yield messenger.hear
    finally:
        messenger.close(_LAST_WORDS_SECONDS)
