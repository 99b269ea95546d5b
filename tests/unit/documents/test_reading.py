"""Payment documents: bytes to records and results to bytes."""

from __future__ import annotations

import codecs
import gzip
import itertools
import os
import re
import socket
import time
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import etree
from support.documents import document, numbers, records

from watcher.documents.reading import read
from watcher.documents.unfinished import unfinished
from watcher.documents.writing import empty_results, write_results
from watcher.errors import DocumentError
from watcher.payments.model import Misfit, Payment
from watcher.payments.outcomes import Outcome, Result

ROOT = "ArrayOfUpdateInvoicePayment"
RECORD = "UpdateInvoicePayment"
GOOD = (
    f"<{RECORD}><InvoiceNumber>CW-1</InvoiceNumber><PaidAmount>346.34</PaidAmount>"
    f"<DatePaid>2016-09-22</DatePaid></{RECORD}>"
)
# ``make soak`` tries so many times as much.
SOAK = int(os.environ.get("SOAK", "1"))
law = settings(deadline=None, max_examples=100 * SOAK)


def only(content):
    """Read a document of one record."""
    (record,) = read(content)
    return record


def rooted(inside, *, start=f"<{ROOT}>", end=f"</{ROOT}>"):
    """Put markup inside a payment document's root."""
    return f"{start}{inside}{end}".encode()


def result(position, *, rejected=False, message=None, warning=None):
    """Give a result for a record of a document."""
    outcome = Outcome.REJECTED if rejected else Outcome.APPLIED
    message = message or ("Refused" if rejected else None)
    return Result(position, 1, "CW-1", outcome, Decimal(1), message=message, warning=warning)


# --- what is read ----------------------------------------------------------------------------------------------


def test_record_is_read_with_its_place_line_number_amount_and_day():
    """A record becomes a payment that knows where it stood."""
    read_records = read(document(("CW-34251", "346.34"), ("CW-2", "10", "2020-02-29")))

    assert read_records == (
        Payment(0, 3, "CW-34251", Decimal("346.34"), date(2016, 9, 22)),
        Payment(1, 8, "CW-2", Decimal(10), date(2020, 2, 29)),
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(f"<{ROOT}/>".encode(), id="self-closing root"),
        pytest.param(rooted("\n  "), id="blank root"),
        pytest.param(rooted("<!-- none today --><?none today?>"), id="comment and instruction alone"),
    ],
)
def test_document_without_records_is_read_as_none(content):
    """An empty list of payments is a valid document."""
    assert read(content) == ()


# How a document is encoded, with which byte-order mark, and what its declaration says of it.
ENCODED = [
    ("utf-8", b"", None),
    ("utf-8", b"", "utf-8"),
    ("utf-8", b"", "UTF8"),
    ("utf-8", codecs.BOM_UTF8, None),
    ("utf-8", codecs.BOM_UTF8, "UTF-8"),
    ("utf-16-le", codecs.BOM_UTF16_LE, None),
    ("utf-16-le", codecs.BOM_UTF16_LE, "utf-16"),
    ("utf-16-le", codecs.BOM_UTF16_LE, "utf-16LE"),
    ("utf-16-be", codecs.BOM_UTF16_BE, None),
    ("utf-16-be", codecs.BOM_UTF16_BE, "UTF-16"),
    ("utf-16-le", b"", "utf-16"),
    ("utf-16-be", b"", None),
    ("iso-8859-1", b"", "ISO-8859-1"),
    ("iso-8859-15", b"", "iso-8859-15"),
    ("windows-1252", b"", "Windows-1252"),
    ("windows-1252", b"", "cp1252"),
    ("ascii", b"", "US-ASCII"),
]


@pytest.mark.parametrize("before", ["", "\r\n", "\n  \t\n"], ids=["at once", "after a line", "after blanks"])
@pytest.mark.parametrize(
    ("encoding", "mark", "declared"), ENCODED, ids=lambda value: value.hex() if isinstance(value, bytes) else str(value)
)
def test_document_is_read_in_the_encoding_that_its_bytes_or_its_declaration_tell(encoding, mark, declared, before):
    """The same document in another encoding gives the same payments, lines and UTF-8 results."""
    name = "Zoe" if encoding == "ascii" else "Zo\u00eb"
    markup = GOOD.replace(f"</{RECORD}>", f"<Memo>{name}</Memo></{RECORD}>")
    declaration = f"<?xml version='1.0'\nencoding=\"{declared}\" ?>\n" if declared else ""
    content = mark + f"{before}{declaration}<{ROOT}>{markup}</{ROOT}>".encode(encoding)

    line = 1 + (before + declaration).count("\n")
    assert only(content) == Payment(0, line, "CW-1", Decimal("346.34"), date(2016, 9, 22))
    assert unfinished(content) is None
    success, _ = write_results(content, [result(0)])
    assert success.startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    assert f"<Memo>{name}</Memo>".encode() in success


@pytest.mark.parametrize(
    ("declared", "encoding", "mark", "told"),
    [
        ("utf-16", "utf-8", b"", "one byte a character"),
        ("utf-16", "utf-8", codecs.BOM_UTF8, "UTF-8"),
        ("windows-1252", "utf-8", codecs.BOM_UTF8, "UTF-8"),
        ("utf-8", "utf-16-le", codecs.BOM_UTF16_LE, "UTF-16-LE"),
        ("iso-8859-1", "utf-16-be", b"", "UTF-16-BE"),
        ("utf-16be", "utf-16-le", codecs.BOM_UTF16_LE, "UTF-16-LE"),
    ],
)
def test_declaration_that_the_first_bytes_contradict_is_refused(declared, encoding, mark, told):
    """Which of the two is wrong is anybody's guess; the message names both."""
    content = mark + f"\n<?xml version='1.0' encoding='{declared}'?>{rooted(GOOD).decode()}".encode(encoding)

    with pytest.raises(DocumentError) as caught:
        read(content)

    assert caught.value.line == 2
    assert f'The declaration says encoding="{declared}"' in caught.value.problem
    assert f"written in {told}" in caught.value.problem
    assert unfinished(content) is None


