"""Builds payment documents for tests, and reads result files back."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path

from lxml import etree

DAY = "2016-09-22T12:05:54+01:00"


def document(*payments: tuple[str, ...]) -> bytes:
    """Return a document of (invoice number, paid amount[, date paid]) records."""
    records = []
    for number, amount, *day in payments:
        records.append(
            f"  <UpdateInvoicePayment>\n    <InvoiceNumber>{number}</InvoiceNumber>\n"
            f"    <PaidAmount>{amount}</PaidAmount>\n    <DatePaid>{day[0] if day else DAY}</DatePaid>\n"
            "  </UpdateInvoicePayment>\n"
        )
    text = "".join(records)
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<ArrayOfUpdateInvoicePayment>\n{text}</ArrayOfUpdateInvoicePayment>\n'
    ).encode()


def invoice_payments(*payments: dict[str, str]) -> bytes:
    """Return a document of the other shape; ``invoice/…`` names a child of the invoice."""
    text = []
    for payment in payments:
        inside = {name.partition("/")[2]: value for name, value in payment.items() if "/" in name}
        fields = {name: value for name, value in payment.items() if "/" not in name}
        fields["invoice"] = "".join(f"<{name}>{value}</{name}>" for name, value in inside.items())
        children = "".join(f"    <{name}>{value}</{name}>\n" for name, value in fields.items())
        text.append(f"  <InvoicePayment>\n{children}  </InvoicePayment>\n")
    return f'<?xml version="1.0"?>\n<InvoicePayments>\n{"".join(text)}</InvoicePayments>\n'.encode()


def receipts(*payments: tuple[str, str, str]) -> bytes:
    """Return a document of (externalId, invoice number, amount) records, one payment each."""
    return invoice_payments(
        *(
            {"externalId": external_id, "invoice/identifier": number, "amount": amount, "paymentDate": "2016-09-22"}
            for external_id, number, amount in payments
        )
    )


def records(content: bytes | Path) -> list[dict[str, str]]:
    """Return each record of a document as element name to text."""
    root = etree.fromstring(content if isinstance(content, bytes) else content.read_bytes())
    return [{child.tag: child.text or "" for child in record} for record in root]


def numbers(content: bytes | Path) -> list[str]:
    """Return the invoice numbers of a document in order."""
    root = etree.fromstring(content if isinstance(content, bytes) else content.read_bytes())
    return [each.findtext("InvoiceNumber") or each.findtext("invoice/identifier") or "" for each in root]


def drop(inbox: Path, name: str, content: bytes) -> Path:
    """Put a file into an inbox in one go, by a rename from beside it."""
    aside = inbox.parent / f"{name}.aside"
    aside.write_bytes(content)
    return aside.rename(inbox / name)


def leave_socket(path: Path) -> None:
    """Leave a Unix socket behind that nobody listens on."""
    # The path of a socket must be short; through a descriptor of its folder it always is.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def files(folder: Path, ending: str = ".xml") -> list[Path]:
    """Return the visible files of a folder and below, sorted."""
    return sorted(path for path in folder.rglob(f"*{ending}") if path.is_file() and not path.name.startswith("."))


def one(paths: Iterable[Path]) -> Path:
    """Return the only one of some paths."""
    (path,) = paths
    return path
