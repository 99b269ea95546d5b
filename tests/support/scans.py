"""Scans of an inbox on a clock that stands still until it is set on."""

from __future__ import annotations

from pathlib import Path

from watcher.claim import ReadyFile
from watcher.disk.hanging import FolderCalls
from watcher.inbox.scan import Inbox, Terms

SETTLE = Terms().settle_seconds
STALLED = Terms().stalled_after_seconds
MANY = 100


class Scans:
    """An inbox and the time.

    Attributes:
        inbox: the inbox.
        now: the time (monotonic seconds).
    """

    def __init__(self, folder: Path, terms: Terms) -> None:
        self.inbox = Inbox(folder, terms, FolderCalls())
        self.now = 1000.0

    def ready(self, limit: int = MANY) -> list[ReadyFile]:
        """Scan; return the files that are ready."""
        return self.inbox.scan(limit, self.now)

    def after(self, seconds: float) -> list[str]:
        """Set the clock on and scan; return the names that are ready then."""
        self.now += seconds
        return [file.name for file in self.ready()]

    def remarks(self) -> list[tuple[str, bool]]:
        """Return the fresh remarks: the name, and whether it is a payment file that waits."""
        return sorted((remark.name, remark.waits) for remark in self.inbox.remarks())
