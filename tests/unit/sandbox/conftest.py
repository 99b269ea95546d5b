"""A sandbox and a client that is signed in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.sandbox import SEEDS, Client

from watcher.sandbox import Sandbox


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
