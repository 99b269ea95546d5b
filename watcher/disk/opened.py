"""Folders that are open: the names in them are used by a descriptor, so that nobody can exchange the folder meanwhile.

No link is followed, neither in the place of the folder nor in that of a file in it (openat(2)).
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

_ASIDE = re.compile(r"\.payment-watcher-[0-9a-f]{8}\.tmp")
# The answers to an open that follows no link and finds no file (open(2)).
_NO_FILE = (errno.ELOOP, errno.ENXIO, errno.ENODEV)
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
# Network and FUSE file systems may not know the sync of a folder.
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)


def aside_name() -> str:
    """Return a name that nobody knows beforehand, for a file that is still being written."""
    return f".payment-watcher-{secrets.token_hex(4)}.tmp"


def is_aside(name: str) -> bool:
    """Return True if a file of this name was still being written."""
    return _ASIDE.fullmatch(name) is not None


def kind_of(facts: os.stat_result) -> str:
    """Return what has a name, in words."""
    if stat.S_ISREG(facts.st_mode):
        return "a file"
    if stat.S_ISLNK(facts.st_mode):
        return "a link"
    if stat.S_ISDIR(facts.st_mode):
        return "a folder"
    if stat.S_ISFIFO(facts.st_mode):
        return "a named pipe"
    return "a device or socket"


class OpenFolder:
    """A folder that is open.

    Attributes:
        path: where it is; errors name it.
        descriptor: by which it is used.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    @contextmanager
    def enter(self, name: str) -> Iterator[OpenFolder]:
        """Open a folder in it.

        Raises:
            OSError: it is not there, or is a link or no folder.
        """
        with self._at(name):
            descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self.descriptor)
        try:
            yield OpenFolder(self.path / name, descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def reading(self, name: str) -> Iterator[BufferedReader | None]:
        """Open a file in it. A link is not followed, and a pipe without a writer does not block.

        Yields:
            The file; None if something other than a regular file has the name.

        Raises:
            OSError: it cannot be opened.
        """
        with self._file(name) as found:
            if found is None:
                yield None
            else:
                with open(found[0], "rb", closefd=False) as file:
                    yield file

    def read(self, name: str, limit: int) -> tuple[os.stat_result, bytes | None] | None:
        """Read a file in it whole, as ``reading`` does.

        Args:
            name: the file's name.
            limit: the content of a larger file is not read (bytes).

        Returns:
            What the system says of the file, and its content; None in place of a content beyond the limit. None if
            something other than a regular file has the name.

        Raises:
            OSError: it cannot be read.
        """
        with self._file(name) as found:
            if found is None:
                return None
            descriptor, facts = found
            with self._at(name):
                return facts, _content(descriptor, facts.st_size, limit)

    @contextmanager
    def _file(self, name: str) -> Iterator[tuple[int, os.stat_result] | None]:
        """Open a regular file; yield its descriptor and what the system says of it, None if it is none."""
        try:
            with self._at(name):
                descriptor = os.open(name, _READING, dir_fd=self.descriptor)
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            yield None
            return
        try:
            facts = os.fstat(descriptor)
            yield (descriptor, facts) if stat.S_ISREG(facts.st_mode) else None
        finally:
            os.close(descriptor)

    def create(self, name: str, mode: int) -> int:
        """Make a file that is not there yet; return the descriptor by which it is written.

        Raises:
            OSError: it cannot be made, or something has the name.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with self._at(name):
            return os.open(name, flags, mode, dir_fd=self.descriptor)

    def facts(self, name: str) -> os.stat_result:
        """Look at a name in it, without following a link.

        Raises:
            OSError: nothing has the name, or it cannot be looked at.
        """
        with self._at(name):
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)

    def names(self) -> list[str]:
        """List the names in it, sorted.

        Raises:
            OSError: it cannot be read.
        """
        with self._at(""), os.scandir(self.descriptor) as entries:
            return sorted(entry.name for entry in entries)

    def make(self, name: str, mode: int) -> bool:
        """Make a folder in it. Return False if something has the name.

        Raises:
            OSError: it cannot be made.
        """
        with self._at(name), suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=self.descriptor)
            return True
        return False

    def unlink(self, name: str) -> None:
        """Remove a file in it, if it is there.

        Raises:
            OSError: it cannot be removed.
        """
        with self._at(name), suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)

    def rmdir(self, name: str) -> None:
        """Remove an empty folder in it.

        Raises:
            OSError: it cannot be removed.
        """
        with self._at(name):
            os.rmdir(name, dir_fd=self.descriptor)

    def replace(self, name: str, new: str) -> None:
        """Rename a file in it; what has the new name is replaced.

        Raises:
            OSError: it cannot be renamed.
        """
        with self._at(new):
            os.replace(name, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def move(self, name: str, folder: OpenFolder) -> None:
        """Move a file out of it into another folder, where nothing has its name.

        Raises:
            OSError: it is not there, or cannot be moved.
        """
        with self._at(name):
            os.rename(name, name, src_dir_fd=self.descriptor, dst_dir_fd=folder.descriptor)

    def sync(self) -> None:
        """Bring the names in it to disk, where its file system knows such a call.

        Raises:
            OSError: that is not possible.
        """
        try:
            with self._at(""):
                os.fsync(self.descriptor)
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise

    @contextmanager
    def _at(self, name: str) -> Iterator[None]:
        """Let an error name the whole path. A name that nobody knows is left out."""
        try:
            yield
        except OSError as error:
            path = self.path if not name or is_aside(name) else self.path / name
            raise OSError(error.errno, error.strerror, str(path)) from error


def _content(descriptor: int, size: int, limit: int) -> bytes | None:
    """Return what an open file holds; None if that is more than the limit (bytes).

    A file of the size that it had is at its end after one call: the server is not asked once more.
    """
    if size > limit:
        return None
    pieces = [os.read(descriptor, size + 1)]
    length = len(pieces[0])
    while length != size and length <= limit:
        pieces.append(os.read(descriptor, limit + 1 - length))
        length += len(pieces[-1])
        if not pieces[-1]:
            break
    return b"".join(pieces) if length <= limit else None


@contextmanager
def opened(folder: Path, *, follow: bool = False) -> Iterator[OpenFolder]:
    """Open a folder.

    Args:
        folder: the folder.
        follow: it may be a link to a folder.

    Raises:
        OSError: it is not there, or is a link or no folder.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | (0 if follow else os.O_NOFOLLOW))
    try:
        yield OpenFolder(folder, descriptor)
    finally:
        os.close(descriptor)
