"""Bulletins: what the daemon says of itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from watcher.journal.bulletins import Bulletin, Bulletins
from watcher.journal.database import Database, opened
from watcher.journal.inboxes import Inboxes

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
WORKING = Bulletin("working", NOON, "Working on 1 file.", "")
WAITING = Bulletin("waiting", NOON, "401", "Check the keys", "SignInRefused", "polling: a network mount", NOON, NOON)


@pytest.fixture
def bulletins(database):
    """The bulletins of a fresh journal."""
    return Bulletins(database)


def test_before_the_first_start_there_is_none(bulletins):
    """A fresh journal holds no bulletin."""
    assert bulletins.latest() is None


@pytest.mark.parametrize("bulletin", [WORKING, WAITING], ids=["least", "most"])
def test_a_bulletin_comes_back_as_it_was(bulletins, bulletin):
    """Every part of it is there again, times with their zone."""
    bulletins.post(bulletin)
    assert bulletins.latest() == bulletin


def test_the_latest_counts(bulletins):
    """A bulletin takes the place of the one before."""
    bulletins.post(WAITING)
    bulletins.post(WORKING)
    assert bulletins.latest() == WORKING


def test_a_bulletin_may_hold_any_text(bulletins):
    """A folder's name may be no text: the rest of the sentence is kept."""
    bulletins.post(replace(WAITING, reason="/srv/pay\udcff does not answer"))
    assert bulletins.latest().reason.startswith("/srv/pay")


def test_bulletins_have_a_connection_of_their_own_beside_the_others(database, url):
    """Two connections write in turn, as the daemon's threads do, and those who look see both."""
    with closing(Database(url)) as another:
        for marker in ("one", "two"):
            Bulletins(another).post(replace(WORKING, reason=marker))
            Inboxes(database).remember("/srv", marker)
    with opened(url) as looked_at:
        assert Bulletins(looked_at).latest().reason == Inboxes(database).marker("/srv") == "two"


def test_a_bulletin_may_come_from_any_thread(bulletins):
    """The thread that watches over hung folders posts bulletins, too."""
    bulletins.post(WORKING)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(bulletins.post, WAITING).result()
    assert bulletins.latest() == WAITING


def test_the_last_bulletin_leaves_one_file(bulletins, file):
    """After an orderly end the journal is one file, and a reader finds the last bulletin in it."""
    bulletins.post(WORKING)
    bulletins.close()
    assert list(file.parent.iterdir()) == [file]
    with opened(f"sqlite:///{file}") as database:
        assert Bulletins(database).latest() == WORKING
