"""The files that wait by themselves while others go on: since when, why, and what to do. For whoever asks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sql

from watcher.journal.database import Database
from watcher.journal.tables import WAITS


@dataclass(frozen=True, slots=True)
class Wait:
    """A file that waits.

    Attributes:
        file: its name in the inbox.
        claim: its claim; empty while it lies in the inbox.
        since: when that began, aware.
        reason: why it waits.
        mend: what a person can do about it; empty if the reason says it all.
        overdue: True once it has waited for longer than ``stalled_after_seconds``.
    """

    file: str
    claim: str
    since: datetime
    reason: str
    mend: str = ""
    overdue: bool = False

    @property
    def sentence(self) -> str:
        """Why it waits and what to do, for a person."""
        return f"{self.reason}.{f' {self.mend}.' if self.mend else ''}"


class Waits:
    """The waits. Each file has one at most."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def change(self, now: Sequence[Wait], gone: Iterable[tuple[str, str]] = ()) -> None:
        """Write down waits in place of earlier ones, and remove those that are over.

        Args:
            now: the waits that are new or have changed.
            gone: claim and file of those that are over.

        Raises:
            JournalTrouble: the journal cannot be written.
        """
        keys = [*gone, *((wait.claim, wait.file) for wait in now)]
        rows = [
            {
                "claim": wait.claim,
                "file": wait.file,
                "since": wait.since.isoformat(timespec="seconds"),
                "reason": wait.reason,
                "mend": wait.mend,
                "overdue": int(wait.overdue),
            }
            for wait in now
        ]
        of = sql.and_(WAITS.c.claim == sql.bindparam("of_claim"), WAITS.c.file == sql.bindparam("of_file"))
        with self._database.transaction() as connection:
            if keys:
                connection.execute(sql.delete(WAITS).where(of), [{"of_claim": c, "of_file": f} for c, f in keys])
            if rows:
                connection.execute(sql.insert(WAITS), rows)

    def all(self) -> list[Wait]:
        """Return all waits, the longest first."""
        with self._database.transaction() as connection:
            rows = connection.execute(sql.select(WAITS).order_by(WAITS.c.since, WAITS.c.claim, WAITS.c.file)).all()
        return [
            Wait(row.file, row.claim, datetime.fromisoformat(row.since), row.reason, row.mend, bool(row.overdue))
            for row in rows
        ]

    def keep_only(self, claim_ids: Collection[str]) -> None:
        """Remove the waits of claims other than these. Those of files in the inbox stay."""
        self.change([], [(wait.claim, wait.file) for wait in self.all() if wait.claim and wait.claim not in claim_ids])

    def forget_inbox(self) -> None:
        """Remove the waits of all files in the inbox."""
        self.change([], [(wait.claim, wait.file) for wait in self.all() if not wait.claim])
