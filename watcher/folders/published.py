"""What operators do with files that are published or archived: find them, put them back, remove them."""

from __future__ import annotations

from pathlib import Path

from watcher.claim import Claim, claim_in, without_claim
from watcher.disk.durable import sync_folder, write_new
from watcher.disk.hanging import FolderCalls
from watcher.folders.layout import Folders, aside

# What lies in the outboxes and the archive beside files that can be processed again.
_NO_ORIGINALS = (".receipt.json", ".error.txt", ".tmp")


class Published:
    """Finds, puts back and removes files of the outboxes and the archive."""

    def __init__(self, folders: Folders, calls: FolderCalls) -> None:
        self.folders = folders
        self._calls = calls

    def named(self, name: str) -> list[Path]:
        """Find the fail files of a name; if there are none, find its archived originals.

        Args:
            name: the name with its claim, or the name in the inbox.

        Returns:
            The files in the order of claiming.

        Raises:
            FolderTrouble: the folders cannot be read.
        """
        for folder in (self.folders.fail, self.folders.archive):
            found = [
                (claim_id, path)
                for claim_id, path in self.listed(folder)
                if not path.name.endswith(_NO_ORIGINALS) and name in (path.name, without_claim(path.name))
            ]
            if found:
                return [path for _, path in sorted(found)]
        return []

    def requeue(self, path: Path) -> Path:
        """Put a file of the fail outbox back into the inbox, or a copy of an archived original.

        The file keeps its name with the claim, which shows that it has been tried before. A fail file leaves the outbox
        together with the note about it.

        Returns:
            Where it lies in the inbox.

        Raises:
            FolderTrouble: another file of that name waits there, or a folder cannot be used.
        """
        claim_id = claim_in(path.name) or ""
        target = self.folders.inbox / path.name
        with self._calls.at(target):
            write_new(target, path, aside(target, claim_id))
        if path.parent == self.folders.fail:
            with self._calls.at(path):
                path.unlink()
                self.folders.note(Claim(claim_id, path.name)).unlink(missing_ok=True)
                sync_folder(path.parent)
        return target

    def listed(self, folder: Path) -> list[tuple[str, Path]]:
        """List the files of an outbox or of the archive that bear a claim, notes and receipts among them.

        Returns:
            Each file with the id of its claim, sorted by path.

        Raises:
            FolderTrouble: the folder cannot be read.
        """
        with self._calls.at(folder):
            pattern = "*/*/*/*" if folder == self.folders.archive else "*"
            return [(claim_id, path) for path in sorted(folder.glob(pattern)) if (claim_id := claim_in(path.name))]

    def remove(self, path: Path) -> None:
        """Remove a file, and the archive's folders that are empty without it.

        Raises:
            FolderTrouble: it cannot be removed.
        """
        with self._calls.at(path):
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if self.folders.archive not in folder.parents or any(folder.iterdir()):
                    break
                folder.rmdir()
