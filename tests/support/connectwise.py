"""The sandbox seen from tests: the account it knows, invoices for it, and what it holds in the end."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from watcher.connectwise.http import Account
from watcher.sandbox import InvoiceSeed, Sandbox, SignIn

CODEBASE = "v4_6_release"


def account(url: str, **changes: object) -> Account:
    """Give the account that a sandbox at a URL knows."""
    sign_in = SignIn()
    given = {
        "url": f"{url}/{CODEBASE}/apis/3.0",
        "company": sign_in.company,
        "public_key": sign_in.public_key,
        "private_key": sign_in.private_key,
        "client_id": sign_in.client_id,
        "timeout_seconds": 5,
    }
    return Account(**(given | changes))


def invoice(number: str, total: str, **more: object) -> InvoiceSeed:
    """Give an invoice for a sandbox."""
    return InvoiceSeed(number=number, total=Decimal(total), **more)


def payments_of(sandbox: Sandbox, number: str) -> list[dict[str, object]]:
    """Give the payment rows of an invoice, applied credits left out."""
    rows: Sequence[dict[str, object]] = next(
        row["paymentRows"] for row in sandbox.books()["invoices"] if row["invoiceNumber"] == number
    )
    return [row for row in rows if not row.get("credit")]
