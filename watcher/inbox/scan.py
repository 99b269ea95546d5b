"""The scan: looks through the inbox and finds the files that are ready. It reads files and never moves one.

Only a scan decides. What the observer reports merely brings the next scan forward.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from watcher.claim import ReadyFile
from watcher.disk.hanging import FolderCalls
from watcher.documents.formats import unfinished
from watcher.inbox import quiet
from watcher.inbox.entries import UNREADABLE, Remark, content_of, entries, name_pattern


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a file is ready: the settings of the inbox.

    Attributes:
        pattern: the names of payment files; letter case does not count.
        settle_seconds: how long a file must not change (seconds).
        stalled_after_seconds: an unfinished file is taken after this time without a change (seconds).
        max_file_bytes: larger files are taken unread, to be refused (bytes).
    """

    pattern: str = "*.xml"
    settle_seconds: float = 5
    stalled_after_seconds: float = 600
    max_file_bytes: int = 67108864


class Inbox:
    """Looks through one inbox, scan by scan.

    Attributes:
        folder: the inbox.
        terms: on what terms a file is ready.
        calls: the calls on the folder are made through them.
    """

    def __init__(self, folder: Path, terms: Terms, calls: FolderCalls) -> None:
        self.folder = folder
        self.terms = terms
        self.calls = calls
        self._pattern = name_pattern(terms.pattern)
        self._waiting: dict[str, quiet.Waiting] = {}
        self._next_arrival = 0
        # The remarks that still apply, by name, and those that nobody has asked for yet.
        self._remarks: dict[str, Remark] = {}
        self._fresh: list[Remark] = []

    def scan(self, limit: int, now: float) -> list[ReadyFile]:
        """Look through the inbox once.

        Args:
            limit: how many ready files are wanted. No file beyond them is read.
            now: the time on a monotonic clock (seconds), the same clock for all scans.

        Returns:
            The ready files in the order of arrival.

        Raises:
            FolderTrouble: the inbox cannot be read. What earlier scans found out is kept.
        """
        sightings = self._without_gaps()
        self._waiting = quiet.observe(self._waiting, sightings, now, self._next_arrival)
        self._next_arrival = 1 + max((file.arrival for file in self._waiting.values()), default=self._next_arrival - 1)
        ready: list[ReadyFile] = []
        for file in sorted(self._waiting.values(), key=lambda waiting: waiting.arrival):
            if len(ready) == limit:
                break
            if quiet.quiet(file, now, self.terms.settle_seconds):
                checked = self._check(file, now)
                if checked:
                    ready.append(checked)
        return ready

    def files(self) -> list[quiet.Sighting]:
        """List the payment files, ready or not.

        Raises:
            FolderTrouble: the inbox cannot be read.
        """
        with self.calls.at(self.folder):
            found = list(entries(self.folder, self._pattern))
        for entry in found:
            if isinstance(entry, Remark):
                self._remark(entry)
        present = {entry.name for entry in found}
        self._remarks = {name: remark for name, remark in self._remarks.items() if name in present}
        return [entry for entry in found if isinstance(entry, quiet.Sighting)]

    def taken(self, name: str) -> None:
        """Forget a file that has left the inbox."""
        self._waiting.pop(name, None)
        self._remarks.pop(name, None)

    def remarks(self) -> list[Remark]:
        """Return the remarks that are new since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def seconds_to_next(self, now: float) -> float | None:
        """Return how long it takes until the next file can be ready (seconds); None if no file is due.

        Args:
            now: the time on the clock of the scans (seconds).
        """
        return quiet.next_due(self._waiting.values(), now, self.terms.settle_seconds)

    @property
    def waiting(self) -> int:
        """How many payment files were in the inbox at the last scan."""
        return len(self._waiting)

    @property
    def oldest_changed_at(self) -> datetime | None:
        """The earliest modification time of the files of the last scan, aware; None if there were none."""
        changed = min((file.sighting.modified_ns for file in self._waiting.values()), default=None)
        return None if changed is None else datetime.fromtimestamp(changed / 1e9, UTC)

    def _without_gaps(self) -> list[quiet.Sighting]:
        """List the payment files. No file is listed while one that arrived earlier was missed.

        A listing may miss a file that arrives meanwhile and still hold a later one (POSIX, readdir). So a second
        listing is made. It holds every file that arrived before the latest file of the first one.
        """
        sightings = self.files()
        fresh = [sighting.changed_ns for sighting in sightings if sighting.name not in self._waiting]
        if fresh:
            names = {sighting.name for sighting in sightings}
            sightings += [
                missed for missed in self.files() if missed.name not in names and missed.changed_ns <= max(fresh)
            ]
        return sightings

    def _check(self, file: quiet.Waiting, now: float) -> ReadyFile | None:
        """Read a quiet file, once for each state of it. Return None if it has to wait."""
        seen = file.sighting
        if seen.size > self.terms.max_file_bytes:
            return ReadyFile(seen.name, seen.size)
        stalled = now - file.quiet_since >= self.terms.stalled_after_seconds
        if file.missing not in (None, UNREADABLE) and not stalled:
            return None
        path = self.folder / seen.name
        with self.calls.at(path):
            try:
                content = content_of(path)
            except FileNotFoundError:
                return None
            except OSError as error:
                # A busy or unreadable file waits and never fails. Every scan tries it again.
                self._must_wait(file, UNREADABLE, f"{UNREADABLE}: {os.strerror(error.errno or 0)}")
                return None
        if content is None:
            return None
        missing = unfinished(content)
        if missing is not None and not stalled:
            self._must_wait(file, missing, missing)
            return None
        return ReadyFile(seen.name, len(content), hashlib.sha256(content).hexdigest())

    def _must_wait(self, file: quiet.Waiting, missing: str, reason: str) -> None:
        name = file.sighting.name
        self._waiting[name] = replace(file, missing=missing)
        self._remark(Remark(name, reason, waits=True))

    def _remark(self, remark: Remark) -> None:
        if self._remarks.get(remark.name) != remark:
            self._remarks[remark.name] = remark
            self._fresh.append(remark)
