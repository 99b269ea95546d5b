"""The worker threads: how many calls run at once, when answers are yielded, what an outage and the end stop."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest

from watcher.connectwise import workers
from watcher.connectwise.workers import Workers
from watcher.errors import AnswerLost, Contradicted, Missing, Rejection, SignInRefused, Stopping, Unreachable
from watcher.lifetime import Lifetime

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
def lifetime():
    """The life of the process."""
    return Lifetime()


@pytest.fixture(autouse=True)
def _little_grace(monkeypatch):
    """Calls under way at the end get half a second, so that no test waits for long."""
    monkeypatch.setattr(workers, "_GRACE_SECONDS", 0.5)


def raising(error):
    """Return a function that raises for the item 0 and doubles all others."""

    def act(item: int) -> int:
        if item == 0:
            raise error
        return item * 2

    return act


def collect(answers, into):
    """Put answers into a list that survives an error."""
    for answer in answers:
        into.append(answer)


def test_every_item_is_answered_with_what_was_made_of_it(lifetime):
    """Each item comes back once with its answer, in whatever order."""
    answers = list(Workers(3, lifetime).each(lambda item: item * 2, range(50)))
    assert sorted(answers) == [(item, item * 2) for item in range(50)]


def test_items_are_begun_in_their_order(lifetime):
    """With one worker the order is that of the items."""
    begun = []
    list(Workers(1, lifetime).each(begun.append, range(20)))
    assert begun == list(range(20))


def test_nothing_to_do_is_done_at_once(lifetime):
    """No items, no answers."""
    assert list(Workers(2, lifetime).each(lambda item: item, [])) == []


@pytest.mark.parametrize("count", [1, 2, 5])
def test_as_many_calls_as_workers_run_at_once_and_never_more(lifetime, count):
    """All workers work side by side, and nobody else does."""
    load, together = Load(), threading.Barrier(count)

    def act(_item: int) -> None:
        with load:
            together.wait(PATIENCE)

    answers = list(Workers(count, lifetime).each(act, range(4 * count)))
    assert [answer for _, answer in answers] == [None] * 4 * count
    assert load.most == count


@pytest.mark.parametrize("error", [Rejection("no"), Missing("gone")], ids=["rejection", "missing"])
def test_record_refused_stops_no_other(lifetime, error):
    """One bad record is an answer like any other."""
    answers = dict(Workers(1, lifetime).each(raising(error), [0, 1, 2]))
    assert answers == {0: error, 1: 2, 2: 4}


def test_odd_answers_stop_no_other_however_many_they_are(lifetime):
    """ConnectWise answered each of them, so they are about their own records and no outage."""
    error = Contradicted("something else")

    def act(item: int) -> int:
        raise error

    assert dict(Workers(1, lifetime).each(act, range(4), patience=2)) == dict.fromkeys(range(4), error)


@pytest.mark.parametrize(
    "error",
    [Unreachable("away"), SignInRefused("keys", "mend them"), AnswerLost("who knows")],
    ids=["unreachable", "sign-in refused", "answer lost"],
)
def test_after_an_outage_or_a_lost_answer_no_further_item_is_begun(lifetime, error):
    """What held up one call would hold up the next; the items that were not begun are not answered."""
    begun = []

    def act(item: int) -> int:
        begun.append(item)
        return raising(error)(item)

    answers = dict(Workers(1, lifetime).each(act, [1, 0, 2, 3]))
    assert answers == {1: 2, 0: error}
    assert begun == [1, 0]


def test_calls_under_way_when_an_outage_comes_are_still_answered(lifetime):
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
    for item, answer in Workers(2, lifetime).each(act, ["slow", "broken", "late"]):
        answers[item] = answer
        out.set()
    assert answers == {"slow": "done", "broken": outage}


def test_workers_work_again_after_an_outage(lifetime):
    """The next batch is begun as if nothing had happened."""
    workers = Workers(2, lifetime)
    list(workers.each(raising(Unreachable("away")), [0, 1, 2, 3]))
    assert sorted(workers.each(raising(Unreachable("away")), [1, 2, 3])) == [(1, 2), (2, 4), (3, 6)]


def test_fault_of_this_program_is_raised_where_the_answers_are_collected(lifetime):
    """An error that this program does not raise on purpose is no answer."""
    with pytest.raises(ZeroDivisionError):
        list(Workers(2, lifetime).each(lambda item: 1 // item, [1, 0]))


def test_whoever_stops_collecting_stops_the_calls(lifetime):
    """No item is begun after nobody collects the answers any more."""
    begun, workers = [], Workers(1, lifetime)
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


def test_answers_are_gathered_for_as_long_as_asked(lifetime):
    """What comes in before the time is up comes in one list, and so does what is left at the end."""
    workers = Workers(1, lifetime)
    batch = workers.begin(lambda item: item, range(20))
    assert list(workers.gather(batch, PATIENCE)) == [[(item, item) for item in range(20)]]


def test_answers_are_yielded_on_time_while_no_other_comes_in(lifetime):
    """What is known is written down after the given time, even while all calls are under way."""
    workers, written = Workers(2, lifetime), threading.Event()
    batch = workers.begin(lambda item: item == "fast" or written.wait(PATIENCE), ["fast", "slow"])
    began = time.monotonic()
    gathering = workers.gather(batch, 0.3)
    assert next(gathering) == [("fast", True)]
    assert 0.3 <= time.monotonic() - began < PATIENCE
    written.set()
    assert list(gathering) == [[("slow", True)]]


def test_answers_that_came_in_meanwhile_are_yielded_in_one_list(lifetime):
    """Whoever takes longer than the given time to write a list down finds the next one ready, with all that came."""
    workers, writing, come, last = Workers(1, lifetime), threading.Event(), threading.Event(), threading.Event()

    def act(item: int) -> bool:
        if item == 1:
            return writing.wait(PATIENCE)
        if item == 9:
            # The one worker comes here when it has answered all others.
            come.set()
            return last.wait(PATIENCE)
        return True

    gathering = workers.gather(workers.begin(act, range(10)), 0.05)
    assert next(gathering) == [(0, True)]
    writing.set()
    assert come.wait(PATIENCE)
    assert next(gathering) == [(item, True) for item in range(1, 9)]
    last.set()
    assert list(gathering) == [[(9, True)]]


def test_each_answer_is_yielded_as_soon_as_it_comes_in(lifetime):
    """A look-up is used at once, and no list is waited for."""
    seen = threading.Event()
    answers = Workers(2, lifetime).each(lambda item: item == "fast" or seen.wait(PATIENCE), ["fast", "slow"])
    began = time.monotonic()
    assert next(answers) == ("fast", True)
    assert time.monotonic() - began < PATIENCE
    seen.set()
    assert list(answers) == [("slow", True)]


def test_waiting_for_an_answer_gives_signs_of_life():
    """The watchdog is fed while an answer takes its time, not only when it has come."""
    lives = []

    class Watched(Lifetime):
        def alive(self) -> None:
            lives.append(time.monotonic())

    began = time.monotonic()
    list(Workers(2, Watched()).each(lambda _: time.sleep(1.5), range(2)))
    lives.append(time.monotonic())
    assert max(later - sooner for sooner, later in pairwise([began, *lives])) < 0.6


def test_items_that_were_added_belong_to_the_batch(lifetime):
    """A batch is complete only with the answers of what was added to it."""
    workers = Workers(1, lifetime)
    batch = workers.begin(lambda item: item, [1, 2])
    workers.add(batch, lambda item: -item, [3])
    assert [answer for answers in workers.gather(batch) for answer in answers] == [(1, 1), (2, 2), (3, -3)]


@pytest.mark.parametrize("error", [Unreachable("away"), AnswerLost("who knows")], ids=["unreachable", "answer lost"])
def test_continuation_of_a_halted_batch_is_not_begun(lifetime, error):
    """What comes after a batch that met an outage would meet it, too."""
    workers, begun = Workers(1, lifetime), []
    batch = workers.begin(raising(error), [1, 0])
    ahead = workers.begin(begun.append, ["ahead"], after=batch)
    assert list(workers.gather(batch)) == [[(1, 2), (0, error)]]
    assert list(workers.gather(ahead)) == []
    assert begun == []


def test_continuation_of_a_complete_batch_is_begun(lifetime):
    """A batch that comes to its end halts nothing."""
    workers = Workers(1, lifetime)
    batch, go = workers.begin(lambda item: item, [1]), threading.Event()
    ahead = workers.begin(lambda item: go.wait(PATIENCE) and item, ["ahead", "further"], after=batch)
    assert list(workers.gather(batch)) == [[(1, 1)]]
    go.set()
    assert list(workers.gather(ahead)) == [[("ahead", "ahead"), ("further", "further")]]


@pytest.mark.parametrize("last", [False, True], ids=["first list", "last list"])
def test_closing_halts_the_batch_and_its_continuation(lifetime, last):
    """Whoever cannot write down what is known closes the generator, and no further call is begun."""
    workers, begun, closed = Workers(1, lifetime), [], threading.Event()
    batch = workers.begin(lambda item: item, [1] if last else [1, 2])
    workers.add(batch, lambda _item: closed.wait(PATIENCE), [] if last else [3])
    ahead = workers.begin(lambda _item: closed.wait(PATIENCE), ["under way"])
    further = workers.begin(begun.append, ["further"], after=batch)
    gathering = workers.gather(batch, 0)
    next(gathering)
    gathering.close()
    closed.set()
    list(workers.gather(ahead))
    assert list(workers.gather(further)) == []
    assert begun == []


def test_what_came_in_before_a_fault_of_this_program_is_yielded_first(lifetime):
    """The outcomes that are known are written down before the fault is raised."""
    workers, collected = Workers(1, lifetime), []
    batch = workers.begin(lambda item: 1 // item, [1, 0, 1])
    with pytest.raises(ZeroDivisionError):
        collect(workers.gather(batch, PATIENCE), collected)
    assert collected == [[(1, 1)]]


def test_fault_of_this_program_halts_the_batch(lifetime):
    """Nothing more is begun after an error that nobody expected."""
    workers, begun = Workers(1, lifetime), []
    batch = workers.begin(lambda item: 1 // item, [0])
    with pytest.raises(ZeroDivisionError):
        list(workers.gather(batch))
    assert list(workers.gather(workers.begin(begun.append, ["further"], after=batch))) == []
    assert begun == []


def test_what_came_in_before_the_end_is_yielded_first(lifetime):
    """An outcome that is known is written down although another call hangs when the program ends."""
    workers, hung, collected = Workers(2, lifetime), threading.Event(), []
    batch = workers.begin(lambda item: item == "made" or hung.wait(PATIENCE), ["made", "hangs"])
    lifetime.end()
    asked = time.monotonic()
    with pytest.raises(Stopping):
        collect(workers.gather(batch, PATIENCE), collected)
    assert collected == [[("made", True)]]
    assert 0.5 <= time.monotonic() - asked < PATIENCE
    hung.set()


def test_being_asked_to_stop_ends_with_the_answers_that_came(lifetime):
    """A call that was made has an answer, a wait that was cut short has none. Then the program ends."""

    def act(item: int) -> str:
        if item == 0:
            lifetime.end()
            return "made"
        raise Stopping("asked to end while waiting")

    collected = []
    with pytest.raises(Stopping):
        collect(Workers(1, lifetime).each(act, [0, 1, 2]), collected)
    assert collected == [(0, "made")]


def test_call_that_hangs_does_not_hold_up_the_end(lifetime):
    """Calls under way get a few seconds; then the program ends without them."""
    ended = threading.Event()
    lifetime.end()
    asked = time.monotonic()
    with pytest.raises(Stopping):
        list(Workers(1, lifetime).each(lambda _item: ended.wait(PATIENCE), ["hangs"]))
    assert time.monotonic() - asked < PATIENCE
    ended.set()


def test_no_thread_keeps_the_process_from_ending(lifetime):
    """The workers are daemon threads."""
    ((_, thread),) = Workers(1, lifetime).each(lambda _item: threading.current_thread(), ["any"])
    assert thread.daemon
