"""Whether the daemon does its job, by its events."""

from __future__ import annotations

from watcher.events.catalogue import Event
from watcher.events.health import Health


def test_silence_is_no_health():
    """A daemon that logs nothing for too long is not well; one that waits out a 429 is."""
    health = Health(60, 0)
    assert "not looked" in health.trouble(0)
    health.hear(Event.SCANNED, {"files": 0, "oldest_changed_at": None}, 0)
    assert health.trouble(0) == ""
    assert "61 seconds" in health.trouble(61)
    health.hear(Event.CONNECTWISE_SLOWED, {"retry_after_seconds": 600}, 61)
    assert health.trouble(660) == ""
