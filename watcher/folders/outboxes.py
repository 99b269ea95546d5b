"""From work into the outboxes and the archive.

Every step can be repeated: a file that is there already with the same bytes is done, and nothing is overwritten.
"""

from __future__ import annotations

import errno
from pathlib import Path

from watcher.claim import Claim
from watcher.disk.durable import link_new, sync_folder, write_new
from watcher.disk.hanging import FolderCalls
from watcher.folders.layout import Folders, aside


class Outboxes:
    """Publishes result files and archives originals."""

    def __init__(self, folders: Folders, calls: FolderCalls) -> None:
        self._folders = folders
        self._calls = calls

    def check(self) -> None:
        """Make sure that every folder but the inbox is there, before a file is claimed.

        Raises:
            FolderTrouble: one is missing.
        """
        for name, folder in self._folders.named():
            if name != "inbox":
                with self._calls.at(folder):
                    folder.stat()

    def publish_success(self, claim: Claim, content: bytes) -> Path:
        """Publish the success file of a claim.

        Raises:
            FolderTrouble: it cannot be written, or another file has its name.
        """
        return self._publish(self._folders.success_file(claim), content, claim)

    def publish_fail(self, claim: Claim, content: bytes) -> Path:
        """Publish the fail file of a claim.

        Raises:
            FolderTrouble: it cannot be written, or another file has its name.
        """
        return self._publish(self._folders.fail_file(claim), content, claim)

    def publish_refusal(self, claim: Claim, note: bytes) -> Path:
        """Publish the note about a refused file, and then the file itself, byte for byte.

        Raises:
            FolderTrouble: they cannot be written, or other files have their names.
        """
        self._publish(self._folders.note(claim), note, claim)
        return self._publish(self._folders.fail_file(claim), self._folders.held(claim), claim)

    def archive(self, claim: Claim) -> Path:
        """Move a claim's receipt and then its original from work into the archive.

        The receipt stays in work, too, until the claim is cleared.

        Returns:
            Where the original lies now.

        Raises:
            FolderTrouble: that is not possible, or other files have their names.
        """
        day = self._folders.archive_day(claim)
        with self._calls.at(self._folders.archive):
            self._make_day(day)
        self._link(self._folders.kept_receipt(claim.id), self._folders.archived_receipt(claim), claim)
        held, target = self._folders.held(claim), self._folders.archived(claim)
        self._link(held, target, claim)
        with self._calls.at(target):
            sync_folder(day)
        with self._calls.at(held):
            held.unlink()
            sync_folder(held.parent)
        return target

    def _publish(self, target: Path, content: bytes | Path, claim: Claim) -> Path:
        with self._calls.at(target):
            write_new(target, content, aside(target, claim.id))
        return target

    def _link(self, source: Path, target: Path, claim: Claim) -> None:
        with self._calls.at(target):
            link_new(source, target, aside(target, claim.id))

    def _make_day(self, day: Path) -> None:
        """Make the archive's folder of a day. The archive itself is never made: if missing, it is not mounted."""
        missing = [part for part in (day, *day.parents) if not part.exists()]
        if self._folders.archive in missing:
            raise FileNotFoundError(errno.ENOENT, "No such folder")
        for part in reversed(missing):
            part.mkdir(exist_ok=True)
            try:
                sync_folder(part.parent)
            except OSError:
                # A folder that is there counts as synced. So it goes, and the next attempt makes and syncs it again.
                part.rmdir()
                raise
