"""Writes receipts and notes, which say what became of a file, and reads receipts back. Pure.

A receipt is made from the journal once the last record of its file has an outcome, and it is the first thing that is
published. So it also says what became of a file whose journal was lost after that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from watcher.claim import Claim
from watcher.payments.model import money
from watcher.payments.outcomes import Outcome, Result, Totals, total
from watcher.payments.withdrawal import is_withdrawal

# Writes a record of a receipt as `json.dumps` with an indent of two would, but much faster.
_RECORD = json.JSONEncoder(ensure_ascii=False, separators=(",\n      ", ": "))


@dataclass(frozen=True, slots=True)
class ReadReceipt:
    """What a receipt says of a file.

    Attributes:
        name: its name in the inbox.
        digest: SHA-256 of its content (hex).
        refusal: why it cannot be read as a payment document; None if it can.
        results: one for each record, in order.
        finished_at: when its last record got its outcome, aware.
    """

    name: str
    digest: str
    refusal: str | None
    results: list[Result]
    finished_at: datetime


def receipt(
    claim: Claim,
    digest: str,
    finished_at: datetime,
    totals: Totals,
    results: Iterable[Result],
    refusal: str | None = None,
) -> Iterator[bytes]:
    """Write a file's receipt.

    Args:
        claim: the file.
        digest: SHA-256 of its content (hex).
        finished_at: when its last record got its outcome, aware.
        totals: what its results add up to.
        results: one for each record, in order; gone through once.
        refusal: why the file cannot be read as a payment document; None if it can.

    Yields:
        JSON in UTF-8 in the form of ``json.dumps`` with an indent of two, record by record. Amounts are texts with a
        point. In every record and in the totals, asked = applied + unchanged + discarded + failed. An amount that
        cannot be read is null, and stands beside it as it is written. The totals say how many of these they lack.
    """
    head: dict[str, Any] = {
        "file": claim.name,
        "claim": claim.id,
        "sha256": digest,
        "claimed_at": claim.claimed_at.isoformat(),
        "finished_at": finished_at.isoformat(timespec="seconds"),
    }
    if refusal is not None:
        head["refused"] = refusal
    head["totals"] = _totals(totals)
    yield _encoded(json.dumps(head, indent=2, ensure_ascii=False).removesuffix("\n}"))
    yield b',\n  "records": ['
    for place, result in enumerate(results):
        record = _RECORD.encode(_record(result))
        yield _encoded(f"{',' if place else ''}\n    {{\n      {record[1:-1]}\n    }}")
    yield b"\n  ]\n}\n" if totals.records else b"]\n}\n"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """Return a document's totals and what became of each record, as they stand in a receipt; amounts are texts."""
    return {"totals": _totals(total(results)), "records": [_record(result) for result in results]}


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "records": totals.records,
        "succeeded": totals.succeeded,
        "rejected": totals.rejected,
        **_amounts(totals),
        **({"unreadable_amounts": totals.unreadable} if totals.unreadable else {}),
    }


def _record(result: Result) -> dict[str, Any]:
    return {
        "record": result.position + 1,
        "line": result.line,
        "invoice_number": result.invoice_number,
        "outcome": result.outcome.value,
        **_amounts(result),
        **({"asked_as_written": result.asked_as_written} if result.asked is None else {}),
        "message": result.message or result.warning,
        "connectwise_invoice_id": result.invoice_id,
        "connectwise_payment_id": result.payment_id,
    }


def read_receipt(content: bytes) -> ReadReceipt | None:
    """Read a receipt back.

    Args:
        content: its bytes.

    Returns:
        What it says; None if it is no receipt of this program.
    """
    try:
        receipt = json.loads(content)
        return ReadReceipt(
            name=receipt["file"],
            digest=receipt["sha256"],
            refusal=receipt.get("refused"),
            results=[_result(row) for row in receipt["records"]],
            finished_at=datetime.fromisoformat(receipt["finished_at"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation):
        return None


def _result(row: dict[str, Any]) -> Result:
    outcome = Outcome(row["outcome"])
    rejected = outcome is Outcome.REJECTED
    if row["asked"] is None and not rejected:
        raise ValueError("only a rejected payment has an amount that cannot be read")
    return Result(
        row["record"] - 1,
        row["line"],
        row["invoice_number"],
        outcome,
        None if row["asked"] is None else Decimal(row["asked"]),
        Decimal(row["applied"]) + Decimal(row["unchanged"]),
        message=row["message"] if rejected else None,
        warning=None if rejected else row["message"],
        invoice_id=row["connectwise_invoice_id"],
        payment_id=row["connectwise_payment_id"],
        asked_as_written=row.get("asked_as_written", ""),
    )


def _amounts(of: Result | Totals) -> dict[str, str | None]:
    sums = {
        "asked": of.asked,
        "applied": of.applied,
        "unchanged": of.unchanged,
        "discarded": of.discarded,
        "failed": of.failed,
    }
    return {name: None if amount is None else money(amount) for name, amount in sums.items()}


def refusal_note(claim: Claim, published_name: str, reason: str) -> bytes:
    """Write the note that lies beside a refused file, or one that was withdrawn unread, in the fail outbox.

    Args:
        claim: the file.
        published_name: the file's name in the fail outbox.
        reason: what is wrong and where, in words; or that it was withdrawn.

    Returns:
        Text in UTF-8.
    """
    if is_withdrawal(reason):
        what = f"{claim.name} was taken out of work by a person."
        mend = "If it is to be processed after all, put it into the inbox again."
    else:
        what = f"{claim.name} could not be read as a payment document. No payment in it was made."
        mend = "Correct it, or export it again, and put it into the inbox."
    text = f"{what}\n\n{reason}\n\nThe file lies beside this note as {published_name}, unchanged.\n{mend}\n"
    return text.encode("utf-8", "backslashreplace")


def change_note(claim: Claim) -> bytes:
    """Write the note beside an original whose writer went on writing after the file was taken.

    Args:
        claim: The file.

    Returns:
        Text in UTF-8.
    """
    text = (
        f"{claim.name} was changed after it was taken from the inbox.\n\n"
        f"What was in it when it was taken has been processed: see {claim.published_name} in the outboxes and the "
        "archive. What was written to it later has not been processed.\n"
        "The whole file lies beside this note as its writer left it. If it holds payments that are still to be made, "
        "put them into a new file, and put that file into the inbox.\n"
    )
    return text.encode("utf-8", "backslashreplace")
