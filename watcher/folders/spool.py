"""The folders of claimed and finished files: every rename and every published file. Nobody else writes there.

A file's way is ``inbox/name`` → ``work/<claim>/name`` → ``archive/yyyy/mm/dd/name__<claim>``, each step one rename or
link. In between its receipt is written as ``work/<claim>.receipt.json``, and once that is there the results are
published. Nothing is ever overwritten. Every step can be repeated: a published file that is there already with the
same bytes is done, and one that has moved on is no longer where it was.

What rests on which sync: a file is synced before it gets its final name, so that a name never stands for half a file;
the folder is synced after that, so that the name is there before the step that relies on it (rename(2), fsync(2)).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from watcher.claim import Claim, ReadyFile
from watcher.disk.durable import sync_folder
from watcher.errors import FolderTrouble

_CLAIM = re.compile(r"\d{8}T\d{6}Z_[0-9a-f]{8}")
# The limit of a file name on every file system that matters here, bytes (Linux NAME_MAX).
_LONGEST_NAME = 255
# What is longer is no file type but a dot somewhere in a name, bytes.
_LONGEST_SUFFIX = 20
# A disk with less than both of these left is nearly full: bytes, and the share of its size.
_LITTLE_BYTES = 1 << 30
_LITTLE_SHARE = 0.05
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK)


class Changed(Exception):
    """A file was no longer what had settled when it was taken; it is back in the inbox or gone."""


@dataclass(frozen=True, slots=True)
class Folders:
    """The five folders; all of them exist."""

    inbox: Path
    work: Path
    success: Path
    fail: Path
    archive: Path


class Spool:
    """Moves files through the folders."""

    def __init__(
        self, folders: Folders, touching: Callable[[Path], AbstractContextManager[None]] = lambda _path: nullcontext()
    ) -> None:
        """Touch nothing yet.

        Args:
            folders: where files come from and go to.
            touching: within it calls on a folder are made, so that one that hangs is noticed.
        """
        self.folders = folders
        # The claims of this process, as against those of an earlier one.
        self.made: set[str] = set()
        self._touching = touching

    @contextmanager
    def _at(self, path: Path) -> Iterator[None]:
        with _trouble(path), self._touching(path):
            yield

    def check(self) -> None:
        """Make sure that every folder is there, before anything is taken.

        Raises:
            FolderTrouble: one is missing.
        """
        for folder in (self.folders.work, self.folders.success, self.folders.fail, self.folders.archive):
            with self._at(folder):
                folder.stat()

    def nearly_full(self) -> Iterator[tuple[Path, int]]:
        """Yield the folders, one a disk, whose disks are nearly full, with the bytes that are left."""
        seen = set()
        for folder in (self.folders.work, self.folders.success, self.folders.fail, self.folders.archive):
            with self._at(folder):
                disk = folder.stat().st_dev
                space = shutil.disk_usage(folder)
            if disk not in seen and space.free < min(_LITTLE_BYTES, space.total * _LITTLE_SHARE):
                yield folder, space.free
            seen.add(disk)

    # --- claiming ----------------------------------------------------------------------------------------------

    def claimed(self) -> list[Claim]:
        """List the files in work, in the order of claiming.

        Raises:
            FolderTrouble: work cannot be read.
        """
        return [claim for claim in self.claimed_names() if not self._was_put_back(claim)]

    def claimed_names(self) -> list[Claim]:
        """List what lies in work as it is, and change nothing, for those who only look."""
        return [Claim(folder.name, names[0]) for folder, names in self._places() if names]

    def _was_put_back(self, claim: Claim) -> bool:
        """Finish what a crash left of putting a file back: it has a name in the inbox again, and still one in work."""
        held, source = self._held(claim), self.folders.inbox / claim.name
        with self._at(held):
            if held.lstat().st_nlink == 1:
                return False
            facts = held.lstat()
            for place in (source, self._other_name(source, claim)):
                with suppress(FileNotFoundError):
                    if os.path.samestat(place.lstat(), facts):
                        held.unlink()
                        return True
        return False

    def emptied(self) -> list[str]:
        """Give the ids of claims whose file has left work but whose place there has not been cleared yet."""
        return [folder.name for folder, names in self._places() if not names]

    def _places(self) -> list[tuple[Path, list[str]]]:
        with self._at(self.folders.work):
            return [
                (folder, [entry.name for entry in folder.iterdir()])
                for folder in sorted(self.folders.work.iterdir())
                if _CLAIM.fullmatch(folder.name) and folder.is_dir()
            ]

    def claim(self, ready: ReadyFile, now: datetime) -> Claim:
        """Take a file from the inbox.

        Args:
            ready: the file as it settled.
            now: aware; gives the claim its id.

        Raises:
            Changed: it is gone, or it was not any more what had settled and was put back.
            FolderTrouble: inbox or work cannot be used; the file stays where it is.
        """
        with self._at(self.folders.work):
            claim = Claim(self._next_id(now), ready.name)
            self.made.add(claim.id)
            folder = self.folders.work / claim.id
            folder.mkdir()
            sync_folder(self.folders.work)
        source, target = self.folders.inbox / ready.name, folder / ready.name
        with self._at(self.folders.inbox):
            try:
                source.rename(target)
            except FileNotFoundError as error:
                folder.rmdir()
                self.folders.inbox.stat()
                raise Changed("it was taken away") from error
            sync_folder(folder)
            sync_folder(self.folders.inbox)
            if not _is_still(target, ready):
                self._put_back(target, source, claim)
                raise Changed("it was changed while it was taken")
        return claim

    def _put_back(self, target: Path, source: Path, claim: Claim) -> None:
        if not _place(target, source):
            # Its name has been taken again: both files wait in the inbox, none replaces the other.
            _place(target, self._other_name(source, claim))
        target.unlink(missing_ok=True)
        target.parent.rmdir()

    def _other_name(self, source: Path, claim: Claim) -> Path:
        return source.with_name(_named(source.name, claim.id))

    def _next_id(self, now: datetime) -> str:
        """Give a claim id that sorts after every claim in work, even if the clock was set back meanwhile."""
        now = now.astimezone(UTC)
        # Microseconds in five hex digits, three of chance: ids of one second sort by time, two daemons' differ.
        fresh = f"{now:%Y%m%dT%H%M%SZ}_{now.microsecond:05x}{secrets.token_hex(2)[:3]}"
        latest = max(
            (folder.name for folder in self.folders.work.iterdir() if _CLAIM.fullmatch(folder.name)),
            default="",
        )
        if fresh > latest:
            return fresh
        stamp, _, counter = latest.partition("_")
        return f"{stamp}_{int(counter, 16) + 1:08x}"

    def read(self, claim: Claim, limit: int | None = None) -> bytes | None:
        """Give a claimed file's content; None if it is larger than the limit.

        Raises:
            FolderTrouble: it cannot be read.
        """
        path = self._held(claim)
        with self._at(path):
            return None if limit is not None and path.stat().st_size > limit else path.read_bytes()

    def size(self, claim: Claim) -> int:
        """Give the size of a claimed file, bytes.

        Raises:
            FolderTrouble: it cannot be looked at.
        """
        path = self._held(claim)
        with self._at(path):
            return path.stat().st_size

    def digest(self, claim: Claim) -> str:
        """Give the SHA-256 of a claimed file, hex, whatever its size."""
        path = self._held(claim)
        with self._at(path), path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    # --- again -------------------------------------------------------------------------------------------------

    def results_named(self, name: str) -> list[Path]:
        """Find the fail files, or else the archived originals, of a name: with its claim, or as it was in the inbox.

        Raises:
            FolderTrouble: the folders cannot be read.
        """
        for folder, pattern in ((self.folders.fail, "*"), (self.folders.archive, "*/*/*/*")):
            with self._at(folder):
                found = [
                    path
                    for path in folder.glob(pattern)
                    if claim_in(path.name) and not path.name.endswith((".receipt.json", ".error.txt", ".tmp"))
                    if name in (path.name, _without_claim(path.name))
                ]
            if found:
                return sorted(found, key=lambda path: claim_in(path.name) or "")
        return []

    def requeue(self, path: Path) -> Path:
        """Put a file of the fail outbox, which leaves it, or a copy of an archived one back into the inbox.

        Returns:
            Where it lies now. Its name goes on bearing the claim, which tells that this one has been tried again.

        Raises:
            FolderTrouble: another file of that name waits there, or a folder cannot be used.
        """
        target = self.folders.inbox / path.name
        self._publish(target, path, Claim(claim_in(path.name) or "", target.name))
        if path.parent == self.folders.fail:
            with self._at(path):
                path.unlink()
                path.with_name(f"{path.stem}.error.txt").unlink(missing_ok=True)
                sync_folder(path.parent)
        return target

    # --- in time -----------------------------------------------------------------------------------------------

    def published(self, folder: Path) -> list[tuple[str, Path]]:
        """List the published files of an outbox, or of the archive, each with its claim; notes and receipts, too.

        Raises:
            FolderTrouble: it cannot be read.
        """
        with self._at(folder):
            pattern = "*/*/*/*" if folder == self.folders.archive else "*"
            return [(claim, path) for path in sorted(folder.glob(pattern)) if (claim := claim_in(path.name))]

    def remove(self, path: Path) -> None:
        """Remove a published file, and the archive's folders that are empty without it; FolderTrouble if it stays."""
        with self._at(path):
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if self.folders.archive not in folder.parents or any(folder.iterdir()):
                    break
                folder.rmdir()

    # --- publishing --------------------------------------------------------------------------------------------

    def decide(self, claim: Claim, receipt: bytes) -> None:
        """Keep a claim's receipt in work until the archive has it; FolderTrouble where that cannot be."""
        self._publish(self._decision(claim.id), receipt, claim)

    def decided(self, claim_id: str) -> bytes | None:
        """Give the receipt of a claim in work; None before it is decided.

        Raises:
            FolderTrouble: it cannot be read.
        """
        return self._kept(self._decision(claim_id))

    def keep_document(self, claim: Claim, content: bytes) -> None:
        """Keep the payment document made of a claimed file until it is archived; FolderTrouble where that cannot be."""
        self._publish(self._document(claim.id), content, claim)

    def document(self, claim_id: str) -> bytes | None:
        """Give the payment document made of a claimed file; None where the file is one itself.

        Raises:
            FolderTrouble: it cannot be read.
        """
        return self._kept(self._document(claim_id))

    def _kept(self, path: Path) -> bytes | None:
        with self._at(path), suppress(FileNotFoundError):
            content = path.read_bytes()
            # A killed process may have named it without its name being on disk yet; what follows relies on it.
            sync_folder(path.parent)
            return content
        return None

    def publish_success(self, claim: Claim, content: bytes) -> Path:
        """Publish the success file of a claim; FolderTrouble where that cannot be."""
        return self._publish(self.folders.success / _named(claim.name, claim.id), content, claim)

    def publish_fail(self, claim: Claim, content: bytes) -> Path:
        """Publish the fail file of a claim; FolderTrouble where that cannot be."""
        return self._publish(self.folders.fail / _named(claim.name, claim.id), content, claim)

    def publish_refusal(self, claim: Claim, note: bytes) -> Path:
        """Publish a refused file, byte for byte, and the note beside it; FolderTrouble where that cannot be."""
        self._publish(self.folders.fail / _named(claim.name, claim.id, ".error.txt"), note, claim)
        return self._publish(self.folders.fail / _named(claim.name, claim.id), self._held(claim), claim)

    def archive(self, claim: Claim) -> Path:
        """Put a decided claim's receipt and then its original into the archive; FolderTrouble where that cannot be."""
        folder = self.folders.archive / f"{claim.claimed_at:%Y/%m/%d}"
        with self._at(self.folders.archive):
            self._make_day(folder)
        self._keep(self._decision(claim.id), folder / _named(claim.name, claim.id, ".receipt.json"), claim)
        held = self._held(claim)
        target = self._keep(held, folder / _named(claim.name, claim.id), claim)
        with self._at(target):
            sync_folder(folder)
        with self._at(held):
            held.unlink()
            sync_folder(held.parent)
        return target

    def _keep(self, source: Path, target: Path, claim: Claim) -> Path:
        """Give a file in work, which is on disk, a name in the archive, too."""
        with self._at(target):
            try:
                os.link(source, target, follow_symlinks=False)
            except FileExistsError:
                self._check_same(target, source)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    # Of a link the system names its source; what refuses it is the folder that it is made in.
                    raise OSError(error.errno, error.strerror, str(target.parent)) from error
                self._publish(target, source, claim)
            _aside(target, claim.id).unlink(missing_ok=True)
        return target

    def clear(self, claim_id: str) -> None:
        """Remove what was kept for an archived claim, and its empty place, from work."""
        self.made.discard(claim_id)
        with self._at(self.folders.work), suppress(FileNotFoundError):
            for kept in (self._decision(claim_id), self._document(claim_id)):
                for path in (_aside(kept, claim_id), kept):
                    path.unlink(missing_ok=True)
            (self.folders.work / claim_id).rmdir()

    def published_name(self, claim: Claim) -> str:
        """Give the name under which a claim's files stand in the outboxes."""
        return _named(claim.name, claim.id)

    def _decision(self, claim_id: str) -> Path:
        return self.folders.work / f"{claim_id}.receipt.json"

    def _document(self, claim_id: str) -> Path:
        return self.folders.work / f"{claim_id}.payments.xml"

    def _held(self, claim: Claim) -> Path:
        return self.folders.work / claim.id / claim.name

    def _make_day(self, folder: Path) -> None:
        """Make the archive's folder of a day; the archive itself must be there."""
        missing = [part for part in (folder, *folder.parents) if not part.exists()]
        if self.folders.archive in missing:
            raise FileNotFoundError(errno.ENOENT, "No such folder")
        for part in reversed(missing):
            part.mkdir(exist_ok=True)
            try:
                sync_folder(part.parent)
            except OSError:
                # Made and synced again at the next attempt.
                part.rmdir()
                raise

    def _publish(self, target: Path, content: bytes | Path, claim: Claim) -> Path:
        """Give a file its final name once it is whole and on disk; the same file again is no fault."""
        aside = _aside(target, claim.id)
        with self._at(target):
            if target.exists():
                self._check_same(target, content)
                aside.unlink(missing_ok=True)
                # The sync after the name was given may be what failed the last time.
                sync_folder(target.parent)
                return target
            with aside.open("wb") as file:
                _fill(file, content)
                file.flush()
                os.fsync(file.fileno())
            if not _place(aside, target):
                self._check_same(target, content)
            aside.unlink(missing_ok=True)
            sync_folder(target.parent)
        return target

    def _check_same(self, target: Path, content: bytes | Path) -> None:
        expected = content if isinstance(content, bytes) else content.read_bytes()
        if target.read_bytes() != expected:
            raise FolderTrouble(
                f"{target} is there already with other content, and nothing is overwritten",
                "Move that file somewhere else; the work goes on by itself",
            )


