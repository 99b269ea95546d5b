"""The laws that hold once the program has run to its end, struck or not."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from support.connectwise import payments_of
from support.documents import numbers
from support.scenes import Scene, books, nameless, published
from support.tables import rows_of

from watcher.inbox.marker import NAME as MARKER
from watcher.sandbox import Sandbox

_SUMS = ("applied", "unchanged", "discarded", "failed")


def check_laws(scene: Scene, base: Path, sandbox: Sandbox) -> None:
    """Make sure that no law is broken."""
    broken = list(broken_laws(scene, base, sandbox))
    assert not broken, "\n".join(broken)


def broken_laws(
    scene: Scene,
    base: Path,
    sandbox: Sandbox,
    earlier: Mapping[Path, bytes] | None = None,
    strays: Mapping[Path, bytes] | None = None,
) -> Iterator[str]:
    """Yield what is not so: each payment once, each record in one result file, each original archived, nothing left.

    Args:
        scene: the scene.
        base: the folders are in it.
        sandbox: holds the books.
        earlier: files that were published before the scene began, and must still be there.
        strays: files in work that are nobody's business, and must still be there.
    """
    earlier, strays = earlier or {}, strays or {}
    yield from _not_as_before(base, {**earlier, **strays})
    yield from _broken_books(scene, sandbox)
    found = published(base, earlier)
    for name, count in Counter(name for name, _ in found).items():
        if count > 1:
            yield f"{count} files are named {os.fsdecode(name)}: one file was published under several claims"
    left = {os.fsdecode(name): content for name, content in found}
    for name in scene.files:
        receipts = [path for path in _receipts(name, base) if path not in earlier]
        yield from _broken_of_file(scene, name, left, receipts, sandbox)
    for name in left:
        yield f"{name} should not be there"
    for path in (base / ".work").rglob("*"):
        if not any(path == stray or path in stray.parents for stray in strays):
            yield f"{nameless(path.relative_to(base)).decode()} was left"
    for name in {path.name for path in (base / "inbox").iterdir()} - {MARKER, f"{MARKER}.lock"}:
        yield f"inbox/{name} was left"


def _not_as_before(base: Path, before: Mapping[Path, bytes]) -> Iterator[str]:
    for path, content in before.items():
        if not path.is_file() or path.read_bytes() != content:
            yield f"{path.relative_to(base)} was there before and is {'other' if path.exists() else 'gone'} now"


def _broken_books(scene: Scene, sandbox: Sandbox) -> Iterator[str]:
    for number, payments in books(sandbox).items():
        amount, day = scene.paid.get(number) or (None, None)
        expected = [(Decimal(amount), day and f"{day}T00:00:00Z")] if amount else []
        if payments != expected:
            yield f"{number} has the payments {_told(payments)}, not {_told(expected)}"


def _receipts(name: str, base: Path) -> list[Path]:
    return list((base / "archive").rglob(f"{Path(name).stem}__*.receipt.json"))


def _numbers(result: bytes, name: str) -> list[str]:
    """Return the invoice numbers of a result file; those of a table stand in its first column."""
    return [row[0] for row in rows_of(result)[1:]] if name.endswith(".csv") else numbers(result)


def _broken_of_file(
    scene: Scene, name: str, left: dict[str, bytes], receipts: list[Path], sandbox: Sandbox
) -> Iterator[str]:
    """Yield what is not so of a file; takes what belongs to it off the files that are left to be explained."""
    stem, content, late = Path(name).stem, scene.files[name], scene.late.get(name)
    archived = left.pop(f"archive/{stem}__CLAIM{Path(name).suffix}", None)
    if late is not None and archived == late:
        content = late
    elif late is not None:
        kept = f"fail/{stem}__CLAIM.changed-{hashlib.sha256(late).hexdigest()[:8]}.xml"
        if left.pop(kept, None) != late or not left.pop(f"{kept}.txt", None):
            yield f"what was written to {name} after it was taken is not in fail, with a note"
    if archived != content:
        yield f"{name} is not in the archive as it was dropped"
    left.pop(f"archive/{stem}__CLAIM.receipt.json", None)
    yield from _broken_results(scene, name, left, content)
    if len(receipts) != 1:
        yield f"{name} has {len(receipts)} receipts"
    for path in receipts:
        told = [*scene.succeeded.get(name, []), *scene.failed.get(name, [])]
        yield from (
            f"the receipt of {name}: {fault}"
            for fault in _broken_of_receipt(json.loads(path.read_bytes()), content, told, sandbox)
        )


def _broken_results(scene: Scene, name: str, left: dict[str, bytes], content: bytes) -> Iterator[str]:
    stem, suffix = Path(name).stem, Path(name).suffix
    for folder, expected in (("success", scene.succeeded.get(name)), ("fail", scene.failed.get(name))):
        result = left.pop(f"{folder}/{stem}__CLAIM{suffix}", None) if expected else None
        found = _numbers(result, name) if result else None
        if expected and found != expected:
            yield f"{folder}/{stem} holds {found or 'nothing'}, not {expected}"
        page = left.pop(f"{folder}/{stem}__CLAIM.report.html", None)
        if folder == "fail" and (page is None) is bool(expected):
            yield f"{folder} has {'a' if page else 'no'} page about {name}"
        elif page is not None and not page.endswith(b"</html>\n"):
            yield f"the page about {name} in {folder} is not whole"
    if name in scene.refused:
        if left.pop(f"fail/{stem}__CLAIM{suffix}", None) != content:
            yield f"{name} is not in fail as it was dropped"
        if not left.pop(f"fail/{stem}__CLAIM.error.txt", None):
            yield f"no note says why {name} was refused"


def _broken_of_receipt(receipt: dict[str, Any], content: bytes, told: list[str], sandbox: Sandbox) -> Iterator[str]:
    rows, totals = receipt["records"], receipt["totals"]
    if receipt["sha256"] != hashlib.sha256(content).hexdigest():
        yield "its digest is not that of the file"
    if sorted(row["invoice_number"] for row in rows) != sorted(told):
        yield f"it tells of {[row['invoice_number'] for row in rows]}, not {told}"
    for what in (totals, *rows):
        if Decimal(what["asked"] or 0) != sum(Decimal(what[key] or 0) for key in _SUMS):
            yield f"asked is not what became of it: {what}"
    for key in ("asked", *_SUMS):
        if Decimal(totals[key]) != sum(Decimal(row[key] or 0) for row in rows):
            yield f"the records do not add up to the total of {key}"
    rejected = sum(row["outcome"] == "rejected" for row in rows)
    if (totals["records"], totals["succeeded"], totals["rejected"]) != (len(rows), len(rows) - rejected, rejected):
        yield f"the totals count other records: {totals}"
    ids = {
        invoice["invoiceNumber"].casefold(): [row["id"] for row in payments_of(sandbox, invoice["invoiceNumber"])]
        for invoice in sandbox.books()["invoices"]
    }
    for row in rows:
        told_ids = [row["connectwise_payment_id"]] if row["connectwise_payment_id"] is not None else []
        if row["outcome"] != "rejected" and told_ids != ids[row["invoice_number"].casefold()]:
            yield f"{row['invoice_number']} is paid by {ids[row['invoice_number'].casefold()]}, not as it says: {row}"


def _told(payments: list[tuple[Decimal, str | None]]) -> str:
    return ", ".join(f"{amount} of {day and day[:10]}" for amount, day in payments) or "none"
