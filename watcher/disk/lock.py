"""Lock files, which keep a second process out, and who holds them."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from watcher.disk.durable import Rights, put_new, put_over, reading
from watcher.disk.opened import aside_name, opened
from watcher.errors import FolderTrouble, Occupied

# The answers of a file system without locks, such as a share without a lock manager (flock(2), nfs(5)).
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
# Whoever can open a lock file can hold it (flock(2)). So in a folder of others nobody else can open it.
_PRIVATE = Rights(0o600, exact=True)
# What is read of a lock file at most (bytes).
_LONGEST_SIGNATURE = 300
_NAMELESS = "a process that left no name"


class Hold:
    """A lock file that this process holds. It is false if the file system has no locks.

    Attributes:
        file: the lock file.
        locked: False if the file system has no locks.
    """

    def __init__(self, file: Path, *, locked: bool, signature: bytes) -> None:
        """Take in how the file looks now.

        Args:
            file: the lock file.
            locked: False if the file system has no locks.
            signature: what this process wrote into it.
        """
        self.file = file
        self.locked = locked
        self._signature = signature
        self._identity = _identity(file)

    def __bool__(self) -> bool:
        return self.locked

    def lasts(self) -> bool:
        """Return True if the lock file is still the one that is held, and no other has taken its place.

        Some mounts give a file another inode number at every look. There the signature tells.
        """
        if self._identity is not None and self._identity == _identity(self.file):
            return True
        return self.locked and _read(self.file) == self._signature


@contextmanager
def holding(file: Path, *, own: bool = False) -> Iterator[Hold]:
    """Hold a lock file for this process alone. The lock ends with the process, even if that is killed.

    Args:
        file: the lock file. It is made if it is missing; its folder must exist.
        own: others can write to its folder. Only a regular file of this user counts there as a lock file; anything else
            under its name is replaced.

    Yields:
        The hold; it is false if the file system has no locks.

    Raises:
        Occupied: another process holds the lock.
        FolderTrouble: the lock file cannot be made.
    """
    try:
        # FileLock would make a missing folder, but a missing folder means that a share is not mounted.
        file.parent.stat()
        owner = _make_own(file) if own else None
    except OSError as error:
        raise FolderTrouble.at(Path(error.filename or file.parent), error) from error
    now = datetime.now(UTC).isoformat(timespec="seconds")
    signature = f"process {os.getpid()} on {socket.gethostname()} since {now}\n".encode()

    def sign(descriptor: int) -> None:
        facts = os.fstat(descriptor)
        if owner is not None and not (stat.S_ISREG(facts.st_mode) and facts.st_uid == owner):
            # Somebody has exchanged it since it was looked at. The next attempt replaces it again.
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(file))
        # On a full disk the lock is held without a name.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, signature, 0)

    lock = FileLock(file, blocking=False, fallback_to_soft=False, on_acquired=sign)
    try:
        lock.acquire()
    except Timeout as error:
        raise Occupied(file, _signature(file)) from error
    except (OSError, NotImplementedError) as error:
        number = error.errno if isinstance(error, OSError) else errno.ENOSYS
        if number not in _NO_LOCKS:
            lock.release()
            raise FolderTrouble.at(file, OSError(number, "")) from error
    try:
        yield Hold(file, locked=lock.is_locked, signature=signature)
    finally:
        lock.release()


def holder(file: Path) -> str | None:
    """Return who holds a lock file; None if nobody does."""
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        with FileLock(file, blocking=False, fallback_to_soft=False):
            return None
    except (Timeout, OSError):
        # It is held, or this user may not try it: the last signature is the best answer.
        return _signature(file)


def lock_file(path: Path) -> Path:
    """Return the lock file of the inbox's marker or of a journal: it lies beside it and has ``.lock`` added."""
    return path.with_name(f"{path.name}.lock")


def _make_own(file: Path) -> int:
    """Make sure that a lock file is a regular file of this user that nobody else can open; return this user's id.

    Raises:
        FolderTrouble: a folder has its name.
        OSError: that is not possible.
    """
    with opened(file.parent) as folder:
        try:
            facts = folder.facts(file.name)
        except FileNotFoundError:
            put_new(folder, file.name, b"", rights=_PRIVATE)
            # The mount says whose the files of this process are: some shares know users of their own.
            return folder.facts(file.name).st_uid
        if stat.S_ISDIR(facts.st_mode):
            raise FolderTrouble(f"{file} is a folder", "Remove it")
        regular, owner = stat.S_ISREG(facts.st_mode), os.geteuid()
        if regular and facts.st_uid != owner:
            name = aside_name()
            os.close(folder.create(name, _PRIVATE.mode))
            owner = folder.facts(name).st_uid
            folder.unlink(name)
        if not regular or facts.st_uid != owner:
            put_over(folder, file.name, b"", _PRIVATE)
        elif facts.st_mode & 0o077:
            with suppress(OSError):
                os.chmod(file.name, _PRIVATE.mode, dir_fd=folder.descriptor)
        return owner


def _identity(file: Path) -> tuple[int, int] | None:
    """Return what tells a file from another of its name; None where there is none."""
    try:
        facts = file.lstat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _read(file: Path) -> bytes:
    """Return the beginning of a lock file; nothing if it cannot be read."""
    with suppress(OSError), reading(file) as opened_file:
        if opened_file is not None:
            return opened_file.read(_LONGEST_SIGNATURE)
    return b""


def _signature(file: Path) -> str:
    """Return what the holder wrote into its lock file."""
    text = _read(file).decode("utf-8", "replace")
    return re.sub(r"[^ -~]+", " ", text).strip() or _NAMELESS
