"""The files in work: taken from the inbox, put back if they changed, found again after a crash.

A claimed file lies alone in ``work/<claim>/``. Beside that folder lie the claim's receipt and the payment document
that a stylesheet made of the file, until the archive has both the file and its receipt.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from watcher.claim import Claim, ReadyFile, is_claim_id, next_id
from watcher.disk.durable import place, reading, sync_folder, write_new
from watcher.disk.hanging import FolderCalls
from watcher.folders.layout import Folders, aside


class Changed(Exception):
    """A file was taken away or changed before it was claimed. It is back in the inbox, or gone."""


class Work:
    """Claims files and keeps what belongs to a claim until it is archived.

    Attributes:
        made: the ids of the claims that this process made and has not cleared; the others are of an earlier process.
    """

    def __init__(self, folders: Folders, calls: FolderCalls) -> None:
        self.made: set[str] = set()
        self._folders = folders
        self._calls = calls

    # --- claiming ----------------------------------------------------------------------------------------------

    def claim(self, ready: ReadyFile, now: datetime) -> Claim:
        """Take a file from the inbox.

        Args:
            ready: the file as the scan saw it.
            now: aware; the claim's id is made of it.

        Returns:
            The claim.

        Raises:
            Changed: the file is gone; or it differs from what the scan saw, and was put back.
            FolderTrouble: inbox or work cannot be used. The file stays where it is.
        """
        with self._calls.at(self._folders.work):
            claim = Claim(next_id(now, self._latest_id(), secrets.randbelow(1 << 12)), ready.name)
            self.made.add(claim.id)
            folder = self._folders.place(claim.id)
            folder.mkdir()
            sync_folder(self._folders.work)
        held = self._folders.held(claim)
        with self._calls.at(self._folders.inbox):
            try:
                self._folders.dropped(claim).rename(held)
            except FileNotFoundError as error:
                folder.rmdir()
                # If the inbox itself is missing, this raises.
                self._folders.inbox.stat()
                raise Changed("it was taken away") from error
            sync_folder(folder)
            sync_folder(self._folders.inbox)
            # A writer may have come between the scan and the rename. From now on, nobody finds the file by its name.
            if not _is_still(held, ready):
                self._put_back(claim)
                raise Changed("it was changed while it was taken")
        return claim

    def _latest_id(self) -> str:
        return max((folder.name for folder in self._folders.work.iterdir() if is_claim_id(folder.name)), default="")

    def _put_back(self, claim: Claim) -> None:
        held = self._folders.held(claim)
        if not place(held, self._folders.dropped(claim)):
            # Its name has been taken again. Both files wait in the inbox; neither replaces the other.
            place(held, self._folders.dropped_beside(claim))
        held.unlink(missing_ok=True)
        held.parent.rmdir()

    # --- finding -----------------------------------------------------------------------------------------------

    def claimed(self) -> list[Claim]:
        """List the claims in work in the order of claiming, and finish what a crash left of putting a file back.

        Raises:
            FolderTrouble: work cannot be read.
        """
        return [claim for claim in self.claimed_names() if not self._was_put_back(claim)]

    def claimed_names(self) -> list[Claim]:
        """List the claims in work without repairing anything.

        Raises:
            FolderTrouble: work cannot be read.
        """
        return [Claim(folder.name, names[0]) for folder, names in self._places() if names]

    def emptied(self) -> list[str]:
        """List the ids of the claims whose file has left work and whose folder there is still to be cleared.

        Raises:
            FolderTrouble: work cannot be read.
        """
        return [folder.name for folder, names in self._places() if not names]

    def _was_put_back(self, claim: Claim) -> bool:
        """Return True if a file has its name in the inbox again; its name in work is then removed."""
        held = self._folders.held(claim)
        with self._calls.at(held):
            facts = held.lstat()
            if facts.st_nlink == 1:
                return False
            for path in (self._folders.dropped(claim), self._folders.dropped_beside(claim)):
                with suppress(FileNotFoundError):
                    if os.path.samestat(path.lstat(), facts):
                        held.unlink()
                        return True
        return False

    def _places(self) -> list[tuple[Path, list[str]]]:
        """List the folders of the claims in work, each with the names in it."""
        with self._calls.at(self._folders.work):
            return [
                (folder, [entry.name for entry in folder.iterdir()])
                for folder in sorted(self._folders.work.iterdir())
                if is_claim_id(folder.name) and folder.is_dir()
            ]

    # --- the claimed file --------------------------------------------------------------------------------------

    def read(self, claim: Claim, limit: int | None = None) -> bytes | None:
        """Return the content of a claimed file.

        Args:
            claim: the claim.
            limit: the largest size that is read (bytes).

        Returns:
            The content; None if it is larger than the limit.

        Raises:
            FolderTrouble: the file cannot be read.
        """
        path = self._folders.held(claim)
        with self._calls.at(path):
            return None if limit is not None and path.stat().st_size > limit else path.read_bytes()

    def size(self, claim: Claim) -> int:
        """Return the size of a claimed file (bytes).

        Raises:
            FolderTrouble: the file cannot be looked at.
        """
        path = self._folders.held(claim)
        with self._calls.at(path):
            return path.stat().st_size

    def digest(self, claim: Claim) -> str:
        """Return the SHA-256 of a claimed file of any size (hex).

        Raises:
            FolderTrouble: the file cannot be read.
        """
        path = self._folders.held(claim)
        with self._calls.at(path), path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    # --- what is kept beside it --------------------------------------------------------------------------------

    def keep_receipt(self, claim: Claim, content: bytes) -> None:
        """Keep a claim's receipt until it is archived.

        Raises:
            FolderTrouble: it cannot be written.
        """
        self._keep(self._folders.kept_receipt(claim.id), content, claim)

    def receipt(self, claim_id: str) -> bytes | None:
        """Return a claim's receipt; None as long as the claim is not decided.

        Raises:
            FolderTrouble: it cannot be read.
        """
        return self._kept(self._folders.kept_receipt(claim_id))

    def keep_document(self, claim: Claim, content: bytes) -> None:
        """Keep the payment document that a stylesheet made of a claimed file until that file is archived.

        Raises:
            FolderTrouble: it cannot be written.
        """
        self._keep(self._folders.kept_document(claim.id), content, claim)

    def document(self, claim_id: str) -> bytes | None:
        """Return the payment document that a stylesheet made of a claimed file; None if none was made.

        Raises:
            FolderTrouble: it cannot be read.
        """
        return self._kept(self._folders.kept_document(claim_id))

    def clear(self, claim_id: str) -> None:
        """Remove the empty folder of an archived claim from work, and everything that was kept beside it.

        Raises:
            FolderTrouble: something cannot be removed.
        """
        self.made.discard(claim_id)
        with self._calls.at(self._folders.work), suppress(FileNotFoundError):
            for kept in (self._folders.kept_receipt(claim_id), self._folders.kept_document(claim_id)):
                for path in (aside(kept, claim_id), kept):
                    path.unlink(missing_ok=True)
            self._folders.place(claim_id).rmdir()

    def _keep(self, path: Path, content: bytes, claim: Claim) -> None:
        with self._calls.at(path):
            write_new(path, content, aside(path, claim.id))

    def _kept(self, path: Path) -> bytes | None:
        with self._calls.at(path), suppress(FileNotFoundError):
            content = path.read_bytes()
            # A process that was killed may have given the name before it was on disk. The next steps rely on it.
            sync_folder(path.parent)
            return content
        return None


def _is_still(path: Path, ready: ReadyFile) -> bool:
    """Return True if a claimed file is what the scan saw: by its size, and by its content if that was read.

    Such a file is synced, too: its sender may not have done so.
    """
    with reading(path) as file:
        if file is None:
            return False
        facts = os.fstat(file.fileno())
        if facts.st_nlink != 1 or facts.st_size != ready.size:
            return False
        if ready.digest is not None and hashlib.file_digest(file, "sha256").hexdigest() != ready.digest:
            return False
        os.fsync(file.fileno())
    return True
