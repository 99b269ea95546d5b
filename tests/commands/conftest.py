"""What the tests of commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.connectwise import invoice
from support.program import configure
from support.proving import Prove

from watcher.folders.layout import Folders
from watcher.sandbox import InvoiceSeed, Rules, Sandbox


@pytest.fixture
def settings(folders: Folders, sandbox: Sandbox) -> Path:
    """The configuration file of a whole installation."""
    return configure(folders, sandbox.url)


@pytest.fixture
def prove(
    folders: Folders, start_sandbox: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Prove]]:
    """Return a function that starts a ConnectWise, with a test invoice unless told, and returns what proves it."""
    usual = (invoice("CW-1", "100.00"), invoice("TEST-1", "10.00", type="Miscellaneous"))
    with ExitStack() as stack:

        def start(*invoices: InvoiceSeed, **rules: object) -> Prove:
            proof = Prove(folders, start_sandbox(*(invoices or usual), rules=Rules(**rules)), monkeypatch)
            stack.enter_context(proof.network)
            return proof

        yield start
