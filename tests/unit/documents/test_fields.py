"""The fields of a record: amounts, dates and invoice numbers, as they may be written."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.documents import document
from support.markup import law, only

from watcher.documents.letters import quoted, shown
from watcher.documents.reading import read
from watcher.documents.values import EMPTY_DAYS
from watcher.payments.model import Misfit, Payment

# --- amounts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("346.34", "346.34"),
        ("346.3", "346.3"),
        ("346", "346"),
        ("0", "0"),
        ("0.00", "0"),
        ("0.01", "0.01"),
        ("007.50", "7.5"),
        ("0000000000000000001.00", "1"),
        ("  346.34\n", "346.34"),
        ("999999999999999", "999999999999999"),
        ("9999999999999.99", "9999999999999.99"),
        ("346.3400", "346.34"),
        ("100.0000", "100"),
        ("5.000", "5"),
        ("9999999999999.9900", "9999999999999.99"),
        (f"5.{'0' * 1_000_000}", "5"),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_plain_decimal_is_accepted_exactly(written, amount):
    """Digits with a point and at most two decimals, fifteen at most, are an amount; further zeros change nothing."""
    record = only(document(("CW-1", written)))

    assert isinstance(record, Payment)
    assert record.amount == Decimal(amount)
    assert -2 <= record.amount.as_tuple().exponent <= 0


@pytest.mark.parametrize(
    "written",
    [
        "1,346.34",
        "346,34",
        "1 346.34",
        "1\u00a0346.34",
        "1'346.34",
        "1_346.34",
        "\u00a35",
        "$5",
        "5 GBP",
        "NaN",
        "Infinity",
        "INF",
        "1e3",
        "1E3",
        "0x10",
        "-5",
        "-0",
        "+5",
        "(5)",
        ".5",
        "5.",
        ".",
        "5.123",
        "5.0001",
        "346.34000001",
        "346,3400",
        "5..0",
        "1.2.3",
        "1000000000000000",
        "99999999999999.99",
        "9" * 400,
        "\u0663\u0664\u0666.\u0663\u0664",
        "\uff13\uff14\uff16",
        "\u00bd",
        "5\u00b2",
        "five",
        "5%",
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_any_other_amount_is_a_misfit_that_says_what_is_accepted(written):
    """An amount that could be read two ways is never guessed."""
    record = only(document(("CW-1", written)))

    assert isinstance(record, Misfit)
    assert record.amount is None
    assert record.invoice_number == "CW-1"
    assert f"PaidAmount {quoted(written)} is not " in record.fault
    assert "digits with a point and at most two decimals are accepted, like 1346.34" in record.fault or (
        'With payments.amounts = "total" an amount is all that is paid on the invoice' in record.fault
    )


@law
@given(st.text(alphabet="0123456789.,-+eE \u0663", min_size=1, max_size=20).filter(lambda text: text.strip()))
@example("999999999999999")
@example("1000000000000000")
def test_text_is_an_amount_exactly_if_it_is_a_plain_decimal(written):
    """A text is read exactly as written, or not at all."""
    record = only(document(("CW-1", written)))

    whole, point, cents = written.strip().partition(".")
    ascii_digits = set("0123456789")
    cents = cents[:2] + cents[2:].rstrip("0")
    plain = whole and set(whole + cents) <= ascii_digits and (1 <= len(cents) <= 2 if point else True)
    if plain and len((whole + cents).lstrip("0")) <= 15:
        assert isinstance(record, Payment)
        assert record.amount * 100 == int(whole) * 100 + int(cents.ljust(2, "0"))
    else:
        assert isinstance(record, Misfit)


def test_amount_is_never_rounded_to_a_binary_float():
    """Two amounts stay different even if a double could not hold the difference."""
    first, second = read(document(("CW-1", "0.10"), ("CW-2", "0.20")))

    assert first.amount + second.amount == Decimal("0.30")
    assert str(only(document(("CW-1", "9007199254740.93"))).amount) == "9007199254740.93"


# --- dates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2016-09-22", date(2016, 9, 22)),
        ("2016-09-22T12:05:54+01:00", date(2016, 9, 22)),
        ("2016-09-22T23:30:00+01:00", date(2016, 9, 22)),
        ("2016-09-22T00:30:00+14:00", date(2016, 9, 22)),
        ("2016-09-22T23:59:59-12:00", date(2016, 9, 22)),
        ("2016-09-22T00:00:00Z", date(2016, 9, 22)),
        ("2016-09-22T12:05:54", date(2016, 9, 22)),
        ("2016-09-22T12:05", date(2016, 9, 22)),
        ("2016-09-22T12:05:54.1", date(2016, 9, 22)),
        ("2016-09-22T12:05:54.1234567+01:00", date(2016, 9, 22)),
        ("2016-09-22T24:00:00", date(2016, 9, 22)),
        ("2016-09-22Z", date(2016, 9, 22)),
        ("2016-09-22+01:00", date(2016, 9, 22)),
        ("  2016-09-22\n", date(2016, 9, 22)),
        ("2016-02-29", date(2016, 2, 29)),
        ("2000-02-29", date(2000, 2, 29)),
        ("1900-01-02", date(1900, 1, 2)),
        ("2099-12-31", date(2099, 12, 31)),
    ],
    ids=lambda value: repr(value) if isinstance(value, str) else "",
)
def test_date_keeps_its_calendar_day_as_written(written, day):
    """Neither the time nor the offset moves a payment to another day."""
    assert only(document(("CW-1", "1", written))).date_paid == day


@pytest.mark.parametrize(
    "written",
    [
        "2015-02-29",
        "1900-02-29",
        "2016-02-30",
        "2016-13-01",
        "2016-00-10",
        "2016-09-00",
        "2016-09-31",
        "1899-12-31",
        "2100-01-01",
        "0000-01-01",
        "22/09/2016",
        "09-22-2016",
        "22.09.2016",
        "20160922",
        "2016-9-22",
        "16-09-22",
        "-2016-09-22",
        "2016-265",
        "2016-W38-4",
        "2016-09-22 12:05:54",
        "2016-09-22T",
        "2016-09-22T12",
        "2016-09-22T24:00:01",
        "2016-09-22T25:00:00",
        "2016-09-22T12:60:00",
        "2016-09-22T12:05:54.",
        "2016-09-22T12:05:5\u0664",
        "2016-09-22T12:05:54+15:00",
        "2016-09-22T12:05:54+14:01",
        "2016-09-22T12:05:54+1:00",
        "2016-09-22T12:05:54 GMT",
        "\u0662\u0660\u0661\u0666-\u0660\u0669-\u0662\u0662",
        "yesterday",
        "0001-01-02T00:00:00",
    ],
    ids=lambda text: ascii(text),
)
def test_any_other_date_is_a_misfit_that_says_what_is_accepted(written):
    """A wrong or ambiguous day is never guessed. The amount is still read."""
    record = only(document(("CW-1", "346.34", written)))

    assert isinstance(record, Misfit)
    assert record.amount == Decimal("346.34")
    assert f'DatePaid "{written}" is not a date' in record.fault
    assert "2016-09-22T12:05:54+01:00" in record.fault


@pytest.mark.parametrize("day", ["0001-01-01", "1753-01-01", "1899-12-30", "1900-01-01", "1970-01-01", "9999-12-31"])
@pytest.mark.parametrize("time", ["", "T00:00:00", "T23:59:59.9999999Z"])
def test_an_empty_date_is_no_date(day, time):
    """Databases and spreadsheets write it where there is none, so a day is missing. The amount is still read."""
    record = only(document(("CW-1", "346.34", day + time)))

    assert isinstance(record, Misfit)
    assert record.amount == Decimal("346.34")
    assert f'DatePaid "{day}{time}" is an empty date' in record.fault


@law
@given(
    st.dates(date(1900, 1, 1), date(2099, 12, 31)).filter(lambda day: day not in EMPTY_DAYS),
    st.times(),
    st.none() | st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_every_moment_of_a_day_is_that_day(day, time, zone):
    """The day stays as written, whatever time and offset follow."""
    written = datetime.combine(day, time, zone).isoformat()

    assert only(document(("CW-1", "1", written))).date_paid == day


# --- invoice numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("CW-34251", "CW-34251"),
        ("7", "7"),
        ("cw-34251", "cw-34251"),
        ("  CW-34251 \n", "CW-34251"),
        ("A b_c./#-", "A b_c./#-"),
        ("123456789012345", "123456789012345"),
        ("   123456789012345   ", "123456789012345"),
    ],
    ids=lambda text: repr(text),
)
def test_possible_invoice_number_is_trimmed_and_kept_as_written(written, number):
    """One to fifteen letters, digits, spaces and - _ . / # are an invoice number."""
    record = only(document((written, "1")))

    assert isinstance(record, Payment)
    assert record.invoice_number == number


@pytest.mark.parametrize(
    "written",
    [
        "1234567890123456",
        'CW-1" or id>0 or "',
        "CW-'1",
        "CW\\1",
        "CW-*",
        "CW%",
        "[CW]",
        "CW(1)",
        "CW,1",
        "CW&amp;1",
        "CW=1",
        "CW\t1",
        "CW\n1",
        "CW+1",
        "CW-\u0661",
        "Zo\u00eb-1",
        "CW\u20111",
    ],
    ids=lambda text: ascii(text),
)
def test_impossible_invoice_number_is_a_misfit_that_is_never_sent(written):
    """A number that could mean something in a ConnectWise condition is refused, with what is accepted."""
    record = only(document((written, "346.34")))

    assert isinstance(record, Misfit)
    assert record.amount == Decimal("346.34")
    assert record.invoice_number == shown(written.replace("&amp;", "&"))
    assert f"InvoiceNumber {quoted(written.replace('&amp;', '&'))} is not a possible invoice number" in record.fault
    assert "one to fifteen letters, digits, spaces and - _ . / #" in record.fault
