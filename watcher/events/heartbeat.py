"""A sign of life for a service that raises an alarm when none comes: Healthchecks, Uptime Kuma, any address.

A daemon that does not run can send no message. So it asks for an address while it runs, and somebody else notices when
it no longer does.
"""

from __future__ import annotations

import http.client
import math
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import structlog

from watcher.events.catalogue import Event

# How long one step of a request may take, and the whole request (seconds).
_STEP_SECONDS = 10.0
_WHOLE_SECONDS = 20.0
# How long the first one may still take when the program ends (seconds).
_LAST_SECONDS = 1.0
# After a heartbeat that was not taken, the next one comes at the latest after so long (seconds).
_AGAIN_SECONDS = 60.0
# A daemon that has not looked through the inbox for longer is not well (seconds). In an outage of ConnectWise it pauses
# for up to five minutes.
_LONGEST_SILENCE = 600.0
# A part of an address that is shorter is no secret.
_SHORTEST_SECRET = 8

Beat = Callable[[], str | None]


def secrets(url: str) -> tuple[str, ...]:
    """Return what must never be shown of an address: whoever knows it can pretend that the daemon lives."""
    parts = urlsplit(url)
    asked = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return tuple(text for text in dict.fromkeys((url, asked, parts.path)) if len(text) >= _SHORTEST_SECRET)


def beat_of(url: str) -> Beat:
    """Return a function that sends one heartbeat: a GET of an address, as it is.

    It returns None once the heartbeat is taken, else what went wrong, without the address.
    """
    opener = urllib.request.build_opener(_NoRedirect)

    def beat() -> str | None:
        # The settings make sure of the scheme.
        request = urllib.request.Request(url, headers={"User-Agent": "payment-watcher"})  # noqa: S310
        try:
            with opener.open(request, timeout=_STEP_SECONDS):
                return None
        except (OSError, http.client.HTTPException, ValueError) as error:
            return _trouble(error)

    return beat


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it may lead to another host, or to one that is asked without encryption."""

    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        """Return no request."""


def _trouble(error: Exception) -> str:
    """Return what went wrong in words of ours: those of a library may hold the address, or a proxy's password."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        if 300 <= error.code < 400:
            return f"it answered {error.code}: it is at another address by now. Name that one in notify.heartbeat_url"
        return f"it answered {error.code}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    if isinstance(cause, TimeoutError):
        return "it did not answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return f"it could not be reached: {cause.strerror}"
    return f"it could not be asked ({type(cause).__name__})"


class Heartbeat:
    """Hears the log's events, and sends heartbeats while they show that the inbox is looked through."""

    def __init__(
        self, beat: Beat, seconds: float, scan_seconds: float, *, whole_seconds: float = _WHOLE_SECONDS
    ) -> None:
        """Start the thread. The first heartbeat comes with the first scan.

        Args:
            beat: sends one, as that of ``beat_of``.
            seconds: the time from one to the next.
            scan_seconds: the longest time between two scans of the inbox.
            whole_seconds: how long one may take.
        """
        self._beat = beat
        self._seconds = seconds
        self._silence = max(_LONGEST_SILENCE, 3 * scan_seconds)
        self._whole_seconds = whole_seconds
        self._scanned_at = -math.inf
        self._scanned, self._closing = threading.Event(), threading.Event()
        # The thread of a heartbeat that takes longer than it may.
        self._under_way: threading.Thread | None = None
        self._failed = False
        self._log = structlog.get_logger()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def hear(self, event: str, _keys: Mapping[str, Any]) -> None:
        """Take in an event."""
        if event == Event.SCANNED:
            self._scanned_at = time.monotonic()
            self._scanned.set()

    def close(self) -> None:
        """Send no further one. A run that looked through the inbox just once has sent one by then."""
        self._closing.set()
        self._scanned.set()
        self._thread.join(_LAST_SECONDS)

    def _run(self) -> None:
        self._scanned.wait()
        while math.isfinite(self._scanned_at):
            pause = self._seconds
            if time.monotonic() - self._scanned_at <= self._silence and not self._send():
                pause = min(pause, _AGAIN_SECONDS)
            if self._closing.wait(pause):
                return

    def _send(self) -> bool:
        """Send one; return True if it was taken. What goes wrong is logged once, until one is taken again."""
        fault = self._in_time()
        if fault is not None and not self._failed:
            self._log.warning(Event.HEARTBEAT_FAILED, reason=fault)
        elif fault is None and self._failed:
            self._log.info(Event.HEARTBEAT_SENT)
        self._failed = fault is not None
        return fault is None

    def _in_time(self) -> str | None:
        """Send one in a thread of its own: a server that sends a byte now and then would be waited for without end."""
        late = "it did not answer in time"
        if self._under_way is not None and self._under_way.is_alive():
            return late
        faults: list[str | None] = []
        self._under_way = threading.Thread(target=lambda: faults.append(self._beat()), name="heartbeat", daemon=True)
        self._under_way.start()
        self._under_way.join(self._whole_seconds)
        return faults[0] if faults else late
