"""How things are: the state of the line, what waits in the inbox and in work, the last files. Changes nothing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any, TypeVar

from watcher.actions.history import attempt_as_json
from watcher.disk.hanging import within
from watcher.disk.lock import holder
from watcher.errors import FolderTrouble, SignInRefused, Slowed, Unreachable
from watcher.inbox.scan import Inbox
from watcher.journal.attempts import Attempt
from watcher.journal.bulletins import Bulletin, Bulletins
from watcher.journal.database import file_of, opened
from watcher.journal.history import FinishedFile, History
from watcher.journal.unpaid import Unpaid
from watcher.journal.waits import Wait, Waits
from watcher.payments.model import money
from watcher.proving import proved
from watcher.times import moment, span

# How long a folder may take to answer (seconds). One on a share whose server has gone may never answer.
_ANSWER_SECONDS = 5.0
# A daemon that has given no sign of life for so long stands still (seconds). systemd ends it after WatchdogSec=180.
_STILL_SECONDS = 90.0
# A disk with less room than this is full (bytes).
_FULL_BYTES = 65536

Found = TypeVar("Found")


class Level(IntEnum):
    """How well things are. The number is the exit code of ``status``."""

    WELL = 0
    ATTENTION = 1
    DOWN = 2


@dataclass(frozen=True, slots=True)
class WaitingFile:
    """A payment file in the inbox."""

    name: str
    bytes: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class ClaimedFile:
    """A file in work: how many records it has, and how many of them are decided."""

    name: str
    claim: str
    claimed_at: datetime
    records: int
    decided: int


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that ``payment-watcher status`` shows.

    Attributes:
        running: who holds the journal; None if no daemon runs.
        line: the daemon's latest bulletin; None before its first start.
        waiting: the payment files in the inbox, the longest unchanged first.
        claimed: the files in work, in the order of claiming.
        held: the files that wait by themselves in the inbox or in work, the longest first.
        finished: the last files, the latest first.
        unpaid: the payments that failed and whose invoices have not been tried again since, the earliest first.
        troubles: what could not be looked at, and why.
        proved: what ``prove`` has proved of this ConnectWise, in words.
        moved_at: when the running daemon last gave a sign of life, to ``SIGN_SECONDS``; None if that is not known.
    """

    running: str | None
    line: Bulletin | None
    waiting: list[WaitingFile] = field(default_factory=list)
    claimed: list[ClaimedFile] = field(default_factory=list)
    held: list[Wait] = field(default_factory=list)
    finished: list[FinishedFile] = field(default_factory=list)
    unpaid: list[Attempt] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    proved: str = ""
    moved_at: datetime | None = None

    @property
    def level(self) -> Level:
        """How well things are."""
        return self._judged[0]

    @property
    def sentence(self) -> str:
        """How things are, in a sentence."""
        return self._judged[1]

    @property
    def _judged(self) -> tuple[Level, str]:
        line = self.line
        if not self.running:
            return Level.DOWN, "Down: no daemon runs, so no file is processed."
        if self.moved_at is not None and _seconds_since(self.moved_at) > _STILL_SECONDS:
            still = span(_seconds_since(self.moved_at))
            return Level.DOWN, f"Down: the daemon is there, but has given no sign of life for {still}."
        if line is not None and line.state == "waiting":
            return Level.DOWN, f"Down: payments have waited since {moment(line.since)}."
        if self.troubles:
            return Level.DOWN, "Down: not everything can be looked at."
        overdue = sum(wait.overdue for wait in self.held)
        reasons = [f"{_files(overdue)} waited for too long"] if overdue else []
        if line is not None and line.state == "partly waiting":
            reasons.append(f"some payments have waited since {moment(line.since)} while others go on")
        if self.unpaid:
            count = f"{len(self.unpaid):,} payment{'s' if len(self.unpaid) > 1 else ''}"
            reasons.append(f"{count} failed and {'are' if len(self.unpaid) > 1 else 'is'} still unpaid")
        if reasons:
            return Level.ATTENTION, f"Needs attention: {', and '.join(reasons)}."
        return Level.WELL, "Well: nothing needs attention."

    @property
    def connectwise(self) -> str:
        """How ConnectWise is, as far as the daemon knows."""
        if not self.running:
            return "not asked: no daemon runs"
        if self.line and self.line.cause == SignInRefused.__name__:
            return "refuses the sign-in, or what the API member has no right to do"
        if self.line and self.line.cause == Slowed.__name__:
            return "answers nothing but 429 (too many requests)"
        if self.line and self.line.cause == Unreachable.__name__:
            return "cannot be reached, or is in trouble"
        return "answers" if self.line and self.line.answered_at else "not asked yet"

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values: times in ISO 8601, amounts as texts."""
        content = asdict(self) | {"connectwise": self.connectwise}
        content |= {"level": self.level.name.lower(), "sentence": self.sentence}
        content["moved_at"] = self.moved_at and self.moved_at.isoformat(timespec="seconds")
        for file in content["waiting"]:
            file["changed_at"] = file["changed_at"].isoformat(timespec="seconds")
        for file in content["claimed"]:
            file["claimed_at"] = file["claimed_at"].isoformat(timespec="seconds")
        for file in content["held"]:
            file["since"] = file["since"].isoformat(timespec="seconds")
        for file in content["finished"]:
            file["finished_at"] = file["finished_at"].isoformat(timespec="seconds")
            file |= {name: money(file[name]) for name in ("asked", "failed")}
        content["unpaid"] = [attempt_as_json(attempt) for attempt in self.unpaid]
        if line := content["line"]:
            for name in ("since", "answered_at", "next_try_at"):
                line[name] = line[name] and line[name].isoformat(timespec="seconds")
        return content


def look(inbox: Inbox, journal: str, lock: Path, last: int = 10) -> Status:
    """Look how things are, whether or not the daemon runs.

    Args:
        inbox: the inbox.
        journal: the journal's URL.
        lock: the journal's lock file.
        last: how many finished files to return.

    Raises:
        ConfigurationError: the journal cannot be used.
    """
    path = file_of(journal)
    running = holder(lock)
    status = Status(
        running,
        None,
        proved="" if path is None else proved.sentence(path.parent),
        moved_at=_changed_at(lock) if running else None,
    )
    try:
        status.waiting.extend(answer(inbox, lambda: list(_waiting(inbox))))
    except FolderTrouble as trouble:
        status.troubles.append(f"{trouble}. {trouble.mend}.")
    with opened(journal) as database:
        if database is None:
            return status
        status.troubles.extend(_full_disk(path))
        history = History(database)
        for file in history.in_work():
            claim = file.claim
            status.claimed.append(ClaimedFile(claim.name, claim.id, claim.claimed_at, file.records, file.decided))
        status.held.extend(_held(Waits(database), status))
        status.finished.extend(history.last_files(last))
        status.unpaid.extend(Unpaid(database).all())
        line = Bulletins(database).latest()
        if line is not None and not status.running:
            # A daemon that was killed tries nothing any more.
            line = replace(line, next_try_at=None)
        return replace(status, line=line)


def answer(inbox: Inbox, look: Callable[[], Found]) -> Found:
    """Look at folders that may never answer, such as an inbox on a dead share.

    Args:
        inbox: the inbox, which notices a call that hangs.
        look: makes the calls.

    Returns:
        What the look returned.

    Raises:
        FolderTrouble: a folder cannot be read, or does not answer.
    """
    try:
        return within(_ANSWER_SECONDS, look)
    except TimeoutError:
        call = inbox.calls.under_way
        place = call.path if call else inbox.folder
        raise FolderTrouble(f"{place} does not answer", "Check the share and its server") from None


def _waiting(inbox: Inbox) -> Iterator[WaitingFile]:
    for sighting in sorted(inbox.files(), key=lambda file: file.modified_ns):
        changed = datetime.fromtimestamp(min(sighting.modified_ns / 1e9, time.time()), UTC)
        yield WaitingFile(sighting.name, sighting.size, changed)


def _changed_at(file: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(file.stat().st_mtime, UTC)
    except OSError:
        return None


def _seconds_since(time: datetime) -> float:
    return (datetime.now(UTC) - time).total_seconds()


def _files(count: int) -> str:
    return "1 file has" if count == 1 else f"{count:,} files have"


def _held(waits: Waits, status: Status) -> Iterator[Wait]:
    """Yield the waits that still hold: those of files in the inbox only while they lie there and the daemon runs."""
    present = {file.name for file in status.waiting} if status.running else set()
    for wait in waits.all():
        if wait.claim or wait.file in present:
            yield wait


def _full_disk(journal: Path | None) -> Iterator[str]:
    with suppress(OSError):
        if journal is not None and shutil.disk_usage(journal.parent).free < _FULL_BYTES:
            yield (
                f"The disk of the journal {journal} is full: the daemon cannot write down what it waits for. "
                "Make room on that disk."
            )
