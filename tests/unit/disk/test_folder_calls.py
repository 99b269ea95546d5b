"""Calls on folders: one that fails is named, one that may never return is seen by others."""

from __future__ import annotations

import errno
import threading
import time
from pathlib import Path

import pytest

from watcher.disk.hanging import FolderCalls, within
from watcher.errors import FolderTrouble

SHARE = Path("/srv/share")


def test_call_is_seen_while_it_is_under_way():
    """Its path and beginning are seen from the first step to the last, and nothing before and after."""
    calls = FolderCalls()
    assert calls.under_way is None
    before = time.monotonic()
    with calls.at(SHARE):
        call = calls.under_way
        assert call
        assert call.path == SHARE
        assert before <= call.began <= time.monotonic()
    assert calls.under_way is None


def test_call_within_a_call_belongs_to_it():
    """A call on one file of a folder does not hide that the whole takes too long."""
    calls = FolderCalls()
    with calls.at(SHARE):
        whole = calls.under_way
        with calls.at(SHARE / "a.xml"):
            assert calls.under_way is whole
        assert calls.under_way is whole
    assert calls.under_way is None


def test_two_calls_on_one_path_are_told_apart():
    """Many short calls in a row are no long one."""
    calls, seen = FolderCalls(), []
    for _ in range(2):
        with calls.at(SHARE):
            seen.append(calls.under_way)
    assert seen[0] is not seen[1]
    assert seen[0] != seen[1]


def test_refusal_of_the_system_names_the_place_and_the_mend():
    """The system's own file name counts, then the path of the call; no call is under way any more."""
    calls = FolderCalls()
    with pytest.raises(FolderTrouble, match=f"^{SHARE}/b.xml: No such file or directory$") as trouble, calls.at(SHARE):
        raise FileNotFoundError(errno.ENOENT, "No such file", f"{SHARE}/b.xml")
    assert trouble.value.mend == "Make it, or mount the share it is on"
    with pytest.raises(FolderTrouble, match=f"^{SHARE}: No space left on device$"), calls.at(SHARE):
        raise OSError(errno.ENOSPC, "No space")
    assert calls.under_way is None


def test_trouble_of_an_inner_call_keeps_its_name():
    """The nearest place is the one that is named."""
    calls = FolderCalls()
    with pytest.raises(FolderTrouble, match=f"^{SHARE}/a.xml:"), calls.at(SHARE), calls.at(SHARE / "a.xml"):
        raise OSError(errno.EIO, "Input/output error")


def test_other_errors_pass_as_they_are():
    """Only what the system refuses is a trouble of the folder."""
    calls = FolderCalls()
    with pytest.raises(KeyError), calls.at(SHARE):
        raise KeyError
    assert calls.under_way is None


def test_look_gives_what_it_found_in_time():
    """What the look returns or raises is returned or raised, if it comes in time."""
    assert within(10, lambda: 42) == 42
    with pytest.raises(FileNotFoundError):
        within(10, lambda: Path("/nowhere/at/all").stat())


def test_look_that_does_not_end_is_not_waited_for():
    """After the time the caller goes on, and the look is left to itself."""
    never = threading.Event()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        within(0.05, never.wait)
    assert time.monotonic() - began < 5
    never.set()
