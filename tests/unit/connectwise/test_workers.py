"""The worker threads: how many calls at once, what an outage stops, how the end of the program ends them."""

from __future__ import annotations

import threading
import time

import pytest

from watcher.connectwise.workers import Workers
from watcher.errors import AnswerLost, Missing, Rejection, SignInRefused, Stopping, Unreachable

PATIENCE = 10


class Load:
    """Counts how many calls are under way at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


@pytest.fixture
def stop():
    """The event that asks the program to end."""
    return threading.Event()


def raising(error):
    """Give a function that raises for the item 0 and doubles all others."""

    def act(item: int) -> int:
        if item == 0:
            raise error
        return item * 2

    return act


def collect(answers, into):
    """Put answers into a list that survives an error."""
    for answer in answers:
        into.append(answer)


def test_every_item_is_answered_with_what_was_made_of_it(stop):
    """Each item comes back once with its answer, in whatever order."""
    answers = list(Workers(3, stop).each(lambda item: item * 2, range(50)))
    assert sorted(answers) == [(item, item * 2) for item in range(50)]


def test_items_are_begun_in_their_order(stop):
    """With one worker the order is that of the items."""
    begun = []
    list(Workers(1, stop).each(begun.append, range(20)))
    assert begun == list(range(20))


def test_nothing_to_do_is_done_at_once(stop):
    """No items, no answers."""
    assert list(Workers(2, stop).each(lambda item: item, [])) == []


@pytest.mark.parametrize("count", [1, 2, 5])
def test_as_many_calls_as_workers_run_at_once_and_never_more(stop, count):
    """All workers work side by side, and there is none beside them."""
    load, together = Load(), threading.Barrier(count)

    def act(_item: int) -> None:
        with load:
            together.wait(PATIENCE)

    answers = list(Workers(count, stop).each(act, range(4 * count)))
    assert [answer for _, answer in answers] == [None] * 4 * count
    assert load.most == count


@pytest.mark.parametrize("error", [Rejection("no"), Missing("gone")], ids=["rejection", "missing"])
def test_a_record_refused_stops_no_other(stop, error):
    """One bad record is an answer like any other."""
    answers = dict(Workers(1, stop).each(raising(error), [0, 1, 2]))
    assert answers == {0: error, 1: 2, 2: 4}


@pytest.mark.parametrize(
    "error",
    [Unreachable("away"), SignInRefused("keys", "mend them"), AnswerLost("who knows")],
    ids=["unreachable", "sign-in refused", "answer lost"],
)
def test_after_an_outage_or_a_lost_answer_no_further_item_is_begun(stop, error):
    """What held up one call would hold up the next; the items that were not begun are not answered."""
    begun = []

    def act(item: int) -> int:
        begun.append(item)
        return raising(error)(item)

    answers = dict(Workers(1, stop).each(act, [1, 0, 2, 3]))
    assert answers == {1: 2, 0: error}
    assert begun == [1, 0]


def test_calls_under_way_when_an_outage_comes_are_still_answered(stop):
    """An outage of one call loses no answer of another."""
    outage = Unreachable("away")
    under_way, out = threading.Event(), threading.Event()

    def act(item: str) -> str:
        if item == "slow":
            under_way.set()
            out.wait(PATIENCE)
            return "done"
        under_way.wait(PATIENCE)
        raise outage

    answers = {}
    for item, answer in Workers(2, stop).each(act, ["slow", "broken", "late"]):
        answers[item] = answer
        out.set()
    assert answers == {"slow": "done", "broken": outage}


def test_workers_work_again_after_an_outage(stop):
    """The next items are begun as if nothing had been."""
    workers = Workers(2, stop)
    list(workers.each(raising(Unreachable("away")), [0, 1, 2, 3]))
    assert sorted(workers.each(raising(Unreachable("away")), [1, 2, 3])) == [(1, 2), (2, 4), (3, 6)]


def test_a_fault_of_this_program_is_raised_where_the_answers_are_collected(stop):
    """What is no error of this program's tree is not an answer."""
    with pytest.raises(ZeroDivisionError):
        list(Workers(2, stop).each(lambda item: 1 // item, [1, 0]))


def test_whoever_stops_collecting_stops_the_calls(stop):
    """No item is begun after the answers have been given up."""
    begun, workers = [], Workers(1, stop)
    first_collected = threading.Event()

    def act(item: int) -> None:
        begun.append(item)
        if item == 1:
            first_collected.wait(PATIENCE)

    collecting = workers.each(act, range(10))
    next(collecting)
    collecting.close()
    first_collected.set()
    list(workers.each(lambda item: item, [99]))
    assert set(begun) <= {0, 1}


def test_idle_is_called_while_no_answer_comes(stop):
    """What has to be done now and then is done while all calls are under way."""
    idled = threading.Event()
    assert list(Workers(1, stop).each(lambda _item: idled.wait(PATIENCE), ["slow"], idled.set)) == [("slow", True)]


def test_every_answer_is_a_sign_of_life(stop):
    """The watchdog hears of each answer."""
    lives = []
    list(Workers(2, stop, lambda: lives.append(1)).each(raising(Rejection("no")), range(7)))
    assert len(lives) == 7


def test_being_asked_to_stop_ends_with_the_answers_that_came(stop):
    """A call that was made is answered; a wait that was cut short is not; then the program ends."""

    def act(item: int) -> str:
        if item == 0:
            stop.set()
            return "made"
        raise Stopping("asked to end while waiting")

    collected = []
    with pytest.raises(Stopping):
        collect(Workers(1, stop).each(act, [0, 1, 2]), collected)
    assert collected == [(0, "made")]


def test_a_call_that_hangs_does_not_hold_up_the_end(stop):
    """Calls under way get a few seconds; then the program ends without them."""
    ended = threading.Event()
    stop.set()
    asked = time.monotonic()
    with pytest.raises(Stopping):
        list(Workers(1, stop).each(lambda _item: ended.wait(PATIENCE), ["hangs"]))
    assert time.monotonic() - asked < 5
    ended.set()


def test_no_thread_keeps_the_process_from_ending(stop):
    """The workers are daemon threads."""
    ((_, thread),) = Workers(1, stop).each(lambda _item: threading.current_thread(), ["any"])
    assert thread.daemon
