"""What recovery needs: what was asked, intended, decided and finished.

The ledger is the memory between two starts. It knows which records of a claimed file have an outcome, and which call
was planned and may have been sent. ConnectWise and the folders hold the truth about money and files. If the journal is
lost, the worst is that a repeated payment is reported as unchanged instead of applied.

Whatever a method writes is on disk when it returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sql

from watcher.claim import Claim
from watcher.journal.database import MOST_VALUES, Database
from watcher.journal.tables import DOUBTS, FILES, INBOXES, PAYMENTS
from watcher.payments.doubts import InDoubt
from watcher.payments.model import Action, Demand, Intent, Misfit, Payment, Record
from watcher.payments.outcomes import Outcome, Result

_of_record = sql.and_(PAYMENTS.c.claim == sql.bindparam("of_claim"), PAYMENTS.c.position == sql.bindparam("at"))
_succeeded = PAYMENTS.c.outcome.in_([Outcome.APPLIED, Outcome.UNCHANGED])


@dataclass(frozen=True, slots=True)
class Known:
    """What is written down of a claimed file.

    Attributes:
        refusal: why it was refused; None if it is a payment document.
        results: the outcomes of its records that have one, in order.
        intents: the calls that were planned for records without an outcome, by position.
        decided_at: when its last record got its outcome, aware; when the file was opened if none has one.
    """

    refusal: str | None
    results: list[Result]
    intents: dict[int, Intent]
    decided_at: datetime


class Ledger:
    """What was written down about claimed files. Every method is one short transaction, or a few."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- the inbox ---------------------------------------------------------------------------------------------

    def marker(self, inbox: str) -> str | None:
        """Return the marker that an inbox carries since its first start; None before that."""
        with self._database.transaction() as connection:
            return connection.execute(sql.select(INBOXES.c.marker).where(INBOXES.c.path == inbox)).scalar_one_or_none()

    def remember_marker(self, inbox: str, marker: str) -> None:
        """Write down the marker of an inbox."""
        with self._database.transaction() as connection:
            connection.execute(sql.delete(INBOXES).where(INBOXES.c.path == inbox))
            connection.execute(sql.insert(INBOXES).values(path=inbox, marker=marker))

    # --- what is written down ----------------------------------------------------------------------------------

    def open(
        self, claim_id: str, records: Sequence[Record], refusal: str | None = None, at: datetime | None = None
    ) -> None:
        """Write down what a claimed file asks.

        Args:
            claim_id: its claim, which is not opened yet.
            records: its records; none if it is refused.
            refusal: why it cannot be read as a payment document; None if it can.
            at: when it was opened, aware; now if None.
        """
        rows = [
            {
                "claim": claim_id,
                "position": record.position,
                "line": record.line,
                "invoice_number": record.invoice_number,
                "asked": record.amount,
                "external_id": _external_id(record),
            }
            for record in records
        ]
        with self._database.transaction() as connection:
            connection.execute(
                sql.update(FILES).where(FILES.c.claim == claim_id).values(opened_at=_time(at), refusal=refusal)
            )
            if rows:
                connection.execute(sql.insert(PAYMENTS), rows)

    def adopt(self, claim_id: str, results: Sequence[Result], refusal: str | None, decided_at: datetime) -> None:
        """Write down what a claim's receipt says, where this journal, an older copy or a new one, does not know it.

        Args:
            claim_id: the claim.
            results: one for each of its records.
            refusal: why it cannot be read as a payment document; None if it can.
            decided_at: when its last record got its outcome, aware.
        """
        known = self.known(claim_id)
        if known is None:
            asked = [Misfit(one.position, one.line, one.invoice_number, one.asked, "") for one in results]
            self.open(claim_id, asked, refusal, decided_at)
        decided = {result.position for result in known.results} if known else set()
        self.record([(claim_id, result) for result in results if result.position not in decided], at=decided_at)

    def intend(self, intents: Sequence[tuple[Demand, Intent]]) -> None:
        """Write down calls before they are made."""
        rows = [
            {
                "of_claim": demand.claim_id,
                "at": part.position,
                "action": intent.action.value,
                "intended": intent.amount,
                "intended_warning": intent.warning,
                "invoice_id": intent.invoice_id,
            }
            for demand, intent in intents
            for part in demand.parts
        ]
        self._update(rows, ("action", "intended", "intended_warning", "invoice_id"))

    def record(
        self,
        results: Sequence[tuple[str, Result]],
        doubts: Sequence[InDoubt] = (),
        at: datetime | None = None,
    ) -> None:
        """Write down outcomes.

        Args:
            results: each with the id of its claim.
            doubts: the invoices among theirs on which a call of ours may still be carried out.
            at: when they were decided, aware; now if None.
        """
        decided_at = _time(at)
        rows = [
            {
                "of_claim": claim_id,
                "at": result.position,
                "outcome": result.outcome.value,
                "asked": result.asked,
                "settled": result.held,
                "message": result.message,
                "warning": result.warning,
                "invoice_id": result.invoice_id,
                "payment_id": result.payment_id,
                "decided_at": decided_at,
            }
            for claim_id, result in results
        ]
        columns = (
            "outcome",
            "asked",
            "settled",
            "message",
            "warning",
            "invoice_id",
            "payment_id",
            "decided_at",
        )
        self._update(rows, columns, doubts)

    def _update(self, rows: list[dict[str, Any]], columns: Sequence[str], doubts: Sequence[InDoubt] = ()) -> None:
        if not rows:
            return
        with self._database.transaction() as connection:
            values: dict[str, Any] = {column: sql.bindparam(column) for column in columns}
            connection.execute(sql.update(PAYMENTS).where(_of_record).values(values), rows)
            for one in doubts:
                _put_doubt(connection, one)

    # --- what is known -----------------------------------------------------------------------------------------

    def known(self, claim_id: str) -> Known | None:
        """Return what is written down of a claimed file; None if it was not opened."""
        query = (
            sql.select(
                FILES.c.refusal,
                FILES.c.opened_at,
                *(each for each in PAYMENTS.c if each.name != "claim"),
            )
            .outerjoin(PAYMENTS)
            .where(FILES.c.claim == claim_id, FILES.c.opened_at.is_not(None))
            .order_by(PAYMENTS.c.position)
        )
        with self._database.transaction() as connection:
            rows = connection.execute(query).all()
        if not rows:
            return None
        return Known(
            refusal=rows[0].refusal,
            results=[_result(row) for row in rows if row.outcome],
            intents={
                row.position: Intent(Action(row.action), row.intended, row.intended_warning, row.invoice_id)
                for row in rows
                if row.action and not row.outcome
            },
            decided_at=datetime.fromisoformat(
                max((row.decided_at for row in rows if row.decided_at), default=rows[0].opened_at)
            ),
        )

    def earlier(self, digest: str, claim: Claim) -> Claim | None:
        """Return the first file of the same content that was claimed earlier, unless nothing in it succeeded.

        A file that is still in work counts.

        Args:
            digest: SHA-256 of the content, hex.
            claim: the file that is later.
        """
        succeeded = sql.exists().where(PAYMENTS.c.claim == FILES.c.claim, _succeeded)
        query = (
            sql.select(FILES.c.claim, FILES.c.name)
            .where(
                FILES.c.digest == digest,
                FILES.c.sequence < _sequence_of(claim),
                FILES.c.refusal.is_(None),
                sql.or_(FILES.c.finished_at.is_(None), succeeded),
            )
            .order_by(FILES.c.sequence)
        )
        with self._database.transaction() as connection:
            row = connection.execute(query).first()
        return Claim(row.claim, row.name) if row else None

    def earlier_payments(self, external_ids: Sequence[str], claim: Claim) -> dict[str, Claim]:
        """Find earlier files with payments of some externalIds that succeeded or have no outcome yet.

        Args:
            external_ids: the accounting system's ids of payments.
            claim: the file that is later.

        Returns:
            The first such file by externalId.
        """
        found: dict[str, Claim] = {}
        with self._database.transaction() as connection:
            for start in range(0, len(external_ids), MOST_VALUES):
                query = (
                    sql.select(PAYMENTS.c.external_id, FILES.c.claim, FILES.c.name)
                    .join(FILES, FILES.c.claim == PAYMENTS.c.claim)
                    .where(
                        PAYMENTS.c.external_id.in_(external_ids[start : start + MOST_VALUES]),
                        FILES.c.sequence < _sequence_of(claim),
                        sql.or_(PAYMENTS.c.outcome.is_(None), _succeeded),
                    )
                    # Of several files the first comes last, and stays.
                    .order_by(FILES.c.sequence.desc())
                )
                found.update({row.external_id: Claim(row.claim, row.name) for row in connection.execute(query)})
        return found


