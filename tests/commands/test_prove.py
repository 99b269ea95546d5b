"""``prove``: what it finds, what it refuses, and that nothing is ever left on the test invoice."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from support.connectwise import invoice, payments_of
from support.proving import Prove

from watcher.sandbox import PaymentSeed, Rules

TEST = invoice("TEST-1", "10.00", type="Miscellaneous")


@pytest.fixture
def prove(folders, start_sandbox, monkeypatch):
    """Return a function that starts a ConnectWise and returns what proves it."""
    return lambda *invoices, **rules: Prove(
        folders, start_sandbox(*(invoices or [TEST]), rules=Rules(**rules)), monkeypatch
    )


def test_plain(prove):
    """Show."""
    done = prove()("--invoice", "TEST-1", "--yes")
    print(done.out, done.err)
    assert done.code == 0
