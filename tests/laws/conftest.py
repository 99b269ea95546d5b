"""What several laws share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.journal_file import claims, database, file, reopen, url
from support.stylesheets import interpreter, sheet

__all__ = ["claims", "database", "file", "interpreter", "reopen", "sheet", "url", "worlds"]


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Path]:
    """A folder for many scenes, in memory where there is some: what counts here is the order of steps, not the disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as name:
        yield Path(name)
