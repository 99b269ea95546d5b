"""Whose fault it is that a payment is not taken, by evidence, in pretended time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.money import demand

from watcher.errors import AnswerLost, Scope, SignInRefused, Unreachable
from watcher.payments.model import Action
from watcher.payments.refusals import Refusals

THIS, OTHER = demand("100"), replace(demand("100", number="CW-2"), claim_id="another claim")


def server_error():
    """Return a write that was answered by 500."""
    error = AnswerLost("ConnectWise answered 500: no")
    error.scope = Scope.REFUSED
    return error


def forbidden():
    """Return a write that was answered by 403."""
    error = SignInRefused("ConnectWise does not allow this (403): no", "Check the role")
    error.scope = Scope.REFUSED
    return error


def lost():
    """Return a write that got no answer."""
    return AnswerLost("did not answer in time")


def odd():
    """Return a look that is not understood."""
    error = Unreachable("ConnectWise's answer is not understood")
    error.scope = Scope.ODD
    return error


def events(*given, error=server_error):
    """Return what is known after refusals of this (``-``) and of another payment (``o``), and good ones (``+``)."""
    refusals = Refusals()
    for what, now in given:
        if what == "+":
            refusals.went_well(Action.CREATE, now)
        else:
            refusals.refused(THIS if what == "-" else OTHER, Action.CREATE, error(), now)
    return refusals


def is_records(refusals, *, nothing_else=False, of=THIS):
    """Return True if this payment is to be rejected."""
    return refusals.is_often_enough(of.id) and refusals.can_be_records(of.id, nothing_else=nothing_else)


@pytest.mark.parametrize(
    ("given", "nothing_else", "records"),
    [
        pytest.param("-0 +0 -30 +40 -61", False, True, id="three rounds over a minute, and a good one before the last"),
        pytest.param("-0 +0 -61 +61", False, False, id="two rounds"),
        pytest.param("-0 +0 -1 -2 -3 +4 -59", False, False, id="less than a minute"),
        pytest.param("-0 -30 -61", False, False, id="nothing else went well"),
        pytest.param(
            "-0 +0 -30 -61", False, False, id="nothing went well between the last two, and others are to come"
        ),
        pytest.param("-0 +0 -30 -61", True, True, id="there is no other payment to try"),
        pytest.param("-0 -30 -61", True, True, id="it is alone"),
        pytest.param("-0 -30 -61 +61", False, False, id="something went well only now: it may have been an outage"),
        pytest.param("-0 -30 -61 +61 -90 -122", True, True, id="a minute after that"),
        pytest.param("-0 +0 -30 o31 +40 -61", True, True, id="another is refused, and others went well since"),
        pytest.param("-0 +0 o5 -30 -61", True, False, id="another is refused for the first time since: an outage"),
        pytest.param("-0 +0 -30 +35 o40 -61", True, False, id="and so it is a moment later"),
        pytest.param("-0 o0 -30 o30 -61 o61", True, False, id="all are refused"),
        pytest.param("-0 o0 +0 -30 o30 -61 o61", True, True, id="both were refused while others went well"),
    ],
)
def test_a_fault_is_the_records_if_others_go_well_meanwhile(given, nothing_else, records):
    """It takes three rounds over a minute, a good call in between, and no sign of an outage."""
    refusals = events(*((each[0], float(each[1:])) for each in given.split()))
    assert is_records(refusals, nothing_else=nothing_else) is records


@pytest.mark.parametrize(("good", "records"), [(0, False), (1, False), (2, True)])
def test_where_nothing_follows_what_went_well_before_counts(good, records):
    """Two payments at the end of all are refused: they are at fault if at least as many went well before them."""
    refusals = events(("-", 0), ("o", 0), ("-", 30), ("o", 30), ("-", 61), ("o", 61))
    refusals.nothing_follows = True
    for _ in range(good):
        refusals.unchanged()
    assert is_records(refusals, nothing_else=True) is records


@pytest.mark.parametrize("error", [lost, odd])
def test_no_answer_and_an_odd_one_never_become_the_records(error):
    """That ConnectWise is silent, or not understood, is its own trouble."""
    refusals = events(("-", 0), ("+", 0), ("-", 30), ("+", 40), ("-", 61), ("+", 70), ("-", 900), error=error)
    assert not is_records(refusals, nothing_else=True)


def test_a_look_that_goes_wrong_is_no_refusal():
    """Only refusals of the call itself count."""
    refusals = events(("-", 0), ("+", 0))
    for now in (20, 61, 120):
        refusals.refused(THIS, None, server_error(), now)
    assert not refusals.is_often_enough(THIS.id)
    assert refusals.of(THIS.id).due == 180


@pytest.mark.parametrize(
    ("count", "well", "records"),
    [(2, Action.CHANGE, True), (3, Action.CHANGE, False), (3, Action.CREATE, True)],
    ids=["two", "three, and none was made", "three, and one was made"],
)
def test_a_403_to_all_of_one_kind_is_a_missing_right(count, well, records):
    """A role may change payments and not make them: then nothing fails for it."""
    refusals = Refusals()
    demands = [replace(demand("1", number=f"CW-{ordinal}"), claim_id=f"claim {ordinal}") for ordinal in range(count)]
    for now in (0, 30, 61):
        for each in demands:
            refusals.refused(each, Action.CREATE, forbidden(), now)
        if now == 0:
            refusals.went_well(well, now)
    assert is_records(refusals, nothing_else=True, of=demands[0]) is records
    assert refusals.lacks_right(demands[0].id) is not records


def test_tries_come_at_once_then_within_a_minute_then_ever_later():
    """Three tries decide; after that a pause is five minutes at most."""
    refusals, now, pauses = Refusals(), 0.0, []
    for _ in range(9):
        refusals.refused(THIS, Action.CREATE, server_error(), now)
        pauses.append(refusals.of(THIS.id).due - now)
        now = refusals.of(THIS.id).due
    assert pauses == [0, 20, 41, 60, 120, 240, 300, 300, 300]


def test_an_answer_that_was_lost_once_is_not_told():
    """It is read back at once; only if that goes on do people hear of it."""
    refusals = events(("-", 0), error=lost)
    assert not refusals.is_worth_telling(THIS.id)
    refusals.refused(THIS, Action.CREATE, lost(), 30)
    assert refusals.is_worth_telling(THIS.id)


def test_what_is_over_is_forgotten():
    """A payment with an outcome, and the payments of a claim that is withdrawn."""
    refusals = events(("-", 0), ("o", 0))
    refusals.forget(THIS.id)
    assert refusals.of(THIS.id) is None
    refusals.keep_only([])
    assert refusals.keys() == set()


def test_a_payment_whose_try_was_hastened_is_rejected_no_sooner():
    """A person who asks for a try again and again makes no refusal count for more: a minute has to pass."""
    refusals = Refusals()
    refusals.refused(THIS, Action.CREATE, server_error(), 0.0)
    for now in range(1, 50):
        refusals.hasten()
        assert refusals.of(THIS.id).due == 0.0
        refusals.refused(THIS, Action.CREATE, server_error(), float(now))
        assert refusals.of(THIS.id).due > now
        assert not refusals.is_often_enough(THIS.id)
    refusals.refused(THIS, Action.CREATE, server_error(), 61.0)
    assert refusals.is_often_enough(THIS.id)
