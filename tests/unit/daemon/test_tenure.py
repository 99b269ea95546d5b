"""The inbox stays ours: whatever others do to its lock and its marker, the daemon waits or goes on."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from watcher.daemon.tenure import Tenure
from watcher.disk.hanging import FolderCalls
from watcher.disk.lock import lock_file
from watcher.errors import FolderTrouble, InboxHeld, Occupied
from watcher.inbox.marker import NAME, is_marker
from watcher.inbox.observer import Observer


class Markers(dict[str, str]):
    """What a journal remembers of markers."""

    def marker(self, inbox: str) -> str | None:
        """Return the marker of an inbox."""
        return self.get(inbox)

    def remember(self, inbox: str, marker: str) -> None:
        """Remember the marker of an inbox."""
        self[inbox] = marker


@contextmanager
def tenure_of(folder: Path, markers: Markers) -> Iterator[Tenure]:
    """Yield the tenure of an inbox by one daemon."""
    tenure = Tenure(folder, markers, Observer(folder, "off"), FolderCalls())
    try:
        yield tenure
    finally:
        tenure.release()


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock file, as another process does."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield
    finally:
        os.close(descriptor)


def test_lock_that_another_takes_later_is_an_outage(folders):
    """At the start it ends a daemon; once started, the daemon waits until the other lets it go."""
    lock = lock_file(folders.inbox / NAME)
    markers = Markers()
    with tenure_of(folders.inbox, markers) as tenure:
        with locked(lock), pytest.raises(Occupied):
            tenure.check()
        tenure.check()
        lock.unlink()
        with locked(lock):
            for _ in range(2):
                with pytest.raises(InboxHeld):
                    tenure.check()
        tenure.check()
    with locked(lock), tenure_of(folders.inbox, markers) as tenure, pytest.raises(Occupied):
        tenure.check()


def test_lock_of_another_user_ends_nothing(folders):
    """A person who takes the lock file away and holds one of their own keeps nobody from work."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a file of another user")
    lock = lock_file(folders.inbox / NAME)
    with tenure_of(folders.inbox, Markers()) as tenure:
        tenure.check()
        lock.unlink()
        with locked(lock):
            os.chown(lock, 65534, 65534)
            for _ in range(2):
                tenure.check()
        assert lock.stat().st_uid == 0


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["a pipe", "a link"])
def test_marker_that_is_no_file_is_an_outage_at_once(folders, make):
    """At the first start and later it is named, and neither waited for nor read."""
    markers = Markers()
    with tenure_of(folders.inbox, markers) as tenure:
        make(folders.inbox / NAME)
        with pytest.raises(FolderTrouble, match=NAME):
            tenure.check()
        (folders.inbox / NAME).unlink()
        tenure.check()
        (folders.inbox / NAME).unlink()
        make(folders.inbox / NAME)
        with pytest.raises(FolderTrouble, match=NAME) as trouble:
            tenure.check()
    assert markers[str(folders.inbox)] in trouble.value.mend


def test_what_a_journal_took_for_a_marker_once_is_forgotten(folders):
    """The inbox is marked anew; nothing else of it is believed or shown."""
    markers = Markers({str(folders.inbox): 'private_key = "secret"'})
    with tenure_of(folders.inbox, markers) as tenure:
        tenure.check()
    assert is_marker(markers[str(folders.inbox)])
