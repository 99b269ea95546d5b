"""Rounds against a sandbox behind an unreliable network: every payment once, whatever happens on the way."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from decimal import Decimal

import pytest
import simplejson
from structlog.testing import capture_logs
from support.connectwise import another_user, invoice, payments_of
from support.line import Hurried
from support.network import (
    BAD_GATEWAY_502,
    CLOUD_404,
    GONE_404,
    INVALID_400,
    RESET_AFTER,
    RESET_AND_LATE,
    RESET_BEFORE,
    TIMED_OUT_500,
    WRONG_KEYS_401,
    Delivery,
    Fault,
    Reset,
    Strike,
    Unreliable,
    after,
    page,
    too_many,
)
from support.rounds import BUSY, LOOK_UP, ROW, TOTAL, Line, busy_books, paid, paying, writes

from watcher.errors import Outage, SignInRefused, Stopping, Unreachable
from watcher.lifetime import Lifetime
from watcher.payments.model import Action, Intent, Rules
from watcher.payments.outcomes import Outcome

PATIENCE = 10


# --- one round after the other ---------------------------------------------------------------------------------------


def waits_for_look_ups(network, count):
    """Hold up a request until so many look-ups have come."""
    return lambda: network.wait_for(count, "GET", LOOK_UP)


def test_the_next_round_is_looked_up_while_the_last_calls_of_this_one_are_under_way(start_sandbox):
    """No worker waits for the slowest call of a round before it looks up what comes next."""
    sandbox = start_sandbox(*(invoice(f"CW-{ordinal}", "10.00") for ordinal in range(6)))
    with Unreliable(sandbox.url) as network:
        network.strike(Strike(Fault(meanwhile=waits_for_look_ups(network, 2)), "POST", nth=1))
        line = Line(network.url, workers=2, size=2)
        claim = line.drop(*((f"CW-{ordinal}", "10.00") for ordinal in range(6)))
        line.settle()
        assert len(network.seen("GET", LOOK_UP)) == 3
        assert len(network.requests) == 3 + 6 + 1
    assert line.outcomes(claim) == ["applied"] * 6


def test_what_was_looked_up_ahead_is_looked_up_again_after_an_answer_was_lost(start_sandbox):
    """Once a round was held up, what it knew of the next one is old: another user's payment is not overlooked."""
    sandbox = start_sandbox(*(invoice(f"CW-{ordinal}", "10.00") for ordinal in range(4)))

    def another_pays():
        network.wait_for(2, "GET", LOOK_UP)
        another_user(sandbox, "POST", "/finance/invoices/1003/payments", body)

    body = {"amount": 10.00, "paymentDate": "2016-09-22T00:00:00Z"}
    with Unreliable(sandbox.url) as network:
        network.strike(Strike(Fault(Delivery.NOW, Reset(), meanwhile=another_pays), "POST", "/1001/", nth=1))
        line = Line(network.url, workers=2, size=2)
        claim = line.drop(*((f"CW-{ordinal}", "10.00") for ordinal in range(4)))
        line.see_through()
        assert network.seen("POST", "/1003/") == []
    assert line.outcomes(claim) == ["applied", "applied", "unchanged", "applied"]
    assert [paid(sandbox, f"CW-{ordinal}") for ordinal in range(4)] == [["10.00"]] * 4


def test_an_invoice_that_is_paid_again_in_the_next_round_is_looked_up_after_this_one(start_sandbox):
    """What is looked up ahead is never an invoice that a call of this round is about to change."""
    sandbox = start_sandbox(*(invoice(f"CW-{ordinal}", "10.00") for ordinal in range(3)))
    line = Line(sandbox.url, workers=2, size=2)
    line.drop(("CW-0", "4.00"), ("CW-1", "5.00"))
    line.drop(("cw-1", "6.00"), ("CW-2", "7.00"), ("CW-0", "8.00"))
    line.settle()
    assert [paid(sandbox, f"CW-{ordinal}") for ordinal in range(3)] == [["8.00"], ["6.00"], ["7.00"]]
    assert len(writes(sandbox, "POST")) == 3


