"""Scenes of payment files and books, and what became of them once the program has run to its end."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

from support.connectwise import invoice, payments_of
from support.documents import document

from watcher.sandbox import InvoiceSeed, PaymentSeed, Sandbox

NAMES = ("inbox", ".work", "success", "fail", "archive")
CLAIM = re.compile(rb"\d{8}T\d{6}Z_[0-9a-f]{8}")
# As a page says it.
_FINISHED = re.compile(rb"Finished [-0-9: ()UTC]+\.")
_TAKEN_ON = re.compile(rb"taken on [-\d]+ at [:\d]+ UTC")
LARGEST = 5000
DAY = "2016-09-22"


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
        late: file name to what is in it once its writer has gone on writing. Either content may be the one that counts.
        sums: invoice number to the sum of all payments that were ever accepted for it, where payments are added up.
    """

    invoices: tuple[InvoiceSeed, ...]
    files: dict[str, bytes]
    paid: dict[str, tuple[str, str | None] | None]
    succeeded: dict[str, list[str]]
    failed: dict[str, list[str]] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    late: dict[str, bytes] = field(default_factory=dict)
    sums: dict[str, str] = field(default_factory=dict)


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
    make_folders(base)
    drop_files(scene, base)


def make_folders(base: Path) -> None:
    """Make the folders, unless they are there."""
    for folder in NAMES:
        (base / folder).mkdir(parents=True, exist_ok=True)


def drop_files(scene: Scene, base: Path) -> None:
    """Put the scene's files into the inbox, their times in the order of arrival."""
    for order, (file, content) in enumerate(scene.files.items(), 1):
        (base / "inbox" / file).write_bytes(content)
        os.utime(base / "inbox" / file, (order, order))


def nameless(text: str | bytes | Path) -> bytes:
    """Take the claim ids and the times of claims and ends out, which differ from run to run."""
    ended = _FINISHED.sub(b"Finished TIME.", os.fsencode(text))
    return _TAKEN_ON.sub(b"taken on TIME", CLAIM.sub(b"CLAIM", ended))


def visible(base: Path) -> dict[Path, bytes]:
    """Return every file in the folders that people look into, hidden ones too."""
    return {
        path: path.read_bytes()
        for folder in ("success", "fail", "archive")
        for path in (base / folder).rglob("*")
        if path.is_file()
    }


def published(base: Path, but: Mapping[Path, bytes] | None = None) -> list[tuple[bytes, bytes]]:
    """Return the visible files without what differs from run to run: claims, times, the ids of payments made.

    Args:
        base: the folders are in it.
        but: files that were there before, and are left out.
    """
    found = []
    for path, content in visible(base).items():
        if path in (but or {}):
            continue
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
