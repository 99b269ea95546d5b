"""One invoice that is given by its id, and with which ConnectWise has trouble, stops no other payment."""

from __future__ import annotations

import re
from contextlib import closing
from decimal import Decimal

import pytest
from support.connectwise import invoice
from support.day import Day
from support.documents import DAY, document, drop, files, invoice_payments, one, records
from support.line import Hurried, Line, connect
from support.network import (
    CONVERTING_500,
    GONE_404,
    SILENT_BEFORE,
    WEAK_ROLE_403,
    WELCOME_PAGE,
    Strike,
    Unreliable,
    impatience,
)
from support.served import named, paid, served

from watcher.actions.apply import apply
from watcher.errors import FileTrouble
from watcher.payments.model import Rules
from watcher.sandbox import PaymentSeed

TOTAL = "100.00"
NUMBERS = ["BAD", *(f"GOOD-{ordinal}" for ordinal in range(6))]
IDS = {number: 1001 + ordinal for ordinal, number in enumerate(NUMBERS)}
GOOD = NUMBERS[1:]
FAULTS = {
    "500": CONVERTING_500,
    "403": WEAK_ROLE_403,
    "404": GONE_404,
    "HTML": WELCOME_PAGE,
    "silence": SILENT_BEFORE,
}
# Which calls on the bad invoice fail.
LOOK_UP = [("GET", r"conditions=id%20in%20\((.*,)?1001[,)]"), ("GET", r"/invoices/1001\?")]
LIST = [("GET", r"/1001/payments\?")]
WRITE = [("POST", "/1001/"), ("PATCH", "/1001/")]
WAITING = [
    *(pytest.param(LOOK_UP, fault, id=f"look-up {name}") for name, fault in FAULTS.items()),
    pytest.param(LIST, CONVERTING_500, id="list 500"),
]


@pytest.fixture
def books(start_sandbox):
    """A ConnectWise with invoices of 100.00 each, on which a part is paid."""
    paying = (PaymentSeed(Decimal(1)),)
    return start_sandbox(*(invoice(number, TOTAL, payments=paying) for number in NUMBERS))


def mixed(*numbers, by_number=()):
    """Return a document that gives some invoices by their ids, and some by their numbers."""
    by_id = [{"invoice/id": str(IDS[number])} for number in numbers]
    others = [{"invoice/identifier": number} for number in by_number]
    return invoice_payments(*({"amount": TOTAL, "paymentDate": DAY, **each} for each in [*by_id, *others]))


def strikes(calls, fault):
    """Let ConnectWise answer these calls so."""
    return [Strike(fault, method, path) for method, path in calls]


def once(folders, url, **connectwise):
    """Let the program work through the inbox once; give how long that would have taken, and what held it up."""
    lifetime = Hurried()
    sections = {"inbox": {"observer": "off", "settle_seconds": 0}, "connectwise": connectwise}
    with closing(Line(folders, url, lifetime=lifetime, **sections)) as line, line.service() as service:
        try:
            service.run_once()
        except FileTrouble as trouble:
            return lifetime.now(), str(trouble)
    return lifetime.now(), ""


@pytest.mark.parametrize(("calls", "fault"), WAITING)
def test_all_others_are_paid_while_it_cannot_be_looked_at(folders, books, calls, fault):
    """Those of its own file, by id and by number, and a later file; it is named, and paid when that is possible."""
    with Unreliable(books.url, *strikes(calls, fault)) as network:
        drop(folders.inbox, "ids.xml", mixed("BAD", *GOOD[:2], by_number=GOOD[2:4]))
        done = []

        def look():
            done.append(paid(books, *GOOD[:5]))
            network.strike()

        def more():
            drop(folders.inbox, "later.xml", mixed(by_number=GOOD[4:5]))
            lifetime._then, lifetime._at = look, 65

        lifetime = Day(more, at=5)
        logs = served(folders, network.url, lifetime, timeout_seconds=impatience(fault))
    assert done == [[[TOTAL]] * 5]
    assert paid(books, "BAD") == [[TOTAL]]
    assert files(folders.fail) == []
    assert lifetime.now() < 500
    waiting = named(logs, "file.waiting")[0]
    assert re.match(r"invoice (BAD|of id 1001) \(line 3\): ", waiting["reason"])
    assert waiting["mend"].startswith("Look at this invoice in ConnectWise.")


@pytest.mark.parametrize("fault", [CONVERTING_500, WEAK_ROLE_403, GONE_404], ids=["500", "403", "404"])
def test_one_that_cannot_be_written_is_rejected_after_a_minute(folders, books, fault):
    """A single run ends with that, and everything else is paid."""
    with Unreliable(books.url, *strikes(WRITE, fault)) as network:
        drop(folders.inbox, "ids.xml", mixed("BAD", *GOOD[:2], by_number=GOOD[2:4]))
        drop(folders.inbox, "later.xml", mixed(by_number=GOOD[4:5]))
        took, held_up = once(folders, network.url)
    assert held_up == ""
    assert 60 <= took < 100
    assert paid(books, *GOOD[:5]) == [[TOTAL]] * 5
    (row,) = records(one(files(folders.fail)))
    assert "refused this payment 4 times in 61 seconds, although it answers other calls" in row["ErrorMessage"]


