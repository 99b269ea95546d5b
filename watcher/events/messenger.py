"""Messages to people, by Apprise: mail, chat, and whatever else it knows. Never in the way of a payment.

The daemon's threads do no more than put events into a queue. One thread makes notices of them. Each service has a
thread of its own that gathers, sends and repeats, so a service that does not answer does not hold up another one.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from watcher.events.catalogue import Event
from watcher.events.notices import Notice, Reporter, digest

# How long notices are gathered before the first message to a service, and the pause before its next one (seconds).
_GATHER_SECONDS = 3.0
_PAUSE_SECONDS = 300.0
# How often the reporter is asked about outages that last (seconds).
_LOOK_SECONDS = 1.0
# The most notices that are kept for a service that does not take them: the latest.
_MOST_KEPT = 200
# The most events that wait for the reporter.
_MOST_EVENTS = 10000

Send = Callable[[Notice], str | None]


def sender(url: str) -> tuple[str, Send]:
    """Return the service behind an Apprise URL.

    Returns:
        Its name, which holds no secret, and a function that sends it a notice. The function returns None once the
        notice is delivered, else what went wrong.

    Raises:
        ValueError: Apprise does not know such a URL.
    """
    # Late: it takes half a second and 20 MB, which only those pay who use it.
    import apprise

    # Its log may hold the password or token of a URL.
    logging.getLogger("apprise").disabled = True
    service = apprise.Apprise.instantiate(
        url, asset=apprise.AppriseAsset(app_id="payment-watcher", storage_mode="memory")
    )
    if service is None:
        raise ValueError("is no address that Apprise knows (see its list of services)")
    box = apprise.Apprise()
    box.add(service)

    def send(notice: Notice) -> str | None:
        try:
            delivered = box.notify(body=notice.body, title=notice.title, body_format=apprise.NotifyFormat.TEXT)
        except Exception as error:  # noqa: BLE001  (the code of a hundred services; none may end this program)
            return f"{type(error).__name__}"
        return None if delivered else "it was not taken"

    return str(service.service_name), send


class _Courier:
    """Sends to one service, in a thread of its own."""

    def __init__(self, name: str, send: Send, gather_seconds: float, pause_seconds: float) -> None:
        self._name, self._send = name, send
        self._gather_seconds, self._pause_seconds = gather_seconds, pause_seconds
        self._waiting: deque[Notice] = deque(maxlen=_MOST_KEPT)
        self._something, self._closing = threading.Event(), threading.Event()
        self._log = structlog.get_logger()
        self._thread = threading.Thread(target=self._run, name=f"notices to {name}", daemon=True)
        self._thread.start()

    def put(self, notice: Notice) -> None:
        self._waiting.append(notice)
        self._something.set()

    def close(self, deadline: float) -> None:
        self._closing.set()
        self._something.set()
        self._thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while not self._closing.is_set():
            self._something.wait()
            self._something.clear()
            self._closing.wait(self._gather_seconds)
            while self._waiting:
                self._deliver()
                # The next message comes after a pause, and holds all that happened meanwhile: a digest, never a flood.
                if self._closing.wait(self._pause_seconds):
                    if self._waiting:
                        self._deliver()
                    return

    def _deliver(self) -> None:
        notices = [self._waiting.popleft() for _ in range(len(self._waiting))]
        fault = self._send(digest(notices))
        if fault is None:
            self._log.info(Event.NOTICE_SENT, service=self._name, notices=len(notices))
            return
        self._log.warning(Event.NOTICE_FAILED, service=self._name, reason=fault, notices=len(notices))
        # Put them back before what came meanwhile; if there are too many, the oldest go.
        newer = list(self._waiting)
        self._waiting.clear()
        self._waiting.extend([*notices, *newer])


class Messenger:
    """Hears the log's events, and sends people what they should know."""

    def __init__(
        self,
        urls: Sequence[str],
        reporter: Reporter,
        *,
        gather_seconds: float = _GATHER_SECONDS,
        pause_seconds: float = _PAUSE_SECONDS,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        """Start the threads.

        Args:
            urls: the services, as Apprise URLs.
            reporter: finds what is worth a message.
            gather_seconds: how long notices are gathered before the first message to a service.
            pause_seconds: the pause before its next one.
            look_seconds: how often the reporter is asked about outages that last.

        Raises:
            ValueError: Apprise does not know one of the URLs.
        """
        self._reporter, self._look_seconds = reporter, look_seconds
        self._events: queue.Queue[tuple[str, dict[str, Any]] | None] = queue.Queue(_MOST_EVENTS)
        senders = [sender(url) for url in urls]
        self._couriers = [_Courier(name, send, gather_seconds, pause_seconds) for name, send in senders]
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._thread.start()

    def hear(self, event: str, keys: Mapping[str, Any]) -> None:
        """Take in an event, and return at once, whatever the services do."""
        try:
            self._events.put_nowait((event, dict(keys)))
        except queue.Full:
            # The newest events of a flood are in `status` and in the log.
            return

    def close(self, seconds: float) -> None:
        """Send what waits, and end within so many seconds."""
        deadline = time.monotonic() + seconds
        self._events.put(None)
        self._thread.join(seconds)
        for courier in self._couriers:
            courier.close(deadline)

    def _run(self) -> None:
        while True:
            try:
                heard = self._events.get(timeout=self._look_seconds)
            except queue.Empty:
                self._send(self._reporter.due(time.monotonic()))
                continue
            if heard is None:
                return
            self._send(self._reporter.hear(*heard, time.monotonic()))

    def _send(self, notice: Notice | None) -> None:
        if notice is not None:
            for courier in self._couriers:
                courier.put(notice)
