"""Calls that ConnectWise carries out after we gave up waiting: no second payment stays, and no earlier amount."""

from __future__ import annotations

from decimal import Decimal

import pytest
from structlog.testing import capture_logs
from support.connectwise import another_user, invoice, payments_of
from support.documents import document
from support.line import Hurried, Line, to_the_end
from support.network import (
    GONE_404,
    INVALID_400,
    RESET_AFTER,
    RESET_AND_LATER,
    RESET_BEFORE,
    TIMED_OUT_500,
    WEAK_ROLE_403,
    Strike,
    Unreliable,
    page,
)

from watcher.errors import Unreachable
from watcher.journal.withdrawals import Withdrawals
from watcher.processing.audit import AUDIT_SECONDS
from watcher.processing.withdrawing import Withdrawer
from watcher.sandbox import PaymentSeed
from watcher.sandbox import Rules as SandboxRules

TIMEOUT = 7
PAYMENTS = "/finance/invoices/1001/payments"


@pytest.fixture
def books(start_sandbox):
    """A ConnectWise with two invoices of 500.00; the second has a payment of 100.00."""
    held = (PaymentSeed(Decimal("100.00")),)
    rules = SandboxRules(second_payment="accepted")
    return start_sandbox(invoice("CW-1", "500.00"), invoice("CW-2", "500.00", payments=held), rules=rules)


@pytest.fixture
def network(books):
    """An unreliable way to it."""
    with Unreliable(books.url) as unreliable:
        yield unreliable


@pytest.fixture
def line(folders, network):
    """What is behind the inbox."""
    made = Line(folders, network.url, connectwise={"timeout_seconds": TIMEOUT}, payments={"zero_amount": "remove"})
    yield made
    made.close()


def pay(line, batches, *payments, name="pay.xml"):
    """Drop a file and take it to its end; give its outcomes."""
    claim = line.claim(name, document(*payments))
    to_the_end(batches, [claim], line.lifetime)
    return [result.outcome.value for result in line.results(claim.id)]


def amounts(books, number):
    """Give the amounts of the payments of an invoice."""
    return [str(row["amount"]) for row in payments_of(books, number)]


def audited(line, batches):
    """Let the time until the audit pass, and audit; give what it logs."""
    with capture_logs() as logs:
        batches.audit()
        line.lifetime.pause(AUDIT_SECONDS)
        batches.audit()
    return [entry for entry in logs if entry["event"] == "payment.corrected"]


# --- the hold-off -----------------------------------------------------------------------------------------------------


def test_a_second_post_waits_as_long_as_a_call_may_take(line, books, network):
    """The payments are read back at once and after the wait; only then the POST is made again."""
    network.strike(Strike(RESET_BEFORE, "POST", nth=1))
    with capture_logs() as logs:
        assert pay(line, line.batches, ("CW-1", "60.00")) == ["applied"]
    assert line.lifetime.now() >= TIMEOUT
    (held,) = [entry for entry in logs if entry["event"] == "payment.held"]
    assert 0 < held["wait_seconds"] <= TIMEOUT
    assert amounts(books, "CW-1") == ["60.00"]


def test_a_post_that_arrives_during_the_wait_is_the_only_one(folders, books, network):
    """What was carried out late is found by the second look."""

    class Meanwhile(Hurried):
        """A lifetime during whose first wait the late call arrives."""

        def pause(self, seconds):
            super().pause(seconds)
            network.deliver()

    line = Line(folders, network.url, lifetime=Meanwhile(), connectwise={"timeout_seconds": TIMEOUT})
    network.strike(Strike(RESET_AND_LATER, "POST", nth=1))
    assert pay(line, line.batches, ("CW-1", "60.00")) == ["applied"]
    assert len(network.seen("POST")) == 1
    assert amounts(books, "CW-1") == ["60.00"]
    line.close()


def test_others_go_on_while_one_waits(line, start_sandbox, network, books):
    """Everything else is decided before the wait, but for what is later on the same invoice."""
    network.strike(Strike(RESET_BEFORE, "POST", PAYMENTS, nth=1))
    first = line.claim("first.xml", document(("CW-1", "60.00"), ("CW-2", "70.00")))
    second = line.claim("second.xml", document(("CW-1", "80.00")))
    with capture_logs() as logs:
        to_the_end(line.batches, [first, second], line.lifetime)
    told = [(entry["event"], entry.get("invoice_number")) for entry in logs]
    assert told.index(("payment.finished", "CW-2")) < told.index(("payment.finished", "CW-1"))
    assert amounts(books, "CW-1") == ["80.00"]
    assert amounts(books, "CW-2") == ["70.00"]


