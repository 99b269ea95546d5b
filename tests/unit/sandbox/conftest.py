"""A sandbox and a client that is signed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from support.sandbox import SEEDS, Client

from watcher.sandbox import InvoiceSeed, Rules, Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Run a sandbox with 31 invoices, of ids 1001 to 1031."""
    with Sandbox(SEEDS) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    """Sign in at the sandbox."""
    with Client(sandbox) as signed_in:
        yield signed_in


@pytest.fixture
def play() -> Iterator[Callable[..., Client]]:
    """Return a function that signs in at a sandbox with the given invoices and rules."""
    with ExitStack() as stack:

        def started(*invoices: InvoiceSeed, **rules: object) -> Client:
            sandbox = stack.enter_context(Sandbox(invoices, rules=Rules(**rules)))
            return stack.enter_context(Client(sandbox))

        yield started
