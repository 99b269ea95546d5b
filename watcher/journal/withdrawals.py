"""The files that a person wants out of work: asked by a command, carried out by whoever holds the journal.

A request is a row of its own, written in one short transaction beside the daemon's. It survives a restart. It goes with
the end of its claim, whatever that was (``claims``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sql

from watcher.claim import Claim
from watcher.journal.database import Database
from watcher.journal.tables import FILES, PAYMENTS, WITHDRAWALS
from watcher.payments.model import Action, Intent
from watcher.payments.withdrawal import Withdrawal


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is not carried out yet.

    Attributes:
        claim: the file, which is in work.
        digest: SHA-256 of its content, hex.
        wanted: when it was asked, and why.
        held_up_by: what kept the last attempt from its end; empty if there was none.
    """

    claim: Claim
    digest: str
    wanted: Withdrawal
    held_up_by: str


@dataclass(frozen=True, slots=True)
class Undecided:
    """A record without an outcome.

    Attributes:
        position: its place in its document, from 0.
        line: its line there, from 1; 0 if it is not known.
        invoice_number: as written.
        asked: the amount; None if it cannot be read.
        intent: the call that was planned for it and may have been made; None if there was none.
        asked_as_written: the amount as it stands in the document, if it cannot be read; else empty.
    """

    position: int
    line: int
    invoice_number: str
    asked: Decimal | None
    intent: Intent | None
    asked_as_written: str


class Withdrawals:
    """The requests. Every method is one short transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, claim_id: str, reason: str) -> None:
        """Ask for a file to be taken out of work. Nothing is asked twice, and nothing of a file that is finished.

        Args:
            claim_id: its claim.
            reason: in a person's words; empty if none are given.

        Raises:
            JournalTrouble: the journal cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        asked = sql.exists().where(WITHDRAWALS.c.claim == FILES.c.claim)
        wanted = sql.select(FILES.c.claim, sql.literal(now), sql.literal(reason)).where(
            FILES.c.claim == claim_id, FILES.c.finished_at.is_(None), sql.not_(asked)
        )
        with self._database.transaction() as connection:
            # One statement: the daemon may end the file at any moment.
            connection.execute(sql.insert(WITHDRAWALS).from_select(["claim", "asked_at", "reason"], wanted))

    def asked(self) -> list[Request]:
        """Return the requests whose files are in work, in the order of claiming."""
        query = (
            sql.select(FILES.c.claim, FILES.c.name, FILES.c.digest, WITHDRAWALS)
            .join(WITHDRAWALS)
            .where(FILES.c.finished_at.is_(None))
            .order_by(FILES.c.sequence)
        )
        with self._database.transaction() as connection:
            return [
                Request(
                    Claim(row.claim, row.name),
                    row.digest,
                    Withdrawal(datetime.fromisoformat(row.asked_at), row.reason),
                    row.held_up_by,
                )
                for row in connection.execute(query)
            ]

    def hold_up(self, claim_id: str, reason: str) -> None:
        """Write down what keeps a request from being carried out, for whoever waits for it."""
        with self._database.transaction() as connection:
            connection.execute(sql.update(WITHDRAWALS).where(WITHDRAWALS.c.claim == claim_id).values(held_up_by=reason))

    def undecided(self, claim_id: str) -> list[Undecided]:
        """Return the records of an opened file that have no outcome yet, in order."""
        query = (
            sql.select(PAYMENTS)
            .where(PAYMENTS.c.claim == claim_id, PAYMENTS.c.outcome.is_(None))
            .order_by(PAYMENTS.c.position)
        )
        with self._database.transaction() as connection:
            return [
                Undecided(row.position, row.line, row.invoice_number, row.asked, _intent(row), row.asked_as_written)
                for row in connection.execute(query)
            ]


def _intent(row: sql.Row[Any]) -> Intent | None:
    if not row.action:
        return None
    return Intent(Action(row.action), row.intended, row.intended_warning, row.invoice_id, row.intended_day)
