"""The pace of calls, in a time that passes only while it is waited for."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.line import Hurried

from watcher.connectwise.pace import Pace
from watcher.errors import Stopping
from watcher.lifetime import Lifetime


def paced(requests_per_minute: float) -> tuple[Pace, Hurried]:
    """Return a pace and the time in which it lives."""
    lifetime = Hurried()
    return Pace(requests_per_minute, lifetime), lifetime


def turns(pace: Pace, lifetime: Hurried, count: int) -> list[float]:
    """Take turns; return when each came."""
    times = []
    for _ in range(count):
        pace.turn()
        times.append(lifetime.now())
    return times


def most_within(times: list[float], window: float) -> int:
    """Return how many of some ascending times the fullest window holds; its end does not belong to it."""
    return max(sum(start <= when < start + window for when in times[index:]) for index, start in enumerate(times))


# What happens to a pace: turns taken one after another, idle seconds, and 429s with their seconds.
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("turns"), st.integers(1, 40)),
        st.tuples(st.just("idle"), st.floats(0.01, 200)),
        st.tuples(st.just("hold"), st.floats(1, 90)),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 120), happenings)
@example(6, [("turns", 1), ("hold", 1.0)])
def test_no_minute_holds_more_turns_than_the_limit(limit, happenings):
    """No window of a minute holds more than requests_per_minute turns, whatever happens between them."""
    pace, lifetime = paced(limit)
    times = []
    for kind, much in happenings:
        if kind == "turns":
            times += turns(pace, lifetime, int(much))
        elif kind == "idle":
            lifetime.pause(much)
        else:
            pace.hold(much)
            pace.answered()
    times += turns(pace, lifetime, 5)
    assert most_within(times, 60) <= limit


@settings(deadline=None, max_examples=60)
@given(happenings)
def test_no_second_holds_more_than_its_part(happenings):
    """A server that counts in seconds sees no burst either, not even after an idle hour or a hold."""
    pace, lifetime = paced(300)
    times = []
    for kind, much in [*happenings, ("idle", 3600.0), ("turns", 12)]:
        if kind == "turns":
            times += turns(pace, lifetime, int(much))
        elif kind == "idle":
            lifetime.pause(much)
        else:
            pace.hold(much)
            pace.answered()
    assert most_within(times, 1) <= 5


def test_turns_are_evenly_spaced_and_use_the_limit():
    """The first turn comes at once, the others a minute's part apart: the limit is used, not only kept."""
    times = turns(*paced(60), 50)
    assert times[0] == 0
    assert all(1 <= later - earlier <= 1.01 for earlier, later in pairwise(times))


def test_no_turn_begins_during_a_hold():
    """After a hold the next turn comes when it is over, and not a full turn later."""
    pace, lifetime = paced(600)
    turns(pace, lifetime, 3)
    began = lifetime.now()
    pace.hold(7)
    assert 7 <= turns(pace, lifetime, 1)[0] - began <= 7.01


def test_short_hold_brings_no_turn_forward():
    """If the hold is shorter than the space between turns, the next turn comes no earlier than without it."""
    pace, lifetime = paced(6)
    turns(pace, lifetime, 1)
    pace.hold(1)
    assert turns(pace, lifetime, 1)[0] >= 10


def test_longer_hold_is_not_cut_short_by_a_shorter_one():
    """The hold that ends later counts, whichever came first."""
    pace, lifetime = paced(600)
    pace.hold(30)
    pace.hold(1)
    assert turns(pace, lifetime, 1)[0] >= 30


def test_turn_that_was_waiting_when_a_hold_came_waits_it_out():
    """A hold stops the calls whose turn was already given but has not come yet."""

    class HeldMeanwhile(Hurried):
        def pause(self, seconds: float) -> None:
            if not self.held:
                self.held = True
                pace.hold(20)
            super().pause(seconds)

        held = False

    lifetime = HeldMeanwhile()
    pace = Pace(60, lifetime)
    assert turns(pace, lifetime, 2)[1] >= 20


def test_hold_lowers_the_rate():
    """After a 429 the calls go on a fifth more slowly."""
    pace, lifetime = paced(1000)
    pace.hold(1)
    assert pace.requests_per_minute == pytest.approx(800)
    first, second = turns(pace, lifetime, 2)
    assert second - first == pytest.approx(60 / 800, rel=0.02)


def test_calls_that_are_refused_together_lower_the_rate_once():
    """Four workers that are refused at the same time count as one 429. A 429 after the hold is another one."""
    pace, lifetime = paced(1000)
    for _ in range(4):
        pace.hold(5)
    assert pace.requests_per_minute == pytest.approx(800)
    lifetime.pause(5)
    pace.hold(5)
    assert pace.requests_per_minute == pytest.approx(640)


def test_rate_never_falls_below_a_tenth():
    """The payments go on, however many 429s come."""
    pace, lifetime = paced(1000)
    for _ in range(50):
        pace.hold(1)
        lifetime.pause(1)
    assert pace.requests_per_minute == pytest.approx(100)


def test_rate_recovers_slowly_and_never_beyond_the_limit():
    """A hundred turns win back only a part of what a 429 took; in the end all of it, and no more."""
    pace, lifetime = paced(1000)
    pace.hold(1)
    turns(pace, lifetime, 100)
    assert 800 < pace.requests_per_minute < 900
    turns(pace, lifetime, 2000)
    assert pace.requests_per_minute == 1000