@pytest.mark.parametrize(
    ("declared", "byte"),
    [
        (None, b"\xe9"),
        ("utf-8", b"\xe9"),
        ("us-ascii", b"\xc3\xa9"),
        ("windows-1252", b"\x81"),
        ("utf-8", b"\xed\xa0\x80"),
    ],
    ids=["nothing declared", "utf-8", "ascii", "windows-1252", "half a character"],
)
def test_byte_that_is_no_character_of_the_declared_encoding_is_refused_with_its_line(declared, byte):
    """A name in the wrong encoding is never turned into another name."""
    declaration = f"<?xml version='1.0' encoding='{declared}'?>\n" if declared else "\n"
    content = declaration.encode() + rooted(f"\n<{RECORD}><Memo>@</Memo></{RECORD}>").replace(b"@", byte)

    with pytest.raises(DocumentError, match=f"byte 0x{byte.hex().upper()[:2]} is no character of") as caught:
        read(content)

    assert caught.value.line == 3
    assert unfinished(content) is None


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-le", "utf-32-be"])
def test_utf_32_is_refused_by_its_name(encoding):
    """An encoding that is not read is told of as such."""
    with pytest.raises(DocumentError, match="UTF-32"):
        read(rooted(GOOD).decode().encode(encoding))


def test_fields_are_read_in_any_order_between_other_elements_comments_and_attributes():
    """Only the three named children decide; a comment or CDATA inside a value does not split it."""
    content = rooted(
        f"<!-- a --><{RECORD} id='7'><Memo>9.99</Memo><DatePaid zone='x'><![CDATA[2016-09-22]]></DatePaid>"
        f"<PaidAmount>346<!-- b -->.34</PaidAmount><?pi c?><InvoiceNumber>CW<?pi d?>-1</InvoiceNumber></{RECORD}>"
    )

    assert only(content) == Payment(0, 1, "CW-1", Decimal("346.34"), date(2016, 9, 22))


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(f"<{ROOT} xmlns='urn:example'>", id="default namespace"),
        pytest.param(f"<{ROOT} xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'>", id="unused namespace"),
        pytest.param(f"<{ROOT} version='2' xml:lang='en'>", id="attributes"),
    ],
)
def test_namespaces_and_attributes_of_the_root_do_not_matter(start):
    """Exports decorate the root in many ways; the payments are the same."""
    assert only(rooted(GOOD, start=start)).amount == Decimal("346.34")


def test_prefixed_document_is_read():
    """Elements count by their local names."""
    content = rooted(
        "<p:UpdateInvoicePayment><p:InvoiceNumber>CW-1</p:InvoiceNumber><p:PaidAmount>5</p:PaidAmount>"
        "<p:DatePaid>2016-09-22</p:DatePaid></p:UpdateInvoicePayment>",
        start=f"<p:{ROOT} xmlns:p='urn:example'>",
        end=f"</p:{ROOT}>",
    )

    assert only(content).invoice_number == "CW-1"


@pytest.mark.parametrize("message", ["ErrorMessage", "WarningMessage"])
def test_message_of_an_earlier_run_is_ignored(message):
    """A corrected fail file is dropped in again as it is."""
    content = rooted(GOOD.replace("</PaidAmount>", f"</PaidAmount><{message}>Cannot find it</{message}>"))

    assert isinstance(only(content), Payment)


# --- amounts ---------------------------------------------------------------------------------------------------


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
    ],
    ids=lambda text: repr(text),
)
def test_plain_decimal_is_accepted_exactly(written, amount):
    """Digits with a point and at most two decimals, fifteen digits at most, are an amount."""
    record = only(document(("CW-1", written)))

    assert isinstance(record, Payment)
    assert record.amount == Decimal(amount)


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
        "5.000",
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
    assert f'PaidAmount "{written[:40]}' in record.fault
    assert "digits with a point and at most two decimals" in record.fault
    assert "at most 15 digits" in record.fault
    assert "1346.34" in record.fault


@law
@given(st.text(alphabet="0123456789.,-+eE \u0663", min_size=1, max_size=20).filter(lambda text: text.strip()))
@example("999999999999999")
@example("1000000000000000")
def test_text_is_an_amount_exactly_if_it_is_a_plain_decimal(written):
    """Whatever stands there is read to the cent as written, or not at all."""
    record = only(document(("CW-1", written)))

    whole, point, cents = written.strip().partition(".")
    ascii_digits = set("0123456789")
    plain = whole and set(whole + cents) <= ascii_digits and (1 <= len(cents) <= 2 if point else True)
    if plain and len((whole + cents).lstrip("0")) <= 15:
        assert isinstance(record, Payment)
        assert record.amount * 100 == int(whole) * 100 + int(cents.ljust(2, "0"))
    else:
        assert isinstance(record, Misfit)


def test_amount_is_never_rounded_to_a_binary_float():
    """Cents that a double cannot tell apart stay apart."""
    first, second = read(document(("CW-1", "0.10"), ("CW-2", "0.20")))

    assert first.amount + second.amount == Decimal("0.30")
    assert str(only(document(("CW-1", "9007199254740.93"))).amount) == "9007199254740.93"


