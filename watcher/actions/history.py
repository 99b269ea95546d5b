"""What happened to an invoice or a file: every attempt, from the journal."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from watcher.claim import claim_in
from watcher.errors import PaymentWatcherError
from watcher.journal.database import file_of, opened
from watcher.journal.history import Attempt, History
from watcher.payments.model import money


def attempts(journal: str, wanted: str) -> list[Attempt]:
    """Return every attempt at an invoice, or every record of a file, the earliest first.

    Args:
        journal: its URL.
        wanted: an invoice number; the name or path of a file in the inbox, an outbox or the archive; a claim.

    Raises:
        PaymentWatcherError: nothing is known of it.
        ConfigurationError: the journal cannot be used.
    """
    name = Path(wanted).name
    found: dict[tuple[str, int], Attempt] = {}
    with opened(journal) as database:
        if database is not None:
            for asked in dict.fromkeys((wanted, name, claim_in(name) or name)):
                found |= {(attempt.claim, attempt.line): attempt for attempt in History(database).attempts(asked)}
    if not found:
        raise PaymentWatcherError(f"Neither an invoice nor a file {wanted} is known to the journal {file_of(journal)}.")
    return [found[key] for key in sorted(found)]


def attempt_as_json(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt as JSON values: times in ISO 8601, amounts as texts."""
    # Programs know the amount that ConnectWise holds as "settled".
    content = {"settled" if name == "held" else name: value for name, value in asdict(attempt).items()}
    for name in ("begun_at", "finished_at", "decided_at"):
        content[name] = content[name] and content[name].isoformat(timespec="seconds")
    for name in ("asked", "settled"):
        content[name] = None if content[name] is None else money(content[name])
    return content
