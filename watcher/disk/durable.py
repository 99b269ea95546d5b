"""Files that survive a power cut, are never seen half written, and never replace another one by mistake.

A file is written aside, under a name that nobody knows beforehand. It is synced before it gets its final name, so that
a name never stands for half a file. Its folder is synced after that, so that the name is on disk before the next step
relies on it (rename(2), fsync(2)).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from watcher.disk.hanging import FolderCalls
from watcher.disk.naming import give_name
from watcher.disk.opened import OpenFolder, aside_name, kind_of, opened
from watcher.errors import NameTaken

_CHUNK = 1 << 20
# How often a name is tried that is taken at one moment and free at the next.
_ATTEMPTS = 3


class Made:
    """Content that is made in pieces, each time anew, so that a large file is never in memory as a whole."""

    def __init__(self, make: Callable[[], Iterator[bytes]]) -> None:
        """Make nothing yet.

        Args:
            make: yields the same bytes each time, in pieces of any size.
        """
        self._make = make

    def pieces(self) -> Iterator[bytes]:
        """Yield the content in pieces of about a mebibyte; none is empty."""
        gathered = bytearray()
        for piece in self._make():
            gathered += piece
            if len(gathered) >= _CHUNK:
                yield bytes(gathered)
                gathered.clear()
        if gathered:
            yield bytes(gathered)


# The content of a file: its bytes, an open file that is copied, or what is made of something else.
Content = bytes | BinaryIO | Made


@dataclass(frozen=True, slots=True)
class Rights:
    """Who may use a new file.

    Attributes:
        mode: its mode. The umask takes rights away from it.
        exact: the mode is set whatever the umask is, and the file gets the group of its folder. If root writes the
            file, it gets the folder's owner, too.
    """

    mode: int = 0o666
    exact: bool = False


_USUAL = Rights()


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk.

    Network and FUSE file systems may not know this call. Nothing more can be done there, so that is no error.

    Raises:
        OSError: that is not possible.
    """
    with opened(folder) as there:
        there.sync()


@contextmanager
def reading(path: Path) -> Iterator[BufferedReader | None]:
    """Open a file. A link is not followed, and a pipe without a writer does not block.

    Yields:
        The file; None if something other than a regular file has the name.

    Raises:
        OSError: it cannot be opened.
    """
    with opened(path.parent) as folder, folder.reading(path.name) as file:
        yield file


def write_new(target: Path, content: Content, rights: Rights = _USUAL) -> None:
    """Write a file that must not replace another one. It is no error if the same content is there already.

    Raises:
        NameTaken: something else has the name.
        OSError: it cannot be written.
    """
    with opened(target.parent) as folder:
        put_new(folder, target.name, content, rights=rights)
        # If the file was there already, this very sync may be what failed at the last attempt.
        folder.sync()


def put_new(
    folder: OpenFolder, name: str, content: Content, *, rights: Rights = _USUAL, aside: OpenFolder | None = None
) -> None:
    """Do what ``write_new`` does in a folder that is open. The caller syncs the folder.

    Args:
        folder: the folder.
        name: the file's name in it.
        content: its content.
        rights: who may use it.
        aside: the folder in which it is written aside; without one, the same folder.

    Raises:
        NameTaken: something else has the name.
        OSError: it cannot be written.
    """
    beside = folder if aside is None else aside
    written = _write_aside(beside, content, rights)
    placed = False
    try:
        placed = _place_once(beside, written, folder, name, content)
    finally:
        if not placed:
            with suppress(OSError):
                beside.unlink(written)


def put_over(folder: OpenFolder, name: str, content: bytes, rights: Rights = _USUAL) -> None:
    """Write a file that may replace what has its name; nobody ever sees it half written.

    Raises:
        OSError: it cannot be written.
    """
    written = _write_aside(folder, content, rights)
    replaced = False
    try:
        folder.replace(written, name)
        replaced = True
    finally:
        if not replaced:
            with suppress(OSError):
                folder.unlink(written)
    folder.sync()


def write_whole(target: Path, content: bytes) -> None:
    """Write a file that may replace an earlier one; nobody ever sees it half written.

    Raises:
        FolderTrouble: it cannot be written there.
    """
    with FolderCalls().at(target.parent), opened(target.parent, follow=True) as folder:
        put_over(folder, target.name, content)


def _write_aside(folder: OpenFolder, content: Content, rights: Rights) -> str:
    """Write and sync a file under a name that nobody knows beforehand; return that name."""
    name = aside_name()
    descriptor = folder.create(name, rights.mode)
    whole = False
    try:
        if rights.exact:
            _set_rights(descriptor, folder, rights.mode)
        for piece in _pieces(content):
            left = memoryview(piece)
            while left:
                left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
        whole = True
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder.path)) from error
    finally:
        os.close(descriptor)
        if not whole:
            with suppress(OSError):
                folder.unlink(name)
    return name


def _set_rights(descriptor: int, folder: OpenFolder, mode: int) -> None:
    """Give a new file its folder's group, and its owner if root makes it, as far as the file system knows them."""
    facts = os.fstat(folder.descriptor)
    owner = facts.st_uid if os.geteuid() == 0 else -1
    with suppress(OSError):
        os.fchown(descriptor, owner, facts.st_gid)
    with suppress(OSError):
        os.fchmod(descriptor, mode)


def _place_once(source: OpenFolder, aside: str, folder: OpenFolder, name: str, content: Content) -> bool:
    """Give a file its final name. Return False if a file of the same content has it already."""
    for _ in range(_ATTEMPTS):
        if give_name(source, aside, folder, name):
            return True
        try:
            _check_same(folder, name, content)
        except FileNotFoundError:
            continue
        return False
    raise NameTaken(folder.path / name, "is taken and given back by somebody")


def _check_same(folder: OpenFolder, name: str, content: Content) -> None:
    """Make sure that a name stands for a regular file of the same content."""
    path = folder.path / name
    try:
        with folder.reading(name) as file:
            if file is None:
                kind = kind_of(folder.facts(name))
                raise NameTaken(path, f"is {kind}", kind.partition(" ")[2])
            if not _same(file, content):
                raise NameTaken(path, "is there already with other content")
    except PermissionError as error:
        raise NameTaken(path, "is there already and cannot be read") from error


def _same(file: BinaryIO, content: Content) -> bool:
    return all(file.read(len(piece)) == piece for piece in _pieces(content)) and not file.read(1)


def _pieces(content: Content) -> Iterator[bytes]:
    """Yield a content from its beginning, in pieces."""
    if isinstance(content, bytes):
        yield content
    elif isinstance(content, Made):
        yield from content.pieces()
    else:
        content.seek(0)
        while piece := content.read(_CHUNK):
            yield piece