@pytest.mark.parametrize("retry_after", [4, 6])
def test_limit_of_a_server_is_learnt_from_its_first_refusal(retry_after):
    """After an early 429 the rate is the accepted calls ÷ (time they took + wait), the wait less half a second."""
    pace, lifetime = paced(60000)
    turns(pace, lifetime, 101)
    pace.hold(retry_after)
    assert pace.requests_per_minute == pytest.approx(100 / (0.1 + retry_after - 0.5) * 60, rel=0.02)


def test_refusal_after_a_long_run_lowers_the_rate_only_a_little():
    """A 429 after minutes of calls means that the rate has just grown past the limit."""
    pace, lifetime = paced(1000)
    turns(pace, lifetime, 2000)
    pace.hold(1)
    assert pace.requests_per_minute == pytest.approx(970)


def test_long_wait_after_a_rate_that_had_grown_takes_back_only_what_had_grown():
    """A server that always asks for a whole minute does not halve the rate each time."""
    pace, lifetime = paced(60000)
    turns(pace, lifetime, 1001)
    pace.hold(60)
    learnt = pace.requests_per_minute
    while pace.requests_per_minute < 1.1 * learnt:
        turns(pace, lifetime, 1)
    pace.hold(60)
    assert pace.requests_per_minute == pytest.approx(learnt)


class Server:
    """Accepts a thousand calls a minute, and asks to wait for the time that is left, rounded up to whole seconds.

    Args:
        kind: a sliding window, a fixed one that has half passed at the start, or a bucket that is full at the start.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.admitted: deque[float] = deque(maxlen=1000)
        self.tokens, self.seen = 1000.0, 0.0

    def wait(self, now: float) -> int:
        """Return how long to wait (seconds); 0 if the call is accepted."""
        full = len(self.admitted) == 1000
        if self.kind == "sliding":
            left = self.admitted[0] + 60 - now if full else 0.0
        elif self.kind == "fixed":
            began = (now + 30) // 60 * 60 - 30
            left = began + 60 - now if full and self.admitted[0] >= began else 0.0
        else:
            self.tokens = min(1000.0, self.tokens + (now - self.seen) * 1000 / 60)
            self.seen = now
            left = max(0.0, 1 - self.tokens) * 60 / 1000
        if left <= 1e-9:
            self.tokens -= 1
            self.admitted.append(now)
            return 0
        return math.ceil(left)


@pytest.mark.parametrize("kind", ["sliding", "fixed", "bucket"])
@pytest.mark.parametrize("times_the_limit", [1.2, 2, 10, 60])
def test_unknown_limit_is_found_and_used(kind, times_the_limit):
    """After two minutes 95 % of what the limit allows is used, and at most 1 % of the calls are refused."""
    pace, lifetime = paced(1000 * times_the_limit)
    server = Server(kind)
    admitted = refused = 0
    while lifetime.now() < 1200:
        pace.turn()
        settled = lifetime.now() >= 120
        if wait := server.wait(lifetime.now()):
            pace.hold(wait)
            refused += settled
        else:
            admitted += settled
    assert admitted >= 0.95 * 1000 * (1200 - 120) / 60
    assert refused <= 0.01 * (admitted + refused)


def test_long_wait_is_a_sign_of_life_about_every_second():
    """Waiting for a turn is on purpose, so the watchdog is fed meanwhile."""
    lives = []

    class Watched(Hurried):
        def alive(self) -> None:
            lives.append(self.now())

    pace = Pace(600, Watched())
    pace.hold(30)
    pace.turn()
    assert lives[-1] >= 30
    assert all(later - earlier <= 1 for earlier, later in pairwise([0.0, *lives]))


@pytest.mark.parametrize("wait", [lambda pace: pace.sleep(60), lambda pace: pace.turn()], ids=["sleep", "turn"])
def test_wait_ends_at_once_when_asked_to_stop(wait):
    """A wait of a minute does not hold up the end of the program."""

    class Awaited(Lifetime):
        def pause(self, seconds: float) -> None:
            waiting.set()
            super().pause(seconds)

    lifetime, waiting, ended = Awaited(), threading.Event(), []
    pace = Pace(600, lifetime)
    pace.hold(60)

    def work() -> None:
        try:
            wait(pace)
        except Stopping as stopping:
            ended.append(stopping)

    thread = threading.Thread(target=work)
    thread.start()
    assert waiting.wait(5), "the wait was to be one"
    asked = time.monotonic()
    lifetime.end()
    thread.join(5)
    assert ended
    assert time.monotonic() - asked < 5


@pytest.mark.parametrize("wait", [lambda pace: pace.sleep(0), lambda pace: pace.turn()], ids=["sleep", "turn"])
def test_nothing_begins_once_asked_to_stop(wait):
    """A process that is asked to end gets no turn, not even one that is due."""
    lifetime = Lifetime()
    lifetime.end()
    with pytest.raises(Stopping):
        wait(Pace(600, lifetime))


def test_threads_share_one_limit():
    """Four threads together are as fast as one alone."""
    pace = Pace(6000, Lifetime())
    began = time.monotonic()
    threads = [threading.Thread(target=lambda: [pace.turn() for _ in range(8)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    # 32 turns, ten milliseconds apart: the last is 31 turns behind the first, which comes at once.
    assert time.monotonic() - began >= 31 * 0.01
