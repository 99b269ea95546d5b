"""How a payment gets into the sum of its invoice: a part of a transaction, which others open."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sql

from watcher.journal.sqlite import MOST_VALUES
from watcher.journal.tables import ACCEPTED, FILES, SUMS
from watcher.payments.dated import Dated
from watcher.payments.sums import Addition

_VALUES: dict[str, Any] = {
    name: sql.bindparam(name) for name in ("invoice_key", "total", "settled", "latest", "intended")
}


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
    names = _names(connection, {addition.claim_id for addition in additions})
    place = connection.execute(sql.select(sql.func.coalesce(sql.func.max(ACCEPTED.c.place), 0))).scalar_one()
    payments = [
        {
            "external_id": part.external_id,
            "invoice_id": addition.invoice_id,
            "invoice_number": part.invoice_number,
            "amount": part.amount,
            "day": Dated(part.date_paid),
            "accepted_at": now,
            "file": names.get(addition.claim_id, source),
            "claim": addition.claim_id,
        }
        for addition in additions
        for part in addition.new
    ]
    rows = [payment | {"place": at} for at, payment in enumerate(payments, place + 1)]
    connection.execute(sql.insert(ACCEPTED), rows)
    known = _known(connection, [addition.invoice_id for addition in additions])
    sums: dict[int, dict[str, Any]] = {}
    for addition in additions:
        before = sums.get(addition.invoice_id) or known.get(addition.invoice_id)
        sums[addition.invoice_id] = _sum_with(addition, before)
    if new := [each for each in sums.values() if each["of_invoice"] not in known]:
        connection.execute(sql.insert(SUMS).values(invoice_id=sql.bindparam("of_invoice"), **_VALUES), new)
    if changed := [each for each in sums.values() if each["of_invoice"] in known]:
        of_invoice = SUMS.c.invoice_id == sql.bindparam("of_invoice")
        connection.execute(sql.update(SUMS).where(of_invoice).values(**_VALUES), changed)


def _names(connection: sql.Connection, claim_ids: Collection[str]) -> dict[str, str]:
    """Return the names of the files of some claims, a batch of them."""
    query = sql.select(FILES.c.claim, FILES.c.name).where(FILES.c.claim.in_(claim_ids))
    return {row.claim: row.name for row in connection.execute(query)}


def _known(connection: sql.Connection, invoice_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return the sums so far of some invoices."""
    found: dict[int, dict[str, Any]] = {}
    for start in range(0, len(invoice_ids), MOST_VALUES):
        some = SUMS.c.invoice_id.in_(invoice_ids[start : start + MOST_VALUES])
        found.update({row.invoice_id: dict(row._mapping) for row in connection.execute(sql.select(SUMS).where(some))})
    return found


def _sum_with(addition: Addition, before: dict[str, Any] | None) -> dict[str, Any]:
    """Return the sum of an invoice with what is added to it."""
    total, latest = addition.amount, addition.latest
    if before is not None:
        total += before["total"]
        latest = max(latest, before["latest"].on) if before["latest"] is not None else latest
    return {
        "of_invoice": addition.invoice_id,
        "invoice_key": addition.new[0].invoice_number.casefold(),
        "total": total,
        "settled": addition.settled,
        "latest": Dated(latest),
        # What is there now is known.
        "intended": "",
    }
