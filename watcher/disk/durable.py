"""Files that survive a power cut, are never seen half written, and never replace another one by mistake.

A file is synced before it gets its final name, so that a name never stands for half a file. Its folder is synced after
that, so that the name is on disk before the next step relies on it (rename(2), fsync(2)).
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from watcher.disk.hanging import FolderCalls
from watcher.errors import FolderTrouble

# The answers of a file system that cannot make this link; the file is then renamed or copied instead (link(2)).
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK)


def sync_file(path: Path) -> None:
    """Bring a file's content to disk.

    Raises:
        OSError: that is not possible.
    """
    _sync(path, os.O_RDONLY)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk.

    Network and FUSE file systems may not know this call. Nothing more can be done there, so that is no error.

    Raises:
        OSError: that is not possible.
    """
    try:
        _sync(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise


@contextmanager
def reading(path: Path) -> Iterator[BufferedReader | None]:
    """Open a file to read it. A link is not followed, and a pipe without a writer does not block.

    Yields:
        The file; None if something other than a regular file has the name.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = _open_no_link(path)
    if descriptor is None:
        yield None
        return
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            with open(descriptor, "rb", closefd=False) as file:
                yield file
        else:
            yield None
    finally:
        os.close(descriptor)


def place(aside: Path, target: Path) -> bool:
    """Give a finished file its final name. Another file of that name is never replaced.

    Where the file system knows links, the file keeps its first name, too. Elsewhere the file is renamed after a check
    that the name is free. That check is enough in a folder where only this process writes such names.

    Args:
        aside: the file.
        target: its final name.

    Returns:
        False if the name is taken.

    Raises:
        OSError: the name cannot be given.
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


def write_new(target: Path, content: bytes | Path, aside: Path) -> None:
    """Write a file that must not replace another one. It is no error if the same content is there already.

    Args:
        target: its final name.
        content: its content, or a file that is copied.
        aside: the name beside the target under which it is written; the same at every attempt.

    Raises:
        FolderTrouble: a file with other content has the name.
        OSError: it cannot be written.
    """
    if target.exists():
        _check_same(target, content)
        aside.unlink(missing_ok=True)
    else:
        with aside.open("wb") as file:
            _fill(file, content)
            file.flush()
            os.fsync(file.fileno())
        if not place(aside, target):
            _check_same(target, content)
        aside.unlink(missing_ok=True)
    # If the file was there already, this very sync may be what failed at the last attempt.
    sync_folder(target.parent)


def link_new(source: Path, target: Path, aside: Path) -> None:
    """Give a file that is on disk a second name; where links do not work, copy it. Another file is never replaced.

    The caller syncs the target's folder.

    Args:
        source: the file.
        target: its second name.
        aside: the name beside the target under which a copy is written.

    Raises:
        FolderTrouble: a file with other content has the name.
        OSError: the name cannot be given.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        _check_same(target, source)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            # The system names the source of the link, but the target's folder is what refuses it.
            raise OSError(error.errno, error.strerror, str(target.parent)) from error
        write_new(target, source, aside)
    # An earlier attempt may have begun a copy.
    aside.unlink(missing_ok=True)


def write_whole(target: Path, content: bytes) -> None:
    """Write a file that may replace an earlier one; nobody ever sees it half written.

    Raises:
        FolderTrouble: it cannot be written there.
    """
    aside = target.with_name(f".payment-watcher-{secrets.token_hex(4)}.tmp")
    with FolderCalls().at(target):
        try:
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
        sync_folder(target.parent)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_no_link(path: Path) -> int | None:
    """Return a descriptor; None for a link (ELOOP) and for a socket or device that cannot be opened (ENXIO)."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return None
        raise


def _check_same(target: Path, content: bytes | Path) -> None:
    expected = content if isinstance(content, bytes) else content.read_bytes()
    if target.read_bytes() != expected:
        raise FolderTrouble(
            f"{target} is there already with other content, and nothing is overwritten",
            "Move that file somewhere else; the work goes on by itself",
        )


def _fill(file: BinaryIO, content: bytes | Path) -> None:
    if isinstance(content, bytes):
        file.write(content)
    else:
        with content.open("rb") as source:
            shutil.copyfileobj(source, file)
