"""Work on several files: one after the other on a quick disk, and side by side on a slow one."""

from __future__ import annotations

import threading

import pytest

from watcher.disk import side_by_side as module
from watcher.disk.side_by_side import side_by_side

PATIENCE = 10


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file takes too long."""
    monkeypatch.setattr(module, "_SLOW_SECONDS", -1)


def test_on_a_quick_disk_no_thread_is_started():
    """The caller's own thread does it all, in order."""
    threads = side_by_side(lambda _: threading.current_thread(), range(20))
    assert set(threads) == {threading.current_thread()}


def test_on_a_slow_disk_files_are_worked_on_at_once(slow):
    """The others do not wait for one another; what came of each stands in its place."""
    together = threading.Barrier(8)
    results = side_by_side(lambda number: (number and together.wait(PATIENCE), number)[1], range(9))
    assert results == list(range(9))


def test_whenever_a_file_is_done_that_is_told_in_the_callers_thread(slow):
    """So a long stage is no hang."""
    told: list[threading.Thread] = []
    side_by_side(str, range(9), lambda: told.append(threading.current_thread()))
    assert told == [threading.current_thread()] * 9


def test_what_is_raised_for_a_file_is_raised_once_nothing_is_under_way(slow):
    """Of several errors the first one counts, in the order of the files."""
    ended: list[int] = []

    def act(number: int) -> None:
        ended.append(number)
        if number in (3, 5):
            raise OSError(number, "no")

    with pytest.raises(OSError, match="no") as raised:
        side_by_side(act, range(9))
    assert raised.value.errno == 3
    assert sorted(ended) == list(range(9))


def test_nothing_to_do_is_done():
    """Without files there are no results."""
    assert side_by_side(str, []) == []
