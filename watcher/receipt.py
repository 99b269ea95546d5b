"""Receipts and refusal notes: what became of a file, for people and programs without a log. Pure.

A receipt is the same bytes whenever it is written: its times come from the claim and the journal, never from a clock.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from watcher.records import Claim, Result, Totals, money, total


def receipt(
    claim: Claim, digest: str, finished_at: datetime, results: Sequence[Result], refusal: str | None = None
) -> bytes:
    """Write a file's receipt.

    Args:
        claim: the file.
        digest: SHA-256 of its content, hex.
        finished_at: when the last of its records was decided, aware.
        results: one for each record, in order.
        refusal: why the file could not be read as a payment document, where it could not.

    Returns:
        UTF-8 JSON. Amounts are strings with a point; in every record and in the totals,
        asked = applied + unchanged + discarded + failed.
    """
    totals = total(list(results))
    content: dict[str, Any] = {
        "file": claim.name,
        "claim": claim.id,
        "sha256": digest,
        "claimed_at": claim.claimed_at.isoformat(),
        "finished_at": finished_at.isoformat(timespec="seconds"),
    }
    if refusal is not None:
        content["refused"] = refusal
    content["totals"] = {
        "records": totals.records,
        "succeeded": totals.succeeded,
        "rejected": totals.rejected,
        **_amounts(totals),
    }
    content["records"] = [
        {
            "record": result.position + 1,
            "line": result.line,
            "invoice_number": result.invoice_number,
            "outcome": result.outcome.value,
            **_amounts(result),
            "message": result.message or result.warning,
            "connectwise_invoice_id": result.invoice_id,
            "connectwise_payment_id": result.payment_id,
        }
        for result in results
    ]
    return json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _amounts(of: Result | Totals) -> dict[str, str]:
    sums: dict[str, Decimal] = {
        "asked": of.asked,
        "applied": of.applied,
        "unchanged": of.unchanged,
        "discarded": of.discarded,
        "failed": of.failed,
    }
    return {name: money(amount) for name, amount in sums.items()}


def refusal_note(claim: Claim, published_name: str, reason: str) -> bytes:
    """Write the note that lies beside a refused file in the fail outbox.

    Args:
        claim: the file.
        published_name: the name it has in the fail outbox.
        reason: what is wrong and where, in words.

    Returns:
        UTF-8 text.
    """
    text = (
        f"{claim.name} could not be read as a payment document. No payment in it was made.\n\n"
        f"{reason}\n\n"
        f"The file lies beside this note as {published_name}, unchanged.\n"
        "Correct it, or export it again, and put it into the inbox.\n"
    )
    return text.encode("utf-8", "backslashreplace")
