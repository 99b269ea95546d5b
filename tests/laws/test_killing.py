"""The installed program is killed at system calls and started again: the quick form of ``killing``."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import pairwise

import pytest
from soak.killing import Killing, folder, no_strace
from support.scenes import DAY, THREE, broken_laws

POINTS = 10


@pytest.fixture(scope="module")
def killing():
    """Three files, two of which pay the same invoice, and where to kill the program that handles them."""
    if reason := no_strace():
        pytest.skip(reason)
    # With one worker every run makes the same calls.
    return Killing(THREE, 1, folder)


@pytest.mark.parametrize("place", range(POINTS))
def test_killed_at_a_system_call_and_started_again_all_is_as_if_nothing_had_happened(place, killing):
    """Wherever it is killed, and once its recovery, too, all is paid, told and archived once in the end."""
    # Of calls of one kind in a row, as the journal makes, only the first.
    telling = [point for before, point in pairwise(killing.points) if before.call != point.call]
    attempt = killing.attempt(telling[round(place * (len(telling) - 1) / (POINTS - 1))], again=place == POINTS // 2)
    assert attempt.reached, f"strace did not kill at {attempt.point}"
    assert attempt.broken == [], f"killed at {attempt.point}"


@pytest.mark.parametrize(
    "kind",
    ["openat", "write", "fsync", "pwrite64", "fdatasync", "rename", "renameat2", "unlink", "mkdir", "rmdir", "sendto"],
)
def test_calls_of_every_kind_that_changes_something_are_kill_points(kind, killing):
    """Files, folders, the journal and ConnectWise: whatever changes one of them is a place to be killed at."""
    assert any(point.call.startswith(kind) for point in killing.points)


def test_the_laws_notice_what_is_missing_too_much_or_wrong():
    """Whatever is taken from, added to or changed in what a whole run left, a law is broken."""
    with folder(THREE, 1) as place:
        assert place.run().faults == []
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
