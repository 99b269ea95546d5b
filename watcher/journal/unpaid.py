"""The payments that failed and are still unpaid, and those that a person says will never be paid."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sql

from watcher.claim import claims_in
from watcher.journal.attempts import Attempt, attempt, rows
from watcher.journal.database import Database
from watcher.journal.tables import FILES, PAYMENTS
from watcher.payments.outcomes import Outcome

# The value stands in the statement: the index on rejected payments serves only if the database sees it.
_REJECTED = PAYMENTS.c.outcome == sql.literal_column("'rejected'")


class Unpaid:
    """The payments that failed. Every method is one short transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Attempt]:
        """Return the rejected payments that are unresolved, in the order in which their files were taken."""
        with self._database.transaction() as connection:
            return [attempt(row) for row in unpaid_rows(connection)]

    def dismiss(self, wanted: str | None, because: str) -> list[Attempt]:
        """Write down that payments will never be paid, so that nobody is told of them any more.

        Args:
            wanted: an invoice number, a file's name in the inbox, or a claim's id, letter case ignored; None for all.
            because: in a person's words; empty if none are given.

        Returns:
            The payments that were unresolved until now.

        Raises:
            JournalTrouble: the journal cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._database.transaction() as connection:
            found = [row for row in unpaid_rows(connection) if wanted is None or _is_meant(row, wanted)]
            if found:
                this = (PAYMENTS.c.claim == sql.bindparam("of_claim")) & (PAYMENTS.c.position == sql.bindparam("at"))
                values = {"dismissed_at": now, "dismissed_because": because}
                keys = [{"of_claim": row.claim, "at": row.position} for row in found]
                connection.execute(sql.update(PAYMENTS).where(this).values(values), keys)
        return [attempt(row) for row in found]


def unpaid_rows(connection: sql.Connection) -> Iterator[sql.Row[Any]]:
    """Yield the rows (``attempts.rows``) of the rejected payments that are unresolved.

    One is resolved if its invoice has been set or tried again, if its fail file has been dropped in again, or if a
    person dismissed it. The later file's row says what happened then, perhaps under a corrected invoice number.

    Where payments are added up, another payment of its invoice resolves nothing: this one has to be tried again, which
    its externalId shows, and its amount if it had none.

    Args:
        connection: in a transaction.
    """
    tries = _Tries(connection)
    again = _dropped_again(connection)
    for row in rows(connection, sql.and_(_REJECTED, PAYMENTS.c.dismissed_at.is_(None))):
        if row.claim not in again and not tries.resolve(row):
            yield row


class _Tries:
    """What was tried on invoices that had a rejected payment. Each row is gone through once."""

    def __init__(self, connection: sql.Connection) -> None:
        # The latest file that tried something, and the files that had a success with it.
        self._latest: dict[Hashable, int] = {}
        self._succeeded: set[tuple[str, Hashable]] = set()
        rejected = sql.select(PAYMENTS.c.invoice_number).where(_REJECTED).distinct()
        rejected_ids = sql.select(PAYMENTS.c.external_id).where(_REJECTED).distinct()
        query = (
            sql.select(
                *(PAYMENTS.c.claim, PAYMENTS.c.invoice_number, PAYMENTS.c.external_id, PAYMENTS.c.asked),
                *(PAYMENTS.c.outcome, FILES.c.sequence),
            )
            .join(FILES)
            .where(sql.or_(PAYMENTS.c.invoice_number.in_(rejected), PAYMENTS.c.external_id.in_(rejected_ids)))
        )
        for row in connection.execute(query):
            succeeded = row.outcome not in (None, Outcome.REJECTED)
            number = row.invoice_number
            for key in (number, (number, "id", row.external_id), (number, row.asked), ("id", row.external_id)):
                self._latest[key] = max(row.sequence, self._latest.get(key, 0))
                if succeeded:
                    self._succeeded.add((row.claim, key))

    def resolve(self, row: sql.Row[Any]) -> bool:
        """Return True if what was tried resolves a rejected payment."""
        number = row.invoice_number
        key: Hashable = number
        if row.adds:
            if row.external_id is not None and self._later(row, ("id", row.external_id)):
                # Perhaps under another number.
                return True
            key = (number, row.asked) if row.external_id is None else (number, "id", row.external_id)
        return bool(number) and (self._later(row, key) or (row.claim, key) in self._succeeded)

    def _later(self, row: sql.Row[Any], key: Hashable) -> bool:
        sequence: int = row.sequence
        return self._latest.get(key, 0) > sequence


def _dropped_again(connection: sql.Connection) -> set[str]:
    """Return the claims whose published files were dropped in again: the later file's name bears them."""
    # Every claim has a Z_ in it. So the database leaves out nearly all other names, and few have to be read.
    query = sql.select(FILES.c.name).where(FILES.c.name.like("%Z\\_%", escape="\\"))
    return {claim for name in connection.execute(query).scalars() for claim in claims_in(name)}


def _is_meant(row: sql.Row[Any], wanted: str) -> bool:
    return wanted.casefold() in (row.invoice_number.casefold(), row.name.casefold(), row.claim.casefold())
