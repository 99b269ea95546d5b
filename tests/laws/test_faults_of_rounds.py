"""Rounds behind an unreliable network: whatever strikes, wherever, every payment is made once and none fails."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.connectwise import invoice, payments_of
from support.network import (
    BAD_GATEWAY_502,
    NOBODYS,
    RESET_AFTER,
    RESET_BEFORE,
    SILENT_AFTER,
    THE_OPERATORS,
    TIMED_OUT_500,
    Delivery,
    Strike,
    Unreliable,
    after,
    impatience,
)
from support.rounds import BUSY, LOOK_UP, POSTED, ROW, TOTAL, Line, busy_books, paid, paying, writes

from watcher.errors import SignInRefused
from watcher.payments.model import Rules
from watcher.sandbox import InvoiceSeed, Sandbox

# --- one fault at one kind of call -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "position"),
    [
        *(pytest.param(fault, 2, id=name) for name, fault in NOBODYS.items()),
        *(pytest.param(RESET_BEFORE, position, id=f"reset before, {position}") for position in (1, 3)),
        *(pytest.param(RESET_AFTER, position, id=f"reset after, {position}") for position in (1, 3)),
    ],
)
def test_a_post_whose_answer_is_lost_ends_as_one_payment(start_sandbox, fault, position):
    """Whether ConnectWise acted or not: it is read back, and every invoice has its one payment, applied."""
    numbers = ["CW-1", "CW-2", "CW-3"]
    sandbox = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    with Unreliable(sandbox.url, Strike(fault, "POST", nth=position)) as network:
        line = Line(network.url, workers=2, timeout_seconds=impatience(fault))
        claim = line.drop(*((number, TOTAL) for number in numbers))
        line.see_through()
        posts = [request.path for request in network.seen("POST")]
    assert [paid(sandbox, number) for number in numbers] == [[TOTAL]] * 3
    assert line.outcomes(claim) == ["applied"] * 3
    assert [result.payment_id for result in line.results(claim)] == [
        payments_of(sandbox, number)[0]["id"] for number in numbers
    ]
    lost = posts[position - 1]
    assert posts.count(lost) == (1 if fault.delivery is Delivery.NOW else 2)
    assert len(posts) == len(set(posts)) + (fault.delivery is not Delivery.NOW)
    assert len(writes(sandbox)) == 3


@pytest.mark.parametrize("fault", THE_OPERATORS.values(), ids=THE_OPERATORS.keys())
@pytest.mark.parametrize(
    "where",
    [[("GET", LOOK_UP)], [("GET", "")], [("POST", POSTED), ("PATCH", ROW)]],
    ids=["look-up", "any look", "any write"],
)
def test_what_the_operator_must_mend_fails_no_payment(start_sandbox, fault, where):
    """Wrong keys, site or codebase hold up the line wherever they are noticed; no record is rejected for them."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL, payments=paying("1.00")), invoice("CW-2", TOTAL))
    with Unreliable(sandbox.url, *(Strike(fault, *each) for each in where)) as network:
        line = Line(network.url, workers=1)
        claim = line.drop(("CW-1", TOTAL), ("CW-2", TOTAL))
        with pytest.raises(SignInRefused):
            line.settle()
        assert "rejected" not in line.outcomes(claim)
        network.strike()
        line.settle()
    assert line.outcomes(claim) == ["applied", "applied"]
    assert (paid(sandbox, "CW-1"), paid(sandbox, "CW-2")) == ([TOTAL], [TOTAL])


# --- a fault at every place ------------------------------------------------------------------------------------------

BUSY_OUTCOMES = ["applied", "applied", "applied", "unchanged", "rejected"]
# A look-up, three listings, a POST and the list that proves it, a PATCH, a DELETE and the list that proves it.
BUSY_REQUESTS = 9
BUSY_WRITES = (5, 7, 8)