@pytest.mark.parametrize(
    ("fault", "nth"),
    [(INVALID_400, 2), (BAD_GATEWAY_502, (2, 3, 4)), (RESET_BEFORE, (2, 3, 4))],
    ids=["400", "502", "reset"],
)
def test_a_look_up_ahead_that_goes_wrong_is_made_again(start_sandbox, fault, nth):
    """Whatever befalls it costs the payments of its own round nothing, and those of the next one neither."""
    sandbox = start_sandbox(*(invoice(f"CW-{ordinal}", "10.00") for ordinal in range(4)))
    with Unreliable(sandbox.url, Strike(fault, "GET", LOOK_UP, nth)) as network:
        line = Line(network.url, workers=1, size=2)
        claim = line.drop(*((f"CW-{ordinal}", "10.00") for ordinal in range(4)))
        line.see_through()
    assert line.outcomes(claim) == ["applied"] * 4
    assert len(writes(sandbox, "POST")) == 4


# --- the ordinary way ------------------------------------------------------------------------------------------------


def test_new_payments_cost_little_more_than_one_request_each(start_sandbox):
    """Five hundred payments take at most 510 requests: their look-ups are shared, and none is listed."""
    numbers = [f"ABCDEFGHIJ-{ordinal:04d}" for ordinal in range(500)]
    sandbox = start_sandbox(*(invoice(number, "10.00") for number in numbers))
    with Unreliable(sandbox.url) as network:
        line = Line(network.url, workers=4)
        claim = line.drop(*((number, "10.00") for number in numbers))
        line.settle()
        assert len(network.requests) <= 510
        assert network.connections <= 4
    assert line.outcomes(claim) == ["applied"] * 500
    assert all(paid(sandbox, number) == ["10.00"] for number in numbers[::50])
    assert len(writes(sandbox)) == 500


def test_a_payment_that_is_there_is_unchanged_and_costs_no_write(start_sandbox):
    """What ConnectWise holds already, in amount and date, is not sent again."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL))
    line = Line(sandbox.url)
    first = line.drop(("CW-1", TOTAL))
    line.settle()
    second = line.drop(("CW-1", TOTAL))
    line.settle()
    assert (line.outcomes(first), line.outcomes(second)) == (["applied"], ["unchanged"])
    assert len(sandbox.books()["writes"]) == 1


def test_an_earlier_payment_is_replaced_and_that_is_said(start_sandbox):
    """One payment an invoice: the row stays, its amount is the new one."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL, payments=paying("100.00")))
    line = Line(sandbox.url)
    claim = line.drop(("cw-1", "200.00"))
    line.settle()
    (result,) = line.results(claim)
    assert (result.outcome, result.payment_id, result.invoice_id) == (Outcome.APPLIED, 500001, 1001)
    assert "100.00" in result.warning
    assert "200.00" in result.warning
    assert paid(sandbox, "CW-1") == ["200.00"]


def test_a_bad_record_stops_no_other(start_sandbox):
    """An unknown number, a credit memo, two rows: each is rejected in its own words, and the rest is applied."""
    two = (*paying("1.00"), *paying("2.00"))
    sandbox = start_sandbox(
        invoice("CW-1", TOTAL), invoice("CM-1", "5.00", type="CreditMemo"), invoice("TWO", "5.00", payments=two)
    )
    line = Line(sandbox.url)
    claim = line.drop(("NONE", "1.00"), ("CM-1", "1.00"), ("TWO", "1.00"), ("CW-1", TOTAL))
    line.settle()
    none, memo, several, good = line.results(claim)
    assert none.message == "Cannot find Invoice Number NONE"
    assert "credit memo" in memo.message
    assert "500001 of 1.00" in several.message
    assert "500002 of 2.00" in several.message
    assert good.outcome is Outcome.APPLIED
    assert len(writes(sandbox)) == 1


def test_results_are_told_once_each_after_they_are_written_down(start_sandbox):
    """Whoever is told of a result finds it in the journal."""
    sandbox = start_sandbox(*(invoice(f"CW-{ordinal}", TOTAL) for ordinal in range(5)))
    found = []
    line = Line(sandbox.url)
    line.drop(*((f"CW-{ordinal}", TOTAL) for ordinal in range(6)))
    line.settle(lambda claim, result: found.append(result in line.results(claim)))
    assert found == [True] * 6


# --- side by side ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 4])
def test_writes_run_on_all_workers_and_never_on_more(start_sandbox, workers):
    """As many payments are under way at once as there are workers, each over its own kept-alive connection."""
    numbers = [f"CW-{ordinal}" for ordinal in range(24)]
    sandbox = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    all_under_way = threading.Event()
    held = Fault(meanwhile=lambda: all_under_way.wait(PATIENCE))
    with Unreliable(sandbox.url, Strike(held, "POST")) as network:
        line = Line(network.url, workers=workers)
        claim = line.drop(*((number, TOTAL) for number in numbers))
        # The line is settled here, because a journal in memory belongs to the thread that made it.
        watching = threading.Thread(target=lambda: (network.wait_for(workers, "POST"), all_under_way.set()))
        watching.start()
        line.settle()
        watching.join(PATIENCE)
        assert max(request.under_way for request in network.requests) == workers
        assert network.connections == workers
    assert line.outcomes(claim) == ["applied"] * 24


