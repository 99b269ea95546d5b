"""The files in work: when each was claimed, and our own copy of it, until its end.

The copy is what is parsed, published and archived. Nobody but this program can change it. Whatever a method writes is
on disk when it returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sql

from watcher.claim import Claim
from watcher.journal import sqlite
from watcher.journal.database import Database
from watcher.journal.tables import DOCUMENTS, FILES, MADE_DOCUMENTS, WAITS, WITHDRAWALS

# Copies up to this size are read together, those of a whole batch (bytes).
_SMALL = 1 << 18


@dataclass(frozen=True, slots=True)
class NewClaim:
    """A file that is about to be claimed.

    Attributes:
        claim: the claim.
        digest: SHA-256 of its content, hex.
        content: its content; None if it is too large to be read.
    """

    claim: Claim
    digest: str
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A claimed file that has not come to its end.

    Attributes:
        claim: the claim.
        digest: SHA-256 of its content, hex.
        taken: True if it is sure that the file has left the inbox as it was read.
        kept: True if the journal has a copy of it. A journal of version 3 had none.
        size: its size (bytes); None if it is too large for a copy.
    """

    claim: Claim
    digest: str
    taken: bool
    kept: bool
    size: int | None


@dataclass(frozen=True, slots=True)
class Copy:
    """Our own copy of a claimed file.

    Attributes:
        digest: SHA-256 of the file, hex.
        content: its content; None if it is too large to be read.
        document: the payment document that was made of it, by a stylesheet or of a table; None if none was made.
    """

    digest: str
    content: bytes | None
    document: bytes | None


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a claim: its file's name and digest (SHA-256, hex), and whether it has come to its end."""

    name: str
    digest: str
    finished: bool