# --- dates -----------------------------------------------------------------------------------------------------


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
        ("1900-01-01", date(1900, 1, 1)),
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
        "0001-01-01T00:00:00",
    ],
    ids=lambda text: ascii(text),
)
def test_any_other_date_is_a_misfit_that_says_what_is_accepted(written):
    """A day that is none, or could be another, is never guessed; what the record asks is still known."""
    record = only(document(("CW-1", "346.34", written)))

    assert isinstance(record, Misfit)
    assert record.amount == Decimal("346.34")
    assert f'DatePaid "{written}" is not a date' in record.fault
    assert "2016-09-22T12:05:54+01:00" in record.fault


@law
@given(
    st.dates(date(1900, 1, 1), date(2099, 12, 31)),
    st.times(),
    st.none() | st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_every_moment_of_a_day_is_that_day(day, time, zone):
    """The calendar day as written stands, whatever time and offset follow."""
    written = datetime.combine(day, time, zone).isoformat()

    assert only(document(("CW-1", "1", written))).date_paid == day


# --- invoice numbers -------------------------------------------------------------------------------------------


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
    assert record.invoice_number == written.replace("&amp;", "&")
    assert f'InvoiceNumber "{record.invoice_number}" is not a possible invoice number' in record.fault
    assert "one to fifteen letters, digits, spaces and - _ . / #" in record.fault


# --- faults of a record ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["InvoiceNumber", "PaidAmount", "DatePaid"])
@pytest.mark.parametrize(
    ("mend", "fault"),
    [
        pytest.param(lambda field: "", "{name} is missing", id="missing"),
        pytest.param(lambda field: field.lower(), "{name} is missing", id="other letter case"),
        pytest.param(lambda field: field[: field.index(">") + 1] + " </x>", "{name} is empty", id="blank"),
        pytest.param(lambda field: field * 2, "{name} stands 2 times in this payment", id="twice"),
        pytest.param(
            lambda field: field.replace("</", "<b/></"), "{name} holds other elements", id="with an element inside"
        ),
    ],
)
def test_field_that_is_not_there_exactly_once_is_the_records_fault(name, mend, fault):
    """A field missing, blank, repeated or not plain makes the record a misfit and leaves the others alone."""
    record = etree.fromstring(GOOD)
    field = etree.tostring(record.find(name), encoding="unicode")
    bad = GOOD.replace(field, mend(field).replace("</x>", f"</{name}>"))
    content = rooted(GOOD + "\n" + bad + "\n" + GOOD)

    first, misfit, last = read(content)

    assert isinstance(first, Payment)
    assert isinstance(last, Payment)
    assert isinstance(misfit, Misfit)
    assert misfit.position == 1
    assert misfit.line == 2
    assert fault.format(name=name) in misfit.fault
    assert "(line 2)" in misfit.fault


def test_misfit_tells_all_its_faults_at_once():
    """The payer corrects a record once, not once a fault."""
    record = only(document(("CW-1*", "1,5", "soon")))

    assert isinstance(record, Misfit)
    assert all(name in record.fault for name in ("InvoiceNumber", "PaidAmount", "DatePaid"))


def test_record_with_nothing_in_it_is_a_misfit_without_number_or_amount():
    """An empty record is reported like any other."""
    record = only(rooted(f"<{RECORD}/>"))

    assert record == Misfit(0, 1, "", None, record.fault)
    assert all(f"{name} is missing" in record.fault for name in ("InvoiceNumber", "PaidAmount", "DatePaid"))


def test_value_of_a_megabyte_is_not_repeated_in_the_message():
    """A message stays readable whatever stands in the field."""
    record = only(document(("CW-1", "7," * 500_000)))

    assert isinstance(record, Misfit)
    assert len(record.fault) < 300


def test_line_of_a_record_far_down_is_right():
    """The line is right beyond the 65,535 that a parser's short integer holds."""
    layouts = ("", "\n", "\n\n  ")
    inside = [GOOD.replace("346.34", "x").replace("><Inv", f">{layout}<Inv") for layout in layouts]
    content = rooted("\n" * 70_000 + "\n".join([*inside, f"<{RECORD}/>", f"<{RECORD}></{RECORD}>"]) + "\n")

    lines = [record.line for record in read(content)]

    assert lines == [70_001, 70_002, 70_004, 70_007, 70_008]
    assert "(line 70001)" in read(content)[0].fault
    assert [record.line for record in read(document(*(("CW-1", "1"),) * 15_000))] == [3 + 5 * n for n in range(15_000)]


# --- faults of a document --------------------------------------------------------------------------------------

NOT_PAYMENTS = [
    pytest.param(b"InvoiceNumber,PaidAmount\n", "not an XML file", 1, id="a table of commas"),
    pytest.param(b'{"InvoiceNumber": "CW-1"}', "not an XML file", 1, id="json"),
    pytest.param(b"<html>\n<body/></html>", "outermost element is <html>", 1, id="a web page"),
    pytest.param(f"<!-- a -->\n<{RECORD}/>".encode(), f"outermost element is <{RECORD}>", 2, id="a record alone"),
    pytest.param(rooted("\n<Payment/>"), "<Payment> stands where", 2, id="another record"),
    pytest.param(rooted(f"{GOOD}\n<Payment/>\n{GOOD}"), "<Payment> stands where", 2, id="another record between"),
    pytest.param(rooted(f"{GOOD}\n<{RECORD}>\n"), "not well-formed", 3, id="an end tag missing"),
    pytest.param(rooted(f"{GOOD}\n{GOOD}".replace("</PaidAmount>", "")), "not well-formed", 1, id="tags crossed"),
    pytest.param(rooted(f"\n<{RECORD} a='1' a='2'/>"), "not well-formed", 2, id="an attribute twice"),
    pytest.param(rooted(f"\n<{RECORD} a=1/>"), "not well-formed", 2, id="an attribute without quotes"),
    pytest.param(rooted(f"\n<{RECORD}>\x01</{RECORD}>"), "not well-formed", 2, id="a control character"),
    pytest.param(
        rooted("\n<!-- \xff -->").decode().encode("latin-1"), "byte 0xFF is no character", 2, id="bytes not utf-8"
    ),
    pytest.param(rooted(f"\n<{RECORD}>a < b</{RECORD}>"), "not well-formed", 2, id="a bare less-than"),
    pytest.param(rooted(f"\n<{RECORD}>\nA & B</{RECORD}>"), "not well-formed", 3, id="a bare ampersand"),
    pytest.param(rooted(f"\n<{RECORD}>A&B</{RECORD}>\n{GOOD}"), "not well-formed", 2, id="a bare ampersand in a word"),
    pytest.param(rooted(f"\n<{RECORD}>\n&nbsp;</{RECORD}>"), "not well-formed", 3, id="an entity of web pages"),
    pytest.param(rooted(f"\n<{RECORD} a='&nbsp;'/>"), "not well-formed", 2, id="an entity in an attribute"),
    pytest.param(rooted("\n<a:b/>"), "not well-formed|<(a:)?b> stands", 2, id="a prefix nobody declared"),
    pytest.param(rooted(f"\n<{RECORD}><a:b/></{RECORD}>"), "not well-formed", 2, id="such a prefix in a record"),
    pytest.param(rooted(f"\n<{RECORD}><a:b:c/></{RECORD}>"), "not well-formed", 2, id="two colons in a name"),
    pytest.param(rooted("\n<:b/>"), "not well-formed|<:?b> stands", 2, id="a name that starts with a colon"),
    pytest.param(b"<a:b/>", "not well-formed|outermost element is <(a:)?b>", 1, id="a root with such a prefix"),
    pytest.param(rooted(GOOD) + b"\n" + rooted(GOOD), "not well-formed", 2, id="two documents in one file"),
    pytest.param(rooted(GOOD) + b"\nend", "not well-formed", 2, id="text after the end"),
    pytest.param(b"<?xml encoding='utf-8'?>" + rooted(GOOD), "not well-formed", 1, id="a declaration without version"),
    pytest.param(b"<a/><?xml version='1.0'?>", "not well-formed|<a>", 1, id="a declaration at the end"),
    pytest.param(b"<?xml version='1.0' encoding='klingon'?>" + rooted(GOOD), '"klingon" is not', 1, id="no encoding"),
    pytest.param(b"<?xml version='1.0' encoding='zlib'?>" + rooted(GOOD), '"zlib" is not', 1, id="a compression"),
    pytest.param(
        b"<?xml version='1.0' encoding='utf-7'?>" + rooted(GOOD), '"utf-7" is not', 1, id="an unsafe encoding"
    ),
    pytest.param(gzip.compress(rooted(GOOD)), "compressed", 1, id="gzip"),
    pytest.param(gzip.compress(rooted(GOOD * 10**5)) + bytes(4), "compressed", 1, id="gzip with four zeros"),
    pytest.param(b"PK\x03\x04" + bytes(3), "Excel workbook", 1, id="a workbook"),
    pytest.param(
        b'<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>\n'
        b'<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"/>',
        "outermost element is <Workbook>.* export the table as XML data",
        3,
        id="a workbook as XML",
    ),
    pytest.param(
        f"<Export>\n<{ROOT}/></Export>".encode(),
        f"<{ROOT}> stands inside of it \\(line 2\\)",
        1,
        id="a root further in",
    ),
    pytest.param(
        rooted(f"{GOOD}\n<i:include xmlns:i='http://www.w3.org/2001/XInclude' href='x'/>"), "XInclude", 2, id="xinclude"
    ),
    pytest.param(
        rooted(f"\n<{RECORD}><i:a xmlns:i='http://www.w3.org/2001/XInclud&#101;'/></{RECORD}>"),
        "XInclude",
        2,
        id="xinclude in disguise",
    ),
    pytest.param(f"<!DOCTYPE {ROOT}>".encode() + rooted(GOOD), "DOCTYPE", 1, id="a document type"),
]


@pytest.mark.parametrize(("content", "problem", "line"), NOT_PAYMENTS)
def test_file_that_is_no_payment_document_is_refused_whole_with_its_line(content, problem, line):
    """One fault of the document and none of its payments may be used; the message says what and where."""
    with pytest.raises(DocumentError) as caught:
        read(content)

    assert re.search(problem, caught.value.problem)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"line {line}: ")


