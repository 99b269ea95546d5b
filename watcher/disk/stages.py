"""Folders that stay open for a stage of work, in which the same is done to many files.

A share asks its server for each folder that is opened or synced. Within a stage each folder is opened once. What has to
be synced is synced once, when the stage ends: until then nothing may rely on it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from watcher.disk.hanging import FolderCalls
from watcher.disk.opened import OpenFolder, opened


class Stages:
    """The folders of one part of the program, and whether a stage is under way."""

    def __init__(self, calls: FolderCalls) -> None:
        """Open nothing yet.

        Args:
            calls: makes the calls on folders.
        """
        self._calls = calls
        self._lock = threading.Lock()
        self._kept: ExitStack | None = None
        self._open: dict[Path, OpenFolder] = {}
        self._unsynced: dict[Path, OpenFolder] = {}

    @contextmanager
    def stage(self) -> Iterator[None]:
        """Keep folders open within this, and sync at its end those that are to be synced.

        Raises:
            FolderTrouble: one cannot be synced.
        """
        with ExitStack() as kept:
            self._kept = kept
            try:
                yield
                self.sync_now()
            finally:
                self._kept = None
                self._open.clear()
                self._unsynced.clear()

    def sync_now(self) -> None:
        """Sync what is to be synced, in the middle of a stage: what follows may rely on it.

        Raises:
            FolderTrouble: a folder cannot be synced.
        """
        while self._unsynced:
            path = next(iter(self._unsynced))
            with self._calls.at(path):
                self._unsynced[path].sync()
            del self._unsynced[path]

    @contextmanager
    def folder(self, path: Path) -> Iterator[OpenFolder]:
        """Open a folder, or take it as the stage has opened it. No link is followed.

        Raises:
            OSError: it is not there, or is a link or no folder.
        """
        if self._kept is None:
            with opened(path) as folder:
                yield folder
            return
        with self._lock:
            if path not in self._open:
                self._open[path] = self._kept.enter_context(opened(path))
        yield self._open[path]

    @contextmanager
    def inner(self, outer: OpenFolder, name: str) -> Iterator[OpenFolder]:
        """Open a folder in one that is open, as ``folder`` does.

        Raises:
            OSError: it is not there, or is a link or no folder.
        """
        path = outer.path / name
        if self._kept is None:
            with outer.enter(name) as folder:
                yield folder
            return
        with self._lock:
            if path not in self._open:
                self._open[path] = self._kept.enter_context(outer.enter(name))
        yield self._open[path]

    def is_open(self, path: Path) -> bool:
        """Return True if the stage under way has opened a folder."""
        return path in self._open

    def sync(self, folder: OpenFolder) -> None:
        """Bring the names in a folder to disk: now, or at the end of the stage.

        Raises:
            OSError: that is not possible.
        """
        if self._kept is None:
            folder.sync()
        else:
            self._unsynced[folder.path] = folder