def claim_in(name: str) -> str | None:
    """Give the id of the claim that a published file's name bears; None if it bears none."""
    found = re.search(rf"__({_CLAIM.pattern})(?:\.|$)", name)
    return found[1] if found else None


def _without_claim(name: str) -> str:
    return re.sub(rf"__{_CLAIM.pattern}(?=\.[^.]*$|$)", "", name)


def write_whole(target: Path, content: bytes) -> None:
    """Write a file that may replace an earlier one, so that it is never seen half written.

    Raises:
        FolderTrouble: it cannot be written there.
    """
    aside = target.with_name(f".payment-watcher-{secrets.token_hex(4)}.tmp")
    with _trouble(target):
        try:
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
        sync_folder(target.parent)


def probe(folder: Path) -> None:
    """Create, rename and delete a file in a folder, as work will; OSError says what is not possible."""
    name = folder / f".payment-watcher-probe-{secrets.token_hex(4)}"
    renamed = name.with_suffix(".renamed")
    try:
        name.write_bytes(b"probe")
        name.rename(renamed)
    finally:
        name.unlink(missing_ok=True)
        renamed.unlink(missing_ok=True)


def _aside(target: Path, claim_id: str) -> Path:
    """Give the name beside a target under which it is written; the same at every attempt."""
    kind = "receipt" if target.name.endswith(".receipt.json") else "note" if target.name.endswith(".txt") else "file"
    return target.parent / f".{claim_id}.{kind}.tmp"


