"""What became of one record of one file, as the journal's rows say it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sql

from watcher.journal.tables import FILES, PAYMENTS


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one record of one file.

    Attributes:
        file: the file's name in the inbox.
        claim: the file's claim.
        begun_at: when it was claimed, aware.
        finished_at: when its results were all published, aware; None if they are not yet.
        line: the record's line in the file; 0 where the file could not be read as a payment document.
        invoice_number: as written.
        asked: the amount asked; None where it cannot be read.
        outcome: ``applied``, ``unchanged`` or ``rejected``; ``waiting`` before any; ``refused`` or ``empty`` for a
            whole file.
        held: the part of the amount that ConnectWise held then.
        message: why it failed, or what the payer should know.
        invoice_id: ConnectWise's id of the invoice.
        payment_id: ConnectWise's id of the payment row.
        decided_at: when it got its outcome, aware.
        external_id: the accounting system's own id of the payment; None if there is none.
        day: its day; None if it is not known.
        asked_as_written: the amount as it stands in the file, where it cannot be read; else empty.
        dismissed_at: when a person said that it will never be paid, aware; None if nobody did.
        dismissed_because: why, in that person's words.
    """

    file: str
    claim: str
    begun_at: datetime
    finished_at: datetime | None
    line: int
    invoice_number: str
    asked: Decimal | None
    outcome: str
    held: Decimal | None
    message: str | None
    invoice_id: int | None
    payment_id: int | None
    decided_at: datetime | None
    external_id: str | None = None
    day: date | None = None
    asked_as_written: str = ""
    dismissed_at: datetime | None = None
    dismissed_because: str = ""


def rows(connection: sql.Connection, condition: sql.ColumnElement[bool]) -> Iterator[sql.Row[Any]]:
    """Yield the rows of files and their records, in the order in which files were taken.

    A file without records has one row, in which everything of a record is None.

    Args:
        connection: in a transaction.
        condition: on FILES and PAYMENTS.
    """
    query = (
        sql.select(FILES, *(column for column in PAYMENTS.c if column.name != "claim"))
        .outerjoin(PAYMENTS)
        .where(condition)
        .order_by(FILES.c.sequence, PAYMENTS.c.position)
    )
    return iter(connection.execute(query))


def attempt(row: sql.Row[Any]) -> Attempt:
    """Return what a row of ``rows`` says."""
    return Attempt(
        file=row.name,
        claim=row.claim,
        begun_at=datetime.fromisoformat(row.begun_at),
        finished_at=_time(row.finished_at),
        line=row.line or 0,
        invoice_number=row.invoice_number or "",
        asked=row.asked,
        outcome=_outcome(row),
        held=row.settled,
        message=row.refusal or row.message or row.warning,
        invoice_id=row.invoice_id,
        payment_id=row.payment_id,
        decided_at=_time(row.decided_at),
        external_id=row.external_id,
        day=row.day.on if row.day else None,
        asked_as_written=row.asked_as_written or "",
        dismissed_at=_time(row.dismissed_at),
        dismissed_because=row.dismissed_because or "",
    )


def _outcome(row: sql.Row[Any]) -> str:
    if row.refusal:
        return "refused"
    if row.position is None and row.opened_at:
        return "empty"
    return str(row.outcome or "waiting")


def _time(written: str | None) -> datetime | None:
    return datetime.fromisoformat(written) if written else None
