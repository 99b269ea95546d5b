"""How many payments are tried while all are refused, in pretended time."""

from __future__ import annotations

import pytest

from watcher.payments.attempts import Attempts, spread


def refused(attempts, count):
    """Let so many different payments be refused."""
    for position in range(count):
        attempts.refused(("claim", position))


def test_a_few_are_tried_in_their_order_and_then_a_few_from_all_places():
    """Only if those are refused, too, the line pauses."""
    attempts = Attempts()
    attempts.begin(0)
    refused(attempts, 7)
    assert not attempts.is_doubtful
    refused(attempts, 8)
    assert (attempts.is_doubtful, attempts.is_over) == (True, False)
    refused(attempts, 16)
    assert attempts.is_over


def test_one_payment_that_is_refused_again_and_again_is_no_outage():
    """Different payments are counted."""
    attempts = Attempts()
    for _ in range(50):
        refused(attempts, 2)
    assert not attempts.is_doubtful


def test_patience_grows_until_the_outage_is_long_and_so_do_the_pauses():
    """Good payments may stand behind many bad ones. In a long outage few are tried, every five minutes."""
    attempts, now, patience, pauses = Attempts(), 0.0, [], []
    for _ in range(10):
        attempts.begin(now)
        patience.append(attempts.patience)
        attempts.gave_up(now)
        pauses.append(attempts.resumes_at - now)
        now = attempts.resumes_at
    assert patience == [8, 16, 32, 64, 8, 8, 8, 8, 8, 8]
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    attempts.went_well()
    assert (attempts.patience, attempts.is_doubtful, attempts.is_paused) == (8, False, False)


def test_new_files_are_tried_during_a_pause_but_little_and_not_all_the_time():
    """They do not wait for five minutes, and a long outage is not asked on and on."""
    attempts, now = Attempts(), 0.0
    for _ in range(9):
        attempts.begin(now)
        attempts.gave_up(now)
        now = attempts.resumes_at
    began = now - 300
    assert attempts.begin(began + 15)
    assert attempts.patience == 2
    attempts.gave_up(began + 16)
    assert attempts.resumes_at == now
    assert not attempts.begin(began + 29)
    assert attempts.begin(began + 30)


@pytest.mark.parametrize(("count", "most", "places"), [(5, 8, [4, 3, 2, 1, 0]), (10, 3, [9, 6, 3]), (0, 3, [])])
def test_some_are_taken_from_all_places(count, most, places):
    """The last one comes first."""
    assert spread(range(count), most) == places
