"""The sums of the invoices whose payments are added up (``payments.amounts = "each"``), and what they are made of.

They are kept for ever: an accepted payment must be known whenever it comes again, and retention removes neither a sum
nor a payment in it. A sum belongs to ConnectWise's id of the invoice, which never changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import sqlalchemy as sql

from watcher.journal.accepting import accept
from watcher.journal.database import MOST_VALUES, Database
from watcher.journal.tables import ACCEPTED, PAYMENTS, SUMS, Text
from watcher.payments.model import ZERO
from watcher.payments.sums import Accepted, Addition, Before, Sum

Term = TypeVar("Term", str, int)


class Sums:
    """The sums. Every method is one short transaction. ``Ledger.record`` adds to them together with the outcomes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- what is known -----------------------------------------------------------------------------------------

    def invoice_ids(self, keys: Iterable[str]) -> set[int]:
        """Return ConnectWise's ids of the invoices that have a sum, of those with some case-folded numbers."""
        found: set[int] = set()
        with self._database.transaction() as connection:
            for some in _pieces(keys):
                query = sql.select(SUMS.c.invoice_id).where(SUMS.c.invoice_key.in_(some))
                found.update(connection.execute(query).scalars())
        return found

    def before(self, invoice_ids: Iterable[int], external_ids: Iterable[str]) -> Before:
        """Return what was accepted before for some invoices, and with some externalIds."""
        wanted = list(external_ids)
        sums: dict[int, Sum] = {}
        accepted: dict[str, Accepted] = {}
        undecided: dict[str, list[tuple[str, str]]] = defaultdict(list)
        with self._database.transaction() as connection:
            for some in _pieces(invoice_ids):
                for row in connection.execute(sql.select(SUMS).where(SUMS.c.invoice_id.in_(some))):
                    sums[row.invoice_id] = _sum(row)
            for ids in _pieces(wanted):
                for row in connection.execute(sql.select(ACCEPTED).where(ACCEPTED.c.external_id.in_(ids))):
                    accepted[row.external_id] = _accepted(row)
                query = sql.select(PAYMENTS.c.external_id, PAYMENTS.c.claim, PAYMENTS.c.invoice_number).where(
                    PAYMENTS.c.external_id.in_(ids), PAYMENTS.c.outcome.is_(None)
                )
                for row in connection.execute(query):
                    undecided[row.external_id].append((row.claim, row.invoice_number))
        return Before(sums, accepted, undecided)

    def made_of(self, number: str) -> list[Accepted]:
        """Return the payments in the sums of the invoices with a number, letter case ignored, in their order."""
        wanted = sql.func.lower(sql.literal(number, Text()))
        ids = sql.select(ACCEPTED.c.invoice_id).where(sql.func.lower(ACCEPTED.c.invoice_number) == wanted)
        query = sql.select(ACCEPTED).where(ACCEPTED.c.invoice_id.in_(ids)).order_by(ACCEPTED.c.place)
        with self._database.transaction() as connection:
            return [_accepted(row) for row in connection.execute(query)]

    # --- what is written down for a document that was never in the inbox -----------------------------------------

    def intend(self, amounts: Collection[tuple[int, str, Decimal]]) -> None:
        """Write down what calls are about to set, so that it is known for this program's own if their answers are lost.

        Args:
            amounts: ConnectWise's id of the invoice, its number and the amount of each call.
        """
        with self._database.transaction() as connection:
            for invoice_id, number, amount in amounts:
                of_invoice = SUMS.c.invoice_id == invoice_id
                known = connection.execute(sql.select(SUMS.c.intended).where(of_invoice)).scalar()
                if known is None:
                    new = {"invoice_id": invoice_id, "invoice_key": number.casefold(), "latest": None}
                    connection.execute(sql.insert(SUMS).values(**new, total=ZERO, settled=ZERO, intended=f"{amount:f}"))
                else:
                    intended = " ".join(sorted({*known.split(), f"{amount:f}"}))
                    connection.execute(sql.update(SUMS).where(of_invoice).values(intended=intended))

    def accept(self, additions: Sequence[Addition], rejected: Collection[int], source: str) -> None:
        """Write down what a document has added, and that nothing more is known of what it was about to set.

        Args:
            additions: what it has added to the sums of invoices.
            rejected: ConnectWise's ids of the invoices whose payments were looked at and rejected.
            source: the document's name.
        """
        with self._database.transaction() as connection:
            accept(connection, additions, source)
            for some in _pieces(rejected):
                connection.execute(sql.update(SUMS).where(SUMS.c.invoice_id.in_(some)).values(intended=""))


def _pieces(terms: Iterable[Term]) -> Iterator[list[Term]]:
    """Yield terms in pieces that one statement takes."""
    wanted = list(dict.fromkeys(terms))
    for start in range(0, len(wanted), MOST_VALUES):
        yield wanted[start : start + MOST_VALUES]


def _sum(row: sql.Row[Any]) -> Sum:
    intended = frozenset(Decimal(amount) for amount in row.intended.split())
    return Sum(row.total, row.settled, row.latest.on if row.latest else None, intended)


def _accepted(row: sql.Row[Any]) -> Accepted:
    return Accepted(
        row.external_id,
        row.invoice_id,
        row.invoice_number,
        row.amount,
        row.day.on,
        row.file,
        row.claim,
        datetime.fromisoformat(row.accepted_at),
    )
