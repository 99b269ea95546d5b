"""How a payment gets into the sum of its invoice: one statement of a transaction, which others open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sql

from watcher.journal.tables import ACCEPTED, FILES, SUMS
from watcher.payments.dated import Dated
from watcher.payments.sums import Addition


def accept(connection: sql.Connection, additions: Sequence[Addition], source: str = "") -> None:
    """Write down payments that are accepted, and the sums with them.

    A payment is accepted once: a second one of the same externalId breaks the whole transaction.

    Args:
        connection: of the transaction in which the outcomes of their records are written.
        additions: what is added to the sums of some invoices.
        source: the name of the document, if it was never in the inbox.
    """
    if not additions:
        return
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    place = connection.execute(sql.select(sql.func.coalesce(sql.func.max(ACCEPTED.c.place), 0))).scalar_one()
    for addition in additions:
        of_claim = sql.select(FILES.c.name).where(FILES.c.claim == addition.claim_id)
        file = connection.execute(of_claim).scalar() or source
        rows = [
            {
                "external_id": part.external_id,
                "invoice_id": addition.invoice_id,
                "invoice_number": part.invoice_number,
                "amount": part.amount,
                "day": Dated(part.date_paid),
                "place": place + ordinal,
                "accepted_at": now,
                "file": file,
                "claim": addition.claim_id,
            }
            for ordinal, part in enumerate(addition.new, 1)
        ]
        connection.execute(sql.insert(ACCEPTED), rows)
        place += len(rows)
        of_invoice = SUMS.c.invoice_id == addition.invoice_id
        known = connection.execute(sql.select(SUMS).where(of_invoice)).first()
        total, latest = addition.amount, addition.latest
        if known is not None:
            total += known.total
            latest = max(latest, known.latest.on) if known.latest is not None else latest
        values = {
            "invoice_key": addition.new[0].invoice_number.casefold(),
            "total": total,
            "settled": addition.settled,
            "latest": Dated(latest),
            # What is there now is known.
            "intended": "",
        }
        if known is None:
            connection.execute(sql.insert(SUMS).values(invoice_id=addition.invoice_id, **values))
        else:
            connection.execute(sql.update(SUMS).where(of_invoice).values(values))
