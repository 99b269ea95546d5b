"""Whether the daemon does its job, by its events."""

from __future__ import annotations

import pytest

from watcher.events.catalogue import Event
from watcher.events.health import Health

SLOWED = {"retry_after_seconds": 30, "requests_per_minute": 60, "request_id": None}


def request(status):
    """Return the keys of a call's event."""
    return {"method": "GET", "status": status, "duration_ms": 1, "request_id": None}


@pytest.fixture
def health():
    """That of a daemon which has looked into its inbox; payments wait after a minute of 429."""
    health = Health(60, 60, 0)
    health.hear(Event.SCANNED, {"files": 0, "oldest_changed_at": None, "overdue": 0}, 0)
    return health


def test_silence_is_no_health():
    """A daemon that logs nothing for too long is not well; one that waits out a 429 is not silent."""
    health = Health(60, 1000, 0)
    assert "not looked" in health.trouble(0)
    health.hear(Event.SCANNED, {"files": 0, "oldest_changed_at": None, "overdue": 0}, 0)
    assert health.trouble(0) == ""
    assert "61 seconds" in health.trouble(61)
    health.hear(Event.CONNECTWISE_SLOWED, {"retry_after_seconds": 600}, 61)
    assert health.trouble(660) == ""
    assert "nothing was heard" in health.trouble(722)


def test_nothing_but_429_is_no_health(health):
    """It says since when, why, and what to do. The figure for an outage says the same."""
    for now in (10, 40, 70):
        health.hear(Event.CONNECTWISE_SLOWED, SLOWED, now)
        health.hear(Event.CONNECTWISE_REQUEST, request(429), now)
    assert health.trouble(69) == ""
    assert not health.waits(69)
    said = health.trouble(70)
    assert "for 60 seconds" in said
    assert "429" in said
    assert "requests_per_minute" in said
    assert health.waits(70)


@pytest.mark.parametrize("status", [200, 201, 204, 400, 404])
def test_another_answer_ends_it(health, status):
    """As long as other answers come in between, the work goes on, if slowly."""
    for now in range(0, 600, 30):
        health.hear(Event.CONNECTWISE_SLOWED, SLOWED, now)
        assert health.trouble(now + 1) == ""
        health.hear(Event.CONNECTWISE_REQUEST, request(status), now + 2)
    assert health.trouble(600) == ""
    assert not health.waits(600)


@pytest.mark.parametrize("status", [None, 429, 500, 503])
def test_no_answer_and_connectwise_s_trouble_do_not_end_it(health, status):
    """Nothing of them moves a payment."""
    health.hear(Event.CONNECTWISE_SLOWED, SLOWED, 0)
    health.hear(Event.CONNECTWISE_REQUEST, request(status), 1)
    assert "429" in health.trouble(60)


def test_an_outage_that_is_logged_comes_first(health):
    """It has a reason and a mend of its own, whether it comes before or after."""
    waiting = {"reason": "ConnectWise answered 503", "mend": "Nothing is lost", "since": "2026-09-22T09:00:00+00:00"}
    health.hear(Event.CONNECTWISE_SLOWED, SLOWED, 0)
    health.hear(Event.LINE_WAITING, waiting, 1)
    health.hear(Event.CONNECTWISE_SLOWED, SLOWED, 2)
    assert "503" in health.trouble(300)
    assert health.waits(2)
    health.hear(Event.LINE_MOVING, {"waited_seconds": 299}, 300)
    assert health.trouble(300) == ""


def test_words_of_others_are_one_line_of_text(health):
    """The answer of a health check is shown on terminals and in alerts, too."""
    waiting = {"reason": "no\n\x1b[31m\udcfc", "mend": "mend\u202e", "since": "2026-09-22T09:00:00+00:00"}
    health.hear(Event.LINE_WAITING, waiting, 0)
    said = health.trouble(0)
    assert said.isprintable()
    assert r"no\n\x1b[31m\udcfc. mend\u202e" in said