def _named(name: str, claim_id: str, ending: str | None = None) -> str:
    """Give ``name__<claim>.xml`` for ``name.xml``.

    A name that already bears a claim, as a fail file dropped in again does, bears the new one instead. One that would
    be too long loses the end of its stem; the claim keeps it unique.
    """
    stem, suffix = os.path.splitext(name)  # noqa: PTH122  (Path would lose a trailing dot)
    if len(os.fsencode(suffix)) > _LONGEST_SUFFIX:
        stem, suffix = name, ""
    stem = re.sub(rf"__{_CLAIM.pattern}$", "", stem)
    tail = f"__{claim_id}{suffix if ending is None else ending}"
    room = _LONGEST_NAME - len(os.fsencode(tail))
    kept = os.fsdecode(os.fsencode(stem)[:room])
    while not stem.startswith(kept):
        # A letter of several bytes was cut in its middle.
        kept = kept[:-1]
    return kept + tail


def _is_still(path: Path, ready: ReadyFile) -> bool:
    """Compare a claimed file with what had settled: its size, and its content if that was read; sync it, too."""
    try:
        # Neither a link put in its place is followed nor does a pipe hold us up.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return False
        raise
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1 or facts.st_size != ready.size:
            return False
        with open(descriptor, "rb", closefd=False) as file:
            if ready.digest is not None and hashlib.file_digest(file, "sha256").hexdigest() != ready.digest:
                return False
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def _place(aside: Path, target: Path) -> bool:
    """Give a finished file its name without ever replacing another; False if the name is taken.

    The file keeps its first name too where links can be made; where they cannot, it is renamed after a look, which
    is enough in folders that only this process writes such names into.
    """
    try:
        os.link(aside, target, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if target.exists():
            return False
        aside.rename(target)
    return True


def _fill(file: BinaryIO, content: bytes | Path) -> None:
    if isinstance(content, bytes):
        file.write(content)
    else:
        with content.open("rb") as source:
            shutil.copyfileobj(source, file)


@contextmanager
def _trouble(path: Path) -> Iterator[None]:
    """Turn the system's refusals into an outage that names the place and what to do."""
    try:
        yield
    except OSError as error:
        raise FolderTrouble.at(Path(error.filename or path), error) from error
