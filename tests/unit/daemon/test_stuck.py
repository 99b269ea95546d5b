"""A call on a folder that does not come back: reported once, survived, and no reason not to end."""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path

import pytest

from watcher.daemon import stuck
from watcher.daemon.stuck import StuckCalls
from watcher.disk.hanging import Call, FolderCalls
from watcher.lifetime import Lifetime

SHARE = Path("/srv/share")
PATIENCE = 10
NEVER = PATIENCE * 100


class Living(Lifetime):
    """Notes the signs of life."""

    def __init__(self, heard):
        super().__init__()
        self._heard = heard

    def alive(self):
        """Note it."""
        self._heard.put("alive")


class Heard:
    """Takes what is said of stuck calls, in order; stands in for the speaker.

    Attributes:
        calls: the calls that are watched.
        lifetime: of the process.
    """

    def __init__(self, saying=lambda: None, **seconds):
        self._said = queue.SimpleQueue()
        self._saying = saying
        self.calls = FolderCalls()
        self.lifetime = Living(self._said)
        self.stuck = StuckCalls(self.calls, self.lifetime, self, **seconds)

    def waiting(self, outage, _lasted, *, retry_in):
        """Note what is reported; the next attempt is now, since the call itself may come back."""
        assert retry_in is None
        self._said.put(str(outage))
        self._saying()

    def moving(self, _lasted):
        """Note that it is over."""
        self._said.put("answers")

    def stopping(self):
        """Note that the process ends."""
        self._said.put("gave up")

    def next(self):
        """Return the next thing said."""
        return self._said.get(timeout=PATIENCE)

    def until(self, what):
        """Return what is said up to a thing."""
        said = [self.next()]
        while said[-1] != what:
            said.append(self.next())
        return said

    def silent(self):
        """Return True if nothing waits to be heard."""
        return self._said.empty()


DOES_NOT_ANSWER = f"{SHARE} does not answer"


@pytest.fixture
def heard():
    """Start watchers of stuck calls; all are asked to end at the latest with the test."""
    made = []

    def start(**given):
        made.append(Heard(**given))
        made[-1].stuck.start()
        return made[-1]

    yield start
    for one in made:
        one.lifetime.end()


def test_call_that_hangs_is_reported_once_and_the_process_goes_on_living(heard):
    """It is named once, signs of life go on as long as it hangs, and its end is reported once."""
    one = heard(look_seconds=0.01, hangs_after=0.02)
    with one.calls.at(SHARE):
        assert set(one.until(DOES_NOT_ANSWER)) <= {"alive", DOES_NOT_ANSWER}
        assert [one.next() for _ in range(3)] == ["alive"] * 3
    assert set(one.until("answers")) <= {"alive", "answers"}


def test_report_of_it_may_hang_too(heard):
    """If the journal lies on the same share, writing the trouble down hangs; signs of life go on all the same."""
    shared = threading.Event()
    one = heard(saying=shared.wait, look_seconds=0.01, hangs_after=0.02)
    with one.calls.at(SHARE):
        one.until(DOES_NOT_ANSWER)
        assert [one.next() for _ in range(3)] == ["alive"] * 3
    one.until("answers")
    shared.set()


def test_call_within_a_call_belongs_to_it(heard):
    """What is done on one file of a folder does not hide that the whole takes too long."""
    one = heard(look_seconds=0.01, hangs_after=0.02)
    with one.calls.at(SHARE):
        for name in ("a.xml", "b.xml"):
            with one.calls.at(SHARE / name):
                pass
        assert DOES_NOT_ANSWER in one.until(DOES_NOT_ANSWER)


def test_calls_that_come_back_in_time_are_not_reported(monkeypatch):
    """Many short calls in a row are no long one."""
    one = Heard()
    now = time.monotonic()
    for _ in range(20):
        monkeypatch.setattr(FolderCalls, "under_way", Call(SHARE, now))
        now += 9
        one.stuck.look(now)
    assert one.silent()
    monkeypatch.setattr(FolderCalls, "under_way", Call(SHARE / "late", now))
    one.stuck.look(now + 10)
    assert one.until(f"{SHARE / 'late'} does not answer")


def test_call_that_hangs_does_not_hold_up_the_end(heard, monkeypatch):
    """Asked to end, the process is given up a little later if a call has not come back by then."""
    left = queue.SimpleQueue()
    monkeypatch.setattr(stuck, "leave", left.put)
    monkeypatch.setattr(stuck, "_GRACE_SECONDS", 0.5)
    one = heard(look_seconds=PATIENCE, hangs_after=NEVER)
    with one.calls.at(SHARE):
        asked = time.monotonic()
        one.lifetime.end()
        assert one.next() == "gave up"
        assert left.get(timeout=PATIENCE) == 0
    assert time.monotonic() - asked >= 0.5


def test_without_a_call_under_way_nothing_is_given_up():
    """Asked to end between two calls, the thread ends by itself."""
    one = Heard(look_seconds=PATIENCE)
    before = set(threading.enumerate())
    one.stuck.start()
    (thread,) = set(threading.enumerate()) - before
    one.lifetime.end()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert one.silent()