@pytest.mark.parametrize("workers", [1, 4])
def test_the_later_document_wins_whatever_runs_side_by_side(start_sandbox, workers):
    """Three documents pay the same invoices: the first is applied first, the amount of the last one stays."""
    numbers = [f"CW-{ordinal}" for ordinal in range(12)]
    sandbox = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    line = Line(sandbox.url, workers=workers)
    claims = [
        line.drop(*((number, amount) for number in order))
        for amount, order in (("30.00", numbers), ("20.00", numbers[::-1]), ("10.00", numbers))
    ]
    line.settle()
    assert [line.outcomes(claim) for claim in claims] == [["applied"] * 12] * 3
    assert {tuple(paid(sandbox, number)) for number in numbers} == {("10.00",)}
    for number in numbers:
        amounts = [
            str(write["body"]["amount"] if write["method"] == "POST" else write["body"][0]["value"])
            for write in writes(sandbox)
            if write["invoiceNumber"] == number
        ]
        assert amounts == ["30.00", "20.00", "10.00"]


@pytest.mark.parametrize("fault", [RESET_BEFORE, RESET_AFTER], ids=["did not act", "acted"])
def test_the_later_document_wins_although_an_answer_was_lost(start_sandbox, fault):
    """The first document's payment is cleared up before the second one's is sent."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL))
    with Unreliable(sandbox.url, Strike(fault, "POST", nth=1)) as network:
        line = Line(network.url)
        claims = [line.drop(("CW-1", "30.00")), line.drop(("CW-1", "20.00"))]
        line.see_through()
    assert [line.outcomes(claim) for claim in claims] == [["applied"], ["applied"]]
    assert paid(sandbox, "CW-1") == ["20.00"]
    assert [write["method"] for write in writes(sandbox)] == ["POST", "PATCH"]


def test_a_429_stops_all_workers_and_the_request_is_repeated(start_sandbox):
    """For its Retry-After nothing is sent, by nobody; then everything is, the refused payment too, once."""
    numbers = [f"CW-{ordinal}" for ordinal in range(60)]
    sandbox = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    with Unreliable(sandbox.url, Strike(too_many("1"), "POST", nth=5)) as network:
        line = Line(network.url, workers=4, lifetime=Lifetime(), requests_per_minute=12000)
        claim = line.drop(*((number, TOTAL) for number in numbers))
        line.settle()
        posts = network.seen("POST")
    assert line.outcomes(claim) == ["applied"] * 60
    assert len(posts) == 61
    assert len(writes(sandbox)) == 60
    # What was under way when the answer came does not count.
    refused = next(post for post in posts if post.fault is not None)
    later = [post.at - refused.at for post in posts if post.at > refused.at]
    assert not [seconds for seconds in later if 0.3 < seconds < 0.99]
    assert len([seconds for seconds in later if seconds >= 0.99]) > 40


def test_the_rate_is_kept_by_all_workers_together(start_sandbox):
    """A limit of fifty a second makes thirty requests last, over four workers, what one alone would take."""
    numbers = [f"CW-{ordinal}" for ordinal in range(30)]
    sandbox = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    with Unreliable(sandbox.url) as network:
        line = Line(network.url, workers=4, lifetime=Lifetime(), requests_per_minute=3000)
        line.drop(*((number, TOTAL) for number in numbers))
        began = time.monotonic()
        line.settle()
        arrivals = sorted(request.at - began for request in network.requests)
    assert len(arrivals) == 32
    assert all(at >= turn * 0.02 for turn, at in enumerate(arrivals))


# --- a lost answer ---------------------------------------------------------------------------------------------------


def contacts(network, number, invoice_id):
    """Give how an invoice was touched, in order, repeated reads counted once: read, listed (its rows), written."""
    kinds = []
    for request in network.requests:
        path, _, query = request.path.partition("?")
        if path.endswith(f"/{invoice_id}/payments"):
            kinds.append("listed" if request.method == "GET" else "written")
        elif f"%22{number}%22" in query or f"id%20in%20({invoice_id})" in query:
            kinds.append("read")
    return [kind for index, kind in enumerate(kinds) if kinds[index - 1 : index] != [kind]]


def test_a_lost_answer_is_logged_with_its_request_id(start_sandbox):
    """The log says that a payment is unknown, which, and what support would ask for."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL))
    with Unreliable(sandbox.url, Strike(after(TIMED_OUT_500), "POST", nth=1)) as network, capture_logs() as logs:
        line = Line(network.url)
        claim = line.drop(("CW-1", TOTAL))
        line.see_through()
    (entry,) = [entry for entry in logs if entry["event"] == "payment.unknown"]
    assert (entry["claim"], entry["invoice_number"], entry["request_id"]) == (claim, "CW-1", "request-500")


