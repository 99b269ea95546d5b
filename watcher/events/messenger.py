"""Messages to people, by Apprise: mail, chat, and whatever else it knows. Never in the way of a payment.

The daemon's threads do no more than put events into a queue. One thread makes notices of them. Each service has a
thread of its own that gathers, sends and repeats, so a service that does not answer does not hold up another one.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from watcher.events.courier import Courier, Send
from watcher.events.notices import Notice, Reporter, fitted

# How long notices are gathered before the first message to a service, and the pause before its next one (seconds).
_GATHER_SECONDS = 3.0
_PAUSE_SECONDS = 300.0
# How often the reporter is asked about outages that last (seconds).
_LOOK_SECONDS = 1.0
# The most events that wait for the reporter.
_MOST_EVENTS = 10000


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
        fit = fitted(notice, service.body_maxlen)
        try:
            delivered = box.notify(body=fit.body, title=fit.title, body_format=apprise.NotifyFormat.TEXT)
        except Exception as error:  # noqa: BLE001  (the code of a hundred services; none may end this program)
            return f"{type(error).__name__}"
        return None if delivered else "it was not taken"

    return str(service.service_name), send


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
        self._couriers = [Courier(name, send, gather_seconds, pause_seconds) for name, send in senders]
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._thread.start()

    def hear(self, event: str, keys: Mapping[str, Any]) -> None:
        """Take in an event, and return at once, whatever the services do."""
        if not self._reporter.concerns(event, keys):
            return
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
        look_at = time.monotonic()
        while True:
            try:
                heard = self._events.get(timeout=max(0.0, look_at - time.monotonic()))
                if heard is None:
                    return
                self._send(self._reporter.hear(*heard, time.monotonic()))
            except queue.Empty:
                pass
            except Exception:
                # One event that cannot be understood must not keep the later ones from people.
                logging.getLogger(__name__).exception("an event could not be reported")
            now = time.monotonic()
            if now >= look_at:
                look_at = now + self._look_seconds
                self._send(self._reporter.due(now))

    def _send(self, notice: Notice | None) -> None:
        if notice is not None:
            for courier in self._couriers:
                courier.put(notice)
