"""Whose fault it is that a payment is refused, by evidence, in pretended time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.money import demand

from watcher.errors import AnswerLost, Scope, SignInRefused, Unreachable
from watcher.payments.model import Action
from watcher.payments.refusals import Refusals

THIS, OTHER = demand("100"), demand("100", number="CW-2")


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


def odd():
    """Return a look that is not understood."""
    error = Unreachable("ConnectWise's answer is not understood")
    error.scope = Scope.ODD
    return error


def refused(at, error=server_error, *, well_at=None, action=Action.CREATE, well=Action.CREATE):
    """Return what is known after refusals at some times, with a good payment of another invoice at one time."""
    refusals = Refusals()
    for now in at:
        refusals.refused(THIS, action, error(), now)
        if well_at == now:
            refusals.went_well(well)
    return refusals


@pytest.mark.parametrize(
    ("at", "well_at", "records"),
    [
        pytest.param([0, 30, 61], 0, True, id="three rounds over a minute"),
        pytest.param([0, 61], 0, False, id="two rounds"),
        pytest.param([0, 1, 2, 3, 59], 0, False, id="less than a minute"),
        pytest.param([0, 30, 61], None, False, id="nothing else went well"),
        pytest.param([0, 30, 61], 61, False, id="something went well only now: what came before may be an outage"),
        pytest.param([0, 30, 61, 90, 122], 61, True, id="a minute after that"),
    ],
)
def test_a_fault_is_the_records_if_others_go_well_meanwhile(at, well_at, records):
    """It takes three rounds over a minute, and a good payment in between."""
    assert refused(at, well_at=well_at).is_records(THIS.id, alone=False) is records


def test_a_payment_alone_needs_a_look_up_of_its_own_invoice():
    """Where there is no other payment, that shows that ConnectWise answers."""
    refusals = refused([0, 30, 61])
    assert not refusals.is_records(THIS.id, alone=True)
    refusals.looked_up([THIS.id])
    assert refusals.is_records(THIS.id, alone=True)
    assert not refusals.is_records(THIS.id, alone=False)


def test_an_odd_answer_never_becomes_the_records():
    """That ConnectWise is not understood is its own trouble."""
    assert not refused([0, 30, 61, 900], odd, well_at=0).is_records(THIS.id, alone=False)


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
            refusals.went_well(well)
    assert refusals.is_records(demands[0].id, alone=False) is records


def test_tries_come_at_once_then_within_a_minute_then_ever_later():
    """Three tries decide; after that a pause is five minutes at most."""
    refusals, now, pauses = Refusals(), 0.0, []
    for _ in range(9):
        refusals.refused(THIS, Action.CREATE, server_error(), now)
        pauses.append(refusals.due(THIS.id) - now)
        now = refusals.due(THIS.id)
    assert pauses == [0, 20, 41, 60, 120, 240, 300, 300, 300]


def test_patience_grows_until_the_outage_is_long():
    """Good payments may stand behind many bad ones. In a long outage few are tried at a time."""
    refusals, patience = Refusals(), []
    for _ in range(6):
        patience.append(refusals.patience)
        refusals.gave_up()
    assert patience == [8, 16, 32, 64, 8, 8]
    refusals.went_well(Action.CREATE)
    assert refusals.patience == 8


def test_what_is_over_is_forgotten():
    """A payment with an outcome, and the payments of a claim that is withdrawn."""
    refusals = refused([0])
    refusals.refused(OTHER, Action.CREATE, server_error(), 0)
    refusals.forget(THIS.id)
    assert refusals.of(THIS.id) is None
    refusals.keep_only([])
    assert refusals.keys() == set()
