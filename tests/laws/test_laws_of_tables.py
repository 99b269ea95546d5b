"""Whatever a table (CSV) holds: it is read as declared, written back whole, and never breaks the program."""

from __future__ import annotations

import csv
import io
import os
import re
from datetime import date
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from support.tables import terms

from watcher.documents.formats import PaymentDocuments, read, result_file, unfinished
from watcher.documents.table_terms import packed
from watcher.errors import DocumentError
from watcher.payments.model import Misfit, Payment
from watcher.payments.outcomes import Outcome, Result

MANY = settings(deadline=None, max_examples=int(os.environ.get("SOAK", "1")) * 60)

amounts = st.integers(0, 10**11).map(lambda cents: Decimal(cents) / 100)
days = st.dates(date(2000, 1, 2), date(2099, 12, 31))
numbers = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/#-]{0,13}", fullmatch=True).filter(
    lambda text: not text.upper().startswith("=") and "E" not in text.upper()
)
# What other columns hold, line breaks and quotation marks included; NUL is refused in any table.
texts = st.text(st.characters(codec="cp1252", exclude_characters="\0\r"), max_size=12).filter(
    lambda text: not text.startswith(("ErrorMessage: ", "WarningMessage: "))
)
notations = st.sampled_from(
    [
        (".", "", "%d/%m/%Y"),
        (".", ",", "%m/%d/%y"),
        (",", ".", "%d.%m.%Y"),
        (",", " ", "%Y%m%d"),
        (".", "'", "%Y-%m-%d %H:%M"),
    ]
)
delimiters = st.sampled_from([",", ";", "\t", "|"])
ends = st.sampled_from(["\n", "\r\n"])


def grouped(amount, decimal, thousands):
    """Return an amount in a notation."""
    whole, _, part = f"{amount:,.2f}".partition(".")
    return f"{whole.replace(',', thousands)}{decimal}{part}"


@st.composite
def tables(draw):
    """Return a table with its terms, and what it holds: (number, amount, day, other cell)."""
    decimal, thousands, date_format = draw(notations)
    delimiter, end = draw(delimiters), draw(ends)
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    payments = draw(st.lists(st.tuples(numbers, amounts, days, texts), max_size=8))
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    for title in draw(st.lists(st.sampled_from([[], ["Report"], ["sep=;"], ["a", "b"]]), max_size=3)):
        writer.writerow(title)
    writer.writerow(["Note", "Invoice", "Paid", "Date"])
    for number, amount, day, note in payments:
        writer.writerow([note, number, grouped(amount, decimal, thousands), day.strftime(date_format)])
    notation = {"decimal": decimal, "thousands": thousands, "date_format": date_format}
    return out.getvalue().encode(encoding), terms(notation=notation), payments


def files(document, results):
    """Return the success and the fail file."""
    return [b"".join(result_file(document, results, rejected=rejected)) for rejected in (False, True)]


@MANY
@given(tables())
def test_table_is_read_back_as_it_was_meant(given_table):
    """To the cent and to the day, in any notation, delimiter, encoding and quoting; and it is whole."""
    content, declared, payments = given_table
    assert unfinished(content, declared) is None
    found = read(packed(declared, content))
    assert [(one.invoice_number, one.amount, one.date_paid) for one in found] == [row[:3] for row in payments]


@MANY
@given(tables(), st.data())
def test_every_row_is_in_one_result_file_and_reads_as_before(given_table, data):
    """Success and fail file together are the table, each in its order, with all cells as they came."""
    content, declared, payments = given_table
    found = read(packed(declared, content))
    rejected = [data.draw(st.booleans()) for _ in found]
    results = [
        Result(one.position, one.line, "", Outcome.REJECTED if bad else Outcome.APPLIED, Decimal(0), message=words)
        for one, bad in zip(found, rejected, strict=True)
        for words in [data.draw(st.text(max_size=20)) if bad else None]
    ]
    for wanted, file in zip((False, True), files(packed(declared, content), results), strict=True):
        again = read(packed(declared, file))
        expected = [row[:3] for row, bad in zip(payments, rejected, strict=True) if bad is wanted]
        assert [(one.invoice_number, one.amount, one.date_paid) for one in again] == expected


cells = st.sampled_from(
    ["CW-1", "1.00", "2016-09-22", "x", "", '"', "=1", " ", "a\nb", "1,00", "ErrorMessage", "\u2013"]
)


@MANY
@given(st.lists(st.lists(cells, max_size=5), max_size=8))
def test_fail_file_that_is_dropped_in_again_gives_the_same_misfits(rows):
    """Nobody has corrected it: the same rows are wrong for the same reasons, and the file is the same."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["Invoice", "Paid", "Date"], *rows])
    content = packed(terms(), out.getvalue().encode())
    found = read(content)
    rejected = [Result(one.position, one.line, "", Outcome.REJECTED, Decimal(0), message="No") for one in found]
    _, fail = files(content, rejected)
    again = read(packed(terms(), fail))
    assert [type(one) for one in again] == [type(one) for one in found]
    for before, after in zip(found, again, strict=True):
        if isinstance(before, Misfit):
            assert re.sub(r"row \d+", "row", before.fault) == re.sub(r"row \d+", "row", after.fault)
    assert files(packed(terms(), fail), rejected)[1] == fail


@MANY
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: f"Invoice,Paid,Date\n{text}\n".encode()))
def test_no_bytes_break_the_program(content):
    """They are read, or refused in words."""
    documents = PaymentDocuments(table=terms())
    missing = unfinished(content, terms())
    try:
        found = read(documents.of(content))
    except DocumentError:
        return
    assert missing is None
    assert all(isinstance(one, Payment | Misfit) for one in found)


@MANY
@given(tables(), st.data())
def test_table_that_is_cut_off_anywhere_is_never_read_short_within_a_row(given_table, data):
    """Cut within a row it waits; between two rows nobody can tell, and the rows so far are right."""
    content, declared, payments = given_table
    cut = content[: data.draw(st.integers(0, len(content)))]
    if not cut.decode(errors="ignore").endswith(("\n", "\n\0")):
        assert unfinished(cut, declared)
    try:
        found = read(packed(declared, cut))
    except DocumentError:
        return
    assert [(one.invoice_number, one.amount, one.date_paid) for one in found] == [row[:3] for row in payments][
        : len(found)
    ]