def test_what_an_earlier_process_may_have_posted_waits_as_well(line, books, network):
    """A process that was killed in a POST leaves a plan without an outcome. The POST may arrive after the start."""
    network.strike(Strike(RESET_AND_LATER, "POST"), Strike(RESET_BEFORE, "GET", nth=tuple(range(2, 20))))
    claim = line.claim("pay.xml", document(("CW-1", "60.00")))
    with pytest.raises(Unreachable):
        to_the_end(line.batches, [claim], line.lifetime)
    network.strike()
    began = line.lifetime.now()
    # As the next start does, which knows what the journal holds and nothing more.
    to_the_end(line.batches, [claim], line.lifetime)
    assert line.lifetime.now() - began >= TIMEOUT
    assert amounts(books, "CW-1") == ["60.00"]


def test_a_call_that_was_refused_or_never_sent_makes_nothing_wait(line, network):
    """Nothing is in doubt where the answer is known."""
    network.strike(Strike(INVALID_400, "POST", nth=1))
    batches = line.batches
    began = line.lifetime.now()
    assert pay(line, batches, ("CW-1", "60.00")) == ["rejected"]
    assert line.lifetime.now() - began < 1
    assert audited(line, batches) == []


# --- the audit --------------------------------------------------------------------------------------------------------


def test_a_second_payment_that_comes_late_is_removed(line, books, network):
    """Not before it is due; then the row that was reported stays, people are told, and history says it."""
    network.strike(Strike(RESET_AND_LATER, "POST", nth=1))
    batches = line.batches
    assert pay(line, batches, ("CW-1", "60.00")) == ["applied"]
    (ours,) = payments_of(books, "CW-1")
    network.deliver()
    batches.audit()
    assert amounts(books, "CW-1") == ["60.00", "60.00"]
    (told,) = audited(line, batches)
    assert [row["id"] for row in payments_of(books, "CW-1")] == [ours["id"]]
    assert told["corrected"]
    assert "was carried out late" in told["reason"]
    (attempt,) = line.history.attempts("CW-1")
    assert "was carried out late" in attempt.message
    assert audited(line, batches) == []


def test_an_earlier_amount_that_comes_late_is_set_again(line, books, network):
    """A PATCH of an earlier file arrives after a later file's: the later file's amount counts."""
    network.strike(Strike(RESET_AND_LATER, "PATCH", nth=1))
    batches = line.batches
    assert pay(line, batches, ("CW-2", "10.00"), name="a.xml") == ["applied"]
    assert pay(line, batches, ("CW-2", "20.00"), name="b.xml") == ["applied"]
    network.deliver()
    assert amounts(books, "CW-2") == ["10.00"]
    (told,) = audited(line, batches)
    assert amounts(books, "CW-2") == ["20.00"]
    assert "20.00 was set again" in told["reason"]


def test_a_payment_that_comes_back_after_it_was_removed_goes_again(line, books, network):
    """A late POST of an earlier file does not undo a later file's removal."""
    network.strike(Strike(RESET_AND_LATER, "POST", nth=1))
    batches = line.batches
    pay(line, batches, ("CW-1", "60.00"), name="a.xml")
    pay(line, batches, ("CW-1", "0.00"), name="b.xml")
    network.deliver()
    assert amounts(books, "CW-1") == ["60.00"]
    assert len(audited(line, batches)) == 1
    assert amounts(books, "CW-1") == []


def test_a_removal_that_comes_late_is_undone(line, books, network):
    """A late DELETE takes the payment that a later file set: it is set again, once."""
    network.strike(Strike(RESET_AND_LATER, "DELETE", nth=1), Strike(INVALID_400, "DELETE"))
    batches = line.batches
    assert pay(line, batches, ("CW-2", "0.00"), name="a.xml") == ["rejected"]
    network.strike()
    assert pay(line, batches, ("CW-2", "70.00"), name="b.xml") == ["applied"]
    network.deliver()
    assert amounts(books, "CW-2") == []
    assert len(audited(line, batches)) == 1
    assert amounts(books, "CW-2") == ["70.00"]
    assert audited(line, batches) == []


