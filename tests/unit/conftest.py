"""Fixtures of the tests of single modules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.mounts import Mounts


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    """Small file systems of the test's own."""
    with Mounts() as made:
        yield made
