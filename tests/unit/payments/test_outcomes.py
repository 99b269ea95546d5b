"""A step that was taken becomes results; what is written down before a call."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from support.money import DAY, decide, demand, invoice, payment, row

from watcher.payments.dated import Dated
from watcher.payments.model import (
    Action,
    Change,
    Create,
    Intent,
    Keep,
    Misfit,
    Plan,
    Reject,
    Remove,
)
from watcher.payments.outcomes import Outcome, Result, finish, intend, reject, total

OVERAGE = "The paid amount exceeds what the invoice can take: 100.00 was set and 20.50 discarded"


# --- what is written down before a call --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "earlier", "written"),
    [
        pytest.param(Create(1, Decimal(40), None), None, Intent(Action.CREATE, Decimal(40), "a; b"), id="create"),
        pytest.param(
            Change(1, 11, Decimal(40), None), None, Intent(Action.CHANGE, Decimal(40), "a; b"), id="change of amount"
        ),
        pytest.param(
            Change(1, 11, None, DAY), None, Intent(Action.CHANGE, Decimal(40), "a; b"), id="change of the date alone"
        ),
        pytest.param(Remove(1, 11), None, Intent(Action.REMOVE, Decimal(40), "a; b"), id="remove"),
        pytest.param(Remove(1, 11, surplus=True), None, None, id="nothing for a surplus row"),
        pytest.param(Keep(1, 11), None, None, id="nothing to do"),
        pytest.param(Reject("No"), None, None, id="nothing for a rejection"),
        pytest.param(
            Create(1, Decimal(40), None),
            Intent(Action.CREATE, Decimal(40), "then"),
            Intent(Action.CREATE, Decimal(40), "then"),
            id="the same again keeps its warning",
        ),
        pytest.param(
            Create(1, Decimal(40), None),
            Intent(Action.CREATE, Decimal(30), "then"),
            Intent(Action.CREATE, Decimal(40), "a; b"),
            id="another amount",
        ),
        pytest.param(
            Create(1, Decimal(40), None),
            Intent(Action.CHANGE, Decimal(40), "then"),
            Intent(Action.CREATE, Decimal(40), "a; b"),
            id="another action",
        ),
    ],
)
@pytest.mark.parametrize("day", [DAY, None])
def test_call_is_written_down_with_its_amount_date_and_warning(step, earlier, written, day):
    """Every call that sets or removes a payment has an intent; other steps have none."""
    decided = Plan(demand("40"), step, Decimal(40), ("a", "b"), date_paid=day)
    assert intend(decided, earlier) == (written and replace(written, dated=Dated(day)))


# --- results -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amounts", "payable", "settled"),
    [
        pytest.param(["40", "60"], "100", ["40", "60"], id="just enough"),
        pytest.param(["40", "60"], "99.99", ["40", "59.99"], id="a cent short"),
        pytest.param(["40", "60"], "40", ["40", "0"], id="the first alone"),
        pytest.param(["40", "60"], "10", ["10", "0"], id="part of the first"),
        pytest.param(["10", "20", "30", "40"], "45", ["10", "20", "15", "0"], id="four"),
    ],
)
def test_overage_of_a_sum_falls_on_the_last_records(amounts, payable, settled):
    """The amount set is shared out in the order of the records, and what is left is discarded, to the cent."""
    decided = decide(demand(*amounts), invoice(total=payable))

    results = finish(decided, Outcome.APPLIED, 11)

    assert [result.applied for result in results] == [Decimal(part) for part in settled]
    assert sum(result.discarded for result in results) == sum(map(Decimal, amounts)) - Decimal(payable)
    assert all(result.asked == result.applied + result.discarded for result in results)


def test_finished_record_carries_the_ids_of_connectwise():
    """A success says which invoice and payment row it became."""
    (result,) = finish(decide("120.50", invoice(id=77)), Outcome.APPLIED, 11)

    assert result == Result(
        0, 1, "CW-1", Outcome.APPLIED, Decimal("120.50"), Decimal(100), warning=OVERAGE, invoice_id=77, payment_id=11
    )


@pytest.mark.parametrize("outcome", [Outcome.APPLIED, Outcome.UNCHANGED])
def test_overage_is_discarded_whether_or_not_anything_was_set(outcome):
    """The discarded part is the same for a payment set now and one that was there."""
    (result,) = finish(decide("120.50", invoice(row("100", DAY))), outcome, 11)

    assert result.discarded == Decimal("20.50")
    assert (result.applied, result.unchanged) == ((100, 0) if outcome is Outcome.APPLIED else (0, 100))


@pytest.mark.parametrize(
    ("record", "asked"),
    [
        pytest.param(payment(amount="346.34"), "346.34", id="a payment"),
        pytest.param(Misfit(0, 1, "CW-1", Decimal("346.34"), "wrong"), "346.34", id="a misfit with an amount"),
    ],
)
def test_rejected_record_failed_with_its_whole_amount(record, asked):
    """Nothing of a rejected record is applied."""
    result = reject(record, "No", 77)

    assert (result.asked, result.failed) == (Decimal(asked), Decimal(asked))
    assert (result.applied, result.unchanged, result.discarded) == (0, 0, 0)
    assert (result.message, result.warning, result.invoice_id) == ("No", None, 77)


def test_an_amount_that_cannot_be_read_is_never_zero():
    """It stands as it is written, and sums say that they lack it."""
    result = reject(Misfit(0, 1, "CW-1", None, "wrong", "1,346.34"), "No")

    assert (result.asked, result.failed, result.asked_as_written) == (None, None, "1,346.34")
    assert (result.applied, result.unchanged, result.discarded) == (0, 0, 0)
    sums = total([result, reject(payment(amount="5.00"), "No")])
    assert (sums.asked, sums.failed, sums.rejected, sums.unreadable) == (Decimal("5.00"), Decimal("5.00"), 2, 1)