def dates(books, number):
    """Give the amounts and the dates of the payments of an invoice."""
    return [(str(row["amount"]), (row["paymentDate"] or "")[:10]) for row in payments_of(books, number)]


WHOLE, FIRST_DAY, SECOND_DAY = "500.00", "2016-09-01", "2016-09-15"


def test_an_earlier_date_that_comes_late_is_set_again(line, books, network):
    """Both files pay the invoice whole; the later file's date counts, and people are told."""
    network.strike(Strike(RESET_AND_LATER, "PATCH", nth=1))
    batches = line.batches
    pay(line, batches, ("CW-2", WHOLE, FIRST_DAY), name="a.xml")
    pay(line, batches, ("CW-2", WHOLE, SECOND_DAY), name="b.xml")
    network.deliver()
    assert dates(books, "CW-2") == [(WHOLE, FIRST_DAY)]
    (told,) = audited(line, batches)
    assert told["corrected"]
    assert told["reason"].endswith(f"left the payment with the date {FIRST_DAY}: the date {SECOND_DAY} was set again")
    assert dates(books, "CW-2") == [(WHOLE, SECOND_DAY)]
    assert audited(line, batches) == []


def test_a_date_that_comes_late_on_a_part_is_taken_off_again(line, books, network):
    """A payment that leaves the invoice partly paid has no date: first the amount is put right, and then the date."""
    network.strike(Strike(RESET_AND_LATER, "PATCH", nth=1))
    batches = line.batches
    pay(line, batches, ("CW-2", WHOLE, FIRST_DAY), name="a.xml")
    pay(line, batches, ("CW-2", "40.00", SECOND_DAY), name="b.xml")
    network.deliver()
    assert dates(books, "CW-2") == [(WHOLE, FIRST_DAY)]
    amount, day = audited(line, batches)
    assert "40.00 was set again" in amount["reason"]
    assert day["reason"].endswith(f"left the payment with the date {FIRST_DAY}: the date was taken off again")
    assert dates(books, "CW-2") == [("40.00", "")]
    assert audited(line, batches) == []


@pytest.mark.parametrize("fault", [INVALID_400, TIMED_OUT_500], ids=["400", "500"])
def test_a_date_that_comes_late_and_stays_is_told_once(line, books, network, fault):
    """ConnectWise does not take it off: the amount is right, and a person hears of the date."""
    network.strike(Strike(RESET_AND_LATER, "PATCH", nth=1))
    batches = line.batches
    pay(line, batches, ("CW-2", WHOLE, FIRST_DAY), name="a.xml")
    pay(line, batches, ("CW-2", "40.00", SECOND_DAY), name="b.xml")
    network.deliver()
    network.strike(Strike(fault, "PATCH", nth=2))
    _, told = audited(line, batches)
    assert not told["corrected"]
    assert told["reason"].endswith(f"has the date {FIRST_DAY}, where no date was set last")
    assert dates(books, "CW-2") == [("40.00", FIRST_DAY)]
    assert audited(line, batches) == []


def test_a_date_is_set_again_in_the_next_audit_if_the_answer_was_lost(line, books, network):
    """Nobody knows if it was carried out: the invoice stays in doubt."""
    network.strike(Strike(RESET_AND_LATER, "PATCH", nth=1))
    batches = line.batches
    pay(line, batches, ("CW-2", WHOLE, FIRST_DAY), name="a.xml")
    pay(line, batches, ("CW-2", "40.00", SECOND_DAY), name="b.xml")
    network.deliver()
    network.strike(Strike(RESET_BEFORE, "PATCH", nth=2))
    (amount,) = audited(line, batches)
    assert "40.00 was set again" in amount["reason"]
    assert dates(books, "CW-2") == [("40.00", FIRST_DAY)]
    (day,) = audited(line, batches)
    assert day["reason"].endswith("the date was taken off again")
    assert dates(books, "CW-2") == [("40.00", "")]


def test_a_removal_that_comes_late_is_undone_with_the_date(line, books, network):
    """The payment that is made anew is the one that was set last."""
    network.strike(Strike(RESET_AND_LATER, "DELETE", nth=1), Strike(INVALID_400, "DELETE"))
    batches = line.batches
    pay(line, batches, ("CW-2", "0.00"), name="a.xml")
    network.strike()
    pay(line, batches, ("CW-2", WHOLE, SECOND_DAY), name="b.xml")
    network.deliver()
    assert dates(books, "CW-2") == []
    (told,) = audited(line, batches)
    assert told["reason"].endswith(f"{WHOLE} with the date {SECOND_DAY} was set again")
    assert dates(books, "CW-2") == [(WHOLE, SECOND_DAY)]
    assert audited(line, batches) == []


