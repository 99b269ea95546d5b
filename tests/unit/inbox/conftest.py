"""An inbox folder, and a line of scans over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.scans import Scans

from watcher.inbox.scan import Terms


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty inbox folder."""
    made = tmp_path / "inbox"
    made.mkdir()
    return made


@pytest.fixture
def scans(folder: Path) -> Callable[..., Scans]:
    """Make scans over the folder, with the usual terms and some of them changed."""

    def over_folder(**changes: object) -> Scans:
        return Scans(folder, Terms(**changes))

    return over_folder
