"""From the journal into the outboxes and the archive.

Every step can be repeated: a file that is there already with the same bytes is done, and nothing is overwritten.
Folders are opened once for each step, or for a stage of many, and used by descriptor; no link is followed.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from watcher.claim import Claim
from watcher.disk.durable import Content, Rights, put_new
from watcher.disk.hanging import FolderCalls
from watcher.disk.opened import OpenFolder, is_aside, opened
from watcher.disk.stages import Stages
from watcher.errors import FolderTrouble, NameTaken
from watcher.folders.layout import Folders
from watcher.folders.rights import refusal

# The archive is to be read, not to be written to.
_ARCHIVED = Rights(0o640)
_DAY_MODE = 0o750
# A receipt has some hundred bytes for each payment; no document within the limits has a longer one (bytes).
_LONGEST_RECEIPT = 1 << 30
# The names under which version 0.1 wrote files aside.
_EARLIER_ASIDE = re.compile(r"\.\d{8}T\d{6}Z_[0-9a-f]{8}\.(?:file|note|receipt)\.tmp")


class Outboxes:
    """Publishes result files and archives originals."""

    def __init__(self, folders: Folders, calls: FolderCalls, *, pages: bool = True) -> None:
        """Open nothing yet.

        Args:
            folders: the five folders.
            calls: makes calls on them.
            pages: put a page beside each result file that people should look at.
        """
        self.pages = pages
        self._folders = folders
        self._calls = calls
        self._stages = Stages(calls)
        self._making = threading.Lock()
        self._began = time.time()
        # What was seen of each folder that can be trusted: device, inode, mode and owner.
        self._trusted: dict[str, tuple[int, ...]] = {}

    def stage(self) -> AbstractContextManager[None]:
        """Publish several files within this. Folders are opened once, and synced once, at its end.

        Raises:
            FolderTrouble: a folder cannot be synced.
        """
        return self._stages.stage()

    def sync(self) -> None:
        """Bring what was published so far to disk, in the middle of a stage.

        Raises:
            FolderTrouble: a folder cannot be synced.
        """
        self._stages.sync_now()

    def check(self) -> None:
        """Make sure that every folder but the inbox is there and can be trusted, before a file is claimed.

        Raises:
            FolderTrouble: one is missing, or people can write to it who should not.
        """
        for name, folder in self._folders.named():
            if name == "inbox":
                continue
            with self._calls.at(folder):
                facts = folder.lstat()
                seen = (facts.st_dev, facts.st_ino, facts.st_mode, facts.st_uid)
                if self._trusted.get(name) == seen:
                    continue
                refused = refusal(name, folder)
                if refused is not None:
                    raise FolderTrouble(refused.problem, refused.mend)
                self._trusted[name] = seen

    def sweep(self, claims: Iterable[Claim]) -> None:
        """Remove what earlier processes wrote aside and were killed over. To be called once, when the inbox is held.

        A folder that is not there is passed over: its first use says so.

        Args:
            claims: those that have not come to their end. In the archive, only their days can hold something.

        Raises:
            FolderTrouble: a folder cannot be used.
        """
        for name, folder in self._folders.named():
            if name == "work":
                continue
            with self._calls.at(folder), suppress(FileNotFoundError), opened(folder) as there:
                self._sweep(there)
        for day in {self._folders.archive_day(claim) for claim in claims}:
            with self._calls.at(day), suppress(FileNotFoundError, NotADirectoryError), ExitStack() as stack:
                there = stack.enter_context(opened(self._folders.archive))
                for part in day.relative_to(there.path).parts:
                    there = stack.enter_context(there.enter(part))
                self._sweep(there)

    def publish_success(self, claim: Claim, content: Content) -> Path:
        """Publish the success file of a claim.

        Raises:
            NameTaken: something else has its name.
            FolderTrouble: it cannot be written.
        """
        return self._publish(self._folders.success_file(claim), content)

    def publish_fail(self, claim: Claim, content: Content) -> Path:
        """Publish the fail file of a claim.

        Raises:
            NameTaken: something else has its name.
            FolderTrouble: it cannot be written.
        """
        return self._publish(self._folders.fail_file(claim), content)

    def publish_note(self, claim: Claim, note: bytes) -> Path:
        """Publish the note about a refused file; the file itself follows as its fail file.

        Raises:
            NameTaken: something else has its name.
            FolderTrouble: it cannot be written.
        """
        return self._publish(self._folders.note(claim), note)

    def publish_page(self, claim: Claim, page: Content, *, rejected: bool) -> None:
        """Publish the page beside a result file, unless something has its name: it says nothing that the file lacks.

        Args:
            claim: its claim.
            page: HTML. It has local times in it, and may be another one after a change of the machine's zone.
            rejected: it lies beside the fail file.

        Raises:
            FolderTrouble: it cannot be written.
        """
        with suppress(NameTaken):
            self._publish(self._folders.page(claim, rejected=rejected), page)

    def publish_changed(self, claim: Claim, digest: str, content: Content, note: bytes) -> Path:
        """Publish an original whose writer went on writing, and a note beside it.

        Args:
            claim: its claim.
            digest: SHA-256 of the content, hex.
            content: what is in it now.
            note: what happened.

        Returns:
            Where it lies.

        Raises:
            NameTaken: something else has the name of one of them.
            FolderTrouble: they cannot be written.
        """
        target = self._folders.changed(claim, digest)
        self._publish(target.with_name(f"{target.name}.txt"), note)
        return self._publish(target, content)

    def publish_receipt(self, claim: Claim, receipt: Content) -> Path:
        """Put a claim's receipt into the archive.

        Returns:
            Where it lies.

        Raises:
            NameTaken: something else has its name.
            FolderTrouble: it cannot be written, or the folder of the day cannot be trusted.
        """
        return self._archive(self._folders.archived_receipt(claim), receipt, aside_in_day=True)

    def receipt(self, claim: Claim) -> bytes | None:
        """Return a claim's receipt from the archive.

        People can put files there. So only what nobody but this user can have written counts as a receipt.

        Returns:
            The receipt; None if there is none.

        Raises:
            FolderTrouble: it cannot be read.
        """
        with self._archived(self._folders.archived_receipt(claim)) as file:
            if file is None:
                return None
            facts = os.fstat(file.fileno())
            if facts.st_uid != os.geteuid() or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return None
            content = file.read(_LONGEST_RECEIPT + 1)
            return None if len(content) > _LONGEST_RECEIPT else content

    def is_archived(self, claim: Claim, digest: str) -> bool:
        """Return True if a claim's original is in the archive.

        Args:
            claim: the claim.
            digest: SHA-256 of the original, hex.

        Raises:
            FolderTrouble: the archive cannot be read.
        """
        with self._archived(self._folders.archived(claim)) as file:
            return file is not None and hashlib.file_digest(file, "sha256").hexdigest() == digest

    def archive(self, claim: Claim, content: Content | None) -> Path:
        """Put the content of a claim's original into the archive, beside its receipt.

        Args:
            claim: the claim.
            content: the original's content; None if it is gone.

        Returns:
            Where it lies.

        Raises:
            NameTaken: something else has its name.
            FolderTrouble: it cannot be written, or the folder of the day cannot be trusted.
        """
        target = self._folders.archived(claim)
        return target if content is None else self._archive(target, content)

    @contextmanager
    def _archived(self, path: Path) -> Iterator[BufferedReader | None]:
        """Open a file of the archive to read it; None if it is not there, or is no regular file."""
        with self._calls.at(path), ExitStack() as stack:
            file = None
            with suppress(FileNotFoundError):
                folder = stack.enter_context(opened(self._folders.archive))
                for part in path.parent.relative_to(folder.path).parts:
                    folder = stack.enter_context(folder.enter(part))
                file = stack.enter_context(folder.reading(path.name))
            yield file

    def _archive(self, target: Path, content: Content, *, aside_in_day: bool = False) -> Path:
        """Put a file into the archive's folder of a day.

        A system makes and names the files of one folder one after the other, and on a share each takes a while. So of
        the two files of a claim one is written aside in the day's folder, and the other in the archive itself.
        """
        with (
            self._calls.at(target),
            self._stages.folder(self._folders.archive) as archive,
            self._day(archive, target.parent) as day,
        ):
            put_new(day, target.name, content, rights=_ARCHIVED, aside=day if aside_in_day else archive)
            # If the file was there already, this very sync may be what failed at the last attempt.
            self._stages.sync(day)
        return target

    def _publish(self, target: Path, content: Content) -> Path:
        with self._calls.at(target), self._stages.folder(target.parent) as folder:
            put_new(folder, target.name, content)
            # As above.
            self._stages.sync(folder)
        return target

    @contextmanager
    def _day(self, archive: OpenFolder, day: Path) -> Iterator[OpenFolder]:
        """Open the archive's folder of a day; make what is missing of it."""
        with ExitStack() as stack:
            folder = archive
            for part in day.relative_to(archive.path).parts:
                folder = self._enter(stack, folder, part)
            yield folder

    def _enter(self, stack: ExitStack, parent: OpenFolder, name: str) -> OpenFolder:
        """Open a folder of the archive, and make it if it is missing.

        A link that stands in its place is not followed, and a folder of another user is not used.
        """
        if self._stages.is_open(parent.path / name):
            return stack.enter_context(self._stages.inner(parent, name))
        with self._making:
            # Nobody uses a folder that another thread has made and not brought to disk yet.
            try:
                folder = stack.enter_context(self._stages.inner(parent, name))
            except FileNotFoundError:
                if parent.make(name, _DAY_MODE):
                    _sync_made(parent, name)
                folder = stack.enter_context(self._stages.inner(parent, name))
        owner = os.fstat(folder.descriptor).st_uid
        if owner not in (os.geteuid(), 0, os.fstat(parent.descriptor).st_uid):
            mend = "Move it somewhere else; the daemon makes its own"
            raise FolderTrouble(f"{folder.path} belongs to another user", mend)
        return folder

    def _sweep(self, folder: OpenFolder) -> None:
        for name in folder.names():
            if is_aside(name) or _EARLIER_ASIDE.fullmatch(name):
                self._sweep_one(folder, name)

    def _sweep_one(self, folder: OpenFolder, name: str) -> None:
        with suppress(FileNotFoundError):
            facts = folder.facts(name)
            owned = facts.st_uid in (os.geteuid(), os.fstat(folder.descriptor).st_uid)
            if stat.S_ISREG(facts.st_mode) and owned and facts.st_mtime < self._began:
                folder.unlink(name)


def _sync_made(parent: OpenFolder, name: str) -> None:
    """Bring a folder that was made a moment ago to disk."""
    try:
        parent.sync()
    except OSError:
        # A folder that is there counts as synced. So it goes, and the next attempt makes and syncs it again.
        parent.rmdir(name)
        raise
