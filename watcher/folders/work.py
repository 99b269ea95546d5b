"""The originals in work: set aside while they are worked on, put back if they changed, deleted at the end.

A claimed file lies in ``work/<claim>/`` under its own name. Nothing here is believed: the journal has a copy of each
file, and whatever else lies beside the original is left alone. Others may write to this folder, on a share.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

from watcher.claim import Claim, is_claim_id
from watcher.disk.hanging import FolderCalls
from watcher.disk.naming import give_name
from watcher.disk.opened import OpenFolder
from watcher.disk.room import probe
from watcher.disk.stages import Stages
from watcher.folders.layout import Folders
from watcher.folders.originals import Original, is_same, originals, read

# The answers to an open of a folder that is not there, or in whose place something else is.
_NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
# Trouble with a whole folder or its disk, whichever file meets it first.
_OF_THE_FOLDER = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EXDEV, errno.ENOTDIR)


class Gone(Exception):
    """A file is not in the inbox any more."""


class Unmovable(Exception):
    """A file cannot be moved now, and others can: somebody has it open, or may not let go of it. The reason."""


class Work:
    """Sets originals aside. Every folder is used by descriptor, and no link is followed."""

    def __init__(self, folders: Folders, calls: FolderCalls, limit: int) -> None:
        """Take where the originals are.

        Args:
            folders: the inbox and work.
            calls: makes calls on folders.
            limit: of a larger file nothing is kept in memory (bytes).
        """
        self._folders = folders
        self._calls = calls
        self._stages = Stages(calls)
        self._limit = limit

    def stage(self) -> AbstractContextManager[None]:
        """Do the same to several files within this; folders are opened once."""
        return self._stages.stage()

    # --- claiming ----------------------------------------------------------------------------------------------

    def set_aside(self, claim: Claim) -> None:
        """Move a file from the inbox into the place of its claim. ``sync`` brings that to disk.

        Raises:
            Gone: it is not there.
            Unmovable: it cannot be moved now, though other files can.
            FolderTrouble: inbox or work cannot be used. The file stays where it is.
        """
        with ExitStack() as stack:
            with self._calls.at(self._folders.work):
                work = stack.enter_context(self._stages.folder(self._folders.work))
                work.make(claim.id, 0o700)
                place = self._enter(stack, work, claim.id)
                if place is None:
                    raise Unmovable("something else has the name of its place in work")
            with self._calls.at(self._folders.inbox):
                inbox = stack.enter_context(self._stages.folder(self._folders.inbox))
                try:
                    inbox.move(claim.name, place)
                except OSError as error:
                    # Unless something else lies in it.
                    with suppress(OSError):
                        work.rmdir(claim.id)
                    if isinstance(error, FileNotFoundError):
                        # If the inbox itself is missing, this raises.
                        self._folders.inbox.stat()
                        raise Gone from error
                    if error.errno in _OF_THE_FOLDER:
                        raise
                    # If nothing at all can be moved out of the inbox, this raises.
                    probe(self._folders.inbox)
                    raise Unmovable(os.strerror(error.errno or 0)) from error

    def sync(self, only_copies: Iterable[Claim] = ()) -> None:
        """Bring to disk that files lie no longer in the inbox.

        Where they lie in work may get lost in a power cut: the journal has a copy of each, but for those too large.

        Args:
            only_copies: the files of which the journal has no copy.

        Raises:
            FolderTrouble: that is not possible.
        """
        copies = list(only_copies)
        with self._calls.at(self._folders.work), self._stages.folder(self._folders.work) as work:
            for claim in copies:
                with ExitStack() as stack:
                    place = self._enter(stack, work, claim.id)
                    if place is not None:
                        place.sync()
            if copies:
                work.sync()
        with self._calls.at(self._folders.inbox), self._stages.folder(self._folders.inbox) as inbox:
            inbox.sync()

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
        with self._calls.at(self._folders.held(claim)), self._place(claim.id) as (_, place):
            return None if place is None else is_same(place, claim.name, digest)

    def is_dropped(self, claim: Claim, digest: str) -> bool | None:
        """Compare the file of that name in the inbox with what was read of it; as ``is_still``.

        Raises:
            FolderTrouble: it cannot be read, or the inbox is missing.
        """
        with self._calls.at(self._folders.inbox), self._stages.folder(self._folders.inbox) as inbox:
            return is_same(inbox, claim.name, digest)

    def put_back(self, claim: Claim) -> None:
        """Put a file back into the inbox. If its name is taken there, it gets one that bears the claim.

        Raises:
            FolderTrouble: inbox or work cannot be used.
        """
        with self._calls.at(self._folders.inbox), self._stages.folder(self._folders.inbox) as inbox:
            with self._place(claim.id) as (_, place):
                # It is gone if a person took it away.
                if place is not None:
                    with suppress(FileNotFoundError):
                        _give_name(place, inbox, claim)
            inbox.sync()
        self.clear(claim)

    # --- the end -----------------------------------------------------------------------------------------------

    def clear(self, claim: Claim) -> None:
        """Delete the original of a claim, and its folder unless something else lies in it.

        Raises:
            FolderTrouble: it cannot be deleted.
        """
        with self._calls.at(self._folders.held(claim)), self._place(claim.id) as (work, place):
            if place is not None:
                with suppress(IsADirectoryError):
                    place.unlink(claim.name)
                _remove(work, claim.id)

    def clear_place(self, claim_id: str) -> None:
        """Delete the folder of a claim, unless something lies in it.

        Raises:
            FolderTrouble: it cannot be deleted.
        """
        with self._calls.at(self._folders.place(claim_id)), self._stages.folder(self._folders.work) as work:
            _remove(work, claim_id)

    # --- finding -----------------------------------------------------------------------------------------------

    def found(self) -> list[tuple[str, Claim | None]]:
        """List what lies in work, by its names alone: each claim's id with its original, None if there is none.

        Returns:
            In the order of the ids.

        Raises:
            FolderTrouble: work cannot be read.
        """
        found: list[tuple[str, Claim | None]] = []
        with self._calls.at(self._folders.work), self._stages.folder(self._folders.work) as work:
            for name in work.names():
                if not is_claim_id(name):
                    continue
                with ExitStack() as stack:
                    place = self._enter(stack, work, name)
                    if place is not None:
                        original = next(iter(originals(place)), None)
                        found.append((name, None if original is None else Claim(name, original)))
        return found

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
        with self._calls.at(self._folders.held(claim)), self._place(claim.id) as (_, place):
            return None if place is None else read(place, claim.name, self._limit)

    @contextmanager
    def opened(self, claim: Claim) -> Iterator[BinaryIO | None]:
        """Open the original of a claim; None if no such file lies in work.

        Raises:
            FolderTrouble: it cannot be read.
        """
        with self._calls.at(self._folders.held(claim)), self._place(claim.id) as (_, place), ExitStack() as stack:
            file: BinaryIO | None = None
            if place is not None:
                with suppress(FileNotFoundError):
                    file = stack.enter_context(place.reading(claim.name))
            yield file

    def read_dropped(self, claim: Claim) -> Original | None:
        """Read the file that is to be claimed from the inbox, as ``read`` does from work.

        Raises:
            Unmovable: it cannot be read now.
            FolderTrouble: the inbox cannot be used.
        """
        with self._calls.at(self._folders.inbox), self._stages.folder(self._folders.inbox) as inbox:
            try:
                return read(inbox, claim.name, self._limit)
            except OSError as error:
                raise Unmovable(os.strerror(error.errno or 0)) from error

    # --- folders -----------------------------------------------------------------------------------------------

    @contextmanager
    def _place(self, claim_id: str) -> Iterator[tuple[OpenFolder, OpenFolder | None]]:
        """Open work, and in it the place of a claim; None if no folder has that name."""
        with self._stages.folder(self._folders.work) as work, ExitStack() as stack:
            yield work, self._enter(stack, work, claim_id)

    def _enter(self, stack: ExitStack, work: OpenFolder, claim_id: str) -> OpenFolder | None:
        try:
            return stack.enter_context(self._stages.inner(work, claim_id))
        except OSError as error:
            if error.errno not in _NO_FOLDER:
                raise
        return None


def _remove(work: OpenFolder, claim_id: str) -> None:
    """Delete the folder of a claim, unless something lies in it. A link or a file in its place is left alone, too."""
    try:
        work.rmdir(claim_id)
    except OSError as error:
        if error.errno not in (*_NO_FOLDER, errno.ENOTEMPTY, errno.EEXIST):
            raise


def _give_name(place: OpenFolder, inbox: OpenFolder, claim: Claim) -> None:
    """Give a file in work the first name in the inbox that is free. All files wait there; none replaces another."""
    facts = place.facts(claim.name)
    for name in _names_back(claim):
        with suppress(FileNotFoundError):
            if os.path.samestat(inbox.facts(name), facts):
                # It has two names: a crash came before the one in work went.
                return
        if give_name(place, claim.name, inbox, name):
            return


def _names_back(claim: Claim) -> Iterator[str]:
    """Yield the names under which a file may be put back: its own, the one with its claim, and more like that."""
    yield claim.name
    second, _, last = claim.id.partition("_")
    for number in count(int(last, 16)):
        yield Claim(f"{second}_{number % (1 << 32):08x}", claim.name).published_name