@pytest.mark.parametrize(
    ("fault", "before_anything_else"),
    [(RESET_AFTER, []), (RESET_BEFORE, ["listed", "written", "listed"])],
    ids=["acted", "did not"],
)
def test_a_lost_post_is_read_back_before_anything_else(start_sandbox, fault, before_anything_else):
    """At once, and after the hold-off again: its rows are listed, and listed once more after a second POST."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL), invoice("CW-2", TOTAL))
    with Unreliable(sandbox.url, Strike(fault, "POST", nth=2)) as network:
        line = Line(network.url, workers=1)
        claim = line.drop(("CW-1", TOTAL), ("CW-2", TOTAL))
        line.settle()
        touched = [kind for kind in contacts(network, "CW-2", 1002) if kind != "read"]
    assert touched == ["written", "listed", *before_anything_else]
    assert line.outcomes(claim) == ["applied", "applied"]


def test_a_lost_post_is_read_back_after_a_restart(start_sandbox):
    """Before the second POST the invoice is looked up, after it the rows are listed: the first may still arrive."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL))
    with Unreliable(sandbox.url, Strike(RESET_BEFORE, nth=tuple(range(2, 20)))) as network:
        line = Line(network.url)
        claim = line.drop(("CW-1", TOTAL))
        with pytest.raises(Unreachable):
            line.settle()
        assert len(network.seen("POST")) == 1
    with Unreliable(sandbox.url) as network:
        again = Line(network.url, like=line)
        again.settle()
        touched = contacts(network, "CW-1", 1001)
    assert touched[0] == "read"
    assert touched[-1] == "listed"
    assert touched.count("written") == 1
    assert again.outcomes(claim) == ["applied"]
    assert len(writes(sandbox)) == 1


def test_a_lost_post_that_arrives_late_is_still_one_payment_and_applied(start_sandbox):
    """It comes after the rows were read and found empty: the second POST is refused, and the first one counts."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL))
    with Unreliable(sandbox.url, Strike(RESET_AND_LATE, "POST", nth=1)) as network:
        line = Line(network.url)
        claim = line.drop(("CW-1", TOTAL))
        line.see_through()
    assert paid(sandbox, "CW-1") == [TOTAL]
    assert line.outcomes(claim) == ["applied"]


def test_of_two_rows_that_a_lost_answer_left_one_is_removed(start_sandbox):
    """Where ConnectWise took both POSTs, the later row goes, and the payment is applied."""
    two = (*paying("100.00"), *paying("100.00"))
    sandbox = start_sandbox(invoice("CW-1", TOTAL, payments=two))
    line = Line(sandbox.url)
    claim = line.drop(("CW-1", "100.00"))
    demand = line.demands[0]
    line.ledger.intend([(demand, Intent(Action.CREATE, Decimal("100.00")))])
    line.settle()
    assert [row["id"] for row in payments_of(sandbox, "CW-1")] == [500001]
    assert line.outcomes(claim) == ["applied"]


@pytest.mark.parametrize(
    "amounts", [("100.00", "200.00"), ("200.00", "200.00")], ids=["one of them ours", "neither of them ours"]
)
def test_of_two_rows_that_are_not_all_ours_none_is_touched(start_sandbox, amounts):
    """A row that somebody else may have made is not removed on a guess."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL, payments=tuple(row for one in amounts for row in paying(one))))
    line = Line(sandbox.url)
    claim = line.drop(("CW-1", "100.00"))
    line.ledger.intend([(line.demands[0], Intent(Action.CREATE, Decimal("100.00")))])
    line.settle()
    assert line.outcomes(claim) == ["rejected"]
    assert sandbox.books()["writes"] == []


