"""The pulse: what is done about a call on a folder that does not come back."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import pytest

from watcher.disk.hanging import Pulse

SHARE = Path("/srv/share")
PATIENCE = 10


class Heard:
    """Takes what a pulse tells, in order."""

    def __init__(self, stop, telling=lambda: None, **seconds):
        self._told = queue.SimpleQueue()
        self.pulse = Pulse(stop, **seconds)
        self.pulse.start(
            lambda: self._told.put("alive"),
            lambda path, _seconds: (self._told.put(f"{path} hangs"), telling()),
            lambda _seconds: self._told.put("answers"),
            lambda: self._told.put("gave up"),
        )

    def next(self):
        """Give the next thing told."""
        return self._told.get(timeout=PATIENCE)

    def until(self, what):
        """Give what is told up to a thing."""
        told = [self.next()]
        while told[-1] != what:
            told.append(self.next())
        return told


@pytest.fixture
def stop():
    """Asks the pulse to end, at the latest when the test does."""
    event = threading.Event()
    yield event
    event.set()


def test_a_call_that_hangs_is_told_of_once_and_the_process_goes_on_living(stop):
    """It is named once, signs of life go on as long as it hangs, and its end is told once."""
    heard = Heard(stop, look_seconds=0.01, hangs_after=0.02)
    with heard.pulse.touching(SHARE):
        assert set(heard.until(f"{SHARE} hangs")) <= {"alive", f"{SHARE} hangs"}
        assert [heard.next() for _ in range(3)] == ["alive"] * 3
    assert set(heard.until("answers")) <= {"alive", "answers"}


def test_telling_of_it_may_hang_too(stop):
    """Where the journal lies on the same share, to write the trouble down hangs; signs of life go on all the same."""
    shared = threading.Event()
    heard = Heard(stop, telling=shared.wait, look_seconds=0.01, hangs_after=0.02)
    with heard.pulse.touching(SHARE):
        heard.until(f"{SHARE} hangs")
        assert [heard.next() for _ in range(3)] == ["alive"] * 3
    heard.until("answers")
    shared.set()


def test_a_call_within_a_call_belongs_to_it(stop):
    """What is done on one file of a folder does not hide that the whole takes too long."""
    heard = Heard(stop, look_seconds=0.01, hangs_after=0.02)
    with heard.pulse.touching(SHARE):
        for name in ("a.xml", "b.xml"):
            with heard.pulse.touching(SHARE / name):
                pass
        assert heard.next() == f"{SHARE} hangs"


def test_calls_that_come_back_in_time_are_not_told_of(stop):
    """Many short calls in a row are no long one."""
    now = [0.0]
    heard = Heard(stop, look_seconds=0.005, hangs_after=10, clock=lambda: now[0])
    for _ in range(20):
        with heard.pulse.touching(SHARE):
            now[0] += 9
    with heard.pulse.touching(SHARE / "late"):
        now[0] += 10
        assert heard.next() == f"{SHARE / 'late'} hangs"


def test_a_call_that_hangs_does_not_hold_up_the_end(stop):
    """Asked to end, the process is given up a little later if a call has not come back by then."""
    now = [0.0]

    def clock():
        # Each look at the clock takes half of the grace.
        now[0] += 1.5
        return now[0]

    heard = Heard(stop, look_seconds=PATIENCE, hangs_after=PATIENCE * 100, clock=clock)
    with heard.pulse.touching(SHARE):
        stop.set()
        assert heard.next() == "gave up"


def test_without_a_call_under_way_nothing_is_given_up(stop):
    """Asked to end between two calls, the thread ends by itself."""
    before, gave_up = set(threading.enumerate()), []
    pulse = Pulse(stop, look_seconds=PATIENCE)
    pulse.start(lambda: None, lambda _path, _seconds: None, lambda _seconds: None, lambda: gave_up.append(True))
    (thread,) = set(threading.enumerate()) - before
    stop.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert gave_up == []
