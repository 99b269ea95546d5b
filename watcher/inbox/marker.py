"""The marker file, by which the inbox is recognised.

If the marker is missing, the share is not mounted or another one is in its place. An empty listing then means nothing.
Whoever drops files can put anything under the marker's name. So it is read as what it must be, sixteen hex digits in a
regular file, and anything else is never shown.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from watcher.disk.durable import Rights, put_over
from watcher.disk.hanging import FolderCalls
from watcher.disk.opened import OpenFolder, kind_of, opened
from watcher.errors import FolderTrouble

NAME = ".payment-watcher"

_MARKER = re.compile(r"[0-9a-f]{16}")
# A person who puts a marker back may leave blanks or a line's end (bytes).
_LONGEST = 64
_RIGHTS = Rights(0o640)


def is_marker(text: str) -> bool:
    """Return True if a text is the marker of an inbox."""
    return _MARKER.fullmatch(text) is not None


class _Foreign(FolderTrouble):
    """Something else has the marker's name."""


class Marker:
    """The marker of one inbox."""

    def __init__(self, folder: Path, calls: FolderCalls) -> None:
        self._folder = folder
        self._calls = calls

    def read(self) -> str | None:
        """Return the marker; None if the inbox has none, or an empty one that a crash left.

        Raises:
            FolderTrouble: the inbox is missing or cannot be read, or something else has the marker's name.
        """
        with self._opened() as folder:
            return self._read(folder)

    def keep(self) -> str:
        """Return the marker once it is safe from a power cut. An inbox without a marker gets a new one.

        Raises:
            FolderTrouble: it cannot be read or written, or something else has its name.
        """
        with self._opened() as folder:
            marker = self._read(folder) or secrets.token_hex(8)
            # Written anew if it was there: whoever wrote it may not have synced it.
            put_over(folder, NAME, f"{marker}\n".encode("ascii"), _RIGHTS)
        return marker

    def check(self, expected: str) -> None:
        """Make sure that this is the inbox of the first start.

        Args:
            expected: the marker of that inbox.

        Raises:
            FolderTrouble: it is not, or it cannot be read.
        """
        try:
            found = self.read()
        except _Foreign as error:
            raise _Foreign(str(error), self._mend(expected)) from error
        if found == expected:
            return
        problem = "has no marker any more" if found is None else "bears the marker of another inbox"
        raise FolderTrouble(
            f"the inbox {self._folder} {problem}: its share is not mounted, or another one is in its place, "
            "or a program that mirrors a folder here has deleted it",
            self._mend(expected),
        )

    def _mend(self, expected: str) -> str:
        if not is_marker(expected):
            # Whatever the journal took for a marker once, it is not shown.
            return _removal(self._folder / NAME)
        place = shlex.quote(str(self._folder / NAME))
        return (
            "Mount the share. If the folder was made anew on purpose, put the marker back: "
            f"rm -rf {place}; echo {expected} > {place}"
        )

    @contextmanager
    def _opened(self) -> Iterator[OpenFolder]:
        with self._calls.at(self._folder), ExitStack() as stack:
            try:
                folder = stack.enter_context(opened(self._folder))
            except FileNotFoundError as error:
                problem = f"the inbox {self._folder} is not there"
                raise FolderTrouble(problem, "Mount the share it is on, or make the folder") from error
            yield folder

    def _read(self, folder: OpenFolder) -> str | None:
        path = self._folder / NAME
        try:
            with folder.reading(NAME) as file:
                content = None if file is None else file.read(_LONGEST + 1)
            if content is None:
                raise _Foreign(f"the marker {path} is {kind_of(folder.facts(NAME))}", _removal(path))
        except FileNotFoundError:
            return None
        marker = content.decode("ascii", "replace").strip()
        if len(content) > _LONGEST or (marker and not is_marker(marker)):
            raise _Foreign(f"the marker {path} is not one that this program wrote", _removal(path))
        return marker or None


def _removal(path: Path) -> str:
    return f"Remove it: rm -rf {shlex.quote(str(path))}"