def test_posts_whose_answers_are_lost_for_ever_are_an_outage(start_sandbox):
    """A ConnectWise that never answers a POST is not asked on and on without a pause."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL))
    with Unreliable(sandbox.url, Strike(RESET_BEFORE, "POST")) as network:
        line = Line(network.url)
        line.drop(("CW-1", TOTAL))
        with pytest.raises(Unreachable):
            line.settle()
        assert len(network.seen("POST")) <= 3


# --- the world changes meanwhile -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount_of_the_other", "outcome", "patches"), [("100.00", "applied", 1), ("200.00", "unchanged", 0)]
)
def test_a_payment_that_appears_before_the_post_is_changed(start_sandbox, amount_of_the_other, outcome, patches):
    """Another user was faster: no second row is made, theirs is set to what is asked if it differs."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL))
    faster = Fault(
        meanwhile=lambda: another_user(
            sandbox, "POST", "/finance/invoices/1001/payments", {"amount": amount_of_the_other}
        )
    )
    with Unreliable(sandbox.url, Strike(faster, "POST", nth=1)) as network:
        line = Line(network.url)
        claim = line.drop(("CW-1", "200.00"))
        line.settle()
        assert len(network.seen("POST")) == 1
        assert len(network.seen("PATCH")) == patches
    assert line.outcomes(claim) == [outcome]
    assert paid(sandbox, "CW-1") == ["200.00"]


def test_a_payment_that_vanishes_before_the_patch_is_made_anew(start_sandbox):
    """Another user removed the row: the payment is created."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL, payments=paying("100.00")))
    faster = Fault(meanwhile=lambda: another_user(sandbox, "DELETE", "/finance/invoices/1001/payments/500001"))
    with Unreliable(sandbox.url, Strike(faster, "PATCH", nth=1)) as network:
        line = Line(network.url)
        claim = line.drop(("CW-1", "200.00"))
        line.settle()
        assert [request.method for request in network.requests if request.method != "GET"] == ["PATCH", "POST"]
    assert line.outcomes(claim) == ["applied"]
    assert paid(sandbox, "CW-1") == ["200.00"]


@pytest.mark.parametrize(
    "strikes",
    [
        (Strike(GONE_404, "POST"), Strike(page(200, "[]"), "GET", LOOK_UP, nth=2)),
        (Strike(GONE_404, "POST"), Strike(GONE_404, "GET", r"/1001[/?]")),
    ],
    ids=["no longer found", "no longer listed"],
)
def test_an_invoice_that_vanishes_cannot_be_found(start_sandbox, strikes):
    """Removed between look-up and payment it is as unknown as one that never was, and is asked for no further."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL), invoice("CW-2", TOTAL))
    strikes = [Strike(one.fault, one.method, one.path or "/1001/payments$", one.nth) for one in strikes]
    with Unreliable(sandbox.url, *strikes) as network:
        line = Line(network.url)
        claim = line.drop(("CW-1", TOTAL), ("CW-2", TOTAL))
        line.settle()
        assert len(network.seen("POST", "/1001/")) == 1
    gone, good = line.results(claim)
    assert gone.message == "Cannot find Invoice Number CW-1"
    assert good.outcome is Outcome.APPLIED


# --- refused by ConnectWise ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payments", "method"), [((), "POST"), (paying("100.00"), "PATCH")], ids=["a new payment", "a changed payment"]
)
def test_connectwises_words_land_in_the_record(start_sandbox, payments, method):
    """A record that ConnectWise refuses is rejected with its own words; it is looked at once more, not sent again."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL, payments=payments), invoice("CW-2", TOTAL))
    with Unreliable(sandbox.url, Strike(INVALID_400, method, "/1001/payments")) as network:
        line = Line(network.url)
        claim = line.drop(("CW-1", "200.00"), ("CW-2", TOTAL))
        line.settle()
        assert len(network.seen(method, "/1001/payments")) == 1
    refused, good = line.results(claim)
    assert refused.outcome is Outcome.REJECTED
    assert refused.message == "invoicePayment object is invalid: The accounting period is closed. (paymentDate)"
    assert refused.invoice_id == 1001
    assert good.outcome is Outcome.APPLIED


@pytest.mark.parametrize(
    "where",
    [("GET", f"{LOOK_UP}.*CW-1"), ("GET", r"/1001/payments\?"), ("PATCH", ROW)],
    ids=["look-up", "list", "payment"],
)
def test_a_refusal_is_logged_with_its_request_id(start_sandbox, where):
    """Support asks for x-cw-request-id of a refused record too."""
    seeds = [invoice("CW-1", TOTAL, payments=paying("1.00")), invoice("CW-2", TOTAL, payments=paying(TOTAL))]
    sandbox = start_sandbox(*seeds)
    with Unreliable(sandbox.url, Strike(INVALID_400, *where, nth=(1, 2))) as network, capture_logs() as logs:
        line = Line(network.url)
        claim = line.drop(("CW-1", TOTAL), ("CW-2", TOTAL))
        line.settle()
    assert line.outcomes(claim)[0] == "rejected"
    assert "request-400" in [entry.get("request_id") for entry in logs]


def test_words_that_no_file_takes_reject_the_record_all_the_same(start_sandbox):
    """JSON can hold half a character; a refusal in such words is written down and read back."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL))
    with Unreliable(sandbox.url, Strike(page(400, '{"message":"closed \\ud800 period"}'), "POST")) as network:
        line = Line(network.url)
        claim = line.drop(("CW-1", TOTAL))
        line.settle()
    (result,) = line.results(claim)
    assert result.outcome is Outcome.REJECTED
    assert result.message.startswith("closed ")
    assert result.message.encode().endswith(b" period")