class Claims:
    """The claims, in the order in which this program took them: an order that no clock can change."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, claims: Sequence[NewClaim], *, taken: bool = False) -> None:
        """Write down files that are about to be claimed, in this order, all or none.

        Args:
            claims: the files.
            taken: True if they have left the inbox already.
        """
        with self._database.transaction() as connection:
            last = connection.execute(sql.select(sql.func.coalesce(sql.func.max(FILES.c.sequence), 0))).scalar_one()
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            files = [
                {
                    "claim": new.claim.id,
                    "name": new.claim.name,
                    "digest": new.digest,
                    "begun_at": now,
                    "sequence": sequence,
                    "taken": int(taken),
                }
                for sequence, new in enumerate(claims, last + 1)
            ]
            connection.execute(sql.insert(FILES), files)
            connection.execute(
                sql.insert(DOCUMENTS), [{"claim": new.claim.id, "content": new.content} for new in claims]
            )

    def take(self, claim_ids: Iterable[str]) -> None:
        """Write down that it is sure: these files have left the inbox as they were read."""
        taken = [{"of": claim_id} for claim_id in claim_ids]
        if taken:
            with self._database.transaction() as connection:
                connection.execute(sql.update(FILES).where(FILES.c.claim == sql.bindparam("of")).values(taken=1), taken)

    def undo(self, claim_ids: Iterable[str]) -> None:
        """Forget claims that came to nothing, before any money moved."""
        gone = [{"of": claim_id} for claim_id in claim_ids]
        if gone:
            with self._database.transaction() as connection:
                for table in (WITHDRAWALS, MADE_DOCUMENTS, DOCUMENTS, WAITS, FILES):
                    connection.execute(sql.delete(table).where(table.c.claim == sql.bindparam("of")), gone)

    def keep(self, claim_id: str, content: bytes | None, document: bytes | None) -> None:
        """Keep a copy of a file that a journal of version 3 knows without its content.

        Args:
            claim_id: its claim.
            content: its content; None if it is too large to be read.
            document: what the stylesheet made of it, if one was used.
        """
        with self._database.transaction() as connection:
            connection.execute(sql.insert(DOCUMENTS).values(claim=claim_id, content=content))
            if document is not None:
                connection.execute(sql.insert(MADE_DOCUMENTS).values(claim=claim_id, content=document))

    def keep_document(self, claim_id: str, document: bytes) -> None:
        """Keep the payment document that was made of a claimed file."""
        with self._database.transaction() as connection:
            connection.execute(sql.delete(MADE_DOCUMENTS).where(MADE_DOCUMENTS.c.claim == claim_id))
            connection.execute(sql.insert(MADE_DOCUMENTS).values(claim=claim_id, content=document))

    def copy(self, claim_id: str) -> Copy:
        """Return our copy of a file in work."""
        query = sql.select(FILES.c.digest).join(DOCUMENTS).where(FILES.c.claim == claim_id)
        with self._database.transaction() as connection:
            digest = connection.execute(query).scalar_one()
            content, made = (sqlite.content(connection, table, claim_id) for table in (DOCUMENTS, MADE_DOCUMENTS))
            return Copy(digest, content, made)

    def small_copies(self, claim_ids: Sequence[str]) -> dict[str, Copy]:
        """Return our copies of those of some files in work that are small, by their claims; ``copy`` has the others.

        Args:
            claim_ids: a batch of them.
        """
        small = sql.and_(
            FILES.c.claim.in_(claim_ids),
            sql.func.length(DOCUMENTS.c.content) <= _SMALL,
            sql.func.coalesce(sql.func.length(MADE_DOCUMENTS.c.content), 0) <= _SMALL,
        )
        query = (
            sql.select(
                *(FILES.c.claim, FILES.c.digest, DOCUMENTS.c.content),
                MADE_DOCUMENTS.c.content.label("made"),
            )
            .join(DOCUMENTS, DOCUMENTS.c.claim == FILES.c.claim)
            .outerjoin(MADE_DOCUMENTS, MADE_DOCUMENTS.c.claim == FILES.c.claim)
            .where(small)
        )
        with self._database.transaction() as connection:
            return {row.claim: Copy(row.digest, row.content, row.made) for row in connection.execute(query)}

    def finish(self, *claim_ids: str) -> None:
        """Write down that everything of some claims lies where it belongs, and give up our copies of them.

        The first time counts. A request to withdraw one goes, too, and it waits no longer, whatever it waited for.
        """
        if not claim_ids:
            return
        with self._database.transaction() as connection:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            first = sql.and_(FILES.c.claim.in_(claim_ids), FILES.c.finished_at.is_(None))
            connection.execute(sql.update(FILES).where(first).values(finished_at=now))
            for table in (WITHDRAWALS, MADE_DOCUMENTS, DOCUMENTS, WAITS):
                connection.execute(sql.delete(table).where(table.c.claim.in_(claim_ids)))

    def unfinished(self) -> list[Unfinished]:
        """Return the files that have not come to their end, in the order of claiming."""
        query = (
            sql.select(
                *(FILES.c.claim, FILES.c.name, FILES.c.digest, FILES.c.taken),
                DOCUMENTS.c.claim.label("kept"),
                sql.func.length(DOCUMENTS.c.content).label("size"),
            )
            .outerjoin(DOCUMENTS)
            .where(FILES.c.finished_at.is_(None))
            .order_by(FILES.c.sequence)
        )
        with self._database.transaction() as connection:
            rows = connection.execute(query).all()
        return [
            Unfinished(Claim(row.claim, row.name), row.digest, bool(row.taken), bool(row.kept), row.size)
            for row in rows
        ]

    def state(self, claim_id: str) -> State | None:
        """Return what is known of a claim; None if it is not known."""
        query = sql.select(FILES.c.name, FILES.c.digest, FILES.c.finished_at).where(FILES.c.claim == claim_id)
        with self._database.transaction() as connection:
            row = connection.execute(query).first()
        return None if row is None else State(row.name, row.digest, row.finished_at is not None)

    def latest_id(self) -> str:
        """Return the largest id of a claim; empty without one."""
        with self._database.transaction() as connection:
            return str(connection.execute(sql.select(sql.func.coalesce(sql.func.max(FILES.c.claim), ""))).scalar_one())
