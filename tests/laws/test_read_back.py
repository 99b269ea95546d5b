"""What may have been set is read back before anything else, and only a good look may reject it."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal

import pytest
from support.connectwise import invoice
from support.day import Day
from support.documents import DAY, document, drop, files, invoice_payments, one, records
from support.line import Line as Parts
from support.network import (
    CONVERTING_500,
    HTML,
    INVALID_400,
    RESET_AFTER,
    TIMED_OUT_500,
    WEAK_ROLE_403,
    Delivery,
    Fault,
    Strike,
    Unreliable,
    after,
    page,
)
from support.rounds import Line
from support.served import named, paid, served

from watcher.errors import Outage, Rejection
from watcher.journal.doubts import Doubts
from watcher.sandbox import PaymentSeed

TOTAL = "100.00"
HOUR = Day.longest
NUMBERS = [f"CW-{ordinal}" for ordinal in range(6)]
POST = ("POST", r"/1001/payments$")
LIST = ("GET", r"/1001/payments\?")
SEARCH = ("GET", r"conditions=invoiceNumber.*CW-0")


@pytest.fixture
def books(start_sandbox):
    """A ConnectWise with six invoices of 100.00 each."""
    return start_sandbox(*(invoice(number, TOTAL) for number in NUMBERS))


def everything(numbers=NUMBERS):
    """Ask for all of each invoice."""
    return document(*((number, TOTAL) for number in numbers))


@pytest.mark.parametrize("fault", [CONVERTING_500, WEAK_ROLE_403, INVALID_400], ids=["500", "403", "400"])
@pytest.mark.parametrize(
    "written",
    [[], [Strike(after(CONVERTING_500), *POST)], [Strike(RESET_AFTER, *POST)]],
    ids=["answered by 201", "answered by 500", "lost"],
)
def test_a_payment_whose_list_is_refused_after_it_was_made_is_never_rejected(folders, books, fault, written):
    """Nobody knows if it is set: it waits, named, for as long as it takes, and others are paid."""
    with Unreliable(books.url, Strike(fault, *LIST), *written) as network:
        drop(folders.inbox, "pay.xml", everything())
        seen = []

        def better():
            seen.append((files(folders.fail), paid(books, *NUMBERS)))
            network.strike()

        logs = served(folders, network.url, Day(better, at=HOUR / 2), concurrency=1)
        assert len(network.seen(*POST)) == 1
    assert seen == [([], [[TOTAL]] * 6)]
    assert files(folders.fail) == []
    assert len(records(one(files(folders.success)))) == 6
    told = [*named(logs, "file.waiting"), *named(logs, "line.waiting")]
    assert "invoice CW-0 (line 3" in told[0]["reason"]
    assert "rejected" not in told[0]["mend"]


@pytest.mark.parametrize("answer", [page(200, "[]"), INVALID_400], ids=["finds none", "400"])
@pytest.mark.parametrize("written", [RESET_AFTER, after(CONVERTING_500)], ids=["lost", "500"])
def test_a_search_that_forgets_an_invoice_after_the_payment_rejects_nothing(folders, books, answer, written):
    """The invoice is read back by its id, and the payment found."""
    with Unreliable(books.url, Strike(written, *POST), Strike(answer, *SEARCH, nth=tuple(range(2, 99)))) as network:
        drop(folders.inbox, "pay.xml", everything())
        served(folders, network.url, Day())
        assert len(network.seen(*POST)) == 1
    assert files(folders.fail) == []
    assert len(records(one(files(folders.success)))) == 6


def test_an_invoice_that_hides_after_a_lost_payment_is_waited_for(folders, books):
    """Neither its number nor its id finds it: the message says that a payment may be on it."""
    hidden = Strike(page(200, "[]"), "GET", r"conditions=(id|invoiceNumber).*(1001|CW-0%22)", nth=tuple(range(2, 99)))
    with Unreliable(books.url, Strike(RESET_AFTER, *POST), hidden) as network:
        drop(folders.inbox, "pay.xml", everything())
        logs = served(folders, network.url, Day(network.strike, at=HOUR / 2))
    assert files(folders.fail) == []
    assert len(records(one(files(folders.success)))) == 6
    # Who is told first depends on whether another payment is made after the look.
    reason = [*named(logs, "file.waiting"), *named(logs, "line.waiting")][0]["reason"]
    assert "hides invoice CW-0 (id 1001). A payment may have been set on it" in reason


def test_a_number_that_no_search_takes_is_read_back_by_its_id(folders, start_sandbox):
    """A payment that names its invoice by id needs no number."""
    books = start_sandbox(invoice('A"*\\B', TOTAL))
    with Unreliable(books.url, Strike(after(CONVERTING_500), *POST)) as network:
        content = invoice_payments({"amount": TOTAL, "paymentDate": DAY, "invoice/id": "1001"})
        drop(folders.inbox, "pay.xml", content)
        served(folders, network.url, Day())
        assert network.seen("GET", "invoiceNumber%20in") == []
    assert files(folders.fail) == []


def test_all_payments_that_are_carried_out_and_answered_by_500_are_found(folders, start_sandbox):
    """They are read back in the very next round, so that no pause is needed."""
    numbers = [f"N-{ordinal}" for ordinal in range(60)]
    books = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    with Unreliable(books.url, Strike(after(TIMED_OUT_500), "POST")) as network:
        drop(folders.inbox, "pay.xml", everything(numbers))
        lifetime = Day()
        served(folders, network.url, lifetime)
        assert len(network.seen("POST")) == 60
        assert len(network.requests) <= 60 * 2.5
    assert len(records(one(files(folders.success)))) == 60
    assert lifetime.now() < 30


def test_the_look_comes_before_any_further_write_on_other_invoices_that_are_refused(books):
    """It is not put last: only the write is."""
    with Unreliable(books.url, Strike(TIMED_OUT_500, *POST, nth=1)) as network:
        line = Line(network.url, workers=1, size=2)
        claim = line.drop(*((number, TOTAL) for number in NUMBERS))
        line.settle()
        order = [(request.method, request.path.split("/invoices")[1]) for request in network.requests]
    assert line.outcomes(claim) == ["applied"] * 6
    read_back = order.index(("GET", "/1001/payments?pageSize=1000"))
    assert order.index(("POST", "/1003/payments")) > read_back
    assert order.count(("POST", "/1001/payments")) == 2
    assert max(index for index, call in enumerate(order) if call == ("POST", "/1001/payments")) > order.index(
        ("POST", "/1006/payments")
    )


def test_a_refusal_without_an_answer_to_the_look_after_it_decides_nothing(folders, books):
    """ConnectWise refuses one payment, carries its second try out, and then answers 500 to everything."""
    with Unreliable(books.url) as network:
        gone = Fault(Delivery.NOW, CONVERTING_500.reply, lambda: network.strike(Strike(CONVERTING_500)))
        network.strike(Strike(CONVERTING_500, "POST", nth=1), Strike(gone, "POST", nth=2))
        drop(folders.inbox, "pay.xml", everything(NUMBERS[:1]))
        served(folders, network.url, Day(network.strike, at=HOUR / 2))
    assert files(folders.fail) == []
    assert paid(books, "CW-0") == [[TOTAL]]


def test_an_outage_that_begins_after_a_good_payment_fails_nothing(folders, books):
    """One payment was refused, the next one taken, and from then on all calls are."""
    with Unreliable(books.url) as network:
        begins = Fault(meanwhile=lambda: network.strike(Strike(CONVERTING_500)))
        network.strike(Strike(CONVERTING_500, *POST), Strike(begins, "POST", "/1002/"))
        drop(folders.inbox, "pay.xml", everything(NUMBERS[:2]))
        served(folders, network.url, Day(network.strike, at=HOUR / 2), concurrency=1)
    assert files(folders.fail) == []
    assert paid(books, *NUMBERS[:2]) == [[TOTAL]] * 2


def test_a_payment_is_not_to_blame_while_others_beside_it_are_refused(folders, books):
    """Looks work, and no write does: a payment that others went past is not rejected, and those after it neither."""
    with Unreliable(books.url) as network:
        begins = Fault(meanwhile=lambda: network.strike(Strike(CONVERTING_500, "POST")))
        network.strike(Strike(CONVERTING_500, *POST), Strike(begins, "POST", "/1002/"))
        drop(folders.inbox, "pay.xml", everything(NUMBERS[:2]))

        def more():
            drop(folders.inbox, "later.xml", everything(NUMBERS[2:4]))
            lifetime._then, lifetime._at = network.strike, HOUR / 2

        lifetime = Day(more, at=5)
        served(folders, network.url, lifetime, concurrency=1)
    assert files(folders.fail) == []
    assert paid(books, *NUMBERS[:4]) == [[TOTAL]] * 4


def test_what_is_given_up_after_a_lost_call_is_audited(folders, books):
    """The message says what was read back; the invoice is looked at once more, since the call may come late."""
    sections = {"inbox": {"observer": "off", "scan_seconds": 5, "settle_seconds": 0}}
    with (
        Unreliable(books.url, Strike(CONVERTING_500, *POST)) as network,
        closing(Parts(folders, network.url, lifetime=Day(), **sections)) as line,
    ):
        drop(folders.inbox, "pay.xml", everything())
        with line.service() as service:
            service.run()
        ((doubt, _),) = Doubts(line.database).all()
    assert (doubt.invoice_id, doubt.settled) == (1001, None)
    (row,) = records(one(files(folders.fail)))
    assert "Read back afterwards, the invoice has no payment." in row["ErrorMessage"]


def test_a_403_that_acted_all_the_same_is_found_with_its_warning(folders, start_sandbox):
    """A firewall may refuse the answer and not the question."""
    books = start_sandbox(invoice("CW-0", TOTAL, payments=(PaymentSeed(Decimal(25)),)))
    blocked = after(page(403, "<html><body>Blocked</body></html>", HTML))
    with Unreliable(books.url, Strike(blocked, "PATCH")) as network:
        drop(folders.inbox, "pay.xml", everything(NUMBERS[:1]))
        served(folders, network.url, Day())
        assert len(network.seen("PATCH")) == 1
    (row,) = records(one(files(folders.success)))
    assert "25.00 was replaced by 100.00" in row["WarningMessage"]


def test_a_document_without_folders_waits_for_what_may_be_set(books):
    """It ends with what holds it up, and rejects nothing."""
    strikes = [Strike(after(CONVERTING_500), *POST), Strike(WEAK_ROLE_403, *LIST)]
    with Unreliable(books.url, *strikes) as network:
        line = Line(network.url)
        claim = line.drop(*((number, TOTAL) for number in NUMBERS))
        with pytest.raises(Outage) as caught:
            line.settle()
        assert not isinstance(caught.value, Rejection)
        assert "invoice CW-0" in str(caught.value)
        assert line.outcomes(claim) == ["applied"] * 5
        network.strike()
        line.settle()
    assert sorted(line.outcomes(claim)) == ["applied"] * 6
