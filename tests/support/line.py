"""The parts of the daemon over a set of folders, put together as the program does it, in a hurry."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from hashlib import sha256
from typing import Any, Self

from support.program import configure
from support.steps import Stepping

from watcher.assembly.connectwise import client_of
from watcher.assembly.daemon import batches_of, publisher_of, service_of, taker_of, waiting_of
from watcher.claim import Claim, ReadyFile
from watcher.config.load import load
from watcher.config.settings import Settings
from watcher.connectwise.client import ConnectWise
from watcher.connectwise.workers import Workers
from watcher.daemon.service import Service
from watcher.disk.hanging import FolderCalls
from watcher.errors import Outage, Stopping
from watcher.folders.layout import Folders
from watcher.folders.version_3 import LeftByVersion3
from watcher.folders.work import Work
from watcher.journal.claims import Claims
from watcher.journal.database import Database
from watcher.journal.history import History
from watcher.journal.ledger import Ledger
from watcher.journal.waits import Waits
from watcher.lifetime import Lifetime
from watcher.payments.outcomes import Result
from watcher.processing.batch import Batches
from watcher.processing.claimed import Tally
from watcher.processing.taking import Taker
from watcher.sandbox import SignIn


class Hurried(Lifetime):
    """A lifetime in which no wait takes time; ``now`` says how long it would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._advancing = threading.Lock()

    def now(self) -> float:
        """Return the seconds that would have passed."""
        return self._now

    def pause(self, seconds: float) -> None:
        """Let the time pass without waiting."""
        with self._advancing:
            self._now += seconds

    def listen(self, hear: Callable[[float], bool], seconds: float) -> bool:
        """Let the time pass without waiting, and hear what there is."""
        self.wait(seconds)
        return hear(0)


def settings_of(folders: Folders, site: str, **sections: dict[str, Any]) -> Settings:
    """Return settings that keep no test waiting.

    Args:
        folders: the folders, which exist.
        site: the URL of a sandbox, or of the network before it.
        sections: keys that differ, by section. ``connectwise`` takes timeouts shorter than a user's.
    """
    patience = sections.get("connectwise", {}).get("timeout_seconds", 5)
    if patience < 1:
        sections["connectwise"] = sections["connectwise"] | {"timeout_seconds": 1}
    return _impatient(load(configure(folders, site, **sections), folders=True), patience)


def connect(
    site: str, lifetime: Lifetime, *, timeout_seconds: float = 5, **connectwise: object
) -> tuple[ConnectWise, Workers]:
    """Return the way to a sandbox, or to the network before it, for those who need no folders.

    Args:
        site: its URL.
        lifetime: of the program.
        timeout_seconds: may be shorter than a user's.
        connectwise: keys of the section that differ.
    """
    sign_in = SignIn()
    keys = {name: getattr(sign_in, name) for name in ("company", "client_id", "public_key", "private_key")}
    section = {"site": site, "requests_per_minute": 60000, **keys, **connectwise}
    return client_of(_impatient(Settings.model_validate({"connectwise": section}), timeout_seconds), lifetime)


def _impatient(settings: Settings, timeout_seconds: float) -> Settings:
    """Return settings with a timeout that a user may not choose."""
    section = settings.connectwise.model_copy(update={"timeout_seconds": timeout_seconds})
    return settings.model_copy(update={"connectwise": section})


def to_the_end(batches: Batches, claims: Sequence[Claim], lifetime: Lifetime) -> Tally:
    """Take claimed files to their end, and wait for those that are left for a while.

    Args:
        batches: what takes them there.
        claims: in the order of claiming.
        lifetime: of the program.

    Raises:
        Outage: as ``Batches.process``, or what holds up the payments that are left.
    """
    tally = processed(batches, claims)
    while batches.left.claims:
        if not batches.left.is_decided_soon and batches.cause is not None:
            raise batches.cause
        lifetime.sleep(max(0.0, (batches.left.due or 0.0) - lifetime.now()))
        tally += processed(batches, [claim for claim in claims if claim.id in batches.left.claims])
    return tally


