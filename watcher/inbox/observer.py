"""The watchdog observer: wakes the loop when something happens in the inbox. It is a hint; the scan is the truth.

inotify sees only what this machine's own kernel does, so folders on network and FUSE file systems are polled. An
observer that dies, or whose folder has been replaced by another, is built anew at the next look.
"""

from __future__ import annotations

import logging
import os
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
from watchdog.observers.polling import PollingObserver

Mode = Literal["native", "polling", "off"]

# How often a polled folder is listed, seconds. Unlike a scan, which looks only at payment files, polling asks for the
# facts of every entry: with a thousand of them that costs about a quarter of a percent of a core.
_POLL_SECONDS = 5.0
# File systems on which others write without this kernel knowing (mount(8), proc(5)).
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
    """How the inbox is watched, and why so."""

    mode: Mode
    reason: str


class Observer:
    """Watches one folder, as long as it can."""

    def __init__(self, folder: Path, setting: Literal["auto", "native", "polling", "off"]) -> None:
        """Watch nothing yet.

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
        """Begin to watch, or begin anew; where that is not possible, scans alone do the work.

        Returns:
            How it is watched now.
        """
        self.stop()
        watching = choose(self._folder, self._setting)
        self._wanted = watching.mode != "off"
        if not self._wanted:
            return watching
        # What makes a file ready, or keeps it from being so; our own reading of files wakes nobody.
        kinds: list[type[FileSystemEvent]] = [
            FileCreatedEvent,
            FileClosedEvent,
            FileModifiedEvent,
            FileMovedEvent,
            DirDeletedEvent,
        ]
        observer: BaseObserver | None = None
        try:
            observer = NativeObserver() if watching.mode == "native" else PollingObserver(timeout=_POLL_SECONDS)
            observer.schedule(_Waker(self._wake), str(self._folder), event_filter=kinds)
            observer.start()
            facts = self._folder.stat()
        except OSError as error:
            if observer is not None:
                observer.stop()
            # Out of inotify watches or instances, or the folder is gone: the scan finds out and says what matters.
            return Watching("off", f"it cannot be watched: {os.strerror(error.errno or 0)}; scans alone do the work")
        self._observer, self._identity = observer, (facts.st_dev, facts.st_ino)
        return watching

    def healthy(self) -> bool:
        """Say whether nothing need be started: every thread lives, on the very folder, or scans alone are wanted."""
        if self._observer is None:
            return not self._wanted
        try:
            facts = self._folder.stat()
        except OSError:
            return False
        alive = self._observer.is_alive() and all(emitter.is_alive() for emitter in self._observer.emitters)
        return alive and self._identity == (facts.st_dev, facts.st_ino)

    @property
    def watches(self) -> bool:
        """Whether an observer was started and has not been stopped, healthy or not."""
        return self._observer is not None

    def wait(self, seconds: float) -> bool:
        """Wait until something happens in the folder; say whether it did before the time was up."""
        woken = self._wake.wait(seconds)
        self._wake.clear()
        return woken

    def wake(self) -> None:
        """End a wait at once, as a signal to stop does."""
        self._wake.set()

    def stop(self) -> None:
        """Stop watching."""
        observer, self._observer = self._observer, None
        if observer is not None and observer.is_alive():
            observer.stop()
            observer.join(1)


class _Waker(FileSystemEventHandler):
    """Sets a flag and does nothing else: an exception here would end the observer's thread."""

    def __init__(self, wake: threading.Event) -> None:
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002  (watchdog fixes the signature)
        self._wake.set()


def _no_farewell(record: logging.LogRecord) -> bool:
    """Leave out what watchdog 7.1 reports as an error whenever an observer is stopped as it should be."""
    return "called when the thread is inactive" not in record.getMessage()


def choose(folder: Path, setting: Literal["auto", "native", "polling", "off"]) -> Watching:
    """Decide how a folder is watched."""
    if setting != "auto":
        return Watching(setting, "inbox.observer says so")
    kind = file_system(folder)
    if kind.startswith(_REMOTE):
        return Watching("polling", f"the inbox is on {kind}, where others write without this machine seeing it")
    return Watching("native", f"the inbox is on {kind or 'a local disk'}")


def file_system(folder: Path) -> str:
    """Give the type of the file system a folder is on; empty where the system does not tell.

    The mount table (proc(5), /proc/pid/mountinfo) lists a mount's place in its fifth field and its type after the dash.
    """
    try:
        table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    path = folder.resolve()
    best, kind = -1, ""
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        # Blanks and the like are written as octal escapes, everything else as the bytes of the name.
        escaped = before.split()[4].encode(errors="surrogateescape").decode("unicode_escape")
        place = Path(os.fsdecode(escaped.encode("latin-1")))
        # Of two mounts on one place the later one counts.
        if path.is_relative_to(place) and len(place.parts) >= best:
            best, kind = len(place.parts), after.split()[0]
    return kind