def test_a_record_that_is_refused_in_ever_new_ways_is_rejected_in_the_end(start_sandbox):
    """A row that comes and goes under us is not chased for ever."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL))
    rows = "/finance/invoices/1001/payments"
    ids = iter(range(500001, 500100))
    comes = Fault(meanwhile=lambda: another_user(sandbox, "POST", rows, {"amount": 1}))
    goes = Fault(meanwhile=lambda: another_user(sandbox, "DELETE", f"{rows}/{next(ids)}"))
    with Unreliable(sandbox.url, Strike(comes, "POST"), Strike(goes, "PATCH")) as network:
        line = Line(network.url)
        claim = line.drop(("CW-1", TOTAL))
        line.settle()
        assert len(network.seen("POST")) + len(network.seen("PATCH")) == 3
    (result,) = line.results(claim)
    assert result.outcome is Outcome.REJECTED
    assert "already has a payment" in result.message


@pytest.mark.parametrize("bad", [0, 37, 99])
def test_a_refused_look_up_is_halved_until_the_bad_number_is_found(start_sandbox, bad):
    """One number that ConnectWise cannot read costs its own record only, in few more requests."""
    numbers = [f"CW-{ordinal:03d}" for ordinal in range(100)]
    sandbox = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    with Unreliable(sandbox.url, Strike(INVALID_400, "GET", f"{LOOK_UP}.*{numbers[bad]}")) as network:
        line = Line(network.url)
        claim = line.drop(*((number, TOTAL) for number in numbers))
        line.settle()
        assert len(network.seen("GET")) <= 2 + 2 * 7
    assert line.outcomes(claim) == ["applied"] * bad + ["rejected"] + ["applied"] * (99 - bad)
    assert "The accounting period is closed." in line.results(claim)[bad].message


# --- outages ---------------------------------------------------------------------------------------------------------


def test_an_outage_leaves_what_is_known_written_down_and_the_rest_for_later(start_sandbox):
    """Away after the seventh of twenty payments: what was answered is in the journal, the rest is made once, later."""
    numbers = [f"CW-{ordinal:02d}" for ordinal in range(20)]
    sandbox = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    with Unreliable(sandbox.url, Strike(WRONG_KEYS_401, "POST", nth=tuple(range(8, 99)))) as network:
        line = Line(network.url, workers=4)
        claim = line.drop(*((number, TOTAL) for number in numbers))
        with pytest.raises(SignInRefused) as caught:
            line.settle()
        known = line.results(claim)
        assert caught.value.request_id == "request-401"
        assert "public_key" in caught.value.mend
        assert [result.outcome for result in known] == [Outcome.APPLIED] * 7
        assert len(writes(sandbox)) == 7
        # No worker began another payment after the first refusal.
        assert len(network.seen("POST")) <= 7 + 4
        assert [result for _, result in line.recorded] == sorted(known, key=line_of_telling(line))
        network.strike()
        line.settle()
    assert line.outcomes(claim) == ["applied"] * 20
    assert {tuple(paid(sandbox, number)) for number in numbers} == {(TOTAL,)}
    assert len(writes(sandbox)) == 20


def line_of_telling(line):
    """Give a key that sorts results in the order in which they were told."""
    told = [result.position for _, result in line.recorded]
    return lambda result: told.index(result.position)


def test_a_cloud_that_forgets_us_finds_no_invoice_missing(start_sandbox):
    """The HTML 404 that the cloud gives for bad keys is never taken for an invoice that is not there."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL))
    with Unreliable(sandbox.url, Strike(CLOUD_404)) as network:
        line = Line(network.url)
        claim = line.drop(("CW-1", TOTAL))
        with pytest.raises(SignInRefused):
            line.settle()
    assert line.results(claim) == []


