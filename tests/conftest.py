"""Fixtures that several test modules share: a running ConnectWise sandbox, a client for it, a set of folders."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.connectwise import account

from watcher.connectwise.client import ConnectWise
from watcher.connectwise.http import Gateway
from watcher.connectwise.pace import Pace
from watcher.folders.spool import Folders
from watcher.sandbox import InvoiceSeed, Sandbox


@pytest.fixture
def start_sandbox() -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes with given invoices; all are stopped at the end."""
    with ExitStack() as stack:

        def start(*invoices: InvoiceSeed, **options: object) -> Sandbox:
            return stack.enter_context(Sandbox(invoices=list(invoices), **options))

        yield start


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
