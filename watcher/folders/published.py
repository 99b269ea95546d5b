"""What operators do with files that are published or archived: find them, put them back, remove them.

Others can write to these folders. So no link is followed, neither to a file nor to a folder of the archive.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from watcher.claim import Claim, claim_in, without_claim
from watcher.disk.durable import Rights, write_new
from watcher.disk.hanging import FolderCalls
from watcher.disk.opened import OpenFolder, kind_of, opened
from watcher.errors import FolderTrouble
from watcher.folders.layout import Folders

# What lies in the outboxes and the archive beside files that can be processed again.
_NO_ORIGINALS = (".receipt.json", ".error.txt", ".report.html", ".tmp")
# A file that is put back can be read by the daemon, whoever puts it back and whatever the umask is.
_DROPPED = Rights(0o640, exact=True)
# Year, month and day.
_DEPTH = 3


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

    def read(self, path: Path, limit: int) -> bytes | None:
        """Return the content of a published file.

        Args:
            path: what ``named`` returned.
            limit: the largest size that is read (bytes).

        Returns:
            Its content; None if it is larger.

        Raises:
            FolderTrouble: it cannot be read, or is no file.
        """
        with self._reading(path) as file:
            content = file.read(limit + 1)
        return None if len(content) > limit else content

    def requeue(self, path: Path) -> Path:
        """Put a file of the fail outbox back into the inbox, or a copy of an archived original.

        The file keeps its name with the claim, which shows that it has been tried before. A fail file leaves the outbox
        together with the note or the page about it.

        Returns:
            Where it lies in the inbox.

        Raises:
            NameTaken: another file of that name waits there.
            FolderTrouble: a folder cannot be used, or what is to be put back is no file.
        """
        claim_id = claim_in(path.name) or ""
        target = self.folders.inbox / path.name
        with self._reading(path) as file, self._calls.at(target):
            write_new(target, file, _DROPPED)
        if path.parent == self.folders.fail:
            with self._calls.at(path), self._opened(path.parent) as folder:
                # First what is said about the file: nothing of that stays if this is interrupted and done again.
                folder.unlink(self.folders.note(Claim(claim_id, path.name)).name)
                folder.unlink(self.folders.page(Claim(claim_id, path.name), rejected=True).name)
                folder.unlink(path.name)
                folder.sync()
        return target

    def listed(self, folder: Path) -> list[tuple[str, Path]]:
        """List the files of an outbox or of the archive that bear a claim, notes and receipts among them.

        Returns:
            Each file with the id of its claim, sorted by path.

        Raises:
            FolderTrouble: the folder cannot be read.
        """
        depth = _DEPTH if folder == self.folders.archive else 0
        with self._calls.at(folder), opened(folder) as there:
            return [(claim_id, path) for path in _files(there, depth) if (claim_id := claim_in(path.name))]

    def remove(self, path: Path) -> None:
        """Remove a file, and the archive's folders that are empty without it.

        Raises:
            FolderTrouble: it cannot be removed.
        """
        with self._calls.at(path), suppress(FileNotFoundError):
            with self._opened(path.parent) as folder:
                folder.unlink(path.name)
            for empty in path.parents:
                if self.folders.archive not in empty.parents:
                    break
                with self._opened(empty.parent) as above, above.enter(empty.name) as folder:
                    if folder.names():
                        break
                    above.rmdir(empty.name)

    def sync(self, removed: Iterable[Path]) -> None:
        """Bring to disk that files were removed, once for each folder.

        Raises:
            FolderTrouble: that is not possible.
        """
        folders = {path.parent for path in removed}
        with self._calls.at(self.folders.archive):
            # A folder of the archive that was removed with its last file is missing from the one above.
            there = {next(each for each in (folder, *folder.parents) if each.is_dir()) for folder in folders}
        for folder in sorted(there):
            with self._calls.at(folder), self._opened(folder) as opened_folder:
                opened_folder.sync()

    @contextmanager
    def _opened(self, folder: Path) -> Iterator[OpenFolder]:
        """Open an outbox, or a folder of the archive from the archive on, so that no link on the way is followed."""
        archived = folder.is_relative_to(self.folders.archive)
        top = self.folders.archive if archived else folder
        with ExitStack() as stack:
            there = stack.enter_context(opened(top))
            for part in folder.relative_to(top).parts:
                there = stack.enter_context(there.enter(part))
            yield there

    @contextmanager
    def _reading(self, path: Path) -> Iterator[BufferedReader]:
        with self._calls.at(path), self._opened(path.parent) as folder, folder.reading(path.name) as file:
            if file is None:
                kind = kind_of(folder.facts(path.name))
                raise FolderTrouble(f"{path} is {kind}, not a file, and is not followed", "Remove it")
            yield file


def _files(folder: OpenFolder, depth: int) -> Iterator[Path]:
    """Yield everything in a folder, or in the folders so many levels below it, sorted by path."""
    for name in folder.names():
        if depth == 0:
            yield folder.path / name
        elif stat.S_ISDIR(folder.facts(name).st_mode):
            with folder.enter(name) as inner:
                yield from _files(inner, depth - 1)