def assert_busy_books_are_settled(sandbox, line, claim):
    """Every invoice holds what the document asks, by one payment, and every record says so."""
    held = {number: paid(sandbox, number) for number in ("NEW", "CHANGED", "REMOVED", "SAME")}
    assert held == {"NEW": [TOTAL], "CHANGED": ["200.00"], "REMOVED": [], "SAME": ["60.00"]}
    assert line.outcomes(claim) == BUSY_OUTCOMES
    assert len(line.recorded) == len(BUSY)
    warned = [result.warning for result in line.results(claim)]
    assert "100.00 was replaced by 200.00" in warned[1]
    assert "50.00 was removed" in warned[2]


def test_a_busy_document_needs_every_kind_of_call(start_sandbox):
    """What the faults below are set against: nine requests when nothing goes wrong."""
    sandbox = busy_books(start_sandbox)
    with Unreliable(sandbox.url) as network:
        line = Line(network.url, workers=1, rules=Rules(remove_on_zero=True))
        claim = line.drop(*BUSY)
        line.settle()
        assert_busy_books_are_settled(sandbox, line, claim)
        assert len(network.requests) == BUSY_REQUESTS


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        *((RESET_BEFORE, place) for place in range(1, BUSY_REQUESTS + 1)),
        *((RESET_AFTER, place) for place in range(1, BUSY_REQUESTS + 1)),
        *((after(BAD_GATEWAY_502), place) for place in range(1, BUSY_REQUESTS + 1)),
        # Waiting for a client to give up takes its time: only where something is written.
        *((SILENT_AFTER, place) for place in BUSY_WRITES),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else f"{value.delivery.name} {type(value.reply).__name__}",
)
def test_a_fault_that_passes_changes_nothing_wherever_it_strikes(start_sandbox, fault, place):
    """One fault at any one request: the same books, the same outcomes, the same warnings."""
    sandbox = busy_books(start_sandbox)
    with Unreliable(sandbox.url, Strike(fault, nth=place)) as network:
        line = Line(network.url, workers=1, rules=Rules(remove_on_zero=True), timeout_seconds=impatience(fault))
        claim = line.drop(*BUSY)
        line.see_through()
    assert_busy_books_are_settled(sandbox, line, claim)


@pytest.mark.parametrize("place", range(1, BUSY_REQUESTS + 1))
def test_an_outage_from_any_place_on_is_outlived(start_sandbox, place):
    """ConnectWise acts once more and then everything is lost, for longer than any try; later the rest is done."""
    sandbox = busy_books(start_sandbox)
    outage = tuple(range(place, place + 12))
    with Unreliable(sandbox.url, Strike(RESET_AFTER, nth=place), Strike(RESET_BEFORE, nth=outage)) as network:
        line = Line(network.url, workers=1, rules=Rules(remove_on_zero=True))
        claim = line.drop(*BUSY)
        line.see_through()
    assert_busy_books_are_settled(sandbox, line, claim)


HARM = [RESET_BEFORE, RESET_AFTER, TIMED_OUT_500, after(BAD_GATEWAY_502)]


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.integers(1, 25), st.sampled_from(HARM), max_size=12), st.sampled_from([1, 3]))
def test_however_many_faults_strike_every_payment_is_made_once(faults, workers):
    """Law: after any faults, at any places, each invoice has one payment, of the amount asked, and none is failed."""
    numbers = ["CW-1", "CW-2", "CW-3", "CW-4"]
    seeds = [InvoiceSeed(number, Decimal(TOTAL)) for number in numbers[:3]]
    seeds.append(InvoiceSeed("CW-4", Decimal(TOTAL), payments=paying("1.00")))
    strikes = [Strike(fault, nth=place) for place, fault in faults.items()]
    with Sandbox(seeds) as sandbox, Unreliable(sandbox.url, *strikes) as network:
        line = Line(network.url, workers=workers)
        claims = [line.drop(*((number, amount) for number in numbers)) for amount in ("300.00", "200.00")]
        line.see_through(attempts=20)
        assert [paid(sandbox, number) for number in numbers] == [["200.00"]] * 4
        assert [line.outcomes(claim) for claim in claims] == [["applied"] * 4] * 2
        amounts = [write["body"]["amount"] for write in writes(sandbox, "POST")]
        assert amounts == [Decimal("300.00")] * 3