def test_a_surplus_that_is_said_to_be_removed_and_stays_is_not_told_as_removed(line, books, network):
    """A 204 proves nothing: the row is still listed, and a person hears of it."""
    in_doubt(line, network)
    network.strike(Strike(page(204, ""), "DELETE"))
    (told,) = audited(line, line.batches)
    assert told["corrected"] is False
    assert amounts(books, "CW-1") == ["60.00", "60.00"]


def test_a_later_file_that_meets_the_second_payment_is_paid(line, books, network):
    """It is not rejected for a payment that is ours: the late one is removed, the other one changed."""
    network.strike(Strike(RESET_AND_LATER, "POST", nth=1))
    batches = line.batches
    pay(line, batches, ("CW-1", "60.00"), name="a.xml")
    network.deliver()
    assert pay(line, batches, ("CW-1", "80.00"), name="b.xml") == ["applied"]
    assert amounts(books, "CW-1") == ["80.00"]
    assert audited(line, batches) == []


def test_what_somebody_else_did_meanwhile_is_left_alone_and_told(line, books, network):
    """Only what a call of ours can have done is undone."""
    network.strike(Strike(RESET_AND_LATER, "POST", nth=1))
    batches = line.batches
    pay(line, batches, ("CW-1", "60.00"))
    (row,) = payments_of(books, "CW-1")
    change = [{"op": "replace", "path": "amount", "value": "77.00"}]
    another_user(books, "PATCH", f"{PAYMENTS}/{row['id']}", change)
    (told,) = audited(line, batches)
    assert not told["corrected"]
    assert "77.00" in told["reason"]
    assert amounts(books, "CW-1") == ["77.00"]


def test_a_payment_that_was_rejected_and_comes_late_is_told(line, books, network):
    """The file says that it failed, so a person has to know."""
    network.strike(Strike(RESET_AND_LATER, "POST", nth=1), Strike(INVALID_400, "POST"))
    batches = line.batches
    assert pay(line, batches, ("CW-1", "60.00")) == ["rejected"]
    network.deliver()
    (told,) = audited(line, batches)
    assert "reported as failed, but payment" in told["reason"]
    assert amounts(books, "CW-1") == ["60.00"]


def test_a_payment_that_was_withdrawn_and_comes_late_is_told(line, books, network):
    """A person took the file out of work while its call was in doubt. The call was carried out all the same."""
    away = Strike(RESET_BEFORE, "GET", nth=tuple(range(2, 20)))
    network.strike(Strike(RESET_AND_LATER, "POST", nth=1), away)
    batches = line.batches
    claim = line.claim("pay.xml", document(("CW-1", "60.00")))
    with pytest.raises(Unreachable):
        to_the_end(batches, [claim], line.lifetime)
    network.strike()
    requests = Withdrawals(line.database)
    requests.ask(claim.id, "")
    assert list(Withdrawer(requests, line.ledger, line.publisher).carry_out()) == [claim]
    network.deliver()
    (told,) = audited(line, batches)
    assert "reported as failed, but payment" in told["reason"]


def test_nothing_is_told_where_all_is_well(line, books, network):
    """Most lost answers leave nothing behind: one more list, and the doubt is forgotten."""
    network.strike(Strike(RESET_AFTER, "POST", nth=1))
    batches = line.batches
    pay(line, batches, ("CW-1", "60.00"))
    network.strike()
    before = len(network.requests)
    assert audited(line, batches) == []
    assert len(network.requests) == before + 1
    assert audited(line, batches) == []
    assert len(network.requests) == before + 1


def test_the_audit_comes_after_a_restart_too(line, books, network):
    """The journal holds what is in doubt."""
    network.strike(Strike(RESET_AND_LATER, "POST", nth=1))
    pay(line, line.batches, ("CW-1", "60.00"))
    network.deliver()
    batches = line.batches
    batches.audit()
    assert amounts(books, "CW-1") == ["60.00", "60.00"]
    assert len(audited(line, batches)) == 1
    assert amounts(books, "CW-1") == ["60.00"]


