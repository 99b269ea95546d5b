"""The markers by which the inboxes are recognised."""

from __future__ import annotations

import sqlalchemy as sql

from watcher.journal.database import Database
from watcher.journal.tables import INBOXES


class Inboxes:
    """Remembers the marker of each inbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def marker(self, inbox: str) -> str | None:
        """Return the marker that an inbox carries since its first start; None before that."""
        with self._database.transaction() as connection:
            return connection.execute(sql.select(INBOXES.c.marker).where(INBOXES.c.path == inbox)).scalar_one_or_none()

    def remember(self, inbox: str, marker: str) -> None:
        """Write down the marker of an inbox."""
        with self._database.transaction() as connection:
            connection.execute(sql.delete(INBOXES).where(INBOXES.c.path == inbox))
            connection.execute(sql.insert(INBOXES).values(path=inbox, marker=marker))
