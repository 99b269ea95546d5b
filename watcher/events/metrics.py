"""Figures for Prometheus and a health check, made from the log's events and served over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, make_wsgi_app

from watcher.events.catalogue import Event
from watcher.events.health import Health
from watcher.events.server import Server

_SUMS = ("asked", "applied", "unchanged", "discarded", "failed")
# From a call within a data centre to one that times out (seconds).
_DURATIONS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counts the events of one daemon, and serves the figures and its health."""

    def __init__(self, version: str, *, silence_seconds: float, outage_seconds: float) -> None:
        """Count from zero.

        Args:
            version: of this program.
            silence_seconds: a daemon that logs nothing for longer does not do its job (seconds).
            outage_seconds: if ConnectWise answers nothing but 429 for so long, payments wait (seconds).
        """
        self._registry = CollectorRegistry()
        self._health = Health(silence_seconds, outage_seconds, time.monotonic())
        self._calls = _Calls(self._registry)
        self._inbox = _Inbox(self._registry)
        self._work = _Work(self._registry)
        ProcessCollector(registry=self._registry)
        waiting = _gauge(self._registry, "line_waiting", "1 while an outage holds up all payments.")
        waiting.set_function(lambda: self._health.waits(time.monotonic()))
        build = Gauge("payment_watcher_build_info", "1, with the version.", ["version"], registry=self._registry)
        build.labels(version).set(1)

    def hear(self, event: str, keys: Mapping[str, Any]) -> None:
        """Take in an event."""
        self._health.hear(event, keys, time.monotonic())
        for figures in (self._calls, self._inbox, self._work):
            figures.count(event, keys)

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Serve ``/metrics`` and ``/healthz`` from a thread.

        Returns:
            A function that ends it.

        Raises:
            OSError: the address cannot be listened on.
        """
        figures = make_wsgi_app(self._registry)

        def application(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            match environ["PATH_INFO"]:
                case "/metrics":
                    page: Iterable[bytes] = figures(environ, start)
                    return page
                case "/healthz":
                    trouble = self._health.trouble(time.monotonic())
                    if trouble:
                        return _answer(start, "503 Service Unavailable", trouble)
                    # One file that waits is no reason to take the daemon for broken: all others are paid.
                    return _answer(start, "200 OK", f"ok; {self._health.remark}" if self._health.remark else "ok")
                case _:
                    return _answer(start, "404 Not Found", "There are /metrics and /healthz.")

        return Server(application, host, port).stop


class _Work:
    """Payments and files."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._payments = _counter(registry, "payments", "Payments by outcome.", "outcome")
        self._files = _counter(registry, "files", "Files by outcome.", "outcome")
        self._warnings = _counter(registry, "payment_warnings", "Payments that succeeded with a warning.")
        # Prometheus has binary floats only: for graphs and alerts. Receipts and journal hold the exact amounts.
        self._amounts = _counter(registry, "amount", "Sums of the files' amounts, in the invoices' currency.", "kind")

    def count(self, event: str, keys: Mapping[str, Any]) -> None:
        match event:
            case Event.PAYMENT:
                self._payments.labels(keys["outcome"]).inc()
            case Event.FILE_FINISHED:
                self._files.labels(keys["outcome"]).inc()
                self._warnings.inc(keys["warnings"])
                for kind in _SUMS:
                    # A counter never falls: a file that takes more off than it adds is not counted.
                    self._amounts.labels(kind).inc(max(float(keys[kind]), 0.0))
            case Event.FILE_REFUSED:
                self._files.labels("refused").inc()


class _Inbox:
    """What waits in the inbox, as of the last scan."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._oldest_changed: float | None = None
        self._files = _gauge(registry, "waiting_files", "Payment files in the inbox.")
        self._overdue = _gauge(
            registry, "overdue_files", "Files that wait by themselves for too long, in inbox or work."
        )
        self._scanned = _gauge(registry, "last_scan_timestamp_seconds", "When the inbox was last looked through.")
        oldest = _gauge(
            registry, "oldest_waiting_file_age_seconds", "Since the oldest of them changed; 0 if there is none."
        )
        oldest.set_function(lambda: max(0.0, time.time() - self._oldest_changed) if self._oldest_changed else 0.0)

    def count(self, event: str, keys: Mapping[str, Any]) -> None:
        if event == Event.SCANNED:
            self._scanned.set_to_current_time()
            self._files.set(keys["files"])
            self._overdue.set(keys["overdue"])
            oldest = keys["oldest_changed_at"]
            self._oldest_changed = datetime.fromisoformat(oldest).timestamp() if oldest else None


class _Calls:
    """Calls to ConnectWise."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = _counter(
            registry, "connectwise_requests", "Calls to ConnectWise by status.", "method", "status"
        )
        self._throttled = _counter(registry, "connectwise_throttled", "Answers 429: too many requests.")
        self._durations = Histogram(
            "payment_watcher_connectwise_request_duration_seconds", "Time until an answer.", buckets=_DURATIONS,
            registry=registry,
        )  # fmt: skip

    def count(self, event: str, keys: Mapping[str, Any]) -> None:
        match event:
            case Event.CONNECTWISE_REQUEST:
                self._requests.labels(keys["method"], str(keys["status"] or "none")).inc()
                self._durations.observe(keys["duration_ms"] / 1000)
            case Event.CONNECTWISE_SLOWED:
                self._throttled.inc()


def _counter(registry: CollectorRegistry, name: str, help_text: str, *labels: str) -> Counter:
    return Counter(f"payment_watcher_{name}", help_text, labels, registry=registry)


def _gauge(registry: CollectorRegistry, name: str, help_text: str) -> Gauge:
    return Gauge(f"payment_watcher_{name}", help_text, registry=registry)


def _answer(start: StartResponse, status: str, text: str) -> list[bytes]:
    start(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]
