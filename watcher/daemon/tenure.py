"""The inbox is there, is the one it was, is ours alone, and is watched."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import structlog

from watcher.disk.hanging import FolderCalls
from watcher.disk.lock import Hold, holding, lock_file
from watcher.errors import FolderTrouble, InboxHeld, Occupied
from watcher.events.catalogue import Event
from watcher.inbox import marker
from watcher.inbox.marker import Marker
from watcher.inbox.observer import Observer, Watching
from watcher.journal.inboxes import Inboxes


class Tenure:
    """Holds one inbox for one daemon."""

    def __init__(self, folder: Path, inboxes: Inboxes, observer: Observer, calls: FolderCalls) -> None:
        """Hold nothing yet.

        Args:
            folder: the inbox.
            inboxes: remember the inbox's marker.
            observer: watches it.
            calls: makes calls on folders.
        """
        self._watching: Watching | None = None
        self._folder = folder
        self._inboxes = inboxes
        self._observer = observer
        self._calls = calls
        self._marker = Marker(folder, calls)
        self._locks = ExitStack()
        self._held: Hold | None = None
        # The marker's file as the last check found it.
        self._seen: tuple[int, ...] | None = None
        # The lock was held once.
        self._began = False
        self._log = structlog.get_logger()

    @property
    def watching(self) -> str:
        """How the inbox is watched, and why so; empty before the first check."""
        return f"{self._watching.mode}: {self._watching.reason}" if self._watching else ""

    def glance(self) -> None:
        """Make sure that the marker is the very file that the last ``check`` read, which takes one call; else check.

        Raises:
            FolderTrouble, Occupied, InboxHeld: as ``check``.
        """
        if self._seen is None or not self._observer.alive() or self._seen != self._look():
            self.check()

    def keep(self) -> None:
        """Make sure that the inbox is still held; else check. A folder that took its place gets no lock file.

        Raises:
            FolderTrouble, Occupied, InboxHeld: as ``check``.
        """
        with self._calls.at(self._folder):
            lasts = self._held is not None and self._held.lasts()
        if not lasts:
            self.check()

    def check(self) -> None:
        """Make sure of the inbox; mark it at the first start.

        Raises:
            FolderTrouble: it is away, is another one, or cannot be used.
            Occupied: another process holds it, and this one never did.
            InboxHeld: another process has taken it.
        """
        self._seen, seen = None, self._look()
        place = str(self._folder)
        expected = self._inboxes.marker(place)
        if expected is not None and not marker.is_marker(expected):
            # Earlier versions took whatever stood under the marker's name.
            expected = None
        if expected is not None:
            self._marker.check(expected)
        # Not before the marker is seen: a lock on the bare mount point of a share would keep nobody off the share.
        with self._calls.at(self._folder):
            self._hold(lock_file(self._folder / marker.NAME))
            if expected is None:
                self._inboxes.remember(place, self._marker.keep())
            self._watch()
        self._seen = seen

    def _look(self) -> tuple[int, ...] | None:
        """Return by what the marker's file is recognised; None if it cannot be looked at."""
        try:
            with self._calls.at(self._folder):
                facts = (self._folder / marker.NAME).lstat()
        except FolderTrouble:
            return None
        return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns

    def release(self) -> None:
        """Let the inbox go."""
        self._observer.stop()
        self._locks.close()

    def _hold(self, lock: Path) -> None:
        """Hold the lock. If the inbox was made or mounted anew, the lock held so far lies in what was there before."""
        if self._held is not None and self._held.lasts():
            return
        self._held = None
        self._locks.close()
        try:
            # People who drop files can write to the inbox.
            self._held = self._locks.enter_context(holding(lock, own=True))
        except Occupied as occupied:
            if self._began:
                raise InboxHeld.by(occupied) from occupied
            raise
        self._began = True
        if not self._held:
            self._log.warning(Event.NOT_LOCKED, inbox=str(self._folder))

    def _watch(self) -> None:
        """Keep the inbox watched. Where that fails it is logged once and tried again at every check."""
        if self._observer.healthy():
            return
        lost = self._observer.watches
        watching = self._observer.start()
        if lost:
            self._log.warning(Event.WATCH_LOST)
        if lost or watching != self._watching:
            self._log.info(Event.WATCHING, mode=watching.mode, reason=watching.reason)
        self._watching = watching
