"""Writes receipts and refusal notes, which say what became of a file, and reads receipts back. Pure.

A receipt is written once, when the last record of its file has an outcome. It lies in work until the file is archived.
Once there is a receipt, it counts more than the journal: everything that is published is made from the receipt.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from watcher.claim import Claim
from watcher.errors import FolderTrouble
from watcher.payments.model import money
from watcher.payments.outcomes import Outcome, Result, Totals, total

# Writes a record of a receipt as `json.dumps` with an indent of two would, but much faster.
_RECORD = json.JSONEncoder(ensure_ascii=False, separators=(",\n      ", ": "))


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a file.

    Attributes:
        name: its name in the inbox.
        digest: SHA-256 of its content (hex).
        refusal: why it cannot be read as a payment document; None if it can.
        results: one for each record, in order.
    """

    name: str
    digest: str
    refusal: str | None
    results: list[Result]


def receipt(
    claim: Claim, digest: str, finished_at: datetime, results: Sequence[Result], refusal: str | None = None
) -> bytes:
    """Write a file's receipt.

    Args:
        claim: the file.
        digest: SHA-256 of its content (hex).
        finished_at: when its last record got its outcome, aware.
        results: one for each record, in order.
        refusal: why the file cannot be read as a payment document; None if it can.

    Returns:
        JSON in UTF-8. Amounts are texts with a point. In every record and in the totals,
        asked = applied + unchanged + discarded + failed.
    """
    written = bytearray()
    for part in _parts(claim, digest, finished_at, results, refusal):
        # Record by record: all at once would take nine times the memory.
        written += part.encode("utf-8", "backslashreplace")
    return bytes(written)


def _parts(
    claim: Claim, digest: str, finished_at: datetime, results: Sequence[Result], refusal: str | None
) -> Iterator[str]:
    """Yield a receipt in parts, in the form of ``json.dumps`` with an indent of two."""
    head: dict[str, Any] = {
        "file": claim.name,
        "claim": claim.id,
        "sha256": digest,
        "claimed_at": claim.claimed_at.isoformat(),
        "finished_at": finished_at.isoformat(timespec="seconds"),
    }
    if refusal is not None:
        head["refused"] = refusal
    head["totals"] = _totals(results)
    yield json.dumps(head, indent=2, ensure_ascii=False).removesuffix("\n}")
    yield ',\n  "records": ['
    for place, result in enumerate(results):
        record = _RECORD.encode(_record(result))
        yield f"{',' if place else ''}\n    {{\n      {record[1:-1]}\n    }}"
    yield "\n  ]\n}\n" if results else "]\n}\n"


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """Return a document's totals and what became of each record, as they stand in a receipt; amounts are texts."""
    return {"totals": _totals(results), "records": [_record(result) for result in results]}


def _totals(results: Sequence[Result]) -> dict[str, Any]:
    totals = total(list(results))
    return {
        "records": totals.records,
        "succeeded": totals.succeeded,
        "rejected": totals.rejected,
        **_amounts(totals),
    }


def _record(result: Result) -> dict[str, Any]:
    return {
        "record": result.position + 1,
        "line": result.line,
        "invoice_number": result.invoice_number,
        "outcome": result.outcome.value,
        **_amounts(result),
        "message": result.message or result.warning,
        "connectwise_invoice_id": result.invoice_id,
        "connectwise_payment_id": result.payment_id,
    }


def read_receipt(claim_id: str, content: bytes) -> Decided:
    """Read a receipt back.

    Args:
        claim_id: the id of the claim for which it was written.
        content: its bytes.

    Raises:
        FolderTrouble: somebody has changed it.
    """
    try:
        receipt = json.loads(content)
        return Decided(
            name=receipt["file"],
            digest=receipt["sha256"],
            refusal=receipt.get("refused"),
            results=[_result(row) for row in receipt["records"]],
        )
    except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as error:
        raise FolderTrouble(
            f"the receipt of claim {claim_id} in work is not as it was written: {error}",
            "Delete it: each payment is then looked up in ConnectWise again",
        ) from error


def _result(row: dict[str, Any]) -> Result:
    outcome = Outcome(row["outcome"])
    rejected = outcome is Outcome.REJECTED
    return Result(
        row["record"] - 1,
        row["line"],
        row["invoice_number"],
        outcome,
        Decimal(row["asked"]),
        Decimal(row["applied"]) + Decimal(row["unchanged"]),
        message=row["message"] if rejected else None,
        warning=None if rejected else row["message"],
        invoice_id=row["connectwise_invoice_id"],
        payment_id=row["connectwise_payment_id"],
    )


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
        published_name: the file's name in the fail outbox.
        reason: what is wrong and where, in words.

    Returns:
        Text in UTF-8.
    """
    text = (
        f"{claim.name} could not be read as a payment document. No payment in it was made.\n\n"
        f"{reason}\n\n"
        f"The file lies beside this note as {published_name}, unchanged.\n"
        "Correct it, or export it again, and put it into the inbox.\n"
    )
    return text.encode("utf-8", "backslashreplace")
