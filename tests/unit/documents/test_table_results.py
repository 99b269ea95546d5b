"""Result files of tables: in the shape of the input, safe in a spreadsheet, and ready to be dropped in again."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.tables import DATA, document, rows_of, table

from watcher.documents.formats import read, result_file
from watcher.payments.outcomes import Outcome, Result

GOOD = "CW-1,346.34,2016-09-22"


def result(position, *, message=None, warning=None):
    """Return a result; one with a message is rejected."""
    outcome = Outcome.APPLIED if message is None else Outcome.REJECTED
    return Result(position, position + 2, "CW-1", outcome, Decimal(1), message=message, warning=warning)


def written(content, *results, **changes):
    """Return the success and the fail file of a table."""
    made = document(content, **changes)
    read(made)
    return tuple(b"".join(result_file(made, results, rejected=rejected)) for rejected in (False, True))


def test_each_row_goes_to_the_file_of_its_outcome_with_its_message_last():
    """Headings as they came; a row without an outcome is in neither file."""
    content = table(
        f"{GOOD},007", "CW-2,1.00,2016-09-22,x", "CW-3,1.00,2016-09-22,y", headings="Invoice,Paid,Date,Note"
    )
    success, fail = written(content, result(0, warning="1.00 discarded"), None, result(2, message="No"))
    assert success == b"Invoice,Paid,Date,Note,WarningMessage\nCW-1,346.34,2016-09-22,007,1.00 discarded\n"
    assert fail == b"Invoice,Paid,Date,Note,ErrorMessage\nCW-3,1.00,2016-09-22,y,No\n"


@pytest.mark.parametrize(
    ("name", "start", "encoding", "delimiter"),
    [
        ("title-lines-and-sep", b"sep=;\nReceipts of September\n\nInvoice;Paid;Date;ErrorMessage\n", "utf-8", ";"),
        ("windows-1252", b"Invoice,Paid,Date,Name,ErrorMessage\nCW-1,346.34,2016-09-22,M\xfcller", "cp1252", ","),
        ("utf-8-with-a-mark", b"\xef\xbb\xbfInvoice,Paid", "utf-8-sig", ","),
        ("utf-16-with-a-mark", b"\xff\xfeI\0n\0", "utf-16", ","),
        ("tabs", b"Invoice\tPaid\tDate\tErrorMessage\n", "utf-8", "\t"),
        ("carriage-returns-alone", b"Invoice,Paid,Date,ErrorMessage\rCW-1", "utf-8", ","),
        ("doubled-carriage-returns", b"Invoice,Paid,Date,ErrorMessage\r\nCW-1", "utf-8", ","),
    ],
)
def test_result_has_the_delimiter_the_encoding_and_the_line_ends_of_the_input(name, start, encoding, delimiter):
    """So that the same settings read it again; the rows above the headings stay, since a year may stand there."""
    content = (DATA / f"{name}.csv").read_bytes()
    _, fail = written(content, result(0, message="Cannot find it \u2192 \u0141"))
    assert fail.startswith(start)
    again = read(document(fail))
    assert [(one.invoice_number, one.amount) for one in again] == [("CW-1", Decimal("346.34"))]
    message = fail.decode(encoding).splitlines()[-1].rpartition(delimiter)[2].strip('"')
    assert message == ("Cannot find it \\u2192 \\u0141" if encoding == "cp1252" else "Cannot find it \u2192 \u0141")


@pytest.mark.parametrize(
    ("message", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'=1"),
        ("\r=1", "'=1"),
        ("\n @x", "'@x"),
        ("a\0b\x1b[1m\u202ec", "a\\x00b\\x1b[1m\\u202ec"),
        ('He said "no", twice\nand went', 'He said "no", twice and went'),
    ],
)
def test_message_is_no_formula(message, cell):
    """What a spreadsheet would calculate stands behind an apostrophe, on one line."""
    _, fail = written(table(GOOD), result(0, message=message))
    assert rows_of(fail)[1] == ["CW-1", "346.34", "2016-09-22", cell]


def test_cells_of_the_input_stay_as_they_came():
    """Also those that a spreadsheet would calculate: they are theirs. Quotes, line breaks and zeros are kept."""
    cells = ["=1+1", "@x", '12" pipe', "two\r\nlines", "007", " blank ", "a,b", ""]
    quoted = ",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in cells)
    content = table(f"{GOOD},{quoted}", headings="Invoice,Paid,Date,a,b,c,d,e,f,g,h")
    _, fail = written(content, result(0, message="No"))
    assert rows_of(fail)[1] == [*GOOD.split(","), *cells, "No"]


def test_messages_of_an_earlier_run_are_ignored_and_replaced():
    """A fail file that is dropped in again is read as it was meant, wherever the messages stand."""
    content = table("old,CW-1,346.34,older,2016-09-22", headings="ErrorMessage,Invoice,Paid,warningmessage,Date")
    success, fail = written(content, result(0))
    assert success == b"Invoice,Paid,Date,WarningMessage\nCW-1,346.34,2016-09-22,\n"
    assert fail == b"Invoice,Paid,Date,ErrorMessage\n"
    cleared = table(GOOD, headings="Invoice,Paid,Date,ErrorMessage")
    assert read(document(cleared))[0].amount == Decimal("346.34")


@pytest.mark.parametrize("row", ["CW-1,1,346.34,2016-09-22", "CW-1,346.34", "CW-1,1,2,3,4,5,6"])
def test_ragged_row_stays_ragged_until_somebody_corrects_it(row):
    """Its message says itself what it is, so that no cell of theirs is lost and none of ours is taken for theirs."""
    content = table(row, GOOD)
    first = read(document(content))
    results = [result(0, message=first[0].fault), result(1, message="No")]
    _, fail = written(content, *results)
    again = read(document(fail))
    assert [getattr(one, "fault", None) for one in again] == [first[0].fault, None]
    _, second = written(fail, *results)
    assert second == fail
    corrected = fail.replace(row.encode(), GOOD.encode(), 1)
    assert [one.amount for one in read(document(corrected))] == [Decimal("346.34")] * 2


def test_table_without_headings_is_read_again_as_it_was():
    """The message stands in a cell of its own that says what it is."""
    changes = {"columns": {"number": 1, "amount": 2, "date": 3}}
    content = table(GOOD, "CW-2,x,2016-09-22", headings="CW-0,1.00,2016-09-22")
    results = [result(0, message="=No"), result(1), result(2, message="Bad")]
    success, fail = written(content, *results, **changes)
    assert rows_of(fail)[0] == ["CW-0", "1.00", "2016-09-22", "ErrorMessage: =No"]
    assert rows_of(success) == [GOOD.split(",")]
    assert [one.invoice_number for one in read(document(fail, **changes))] == ["CW-0", "CW-2"]


def test_rows_that_do_not_count_are_in_neither_file_and_a_result_needs_no_sum():
    """A fail file of a table with its sum can be corrected, and read without one."""
    changes = {"form": {"totals": True}}
    content = table(GOOD, "CW-2,1.00,2016-09-22", "Total,347.34,")
    _, fail = written(content, result(0), result(1, message="No"), **changes)
    assert rows_of(fail) == [["Invoice", "Paid", "Date", "ErrorMessage"], ["CW-2", "1.00", "2016-09-22", "No"]]
    assert len(read(document(fail.replace(b"1.00", b"2.00"), **changes))) == 1