def test_connectwise_away_and_back_is_outlived(start_sandbox):
    """Nobody listens, then somebody does: the same payments are made, once."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL))
    line = Line(sandbox.url)
    claim = line.drop(("CW-1", TOTAL))
    sandbox.stop()
    with pytest.raises(Unreachable):
        line.settle()
    assert line.results(claim) == []
    sandbox.start()
    line.settle()
    assert line.outcomes(claim) == ["applied"]
    assert paid(sandbox, "CW-1") == [TOTAL]


def test_what_was_to_be_said_is_said_after_an_outage_as_well(start_sandbox):
    """The overage and the replaced amount of a payment whose answers were all lost are warned of when it is found."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL, payments=paying("100.00")))
    away = Strike(RESET_BEFORE, "GET", nth=tuple(range(3, 30)))
    with Unreliable(sandbox.url, Strike(RESET_AFTER, "PATCH"), away) as network:
        line = Line(network.url)
        claim = line.drop(("CW-1", "400.00"))
        with pytest.raises(Outage):
            line.settle()
        assert paid(sandbox, "CW-1") == [TOTAL]
        network.strike()
        line.settle()
        assert len(network.seen("PATCH")) == 1
    (result,) = line.results(claim)
    assert result.outcome is Outcome.APPLIED
    assert (result.held, result.discarded) == (Decimal(TOTAL), Decimal("53.66"))
    assert "53.66 discarded" in result.warning
    assert f"100.00 was replaced by {TOTAL}" in result.warning


def test_plans_are_written_down_before_the_first_write(start_sandbox):
    """Before the first payment is sent, whoever keeps the journal hears what all of them are going to be."""
    numbers = ["CW-1", "CW-2", "CW-3"]
    sandbox = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    line = Line(sandbox.url)
    line.drop(*((number, "10.00") for number in numbers))
    with closing(line.rounds.run(line.demands, {})) as rounds:
        planned = next(rounds)
        assert [(demand.invoice_number, intent.action) for demand, intent in planned.intents] == [
            (number, Action.CREATE) for number in numbers
        ]
        assert writes(sandbox) == []


@pytest.mark.parametrize(("fault", "tries"), [(WRONG_KEYS_401, 1), (CLOUD_404, 6)], ids=["401", "404"])
def test_calls_that_were_not_made_leave_no_plan(start_sandbox, fault, tries):
    """What was refused for all, and what was not begun after that, is not in doubt."""
    numbers = ["CW-1", "CW-2", "CW-3"]
    sandbox = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    with Unreliable(sandbox.url, Strike(fault, "POST")) as network:
        line = Line(network.url, workers=1)
        claim = line.drop(*((number, "10.00") for number in numbers))
        with pytest.raises(SignInRefused):
            line.settle()
        assert len(network.seen("POST")) == tries
    assert line.ledger.known(claim).intents == {}


def test_an_orderly_end_leaves_in_doubt_only_what_has_no_answer(start_sandbox):
    """Asked to end during the first POST, the program forgets the plans of the others; the next start need not wait."""
    numbers = [f"CW-{number}" for number in range(20)]
    sandbox = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    lifetime = Lifetime()
    with Unreliable(sandbox.url, Strike(Fault(meanwhile=lifetime.end), "POST", nth=1)) as network:
        line = Line(network.url, workers=1, lifetime=lifetime)
        claim = line.drop(*((number, "10.00") for number in numbers))
        with pytest.raises(Stopping):
            line.settle()
        assert len(network.seen("POST")) < len(numbers)
        assert line.ledger.known(claim).intents == {}
        hurried = Hurried()
        again = Line(network.url, like=line, lifetime=hurried)
        again.settle()
    assert hurried.now() < 1
    assert [paid(sandbox, number) for number in numbers] == [["10.00"]] * len(numbers)


