"""One record that ConnectWise never takes stops nobody, and what is about all payments fails none."""

from __future__ import annotations

import re
from collections import deque
from decimal import Decimal

import pytest
from support.connectwise import invoice
from support.day import Day
from support.documents import document, drop, files, one, records
from support.line import Hurried, connect
from support.network import (
    CLOUD_404,
    CONVERTING_500,
    GATEWAY_TIMEOUT_504,
    GONE_404,
    HALVED,
    HTML,
    INVALID_400,
    RESET_BEFORE,
    SILENT_BEFORE,
    TIMED_OUT_500,
    UNAVAILABLE_503,
    WEAK_ROLE_403,
    WELCOME_PAGE,
    Strike,
    Unreliable,
    after,
    impatience,
    page,
)
from support.served import named, paid, served

from watcher.actions.apply import apply
from watcher.payments.model import Rules
from watcher.sandbox import PaymentSeed

TOTAL = "100.00"
# How a single write may be refused, by ConnectWise or by what stands before it; none of these is a sign of an outage.
REFUSED_WRITES = {
    "405": page(405, "<html><body>405 - Method not allowed</body></html>", HTML),
    "404 HTML": CLOUD_404,
    "400 HTML": page(400, "<html><body>Request blocked</body></html>", HTML),
    "501": page(501, "Not Implemented", "text/plain"),
    "500": CONVERTING_500,
    "403": WEAK_ROLE_403,
}
# What may come in place of an answer to a single look.
BROKEN_LOOKS = {
    "garbage": page(200, "garbage"),
    "HTML": WELCOME_PAGE,
    "empty": page(200, ""),
    "null": page(200, "null"),
    "cut": HALVED,
    "405": REFUSED_WRITES["405"],
    "404 HTML": CLOUD_404,
    "403": WEAK_ROLE_403,
    "500": CONVERTING_500,
    "503": UNAVAILABLE_503,
    "504": GATEWAY_TIMEOUT_504,
    "reset": RESET_BEFORE,
    "silence": SILENT_BEFORE,
    "too much": page(200, "[" + " " * (17 * 2**20) + "]"),
}
HOUR = Day.longest
BAD = {"BAD-1": CONVERTING_500, "BAD-2": CONVERTING_500, "BAD-3": WEAK_ROLE_403, "BAD-4": WEAK_ROLE_403}
GOOD = [f"GOOD-{ordinal:02d}" for ordinal in range(20)]
IDS = {number: 1001 + ordinal for ordinal, number in enumerate([*BAD, *GOOD])}


@pytest.fixture
def books(start_sandbox):
    """A ConnectWise with bad and good invoices of 100.00 each."""
    return start_sandbox(*(invoice(number, TOTAL) for number in IDS))


def strikes(*numbers, fault=None):
    """Let ConnectWise refuse every write on some invoices."""
    return [
        Strike(fault or BAD[number], method, rf"/{IDS[number]}/payments(/\d+)?$")
        for number in numbers
        for method in ("POST", "PATCH", "DELETE")
    ]


@pytest.mark.parametrize("workers", [1, 2, 4, 16])
@pytest.mark.parametrize("order", ["first", "last", "between"])
def test_bad_records_are_rejected_and_all_others_are_paid(folders, books, workers, order):
    """As many bad records as there are workers starve nobody, wherever they stand."""
    bad = [*BAD]
    numbers = {"first": bad + GOOD, "last": GOOD + bad, "between": GOOD[:10] + bad + GOOD[10:]}[order]
    with Unreliable(books.url, *strikes(*BAD)) as network:
        drop(folders.inbox, "pay.xml", document(*((number, TOTAL) for number in numbers)))
        lifetime = Day()
        if order == "last":
            # Only a good payment after their first refusal shows that the fault is theirs.
            lifetime = Day(lambda: drop(folders.inbox, "later.xml", document((GOOD[0], "50.00"))), at=300)
        logs = served(folders, network.url, lifetime, concurrency=workers)
    later = ["50.00"] if order == "last" else [TOTAL]
    assert paid(books, *GOOD) == [later] + [[TOTAL]] * 19
    assert paid(books, *BAD) == [[]] * 4
    failed = records(one(files(folders.fail)))
    assert [row["InvoiceNumber"] for row in failed] == bad
    for row in failed:
        assert "Read back afterwards, the invoice has no payment." in row["ErrorMessage"]
        assert ("Error converting value" if row["InvoiceNumber"] < "BAD-3" else "security role") in row["ErrorMessage"]
    assert not list(folders.work.iterdir())
    took = [entry for entry in named(logs, "payment.finished") if entry["outcome"] == "rejected"]
    assert len(took) == 4