@pytest.mark.parametrize(("content", "problem", "line"), NOT_PAYMENTS)
def test_file_that_is_broken_is_not_unfinished(content, problem, line):
    """A file that will not get better by waiting is not waited for."""
    assert unfinished(content) is None


def test_empty_file_is_refused_as_empty():
    """No bytes at all get a message of their own."""
    with pytest.raises(DocumentError, match="The file is empty"):
        read(b"")


# --- documents that are still being written --------------------------------------------------------------------


def encoded_documents():
    """Give valid documents in several encodings; nothing follows the closing root tag."""
    pieces = st.sampled_from(
        [
            GOOD,
            "\n",
            "<!-- <a> & -->",
            "<?pi </a> & ?>",
            f"<{RECORD}><Memo a='x &gt; y'>&amp;&#233;\u00e9</Memo><![CDATA[ </a> & ]]></{RECORD}>",
            f"<{RECORD}/>",
            f"<{RECORD} xmlns:p='urn:p'><p:Memo p:a='1'>\u00fc</p:Memo></{RECORD}>",
        ]
    )
    starts = st.sampled_from(
        [
            (f"<{ROOT}>", f"</{ROOT}>"),
            (f"<{ROOT}\n xmlns='urn:x' a='&lt;'>", f"</{ROOT}\n>"),
            (f"<x:{ROOT} xmlns:x='urn:x'>", f"</x:{ROOT}>"),
            (f"<!-- \u00e9 -->\n<{ROOT}>", f"</{ROOT}>"),
        ]
    )
    encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16le", "utf-16be", "iso-8859-1", "windows-1252"])
    return st.builds(
        lambda encoding, tags, inside: (
            f"<?xml version='1.0' encoding='{encoding.removesuffix('-sig')}'?>{tags[0]}{''.join(inside)}{tags[1]}"
        ).encode(encoding),
        encodings,
        starts,
        st.lists(pieces, max_size=5),
    )