def test_a_call_that_nobody_waits_for_any_more_is_in_doubt(start_sandbox):
    """If what is known cannot be written down while a POST is under way, that POST may still be carried out."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL), invoice("CW-2", TOTAL))
    go_on = threading.Event()
    slow = Fault(meanwhile=lambda: go_on.wait(PATIENCE))
    with Unreliable(sandbox.url, Strike(slow, "POST", r"/1002/payments")) as network:
        lifetime = Hurried()
        line = Line(network.url, workers=2, lifetime=lifetime)
        line.drop(("CW-1", "10.00"), ("CW-2", "10.00"))
        with closing(line.rounds.run(line.demands, {})) as rounds:
            planned = next(rounds)
            next(rounds)
        network.strike()
        began = lifetime.now()
        left = [demand for demand in line.demands if demand.invoice_number == "CW-2"]
        with closing(line.rounds.run(left, {demand.id: intent for demand, intent in planned.intents})) as rounds:
            for _ in rounds:
                assert lifetime.now() - began >= 5
        go_on.set()


def test_outcomes_are_written_down_while_other_calls_are_under_way(start_sandbox):
    """A call that takes its time does not keep the others' outcomes off the disk for longer than about a second."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL), invoice("CW-2", TOTAL))
    told = threading.Event()
    with Unreliable(sandbox.url, Strike(Fault(meanwhile=lambda: told.wait(PATIENCE)), "POST", "/1001/")) as network:
        told_after = []
        line = Line(network.url, workers=2)
        line.drop(("CW-1", TOTAL), ("CW-2", TOTAL))
        began = time.monotonic()
        line.settle(lambda _claim, result: (told_after.append(result.invoice_number), told.set()))
    assert told_after == ["CW-2", "CW-1"]
    assert time.monotonic() - began < PATIENCE


# --- the end of the program ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "strike",
    [Strike(too_many("60"), "POST"), Strike(TIMED_OUT_500, "GET", LOOK_UP), Strike(Fault(), "POST")],
    ids=["within a 429", "between two tries", "between two payments"],
)
def test_being_asked_to_stop_ends_at_once_and_loses_nothing(start_sandbox, strike):
    """No wait holds up the end; what was answered is written down, and the next start does the rest."""
    numbers = [f"CW-{ordinal}" for ordinal in range(8)]
    sandbox = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    lifetime = Lifetime()
    struck = Fault(strike.fault.delivery, strike.fault.reply, lifetime.end)
    with Unreliable(sandbox.url, Strike(struck, strike.method, strike.path, nth=1)) as network:
        line = Line(network.url, workers=2, lifetime=lifetime)
        claim = line.drop(*((number, TOTAL) for number in numbers))
        began = time.monotonic()
        with pytest.raises(Stopping):
            line.settle()
        assert time.monotonic() - began < 5
        assert len(line.results(claim)) == len(writes(sandbox)) < 8
        network.strike()
        Line(network.url, like=line).settle()
    assert line.outcomes(claim) == ["applied"] * 8
    assert len(writes(sandbox)) == 8


# --- looking without touching ----------------------------------------------------------------------------------------


def test_a_preview_plans_everything_and_writes_nothing(start_sandbox):
    """The plans come in the order of the demands, and the books stay as they are."""
    sandbox = busy_books(start_sandbox)
    line = Line(sandbox.url, rules=Rules(remove_on_zero=True))
    line.drop(*BUSY)
    plans = list(line.rounds.preview(line.demands))
    assert [one.demand.invoice_number for one in plans] == [number for number, _ in BUSY]
    assert [type(one.step).__name__ for one in plans] == ["Create", "Change", "Remove", "Keep", "Reject"]
    assert sandbox.books()["writes"] == []
    assert line.recorded == []


def test_bodies_in_the_books_are_what_was_asked(start_sandbox):
    """A payment that completes its invoice is dated with the day as written, one that does not is not."""
    sandbox = start_sandbox(invoice("FULL", TOTAL), invoice("PART", TOTAL))
    line = Line(sandbox.url)
    line.drop(("FULL", TOTAL, "2016-09-22T23:30:00+01:00"), ("PART", "1.00", "2016-09-22T23:30:00+01:00"))
    line.settle()
    bodies = {write["invoiceNumber"]: write["body"] for write in writes(sandbox)}
    assert bodies == {
        "FULL": {"type": "P", "amount": Decimal(TOTAL), "invoice": {"id": 1001}, "paymentDate": "2016-09-22T00:00:00Z"},
        "PART": {"type": "P", "amount": Decimal("1.00"), "invoice": {"id": 1002}},
    }
    assert simplejson.dumps(bodies["PART"]["amount"], use_decimal=True) == "1.00"
