"""What is quoted of a document is short, and one line, wherever it stands: no message, no result holds a megabyte."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

import pytest
from support.documents import document, invoice_payments
from support.money import RULES

from watcher.documents import values
from watcher.documents.reading import read
from watcher.documents.unfinished import unfinished
from watcher.documents.writing import write_results
from watcher.errors import DocumentError
from watcher.payments.demands import demands_of, unrepeated
from watcher.payments.model import Misfit

MEGABYTE = 1_000_000
LONG = "CW-" + "7" * 7 * MEGABYTE
# Escape, C1, line feed, right-to-left override, zero-width space.
STEERING = "CW\x85\u202e\u200b\n1"
LONGEST_MESSAGE = 1000


def test_number_of_seven_megabytes_stands_nowhere_but_in_its_record():
    """Neither the record as it is read, nor its result holds it; the fail file gives it back as it came."""
    content = document((LONG, "1.00"), ("CW-1", "1.00"))

    misfit, payment = records = read(content)
    _, (rejected,) = demands_of("claim", records, RULES)

    assert isinstance(misfit, Misfit)
    assert (misfit.invoice_number, payment.invoice_number) == (f"{LONG[:40]}…", "CW-1")
    assert rejected.invoice_number == misfit.invoice_number
    assert len(rejected.message) < LONGEST_MESSAGE
    _, fail = write_results(content, [rejected, None])
    assert LONG.encode() in fail
    assert len(fail) < len(LONG) + LONGEST_MESSAGE


@pytest.mark.parametrize("place", range(3), ids=["number", "amount", "date"])
@pytest.mark.parametrize("written", [LONG, STEERING], ids=["long", "steering"])
def test_what_a_message_quotes_is_short_and_one_line(place, written):
    """Whatever a value holds, it steers no terminal and forges no line."""
    given = ["CW-1", "1.00", "2016-09-22"]
    given[place] = written

    (record,) = read(document(tuple(given)))

    assert isinstance(record, Misfit)
    for text in (record.fault, record.invoice_number):
        assert text.isprintable()
        assert len(text) < LONGEST_MESSAGE


def test_cleaned_number_is_no_other_invoices():
    """A number with a character that cannot be seen does not become the number without it."""
    records = read(document(("CW-1\u200b", "1.00"), ("CW-1", "2.00")))
    wanted, rejected = demands_of("claim", records, RULES)
    assert [asked.amount for asked in wanted] == [Decimal("2.00")]
    assert [result.invoice_number for result in rejected] == ["CW-1\\u200b"]


def elements(name):
    """Return documents that are refused for an element of this name."""
    root = "ArrayOfUpdateInvoicePayment"
    return {
        "root": f"<{name}/>",
        "record": f"<{root}><{name}/></{root}>",
        "cut off": f"<{name}><a>",
        "prefix": f"<{root}><{name}:a/></{root}>",
        "end": f"<{root}><{name}></a></{root}>",
        "many parts": f"<{root}><{name}>{'<a/>' * 110_000}</{name}></{root}>",
        "text": f"<{root}>{name}</{root}>",
        "encoding": f'<?xml version="1.0" encoding="{name}"?><{root}/>',
        "encoding of dashes": f'<?xml version="1.0" encoding="utf{"-" * 40_000}16"?><{root}/>',
        "declaration": f'<?xml version="{name}"?><{root}/>',
    }


@pytest.mark.parametrize("content", elements("n" * 40_000).values(), ids=elements("n"))
def test_names_of_elements_are_quoted_in_short(content):
    """A name may be fifty thousand letters long."""
    with pytest.raises(DocumentError) as caught:
        read(content.encode())

    assert len(str(caught.value)) < LONGEST_MESSAGE
    assert str(caught.value).isprintable()
    assert len(unfinished(content.encode()) or "") < LONGEST_MESSAGE


def test_external_ids_are_bounded_and_stay_different():
    """A long one is known by its beginning and its digest, so that two of them are never taken for one."""
    ids = [f"R-{'0' * MEGABYTE}{last}" for last in (1, 2)] + ["R-1"]
    content = invoice_payments(
        *({"externalId": each, "amount": "1.00", "paymentDate": "2016-09-22", "invoice/id": "7"} for each in ids)
    )

    records = unrepeated(read(content), {})

    assert len({record.external_id for record in records}) == 3
    assert max(len(record.external_id) for record in records) < LONGEST_MESSAGE
    assert records[2].external_id == "R-1"


def test_line_that_a_document_claims_is_a_line_or_none():
    """The attribute in which a stylesheet keeps lines may stand in a dropped document, with any number."""
    start = b"<UpdateInvoicePayment"
    content = document(("CW-1", "x")).replace(start, start + b' payment-watcher-line="%s"')
    claimed = (b"7", b"2147483647", b"2147483648", b"9999999999", b"x")
    assert [read(content % line)[0].line for line in claimed] == [7, 2147483647, 0, 0, 0]


def test_nothing_long_is_remembered():
    """What is remembered of values between files are amounts and dates, not whatever stands in their place."""
    for text in ("1" * MEGABYTE, "0" * MEGABYTE + "1", "2016-09-22" + " " * MEGABYTE, "x" * MEGABYTE):
        values.amount_of(text)
        before = values._shared_day.cache_info().currsize, values._shared_amount.cache_info().currsize
        values.day_of(text)
        values.amount_of(text)
        assert (values._shared_day.cache_info().currsize, values._shared_amount.cache_info().currsize) == before
    assert values.day_of("2016-09-22T12:05:54.123456789+01:00") == date(2016, 9, 22)
    assert values.amount_of("0" * MEGABYTE + "1.10") == Decimal("1.10")


def test_output_is_linear_in_the_input():
    """One invoice in twice as many records makes messages of twice the length in all."""
    sizes = []
    for count in (2000, 4000):
        content = document(*[("CW-1", "1.00")] * count)
        _, rejected = demands_of("claim", read(content), RULES)
        sizes.append(len(write_results(content, rejected)[1]) / len(content))
        assert re.search(
            rf"stands {count} times in this file \(lines 3, 8, .* and [0-9,]+ more\)", rejected[-1].message
        )
    assert sizes[1] <= sizes[0] * 1.01