def test_an_audit_that_cannot_ask_stays_due(line, books, network):
    """It loses nothing, holds up nobody, and names the invoice."""
    network.strike(Strike(RESET_AND_LATER, "POST", nth=1))
    batches = line.batches
    pay(line, batches, ("CW-1", "60.00"))
    network.deliver()
    network.strike(Strike(RESET_BEFORE))
    batches.audit()
    line.lifetime.pause(AUDIT_SECONDS)
    with capture_logs() as logs:
        batches.audit()
    assert "CW-1" in [entry["invoice_number"] for entry in logs if entry["event"] == "payment.refused"]
    network.strike()
    line.lifetime.pause(60)
    batches.audit()
    assert amounts(books, "CW-1") == ["60.00"]


def test_a_correction_is_told_even_if_nothing_can_be_asked_after_it(line, books, network):
    """What was put right is told when it is done, and not again."""
    network.strike(Strike(RESET_AND_LATER, "POST", nth=1))
    batches = line.batches
    pay(line, batches, ("CW-1", "60.00"))
    network.deliver()
    batches.audit()
    line.lifetime.pause(AUDIT_SECONDS)
    network.strike(Strike(RESET_BEFORE, "GET", nth=tuple(range(2, 20))))
    with capture_logs() as logs:
        batches.audit()
    assert [entry["corrected"] for entry in logs if entry["event"] == "payment.corrected"] == [True]
    network.strike()
    assert audited(line, batches) == []
    assert amounts(books, "CW-1") == ["60.00"]


def test_an_invoice_that_a_file_in_work_asks_about_is_audited_afterwards(line, books, network):
    """The file's own look-up comes first, and its amount counts."""
    network.strike(Strike(RESET_AND_LATER, "POST", nth=1))
    batches = line.batches
    pay(line, batches, ("CW-1", "60.00"), name="a.xml")
    network.strike(Strike(RESET_BEFORE, "GET"))
    claim = line.claim("b.xml", document(("CW-1", "80.00")))
    with pytest.raises(Unreachable):
        to_the_end(batches, [claim], line.lifetime)
    network.strike()
    network.deliver()
    assert audited(line, batches) == []
    assert amounts(books, "CW-1") == ["60.00", "60.00"]
    to_the_end(batches, [claim], line.lifetime)
    assert amounts(books, "CW-1") == ["80.00"]


def test_a_correction_whose_own_answer_is_lost_is_looked_at_again(line, books, network):
    """The doubt lasts until an answer is known, and the next audit finds nothing left to do."""
    network.strike(Strike(RESET_AND_LATER, "POST", nth=1))
    batches = line.batches
    pay(line, batches, ("CW-1", "60.00"))
    network.deliver()
    network.strike(Strike(RESET_AFTER, "DELETE"))
    assert audited(line, batches) == []
    assert amounts(books, "CW-1") == ["60.00"]
    network.strike()
    deleted = len(network.seen("DELETE"))
    assert audited(line, batches) == []
    assert len(network.seen("DELETE")) == deleted


# --- an audit that ConnectWise refuses --------------------------------------------------------------------------------


def in_doubt(line, network, number="CW-1"):
    """Leave an invoice in doubt: a first payment got no answer, and a second one was made."""
    network.strike(Strike(RESET_AND_LATER, "POST", nth=1))
    pay(line, line.batches, (number, "60.00"))
    network.deliver()


@pytest.mark.parametrize("fault", [WEAK_ROLE_403, TIMED_OUT_500], ids=["403", "500"])
def test_an_invoice_that_cannot_be_looked_at_holds_up_nothing(line, books, network, fault):
    """It is looked at again five minutes later, and the payments of other files go on meanwhile."""
    in_doubt(line, network)
    batches = line.batches
    network.strike(Strike(fault, "GET", r"/1001/payments\?"))
    assert audited(line, batches) == []
    assert pay(line, batches, ("CW-2", "70.00"), name="other.xml") == ["applied"]
    network.strike()
    assert len(audited(line, batches)) == 1
    assert amounts(books, "CW-1") == ["60.00"]


def test_a_surplus_that_is_answered_by_404_is_removed_only_if_it_is_gone(line, books, network):
    """An address that is not there removes nothing, and that is told."""
    in_doubt(line, network)
    network.strike(Strike(GONE_404, "DELETE"))
    (told,) = audited(line, line.batches)
    assert told["corrected"] is False
    assert amounts(books, "CW-1") == ["60.00", "60.00"]