def _sequence_of(claim: Claim) -> sql.ScalarSelect[int]:
    return sql.select(FILES.c.sequence).where(FILES.c.claim == claim.id).scalar_subquery()


def _put_doubt(connection: sql.Connection, doubt: InDoubt) -> None:
    """Write down a doubt, beside the calls on the same invoice that are in doubt already."""
    of_invoice = DOUBTS.c.invoice_id == doubt.invoice_id
    settled = doubt.settled
    values: dict[str, Any] = {"invoice_number": doubt.invoice_number, "since": _time(None)}
    if settled is not None:
        values |= {"claim": settled.claim_id, "settled": settled.amount, "payment_id": settled.payment_id}
    known = connection.execute(sql.select(DOUBTS).where(of_invoice)).all()
    common = {**(known[0]._mapping if known else {"invoice_id": doubt.invoice_id}), **values}
    calls = doubt.calls | {(Action(row.action), row.amount) for row in known}
    connection.execute(sql.delete(DOUBTS).where(of_invoice))
    rows = [{**common, "action": action.value, "amount": amount} for action, amount in calls]
    connection.execute(sql.insert(DOUBTS), rows)


def _result(row: sql.Row[Any]) -> Result:
    return Result(
        row.position,
        row.line,
        row.invoice_number,
        Outcome(row.outcome),
        row.asked,
        row.settled,
        row.message,
        row.warning,
        row.invoice_id,
        row.payment_id,
    )


def _external_id(record: Record) -> str | None:
    return (record.external_id or None) if isinstance(record, Payment) else None


def _time(at: datetime | None) -> str:
    return (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds")