def processed(batches: Batches, claims: Sequence[Claim]) -> Tally:
    """Process claimed files, and wait until all that is decided is published."""
    try:
        tally = sum(batches.process(claims), Tally())
    except BaseException:
        with suppress(Outage, Stopping):
            batches.settle()
        raise
    return tally + batches.settle()


class Line:
    """The parts behind the inbox, as often as they are started.

    Attributes:
        folders: where its files are.
        settings: what it is built from.
        lifetime: of the program that runs now.
        client: the way to ConnectWise.
        taker: claims files.
        waiting: the files that wait by themselves.
        waits: what the journal says of them.
        claims: the files in work, as the journal knows them.
        ledger: what the program keeps in its journal.
        history: what people ask of it.
        database: its journal.
    """

    def __init__(
        self,
        folders: Folders,
        site: str,
        *,
        lifetime: Lifetime | None = None,
        client: ConnectWise | None = None,
        **sections: dict[str, Any],
    ) -> None:
        self.folders = folders
        self.settings = settings_of(folders, site, **sections)
        self.lifetime = lifetime or Hurried()
        self._site = site
        self._calls = FolderCalls()
        self.client, self._workers = client_of(self.settings, self.lifetime)
        self.client = client or self.client
        self.database = Database(self.settings.journal.url)
        self.waiting = waiting_of(self.settings, self.database)
        self.publisher = publisher_of(self.settings, self.database, self.waiting, self._calls, self.lifetime)
        self.taker = taker_of(self.settings, self.database, self.publisher, self._calls, self.lifetime)
        self.claims = Claims(self.database)
        self.ledger = Ledger(self.database)
        self.history = History(self.database)
        self.waits = Waits(self.database)

    def again(self, **sections: dict[str, Any]) -> Self:
        """Return the parts of another start over the same folders, journal and client, with some settings changed."""
        other = copy.copy(self)
        if sections:
            other.settings = settings_of(self.folders, self._site, **sections)
        other.waiting = waiting_of(other.settings, self.database)
        other.publisher = publisher_of(other.settings, self.database, other.waiting, self._calls, self.lifetime)
        other.taker = taker_of(other.settings, self.database, other.publisher, self._calls, self.lifetime)
        return other

    @property
    def batches(self) -> Batches:
        """What takes claimed files to their end, as a start of the program builds it."""
        return batches_of(self.settings, self.client, self._workers, self.database, self.publisher)

    def close(self) -> None:
        """Close the journal."""
        self.database.close()

    def service(self) -> AbstractContextManager[Service]:
        """Build the daemon over the same folders."""
        return service_of(self.settings, self.lifetime, self.client)

    def claim(self, name: str, content: bytes) -> Claim:
        """Drop a file and claim it."""
        (self.folders.inbox / name).write_bytes(content)
        (claim,) = self.taker.take([ReadyFile(name, len(content), sha256(content).hexdigest())]).claims
        return claim

    def process(self, claims: Sequence[Claim]) -> Tally:
        """Take a batch of claimed files to its end."""
        return to_the_end(self.batches, claims, self.lifetime)

    def resume(self) -> Tally:
        """Take whatever is claimed to its end, as the next start does."""
        batches = self.batches
        batches.tidy()
        return to_the_end(batches, list(self.taker.resume()), self.lifetime)

    def results(self, claim_id: str) -> list[Result]:
        """Return the outcomes that the journal holds of a claim."""
        return list(self.ledger.results(claim_id))


def stepping(line: Line) -> Taker:
    """Return the taker of a program that can be ended at each of its steps."""
    work = Work(line.folders, FolderCalls(), line.settings.inbox.max_file_bytes)
    earlier = LeftByVersion3(line.folders, FolderCalls())
    return Taker(Stepping(work), earlier, Stepping(line.claims), line.publisher, line.lifetime)
