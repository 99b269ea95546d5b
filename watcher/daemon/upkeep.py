"""What is due by the clock: once a day what is old goes, and a disk that is nearly full is logged."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog

from watcher.actions.prune import Ages, aged, remove
from watcher.daemon.asking import Asking
from watcher.disk.hanging import FolderCalls
from watcher.disk.room import nearly_full_disks
from watcher.events.catalogue import Event
from watcher.folders.published import Published
from watcher.journal.history import History
from watcher.lifetime import Lifetime

_DAY_SECONDS = 86400.0


class Upkeep:
    """Does what is due, and nothing on disks more often than once a day.

    Attributes:
        asking: knows when ConnectWise is to be asked.
    """

    def __init__(
        self,
        published: Published,
        history: History,
        ages: Ages,
        calls: FolderCalls,
        lifetime: Lifetime,
        asking: Asking,
    ) -> None:
        """Take what the work is done with.

        Args:
            published: the published files.
            history: the journal's rows.
            ages: after how long published files and the journal's rows go.
            calls: makes calls on folders.
            lifetime: knows what time it is.
            asking: knows when ConnectWise is to be asked.
        """
        self.asking = asking
        self._published = published
        self._history = history
        self._ages = ages
        self._calls = calls
        self._lifetime = lifetime
        self._pruned_at: float | None = None
        self._room_logged_at: float | None = None
        self._log = structlog.get_logger()

    def prune(self) -> None:
        """Remove what is old enough.

        Raises:
            FolderTrouble: a folder cannot be used.
        """
        if not self._due(self._pruned_at):
            return
        self._pruned_at = self._lifetime.now()
        gone = aged(self._ages, self._published, self._history, datetime.now(UTC))
        remove(gone, self._published, self._history)
        if gone.paths or gone.claims:
            self._log.info(Event.PRUNED, files=len(gone.paths), journal_files=len(gone.claims))

    def check_room(self) -> None:
        """Log each disk that is nearly full.

        Raises:
            FolderTrouble: a folder is not there.
        """
        if not self._due(self._room_logged_at):
            return
        folders = [folder for name, folder in self._published.folders.named() if name != "inbox"]
        for folder, left in nearly_full_disks(folders, self._calls):
            self._room_logged_at = self._lifetime.now()
            self._log.warning(Event.DISK_LOW, folder=str(folder), free_bytes=left)

    def _due(self, last: float | None) -> bool:
        return last is None or self._lifetime.now() - last >= _DAY_SECONDS
