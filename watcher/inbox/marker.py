"""The marker file, by which the inbox is recognised.

If the marker is missing, the share is not mounted or another one is in its place. An empty listing then means nothing.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from watcher.disk.durable import sync_file, sync_folder
from watcher.disk.hanging import FolderCalls
from watcher.errors import FolderTrouble

NAME = ".payment-watcher"


class Marker:
    """The marker of one inbox."""

    def __init__(self, folder: Path, calls: FolderCalls) -> None:
        self._folder = folder
        self._calls = calls

    def read(self) -> str | None:
        """Return the marker; None if the inbox has none.

        Raises:
            FolderTrouble: the inbox is missing or cannot be read.
        """
        with self._calls.at(self._folder):
            try:
                return (self._folder / NAME).read_text(encoding="ascii", errors="replace").strip() or None
            except FileNotFoundError:
                if self._folder.is_dir():
                    return None
        raise FolderTrouble(f"the inbox {self._folder} is not there", "Mount the share it is on, or make the folder")

    def keep(self) -> str:
        """Return the marker once it is safe from a power cut. An inbox without a marker gets a new one.

        Raises:
            FolderTrouble: it cannot be read or written.
        """
        found = self.read()
        marker = found or secrets.token_hex(8)
        place = self._folder / NAME
        with self._calls.at(self._folder):
            if found is None:
                place.write_text(f"{marker}\n", encoding="ascii")
            sync_file(place)
            sync_folder(self._folder)
        return marker

    def check(self, expected: str) -> None:
        """Make sure that this is the inbox of the first start.

        Args:
            expected: the marker of that inbox.

        Raises:
            FolderTrouble: it is not, or it cannot be read.
        """
        found = self.read()
        if found == expected:
            return
        problem = "has no marker any more" if found is None else "bears the marker of another inbox"
        raise FolderTrouble(
            f"the inbox {self._folder} {problem}: its share is not mounted, or another one is in its place",
            "Mount the share. If the folder was made anew on purpose, put the marker back: "
            f"echo {expected} > '{self._folder / NAME}'",
        )
