"""The inbox: which of its files are ready. Scans, the readiness gate and the marker; reads, never moves.

A scan is the truth; what the observer reports only brings the next one forward. The inbox carries a marker file: where
the marker is missing, the share is not mounted or is another one, and an empty listing means nothing.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from watcher.claim import ReadyFile
from watcher.disk.durable import sync_file, sync_folder
from watcher.errors import FolderTrouble
from watcher.inbox import quiet

MARKER = ".payment-watcher"

# What writers, editors, file managers and servers leave beside real files; compared case-folded. Leading dots cover
# rsync, Syncthing, macOS, NFS and Samba; see the producers' manuals.
_JUNK = re.compile(
    "|".join(
        fnmatch.translate(pattern)
        for pattern in (
            *(
                ".*",
                "~*",
                "*~",
                "*.tmp",
                "*.temp",
                "*.part",
                "*.partial",
                "*.filepart",
                "*.crdownload",
                "*.download",
            ),
            *("*.swp", "*.bak", "*.writing", "*.camellock", "thumbs.db", "desktop.ini"),
            *("$recycle.bin", "@eadir", "#recycle"),
        )
    )
)


_UNREADABLE = "it cannot be read yet"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something in the inbox a person may want to know of; said once as long as it stays.

    Attributes:
        name: the entry.
        reason: what about it.
        waits: True for a payment file that is not whole yet, False for an entry that is left alone.
    """

    name: str
    reason: str
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of an entry of the inbox.

    Attributes:
        sentence: for a person.
        ready: True if it is taken at the next scan.
    """

    sentence: str
    ready: bool = False


class Inbox:
    """Looks through one inbox, scan by scan."""

    def __init__(
        self,
        folder: Path,
        *,
        unfinished: Callable[[bytes], str | None],
        clock: Callable[[], float] = time.monotonic,
        pattern: str = "*.xml",
        settle_seconds: float = 5,
        stalled_after_seconds: float = 600,
        max_file_bytes: int = 67108864,
        touching: Callable[[Path], AbstractContextManager[None]] = lambda _path: nullcontext(),
    ) -> None:
        """Look at nothing yet.

        Args:
            folder: the inbox.
            unfinished: says what a file's content still misses, or None.
            clock: monotonic seconds.
            pattern: the names of payment files, letter case ignored.
            settle_seconds: how long a file must not change.
            stalled_after_seconds: after how long without a change an unfinished file is taken all the same.
            max_file_bytes: larger files are taken unread; they will be refused.
            touching: within it calls on the folder are made, so that one that hangs is noticed.
        """
        self.folder = folder
        self._touching = touching
        self._unfinished = unfinished
        self._clock = clock
        self._pattern = re.compile(fnmatch.translate(pattern.casefold()))
        self._settle_seconds = settle_seconds
        self._stalled_after_seconds = stalled_after_seconds
        self._max_file_bytes = max_file_bytes
        self._waiting: dict[str, quiet.Waiting] = {}
        self._arrivals = 0
        self._noticed: dict[str, Notice] = {}
        self._fresh: list[Notice] = []

    # --- marker ------------------------------------------------------------------------------------------------

    def marker(self) -> str | None:
        """Give the inbox's marker; None if it has none.

        Raises:
            FolderTrouble: the inbox cannot be read.
        """
        try:
            with self._touching(self.folder):
                return (self.folder / MARKER).read_text(encoding="ascii", errors="replace").strip() or None
        except FileNotFoundError:
            if self.folder.is_dir():
                return None
            raise FolderTrouble(
                f"the inbox {self.folder} is not there", "Mount the share it is on, or make the folder"
            ) from None
        except OSError as error:
            raise FolderTrouble.at(self.folder, error) from error

    def keep_marker(self) -> str:
        """Give the inbox's marker, a new one if it has none, once it is where no power cut can take it.

        Raises:
            FolderTrouble: it cannot be read or written.
        """
        found = self.marker()
        marker = found or secrets.token_hex(8)
        place = self.folder / MARKER
        try:
            with self._touching(self.folder):
                if found is None:
                    place.write_text(f"{marker}\n", encoding="ascii")
                sync_file(place)
                sync_folder(self.folder)
        except OSError as error:
            raise FolderTrouble.at(self.folder, error) from error
        return marker

    def check_marker(self, expected: str) -> None:
        """Make sure that this is the inbox it was at the first start.

        Raises:
            FolderTrouble: it is not, or cannot be read.
        """
        found = self.marker()
        if found == expected:
            return
        told = "has no marker any more" if found is None else "bears the marker of another inbox"
        raise FolderTrouble(
            f"the inbox {self.folder} {told}: its share is not mounted, or another one is in its place",
            "Mount the share. If the folder was made anew on purpose, put the marker back: "
            f"echo {expected} > '{self.folder / MARKER}'",
        )

    # --- scans -------------------------------------------------------------------------------------------------

    def scan(self, limit: int) -> list[ReadyFile]:
        """Look through the inbox once.

        Args:
            limit: how many ready files are wanted; no further one is read.

        Returns:
            The ready files in the order of arrival.

        Raises:
            FolderTrouble: the inbox cannot be read; what is known of its files is kept.
        """
        sightings = self._all_until_the_latest()
        now = self._clock()
        self._waiting = quiet.observe(self._waiting, sightings, now, self._arrivals)
        self._arrivals = 1 + max((file.arrival for file in self._waiting.values()), default=self._arrivals - 1)
        ready: list[ReadyFile] = []
        for file in sorted(self._waiting.values(), key=lambda waiting: waiting.arrival):
            if len(ready) == limit:
                break
            if quiet.quiet(file, now, self._settle_seconds):
                checked = self._check(file, now)
                if checked:
                    ready.append(checked)
        return ready

    def _all_until_the_latest(self) -> list[quiet.Sighting]:
        """List the payment files, and none without those that came before it.

        A listing may miss a file that comes while it is made and hold a later one (POSIX, readdir). A second listing
        holds every file that came before the first one's latest.
        """
        sightings = self.files()
        fresh = [sighting.changed_ns for sighting in sightings if sighting.name not in self._waiting]
        if fresh:
            names = {sighting.name for sighting in sightings}
            sightings += [
                missed for missed in self.files() if missed.name not in names and missed.changed_ns <= max(fresh)
            ]
        return sightings

    def files(self) -> list[quiet.Sighting]:
        """List the payment files, ready or not.

        Raises:
            FolderTrouble: the inbox cannot be read.
        """
        try:
            with self._touching(self.folder):
                return list(self._candidates())
        except OSError as error:
            raise FolderTrouble.at(self.folder, error) from error

    def judge(self, name: str, now: float) -> Verdict | None:
        """Look at one entry by itself, for whoever asks why it is not taken.

        Args:
            name: the entry.
            now: the time, Unix seconds.

        Returns:
            What is to be said of it; None if there is no such entry.

        Raises:
            FolderTrouble: the inbox cannot be read.
        """
        path = self.folder / name
        try:
            facts = path.lstat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FolderTrouble.at(self.folder, error) from error
        unfit = self._unfit_name(name.casefold()) or _unfit_kind(facts)
        if unfit is not None:
            return Verdict(f"It is left alone: {unfit}.")
        age = max(0.0, now - max(facts.st_mtime, facts.st_ctime))
        if age < self._settle_seconds:
            return Verdict(f"It may still be written to: its last change was {age:.0f} s ago.")
        if facts.st_size <= self._max_file_bytes:
            try:
                content = _content(path)
            except OSError as error:
                return Verdict(f"It waits: {_UNREADABLE}: {os.strerror(error.errno or 0)}.")
            missing = self._unfinished(content or b"")
            if missing is not None:
                minutes = self._stalled_after_seconds / 60
                return Verdict(
                    f"It is not whole yet: {missing}. Its last change was {age:.0f} s ago; after {minutes:.0f} minutes "
                    "without one it goes to the fail outbox."
                )
        return Verdict("It is ready to be taken.", ready=True)

    def taken(self, name: str) -> None:
        """Forget a file that has left the inbox."""
        self._waiting.pop(name, None)
        self._noticed.pop(name, None)

    def notices(self) -> list[Notice]:
        """Give what has come up since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def seconds_to_next(self) -> float | None:
        """Say how long it takes until the next file can be ready; None when none is settling."""
        return quiet.next_due(self._waiting.values(), self._clock(), self._settle_seconds)

    @property
    def waiting(self) -> int:
        """How many payment files lie in the inbox as of the last scan."""
        return len(self._waiting)

    @property
    def oldest_changed_at(self) -> datetime | None:
        """When the payment file of the last scan that has been there longest was changed, aware; None without one."""
        changed = min((file.sighting.modified_ns for file in self._waiting.values()), default=None)
        return None if changed is None else datetime.fromtimestamp(changed / 1e9, UTC)

    def _candidates(self) -> Iterator[quiet.Sighting]:
        """Yield the payment files by name and kind; everything else is noticed once and left alone."""
        present = set()
        with os.scandir(self.folder) as entries:
            for entry in entries:
                name = entry.name.casefold()
                if name.startswith(MARKER):
                    continue
                present.add(entry.name)
                reason = self._unfit_name(name)
                if reason is None:
                    facts = _facts(entry)
                    if facts is None:
                        continue
                    reason = _unfit_kind(facts)
                    if reason is None:
                        yield quiet.Sighting(
                            entry.name, facts.st_size, facts.st_mtime_ns, facts.st_ino, facts.st_ctime_ns
                        )
                        continue
                self._notice(Notice(entry.name, reason))
        self._noticed = {name: notice for name, notice in self._noticed.items() if name in present}

    def _unfit_name(self, folded: str) -> str | None:
        if _JUNK.fullmatch(folded):
            return "a temporary or system file by its name"
        if not self._pattern.fullmatch(folded):
            return "its name is not that of a payment file"
        return None

    def _notice(self, notice: Notice) -> None:
        if self._noticed.get(notice.name) != notice:
            self._noticed[notice.name] = notice
            self._fresh.append(notice)

    def _check(self, file: quiet.Waiting, now: float) -> ReadyFile | None:
        """Look into a quiet file, once for each state it is in; None while it has to wait."""
        seen = file.sighting
        facts = ReadyFile(seen.name, seen.size, seen.modified_ns, seen.inode)
        if seen.size > self._max_file_bytes:
            return facts
        stalled = now - file.quiet_since >= self._stalled_after_seconds
        if file.missing not in (None, _UNREADABLE) and not stalled:
            return None
        try:
            with self._touching(self.folder / seen.name):
                content = _content(self.folder / seen.name)
        except FileNotFoundError:
            return None
        except OSError as error:
            # Busy or unreadable is waiting, never failing: it is looked at again at every scan.
            self._waiting[seen.name] = replace(file, missing=_UNREADABLE)
            self._notice(Notice(seen.name, f"{_UNREADABLE}: {os.strerror(error.errno or 0)}", waits=True))
            return None
        if content is None:
            return None
        missing = self._unfinished(content)
        if missing is not None and not stalled:
            self._waiting[seen.name] = replace(file, missing=missing)
            self._notice(Notice(seen.name, missing, waits=True))
            return None
        return replace(facts, size=len(content), digest=hashlib.sha256(content).hexdigest())


def _content(path: Path) -> bytes | None:
    """Read a file; None if a link, a pipe or a folder has been put in its place since it was listed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def _facts(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


def _unfit_kind(facts: os.stat_result) -> str | None:
    """Say why an entry is no file to be taken; None if it is one."""
    if stat.S_ISREG(facts.st_mode):
        several = "it has more than one name (hard links): it is taken once only one is left"
        return None if facts.st_nlink == 1 else several
    if stat.S_ISLNK(facts.st_mode):
        return "a symbolic link is not followed"
    if stat.S_ISDIR(facts.st_mode):
        return "a folder; only files directly in the inbox are taken"
    if stat.S_ISFIFO(facts.st_mode):
        return "a named pipe, not a file"
    return "a device or socket, not a file"