def test_good_payments_do_not_wait_for_the_bad_ones(folders, books):
    """They are made within seconds, although the bad ones are decided after a minute or more."""
    with Unreliable(books.url, *strikes(*BAD)) as network:
        drop(folders.inbox, "pay.xml", document(*((number, TOTAL) for number in [*BAD, *GOOD])))
        seen = []
        lifetime = Day(lambda: seen.append(paid(books, *GOOD)), at=10)
        served(folders, network.url, lifetime, concurrency=1)
    assert seen == [[[TOTAL]] * 20]
    assert 60 <= lifetime.now() < 200


def test_a_file_that_comes_while_records_are_in_doubt_is_processed(folders, books):
    """A file of good payments does not wait for one that holds a bad record; one of the same invoice does."""
    with Unreliable(books.url, *strikes("BAD-1")) as network:
        drop(folders.inbox, "bad.xml", document(("BAD-1", TOTAL), (GOOD[0], TOTAL)))
        done = []

        def look():
            done.extend(sorted(path.name.partition("__")[0] for path in files(folders.success)))

        def more():
            drop(folders.inbox, "good.xml", document((GOOD[1], TOTAL)))
            drop(folders.inbox, "same.xml", document(("BAD-1", "50.00"), (GOOD[2], TOTAL)))
            lifetime._then, lifetime._at = look, 20

        lifetime = Day(more, at=5)
        served(folders, network.url, lifetime)
    assert done == ["good"]
    assert sorted(path.name.partition("__")[0] for path in files(folders.fail)) == ["bad", "same"]
    assert paid(books, "BAD-1", *GOOD[:3]) == [[], [TOTAL], [TOTAL], [TOTAL]]


@pytest.mark.parametrize("fault", [TIMED_OUT_500, WEAK_ROLE_403], ids=["500", "403"])
@pytest.mark.parametrize("count", [2, 24])
def test_nothing_fails_while_all_writes_are_refused(folders, books, fault, count):
    """It is an outage or a missing right. It is told with an invoice, its line and its file, and all are paid later."""
    numbers = [*IDS][:count]
    with Unreliable(books.url, *strikes(*IDS, fault=fault)) as network:
        drop(folders.inbox, "pay.xml", document(*((number, TOTAL) for number in numbers)))
        lifetime = Day(network.strike, at=HOUR / 2)
        logs = served(folders, network.url, lifetime)
        tried = len([request for request in network.seen("POST") if request.fault is not None])
    assert paid(books, *numbers) == [[TOTAL]] * count
    assert files(folders.fail) == []
    waiting = named(logs, "line.waiting")[0]
    assert (waiting["invoice_number"], waiting["file"], waiting["line"]) == ("BAD-1", "pay.xml", 3)
    assert "invoice BAD-1 (line 3 of pay.xml)" in waiting["reason"]
    assert tried <= 24 * 12


