"""The sandbox over real HTTP: a client that is signed in, and what is asked of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import requests

from watcher.sandbox import InvoiceSeed, PaymentSeed, Sandbox, SignIn

API = "/v4_6_release/apis/3.0"
INVOICES = f"{API}/finance/invoices"
SIGN_IN = SignIn()
SEEDS = [
    *(InvoiceSeed(f"CW-{ordinal}", Decimal(ordinal)) for ordinal in range(1, 31)),
    InvoiceSeed("A & B #1", Decimal("346.34"), payments=(PaymentSeed(Decimal("0.10")),)),
]


class Client(requests.Session):
    """A session signed in at a sandbox, taking paths instead of whole addresses."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Sign in with the sandbox's default keys."""
        super().__init__()
        self.trust_env = False
        self.sandbox = sandbox
        self.auth = (f"{SIGN_IN.company}+{SIGN_IN.public_key}", SIGN_IN.private_key)
        self.headers["clientId"] = SIGN_IN.client_id

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Put the sandbox's address before the path."""
        request.url = f"{self.sandbox.url}{request.url}"
        return super().prepare_request(request)


def found(client: Client, **query: str | int) -> list[Any]:
    """Return what GET /finance/invoices answers."""
    response = client.get(INVOICES, params=query)
    assert response.status_code == 200, response.text
    return list(response.json())


def numbers(client: Client, **query: str | int) -> list[str]:
    """Return the invoice numbers GET /finance/invoices answers with."""
    return [invoice["invoiceNumber"] for invoice in found(client, **query)]
