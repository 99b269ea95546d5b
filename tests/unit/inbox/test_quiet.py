"""Which observed files are quiet enough to be looked at, with times and file facts passed in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.inbox.quiet import Sighting, Waiting, next_due, observe, quiet

law = settings(deadline=None, max_examples=150)


def sighting(name="a.xml", *, size=100, modified_ns=1, inode=7):
    """Return a file as one scan sees it."""
    return Sighting(name, size, modified_ns, inode)


def waiting(*, since, missing=None, name="a.xml", arrival=0):
    """Return a file that has not changed since a time."""
    return Waiting(sighting(name), arrival, since, missing)


@pytest.mark.parametrize(
    ("after", "is_quiet"),
    [(0.0, False), (4.999, False), (5.0, True), (5.001, True), (86400.0, True)],
    ids=["at first sight", "a moment short", "on time", "a moment after", "a day after"],
)
def test_file_is_quiet_once_it_has_not_changed_for_the_settle_period(after, is_quiet):
    """The period is counted from the first scan that saw the file as it is."""
    known = observe({}, [sighting()], 1000.0, 0)
    known = observe(known, [sighting()], 1000.0 + after, 1)

    assert quiet(known["a.xml"], 1000.0 + after, 5.0) is is_quiet


def test_settle_period_of_zero_takes_a_file_at_first_sight():
    """Whoever renames files into place need not wait."""
    assert quiet(observe({}, [sighting()], 1000.0, 0)["a.xml"], 1000.0, 0.0)


@pytest.mark.parametrize(
    "modified_ns",
    [0, -1, 10**18, 4 * 10**18],
    ids=["no time", "before all times", "years ago", "far in the future"],
)
def test_time_stamp_of_a_file_is_no_age(modified_ns):
    """A copy that keeps an old time, or a server with another clock, settles like any file."""
    known = observe({}, [sighting(modified_ns=modified_ns)], 1000.0, 0)

    assert not quiet(known["a.xml"], 1004.9, 5.0)
    assert quiet(known["a.xml"], 1005.0, 5.0)


@pytest.mark.parametrize(
    "change",
    [{"size": 101}, {"size": 99}, {"size": 0}, {"modified_ns": 2}, {"modified_ns": 0}, {"inode": 8}],
    ids=["grown", "shrunk", "emptied", "touched", "touched back", "replaced"],
)
def test_any_change_restarts_the_clock_and_forgets_what_was_missing(change):
    """Size, time and inode each show a writer at work; what the content missed was another content's."""
    known = observe({}, [sighting()], 1000.0, 0)
    known = {"a.xml": replace(known["a.xml"], missing="no closing tag yet")}

    known = observe(known, [sighting(**change)], 1004.0, 1)

    assert known["a.xml"] == Waiting(sighting(**change), 0, 1004.0, None)
    assert not quiet(known["a.xml"], 1008.9, 5.0)
    assert quiet(known["a.xml"], 1009.0, 5.0)


def test_file_that_stays_the_same_keeps_all_that_is_known_of_it():
    """Looking does not disturb."""
    before = {"a.xml": waiting(since=1000.0, missing="no closing tag yet")}

    assert observe(before, [sighting()], 1100.0, 1) == before


def test_file_that_changes_and_changes_back_between_scans_starts_anew():
    """The clock runs from the last change, not from the first look at these facts."""
    known = observe({}, [sighting()], 1000.0, 0)
    known = observe(known, [sighting(size=5)], 1003.0, 1)
    known = observe(known, [sighting()], 1004.0, 1)

    assert known["a.xml"].quiet_since == 1004.0


def test_file_that_is_gone_is_forgotten_and_comes_back_as_new():
    """A name that another file takes later is not that file."""
    known = observe({}, [sighting(), sighting("b.xml")], 1000.0, 0)
    known = observe(known, [sighting("b.xml")], 1001.0, 2)
    assert list(known) == ["b.xml"]

    known = observe(known, [sighting(), sighting("b.xml")], 1002.0, 2)

    assert list(known) == ["b.xml", "a.xml"]
    assert known["a.xml"] == Waiting(sighting(), 2, 1002.0)


