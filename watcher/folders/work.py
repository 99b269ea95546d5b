"""The originals in work: set aside while they are worked on, put back if they changed, deleted at the end.

A claimed file lies in ``work/<claim>/`` under its own name. Nothing here is believed: the journal has a copy of each
file, and whatever else lies beside the original is left alone. Others may write to this folder, on a share.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

from watcher.claim import Claim, is_claim_id
from watcher.disk.durable import place, reading, sync_folder
from watcher.disk.hanging import FolderCalls
from watcher.disk.room import probe
from watcher.folders.layout import Folders
from watcher.folders.originals import Original, is_folder, is_same, originals, read

# What version 3 kept in work itself, half written or whole.
_OF_VERSION_3 = re.compile(r"\.?([0-9TZ]{16}_[0-9a-f]{8})\.(?:payments\.xml|receipt\.json|receipt\.tmp|file\.tmp)")
# Trouble with a whole folder or its disk, whichever file meets it first.
_OF_THE_FOLDER = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EXDEV, errno.ENOTDIR)


class Gone(Exception):
    """A file is not in the inbox any more."""


class Unmovable(Exception):
    """A file cannot be moved now, and others can: somebody has it open, or may not let go of it. The reason."""


class Work:
    """Sets originals aside."""

    def __init__(self, folders: Folders, calls: FolderCalls, limit: int) -> None:
        """Take where the originals are.

        Args:
            folders: the inbox and work.
            calls: makes calls on folders.
            limit: of a larger file nothing is kept in memory (bytes).
        """
        self._folders = folders
        self._calls = calls
        self._limit = limit

    # --- claiming ----------------------------------------------------------------------------------------------

    def set_aside(self, claim: Claim) -> None:
        """Move a file from the inbox into the place of its claim. ``sync`` brings that to disk.

        Raises:
            Gone: it is not there.
            Unmovable: it cannot be moved now, though other files can.
            FolderTrouble: inbox or work cannot be used. The file stays where it is.
        """
        folder = self._folders.place(claim.id)
        with self._calls.at(self._folders.work):
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            if not is_folder(folder):
                raise Unmovable("something else has the name of its place in work")
        with self._calls.at(self._folders.inbox):
            try:
                self._folders.dropped(claim).rename(self._folders.held(claim))
            except OSError as error:
                # Unless something else lies in it.
                with suppress(OSError):
                    folder.rmdir()
                if isinstance(error, FileNotFoundError):
                    # If the inbox itself is missing, this raises.
                    self._folders.inbox.stat()
                    raise Gone from error
                if error.errno in _OF_THE_FOLDER:
                    raise
                # If nothing at all can be moved out of the inbox, this raises.
                probe(self._folders.inbox)
                raise Unmovable(os.strerror(error.errno or 0)) from error

    def sync(self, claims: Iterable[Claim]) -> None:
        """Bring to disk that files lie in work, and no longer in the inbox.

        Raises:
            FolderTrouble: that is not possible.
        """
        with self._calls.at(self._folders.work):
            for claim in claims:
                with suppress(FileNotFoundError, NotADirectoryError):
                    sync_folder(self._folders.place(claim.id))
            sync_folder(self._folders.work)
        with self._calls.at(self._folders.inbox):
            sync_folder(self._folders.inbox)

    def is_still(self, claim: Claim, digest: str) -> bool | None:
        """Compare a file that was set aside with what was read of it.

        Args:
            claim: the claim.
            digest: SHA-256 of what was read, hex.

        Returns:
            True if it is the same; False if it is another one, or something other than a file; None if nothing has its
            name in work.

        Raises:
            FolderTrouble: it cannot be read.
        """
        held = self._folders.held(claim)
        with self._calls.at(held):
            return is_same(held, digest) if is_folder(held.parent) else None

    def is_dropped(self, claim: Claim, digest: str) -> bool | None:
        """Compare the file of that name in the inbox with what was read of it; as ``is_still``.

        Raises:
            FolderTrouble: it cannot be read, or the inbox is missing.
        """
        with self._calls.at(self._folders.inbox):
            self._folders.inbox.stat()
            return is_same(self._folders.dropped(claim), digest)

    def put_back(self, claim: Claim) -> None:
        """Put a file back into the inbox. If its name is taken there, it gets one that bears the claim.

        Raises:
            FolderTrouble: inbox or work cannot be used.
        """
        held = self._folders.held(claim)
        with self._calls.at(self._folders.inbox):
            # It is gone if a person took it away.
            with suppress(FileNotFoundError):
                if is_folder(held.parent):
                    self._give_name(held, claim)
            sync_folder(self._folders.inbox)
        self.clear(claim)

    def _give_name(self, held: Path, claim: Claim) -> None:
        """Give a file in work the first name in the inbox that is free. All files wait there; none replaces another."""
        facts = held.lstat()
        for name in _names_back(claim):
            target = self._folders.inbox / name
            with suppress(FileNotFoundError):
                if os.path.samestat(target.lstat(), facts):
                    # It has two names: a crash came before the one in work went.
                    return
            if place(held, target):
                return

    # --- the end -----------------------------------------------------------------------------------------------

    def clear(self, claim: Claim) -> None:
        """Delete the original of a claim, and its folder unless something else lies in it.

        Raises:
            FolderTrouble: it cannot be deleted.
        """
        held = self._folders.held(claim)
        with self._calls.at(held), suppress(FileNotFoundError, IsADirectoryError):
            if is_folder(held.parent):
                held.unlink()
        self.clear_place(claim.id)

    def clear_place(self, claim_id: str) -> None:
        """Delete the folder of a claim, unless something lies in it.

        Raises:
            FolderTrouble: it cannot be deleted.
        """
        place = self._folders.place(claim_id)
        with self._calls.at(place):
            try:
                place.rmdir()
            except OSError as error:
                # A link or a file in its place is left alone, too.
                if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise

    # --- finding -----------------------------------------------------------------------------------------------

    def found(self) -> list[tuple[str, Claim | None]]:
        """List what lies in work, by its names alone: each claim's id with its original, None if there is none.

        Returns:
            In the order of the ids.

        Raises:
            FolderTrouble: work cannot be read.
        """
        with self._calls.at(self._folders.work):
            places = sorted(
                folder
                for folder in self._folders.work.iterdir()
                if is_claim_id(folder.name) and stat.S_ISDIR(folder.lstat().st_mode)
            )
            found = [(folder.name, next(iter(originals(folder)), None)) for folder in places]
            return [(claim_id, None if name is None else Claim(claim_id, name)) for claim_id, name in found]

    def where(self, claim: Claim) -> Path:
        """Return where the original of a claim lies."""
        return self._folders.held(claim)

    def read(self, claim: Claim) -> Original | None:
        """Read the original of a claim from work.

        Returns:
            None if no such file lies in work.

        Raises:
            FolderTrouble: it cannot be read.
        """
        path = self._folders.held(claim)
        with self._calls.at(path):
            return read(path, self._limit) if is_folder(path.parent) else None

    @contextmanager
    def opened(self, claim: Claim) -> Iterator[BinaryIO | None]:
        """Open the original of a claim; None if no such file lies in work.

        Raises:
            FolderTrouble: it cannot be read.
        """
        path = self._folders.held(claim)
        with self._calls.at(path):
            if is_folder(path.parent) and not path.is_symlink() and path.is_file():
                with reading(path) as file:
                    yield file
            else:
                yield None

    def read_dropped(self, claim: Claim) -> Original | None:
        """Read the file that is to be claimed from the inbox, as ``read`` does from work.

        Raises:
            Unmovable: it cannot be read now.
        """
        path = self._folders.dropped(claim)
        with self._calls.at(path):
            try:
                return read(path, self._limit)
            except OSError as error:
                raise Unmovable(os.strerror(error.errno or 0)) from error

    # --- what version 3 of the journal left here ---------------------------------------------------------------

    def document_of_version_3(self, claim: Claim) -> bytes | None:
        """Return the payment document that was kept beside the place of a claim; None if none was.

        Raises:
            FolderTrouble: it cannot be read.
        """
        path = self._folders.work / f"{claim.id}.payments.xml"
        with self._calls.at(path), suppress(FileNotFoundError), reading(path) as file:
            return None if file is None else file.read()
        return None

    def of_version_3(self) -> dict[str, list[str]]:
        """List what was kept beside the places of claims: the names, by the ids of the claims.

        Raises:
            FolderTrouble: work cannot be read.
        """
        names: dict[str, list[str]] = {}
        with self._calls.at(self._folders.work):
            for path in self._folders.work.iterdir():
                kept = _OF_VERSION_3.fullmatch(path.name)
                if kept and is_claim_id(kept[1]):
                    names.setdefault(kept[1], []).append(path.name)
        return names

    def forget_version_3(self, names: Iterable[str]) -> None:
        """Delete what was kept beside the place of a claim.

        Raises:
            FolderTrouble: it cannot be deleted.
        """
        with self._calls.at(self._folders.work):
            for name in names:
                with suppress(IsADirectoryError):
                    (self._folders.work / name).unlink(missing_ok=True)


def _names_back(claim: Claim) -> Iterator[str]:
    """Yield the names under which a file may be put back: its own, the one with its claim, and more like that."""
    yield claim.name
    second, _, last = claim.id.partition("_")
    for number in count(int(last, 16)):
        yield Claim(f"{second}_{number % (1 << 32):08x}", claim.name).published_name
