"""Scenes of payment files and books, and the laws that hold once the program has run to its end, killed or not."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from support.connectwise import invoice, payments_of
from support.documents import document, numbers

from watcher.inbox.marker import NAME as MARKER
from watcher.sandbox import InvoiceSeed, PaymentSeed, Sandbox

NAMES = ("inbox", ".work", "success", "fail", "archive")
CLAIM = re.compile(rb"\d{8}T\d{6}Z_[0-9a-f]{8}")
LARGEST = 5000
DAY = "2016-09-22"
_SUMS = ("applied", "unchanged", "discarded", "failed")


@dataclass(frozen=True)
class Scene:
    """What lies in the inbox and in ConnectWise before the first start, and what must be true in the end.

    Attributes:
        invoices: the books before.
        files: name to content, in the order of arrival.
        paid: invoice number to the amount and day that its one payment has in the end.
        succeeded: file name to the numbers in its success file.
        failed: file name to the numbers in its fail file.
        refused: the files that are no payment documents.
    """

    invoices: tuple[InvoiceSeed, ...]
    files: dict[str, bytes]
    paid: dict[str, tuple[str, str | None] | None]
    succeeded: dict[str, list[str]]
    failed: dict[str, list[str]] = field(default_factory=dict)
    refused: tuple[str, ...] = ()


SINGLE = Scene(
    invoices=(invoice("CW-1", "100.00"),),
    files={"single.xml": document(("CW-1", "100.00"))},
    paid={"CW-1": ("100.00", DAY)},
    succeeded={"single.xml": ["CW-1"]},
)
MIXED = Scene(
    invoices=(
        invoice("CW-1", "10.00"),
        invoice("CW-2", "20.00", payments=(PaymentSeed(Decimal("20.00"), date.fromisoformat(DAY)),)),
        invoice("CW-3", "30.00"),
        invoice("CW-4", "40.00", payments=(PaymentSeed(Decimal("5.00")),)),
        invoice("CW-5", "50.00"),
    ),
    files={
        "mixed.xml": document(
            ("CW-9", "1.00"),
            ("CW-1", "10.00"),
            ("CW-2", "20.00"),
            ("CW-3", "33.00"),
            ("CW-8", "£5"),
            ("CW-4", "40.00"),
            ("CW-5", "12.34"),
        ),
    },
    paid={
        "CW-1": ("10.00", DAY),
        "CW-2": ("20.00", DAY),
        "CW-3": ("30.00", DAY),
        "CW-4": ("40.00", DAY),
        "CW-5": ("12.34", None),
    },
    succeeded={"mixed.xml": ["CW-1", "CW-2", "CW-3", "CW-4", "CW-5"]},
    failed={"mixed.xml": ["CW-9", "CW-8"]},
)
SHARED = Scene(
    invoices=(invoice("CW-1", "100.00"), invoice("CW-2", "50.00"), invoice("CW-3", "30.00")),
    files={
        "z-first.xml": document(("CW-1", "60.00"), ("CW-2", "50.00")),
        "a-second.xml": document(("CW-3", "30.00"), ("cw-1", "100.00")),
    },
    paid={"CW-1": ("100.00", DAY), "CW-2": ("50.00", DAY), "CW-3": ("30.00", DAY)},
    succeeded={"z-first.xml": ["CW-1", "CW-2"], "a-second.xml": ["CW-3", "cw-1"]},
)
THREE = Scene(
    invoices=(*SHARED.invoices, invoice("CW-4", "40.00"), invoice("CW-5", "50.00")),
    files={
        "z-first.xml": SHARED.files["z-first.xml"],
        "m-second.xml": document(("CW-4", "44.00"), ("CW-9", "1.00"), ("CW-5", "12.34")),
        "a-third.xml": SHARED.files["a-second.xml"],
    },
    paid=SHARED.paid | {"CW-4": ("40.00", DAY), "CW-5": ("12.34", None)},
    succeeded={"z-first.xml": ["CW-1", "CW-2"], "m-second.xml": ["CW-4", "CW-5"], "a-third.xml": ["CW-3", "cw-1"]},
    failed={"m-second.xml": ["CW-9"]},
)
UNUSABLE = Scene(
    invoices=(invoice("CW-1", "10.00"),),
    files={
        "broken.xml": document(("CW-1", "10.00")).replace(b"</PaidAmount>", b"</Paid>"),
        "empty.xml": document(),
        "large.xml": document(("CW-1", "10.00")) + b" " * LARGEST,
    },
    paid={},
    succeeded={},
    refused=("broken.xml", "large.xml"),
)


def lay_out(scene: Scene, base: Path) -> None:
    """Make the folders, with the scene's files in the inbox, their times in the order of arrival."""
    for folder in NAMES:
        (base / folder).mkdir(parents=True)
    for order, (file, content) in enumerate(scene.files.items(), 1):
        (base / "inbox" / file).write_bytes(content)
        os.utime(base / "inbox" / file, (order, order))


def nameless(text: str | bytes) -> bytes:
    """Take the claim ids out, which differ from run to run."""
    return CLAIM.sub(b"CLAIM", os.fsencode(text))


def visible(base: Path) -> dict[Path, bytes]:
    """Return every file in the folders that people look into, hidden ones too."""
    return {
        path: path.read_bytes()
        for folder in ("success", "fail", "archive")
        for path in (base / folder).rglob("*")
        if path.is_file()
    }


