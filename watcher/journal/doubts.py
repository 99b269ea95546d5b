"""Invoices on which a call of ours may still be carried out, until they have been looked at once more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sql

from watcher.journal.database import Database
from watcher.journal.tables import DOUBTS, PAYMENTS
from watcher.payments.dated import Dated
from watcher.payments.doubts import InDoubt, LateCall, Settled
from watcher.payments.model import Action, Call, Create
from watcher.payments.outcomes import Outcome


class Doubts:
    """The invoices in doubt. ``Ledger.record`` writes them down together with the outcomes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[tuple[InDoubt, datetime]]:
        """Return every invoice in doubt, each with the time of its last outcome (aware)."""
        rows: dict[int, list[sql.Row[Any]]] = defaultdict(list)
        with self._database.transaction() as connection:
            for row in connection.execute(sql.select(DOUBTS).order_by(DOUBTS.c.since, DOUBTS.c.invoice_id)):
                rows[row.invoice_id].append(row)
        return [(_in_doubt(of_one), datetime.fromisoformat(of_one[0].since)) for of_one in rows.values()]

    def has_open_payments(self, doubt: InDoubt) -> bool:
        """Return True if a payment of the invoice has no outcome yet."""
        query = sql.select(PAYMENTS.c.claim).where(
            PAYMENTS.c.invoice_number.in_({doubt.invoice_number, *_spellings(doubt.invoice_number)}),
            PAYMENTS.c.outcome.is_(None),
        )
        with self._database.transaction() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def renew(self, doubt: InDoubt, step: Call) -> None:
        """Write down a call before it is made: the doubt lasts longer, since that call may get no answer either."""
        with self._database.transaction() as connection:
            of_invoice = DOUBTS.c.invoice_id == doubt.invoice_id
            since = datetime.now(UTC).isoformat(timespec="milliseconds")
            connection.execute(sql.update(DOUBTS).where(of_invoice).values(since=since))
            if (
                isinstance(step, Create)
                and LateCall(Action.CREATE, step.amount, Dated(step.date_paid)) not in doubt.calls
            ):
                row = connection.execute(sql.select(DOUBTS).where(of_invoice).limit(1)).one()
                new = {"action": Action.CREATE.value, "amount": step.amount, "day": Dated(step.date_paid)}
                values = {**row._mapping, **new}
                connection.execute(sql.insert(DOUBTS).values(values))

    def note(self, doubt: InDoubt, correction: str) -> None:
        """Add what was put right, in words, to what ``history`` says of the payment that was set last."""
        if doubt.settled is None:
            return
        said = sql.case((PAYMENTS.c.warning.is_(None), ""), else_=PAYMENTS.c.warning + "; ")
        last = sql.and_(
            PAYMENTS.c.claim == doubt.settled.claim_id,
            PAYMENTS.c.invoice_id == doubt.invoice_id,
            PAYMENTS.c.outcome != Outcome.REJECTED,
        )
        with self._database.transaction() as connection:
            connection.execute(sql.update(PAYMENTS).where(last).values(warning=said + correction))

    def end(self, doubt: InDoubt) -> None:
        """Forget a doubt: the invoice has been looked at."""
        with self._database.transaction() as connection:
            connection.execute(sql.delete(DOUBTS).where(DOUBTS.c.invoice_id == doubt.invoice_id))


def _spellings(number: str) -> Sequence[str]:
    return number.upper(), number.lower()


def _in_doubt(rows: Sequence[sql.Row[Any]]) -> InDoubt:
    first = rows[0]
    settled = None
    if first.claim is not None:
        settled = Settled(first.claim, first.settled, first.payment_id, first.settled_day)
    calls = frozenset(LateCall(Action(row.action), row.amount, row.day) for row in rows)
    return InDoubt(first.invoice_id, first.invoice_number, calls, settled)
