"""Many payments that ConnectWise refuses starve no good ones, and a long outage is not asked on and on."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from decimal import Decimal

import pytest
from support.connectwise import invoice
from support.day import Day
from support.documents import document, drop, files
from support.line import Hurried, Line, connect
from support.network import CONVERTING_500, WEAK_ROLE_403, Strike, Unreliable
from support.served import named, paid, served

from watcher.actions.apply import apply
from watcher.payments.model import Rules
from watcher.sandbox import PaymentSeed

TOTAL = "100.00"
HOUR = Day.longest


def refused(fault, first, last, method="POST"):
    """Let ConnectWise refuse every write on the invoices of some ids."""
    ids = "|".join(map(str, range(first, last + 1)))
    return Strike(fault, method, rf"/({ids})/payments")


@pytest.mark.parametrize(
    ("count", "fault", "workers"),
    [
        (12, CONVERTING_500, 4),
        (150, CONVERTING_500, 4),
        (150, CONVERTING_500, 16),
        (250, WEAK_ROLE_403, 4),
        (250, WEAK_ROLE_403, 1),
    ],
)
def test_good_payments_behind_many_bad_ones_are_made_within_a_minute(folders, start_sandbox, count, fault, workers):
    """So is a file that comes in later, within half a minute; and the number of requests is bounded."""
    bad, good = [f"B-{ordinal}" for ordinal in range(count)], [f"G-{ordinal}" for ordinal in range(50)]
    books = start_sandbox(*(invoice(number, TOTAL) for number in [*bad, *good, "LATE"]))
    with Unreliable(books.url, refused(fault, 1001, 1000 + count)) as network:
        drop(folders.inbox, "pay.xml", document(*((number, TOTAL) for number in [*bad, *good])))
        seen = {}

        def look():
            seen["late"] = paid(books, "LATE")
            seen["good"] = paid(books, *good)
            seen["requests"] = len(network.requests)
            lifetime.end()

        def more():
            drop(folders.inbox, "late.xml", document(("LATE", TOTAL)))
            lifetime._then, lifetime._at = look, 45

        lifetime = Day(more, at=15)
        served(folders, network.url, lifetime, concurrency=workers)
    assert seen["late"] == [[TOTAL]]
    assert seen["good"] == [[TOTAL]] * 50
    # On a busy machine more calls are under way when the pretended time goes on.
    assert seen["requests"] <= 50 * 3 + count * 16
    assert files(folders.fail) == []


def test_good_payments_of_another_kind_are_found_among_many_refused_ones(folders, start_sandbox):
    """A role that may edit and not add: the few changes among many new payments are made within a minute."""
    new = [f"N-{ordinal}" for ordinal in range(100)]
    paying = (PaymentSeed(Decimal(1)),)
    books = start_sandbox(*(invoice(number, TOTAL) for number in new), invoice("OLD", TOTAL, payments=paying))
    with Unreliable(books.url, Strike(WEAK_ROLE_403, "POST")) as network:
        numbers = [*new[:37], "OLD", *new[37:]]
        drop(folders.inbox, "pay.xml", document(*((number, TOTAL) for number in numbers)))
        seen = []

        def look():
            seen.append(paid(books, "OLD"))
            lifetime.end()

        lifetime = Day(look, at=60)
        served(folders, network.url, lifetime)
    assert seen == [[[TOTAL]]]


@pytest.mark.parametrize("fault", [CONVERTING_500, WEAK_ROLE_403], ids=["500", "403"])
def test_bad_payments_in_front_do_not_end_a_document_without_folders(start_sandbox, fault):
    """All twenty good ones are made by the first call, and the twelve bad ones are decided."""
    bad, good = [f"B-{ordinal}" for ordinal in range(12)], [f"G-{ordinal}" for ordinal in range(20)]
    books = start_sandbox(*(invoice(number, TOTAL) for number in [*bad, *good]))
    with Unreliable(books.url, refused(fault, 1001, 1012)) as network:
        lifetime = Hurried()
        data = document(*((number, TOTAL) for number in [*bad, *good]))
        *_, applied = apply(data, *connect(network.url, lifetime), Rules())
    assert applied.held_up_by is None
    assert [str(result.outcome) for result in applied.known] == ["rejected"] * 12 + ["applied"] * 20
    assert lifetime.now() < 120


def test_a_single_run_decides_as_well_although_the_good_ones_are_unchanged(folders, start_sandbox):
    """It ends after a minute with every record decided."""
    bad, good = [f"B-{ordinal}" for ordinal in range(12)], [f"G-{ordinal}" for ordinal in range(20)]
    paying = (PaymentSeed(Decimal(TOTAL), date(2016, 9, 22)),)
    seeds = [invoice(number, TOTAL, payments=paying) for number in good]
    books = start_sandbox(*(invoice(number, TOTAL) for number in bad), *seeds)
    with Unreliable(books.url, refused(CONVERTING_500, 1001, 1012)) as network:
        drop(folders.inbox, "pay.xml", document(*((number, TOTAL) for number in [*bad, *good])))
        lifetime = Hurried()
        sections = {"inbox": {"observer": "off", "settle_seconds": 0}}
        with closing(Line(folders, network.url, lifetime=lifetime, **sections)) as line, line.service() as service:
            tally = service.run_once()
    assert (tally.files, tally.rejected) == (1, 12)
    assert lifetime.now() < 120


def test_a_long_outage_of_writes_is_asked_little(folders, start_sandbox):
    """Two hundred payments, and an hour in which every write is answered by 500: few are sent, all are made later."""
    numbers = [f"N-{ordinal}" for ordinal in range(200)]
    books = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    with Unreliable(books.url, Strike(CONVERTING_500, "POST")) as network:
        drop(folders.inbox, "pay.xml", document(*((number, TOTAL) for number in numbers)))
        sent = []

        def over():
            sent.append(len(network.seen("POST")))
            network.strike()

        logs = served(folders, network.url, Day(over, at=HOUR * 0.8))
    assert sent[0] <= 300
    assert files(folders.fail) == []
    assert paid(books, *numbers) == [[TOTAL]] * 200
    assert named(logs, "line.waiting")[0]["invoice_number"] == "N-0"


def test_files_that_come_in_during_an_outage_of_writes_are_asked_little(folders, start_sandbox):
    """Each is tried, a few payments every quarter of a minute."""
    numbers = [f"N-{ordinal}" for ordinal in range(80)]
    books = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    with Unreliable(books.url, Strike(CONVERTING_500, "POST")) as network:
        drop(folders.inbox, "pay.xml", document(*((number, TOTAL) for number in numbers[:50])))
        coming = iter(numbers[50:])
        sent = []

        def more():
            number = next(coming, None)
            if number is None:
                sent.append(len(network.seen("POST")))
                network.strike()
                return
            drop(folders.inbox, f"{number}.xml", document((number, TOTAL)))
            lifetime._then, lifetime._at = more, lifetime.now() + 5

        lifetime = Day(more, at=20)
        served(folders, network.url, lifetime)
    assert sent[0] <= 200
    assert files(folders.fail) == []
    assert paid(books, *numbers) == [[TOTAL]] * 80


@pytest.mark.parametrize(
    ("path", "said", "mend"),
    [
        ("/finance/invoices", "ConnectWise answered 500", "ConnectWise or the network is down"),
        ("conditions=", "ConnectWise's search for invoices does not work", "payment-watcher prove"),
    ],
    ids=["all looks", "searches"],
)
def test_an_outage_of_looks_says_what_waits(folders, start_sandbox, path, said, mend):
    """How many payments of which files, and since when; no single invoice is blamed, and all are made later."""
    numbers = [f"N-{ordinal}" for ordinal in range(12)]
    books = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    with Unreliable(books.url, Strike(CONVERTING_500, "GET", path)) as network:
        drop(folders.inbox, "a.xml", document(*((number, TOTAL) for number in numbers[:5])))
        drop(folders.inbox, "b.xml", document(*((number, TOTAL) for number in numbers[5:])))
        logs = served(folders, network.url, Day(network.strike, at=HOUR / 2))
    (told,) = named(logs, "line.waiting")
    assert told["reason"].startswith(said)
    assert told["reason"].endswith("; this holds up 12 payments of a.xml, b.xml")
    assert mend in told["mend"]
    assert told["since"]
    assert "invoice_number" not in told
    assert paid(books, *numbers) == [[TOTAL]] * 12
