"""The observer: what wakes it, how it decides to watch, and how it comes back to life."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from watcher.inbox.observer import Observer, Watching, choose, file_system

# No event takes this long on a machine that is not out of order.
PATIENCE = 10.0
# Long enough for an event that must not come to show itself.
QUIET = 0.3


@pytest.fixture
def watch() -> Iterator[Callable[..., Observer]]:
    """Start observers; all are stopped at the end."""
    with ExitStack() as stack:

        def start(folder: Path, setting: str = "native") -> Observer:
            observer = Observer(folder, setting)
            stack.callback(observer.stop)
            watching = observer.start()
            assert setting in ("auto", watching.mode)
            return observer

        yield start


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty inbox folder."""
    made = tmp_path / "inbox"
    made.mkdir()
    return made


def until(condition: Callable[[], bool]) -> None:
    """Wait for what no event tells of."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        threading.Event().wait(0.01)


# --- waking -----------------------------------------------------------------------------------------------------------


def _moved_in(folder: Path) -> None:
    (folder.parent / f"{folder.name}.aside").rename(folder / "in.xml")


ARRIVALS = {
    "written straight in": lambda folder: (folder / "new.xml").write_bytes(b"<a/>"),
    "renamed within": lambda folder: (folder / "there.tmp").rename(folder / "there.xml"),
    "moved in from outside": _moved_in,
    "grown to its end": lambda folder: (folder / "half.xml").write_bytes(b"<a></a>"),
}


@pytest.mark.parametrize("setting", ["native", "polling"])
def test_every_way_a_file_can_arrive_wakes(tmp_path, watch, setting):
    """A file written straight in, renamed within, moved in from outside, or written to its end, ends the wait."""
    observers = {}
    for number, way in enumerate(ARRIVALS):
        folder = tmp_path / f"inbox{number}"
        folder.mkdir()
        (folder / "there.tmp").write_bytes(b"<a/>")
        (folder / "half.xml").write_bytes(b"<a>")
        (tmp_path / f"{folder.name}.aside").write_bytes(b"<a/>")
        observers[way] = (watch(folder, setting), folder)
    for way, (observer, folder) in observers.items():
        assert not observer.wait(0), f"nothing has happened yet: {way}"
        ARRIVALS[way](folder)
    for way, (observer, _) in observers.items():
        assert observer.wait(PATIENCE), way


def test_the_end_of_writing_wakes(folder, watch):
    """A file that was begun before the observer ends the wait when its writer closes it."""
    with (folder / "pay.xml").open("wb") as file:
        observer = watch(folder)
        assert not observer.wait(0)
        file.write(b"<a/>")
    assert observer.wait(PATIENCE)


def test_our_own_reading_and_taking_wakes_nobody(folder, tmp_path, watch):
    """Reading, listing and moving files out of the folder is no event."""
    (folder / "pay.xml").write_bytes(b"<a/>")
    observer = watch(folder)
    (folder / "pay.xml").read_bytes()
    list(folder.iterdir())
    (folder / "pay.xml").rename(tmp_path / "pay.xml")
    assert not observer.wait(QUIET)


def test_a_wake_is_for_one_wait(folder, watch):
    """What ended one wait does not end the next."""
    observer = watch(folder)
    observer.wake()
    assert observer.wait(PATIENCE)
    assert not observer.wait(0)


def test_a_wait_can_be_ended_from_another_thread(folder, watch):
    """A signal to stop ends a wait at once, whatever the mode."""
    observer = watch(folder, "off")
    threading.Timer(0.05, observer.wake).start()
    began = time.monotonic()
    assert observer.wait(PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2


# --- healing ----------------------------------------------------------------------------------------------------------


def test_a_living_observer_is_healthy(folder, watch):
    """While its threads live and its folder is the one it was started on, nothing need be started."""
    observer = watch(folder)
    (folder / "pay.xml").write_bytes(b"<a/>")
    assert observer.wait(PATIENCE)
    assert observer.healthy()
    assert observer.watches


def test_an_observer_that_was_never_started_is_not_healthy(folder):
    """Before the first start, and after the last stop, something is to be started."""
    observer = Observer(folder, "native")
    assert not observer.healthy()
    assert not observer.watches
    observer.start()
    observer.stop()
    assert not observer.healthy()
    assert not observer.watches


def test_scans_alone_are_healthy_where_they_are_wanted(folder, watch):
    """With ``off`` there is nothing that could die."""
    observer = watch(folder, "off")
    assert observer.healthy()
    assert not observer.watches


def _delete(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def _rename(folder: Path) -> None:
    folder.rename(folder.with_name("away"))
    folder.mkdir()


REPLACED = {"deleted and made anew": _delete, "renamed and made anew": _rename}


@pytest.mark.parametrize("replace", REPLACED.values(), ids=REPLACED.keys())
def test_a_native_observer_whose_folder_was_replaced_is_found_and_heals(folder, watch, replace):
    """A folder that took the place of the watched one is noticed by ``healthy``; started anew, its files wake again."""
    observer = watch(folder)
    replace(folder)
    until(lambda: not observer.healthy())
    assert observer.start().mode == "native"
    assert observer.healthy()
    observer.wait(0)
    (folder / "pay.xml").write_bytes(b"<a/>")
    assert observer.wait(PATIENCE)


def test_a_polling_observer_whose_folder_was_replaced_goes_on(tmp_path, watch):
    """Looked after as the service does, a polled folder that was replaced wakes again, having to heal or not."""
    watched = []
    for number, replace in enumerate(REPLACED.values()):
        folder = tmp_path / f"inbox{number}"
        folder.mkdir()
        watched.append((watch(folder, "polling"), folder))
        replace(folder)

    def woken(observer: Observer, folder: Path) -> bool:
        if not observer.healthy():
            observer.start()
        (folder / "pay.xml").write_bytes(b"<a/>")
        return observer.wait(0.1)

    def all_woken() -> bool:
        watched[:] = [pair for pair in watched if not woken(*pair)]
        return not watched

    until(all_woken)


def test_an_observer_without_a_folder_heals_when_it_is_back(folder, watch):
    """While the folder is away scans alone do the work, which is said and not healthy; once it is back all is well."""
    observer = watch(folder)
    away = folder.rename(folder.with_name("away"))
    assert not observer.healthy()
    watching = observer.start()
    assert watching.mode == "off"
    assert "No such file or directory" in watching.reason
    assert not observer.healthy()
    away.rename(folder)
    assert observer.start().mode == "native"
    assert observer.healthy()
    observer.wait(0)
    (folder / "pay.xml").write_bytes(b"<a/>")
    assert observer.wait(PATIENCE)


def test_an_observer_whose_thread_died_is_found_and_heals(folder, watch):
    """A watchdog thread that is no more makes the observer unhealthy; started anew, files wake again."""
    before = set(threading.enumerate())
    observer = watch(folder)
    (emitter,) = (thread for thread in set(threading.enumerate()) - before if "Emitter" in type(thread).__name__)
    emitter.stop()
    emitter.join(PATIENCE)
    assert not observer.healthy()
    observer.start()
    assert observer.healthy()
    observer.wait(0)
    (folder / "pay.xml").write_bytes(b"<a/>")
    assert observer.wait(PATIENCE)


@pytest.mark.parametrize("setting", ["native", "polling"])
def test_a_stopped_observer_leaves_no_thread_of_its_own(folder, setting):
    """After ``stop``, and after starting anew and stopping, no more threads run than after the first time."""
    observer = Observer(folder, setting)
    observer.start()
    observer.stop()
    # watchdog may keep a reader for the whole process.
    until(lambda: not [thread for thread in threading.enumerate() if "Emitter" in type(thread).__name__])
    threads = threading.active_count()
    for _ in range(3):
        observer.start()
    observer.stop()
    observer.stop()
    until(lambda: threading.active_count() <= threads)


# --- the choice -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["native", "polling", "off"])
def test_a_setting_is_obeyed(folder, setting):
    """What the configuration says is done, and given as the reason."""
    assert choose(folder, setting) == Watching(setting, "inbox.observer says so")


def test_a_local_folder_is_watched_natively(folder):
    """``auto`` on a local disk is native, naming the kind of disk."""
    watching = choose(folder, "auto")
    assert watching.mode == "native"
    assert file_system(folder) in watching.reason
    assert file_system(folder)


def test_a_folder_of_the_proc_file_system_is_told_apart():
    """The mount that a folder is on counts, not the one above it; a path through a link counts where it leads."""
    assert file_system(Path("/proc")) == "proc"
    assert file_system(Path("/proc/self/fd")) == "proc"
    assert file_system(Path("/proc/self/cwd")) == file_system(Path.cwd())


# Runs in a mount namespace of its own, where anybody may mount what then nobody else sees (user_namespaces(7)).
_ASK = """
import sys
from pathlib import Path
from watcher.inbox.observer import file_system
print(file_system(Path(sys.argv[1])))
"""


def alone_with_mounts(*command: str | Path) -> str:
    """Run a command where mounting is allowed and is nobody else's affair; give what it said."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is not here")
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody make a mount namespace")
    done = subprocess.run(["unshare", "-rm", *command], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    "name",
    ["plain", "with blank", "back\\slash", "tab\there", "line\nbreak", "Büro", "共有", "\\040", os.fsdecode(b"\xff")],
    ids=["plain", "blank", "backslash", "tab", "newline", "umlaut", "wide", "octal", "no UTF-8"],
)
def test_a_mount_is_recognised_whatever_its_name(tmp_path, name):
    """The type of a mounted file system is found for folders below it, however the mount table writes its place."""
    place = tmp_path / name
    place.mkdir()
    mount_and_ask = 'mount -t tmpfs none "$1" && mkdir "$1/inbox" && exec "$2" -c "$3" "$1/inbox"'
    assert alone_with_mounts("sh", "-c", mount_and_ask, "sh", place, sys.executable, _ASK) == "tmpfs"


def test_of_two_mounts_on_one_place_the_later_one_counts(tmp_path):
    """What was mounted over another file system is what a folder is on."""
    both = 'mount -t tmpfs none "$1" && mount -t ramfs none "$1" && exec "$2" -c "$3" "$1"'
    assert alone_with_mounts("sh", "-c", both, "sh", tmp_path, sys.executable, _ASK) == "ramfs"


def test_a_mount_beside_is_not_the_mount_above(tmp_path):
    """A mount whose name only begins like a folder's path does not count for that folder."""
    (tmp_path / "in").mkdir()
    (tmp_path / "inbox").mkdir()
    beside = 'mount -t ramfs none "$1/in" && exec "$2" -c "$3" "$1/inbox"'
    found = alone_with_mounts("sh", "-c", beside, "sh", tmp_path, sys.executable, _ASK)
    assert found == file_system(tmp_path)
