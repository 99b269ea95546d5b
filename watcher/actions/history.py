"""What happened to an invoice or a file: every attempt, from the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from watcher.claim import claim_in
from watcher.errors import PaymentWatcherError
from watcher.journal.attempts import Attempt
from watcher.journal.database import file_of, opened
from watcher.journal.history import History
from watcher.journal.sums import Sums
from watcher.payments.model import ZERO, money
from watcher.payments.sums import Accepted

_NAMES = tuple(field.name for field in fields(Attempt))


@dataclass(frozen=True, slots=True)
class InSum:
    """A payment in the sum of an invoice.

    Attributes:
        accepted: the payment.
        total: the sum with it and all before it.
    """

    accepted: Accepted
    total: Decimal


def sum_of(journal: str, number: str) -> list[InSum]:
    """Return how the sum of an invoice came together, the earliest payment first; nothing if there is no such sum.

    Args:
        journal: its URL.
        number: the invoice's number.

    Raises:
        ConfigurationError: the journal cannot be used.
    """
    totals: dict[int, Decimal] = {}
    found = []
    with opened(journal) as database:
        for one in Sums(database).made_of(number) if database is not None else ():
            totals[one.invoice_id] = totals.get(one.invoice_id, ZERO) + one.amount
            found.append(InSum(one, totals[one.invoice_id]))
    return found


def attempts(journal: str, wanted: str, *, needed: bool = True) -> list[Attempt]:
    """Return every attempt at an invoice, or every record of a file, the earliest first.

    Args:
        journal: its URL.
        wanted: an invoice number; the name or path of a file in the inbox, an outbox or the archive; a claim.
        needed: raise if there is none.

    Raises:
        PaymentWatcherError: nothing is known of it.
        ConfigurationError: the journal cannot be used.
    """
    name = Path(wanted).name
    found: list[Attempt] = []
    with opened(journal) as database:
        if database is not None:
            found = History(database).attempts(*dict.fromkeys((wanted, name, claim_in(name) or name)))
    if needed and not found:
        raise PaymentWatcherError(f"Neither an invoice nor a file {wanted} is known to the journal {file_of(journal)}.")
    return found


def with_sums(attempts: Sequence[Attempt], sums: Sequence[InSum]) -> list[dict[str, Any]]:
    """Return attempts as JSON values. One whose payment was accepted has the sum that it made.

    An accepted payment whose file is forgotten by now is added as an attempt of its own.
    """
    made = {(one.accepted.claim_id, one.accepted.external_id): one for one in sums}
    rows = []
    for attempt in attempts:
        one = None if attempt.outcome == "rejected" else made.pop((attempt.claim, attempt.external_id or ""), None)
        rows.append(attempt_as_json(attempt) | ({} if one is None else {"sum": money(one.total)}))
    forgotten = [
        attempt_as_json(
            Attempt(
                file=one.accepted.file,
                claim=one.accepted.claim_id,
                begun_at=one.accepted.accepted_at,
                finished_at=None,
                line=0,
                invoice_number=one.accepted.invoice_number,
                asked=one.accepted.amount,
                outcome="applied",
                held=None,
                message=None,
                invoice_id=one.accepted.invoice_id,
                payment_id=None,
                decided_at=one.accepted.accepted_at,
                external_id=one.accepted.external_id,
                day=one.accepted.date_paid,
            )
        )
        | {"sum": money(one.total)}
        for one in made.values()
    ]
    return forgotten + rows


def attempt_as_json(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt as JSON values: times in ISO 8601, amounts as texts."""
    # Programs know the amount that ConnectWise holds as "settled".
    content = {"settled" if name == "held" else name: getattr(attempt, name) for name in _NAMES}
    for name in ("begun_at", "finished_at", "decided_at", "dismissed_at"):
        content[name] = content[name] and content[name].isoformat(timespec="seconds")
    content["day"] = content["day"] and content["day"].isoformat()
    for name in ("asked", "settled"):
        content[name] = None if content[name] is None else money(content[name])
    return content