@pytest.mark.parametrize("number", ["BAD-1", "BAD-3"])
def test_a_payment_alone_is_rejected_if_its_invoice_can_be_looked_up(folders, books, number):
    """Where there is no other payment, the look-ups of its own invoice show that ConnectWise answers."""
    with Unreliable(books.url, *strikes(number)) as network:
        drop(folders.inbox, "pay.xml", document((number, TOTAL)))
        lifetime = Day()
        logs = served(folders, network.url, lifetime)
        assert len(network.seen("POST")) >= 3
    (row,) = records(one(files(folders.fail)))
    assert "ConnectWise refused this payment" in row["ErrorMessage"]
    assert "holds up" not in row["ErrorMessage"]
    assert 60 <= lifetime.now() < 150
    told = named(logs, "line.waiting")[0]
    assert told["invoice_number"] == number
    assert "payment alone" in told["mend"]


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("fault", list(REFUSED_WRITES.values()), ids=list(REFUSED_WRITES))
def test_one_write_that_is_refused_in_whatever_way_is_decided(folders, start_sandbox, fault, method):
    """Later files are paid meanwhile; nobody is told to check the keys; the record is rejected by evidence."""
    paying = (PaymentSeed(Decimal(50)),)
    bad = invoice("BAD-1", TOTAL, payments=() if method == "POST" else paying)
    books = start_sandbox(bad, *(invoice(number, TOTAL) for number in GOOD[:3]))
    with Unreliable(books.url, Strike(fault, method, r"/1001/")) as network:
        asked = "0.00" if method == "DELETE" else TOTAL
        drop(folders.inbox, "pay.xml", document(("BAD-1", asked), (GOOD[0], TOTAL), (GOOD[1], TOTAL)))
        done = []

        def look():
            done.append(paid(books, *GOOD[:3]))

        def more():
            drop(folders.inbox, "later.xml", document((GOOD[2], TOTAL)))
            lifetime._then, lifetime._at = look, 20

        lifetime = Day(more, at=5)
        logs = served(folders, network.url, lifetime, payments={"zero_amount": "remove"})
        assert len(network.seen(method, r"/1001/")) <= 6
    assert done == [[[TOTAL]] * 3]
    (row,) = records(one(files(folders.fail)))
    assert "Read back afterwards, " in row["ErrorMessage"]
    assert not [entry for entry in logs if entry["event"].endswith(".waiting") and "keys" in str(entry.get("mend"))]
    assert 60 <= lifetime.now() < 200


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("fault", [RESET_BEFORE, GATEWAY_TIMEOUT_504, WELCOME_PAGE], ids=["reset", "504", "200 HTML"])
def test_one_write_that_never_gets_an_answer_waits_and_is_named(folders, start_sandbox, fault, method):
    """It is never rejected, and holds up no other file."""
    paying = (PaymentSeed(Decimal(50)),)
    bad = invoice("BAD-1", TOTAL, payments=() if method == "POST" else paying)
    books = start_sandbox(bad, *(invoice(number, TOTAL) for number in GOOD[:3]))
    with Unreliable(books.url, Strike(fault, method, r"/1001/")) as network:
        asked = "0.00" if method == "DELETE" else TOTAL
        drop(folders.inbox, "pay.xml", document(("BAD-1", asked), (GOOD[0], TOTAL), (GOOD[1], TOTAL)))
        done = []

        def look():
            done.append(paid(books, *GOOD[:3]))
            lifetime._then, lifetime._at = network.strike, HOUR / 2

        def more():
            drop(folders.inbox, "later.xml", document((GOOD[2], TOTAL)))
            lifetime._then, lifetime._at = look, 20

        lifetime = Day(more, at=5)
        logs = served(folders, network.url, lifetime, payments={"zero_amount": "remove"})
        assert len(network.seen(method, r"/1001/")) <= 14
    assert done == [[[TOTAL]] * 3]
    assert files(folders.fail) == []
    assert paid(books, "BAD-1") == [[] if method == "DELETE" else [TOTAL]]
    assert "invoice BAD-1 (line 3): " in named(logs, "file.waiting")[0]["reason"]


@pytest.mark.parametrize("fault", list(BROKEN_LOOKS.values()), ids=list(BROKEN_LOOKS))
@pytest.mark.parametrize("look", [r"/1001/payments\?", r"conditions=.*BAD-1"], ids=["list", "search"])
def test_one_invoice_that_cannot_be_looked_up_holds_up_no_other(folders, start_sandbox, fault, look):
    """Whatever is wrong with the answer: it waits, named, and is paid once it can be looked up."""
    paying = (PaymentSeed(Decimal(1)),)
    books = start_sandbox(*(invoice(number, TOTAL, payments=paying) for number in ["BAD-1", *GOOD]))
    with Unreliable(books.url, Strike(fault, "GET", look)) as network:
        drop(folders.inbox, "pay.xml", document(*((number, TOTAL) for number in ["BAD-1", *GOOD[:4]])))
        done = []

        def look_at_books():
            done.append(paid(books, *GOOD[:5]))
            lifetime._then, lifetime._at = network.strike, HOUR / 2

        def more():
            drop(folders.inbox, "later.xml", document((GOOD[4], TOTAL)))
            lifetime._then, lifetime._at = look_at_books, 60

        lifetime = Day(more, at=5)
        logs = served(folders, network.url, lifetime, timeout_seconds=impatience(fault))
    assert done == [[[TOTAL]] * 5]
    assert files(folders.fail) == []
    assert paid(books, "BAD-1") == [[TOTAL]]
    assert "invoice BAD-1 (line 3): " in named(logs, "file.waiting")[0]["reason"]


