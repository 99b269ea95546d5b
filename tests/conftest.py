"""Fixtures that several test modules share: a running ConnectWise sandbox, a client for it, a set of folders."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest

from watcher.connectwise import ConnectWise
from watcher.gateway import Account, Gateway
from watcher.pace import Pace
from watcher.sandbox import InvoiceSeed, Sandbox, SignIn
from watcher.spool import Folders

CODEBASE = "v4_6_release"


@pytest.fixture
def start_sandbox() -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes with given invoices; all are stopped at the end."""
    with ExitStack() as stack:

        def start(*invoices: InvoiceSeed, **options: object) -> Sandbox:
            return stack.enter_context(Sandbox(invoices=list(invoices), **options))

        yield start


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


@pytest.fixture
def client_of() -> Callable[..., ConnectWise]:
    """Give clients for a sandbox, at a pace that does not hold up a test."""

    def client(url: str, requests_per_minute: float = 60000, **changes: object) -> ConnectWise:
        return ConnectWise(Gateway(account(url, **changes), Pace(requests_per_minute, threading.Event())))

    return client


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """A set of empty folders."""
    made = Folders(*(tmp_path / name for name in ("inbox", ".work", "success", "fail", "archive")))
    for folder in (made.inbox, made.work, made.success, made.fail, made.archive):
        folder.mkdir()
    return made


def invoice(number: str, total: str, **more: object) -> InvoiceSeed:
    """Give an invoice for a sandbox."""
    return InvoiceSeed(number=number, total=Decimal(total), **more)


def payments_of(sandbox: Sandbox, number: str) -> list[dict[str, object]]:
    """Give the payment rows of an invoice, applied credits left out."""
    rows: Sequence[dict[str, object]] = next(
        row["paymentRows"] for row in sandbox.books()["invoices"] if row["invoiceNumber"] == number
    )
    return [row for row in rows if not row.get("credit")]
