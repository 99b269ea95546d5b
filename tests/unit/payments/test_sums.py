"""The pure rules of payments that are added up: what is new, what a sum is, and what is not ours to add to."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.payments.demands import demands_of
from watcher.payments.invoices import HeldPayment, Invoice
from watcher.payments.model import Action, Change, Create, Demand, Intent, Keep, Payment, Plan, Reject, Remove, Rules
from watcher.payments.outcomes import Outcome, addition, finish, reject_all
from watcher.payments.planning import plan
from watcher.payments.sums import Accepted, Before, Sum, add, conflicts, foreign

EACH = Rules(add_up=True)
REMOVE = Rules(add_up=True, remove_on_zero=True)
DAY = date(2016, 9, 22)
INVOICE = 1001


def part(position, amount, external_id=None, day=DAY, number="CW-1", invoice_id=None):
    """Return a payment; its externalId is of its own unless told."""
    given_id = f"R-{position}" if external_id is None else external_id
    return Payment(position, 3 + position, number, Decimal(amount), day, invoice_id, given_id)


def demand(*parts):
    """Return what a file adds to an invoice."""
    return Demand("claim", "CW-1", parts, adds=True)


def before(total="0", settled=None, accepted=(), latest=None, intended=()):
    """Return what was accepted before for the invoice."""
    amount = Decimal(total)
    held = amount if settled is None else Decimal(settled)
    known = {one.external_id: one for one in accepted}
    return Before({INVOICE: Sum(amount, held, latest, frozenset(map(Decimal, intended)))}, known)


def accepted(external_id, amount, number="CW-1", invoice_id=INVOICE):
    """Return a payment that was accepted."""
    return Accepted(external_id, invoice_id, number, Decimal(amount), DAY, "first.xml", "its claim", datetime.now(UTC))


def invoice(held=None, total="100.00", credit="0"):
    """Return an invoice with one payment, or none."""
    rows = () if held is None else (HeldPayment(11, Decimal(held), None),)
    paid = Decimal(held or 0)
    return Invoice(INVOICE, "CW-1", "Standard", Decimal(total), paid, Decimal(credit), rows, Decimal(total) - paid)


def decide(wanted, found, known, rules=EACH, intent=None):
    """Plan a demand on one invoice."""
    return plan(wanted, [found], intent, rules, before=known)


# --- what is new ------------------------------------------------------------------------------------------------------


def test_records_are_told_apart_by_their_external_id():
    """New, known and known otherwise; the same record again in one file adds nothing."""
    known = before("30", accepted=[accepted("A", "10.00"), accepted("B", "20.00"), accepted("C", "5", "CW-2", 7)])
    parts = (part(0, "10.00", "A"), part(1, "21.00", "B"), part(2, "5", "C"), part(3, "7", "D"), part(4, "7", "D"))
    adding = add(demand(*parts), INVOICE, known, EACH)
    assert [one.external_id for one in adding.new] == ["D"]
    assert (adding.repeated, adding.accepted_before) == ({0, 4}, {0})
    assert adding.faults.keys() == {1, 2}
    assert adding.amount == Decimal(37)
    assert "was accepted before with 20.00, in first.xml (claim its claim)" in adding.faults[1]
    assert "with 5.00 for invoice CW-2, in first.xml" in adding.faults[2]


@pytest.mark.parametrize(
    ("rules", "total", "amounts", "taken"),
    [
        pytest.param(EACH, "0", ["50", "-30", "-40"], [0], id="below zero: what takes off is rejected"),
        pytest.param(EACH, "20", ["50", "-30", "-40"], [0], id="zero is rejected"),
        pytest.param(EACH, "0", ["50", "-50"], [0, 1], id="zero stays zero"),
        pytest.param(REMOVE, "20", ["50", "-30", "-40"], [0, 1, 2], id="zero removes"),
        pytest.param(EACH, "21", ["50", "-30", "-40"], [0, 1, 2], id="a unit is left"),
        pytest.param(REMOVE, "0", ["-0.01"], [], id="nothing to take off"),
    ],
)
def test_a_sum_does_not_fall_below_zero(rules, total, amounts, taken):
    """The records below zero are rejected, altogether; the others are accepted."""
    adding = add(demand(*(part(at, amount) for at, amount in enumerate(amounts))), INVOICE, before(total), rules)
    assert [one.position for one in adding.new] == taken
    assert set(adding.faults) == set(range(len(amounts))) - set(taken)


def test_a_deleted_payment_is_taken_back_beside_an_amount_that_takes_too_much_off():
    """The record that takes back exactly a payment of the file, or one accepted before, is not what is wrong."""
    deleted = (part(0, "100.00", "P"), part(1, "-100.00", "P/deleted"))
    other = part(2, "-30.00", "B")
    adding = add(demand(*deleted, other), INVOICE, before(), REMOVE)
    assert ([one.position for one in adding.new], list(adding.faults)) == ([0, 1], [2])
    known = before("100.00", accepted=[accepted("P", "100.00")])
    adding = add(demand(*deleted, other), INVOICE, known, REMOVE)
    assert ([one.position for one in adding.new], adding.amount, list(adding.faults)) == ([1], 0, [2])
    # What was accepted has been taken off already, by a record of its own.
    adding = add(demand(*deleted, other), INVOICE, before("0.00", accepted=[accepted("P", "100.00")]), REMOVE)
    assert (adding.new, sorted(adding.faults)) == ((), [1, 2])


def test_a_payment_that_stands_in_its_file_twice_counts_once_and_says_so():
    """They may be two payments to which the system gives no ids of their own. What another file had says nothing."""
    twice = demand(part(0, "10.00", "A"), part(1, "10.00", "A"))
    first, second = finish(decide(twice, invoice(), before(), REMOVE), Outcome.APPLIED, 11)
    assert first.warning is None
    assert "externalId A stands several times in this file, and the payment counts once" in second.warning
    known = before("10.00", accepted=[accepted("A", "10.00")])
    assert [one.warning for one in finish(decide(twice, invoice("10.00"), known, REMOVE), Outcome.UNCHANGED, 11)] == [
        None,
        None,
    ]


def test_an_external_id_of_several_meanings_is_no_id():
    """Each of its records is rejected. The same record twice has one meaning."""
    parts = [part(0, "1", "A"), part(1, "1.00", "A", number="cw-1"), part(2, "1", "B"), part(3, "2", "B")]
    assert conflicts(parts).keys() == {2, 3}
    _, rejected = demands_of("claim", [*parts, part(4, "1", ""), part(5, "0")], EACH)
    assert [one.position for one in rejected] == [2, 3, 4, 5]


# --- what is set ------------------------------------------------------------------------------------------------------


@given(st.lists(st.decimals("-60", "60", places=2).filter(bool), max_size=8), st.decimals("0.01", "100", places=2))
def test_the_shares_of_all_records_add_up_to_what_is_set(amounts, room):
    """However they come in files, asked = applied + discarded, and what was applied is what the invoice has."""
    parts = [part(at, amount) for at, amount in enumerate(amounts)]
    together = add(demand(*parts), INVOICE, before(), REMOVE).shares(room) if parts else {}
    total, applied = Decimal(0), Decimal(0)
    for one in (each for each in parts if each.position in together):
        single = add(demand(one), INVOICE, Before({INVOICE: Sum(max(total, Decimal(0)))}), REMOVE)
        if total + one.amount >= 0 and total >= 0:
            assert single.shares(room) == {one.position: together[one.position]}
        total += one.amount
        applied += together[one.position]
    assert applied == min(total, room)


def test_the_whole_sum_is_set_with_the_latest_day_of_all():
    """A payment that leaves the invoice partly paid carries no date."""
    known = before("40.00", latest=date(2016, 10, 1))
    step = decide(demand(part(0, "60.00")), invoice("40.00"), known).step
    assert step == Change(INVOICE, 11, Decimal(100), date(2016, 10, 1))
    assert decide(demand(part(0, "59.99")), invoice("40.00"), known).step == Change(INVOICE, 11, Decimal("99.99"), None)
    assert decide(demand(part(0, "100.00")), invoice(), Before()).step == Create(INVOICE, Decimal(100), DAY)
    assert decide(demand(part(0, "-40.00")), invoice("40.00"), known, REMOVE).step == Remove(INVOICE, 11)


def test_what_the_invoice_cannot_take_counts_in_the_sum_all_the_same():
    """The sum is 120.00 and 100.00 is set; once 40.00 is taken off, 80.00 is."""
    decided = decide(demand(part(0, "60.00")), invoice("60.00"), before("60.00"))
    assert addition(decided, finish(decided, Outcome.APPLIED, 11)).settled == Decimal(100)
    (result,) = finish(decided, Outcome.APPLIED, 11)
    assert (result.applied, result.discarded) == (Decimal(40), Decimal(20))
    decided = decide(demand(part(1, "-40.00")), invoice("100.00"), before("120.00", settled="100.00"))
    (result,) = finish(decided, Outcome.APPLIED, 11)
    assert (decided.amount, result.applied, result.discarded) == (Decimal(80), Decimal(-20), Decimal(-20))


@pytest.mark.parametrize(
    ("held", "settled", "intended", "ours", "says"),
    [
        pytest.param("100", "100", [], [], None, id="what was set last"),
        pytest.param("0", "100", [], [], None, id="nothing"),
        pytest.param("150", "100", ["150"], [], None, id="what a run that was killed was about to set"),
        pytest.param("150", "100", [], ["150"], None, id="what a call without an answer may have set"),
        pytest.param("120", "100", [], [], "holds 120.00, of which this program set 100.00", id="more"),
        pytest.param("80", "100", [], [], "holds 80.00, where this program set 100.00", id="less"),
        pytest.param("20", "0", [], [], "holds 20.00, of which this program set 0.00", id="never ours"),
    ],
)
def test_nothing_is_added_to_what_is_not_ours(held, settled, intended, ours, says):
    """Both amounts are named, and what to do."""
    known = Sum(Decimal(200), Decimal(settled), DAY, frozenset(map(Decimal, intended)))
    fault = foreign(Decimal(held), known, map(Decimal, ours))
    assert (fault is None) == (says is None)
    assert says is None or f"ConnectWise {says}; nothing is guessed" in fault


def test_a_call_of_the_same_record_that_was_planned_before_is_ours():
    """After a kill between call and outcome, the sum is there already, and the payment is applied."""
    intent = Intent(Action.CHANGE, Decimal(100), None, INVOICE)
    decided = decide(demand(part(0, "60.00")), invoice("100.00"), before("40.00"), intent=intent)
    assert decided.step == Change(INVOICE, 11, None, DAY)
    assert isinstance(decide(demand(part(0, "60.00")), invoice("100.00"), before("40.00")).step, Reject)


def test_what_was_accepted_before_stays_accepted_whatever_becomes_of_the_others():
    """A refused call rejects what is new alone."""
    known = before("40.00", accepted=[accepted("A", "40.00")])
    decided = decide(demand(part(0, "40.00", "A"), part(1, "5.00")), invoice("40.00"), known)
    results = reject_all(decided, "No.")
    assert [result.outcome for result in results] == [Outcome.UNCHANGED, Outcome.REJECTED]
    assert addition(decided, results) is None
    only_known = decide(demand(part(0, "40.00", "A")), invoice("40.00"), known)
    assert isinstance(only_known.step, Keep)
    assert addition(only_known, finish(only_known, Outcome.UNCHANGED, 11)) is None


def test_records_of_an_invoice_that_is_not_found_are_rejected_and_known_ones_stay():
    """Nobody can look at it, and what was accepted before is known by its number."""
    known = before("40.00", accepted=[accepted("A", "40.00")])
    decided: Plan = plan(demand(part(0, "40.00", "A"), part(1, "5.00")), [], None, EACH, before=known)
    outcomes = [result.outcome for result in reject_all(decided, "Cannot find it")]
    assert outcomes == [Outcome.UNCHANGED, Outcome.REJECTED]
