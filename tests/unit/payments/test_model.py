"""The values that the modules pass to each other: amounts, claims, demands, results, totals."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.claim import Claim
from watcher.payments.model import ZERO, Demand, Payment, Plan, Reject, Remove, Rules, money
from watcher.payments.outcomes import Outcome, Result, Totals, total

law = settings(deadline=None, max_examples=150)
DAY = date(2016, 9, 22)


def result(outcome, asked, held="0"):
    """Return what became of a record."""
    return Result(0, 1, "CW-1", Outcome(outcome), Decimal(asked), Decimal(held))


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        ("346.34", "346.34"),
        ("346.3", "346.30"),
        ("346", "346.00"),
        ("0", "0.00"),
        ("-20.5", "-20.50"),
        ("1E+3", "1000.00"),
        ("0.125", "0.125"),
        ("1E-4", "0.0001"),
        ("999999999999999.99", "999999999999999.99"),
        ("12345678901234567890123456789012345.67", "12345678901234567890123456789012345.67"),
    ],
)
def test_money_is_written_with_a_point_and_at_least_two_decimals(amount, written):
    """Never an exponent, never a rounded cent."""
    assert money(Decimal(amount)) == written


@law
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**18), max_value=10**18, places=6))
def test_money_says_exactly_the_amount(amount):
    """What is written reads back as the same amount."""
    assert Decimal(money(amount)) == amount


def test_claim_knows_its_time_in_utc():
    """The id alone tells when the file was taken."""
    assert Claim("20160922T233000Z_0a1b2c3d", "payments.xml").claimed_at == datetime(2016, 9, 22, 23, 30, tzinfo=UTC)


def test_claims_sort_in_the_order_of_claiming():
    """Neither the name nor the random part comes before the time."""
    claims = [
        Claim("20161231T235959Z_ffffffff", "c.xml"),
        Claim("20170101T000000Z_00000000", "b.xml"),
        Claim("20170101T000001Z_00000000", "a.xml"),
    ]

    assert sorted([claims[2], claims[0], claims[1]]) == claims


@pytest.mark.parametrize(
    ("parts", "amount", "day"),
    [
        ([("100.10", DAY)], "100.10", DAY),
        ([("0.10", DAY), ("0.20", date(2016, 9, 21))], "0.30", DAY),
        ([("0.10", DAY), ("0.20", date(2016, 9, 23))], "0.30", date(2016, 9, 23)),
        ([("999999999999999", DAY)] * 50, "49999999999999950", DAY),
    ],
    ids=["one", "the first is the latest", "the last is the latest", "fifty of the largest"],
)
def test_demand_adds_up_exactly_and_takes_the_latest_day(parts, amount, day):
    """A sum of cents has no rounding."""
    asked = Demand(
        "claim", "CW-1", tuple(Payment(place, 1, "CW-1", Decimal(part), on) for place, (part, on) in enumerate(parts))
    )

    assert (asked.amount, asked.date_paid) == (Decimal(amount), day)


@pytest.mark.parametrize(("number", "same"), [("cw-1", True), ("CW-1", True), ("Cw-1", True), ("CW-10", False)])
def test_demands_on_one_invoice_have_one_key(number, same):
    """Letter case does not make another invoice."""
    assert (Demand("a", "CW-1", ()).key == Demand("b", number, ()).key) is same


@pytest.mark.parametrize(
    ("given", "applied", "unchanged", "discarded", "failed"),
    [
        (result("applied", "100", "100"), "100", "0", "0", "0"),
        (result("applied", "120.50", "100"), "100", "0", "20.50", "0"),
        (result("applied", "100", "0"), "0", "0", "100", "0"),
        (result("unchanged", "100", "100"), "0", "100", "0", "0"),
        (result("unchanged", "120.50", "100"), "0", "100", "20.50", "0"),
        (result("rejected", "100"), "0", "0", "0", "100"),
        (result("rejected", "0"), "0", "0", "0", "0"),
    ],
)
def test_amount_asked_falls_into_four_parts(given, applied, unchanged, discarded, failed):
    """What is asked is applied, unchanged, discarded or failed, and nothing twice."""
    parts = (given.applied, given.unchanged, given.discarded, given.failed)

    assert parts == tuple(map(Decimal, (applied, unchanged, discarded, failed)))
    assert given.asked == sum(parts)


def test_totals_add_up_the_results():
    """Counts and amounts of a document, by outcome."""
    results = [
        result("applied", "120.50", "100"),
        result("unchanged", "0.10", "0.10"),
        result("rejected", "0.20"),
        result("rejected", "0"),
    ]

    assert total(results) == Totals(
        records=4,
        succeeded=2,
        rejected=2,
        asked=Decimal("120.80"),
        applied=Decimal(100),
        unchanged=Decimal("0.10"),
        discarded=Decimal("20.50"),
        failed=Decimal("0.20"),
    )


def test_totals_of_nothing_are_zero():
    """An empty document has asked for nothing."""
    assert total([]) == Totals()
    assert Totals().asked == ZERO


def test_only_a_plan_that_rejects_rejects():
    """A step that does something, or need not, is no rejection."""
    asked = Demand("claim", "CW-1", ())

    assert Plan(asked, Reject("No")).rejects
    assert not Plan(asked, Remove(1, 11)).rejects


def test_rules_guess_nothing_unless_the_operator_says_so():
    """Without settings duplicates and zeros are rejected and partial payments undated."""
    assert Rules() == Rules(sum_duplicates=False, remove_on_zero=False, date_partial_payments=False)


@pytest.mark.parametrize(
    ("value", "name"),
    [(Payment(0, 1, "CW-1", ZERO, DAY), "amount"), (result("applied", "1"), "held"), (Claim("a", "b"), "id")],
    ids=["payment", "result", "claim"],
)
def test_values_cannot_be_changed(value, name):
    """What one module hands to another stays what it was."""
    with pytest.raises(AttributeError):
        setattr(value, name, None)