@law
@given(encoded_documents(), st.data())
def test_document_cut_anywhere_is_unfinished_and_unreadable(content, data):
    """No beginning of a document, however near its end, is taken for a whole one."""
    assert unfinished(content) is None
    read(content)

    cut = content[: data.draw(st.integers(0, len(content) - 1), label="cut")]

    assert unfinished(cut) is not None
    with pytest.raises(DocumentError, match=r"The file is (cut off: .*Export it again|empty)"):
        read(cut)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16le", "utf-16be", "iso-8859-1", "windows-1252"]
)
def test_document_cut_at_every_byte_is_unfinished(encoding):
    """The law above, for every byte of a document with everything in it that can be cut in two."""
    content = (
        f"<?xml version='1.0' encoding='{encoding.removesuffix('-sig')}'?>\n<!-- \u00e9 & <a> -->"
        f"<x:{ROOT} xmlns:x='urn:x' a='&lt;'><?pi & </a> ?><x:{RECORD}><Memo a='x > &gt; y'>\u00fc&amp;&#233;</Memo>"
        f"<![CDATA[ & </a> ]]></x:{RECORD}><!-- & --></x:{ROOT}\n>"
    ).encode(encoding)

    assert unfinished(content) is None
    assert [length for length in range(len(content)) if unfinished(content[:length]) is None] == []


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        pytest.param(b"", "it is empty", id="no bytes"),
        pytest.param(b" \n", "no element in it yet", id="blank"),
        pytest.param(b"\xef\xbb\xbf", "no element in it yet", id="byte order mark alone"),
        pytest.param(b"<?xml version='1.0'?>\n", "no element in it yet", id="declaration alone"),
        pytest.param(f"<{ROOT}>".encode(), f"no closing </{ROOT}> yet", id="root alone"),
        pytest.param(f"<{ROOT}><{RECORD}>".encode(), f"no closing </{ROOT}> yet", id="open record"),
        pytest.param(f"<p:{ROOT} xmlns:p='urn:p'>".encode(), f"no closing </{ROOT}> yet", id="prefixed root"),
        pytest.param(rooted(GOOD)[:50] + bytes(4096), "reserved space", id="zeros after the beginning"),
        pytest.param(bytes(4096), "reserved space", id="zeros alone"),
        pytest.param(rooted(GOOD) + bytes(4), "reserved space", id="zeros after the end"),
    ],
)
def test_unfinished_document_says_what_it_misses(content, missing):
    """Someone who asks why a file waits gets an answer."""
    assert missing in unfinished(content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(f"<{ROOT}/>".encode(), id="self-closing root"),
        pytest.param(document(("CW-1", "1")), id="payments"),
        pytest.param(document(("CW-1", "1")) + b"\r\n\r\n", id="blank lines after the end"),
        pytest.param(document(("CW-1", "1")).decode().replace("utf-8", "utf-16").encode("utf-16"), id="utf-16"),
        pytest.param(rooted("<Memo/>"), id="another element"),
    ],
)
def test_whole_document_is_not_unfinished(content):
    """A document that reaches its closing root tag misses nothing."""
    assert unfinished(content) is None


_TOKENS = st.sampled_from(
    [
        *("<", ">", "/", "</", "/>", "=", "'", '"', "&", ";", ":", "!", "?", "#", "-", " ", "\n", "\0", "\x01"),
        *("a", "a:b", "xml", "xmlns", "xmlns:a='u'", "xml:lang='en'", "xsi:nil='true'", "&amp;", "&#x0;", "&a;", "]]>"),
        *("<!--", "-->", "<![CDATA[", "<?", "?>", "<!DOCTYPE a", "<!ENTITY a 'b'>", "[", "<a:b>", "<a:b:c/>", "<:a/>"),
        *("<?xml version='1.0'?>", "<?xml version='1.0' encoding='utf-16'?>", "\u00e9", "\ufeff", "\uffff"),
        *(f"<{ROOT}>", f"</{ROOT}>", f"<{RECORD}>", f"</{RECORD}>", GOOD, "<PaidAmount>", "</PaidAmount>", "1.00"),
    ]
)


@st.composite
def damaged_documents(draw):
    """Give documents with a stretch of bytes replaced by others."""
    content = draw(encoded_documents())
    start = draw(st.integers(0, len(content)))
    end = draw(st.integers(start, min(len(content), start + 20)))
    filling = draw(st.binary(max_size=8) | st.lists(_TOKENS, max_size=3).map("".join).map(str.encode))
    return content[:start] + filling + content[end:]