@pytest.mark.parametrize("unchanged", [False, True], ids=["the first time", "once more"])
def test_bad_records_at_the_end_of_a_document_without_folders_are_decided(start_sandbox, unchanged):
    """Nothing follows them, so what went well before them counts: it is not given up for ever."""
    books = start_sandbox(*(invoice(number, TOTAL) for number in IDS))
    with Unreliable(books.url) as network:
        data = document(*((number, TOTAL) for number in [*GOOD[:10], "BAD-1", "BAD-2"]))
        if unchanged:
            deque(
                apply(document(*((number, TOTAL) for number in GOOD[:10])), *connect(network.url, Hurried()), Rules())
            )
        network.strike(*strikes("BAD-1", "BAD-2"))
        lifetime = Hurried()
        *_, applied = apply(data, *connect(network.url, lifetime), Rules())
    assert applied.held_up_by is None
    wanted = "unchanged" if unchanged else "applied"
    assert [str(result.outcome) for result in applied.known] == [wanted] * 10 + ["rejected"] * 2
    assert lifetime.now() < 100


def test_a_missing_right_is_told_with_its_mend_and_nothing_else(folders, start_sandbox):
    """What is said to be rejected after a minute is; a missing right is for the operator to mend."""
    paying = (PaymentSeed(Decimal(1)),)
    books = start_sandbox(*(invoice(number, TOTAL, payments=paying) for number in [*BAD]), invoice(GOOD[0], TOTAL))
    with Unreliable(books.url, Strike(WEAK_ROLE_403, "PATCH")) as network:
        drop(folders.inbox, "pay.xml", document(*((number, TOTAL) for number in [*BAD, GOOD[0]])))
        logs = served(folders, network.url, Day(network.strike, at=HOUR / 2))
    assert paid(books, *BAD) == [[TOTAL]] * 4
    assert files(folders.fail) == []
    mends = {entry["mend"] for entry in named(logs, "file.waiting") + named(logs, "line.waiting")}
    assert all("security role" in mend for mend in mends)
    assert any("No payment is rejected for it" in mend for mend in mends)


def test_a_payment_that_was_made_although_it_was_refused_is_applied(folders, books):
    """It is read back before anything else is done."""
    with Unreliable(books.url, *strikes("BAD-1", fault=after(CONVERTING_500))) as network:
        drop(folders.inbox, "pay.xml", document(("BAD-1", TOTAL), (GOOD[0], TOTAL)))
        served(folders, network.url, Day())
        assert len(network.seen("POST", "/1001/")) == 1
    assert paid(books, "BAD-1") == [[TOTAL]]
    assert files(folders.fail) == []


def test_a_missing_right_fails_nothing_although_other_payments_are_changed(folders, start_sandbox):
    """A role that may edit and not add: new payments wait, and earlier ones are changed."""
    old = [f"OLD-{ordinal}" for ordinal in range(3)]
    seeds = [invoice(number, TOTAL, payments=(PaymentSeed(Decimal(1)),)) for number in old]
    books = start_sandbox(*(invoice(number, TOTAL) for number in [*IDS][:4]), *seeds)
    with Unreliable(books.url, Strike(WEAK_ROLE_403, "POST")) as network:
        drop(folders.inbox, "pay.xml", document(*((number, TOTAL) for number in [*[*IDS][:4], *old])))
        served(folders, network.url, Day(network.strike, at=HOUR / 2))
    assert paid(books, *old) == [[TOTAL]] * 3
    assert paid(books, *[*IDS][:4]) == [[TOTAL]] * 4
    assert files(folders.fail) == []


def test_a_list_that_hangs_keeps_others_waiting_for_one_timeout(folders, start_sandbox):
    """The good payments of its file are made after one call without an answer; it is asked again later."""
    paying = (PaymentSeed(Decimal(1)),)
    books = start_sandbox(*(invoice(number, TOTAL, payments=paying) for number in [*IDS][:3]))
    with Unreliable(books.url, Strike(SILENT_BEFORE, "GET", r"/1001/payments\?")) as network:
        drop(folders.inbox, "pay.xml", document(*((number, TOTAL) for number in [*IDS][:3])))
        lifetime = Day(network.strike, at=30)
        served(folders, network.url, lifetime, timeout_seconds=1)
        paths = [request.path for request in network.requests]
    changed = next(place for place, path in enumerate(paths) if re.search(r"/100[23]/payments/", path))
    assert sum("/1001/payments?" in path for path in paths[:changed]) == 1
    assert paid(books, *[*IDS][:3]) == [[TOTAL]] * 3


