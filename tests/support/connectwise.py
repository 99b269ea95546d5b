"""The sandbox seen from tests: the account it knows, invoices for it, and what it holds in the end."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import requests

from watcher.connectwise.http import Account
from watcher.sandbox import InvoiceSeed, Sandbox, SignIn

CODEBASE = "v4_6_release"


def account(url: str, **changes: object) -> Account:
    """Return the account that a sandbox at a URL knows."""
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
    """Return an invoice for a sandbox."""
    return InvoiceSeed(number=number, total=Decimal(total), **more)


def payments_of(sandbox: Sandbox, number: str) -> list[dict[str, object]]:
    """Return the payment rows of an invoice, applied credits left out."""
    rows: Sequence[dict[str, object]] = next(
        row["paymentRows"] for row in sandbox.books()["invoices"] if row["invoiceNumber"] == number
    )
    return [row for row in rows if not row.get("credit")]


def another_user(sandbox: Sandbox, method: str, path: str, body: dict[str, object] | None = None) -> None:
    """Work on the books as somebody else does, past the network under test.

    Args:
        sandbox: holds the books.
        method: the HTTP method.
        path: what follows the API's address, such as ``/finance/invoices/1001/payments``.
        body: what is sent as JSON.
    """
    ours = account(sandbox.url)
    with requests.Session() as session:
        session.trust_env = False
        answer = session.request(
            method,
            f"{ours.url}{path}",
            json=body,
            auth=(f"{ours.company}+{ours.public_key}", ours.private_key),
            headers={"clientId": ours.client_id},
        )
        answer.raise_for_status()
