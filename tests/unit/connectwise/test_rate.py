"""The rate that is learnt from 429s: limit ≈ accepted calls ÷ (time they took + the wait that the 429 asks for)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.connectwise.rate import Rate

FULL = 60000.0


def after(calls: int, seconds: float, began: float = 0.0, rate: Rate | None = None) -> Rate:
    """Return a rate after a run of accepted calls, evenly spread over some seconds, and one that was refused."""
    rate = rate or Rate(FULL)
    for call in range(calls + 1):
        rate.count(began + seconds * call / calls if calls else began)
    return rate


@pytest.mark.parametrize(
    ("accepted", "took", "wait", "limit"),
    [
        (100, 2.0, 9.5, 100 / 11.5),
        (100, 2.0, 0.4, 100 / 2.4),
        (1000, 30.0, 29.5, 1000 / 59.5),
        (20, 1.0, 4.5, 20 / 5.5),
    ],
    ids=["a long wait", "part of a second", "half a minute", "just enough calls"],
)
def test_limit_is_accepted_calls_over_their_time_and_the_wait(accepted, took, wait, limit):
    """The formula, with the wait as it is asked for."""
    rate = after(accepted, took)
    rate.learn(took, wait)
    assert rate.per_minute(took) == pytest.approx(limit * 60)


@pytest.mark.parametrize("wait", [1, 10, 30.0, 600])
def test_half_a_second_of_a_wait_in_whole_seconds_was_rounded_up(wait):
    """A server that rounds up asks for half a second too much on average."""
    rate = after(100, 2.0)
    rate.learn(2.0, wait)
    assert rate.per_minute(2.0) == pytest.approx(100 / (2 + wait - 0.5) * 60)


@pytest.mark.parametrize("accepted", [0, 1, 19])
def test_too_few_calls_are_no_estimate(accepted):
    """After fewer than twenty accepted calls the rate falls by a fifth, whatever the wait."""
    rate = after(accepted, 1.0)
    rate.learn(1.0, 30)
    assert rate.per_minute(1.0) == pytest.approx(FULL * 0.8)


def test_429_without_any_call_lowers_the_rate():
    """No call before the first 429 is no reason to fail."""
    rate = Rate(1000)
    rate.learn(5.0, 30)
    assert rate.per_minute(5.0) == pytest.approx(800)
    assert rate.next_turn() == 35


def test_too_few_calls_count_on_in_the_run_after_the_wait():
    """Short runs between waits add up to one estimate, over all their time and waits."""
    rate = after(10, 1.0)
    rate.learn(1.0, 1.5)
    for call in range(11):
        rate.count(2.5 + call / 10)
    rate.learn(3.5, 1.5)
    assert rate.per_minute(3.5) == pytest.approx(20 / (3.5 + 1.5) * 60)


def test_calls_before_a_pause_do_not_count():
    """The time of a pause was not needed for the calls, so the estimate begins after it."""
    rate = after(500, 2.0)
    rate = after(100, 2.0, began=100.0, rate=rate)
    rate.learn(102.0, 9.5)
    assert rate.per_minute(102.0) == pytest.approx(100 / 11.5 * 60)


def test_calls_that_are_far_apart_by_the_rate_are_one_run():
    """At a slow rate the space between two turns is no pause."""
    rate = after(30, 180.0, rate=Rate(20))
    rate.learn(180.0, 4.5)
    assert rate.per_minute(180.0) == pytest.approx(30 / 184.5 * 60)


def test_each_429_during_a_wait_counts_once():
    """Calls that were under way together are refused together: the longest wait counts, the rate falls once."""
    rate = after(100, 2.0)
    rate.learn(2.0, 9.5)
    learnt = rate.per_minute(2.0)
    rate.learn(2.1, 20.5)
    rate.learn(2.2, 1.5)
    assert rate.per_minute(22.6) == learnt
    assert rate.held_until == 2.1 + 20.5


def test_estimate_is_at_least_a_little_below_the_rate():
    """A 429 proves that the rate was too high, whatever the formula says."""
    rate = Rate(1000)
    for call in range(2001):
        rate.count(call * 0.03)
    rate.learn(60.0, 0.1)
    assert rate.per_minute(60.0) == pytest.approx(970)


def test_estimate_is_never_below_six_a_minute():
    """The payments go on, however long a wait is asked for."""
    rate = after(20, 100.0, rate=Rate(30))
    rate.learn(100.0, 600)
    assert rate.per_minute(100.0) == 6


def test_estimate_never_exceeds_a_full_rate_below_the_lowest():
    """A configured rate below six calls a minute is kept."""
    rate = after(20, 600.0, rate=Rate(2))
    rate.learn(600.0, 60)
    assert rate.per_minute(600.0) <= 2


@pytest.mark.parametrize(
    ("took", "wait", "doubles_after"), [(2.0, 9.5, 60), (50.0, 9.5, 600)], ids=["an early 429", "a late 429"]
)
def test_rate_doubles_within_its_time_and_hardly_grows_at_first(took, wait, doubles_after):
    """The rate stays near what was learnt; longer after a 429 that came late, since it was nearly right."""
    rate = after(600, took)
    rate.learn(took, wait)
    learnt, over = rate.per_minute(took), took + wait
    assert rate.per_minute(over) == learnt
    assert rate.per_minute(over + doubles_after / 10) == pytest.approx(learnt * 1.001)
    assert rate.per_minute(over + doubles_after) == pytest.approx(learnt * 2)
    assert rate.per_minute(over + 3600) == FULL


def test_long_wait_takes_back_only_what_had_grown():
    """The rate before it grew was right; it is kept, and doubles later from then on."""
    rate = after(1000, 1.0)
    rate.learn(1.0, 59.5)
    learnt = rate.per_minute(1.0)
    again = 1.0 + 59.5 + 40
    assert rate.per_minute(again) > learnt * 1.2
    after(100, 4.0, began=again - 4, rate=rate)
    rate.learn(again, 59.5)
    assert rate.per_minute(again + 59.5) == pytest.approx(learnt)
    assert rate.per_minute(again + 59.5 + 60) == pytest.approx(learnt * 1.001)


@settings(max_examples=100)
@given(
    st.floats(0.5, FULL),
    st.lists(st.tuples(st.integers(0, 60), st.floats(0.1, 30), st.floats(0.1, 600)), max_size=12),
)
def test_rate_is_always_above_zero_and_never_above_the_full_one(full, runs):
    """Whatever runs and 429s come, there is a next turn, and the limit that is configured is kept."""
    rate, now = Rate(full), 0.0
    for calls, seconds, wait in runs:
        after(calls, seconds, began=now, rate=rate)
        now += seconds
        rate.learn(now, wait)
        assert 0 < rate.per_minute(now) <= full
        now = max(rate.next_turn(), now)
        assert now >= rate.held_until
        assert 0 < rate.per_minute(now) <= full
