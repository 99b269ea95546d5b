"""Fixtures: a journal in a file, and starts of the program that open it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from watcher.journal.claims import Claims
from watcher.journal.database import Database
from watcher.journal.ledger import Ledger


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the journal lies."""
    return tmp_path / "journal.db"


@pytest.fixture
def url(file: Path) -> str:
    """The journal's URL."""
    return f"sqlite:///{file}"


@pytest.fixture
def reopen(url: str) -> Iterator[Callable[[], Database]]:
    """Open the journal as a start of the program does; the one before is closed."""
    opened: list[Database] = []

    def again() -> Database:
        for database in opened:
            database.close()
        opened[:] = [Database(url)]
        return opened[0]

    yield again
    for database in opened:
        database.close()


@pytest.fixture
def database(reopen: Callable[[], Database]) -> Database:
    """A fresh journal."""
    return reopen()


@pytest.fixture
def ledger(database: Database) -> Ledger:
    """The ledger of a fresh journal."""
    return Ledger(database)


@pytest.fixture
def claims(database: Database) -> Claims:
    """The claims of a fresh journal."""
    return Claims(database)
