"""What the daemon says of itself, in pretended time."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs
from support.line import Line

from watcher.daemon.bulletin import Speaker
from watcher.errors import Unreachable
from watcher.journal.bulletins import Bulletins

AWAY = Unreachable("ConnectWise is away")


@pytest.fixture
def line(folders):
    """The parts of a daemon."""
    with closing(Line(folders, "http://127.0.0.1:9")) as line:
        yield line


def posted(line):
    """Return the latest bulletin."""
    return Bulletins(line.database).latest()


def test_each_next_try_is_posted(line):
    """Whoever asks between two tries learns when the next one is, though nothing else has changed."""
    speaker = Speaker(Bulletins(line.database), line.client, line.lifetime)
    for pause in (2, 60, 300):
        speaker.waiting(AWAY, 10, retry_in=pause, log=False)
        left = posted(line).next_try_at - datetime.now(UTC)
        assert timedelta(seconds=pause - 1) < left <= timedelta(seconds=pause)
    speaker.waiting(AWAY, 10, retry_in=None, log=False)
    assert posted(line).next_try_at is None
    speaker.state("watching", "Watching.")
    assert posted(line).next_try_at is None


def test_the_same_is_not_posted_at_every_scan(line, monkeypatch):
    """While the same next try is awaited, the journal is written once a minute."""
    posts = []
    bulletins = Bulletins(line.database)
    monkeypatch.setattr(bulletins, "post", posts.append)
    speaker = Speaker(bulletins, line.client, line.lifetime)
    for _ in range(100):
        speaker.waiting(AWAY, 10, retry_in=300.0, log=False)
    assert len(posts) == 1
    line.lifetime.pause(61)
    speaker.waiting(AWAY, 10, retry_in=300.0, log=False)
    assert len(posts) == 2


def test_the_log_names_the_next_try(line):
    """An aware time in UTC, and how long until then."""
    speaker = Speaker(Bulletins(line.database), line.client, line.lifetime)
    with capture_logs() as logs:
        speaker.waiting(AWAY, 10, retry_in=30.04)
        speaker.waiting(AWAY, 10, retry_in=None)
    first, second = logs
    assert first["retry_in_seconds"] == 30.0
    at = datetime.fromisoformat(first["next_try_at"])
    assert at.utcoffset() == timedelta()
    assert abs(at - datetime.now(UTC) - timedelta(seconds=30)) < timedelta(seconds=5)
    assert (second["retry_in_seconds"], second["next_try_at"]) == (None, None)