@settings(law, max_examples=300 * SOAK)
@given(
    st.binary(max_size=80)
    | st.lists(_TOKENS, max_size=20).map("".join).map(str.encode)
    | st.lists(_TOKENS, max_size=8).map("".join).map(lambda inside: rooted(f"{GOOD}<{RECORD}>{inside}</{RECORD}>"))
    | damaged_documents()
)
def test_whatever_the_bytes_only_a_document_error_comes_out(content):
    """No file can stop the program: it is read, or it is refused in words."""
    missing = unfinished(content)
    try:
        payments = read(content)
    except DocumentError as error:
        refusal, payments = str(error), None
    else:
        refusal = None

    if payments is None:
        assert refusal
    else:
        assert missing is None
        assert [record.position for record in payments] == list(range(len(payments)))
        write_results(content, [None] * len(payments))


# --- documents that mean harm ----------------------------------------------------------------------------------


@pytest.mark.timeout(10)
def test_nothing_a_document_names_is_fetched_or_opened(tmp_path):
    """Entities, document types, schemas and style sheets are never followed; an opened pipe would never return."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        for target in (url, pipe.as_uri(), str(pipe)):
            for doctype in (
                f'<!DOCTYPE {ROOT} SYSTEM "{target}">',
                f'<!DOCTYPE {ROOT} PUBLIC "-//x" "{target}">',
                f'<!DOCTYPE {ROOT} [<!ENTITY e SYSTEM "{target}">]>',
                f'<!DOCTYPE {ROOT} [<!ENTITY % e SYSTEM "{target}"> %e;]>',
            ):
                hostile = doctype.encode() + rooted(GOOD.replace("CW-1", "&e;"))
                assert unfinished(hostile) is None
                with pytest.raises(DocumentError, match="DOCTYPE"):
                    read(hostile)
            harmless = rooted(
                f"{GOOD}\n<?xml-stylesheet href='{target}'?>",
                start=f"<?xml-stylesheet href='{target}'?><{ROOT} xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'"
                f" xmlns:xi='http://www.w3.org/2001/XInclude' xsi:noNamespaceSchemaLocation='{target}'>",
            )
            assert isinstance(only(harmless), Payment)
            assert unfinished(harmless) is None
            hostile = harmless.replace(b"</DatePaid>", f"</DatePaid><xi:include href='{target}'/>".encode())
            with pytest.raises(DocumentError, match="XInclude"):
                read(hostile)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "use",
    [
        pytest.param(rooted(GOOD.replace("CW-1", "&j;")), id="in a value"),
        pytest.param(rooted(GOOD, start=f"<{ROOT} a='&j;'>"), id="in an attribute"),
    ],
)
def test_entities_that_multiply_are_refused_before_they_grow(use):
    """A document of a thousand bytes does not become one of gigabytes."""
    names = "abcdefghij"
    entities = f'<!ENTITY a "{"x" * 10}">' + "".join(
        f'<!ENTITY {name} "{f"&{smaller};" * 10}">' for smaller, name in itertools.pairwise(names)
    )
    hostile = f"<!DOCTYPE {ROOT} [{entities}]>".encode() + use

    with pytest.raises(DocumentError):
        read(hostile)
    assert unfinished(hostile) is None


def peak_memory():
    """Give the most memory this process has taken, kilobytes."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


def attributes():
    """Give a million attributes; a > among their values is no end of the tag."""
    return "".join(f' a{number}=">"' for number in range(1_000_000))


HUGE = {
    "depth": lambda: rooted(f"<{RECORD}>{'<a>' * 100_000}{'</a>' * 100_000}</{RECORD}>"),
    "attributes of the root": lambda: f"<{ROOT}{attributes()}/>".encode(),
    "attributes of a record": lambda: rooted(f"{GOOD}<{RECORD}{attributes()}/>"),
    "attributes in utf-16": lambda: f"<{ROOT}{attributes()}/>".encode("utf-16"),
    "attributes with fake tags in utf-16": lambda: f"<{ROOT}{attributes().replace('>', chr(0x3C3C))}/>".encode(
        "utf-16"
    ),
    "elements of one record": lambda: rooted(f"<{RECORD}>{'<a/>' * 5_000_000}</{RECORD}>"),
    "text": lambda: rooted(f"<{RECORD}><Memo>{'x' * 30_000_000}</Memo></{RECORD}>"),
    "text outside of records": lambda: rooted("x" * 30_000_000),
    "comment": lambda: rooted(f"<!-- {'x' * 30_000_000} -->"),
    "section of text": lambda: rooted(f"<{RECORD}><![CDATA[{'x' * 30_000_000}]]></{RECORD}>"),
    "instruction": lambda: rooted(f"<?a {'x' * 30_000_000}?>"),
    "name": lambda: rooted(f"<{'x' * 30_000_000}/>"),
    "blanks before the root": lambda: b" " * 30_000_000 + rooted(GOOD),
    "comment before the root": lambda: f"<!-- {'x' * 30_000_000} -->".encode() + rooted(GOOD),
    "text that grows in quadrates": lambda: (
        f'<!DOCTYPE {ROOT} [<!ENTITY a "{"x" * 100_000}">]>'.encode() + rooted("&a;" * 100_000)
    ),
}


@pytest.mark.parametrize("kind", HUGE)
def test_document_that_would_exhaust_the_machine_is_refused_at_once_in_little_memory(kind):
    """No document costs much more than its own bytes, however its bytes are meant; the refusal is quick."""
    content = HUGE[kind]()
    # The peak so far is forgotten (proc(5), clear_refs); making the content took more than reading it may.
    Path("/proc/self/clear_refs").write_text("5")
    before, cpu = peak_memory(), time.process_time()

    with pytest.raises(DocumentError):
        read(content)
    assert unfinished(content) is None

    assert time.process_time() - cpu < 4
    assert peak_memory() - before < 100 * 1024


