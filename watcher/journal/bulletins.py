"""What the daemon says of itself, for whoever asks how things are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sql

from watcher.journal.database import Database
from watcher.journal.tables import BULLETIN


@dataclass(frozen=True, slots=True)
class Bulletin:
    """What the daemon last said of itself.

    Attributes:
        state: ``watching``, ``working``, ``waiting``, ``partly waiting`` (other payments go on) or ``stopped``.
        since: when that began, aware.
        reason: in a sentence.
        mend: what a person can do about it; empty if there is nothing to do.
        cause: the kind of outage, as ``errors`` names it; empty if nothing waits.
        watch: how the inbox is watched, and why so.
        answered_at: when ConnectWise last gave a good answer, aware; None if it gave none since the daemon began.
        next_try_at: when what waits is tried again, aware; None if nothing waits, or no time is set for it.
    """

    state: str
    since: datetime
    reason: str
    mend: str
    cause: str = ""
    watch: str = ""
    answered_at: datetime | None = None
    next_try_at: datetime | None = None


class Bulletins:
    """The daemon's bulletins. The journal keeps the latest one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def post(self, bulletin: Bulletin) -> None:
        """Put a bulletin in the place of the one before.

        Raises:
            JournalTrouble: the journal cannot be written.
        """
        values = {
            "state": bulletin.state,
            "since": bulletin.since.isoformat(),
            "reason": bulletin.reason,
            "mend": bulletin.mend,
            "cause": bulletin.cause,
            "watch": bulletin.watch,
            "answered_at": bulletin.answered_at and bulletin.answered_at.isoformat(),
            "next_try_at": bulletin.next_try_at and bulletin.next_try_at.isoformat(),
        }
        with self._database.transaction() as connection:
            connection.execute(sql.delete(BULLETIN))
            connection.execute(sql.insert(BULLETIN).values(only=1, **values))

    def latest(self) -> Bulletin | None:
        """Return the latest bulletin; None before the daemon's first start."""
        with self._database.transaction() as connection:
            row = connection.execute(sql.select(BULLETIN)).first()
        if row is None:
            return None
        return Bulletin(
            row.state,
            datetime.fromisoformat(row.since),
            row.reason,
            row.mend,
            row.cause,
            row.watch,
            datetime.fromisoformat(row.answered_at) if row.answered_at else None,
            datetime.fromisoformat(row.next_try_at) if row.next_try_at else None,
        )

    def close(self) -> None:
        """Close the database; a later bulletin would open it again."""
        self._database.close()
