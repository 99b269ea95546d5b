"""How things are: the line's state, what waits in the inbox and in work, the last files. Reads, changes nothing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from watcher.claim import Claim
from watcher.errors import FolderTrouble, PaymentWatcherError, SignInRefused, Unreachable
from watcher.folders.spool import Spool, claim_in
from watcher.inbox.scan import Inbox
from watcher.journal.ledger import Attempt, FinishedFile, Journal, Line
from watcher.lifetime import holder, within
from watcher.payments.model import money

# A folder that has not answered by then does not, seconds.
_ANSWER_SECONDS = 5.0
# A disk with no more room than this is full, bytes.
_FULL_BYTES = 65536


@dataclass(frozen=True, slots=True)
class WaitingFile:
    """A payment file in the inbox."""

    name: str
    bytes: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class ClaimedFile:
    """A file in work, and how far it is."""

    name: str
    claim: str
    claimed_at: datetime
    records: int
    decided: int


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that ``payment-watcher status`` shows.

    Attributes:
        running: who holds the journal; None when no daemon runs.
        line: what the daemon last said of itself; None before its first start.
        waiting: the payment files in the inbox, the longest unchanged first.
        claimed: the files in work, in the order of claiming.
        finished: the last files, the latest first.
        unpaid: the payments that failed and whose invoices have not been tried again since, the earliest first.
        troubles: what could not be looked at, and why.
    """

    running: str | None
    line: Line | None
    waiting: list[WaitingFile] = field(default_factory=list)
    claimed: list[ClaimedFile] = field(default_factory=list)
    finished: list[FinishedFile] = field(default_factory=list)
    unpaid: list[Attempt] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @property
    def connectwise(self) -> str:
        """How ConnectWise is, as the daemon knows it."""
        cause = self.line.cause if self.running and self.line else ""
        if cause in (Unreachable.__name__, SignInRefused.__name__):
            return "refuses the sign-in" if cause == SignInRefused.__name__ else "cannot be reached"
        if self.running and self.line and self.line.answered_at:
            return "answers"
        return "not asked yet" if self.running else "not asked: no daemon runs"

    def as_json(self) -> dict[str, Any]:
        """Give it as JSON values: times in ISO 8601, amounts as texts."""
        content = asdict(self) | {"connectwise": self.connectwise}
        for file in content["waiting"]:
            file["changed_at"] = file["changed_at"].isoformat(timespec="seconds")
        for file in content["claimed"]:
            file["claimed_at"] = file["claimed_at"].isoformat(timespec="seconds")
        for file in content["finished"]:
            file["finished_at"] = file["finished_at"].isoformat(timespec="seconds")
            file |= {name: money(file[name]) for name in ("asked", "failed")}
        content["unpaid"] = [attempt_as_json(attempt) for attempt in self.unpaid]
        if content["line"]:
            for name in ("since", "answered_at"):
                content["line"][name] = _iso(content["line"][name])
        return content


def attempt_as_json(attempt: Attempt) -> dict[str, Any]:
    """Give an attempt as JSON values: times in ISO 8601, amounts as texts."""
    content = asdict(attempt)
    for name in ("begun_at", "finished_at", "decided_at"):
        content[name] = _iso(content[name])
    for name in ("asked", "settled"):
        content[name] = None if content[name] is None else money(content[name])
    return content


def attempts(journal: Path, wanted: str) -> list[Attempt]:
    """Give every attempt at an invoice, or every record of a file, the earliest first.

    Args:
        journal: the database file.
        wanted: an invoice number; the name or path of a file in the inbox, an outbox or the archive; a claim.

    Raises:
        PaymentWatcherError: nothing is known of it.
    """
    name = Path(wanted).name
    found: dict[tuple[str, int], Attempt] = {}
    if journal.is_file():
        with closing(Journal(f"sqlite:///{journal}", upgrade=False)) as read:
            for asked in dict.fromkeys((wanted, name, claim_in(name) or name)):
                found |= {(attempt.claim, attempt.line): attempt for attempt in read.history(asked)}
    if not found:
        raise PaymentWatcherError(f"Neither an invoice nor a file {wanted} is known to the journal {journal}.")
    return [found[key] for key in sorted(found)]


def look(inbox: Inbox, spool: Spool, journal: Path, lock: Path, last: int = 10) -> Status:
    """Look how things are; works whether or not the daemon runs.

    Args:
        inbox: the inbox.
        spool: the folders.
        journal: the database file.
        lock: the journal's lock file.
        last: how many finished files to give.
    """
    status = Status(holder(lock), None)
    claims: list[Claim] = []
    try:
        waiting, claims = within(_ANSWER_SECONDS, lambda: (list(_waiting(inbox)), spool.claimed_names()))
        status.waiting.extend(waiting)
    except FolderTrouble as trouble:
        status.troubles.append(f"{trouble}. {trouble.mend}.")
    except TimeoutError:
        status.troubles.append(f"{inbox.folder} or {spool.folders.work} does not answer. Check the share.")
    if not journal.is_file():
        return status
    with suppress(OSError):
        if shutil.disk_usage(journal.parent).free < _FULL_BYTES:
            status.troubles.append(
                f"The disk of the journal {journal} is full: what the daemon waits for cannot be written down. "
                "Make room on that disk."
            )
    with closing(Journal(f"sqlite:///{journal}", upgrade=False)) as read:
        for claim in claims:
            records, decided = read.progress(claim.id)
            status.claimed.append(ClaimedFile(claim.name, claim.id, claim.claimed_at, records, decided))
        status.finished.extend(read.last_files(last))
        status.unpaid.extend(read.unpaid())
        return replace(status, line=read.line())


def _waiting(inbox: Inbox) -> Iterator[WaitingFile]:
    for sighting in sorted(inbox.files(), key=lambda file: file.modified_ns):
        changed = datetime.fromtimestamp(min(sighting.modified_ns / 1e9, time.time()), UTC)
        yield WaitingFile(sighting.name, sighting.size, changed)


def _iso(time: datetime | None) -> str | None:
    return time.isoformat(timespec="seconds") if time else None
