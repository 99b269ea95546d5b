"""The demo: the real daemon against the embedded ConnectWise, with sample files, in a temporary folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import simplejson
from rich.table import Table
from rich.text import Text

from watcher.cli.console import err, out
from watcher.config.writing import toml
from watcher.payments.outcomes import in_none_of_the_sums
from watcher.sandbox import InvoiceSeed, PaymentSeed, Sandbox, SignIn

_LATENCY_SECONDS = 0.02
_PATIENCE_SECONDS = 90
_EXPORT = 500
_DAY = "2016-09-22T12:05:54+01:00"


def show() -> int:
    """Run the demo on standard output.

    Returns:
        The exit code: 0 if every file was handled as it should be, else 1.
    """
    with (
        tempfile.TemporaryDirectory(prefix="payment-watcher-demo-") as name,
        Sandbox(invoices=_invoices(), latency=_LATENCY_SECONDS) as sandbox,
    ):
        folder = Path(name)
        out.rule("payment-watcher demo", align="left")
        out.print(f"ConnectWise sandbox: {sandbox.url} (its books: {sandbox.url}/books)", markup=False)
        out.print(f"Folders: {folder}\n", markup=False)
        config = _set_up(folder, sandbox.url)
        with _daemon(config, folder / "daemon.log"):
            receipts = list(_drop_and_wait(folder))
        if len(receipts) < len(_files()):
            err.print((folder / "daemon.log").read_text(encoding="utf-8"), markup=False)
            return 1
        _show_landed(folder)
        _show_records(next(receipt for receipt in receipts if receipt["file"] == "mixed.xml"))
        _show_file(next((folder / "success").glob("sample__*.xml")), folder)
        _show_file(next((folder / "fail").glob("refused__*.error.txt")), folder)
        return _show_books(sandbox.books(), receipts)


def _set_up(folder: Path, site: str) -> Path:
    for place in ("inbox", "success", "fail", ".work", "archive"):
        (folder / place).mkdir()
    settings = {
        "connectwise": {"site": site, **asdict(SignIn()), "requests_per_minute": 9000},
        "folders": {place: str(folder / place) for place in ("inbox", "success", "fail")},
        "inbox": {"settle_seconds": 1, "scan_seconds": 2},
        "journal": {"url": f"sqlite:///{folder / 'journal.db'}"},
    }
    config = folder / "payment-watcher.toml"
    config.write_text(toml(settings), encoding="utf-8")
    return config


@contextmanager
def _daemon(config: Path, log: Path) -> Iterator[None]:
    """Run ``payment-watcher run`` as anyone would, and end it with SIGTERM."""
    with log.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603  (our own program)
            [sys.executable, "-m", "watcher", "run", "--config", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _drop_and_wait(folder: Path) -> Iterator[dict[str, Any]]:
    """Drop the files one after another, and yield their receipts as they come in."""
    for name, (what, content) in _files().items():
        # Written aside and renamed in, as a careful accounting system does.
        aside = folder / name
        aside.write_text(content, encoding="utf-8")
        aside.rename(folder / "inbox" / name)
        out.print(Text.assemble("dropped   ", (name, "bold"), f": {what}"))
    seen: set[Path] = set()
    until = time.monotonic() + _PATIENCE_SECONDS
    while len(seen) < len(_files()) and time.monotonic() < until:
        for path in sorted((folder / "archive").rglob("*.receipt.json")):
            if path not in seen:
                seen.add(path)
                receipt = json.loads(path.read_text(encoding="utf-8"))
                out.print(Text.assemble("finished  ", (receipt["file"], "bold"), f": {_summary(receipt)}"))
                yield receipt
        time.sleep(0.1)


def _summary(receipt: dict[str, Any]) -> str:
    if "refused" in receipt:
        return f"refused: {receipt['refused']}"
    totals = receipt["totals"]
    parts = " + ".join(f"{part} {totals[part]}" for part in ("applied", "unchanged", "discarded", "failed"))
    unreadable = totals.get("unreadable_amounts", 0)
    lacking = f". {in_none_of_the_sums(unreadable)}" if unreadable else ""
    return f"{totals['succeeded']} of {totals['records']} succeeded; asked {totals['asked']} = {parts}{lacking}"


def _show_landed(folder: Path) -> None:
    table = Table("Folder", "File", "Bytes", title="\nWhat landed where", title_justify="left")
    table.columns[1].overflow = "fold"
    table.columns[2].justify = "right"
    for place in ("inbox", ".work", "success", "fail", "archive"):
        files = sorted(path for path in (folder / place).rglob("*") if path.is_file() and not path.name.startswith("."))
        for path in files:
            table.add_row(place, str(path.relative_to(folder / place)), str(path.stat().st_size))
        if not files:
            table.add_row(place, "(empty)", "")
    out.print(table)


def _show_records(receipt: dict[str, Any]) -> None:
    table = Table(
        "Invoice", "Asked", "Applied", "Outcome", "Message", title=f"\n{receipt['file']}, by its receipt",
        title_justify="left",
    )  # fmt: skip
    for record in receipt["records"]:
        asked = record["asked_as_written"] if record["asked"] is None else record["asked"]
        others = (record[cell] or "" for cell in ("applied", "outcome", "message"))
        table.add_row(*map(Text, (record["invoice_number"], asked, *others)))
    out.print(table)


def _show_file(path: Path, folder: Path) -> None:
    out.print(f"\n{path.relative_to(folder)}", style="bold", markup=False)
    out.print(path.read_text(encoding="utf-8").rstrip(), markup=False, soft_wrap=True)


def _show_books(books: dict[str, Any], receipts: Iterable[dict[str, Any]]) -> int:
    """Compare what ConnectWise holds with the receipts; return the exit code."""
    rows = [row for invoice in books["invoices"] for row in invoice["paymentRows"] if not row.get("credit")]
    held = sum((row["amount"] for row in rows), Decimal(0))
    before = sum(
        (payment.amount for seed in _invoices() for payment in seed.payments if not payment.credit),
        Decimal(0),
    )
    replaced = Decimal("40.00")
    applied = sum((Decimal(receipt["totals"]["applied"]) for receipt in receipts), Decimal(0))
    agree = held == before - replaced + applied
    requests = simplejson.dumps(books["requests"], use_decimal=True)
    out.print(f"\nConnectWise now holds {len(rows)} payments of {held:.2f} in all. Requests it served: {requests}")
    sums = f"{before:.2f} before - {replaced:.2f} replaced + {applied:.2f} applied = {held:.2f} held"
    out.print(f"{sums}: the books and the receipts {'agree' if agree else 'do NOT agree'}.")
    return 0 if agree else 1


# --- samples ---------------------------------------------------------------------------------------------------


def _invoices() -> list[InvoiceSeed]:
    paid = PaymentSeed(amount=Decimal("250.00"), date=date(2016, 9, 22))
    part = PaymentSeed(amount=Decimal("40.00"), date=None)
    return [
        InvoiceSeed(number="CW-34251", total=Decimal("346.34")),
        InvoiceSeed(number="CW-40001", total=Decimal("100.00")),
        InvoiceSeed(number="CW-40002", total=Decimal("500.00")),
        InvoiceSeed(number="CW-40003", total=Decimal("90.00"), payments=(part,)),
        InvoiceSeed(number="CW-40004", total=Decimal("250.00"), payments=(paid,)),
        InvoiceSeed(number="CW-40005", total=Decimal("80.00")),
        InvoiceSeed(number="CW-40006", total=Decimal("1346.34")),
        InvoiceSeed(number="CW-40007", total=Decimal("10.00")),
        InvoiceSeed(number="CW-40008", total=Decimal("10.00")),
        InvoiceSeed(number="CM-50001", total=Decimal("75.00"), type="CreditMemo"),
        *(InvoiceSeed(number=f"EX-{number:05}", total=_export_amount(number)) for number in range(_EXPORT)),
    ]


def _export_amount(number: int) -> Decimal:
    return Decimal(1000 + number * 137 % 90000) / 100


def _files() -> dict[str, tuple[str, str]]:
    """Return the files that are dropped: name to what it is and its content."""
    mixed = [
        ("CW-99999", "10.00", _DAY),
        ("CW-40001", "120.00", _DAY),
        ("CW-40002", "200.00", _DAY),
        ("CW-40003", "90.00", _DAY),
        ("CW-40004", "250.00", _DAY),
        ("CW-40005", "50.00", _DAY),
        ("CW-40005", "30.00", _DAY),
        ("CW-40006", "1,346.34", _DAY),
        ("CW-40007", "", _DAY),
        ("CW-40008", "10.00", "22/09/2016"),
        ("CM-50001", "75.00", _DAY),
    ]
    export = [(f"EX-{number:05}", str(_export_amount(number)), _DAY) for number in range(_EXPORT)]
    return {
        "sample.xml": ("one payment", _document([("CW-34251", "346.34", _DAY)])),
        "mixed.xml": ("every kind of line, good and bad", _document(mixed)),
        "refused.xml": ("a supplier's order, not payments", "<Orders><Order>1</Order></Orders>\n"),
        "export.xml": (f"an export of {_EXPORT} payments", _document(export)),
    }


def _document(payments: Iterable[tuple[str, str, str]]) -> str:
    records = "".join(
        f"  <UpdateInvoicePayment>\n    <InvoiceNumber>{number}</InvoiceNumber>\n"
        f"    <PaidAmount>{amount}</PaidAmount>\n    <DatePaid>{day}</DatePaid>\n  </UpdateInvoicePayment>\n"
        for number, amount, day in payments
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<ArrayOfUpdateInvoicePayment>\n'
        f"{records}</ArrayOfUpdateInvoicePayment>\n"
    )
