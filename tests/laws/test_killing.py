"""The installed program is struck at system calls and started again: the quick form of ``killing``."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import pairwise

import pytest
from soak.calls import Point, Stroke, no_strace
from soak.killing import Killing, attempt
from soak.places import folder
from soak.scenes import BASIC, MORE, SCENES, Staged
from support.laws import broken_laws
from support.scenes import DAY, THREE

POINTS = 10


@pytest.fixture(scope="module", autouse=True)
def strace():
    """Skip all where no call can be traced."""
    if reason := no_strace():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def killing(strace):
    """Three files, two of which pay the same invoice, and where to kill the program that handles them."""
    # With one worker every run makes the same calls.
    return Killing(Staged(THREE), folder)


@pytest.mark.parametrize("place", range(POINTS))
def test_killed_at_a_system_call_and_started_again_all_is_as_if_nothing_had_happened(place, killing):
    """Wherever it is killed, and once its recovery, too, all is paid, told and archived once in the end."""
    # Of calls of one kind in a row, as the journal makes, only the first.
    telling = [point for before, point in pairwise(killing.points) if before.call != point.call]
    attempt = killing.attempt(telling[round(place * (len(telling) - 1) / (POINTS - 1))], again=place == POINTS // 2)
    assert attempt.reached, f"strace did not kill at {attempt.point}"
    assert attempt.broken == [], f"killed at {attempt.point}"


def strike(name, places, stroke):
    """Strike one scene's program at places such as ``fsync:3``."""
    points = [Point(call, int(number)) for call, _, number in (place.partition(":") for place in places)]
    came_to = attempt(SCENES[name], folder, points, stroke)
    assert came_to.reached, f"strace did not strike at {places}"
    assert came_to.broken == []


@pytest.mark.parametrize("name", [name for name, staged in MORE.items() if staged.quick])
def test_whatever_others_do_meanwhile_a_kill_costs_nothing(name):
    """Whatever lies in work, is lost, written to, put back or removed while it is down or runs, the laws hold."""
    strike(name, MORE[name].quick, Stroke.KILL)


def test_asked_to_end_at_a_system_call_it_ends_at_once_and_the_next_start_finishes():
    """In the middle of its calls it ends within five seconds, and what was under way is done by the next start."""
    strike("mixed", ["sendto:4"], Stroke.TERM)


@pytest.mark.parametrize(("place", "stroke"), [("pwrite64:70", Stroke.FULL), ("fsync:4", Stroke.EIO)])
def test_a_disk_that_is_full_or_fails_costs_nothing(place, stroke):
    """Where the journal or a folder fails, nothing is lost, and the next start finishes."""
    strike("mixed", [place], stroke)


@pytest.mark.parametrize(
    "kind",
    ["openat", "write", "fsync", "pwrite64", "fdatasync", "rename", "renameat2", "unlink", "mkdir", "sendto"],
)
def test_calls_of_every_kind_that_changes_something_are_kill_points(kind, killing):
    """Files, folders, the journal and ConnectWise: whatever changes one of them is a place to be killed at."""
    assert any(point.call.startswith(kind) for point in killing.points)


def test_the_laws_notice_what_is_missing_too_much_or_wrong():
    """Whatever is taken from, added to or changed in what a whole run left, a law is broken."""
    with folder(BASIC["three"]) as place:
        assert place.start().faults == []
        assert list(broken_laws(THREE, place.base, place.sandbox)) == []
        (archived,) = (place.base / "archive").rglob("z-first__*.xml")
        (receipt,) = (place.base / "archive").rglob("z-first__*.json")
        (success,) = (place.base / "success").glob("a-third__*.xml")
        faults = {
            "an original is gone": archived.unlink,
            "an original is changed": lambda: archived.write_bytes(archived.read_bytes() + b"\n"),
            "a receipt is gone": receipt.unlink,
            "a receipt does not add up": lambda: receipt.write_text(receipt.read_text().replace("60.00", "61.00", 1)),
            "a receipt tells of another payment": lambda: receipt.write_text(
                receipt.read_text().replace("50000", "5000")
            ),
            "a result file is gone": success.unlink,
            "a result file lacks a record": lambda: success.write_bytes(success.read_bytes().replace(b"CW-3", b"CW-2")),
            "a file is published twice": lambda: shutil.copy(archived, archived.with_name(f"{archived.name}.tmp")),
            "something is left in work": (place.base / ".work" / "left").touch,
            "something is left in the inbox": (place.base / "inbox" / "left.xml").touch,
        }
        whole = place.base.with_name("whole")
        shutil.copytree(place.base, whole)
        for name, fault in faults.items():
            fault()
            assert list(broken_laws(THREE, place.base, place.sandbox)), name
            shutil.rmtree(place.base)
            shutil.copytree(whole, place.base)
        for paid in ({"CW-1": ("60.00", DAY)}, {"CW-1": ("100.00", None)}, {"CW-1": None}):
            other = replace(THREE, paid=THREE.paid | paid)
            assert list(broken_laws(other, place.base, place.sandbox)), f"the books have not {paid}"