@pytest.mark.parametrize(("calls", "fault"), WAITING)
def test_a_single_run_pays_all_others(folders, books, calls, fault):
    """It ends by naming the invoice, and the next run finishes it."""
    with Unreliable(books.url, *strikes(calls, fault)) as network:
        drop(folders.inbox, "ids.xml", mixed("BAD", *GOOD[:2], by_number=GOOD[2:4]))
        drop(folders.inbox, "later.xml", mixed("GOOD-4"))
        took, held_up = once(folders, network.url, timeout_seconds=impatience(fault))
        assert took < 60
        assert re.search(r"ids.xml .* waits: invoice (BAD|of id 1001) \(line 3\): ", held_up)
        assert paid(books, *GOOD[:5]) == [[TOTAL]] * 5
        network.strike()
        assert once(folders, network.url)[1] == ""
    assert paid(books, "BAD") == [[TOTAL]]
    assert len(files(folders.success)) == 2


@pytest.mark.parametrize(("calls", "fault"), WAITING)
def test_a_document_without_folders_is_done_but_for_it(books, calls, fault):
    """All others have their outcome, and the words name the invoice and blame neither network nor keys."""
    with Unreliable(books.url, *strikes(calls, fault)) as network:
        data = mixed("BAD", *GOOD[:2], by_number=GOOD[2:4])
        connected = connect(network.url, Hurried(), timeout_seconds=impatience(fault))
        *_, applied = apply(data, *connected, Rules())
    assert [result and str(result.outcome) for result in applied.results] == [None, *["applied"] * 4]
    assert re.search(r"this holds up invoice (BAD|of id 1001) \(line 3\)$", str(applied.held_up_by))
    assert applied.held_up_by.mend == "Look at this invoice in ConnectWise"


def test_one_that_cannot_be_written_is_rejected_in_a_document_without_folders(books):
    """After a minute, and everything has its outcome."""
    with Unreliable(books.url, *strikes(WRITE, CONVERTING_500)) as network:
        lifetime = Hurried()
        data = mixed("BAD", *GOOD[:2], by_number=GOOD[2:4])
        *_, applied = apply(data, *connect(network.url, lifetime), Rules())
    assert applied.held_up_by is None
    assert [str(result.outcome) for result in applied.results] == ["rejected", *["applied"] * 4]
    assert 60 <= lifetime.now() < 100


def test_later_files_on_the_same_invoice_wait_and_do_not_hang_a_single_run(folders, books):
    """The order of files is kept although its number is not known; the run ends."""
    with Unreliable(books.url, *strikes(LOOK_UP, CONVERTING_500)) as network:
        drop(folders.inbox, "a.xml", mixed("BAD", "GOOD-0"))
        assert "a.xml" in once(folders, network.url)[1]
        drop(folders.inbox, "b.xml", document(("BAD", "60.00"), ("GOOD-1", TOTAL)))
        took, held_up = once(folders, network.url)
        assert took < 60
        assert "invoice of id 1001 (line 3)" in held_up
        assert paid(books, "BAD", "GOOD-0", "GOOD-1") == [["1.00"], [TOTAL], [TOTAL]]
        network.strike()
        assert once(folders, network.url)[1] == ""
    assert paid(books, "BAD") == [["60.00"]]


def test_an_invoice_that_a_file_gives_by_id_and_by_number_is_not_paid_by_half(folders, books):
    """Neither is paid while the id cannot be looked up; then both are rejected, as in one look."""
    with Unreliable(books.url, *strikes(LOOK_UP, CONVERTING_500)) as network:
        drop(folders.inbox, "pay.xml", mixed("BAD", by_number=["BAD", "GOOD-1"]))
        once(folders, network.url)
        assert paid(books, "BAD", "GOOD-1") == [["1.00"], [TOTAL]]
        network.strike()
        once(folders, network.url)
    assert paid(books, "BAD") == [["1.00"]]
    assert ["stands 2 times" in row["ErrorMessage"] for row in records(one(files(folders.fail)))] == [True, True]


def test_its_number_is_in_the_journal_once_it_is_known(folders, books):
    """Then the history of the invoice tells of it."""
    with (
        Unreliable(books.url, *strikes(LOOK_UP, CONVERTING_500)) as network,
        closing(Line(folders, network.url, lifetime=Hurried())) as line,
    ):
        claim = line.claim("ids.xml", mixed("BAD", "GOOD-0"))
        batches = line.batches
        list(batches.process([claim]))
        assert line.history.attempts("BAD") == []
        network.strike()
        list(batches.process([claim]))
        assert [attempt.outcome for attempt in line.history.attempts("BAD")] == ["applied"]


def test_one_that_only_a_search_does_not_show_is_paid(folders, books):
    """Its number is read by its id, and nothing waits."""
    with Unreliable(books.url, *strikes(LOOK_UP[:1], CONVERTING_500)) as network:
        drop(folders.inbox, "ids.xml", mixed("BAD", "GOOD-0"))
        assert once(folders, network.url)[1] == ""
    assert paid(books, "BAD", "GOOD-0") == [[TOTAL]] * 2


def test_a_look_by_id_that_hangs_is_made_alone_and_ever_less_often(folders, books):
    """Whoever waits behind it waits for two calls without an answer at most, and every few minutes at last."""
    with Unreliable(books.url, *strikes(LOOK_UP, SILENT_BEFORE)) as network:
        drop(folders.inbox, "ids.xml", mixed(*NUMBERS))
        lifetime = Day(network.strike, at=1000)
        served(folders, network.url, lifetime, timeout_seconds=0.2)
        hung = [request.path for request in network.requests if request.fault is not None]
    assert paid(books, *NUMBERS) == [[TOTAL]] * len(NUMBERS)
    first = next(place for place, path in enumerate(hung) if "/1001?" in path)
    again = hung[first + 1 :]
    assert all("%20(1001)" in path or "/1001?" in path for path in again)
    # After 1, 2, 4 and 5 minutes, and so on.
    assert len(again) <= 2 * 5