def test_new_files_of_one_scan_rank_by_modification_time_then_name():
    """What was written first is taken first, and a tie is broken the same way every time."""
    seen = [
        sighting("c.xml", modified_ns=1),
        sighting("b.xml", modified_ns=3),
        sighting("a.xml", modified_ns=3),
        sighting("d.xml", modified_ns=2),
    ]

    known = observe({}, seen, 1000.0, 10)

    assert [(name, file.arrival) for name, file in known.items()] == [
        ("c.xml", 10),
        ("d.xml", 11),
        ("a.xml", 12),
        ("b.xml", 13),
    ]


def test_file_keeps_its_rank_when_it_changes_and_when_older_files_arrive():
    """Order is that of first sight; neither a later change nor an old time stamp jumps the queue."""
    known = observe({}, [sighting("a.xml", modified_ns=50), sighting("b.xml", modified_ns=60)], 1000.0, 0)

    known = observe(
        known,
        [sighting("b.xml", modified_ns=60), sighting("old.xml", modified_ns=1), sighting("a.xml", modified_ns=99)],
        1001.0,
        2,
    )

    assert [(name, file.arrival) for name, file in known.items()] == [("a.xml", 0), ("b.xml", 1), ("old.xml", 2)]


def test_what_was_known_is_not_changed_in_place():
    """A scan that fails half way leaves the knowledge of the one before."""
    before = {"a.xml": waiting(since=1000.0)}

    observe(before, [sighting(size=5), sighting("b.xml")], 1001.0, 1)

    assert before == {"a.xml": waiting(since=1000.0)}


@pytest.mark.parametrize(
    ("files", "due"),
    [
        pytest.param([], None, id="no file"),
        pytest.param([waiting(since=1000.0)], 5.0, id="one at first sight"),
        pytest.param([waiting(since=997.0)], 2.0, id="one half way"),
        pytest.param([waiting(since=995.0)], 0.0, id="one just quiet"),
        pytest.param([waiting(since=900.0)], 0.0, id="one long quiet and not looked at"),
        pytest.param(
            [waiting(since=999.0), waiting(since=996.5), waiting(since=998.0)], 1.5, id="the first of several"
        ),
        pytest.param([waiting(since=999.0, missing="no end yet")], None, id="one known to be incomplete"),
        pytest.param(
            [waiting(since=996.0, missing="no end yet"), waiting(since=999.0)], 4.0, id="an incomplete one beside"
        ),
    ],
)
def test_next_look_is_due_when_the_first_unread_file_is_quiet(files, due):
    """The program sleeps until there is something to look at; an incomplete file only waits for a change."""
    assert next_due(files, 1000.0, 5.0) == due


names = st.sampled_from(["a.xml", "b.xml", "c.xml"])
facts = st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 1))
scans = st.lists(st.tuples(st.integers(1, 4), st.dictionaries(names, facts)), min_size=1, max_size=12)


@law
@given(scans)
def test_file_is_quiet_exactly_if_every_scan_of_the_settle_period_saw_it_the_same(history):
    """Whatever comes and goes, the clock runs from the first scan of the unbroken run, and arrival is the order."""
    known, now, arrivals = {}, 1000.0, 0
    runs, arrived = {}, []
    for pause, seen in history:
        now += pause
        known = observe(known, [Sighting(name, *given) for name, given in seen.items()], now, arrivals)
        arrivals = 1 + max((file.arrival for file in known.values()), default=arrivals - 1)

        runs = {
            name: (given, runs[name][1] if runs.get(name, (None,))[0] == given else now) for name, given in seen.items()
        }
        fresh = sorted(set(seen) - set(arrived), key=lambda name: (seen[name][1], name))
        arrived = [name for name in arrived if name in seen] + fresh

        assert {name: file.quiet_since for name, file in known.items()} == {
            name: since for name, (_, since) in runs.items()
        }
        assert list(known) == arrived == sorted(known, key=lambda name: known[name].arrival)
        assert len({file.arrival for file in known.values()}) == len(known)
        due = next_due(known.values(), now, 3.0)
        assert (due == 0.0) is any(quiet(file, now, 3.0) for file in known.values())
        assert (due is None) is (not known)
        if due:
            assert any(quiet(file, now + due, 3.0) for file in known.values())
