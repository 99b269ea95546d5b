"""Figures for Prometheus and a health check, made from the log's events and served over HTTP by prometheus_client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

from watcher.events.catalogue import Event

_SUMS = ("asked", "applied", "unchanged", "discarded", "failed")
# From a call in a data centre to one that times out, seconds.
_DURATIONS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counts what the events tell of one daemon."""

    def __init__(self, version: str, *, silence_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Count from zero.

        Args:
            version: of this program.
            silence_seconds: a daemon that tells nothing for longer does not do its job.
            clock: monotonic seconds.
        """
        self._silence_seconds, self._clock = silence_seconds, clock
        self._heard_at = clock()
        self._waits = False
        self._trouble = "it has not looked into the inbox yet"
        self.registry = registry = CollectorRegistry()
        prometheus_client.ProcessCollector(registry=registry)

        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(f"payment_watcher_{name}", says, labels, registry=registry)

        def gauge(name: str, says: str) -> Gauge:
            return Gauge(f"payment_watcher_{name}", says, registry=registry)

        self._payments = counter("payments", "Payments by outcome.", "outcome")
        self._files = counter("files", "Files by outcome.", "outcome")
        # Prometheus has binary floats only: for graphs and alerts. Receipts and journal hold the exact amounts.
        self._amounts = counter("amount", "Sums of the files' amounts, in the invoices' currency.", "kind")
        self._requests = counter("connectwise_requests", "Calls to ConnectWise by status.", "method", "status")
        self._throttled = counter("connectwise_throttled", "Answers 429: too many requests.")
        self._durations = Histogram(
            "payment_watcher_connectwise_request_duration_seconds", "Time until an answer.", buckets=_DURATIONS,
            registry=registry,
        )  # fmt: skip
        self._queue = gauge("waiting_files", "Payment files in the inbox.")
        self._oldest = gauge("oldest_waiting_file_age_seconds", "Since the oldest of them changed; 0 if there is none.")
        self._scanned = gauge("last_scan_timestamp_seconds", "When the inbox was last looked through.")
        gauge("line_waiting", "1 while an outage holds up all payments.").set_function(lambda: self._waits)
        Gauge("payment_watcher_build_info", "1, with the version.", ["version"], registry=registry).labels(version).set(
            1
        )
        self._oldest_changed: float | None = None
        self._oldest.set_function(lambda: max(0.0, time.time() - self._oldest_changed) if self._oldest_changed else 0.0)

    def hear(self, event: str, keys: Mapping[str, Any]) -> None:
        """Take in an event."""
        self._heard_at = max(self._heard_at, self._clock())
        self._count(event, keys)
        match event:
            case Event.SCANNED if not self._waits:
                self._trouble = ""
            case Event.LINE_WAITING:
                self._waits = True
                self._trouble = f"payments wait since {keys['since']}: {keys['reason']}. {keys['mend']}"
            case Event.LINE_MOVING:
                self._waits, self._trouble = False, ""
            case Event.CONNECTWISE_SLOWED:
                # A wait on purpose.
                self._heard_at = self._clock() + keys["retry_after_seconds"]

    def _count(self, event: str, keys: Mapping[str, Any]) -> None:
        match event:
            case Event.SCANNED:
                self._scanned.set_to_current_time()
                self._queue.set(keys["files"])
                oldest = keys["oldest_changed_at"]
                self._oldest_changed = datetime.fromisoformat(oldest).timestamp() if oldest else None
            case Event.PAYMENT:
                self._payments.labels(keys["outcome"]).inc()
            case Event.FILE_FINISHED:
                self._files.labels(keys["outcome"]).inc()
                for kind in _SUMS:
                    self._amounts.labels(kind).inc(float(keys[kind]))
            case Event.FILE_REFUSED:
                self._files.labels("refused").inc()
            case Event.CONNECTWISE_REQUEST:
                self._requests.labels(keys["method"], str(keys["status"] or "none")).inc()
                self._durations.observe(keys["duration_ms"] / 1000)
            case Event.CONNECTWISE_SLOWED:
                self._throttled.inc()

    def trouble(self) -> str:
        """Say what keeps the daemon from doing its job; empty while it does it."""
        silence = self._clock() - self._heard_at
        if not self._trouble and silence > self._silence_seconds:
            return f"nothing was heard of it for {silence:.0f} seconds"
        return self._trouble

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Serve ``/metrics`` and ``/healthz`` from a thread.

        Returns:
            What ends that.

        Raises:
            OSError: the address cannot be listened on.
        """
        figures = make_wsgi_app(self.registry)

        def application(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            match environ["PATH_INFO"]:
                case "/metrics":
                    page: Iterable[bytes] = figures(environ, start)
                    return page
                case "/healthz":
                    trouble = self.trouble()
                    return _say(start, "503 Service Unavailable" if trouble else "200 OK", trouble or "ok")
                case _:
                    return _say(start, "404 Not Found", "There are /metrics and /healthz.")

        server, _thread = prometheus_client.start_http_server(port, host, self.registry)
        server.set_app(application)

        def stop() -> None:
            server.shutdown()
            server.server_close()

        return stop


def _say(start: StartResponse, status: str, text: str) -> list[bytes]:
    start(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]
