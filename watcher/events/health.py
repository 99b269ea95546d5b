"""Whether the daemon does its job, concluded from its events. Pure: events and times come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watcher.events.catalogue import Event


class Health:
    """Follows the events of one daemon.

    Attributes:
        waits: True while an outage holds up all payments.
    """

    def __init__(self, silence_seconds: float, now: float) -> None:
        """Start without any event.

        Args:
            silence_seconds: a daemon that logs nothing for longer does not do its job (seconds).
            now: monotonic seconds.
        """
        self.waits = False
        self._silence_seconds = silence_seconds
        self._heard_at = now
        self._trouble = "it has not looked into the inbox yet"

    def hear(self, event: str, keys: Mapping[str, Any], now: float) -> None:
        """Take in an event at a time (monotonic seconds)."""
        self._heard_at = max(self._heard_at, now)
        match event:
            case Event.SCANNED if not self.waits:
                self._trouble = ""
            case Event.LINE_WAITING:
                self.waits = True
                self._trouble = f"payments wait since {keys['since']}: {keys['reason']}. {keys['mend']}"
            case Event.LINE_MOVING:
                self.waits, self._trouble = False, ""
            case Event.CONNECTWISE_SLOWED:
                # A wait on purpose.
                self._heard_at = now + keys["retry_after_seconds"]

    def trouble(self, now: float) -> str:
        """Return what keeps the daemon from doing its job at a time (monotonic seconds); empty if nothing does."""
        silence = now - self._heard_at
        if not self._trouble and silence > self._silence_seconds:
            return f"nothing was heard of it for {silence:.0f} seconds"
        return self._trouble
