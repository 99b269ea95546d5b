"""The observer: what wakes it, how it decides to watch, and how it comes back to life."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.program import until

from watcher.disk.room import file_system
from watcher.inbox import observer as module
from watcher.inbox.observer import Observer, Watching, choose

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


@pytest.fixture(autouse=True)
def _polls_often(monkeypatch):
    """Polling looks several times a second, so that no test waits for it."""
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty inbox folder."""
    made = tmp_path / "inbox"
    made.mkdir()
    return made


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
    """A file written straight in, renamed within, moved in from outside, or written to its end, ends the wait.

    Polling asks for the names alone, so that a file that grows there is found by the next scan.
    """
    observers = {}
    ways = [way for way in ARRIVALS if (setting, way) != ("polling", "grown to its end")]
    for number, way in enumerate(ways):
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


def test_end_of_writing_wakes(folder, watch):
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


def test_wake_is_for_one_wait(folder, watch):
    """What ended one wait does not end the next."""
    observer = watch(folder)
    observer.wake()
    assert observer.wait(PATIENCE)
    assert not observer.wait(0)


def test_wait_can_be_ended_from_another_thread(folder, watch):
    """A signal to stop ends a wait at once, whatever the mode."""
    observer = watch(folder, "off")
    threading.Timer(0.05, observer.wake).start()
    began = time.monotonic()
    assert observer.wait(PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2


# --- healing ----------------------------------------------------------------------------------------------------------


def test_living_observer_is_healthy(folder, watch):
    """While its threads live and its folder is the one it was started on, nothing need be started."""
    observer = watch(folder)
    (folder / "pay.xml").write_bytes(b"<a/>")
    assert observer.wait(PATIENCE)
    assert observer.healthy()
    assert observer.watches


def test_observer_that_was_never_started_is_not_healthy(folder):
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
def test_native_observer_whose_folder_was_replaced_is_found_and_heals(folder, watch, replace):
    """A folder that took the place of the watched one is noticed by ``healthy``; started anew, its files wake again."""
    observer = watch(folder)
    replace(folder)
    until(lambda: not observer.healthy())
    assert observer.start().mode == "native"
    assert observer.healthy()
    observer.wait(0)
    (folder / "pay.xml").write_bytes(b"<a/>")
    assert observer.wait(PATIENCE)


def test_polling_observer_whose_folder_was_replaced_goes_on(tmp_path, watch):
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


def test_observer_without_a_folder_heals_when_it_is_back(folder, watch):
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


def test_observer_whose_thread_died_is_found_and_heals(folder, watch):
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
def test_stopped_observer_leaves_no_thread_of_its_own(folder, setting):
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
def test_setting_is_obeyed(folder, setting):
    """What the configuration says is done, and given as the reason."""
    assert choose(folder, setting) == Watching(setting, "inbox.observer says so")


def test_local_folder_is_watched_natively(folder):
    """``auto`` on a local disk is native, naming the kind of disk."""
    watching = choose(folder, "auto")
    assert watching.mode == "native"
    assert file_system(folder) in watching.reason
    assert file_system(folder)