def published(base: Path) -> list[tuple[bytes, bytes]]:
    """Return the visible files without what differs from run to run: claims, times, the ids of payments made."""
    found = []
    for path, content in visible(base).items():
        told = nameless(content)
        if path.name.endswith(".receipt.json"):
            receipt = json.loads(told)
            del receipt["claimed_at"], receipt["finished_at"]
            for row in receipt["records"]:
                row["connectwise_payment_id"] = row["connectwise_payment_id"] is not None
            told = json.dumps(receipt).encode()
        place = path.relative_to(base)
        found.append((nameless(str(Path("archive", place.name) if place.parts[0] == "archive" else place)), told))
    return sorted(found)


def books(sandbox: Sandbox) -> dict[str, list[tuple[Decimal, str | None]]]:
    """Return amount and date of every payment of every invoice."""
    return {
        row["invoiceNumber"]: [
            (pay["amount"], pay["paymentDate"]) for pay in payments_of(sandbox, row["invoiceNumber"])
        ]
        for row in sandbox.books()["invoices"]
    }


def check_laws(scene: Scene, base: Path, sandbox: Sandbox) -> None:
    """Make sure that no law is broken."""
    broken = list(broken_laws(scene, base, sandbox))
    assert not broken, "\n".join(broken)


def broken_laws(scene: Scene, base: Path, sandbox: Sandbox) -> Iterator[str]:
    """Yield what is not so: each payment once, each record in one result file, each original archived, nothing left."""
    for number, payments in books(sandbox).items():
        amount, day = scene.paid.get(number) or (None, None)
        expected = [(Decimal(amount), day and f"{day}T00:00:00Z")] if amount else []
        if payments != expected:
            yield f"{number} has the payments {_told(payments)}, not {_told(expected)}"
    found = published(base)
    for name, count in Counter(name for name, _ in found).items():
        if count > 1:
            yield f"{count} files are named {os.fsdecode(name)}: one file was published under several claims"
    left = {os.fsdecode(name): content for name, content in found}
    for name in scene.files:
        yield from _broken_of_file(scene, name, left, base, sandbox)
    for name in left:
        yield f"{name} should not be there"
    for path in (base / ".work").iterdir():
        yield f".work/{nameless(path.name).decode()} was left"
    for name in {path.name for path in (base / "inbox").iterdir()} - {MARKER, f"{MARKER}.lock"}:
        yield f"inbox/{name} was left"


def _broken_of_file(scene: Scene, name: str, left: dict[str, bytes], base: Path, sandbox: Sandbox) -> Iterator[str]:
    """Yield what is not so of a file; takes what belongs to it off the files that are left to be explained."""
    stem, content = name.removesuffix(".xml"), scene.files[name]
    if left.pop(f"archive/{stem}__CLAIM.xml", None) != content:
        yield f"{name} is not in the archive as it was dropped"
    for folder, expected in (("success", scene.succeeded.get(name)), ("fail", scene.failed.get(name))):
        result = left.pop(f"{folder}/{stem}__CLAIM.xml", None) if expected else None
        if expected and (result is None or numbers(result) != expected):
            yield f"{folder}/{stem} holds {numbers(result) if result else 'nothing'}, not {expected}"
    if name in scene.refused:
        if left.pop(f"fail/{stem}__CLAIM.xml", None) != content:
            yield f"{name} is not in fail as it was dropped"
        if not left.pop(f"fail/{stem}__CLAIM.error.txt", None):
            yield f"no note says why {name} was refused"
    left.pop(f"archive/{stem}__CLAIM.receipt.json", None)
    receipts = list((base / "archive").rglob(f"{stem}__*.receipt.json"))
    if len(receipts) != 1:
        yield f"{name} has {len(receipts)} receipts"
    for path in receipts:
        told = [*scene.succeeded.get(name, []), *scene.failed.get(name, [])]
        yield from (
            f"the receipt of {name}: {fault}"
            for fault in _broken_of_receipt(json.loads(path.read_bytes()), content, told, sandbox)
        )


def _broken_of_receipt(receipt: dict[str, Any], content: bytes, told: list[str], sandbox: Sandbox) -> Iterator[str]:
    rows, totals = receipt["records"], receipt["totals"]
    if receipt["sha256"] != hashlib.sha256(content).hexdigest():
        yield "its digest is not that of the file"
    if sorted(row["invoice_number"] for row in rows) != sorted(told):
        yield f"it tells of {[row['invoice_number'] for row in rows]}, not {told}"
    for what in (totals, *rows):
        if Decimal(what["asked"]) != sum(Decimal(what[key]) for key in _SUMS):
            yield f"asked is not what became of it: {what}"
    for key in ("asked", *_SUMS):
        if Decimal(totals[key]) != sum(Decimal(row[key]) for row in rows):
            yield f"the records do not add up to the total of {key}"
    rejected = sum(row["outcome"] == "rejected" for row in rows)
    if (totals["records"], totals["succeeded"], totals["rejected"]) != (len(rows), len(rows) - rejected, rejected):
        yield f"the totals count other records: {totals}"
    ids = {
        invoice["invoiceNumber"].casefold(): [row["id"] for row in payments_of(sandbox, invoice["invoiceNumber"])]
        for invoice in sandbox.books()["invoices"]
    }
    for row in rows:
        if row["outcome"] != "rejected" and [row["connectwise_payment_id"]] != ids[row["invoice_number"].casefold()]:
            yield f"{row['invoice_number']} is paid by {ids[row['invoice_number'].casefold()]}, not as it says: {row}"


def _told(payments: list[tuple[Decimal, str | None]]) -> str:
    return ", ".join(f"{amount} of {day and day[:10]}" for amount, day in payments) or "none"