def test_an_answer_that_is_not_understood_holds_up_its_invoice_alone(folders, start_sandbox):
    """It is ConnectWise's trouble: others go on, the invoice is named, and nothing is rejected."""
    paying = (PaymentSeed(Decimal(1)),)
    books = start_sandbox(*(invoice(number, TOTAL, payments=paying) for number in [*IDS][:3]))
    odd = page(200, '[{"id": 7, "amount": 1.00, "paymentDate": "9/22/2016 12:00:00 AM"}]')
    with Unreliable(books.url, Strike(odd, "GET", r"/1001/payments\?")) as network:
        drop(folders.inbox, "pay.xml", document(*((number, TOTAL) for number in [*IDS][:3])))
        seen = []

        def better():
            seen.append((paid(books, "BAD-2", "BAD-3"), files(folders.fail)))
            network.strike()

        logs = served(folders, network.url, Day(better, at=HOUR / 2))
    assert seen == [([[TOTAL], [TOTAL]], [])]
    assert paid(books, "BAD-1") == [[TOTAL]]
    (waiting, *_) = named(logs, "file.waiting")
    assert waiting["file"] == "pay.xml"
    assert "invoice BAD-1 (line 3): " in waiting["reason"]
    assert "9/22/2016" in waiting["reason"]


@pytest.mark.parametrize(
    "fault",
    [page(404, '{"code":"NotFound","message":"The endpoint does not exist."}'), INVALID_400, page(200, "[]")],
    ids=["404", "400", "finds none"],
)
def test_a_search_that_does_not_work_rejects_nothing(folders, books, fault):
    """A refused or empty answer to all numbers is not about the payments."""
    with Unreliable(books.url, Strike(fault, "GET", "conditions=")) as network:
        drop(folders.inbox, "pay.xml", document(*((number, TOTAL) for number in IDS)))
        served(folders, network.url, Day(network.strike, at=HOUR / 2))
    assert paid(books, *IDS) == [[TOTAL]] * len(IDS)
    assert files(folders.fail) == []


def test_many_unknown_numbers_are_rejected_if_the_search_works(folders, books):
    """The search finds an invoice that is there, so the numbers are wrong."""
    with Unreliable(books.url) as network:
        drop(folders.inbox, "pay.xml", document(*((f"NO-{ordinal}", TOTAL) for ordinal in range(30))))
        served(folders, network.url, Day())
        assert len(network.requests) <= 3
    assert len(records(one(files(folders.fail)))) == 30


def test_an_invoice_that_cannot_be_read_at_all_holds_up_no_other(folders, start_sandbox):
    """Its payments are answered by 404, and it itself by 500: it waits, named, and others are paid."""
    paying = (PaymentSeed(Decimal(1)),)
    books = start_sandbox(*(invoice(number, TOTAL, payments=paying) for number in [*IDS][:3]))
    faults = [Strike(GONE_404, "GET", r"/1001/payments\?"), Strike(CONVERTING_500, "GET", r"/1001\?")]
    with Unreliable(books.url, *faults) as network:
        drop(folders.inbox, "pay.xml", document(*((number, TOTAL) for number in [*IDS][:3])))
        seen = []

        def better():
            seen.append((paid(books, "BAD-2", "BAD-3"), files(folders.fail)))
            network.strike()

        logs = served(folders, network.url, Day(better, at=HOUR / 2))
    assert seen == [([[TOTAL], [TOTAL]], [])]
    assert paid(books, "BAD-1") == [[TOTAL]]
    assert "invoice BAD-1 (line 3): " in named(logs, "file.waiting")[0]["reason"]


def test_an_endpoint_that_is_gone_fails_no_payment(folders, books):
    """A 404 to a write on an invoice that is there says nothing of the payment."""
    with Unreliable(books.url, Strike(GONE_404, "POST")) as network:
        drop(folders.inbox, "pay.xml", document(*((number, TOTAL) for number in GOOD[:4])))
        served(folders, network.url, Day(network.strike, at=HOUR / 2))
    assert paid(books, *GOOD[:4]) == [[TOTAL]] * 4
    assert files(folders.fail) == []


def test_a_removal_that_is_answered_by_404_is_done_only_if_the_payment_is_gone(folders, start_sandbox):
    """The payments are listed once before a removal counts as done."""
    books = start_sandbox(invoice("BAD-1", TOTAL, payments=(PaymentSeed(Decimal(60)),)))
    with Unreliable(books.url, Strike(GONE_404, "DELETE")) as network:
        drop(folders.inbox, "pay.xml", document(("BAD-1", "0.00")))
        seen = []

        def better():
            seen.append((files(folders.success), paid(books, "BAD-1")))
            network.strike()

        served(folders, network.url, Day(better, at=30), payments={"zero_amount": "remove"})
    assert seen == [([], [["60.00"]])]
    assert paid(books, "BAD-1") == [[]]
    assert "60.00 was removed" in records(one(files(folders.success)))[0]["WarningMessage"]
