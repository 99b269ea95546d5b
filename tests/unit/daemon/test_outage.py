"""An outage as the loop sees it: pauses, reminders, and when it is another one. Times and chance are given."""

from __future__ import annotations

import pytest

from watcher.daemon.outage import OutageState
from watcher.errors import FolderTrouble, JournalTrouble, SignInRefused, Unreachable

AWAY = Unreachable("ConnectWise is away")
HOUR = 3600.0


def test_first_outage_is_logged_and_the_next_attempt_is_not():
    """An outage is logged when it begins; attempts that meet the same one are not."""
    state = OutageState(10)
    assert state.met(AWAY, 100, 1.0).log
    assert not state.met(AWAY, 102, 1.0).log


def test_pause_doubles_up_to_five_minutes():
    """2, 4, 8, … seconds, and 300 at the most, times the chance."""
    state = OutageState(10)
    assert [state.met(AWAY, 0, 1.0).pause for _ in range(10)] == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert state.met(AWAY, 0, 0.5).pause == 150


@pytest.mark.parametrize("trouble", [FolderTrouble("/srv: gone", "Mount it"), JournalTrouble("full", "Make room")])
@pytest.mark.parametrize(("scan_seconds", "longest"), [(10, 10), (0.5, 2)])
def test_trouble_on_this_machine_is_tried_again_at_every_scan(trouble, scan_seconds, longest):
    """A file waits no longer than one scan once a folder is back."""
    state = OutageState(scan_seconds)
    assert max(state.met(trouble, 0, 1.0).pause for _ in range(10)) == longest


def test_lasting_outage_is_logged_again_after_an_hour():
    """The log is reminded, and says since when."""
    state = OutageState(10)
    state.met(AWAY, 0, 1.0)
    assert not state.met(AWAY, HOUR - 1, 1.0).log
    met = state.met(AWAY, HOUR, 1.0)
    assert (met.log, met.lasted) == (True, HOUR)
    assert not state.met(AWAY, HOUR + 1, 1.0).log


@pytest.mark.parametrize(
    ("first", "then", "another"),
    [
        (AWAY, Unreachable("ConnectWise answered 502"), False),
        (AWAY, SignInRefused("401", "Check the keys"), True),
        (SignInRefused("401: no", "Check the keys"), SignInRefused("401: never", "Check the keys"), False),
        (FolderTrouble("/a: full", "Make room"), FolderTrouble("/b: full", "Make room"), True),
        (
            FolderTrouble("/a/20260922T093015Z_1f2e3d4c: full", "Make room"),
            FolderTrouble("/a/20260922T093025Z_1f2e3d4d: full", "Make room"),
            False,
        ),
    ],
    ids=["other words", "another owner", "a sign-in in other words", "another folder", "another claim"],
)
def test_another_outage_is_logged_at_once(first, then, another):
    """It may take another person to mend it; it still counts from the first one."""
    state = OutageState(10)
    state.met(first, 0, 1.0)
    met = state.met(then, 60, 1.0)
    assert (met.log, met.lasted) == (another, 60)


def test_work_that_advances_ends_the_outage():
    """It is said how long it lasted, once, and the next outage begins with a short pause."""
    state = OutageState(10)
    assert state.over(5) is None
    for now in (10, 20, 30):
        state.met(AWAY, now, 1.0)
    assert state.over(70) == 60
    assert state.over(71) is None
    met = state.met(AWAY, 80, 1.0)
    assert (met.pause, met.lasted, met.log) == (2, 0, True)
