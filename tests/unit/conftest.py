"""Fixtures of the tests of single modules."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mounts import Mounts


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    """Small file systems of the test's own."""
    with Mounts() as made:
        yield made


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user can get to; pytest keeps its own folders to itself."""
    with tempfile.TemporaryDirectory(prefix="payment-watcher-test-") as name:
        Path(name).chmod(0o711)
        yield Path(name)