# --- results ---------------------------------------------------------------------------------------------------


def test_success_record_is_the_input_record_and_fail_record_has_its_error_last():
    """Each record stands in one result file as it came; only the message is added."""
    content = document(("CW-1", "1.00"), ("CW-34251", "346.34"))

    success, fail = write_results(
        content, [result(0), result(1, rejected=True, message="Cannot find Invoice Number CW-34251")]
    )

    day = "2016-09-22T12:05:54+01:00"
    assert records(success) == [{"InvoiceNumber": "CW-1", "PaidAmount": "1.00", "DatePaid": day}]
    assert [list(record.items()) for record in records(fail)] == [
        [
            ("InvoiceNumber", "CW-34251"),
            ("PaidAmount", "346.34"),
            ("DatePaid", day),
            ("ErrorMessage", "Cannot find Invoice Number CW-34251"),
        ]
    ]


def test_fail_file_looks_as_the_task_documents_it():
    """The documented sample comes out, up to the indentation of the whole."""
    content = document(("CW-34251", "346.34"))

    _, fail = write_results(content, [result(0, rejected=True, message="Cannot find Invoice Number CW-34251")])

    assert fail.decode().splitlines()[2:] == [
        "  <UpdateInvoicePayment>",
        "    <InvoiceNumber>CW-34251</InvoiceNumber>",
        "    <PaidAmount>346.34</PaidAmount>",
        "    <DatePaid>2016-09-22T12:05:54+01:00</DatePaid>",
        "    <ErrorMessage>Cannot find Invoice Number CW-34251</ErrorMessage>",
        "  </UpdateInvoicePayment>",
        f"</{ROOT}>",
    ]
    root = etree.fromstring(fail)
    assert root.tag == ROOT
    assert root.nsmap == {
        "xsi": "http://www.w3.org/2001/XMLSchema-instance",
        "xsd": "http://www.w3.org/2001/XMLSchema",
    }


def test_warning_stands_last_in_a_success_record_and_is_no_error():
    """What the payer should know of a success is a WarningMessage."""
    success, fail = write_results(document(("CW-1", "5")), [result(0, warning="1.00 discarded")])

    assert list(records(success)[0])[-1] == "WarningMessage"
    assert records(success)[0]["WarningMessage"] == "1.00 discarded"
    assert b"ErrorMessage" not in success
    assert records(fail) == []


@pytest.mark.parametrize("rejected", [False, True])
def test_messages_of_earlier_runs_vanish(rejected):
    """Neither an old error nor an old warning is carried on, wherever it stands and how often."""
    old = "<ErrorMessage>old</ErrorMessage><WarningMessage>old</WarningMessage>"
    content = rooted(GOOD.replace("<PaidAmount>", f"{old}<PaidAmount>").replace("</DatePaid>", f"</DatePaid>{old}"))

    success, fail = write_results(content, [result(0, rejected=rejected, message="new" if rejected else None)])

    assert b"old" not in success + fail
    (record,) = records(fail if rejected else success)
    assert list(record) == ["InvoiceNumber", "PaidAmount", "DatePaid"] + ["ErrorMessage"] * rejected


def test_a_fail_file_dropped_in_again_and_again_grows_no_messages():
    """The fail file of a fail file is that fail file."""
    content = document(("CW-1", "5"), ("CW-2", "6"))
    results = [result(0, rejected=True, message="No"), result(1, rejected=True, message="No")]

    _, first = write_results(content, results)
    _, second = write_results(first, results)

    assert second == first


def test_other_children_and_attributes_are_kept_as_they_came():
    """What an export adds for its own use comes back in the results."""
    content = rooted(
        "<UpdateInvoicePayment batch='7' q:row='1'><Memo q:kind='x'>a <b>&lt;c&gt;</b> d</Memo>"
        "<InvoiceNumber source='till'>CW-1</InvoiceNumber><!-- by hand --><?till 3?>"
        "<PaidAmount>1.00</PaidAmount><DatePaid>2016-09-22</DatePaid><q:Till>&amp;\u00e9</q:Till>"
        "</UpdateInvoicePayment>",
        start=f"<{ROOT} xmlns:q='urn:q' q:export='2' made='today'>",
    )

    for parsed, ending in (
        (etree.fromstring(write_results(content, [result(0)])[0]), []),
        (etree.fromstring(write_results(content, [result(0, rejected=True)])[1]), ["ErrorMessage"]),
    ):
        assert dict(parsed.attrib) == {"{urn:q}export": "2", "made": "today"}
        (record,) = parsed
        assert dict(record.attrib) == {"batch": "7", "{urn:q}row": "1"}
        children = list(record)
        assert [child.tag for child in children if isinstance(child.tag, str)] == [
            *("Memo", "InvoiceNumber", "PaidAmount", "DatePaid", "{urn:q}Till"),
            *ending,
        ]
        assert "".join(children[0].itertext()) == "a <c> d"
        assert dict(children[0].attrib) == {"{urn:q}kind": "x"}
        assert children[1].get("source") == "till"
        assert record.find("{urn:q}Till").text == "&\u00e9"
        assert [child.text for child in children if not isinstance(child.tag, str)] == [" by hand ", "3"]


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(f"<{ROOT} xml:lang='en'>", id="a language"),
        pytest.param(f"<{ROOT} xml:space='preserve'>", id="kept white space"),
        pytest.param(f"<{ROOT} xmlns='urn:x'>", id="a default namespace"),
        pytest.param(f"<{ROOT} xmlns:xsi='urn:mine' xsi:a='1'>", id="our own prefix for something else"),
        pytest.param(
            f"<{ROOT} xmlns:i='http://www.w3.org/2001/XMLSchema-instance' i:nil='false'>", id="another prefix for ours"
        ),
        pytest.param(f"<{ROOT} a='&lt;&amp;&quot;&#10;&#233;'>", id="an attribute with markup in it"),
    ],
)
def test_results_have_the_root_of_the_input_and_can_be_read_again(start):
    """Whatever the root carries comes back, in files that a parser accepts."""
    content = rooted(GOOD + GOOD, start=start)
    before = etree.fromstring(content)

    for file, record in zip(write_results(content, [result(0), result(1, rejected=True)]), before, strict=True):
        after = etree.fromstring(file)
        assert (after.tag, dict(after.attrib)) == (before.tag, dict(before.attrib))
        assert after.nsmap.items() >= before.nsmap.items()
        assert after[0].tag == record.tag
        assert only(file).amount == Decimal("346.34")


