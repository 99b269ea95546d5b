"""What the tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.program import configure

from watcher.folders.layout import Folders
from watcher.sandbox import Sandbox


@pytest.fixture
def settings(folders: Folders, sandbox: Sandbox) -> Path:
    """The configuration file of a whole installation."""
    return configure(folders, sandbox.url)
