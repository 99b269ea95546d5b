"""The watchdog observer: wakes the daemon when something happens in the inbox. It is a hint; only a scan decides.

inotify sees only what this machine's own kernel does. So folders on network and FUSE file systems are polled. If an
observer dies, or if another folder takes the place of the watched one, the daemon starts the observer anew.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from watchdog.events import (
    DirDeletedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer as NativeObserver
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserverVFS

from watcher.disk.room import file_system

Mode = Literal["native", "polling", "off"]

# How often a polled folder is listed (seconds). Only new names bring the next scan forward: to ask for the facts of
# every entry would cost a round trip each.
_POLL_SECONDS = 5.0
# The observer tells files apart by inode numbers. The names stand in for them here, as numbers of at most 62 bits.
_NUMBERS = (1 << 62) - 1
# On these file systems others write without the knowledge of this kernel (mount(8)).
_REMOTE = (
    "cifs",
    "smb",
    "nfs",
    "fuse",
    "9p",
    "vboxsf",
    "vmhgfs",
    "afs",
    "ceph",
    "gfs2",
    "ocfs2",
    "lustre",
    "glusterfs",
)


@dataclass(frozen=True, slots=True)
class Watching:
    """How the inbox is watched, and why."""

    mode: Mode
    reason: str


class Observer:
    """Watches one folder, as long as it can."""

    def __init__(self, folder: Path, setting: Literal["auto", "native", "polling", "off"]) -> None:
        """Prepare to watch a folder; ``start`` begins.

        Args:
            folder: the inbox.
            setting: ``inbox.observer``.
        """
        self._folder = folder
        self._setting = setting
        self._wake = threading.Event()
        self._observer: BaseObserver | None = None
        self._identity: tuple[int, int] | None = None
        self._wanted = True
        logging.getLogger("watchdog.observers.inotify").addFilter(_no_farewell)

    def start(self) -> Watching:
        """Begin to watch, or begin anew. If that is not possible, scans alone do the work.

        Returns:
            How the folder is watched now.
        """
        self.stop()
        watching = choose(self._folder, self._setting)
        self._wanted = watching.mode != "off"
        if not self._wanted:
            return watching
        # These events can change whether a file is ready. Our own reads cause none of them.
        kinds: list[type[FileSystemEvent]] = [
            FileCreatedEvent,
            FileClosedEvent,
            FileModifiedEvent,
            FileMovedEvent,
            DirDeletedEvent,
        ]
        observer: BaseObserver | None = None
        try:
            observer = NativeObserver() if watching.mode == "native" else self._polling()
            observer.schedule(_Waker(self._wake), str(self._folder), event_filter=kinds)
            observer.start()
            facts = self._folder.stat()
        except OSError as error:
            if observer is not None:
                observer.stop()
            # There are no inotify watches or instances left, or the folder is gone. In that case the scan reports it.
            return Watching("off", f"it cannot be watched: {os.strerror(error.errno or 0)}; scans alone do the work")
        # Polling looks at whichever folder has the path. Some mounts give a folder new numbers at each look.
        self._identity = (facts.st_dev, facts.st_ino) if watching.mode == "native" else None
        self._observer = observer
        return watching

    def _polling(self) -> BaseObserver:
        """Return an observer that lists the folder now and then, and asks for nothing but the names."""

        def facts_of(path: str) -> os.stat_result:
            if path == str(self._folder):
                return self._folder.stat()
            return os.stat_result((stat.S_IFREG, hash(path) & _NUMBERS, 0, 1, 0, 0, 0, 0, 0, 0))

        return PollingObserverVFS(facts_of, os.scandir, polling_interval=_POLL_SECONDS)

    def alive(self) -> bool:
        """Return True if all threads live, or none are wanted."""
        if self._observer is None:
            return not self._wanted
        return self._observer.is_alive() and all(emitter.is_alive() for emitter in self._observer.emitters)

    def healthy(self) -> bool:
        """Return True if no start is needed: all threads live and watch this very folder, or none are wanted."""
        if self._observer is None or not self.alive():
            return self.alive()
        try:
            facts = self._folder.stat()
        except OSError:
            return False
        return self._identity in (None, (facts.st_dev, facts.st_ino))

    @property
    def watches(self) -> bool:
        """True if an observer was started and has not been stopped, healthy or not."""
        return self._observer is not None

    def wait(self, seconds: float) -> bool:
        """Wait for an event in the folder. Return True if one came before the time was up (seconds)."""
        woken = self._wake.wait(seconds)
        self._wake.clear()
        return woken

    def wake(self) -> None:
        """End a wait at once; for other threads."""
        self._wake.set()

    def stop(self) -> None:
        """Stop watching."""
        observer, self._observer = self._observer, None
        if observer is not None and observer.is_alive():
            observer.stop()
            observer.join(1)


class _Waker(FileSystemEventHandler):
    """Sets a flag and does nothing else, since an exception here would end the observer's thread."""

    def __init__(self, wake: threading.Event) -> None:
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002  (watchdog fixes the signature)
        self._wake.set()


def _no_farewell(record: logging.LogRecord) -> bool:
    """Filter out what watchdog 7.1 logs as an error whenever an observer is stopped in order."""
    return "called when the thread is inactive" not in record.getMessage()


def choose(folder: Path, setting: Literal["auto", "native", "polling", "off"]) -> Watching:
    """Return how a folder is to be watched, and why."""
    if setting != "auto":
        return Watching(setting, "inbox.observer says so")
    kind = file_system(folder)
    if kind.startswith(_REMOTE):
        return Watching("polling", f"the inbox is on {kind}, where others write without this machine seeing it")
    return Watching("native", f"the inbox is on {kind or 'a local disk'}")
