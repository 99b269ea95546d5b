"""What earlier files held: their content and their payments, so that nothing is processed twice or short in silence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

import sqlalchemy as sql

from watcher.claim import Claim
from watcher.journal.database import MOST_VALUES, Database
from watcher.journal.tables import FILES, PAYMENTS
from watcher.payments.outcomes import Outcome
from watcher.payments.repeated import Asked

_succeeded = PAYMENTS.c.outcome.in_([Outcome.APPLIED, Outcome.UNCHANGED])


class Earlier:
    """Finds earlier files. Earlier is what was claimed earlier, whatever the clock said."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def file(self, digest: str, claim: Claim) -> Claim | None:
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

    def payments(self, external_ids: Sequence[str], claim: Claim) -> dict[str, Claim]:
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

    def asked(self, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], set[Asked]]:
        """Find by which records other files set the payments of some invoices.

        Args:
            wanted: claims, each with an invoice number as its file writes it.

        Returns:
            The records by claim and number, where there are any. Files work on an invoice in their order, so these
            files are earlier ones.
        """
        found: dict[tuple[str, str], set[Asked]] = defaultdict(set)
        by_claim: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for claim_id, number in wanted:
            for spelling in (number, number.upper(), number.lower()):
                by_claim[claim_id][spelling].add(number)
        columns = (PAYMENTS.c.invoice_number, PAYMENTS.c.external_id, PAYMENTS.c.day)
        with self._database.transaction() as connection:
            for claim_id, spellings in by_claim.items():
                numbers = list(spellings)
                for start in range(0, len(numbers), MOST_VALUES):
                    some = PAYMENTS.c.invoice_number.in_(numbers[start : start + MOST_VALUES])
                    query = sql.select(*columns).where(some, PAYMENTS.c.claim != claim_id, _succeeded).distinct()
                    for row in connection.execute(query):
                        for number in spellings[row.invoice_number]:
                            found[claim_id, number].add(Asked(row.external_id or "", row.day))
        return dict(found)


def _sequence_of(claim: Claim) -> sql.ScalarSelect[int]:
    return sql.select(FILES.c.sequence).where(FILES.c.claim == claim.id).scalar_subquery()
