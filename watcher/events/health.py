"""Whether the daemon does its job, concluded from its events. Pure: events and times come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watcher.events import throttling
from watcher.events.catalogue import Event
from watcher.plain import plain


class Health:
    """Follows the events of one daemon."""

    def __init__(self, silence_seconds: float, outage_seconds: float, now: float) -> None:
        """Start without any event.

        Args:
            silence_seconds: a daemon that logs nothing for longer does not do its job (seconds).
            outage_seconds: if ConnectWise answers nothing but 429 for so long, payments wait (seconds).
            now: monotonic seconds.
        """
        self._silence_seconds = silence_seconds
        self._outage_seconds = outage_seconds
        self._heard_at = now
        self._waits = False
        # Since when every answer is a 429.
        self._throttled_at: float | None = None
        self._trouble = "it has not looked into the inbox yet"
        self._overdue = 0

    def hear(self, event: str, keys: Mapping[str, Any], now: float) -> None:
        """Take in an event at a time (monotonic seconds)."""
        self._heard_at = max(self._heard_at, now)
        match event:
            case Event.SCANNED:
                self._overdue = keys["overdue"]
                if not self._waits:
                    self._trouble = ""
            case Event.LINE_WAITING:
                self._waits, self._throttled_at = True, None
                reason, mend = plain(keys["reason"]), plain(keys["mend"])
                self._trouble = f"payments wait since {keys['since']}: {reason}. {mend}"
            case Event.LINE_MOVING:
                self._waits, self._throttled_at, self._trouble = False, None, ""
            case Event.CONNECTWISE_SLOWED:
                # A wait on purpose.
                self._heard_at = now + keys["retry_after_seconds"]
                if self._throttled_at is None:
                    self._throttled_at = now
            case _ if throttling.is_over(event, keys):
                self._throttled_at = None

    def waits(self, now: float) -> bool:
        """Return True if all payments are held up at a time (monotonic seconds)."""
        return self._waits or self._throttled_for(now) is not None

    def trouble(self, now: float) -> str:
        """Return what keeps the daemon from doing its job at a time (monotonic seconds); empty if nothing does."""
        if self._trouble:
            return self._trouble
        throttled_for = self._throttled_for(now)
        if throttled_for is not None:
            return f"payments wait for {throttled_for:.0f} seconds: {throttling.REASON}. {throttling.MEND}"
        silence = now - self._heard_at
        return f"nothing was heard of it for {silence:.0f} seconds" if silence > self._silence_seconds else ""

    @property
    def remark(self) -> str:
        """What a person should look at although the daemon does its job; empty if there is nothing."""
        if not self._overdue:
            return ""
        count = "1 file waits" if self._overdue == 1 else f"{self._overdue} files wait"
        return f"{count} for too long (payment-watcher status says which, and why)"

    def _throttled_for(self, now: float) -> float | None:
        """Return for how long ConnectWise has answered nothing but 429 (seconds); None if that is no outage."""
        if self._throttled_at is None or now - self._throttled_at < self._outage_seconds:
            return None
        return now - self._throttled_at
