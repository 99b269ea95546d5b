"""Lock files, which keep a second process out, and who holds them."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from watcher.errors import FolderTrouble, Occupied

# The answers of a file system without locks, such as a share without a lock manager (flock(2), nfs(5)).
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)


@contextmanager
def holding(file: Path) -> Iterator[bool]:
    """Hold a lock file for this process alone. The lock ends with the process, even if that is killed.

    Args:
        file: the lock file. It is made if it is missing; its folder must exist.

    Yields:
        True if the lock is held; False if the file system has no locks.

    Raises:
        Occupied: another process holds the lock.
        FolderTrouble: the lock file cannot be made.
    """
    try:
        # FileLock would make a missing folder, but a missing folder means that a share is not mounted.
        file.parent.stat()
    except OSError as error:
        raise FolderTrouble.at(file.parent, error) from error
    lock = FileLock(file, blocking=False, fallback_to_soft=False, on_acquired=_sign)
    try:
        lock.acquire()
    except Timeout as error:
        raise Occupied(file, _signature(file)) from error
    except (OSError, NotImplementedError) as error:
        number = error.errno if isinstance(error, OSError) else errno.ENOSYS
        if number not in _NO_LOCKS:
            raise FolderTrouble.at(file, OSError(number, "")) from error
    try:
        yield lock.is_locked
    finally:
        lock.release()


def holder(file: Path) -> str | None:
    """Return who holds a lock file; None if nobody does."""
    if not file.is_file():
        return None
    try:
        with FileLock(file, blocking=False, fallback_to_soft=False):
            return None
    except (Timeout, OSError):
        # It is held, or this user may not try it: the last signature is the best answer.
        return _signature(file)


def _signature(file: Path) -> str:
    """Return what the holder wrote into its lock file."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip() or "a process that left no name"
    except OSError:
        return "a process that left no name"


def _sign(descriptor: int) -> None:
    """Write into a lock file who holds it. On a full disk the lock is held without a name."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {now}\n".encode(), 0)


def lock_file(path: Path) -> Path:
    """Return the lock file of the inbox's marker or of a journal: it lies beside it and has ``.lock`` added."""
    return path.with_name(f"{path.name}.lock")