@pytest.mark.parametrize("prefix", ["", "p:"], ids=["default namespace", "prefix"])
def test_message_of_a_namespaced_record_is_in_its_namespace(prefix):
    """A message is found where the record's other elements are."""
    declaration = f"xmlns{':p' if prefix else ''}='urn:x'"
    content = f"<{prefix}{ROOT} {declaration}><{prefix}{RECORD}/></{prefix}{ROOT}>".encode()

    _, fail = write_results(content, [result(0, rejected=True, message="No")])

    assert etree.fromstring(fail).findtext(f"{{urn:x}}{RECORD}/{{urn:x}}ErrorMessage") == "No"


@law
@given(st.text(st.characters(), min_size=1))
@example("\0\x01\x08\x0b\x1f\x7f")
@example("\ud800 half a pair \udfff")
@example("\ufffe\uffff")
@example("<b>&amp;</b>]]><!-- -->\r\n\t")
def test_any_message_is_written_so_that_it_can_be_read(message):
    """ConnectWise's words may hold anything; what XML cannot carry is replaced, the rest is kept."""
    _, fail = write_results(rooted(GOOD), [result(0, rejected=True, message=message)])

    carried = "".join(
        letter if letter in "\t\n\r" or (letter >= " " and not "\ud800" <= letter <= "\udfff") else "\ufffd"
        for letter in message
    )
    carried = carried.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
    assert etree.fromstring(fail).findtext(f"{RECORD}/ErrorMessage") == carried


def test_files_without_records_hold_the_root_alone():
    """The documented task always writes both files, even empty."""
    for empty in (*empty_results(), *write_results(document(), ())):
        assert read(empty) == ()
        assert etree.fromstring(empty).tag == ROOT


def test_record_without_an_outcome_stands_in_neither_file():
    """What is not decided is not reported as done or failed."""
    content = document(("CW-1", "1"), ("CW-2", "2"), ("CW-3", "3"))

    success, fail = write_results(content, [result(0), None, result(2, rejected=True)])

    assert numbers(success) == ["CW-1"]
    assert numbers(fail) == ["CW-3"]


@pytest.mark.parametrize("count", [1, 3])
def test_results_that_do_not_match_the_records_are_an_error(count):
    """A result is never written to a record it does not belong to."""
    with pytest.raises(ValueError, match="zip"):
        write_results(document(("CW-1", "1"), ("CW-2", "2")), [result(position) for position in range(count)])


def written_records():
    """Give records as an export or a hand may write them, good and bad."""
    number = st.sampled_from(["CW-1", " cw-1 ", "A b/#1", "CW*", ""])
    amount = st.sampled_from(["1.00", "0", " 7.5 ", "1,5", "-1", ""])
    day = st.sampled_from(["2016-09-22", "2016-09-22T23:30:00+01:00", "soon", ""])
    extra = st.sampled_from(["", "<Memo>x &amp; y</Memo>", "<ErrorMessage>old</ErrorMessage>", "<!-- c -->", "\n  "])
    return st.builds(
        lambda number, amount, day, first, last: (
            f"{first}<InvoiceNumber>{number}</InvoiceNumber><PaidAmount>{amount}</PaidAmount>"
            f"<DatePaid>{day}</DatePaid>{last}"
        ),
        number,
        amount,
        day,
        extra,
        extra,
    )


@law
@given(st.lists(st.tuples(written_records(), st.sampled_from(["applied", "unchanged", "rejected"])), max_size=12))
def test_every_record_stands_in_exactly_one_result_file_in_order_and_reads_the_same(drawn):
    """Reading what was written gives what was read: nothing is lost, doubled, moved or changed."""
    content = rooted(
        "".join(f"<{RECORD}><Row>{row}</Row>{inside}</{RECORD}>\n" for row, (inside, _) in enumerate(drawn))
    )
    outcomes = [Outcome(outcome) for _, outcome in drawn]
    results = [
        Result(row, 1, "", outcome, Decimal(1), message="No" if outcome is Outcome.REJECTED else None, warning=None)
        for row, outcome in enumerate(outcomes)
    ]

    def told(content):
        rows = [int(record["Row"]) for record in records(content)]
        facts = [
            (record.invoice_number, record.amount, record.date_paid if isinstance(record, Payment) else None)
            for record in read(content)
        ]
        return dict(zip(rows, facts, strict=True))

    success, fail = write_results(content, results)

    assert list(told(success)) == [row for row, outcome in enumerate(outcomes) if outcome is not Outcome.REJECTED]
    assert list(told(fail)) == [row for row, outcome in enumerate(outcomes) if outcome is Outcome.REJECTED]
    assert told(success) | told(fail) == told(content)
    assert all(record.get("ErrorMessage") == "No" for record in records(fail))
    assert all("ErrorMessage" not in record for record in records(success))
