"""A daemon that works through an inbox in pretended time, and what is seen of it."""

from __future__ import annotations

from contextlib import closing

from structlog.testing import capture_logs
from support.connectwise import payments_of
from support.line import Line


def served(folders, url, lifetime, payments=None, **connectwise):
    """Let a daemon work through the inbox; give what it logged."""
    sections = {
        "connectwise": connectwise,
        "inbox": {"observer": "off", "scan_seconds": 5, "settle_seconds": 0},
        "payments": payments or {},
    }
    with (
        closing(Line(folders, url, lifetime=lifetime, **sections)) as line,
        line.service() as service,
        capture_logs() as logs,
    ):
        service.run()
    return logs


def paid(books, *numbers):
    """Give the amounts of the payments of some invoices."""
    return [[str(row["amount"]) for row in payments_of(books, number)] for number in numbers]


def named(logs, event):
    """Give what was logged of an event."""
    return [entry for entry in logs if entry["event"] == event]
