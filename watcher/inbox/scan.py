"""The scan: looks through the inbox and finds the files that are ready. It reads files and never moves one.

Only a scan decides. What the observer reports merely brings the next scan forward.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from watcher.claim import ReadyFile
from watcher.disk.hanging import FolderCalls
from watcher.disk.opened import OpenFolder, opened
from watcher.disk.side_by_side import side_by_side
from watcher.documents.formats import unfinished
from watcher.documents.table_terms import Terms as TableTerms
from watcher.inbox import quiet
from watcher.inbox.entries import UNREADABLE, Remark, entries, name_pattern, sighting, unfit_kind, unreadable

# What a look at a file finds: what the system says of it, and its content unless that is too large.
_Look = tuple[os.stat_result, bytes | None]
# So much content is kept from the scan until its files are claimed (bytes). More is read once more.
_KEPT_BYTES = 1 << 24
_STILL_WRITTEN = "it is still being written to"
_FLICKERS = (
    "its inode number and its time of change are others at every look, so nobody can know whether it is still being "
    "written to. Put the inbox on another mount"
)


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a file is ready: the settings of the inbox.

    Attributes:
        pattern: the names of payment files; letter case does not count.
        settle_seconds: how long a file must not change (seconds).
        stalled_after_seconds: an unfinished file is taken after this time without a change (seconds).
        max_file_bytes: larger files are taken unread, to be refused (bytes).
        table: how tables (CSV) are read; None if there are none.
    """

    pattern: str = "*.xml"
    settle_seconds: float = 5
    stalled_after_seconds: float = 600
    max_file_bytes: int = 67108864
    table: TableTerms | None = None


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
        # The time of the latest scan.
        self._now = 0.0
        # The remarks that still apply, by name, and those that nobody has asked for yet.
        self._remarks: dict[str, Remark] = {}
        self._fresh: list[Remark] = []

    def scan(self, limit: int, now: float) -> list[ReadyFile]:
        """Look through the inbox once.

        Args:
            limit: how many ready files are wanted. No file beyond them is read. Files that could not be taken when they
                were last tried do not count, and come in addition.
            now: the time on a monotonic clock (seconds), the same clock for all scans.

        Returns:
            The ready files in the order of arrival.

        Raises:
            FolderTrouble: the inbox cannot be read. What earlier scans found out is kept.
        """
        with self._opened() as folder:
            sightings = self._without_gaps(folder, now)
            self._now = now
            self._waiting = quiet.observe(self._waiting, sightings, now, self._next_arrival)
            last = max((file.arrival for file in self._waiting.values()), default=self._next_arrival - 1)
            self._next_arrival = last + 1
            due: list[quiet.Waiting] = []
            for file in sorted(self._waiting.values(), key=lambda waiting: waiting.arrival):
                if quiet.quiet(file, now, self.terms.settle_seconds):
                    due.append(file)
                else:
                    self._remark_change(file)
            return self._ready_of(folder, due, limit)

    def files(self) -> list[quiet.Sighting]:
        """List the payment files, ready or not.

        Raises:
            FolderTrouble: the inbox cannot be read.
        """
        with self._opened() as folder:
            return self._list(folder, {})

    def taken(self, name: str) -> None:
        """Forget a file that has left the inbox."""
        self._waiting.pop(name, None)
        self._remarks.pop(name, None)

    def hold_back(self, name: str, reason: str) -> None:
        """Take in that a ready file could not be taken. Every scan tries it again.

        Args:
            name: its name.
            reason: why, in words.
        """
        file = self._waiting.get(name)
        if file is not None:
            self._must_wait(replace(file, tried=self._now), UNREADABLE, reason)

    def waits(self) -> list[Remark]:
        """Return the remarks that still apply about payment files that have to wait."""
        return [remark for remark in self._remarks.values() if remark.waits]

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

    @contextmanager
    def _opened(self) -> Iterator[OpenFolder]:
        """Open the inbox. Each look into it is a call of its own, so that a long scan does not look like a hung one."""
        with ExitStack() as stack:
            with self.calls.at(self.folder):
                folder = stack.enter_context(opened(self.folder))
            yield folder

    def _list(self, folder: OpenFolder, known: Mapping[str, quiet.Sighting | Remark]) -> list[quiet.Sighting]:
        with self.calls.at(self.folder):
            found = entries(folder, self._pattern, known)
        for entry in found:
            if isinstance(entry, Remark):
                self._remark(entry)
        present = {entry.name for entry in found}
        self._remarks = {name: remark for name, remark in self._remarks.items() if name in present}
        return [entry for entry in found if isinstance(entry, quiet.Sighting)]

    def _without_gaps(self, folder: OpenFolder, now: float) -> list[quiet.Sighting]:
        """List the payment files. No file is listed while one that arrived earlier was missed.

        A listing may miss a file that arrives meanwhile and still hold a later one (POSIX, readdir). So a second
        listing is made. It holds every file that arrived before the latest file of the first one.
        """
        known: dict[str, quiet.Sighting | Remark] = {
            remark.name: remark for remark in self._remarks.values() if not remark.waits and not remark.is_file
        }
        known |= {name: file.sighting for name, file in self._waiting.items() if self._is_read_next(file, now)}
        sightings = self._list(folder, known)
        fresh = [sighting.changed_ns for sighting in sightings if sighting.name not in self._waiting]
        if fresh:
            known |= {sighting.name: sighting for sighting in sightings}
            names = {sighting.name for sighting in sightings}
            sightings += [
                missed
                for missed in self._list(folder, known)
                if missed.name not in names and missed.changed_ns <= max(fresh)
            ]
        return sightings

    def _is_read_next(self, file: quiet.Waiting, now: float) -> bool:
        """Return True if the next that happens to a file is that it is read. Then it is seen if it has changed."""
        unread = file.digest is None and file.missing in (None, UNREADABLE)
        return unread and quiet.quiet(file, now, self.terms.settle_seconds)

    def _ready_of(self, folder: OpenFolder, due: Iterable[quiet.Waiting], limit: int) -> list[ReadyFile]:
        """Read quiet files, as many as are wanted; return those that are ready."""
        ready: list[ReadyFile] = []
        fresh = kept = 0
        left = list(due)
        while left:
            wanted = max(0, limit - fresh)
            chosen = [file for file in left if file.tried is not None or self._must_stay(file)]
            others = [file for file in left if file.tried is None and not self._must_stay(file)]
            chosen, left = chosen + others[:wanted], others[wanted:]
            if not chosen:
                break
            chosen.sort(key=lambda file: file.arrival)
            looks = side_by_side(lambda file: self._look(folder, file), chosen)
            for file, look in zip(chosen, looks, strict=True):
                checked = self._check(file, look)
                if checked is not None:
                    kept += len(checked.content or b"")
                    ready.append(checked if kept <= _KEPT_BYTES else replace(checked, content=None))
                    fresh += checked.tried is None
        return sorted(ready, key=lambda file: self._waiting[file.name].arrival)

    def _stalled(self, file: quiet.Waiting) -> bool:
        return self._now - file.quiet_since >= self.terms.stalled_after_seconds

    def _must_stay(self, file: quiet.Waiting) -> bool:
        """Return True if a file was read as it is now and is not whole."""
        return file.missing not in (None, UNREADABLE) and not self._stalled(file)

    def _look(self, folder: OpenFolder, file: quiet.Waiting) -> _Look | OSError | None:
        """Read a quiet file, once for each state of it. Return None if nothing is to be found out, or it is gone."""
        if file.digest is not None or self._must_stay(file):
            return None
        with self.calls.at(self.folder / file.sighting.name):
            try:
                if file.sighting.size > self.terms.max_file_bytes:
                    return folder.facts(file.sighting.name), None
                return folder.read(file.sighting.name, self.terms.max_file_bytes)
            except OSError as error:
                return error

    def _check(self, file: quiet.Waiting, look: _Look | OSError | None) -> ReadyFile | None:
        """Return a quiet file that is ready; None if it has to wait."""
        seen = file.sighting
        if self._must_stay(file):
            if self._overdue(file):
                # It has changed now and then since it was first seen.
                self._remark_wait(file, file.missing or "")
            return None
        if file.digest is not None:
            return self._ready(file, file.digest)
        if isinstance(look, OSError) and not isinstance(look, FileNotFoundError):
            # A busy or unreadable file waits and never fails. Every scan tries it again.
            self._must_wait(file, UNREADABLE, unreadable(look))
            return None
        if look is None or isinstance(look, OSError) or unfit_kind(look[0]) is not None:
            # Something else has its name by now; the next scan says what.
            del self._waiting[seen.name]
            return None
        facts, content = look
        now_seen = sighting(seen.name, facts)
        if not now_seen.same_as(seen) or (content is not None and len(content) != seen.size):
            self._waiting |= quiet.observe({seen.name: file}, [now_seen], self._now, file.arrival)
            self._remark_change(self._waiting[seen.name])
            return None
        if content is None:
            return self._ready(file, None)
        missing = unfinished(content, self.terms.table)
        if missing is not None and not self._stalled(file):
            self._must_wait(file, missing, missing)
            return None
        digest = hashlib.sha256(content).hexdigest()
        self._waiting[seen.name] = replace(file, digest=digest)
        return self._ready(file, digest, content)

    def _ready(self, file: quiet.Waiting, digest: str | None, content: bytes | None = None) -> ReadyFile:
        """Return a file that is ready. Nothing that was said of it applies any more, unless it could not be taken."""
        if file.tried is None:
            self._remarks.pop(file.sighting.name, None)
        return ReadyFile(file.sighting.name, file.sighting.size, digest, file.tried, content)

    def _must_wait(self, file: quiet.Waiting, missing: str, reason: str) -> None:
        self._waiting[file.sighting.name] = replace(file, missing=missing)
        self._remark_wait(file, reason)

    def _remark_wait(self, file: quiet.Waiting, reason: str) -> None:
        waited = self._now - file.seen_since
        self._remark(Remark(file.sighting.name, reason, waits=True, overdue=self._overdue(file), waited=waited))

    def _remark_change(self, file: quiet.Waiting) -> None:
        """Remark that a file has not been quiet, if that has lasted for too long."""
        if self._overdue(file):
            self._remark_wait(file, _FLICKERS if file.flickers else _STILL_WRITTEN)

    def _overdue(self, file: quiet.Waiting) -> bool:
        return self._now - file.seen_since >= self.terms.stalled_after_seconds

    def _remark(self, remark: Remark) -> None:
        if self._remarks.get(remark.name) != remark:
            self._remarks[remark.name] = remark
            self._fresh.append(remark)
