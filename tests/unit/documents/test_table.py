"""Tables (CSV): what is read of them, and what is refused, with the row and the column."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from decimal import Decimal

import pytest
from support.tables import DATA, SECTION, document, table, terms

from watcher.documents.formats import PaymentDocuments, read, unfinished
from watcher.documents.table_terms import MOST_COLUMNS, packed
from watcher.errors import DocumentError
from watcher.payments.model import Misfit, Payment

DAY = date(2016, 9, 22)
GOOD = "CW-1,346.34,2016-09-22"


def records(content, **changes):
    """Return the records of a table, as they come out of the inbox."""
    return read(PaymentDocuments(table=terms(**changes)).of(content))


def plain(payments):
    """Return what matters of payments."""
    return [(payment.line, payment.invoice_number, payment.amount, payment.date_paid) for payment in payments]


# --- whole files -----------------------------------------------------------------------------------------------------

REFUSED = {
    "two-headings-alike": ("row 1", 'heading "Paid" (csv.amount) stands 2 times', "columns 2, 4", "byte 1"),
    "heading-missing": ("row 1", '"Paid" (csv.amount)', 'has "Invoice", "Amount", "Date"'),
    "only-headings-of-others": ("headings are missing", "csv.number", 'has "Name", "Street"'),
    "nul": ("row 3", "Byte 48 is a NUL"),
    "broken-quoting": ("row 3", "quotation marks are broken", "byte 42"),
    "quote-never-closed": ("row 3", "never closed", "byte 42"),
    "lone-carriage-return": ("row 3", "carriage return (CR)", "byte 42"),
    "byte-that-is-no-character": ("row 3", "Byte 46 is 0x81", "windows-1252", "csv.encoding"),
    "no-line-break-at-the-end": ("cut off", "no line break", "csv.open_end"),
    "excel-workbook": ("Excel workbook", "CSV UTF-8"),
    "old-excel-workbook": ("old Excel workbook", "CSV UTF-8"),
    "web-page": ("web page", "CSV UTF-8"),
    "xml-spreadsheet": ("workbook in XML", "CSV UTF-8"),
    "utf-16-without-a-mark": ("row 1", "NUL", "UTF-16"),
    "archive": ("compressed (gzip)", "Unpack"),
}


@pytest.mark.parametrize(("name", "said"), REFUSED.items(), ids=REFUSED)
def test_file_that_is_no_such_table_is_refused_with_row_and_byte(name, said):
    """Nothing of it is read, and the message says where it is wrong, and what to do."""
    with pytest.raises(DocumentError) as caught:
        records((DATA / f"{name}.csv").read_bytes(), form={"encoding": "windows-1252"})
    for words in said:
        assert words in str(caught.value)


LARGE = {
    "too many cells": (table(",".join("x" * 1 for _ in range(MOST_COLUMNS + 1))), "201 cells"),
    "a long row": (table(",".join(["x" * 100_000] * 11)), "longer than 1,048,576 characters"),
    "a long cell": (table("x" * 200_000), "longer than 131,072 characters"),
    "a quote that swallows": (table(*['"CW-1,1,2016-09-22'] + [GOOD] * 10_000), "longer than 131,072 characters"),
}


@pytest.mark.parametrize(("content", "said"), LARGE.values(), ids=LARGE)
def test_row_that_is_too_large_is_refused(content, said):
    """No row of payments is so large. The message names the row."""
    with pytest.raises(DocumentError, match=r"^row 2: ") as caught:
        records(content)
    assert said in str(caught.value)


def test_headings_alike_that_nobody_asks_for_are_no_fault():
    """MYOB has two columns named Memo. One that is asked for is found by its number."""
    content = table("a,CW-1,1.00,b,2016-09-22", headings="Memo,Invoice,Paid,memo,Date")
    assert len(records(content)) == 1
    with pytest.raises(DocumentError, match=r'"Memo" \(csv\.external_id\) stands 2 times'):
        records(content, columns={"external_id": ("Memo",)})
    (payment,) = records(content, columns={"external_id": (4,)})
    assert payment.external_id == "b"


def test_encoding_that_is_declared_as_utf_8_has_no_other():
    """A byte that is no UTF-8 is refused, and not taken for a letter of another encoding."""
    with pytest.raises(DocumentError, match=r"row 2: Byte 20 is 0xFC, which is no character of UTF-8"):
        records(table("M\u00fc,1,2016-09-22", encoding="cp1252"), form={"encoding": "utf-8"})


def test_heading_in_an_encoding_that_is_not_declared_names_the_setting():
    """Its letters are other ones then. Where the bytes themselves show the encoding, it is not the reason."""
    for encoding, is_said in (("mac-roman", True), ("utf-8", False)):
        content = table("CW-1,1,2016-09-22", headings="N\u00famero,Paid,Date", encoding=encoding)
        with pytest.raises(DocumentError) as caught:
            records(content, columns={"number": "Invoice N\u00famero"})
        assert ("csv.encoding can name another" in str(caught.value)) == is_said


# --- oddities --------------------------------------------------------------------------------------------------------

READ = {
    "title-lines-and-sep": 5,
    "windows-1252": 2,
    "utf-8-with-a-mark": 2,
    "utf-16-with-a-mark": 2,
    "tabs": 2,
    "vertical-bars": 2,
    "carriage-returns-alone": 2,
    "doubled-carriage-returns": 2,
    "empty-rows": 3,
    "delimiter-at-the-end-of-rows": 2,
    "headings-in-other-letters": 2,
}


@pytest.mark.parametrize(("name", "row"), READ.items(), ids=READ)
def test_table_is_found_by_its_headings_whatever_surrounds_it(name, row):
    """Title lines, delimiter, encoding and line ends are found out; the row is that of a text editor."""
    assert plain(records((DATA / f"{name}.csv").read_bytes())) == [(row, "CW-1", Decimal("346.34"), DAY)]


def test_row_after_a_line_break_in_a_cell_is_named_as_a_text_editor_counts():
    """A quoted line break counts, as it does in an editor."""
    assert [one.line for one in records((DATA / "line-break-in-a-cell.csv").read_bytes())] == [2, 4]


def test_columns_are_given_by_position_where_there_are_no_headings():
    """The delimiter is the one that gives so many columns, and rows before the first one are left out."""
    content = b"Export\nx;CW-1;1,50;20160922\nx;CW-2;2,50;20160923\n"
    found = records(
        content,
        columns={"number": 2, "amount": 3, "date": 4},
        notation={"decimal": ",", "date_format": "%Y%m%d"},
        form={"first_row": 2},
    )
    assert [(one.line, one.invoice_number, one.amount) for one in found] == [
        (2, "CW-1", Decimal("1.50")),
        (3, "CW-2", Decimal("2.50")),
    ]


def test_delimiter_that_positions_cannot_tell_is_asked_for():
    """Two delimiters give as many columns: nothing is guessed."""
    with pytest.raises(DocumentError, match=r"row 1: .*Set csv.delimiter"):
        records(b"a,b;c,d;e\n", columns={"number": 1, "amount": 2, "date": 3})


def test_rows_that_do_not_count_are_left_out():
    """`only` takes the rows of some values, letter case does not count, and * is any value but none."""
    content = table(f"{GOOD},Sales Invoice,a", f"{GOOD},Credit note,a", f"{GOOD},sales invoice,",
                    headings="Invoice,Paid,Date,Type,Ref")  # fmt: skip
    only = {"Type": ("Sales invoice",), "Ref": ("*",)}
    assert [one.line for one in records(content, columns={"only": only})] == [2]


def test_table_none_of_whose_rows_counts_is_refused():
    """A slip in `only` would leave out everything, in silence."""
    content = table(f"{GOOD},Invoice", f"{GOOD},Bill", headings="Invoice,Paid,Date,Type")
    with pytest.raises(DocumentError, match=r'asks for Type "Sales".*Type is "Invoice", Type is "Bill"'):
        records(content, columns={"only": {"Type": ("Sales",)}})


def test_table_without_rows_has_no_records():
    """That is a day without payments."""
    assert records(table()) == ()


@pytest.mark.parametrize(
    ("heading", "character"),
    [
        ("\ufeffPaid", "U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        ("Pa\u200bid", "U+200B ZERO WIDTH SPACE"),
        ("Paid\u2010on", "U+2010 HYPHEN"),
    ],
)
def test_heading_that_only_looks_like_the_declared_one_is_named(heading, character):
    """A second byte-order mark and a hyphen of typography are not seen."""
    declared = "Paid-on" if "on" in heading else "Paid"
    with pytest.raises(DocumentError, match=re.escape(f'only looks like "{declared}": it has {character} in it.')):
        records(table(GOOD, headings=f"Invoice,{heading},Date"), columns={"amount": declared})


def test_letters_with_accents_are_the_same_as_one_character_and_as_two():
    """Files from a Mac have two."""
    content = table(GOOD, headings=unicodedata.normalize("NFD", "Invoice,Pay\u00e9,Date"))
    assert len(records(content, columns={"amount": "pay\u00e9"})) == 1


@pytest.mark.parametrize(
    ("notation", "headings", "row", "is_cut"),
    [
        ({"decimal": ","}, "Invoice,Date,Paid,Note", "CW-1,2016-09-22,1346,34", True),
        ({"decimal": ","}, "Invoice,Date,Paid,Note", 'CW-1,2016-09-22,"1346,00",34', False),
        ({"decimal": ","}, "Invoice,Date,Paid,Note", "CW-1,2016-09-22,1346,x", False),
        ({"decimal": ","}, "Invoice;Date;Paid;Note", "CW-1;2016-09-22;1346;34", False),
        ({"thousands": ","}, "Invoice,Date,Paid,", "CW-1,2016-09-22,1,346.34", True),
        ({"thousands": ","}, "Invoice,Date,Paid,Days", "CW-1,2016-09-22,1,346", False),
        ({}, "Invoice,Date,Paid,", "CW-1,2016-09-22,1,346.34", True),
        ({}, "Invoice;Date;Paid;", "CW-1;2016-09-22;1;346.34", False),
        ({"decimal": ","}, "Invoice,Date,Paid,", "CW-1,2016-09-22,12,5", True),
        ({"decimal": ","}, "Invoice,Date,Paid,Days", "CW-1,2016-09-22,12,5", False),
    ],
)
def test_amount_that_the_delimiter_may_have_cut_in_two_is_rejected(notation, headings, row, is_cut):
    """Such a row has as many cells as the headings where another cell is missing, and the amount would be too small."""
    (found,) = records(table(row, headings=headings), notation=notation)
    assert isinstance(found, Misfit) == is_cut
    assert not is_cut or "in the next cell may be one amount that the delimiter has cut in two" in found.fault


def test_lines_of_one_invoice_are_one_payment():
    """Xero repeats the paid amount on each line of an invoice; another amount is another record."""
    content = table(GOOD, GOOD, "CW-1,5.00,2016-09-22", GOOD)
    assert [one.line for one in records(content, form={"invoice_lines": True})] == [2, 4]
    assert len(records(content)) == 4


def test_rows_with_nothing_paid_are_left_out_where_that_is_asked_for():
    """A list of all invoices holds unpaid ones, which have no date either; an amount that cannot be read is no zero."""
    content = table("CW-2,0.00,", GOOD, "CW-3,-0,", "CW-4,,2016-09-22")
    found = records(content, form={"leave_out_zero": True})
    assert [(one.line, isinstance(one, Misfit)) for one in found] == [(3, False), (5, True)]
    assert len(records(content)) == 4
    assert records(table("CW-2,0.00,"), form={"leave_out_zero": True}) == ()


def test_external_id_is_made_of_its_parts():
    """An id that lacks a part is none: it could be the same for two payments."""
    content = table(f"{GOOD},R1", f"{GOOD},", headings="Invoice,Paid,Date,Ref")
    found = records(content, columns={"external_id": ("Ref", "Invoice")})
    assert [one.external_id for one in found] == ["R1 / CW-1", ""]


def test_external_id_does_not_change_with_the_way_its_values_are_written():
    """A spreadsheet writes days and amounts in its own way, and the payment would count again."""
    columns = {"external_id": ("Date", "Invoice", "Paid")}
    notation = {"date_format": "%d/%m/%Y", "thousands": ","}
    content = table('CW-1,"1,346.34",03/10/2016', "CW-1,1346.3400,3/10/2016")
    assert {one.external_id for one in records(content, columns=columns, notation=notation)} == {
        "2016-10-03 / CW-1 / 1346.34"
    }


def test_different_parts_make_different_external_ids():
    """A part may hold what stands between parts."""
    content = table(f"{GOOD},a / b,c", f"{GOOD},a,b / c", f"{GOOD},a // b,c", headings="Invoice,Paid,Date,A,B")
    assert len({one.external_id for one in records(content, columns={"external_id": ("A", "B")})}) == 3


def test_currency_is_kept():
    """It stands on the payment, to be compared with the invoice's."""
    (payment,) = records(table(f"{GOOD},EUR", headings="Invoice,Paid,Date,Cur"), columns={"currency": "Cur"})
    assert payment.currency == "EUR"


def test_prefixes_are_put_before_numbers_and_taken_off():
    """Accounting has INV-1 or 1 where ConnectWise has CW-1; one that is right already stays."""
    content = table(
        "INV-1,1,2016-09-22", "2,1,2016-09-22", "CW-3,1,2016-09-22", "inv-4,1,2016-09-22", "cw-5,1,2016-09-22"
    )
    found = records(content, add_prefix="CW-", remove_prefix="INV-")
    assert [one.invoice_number for one in found] == ["CW-1", "CW-2", "CW-3", "CW-4", "cw-5"]


def test_amounts_are_turned_as_declared():
    """`reverse` turns all, `negative` those of some rows; below zero only where that is a payment."""
    content = table("CW-1,-5.00,2016-09-22,S", "CW-2,5.00,2016-09-22,H", headings="Invoice,Paid,Date,Side")
    changes = {"columns": {"negative": {"Side": ("H",)}}}
    first, second = records(content, notation={"reverse": True}, **changes)
    assert (first.amount, second.amount) == (Decimal("5.00"), Decimal("5.00"))
    first, second = records(content, **changes)
    assert isinstance(first, Misfit)
    assert first.amount is second.amount is None
    found = records(content, notation={"negative_amounts": True}, **changes)
    assert [one.amount for one in found] == [Decimal("-5.00")] * 2


def test_amount_that_is_negative_twice_is_rejected():
    """Nobody can know if it is a payment or a reversal."""
    content = table("CW-1,-5.00,2016-09-22,H", headings="Invoice,Paid,Date,Side")
    (found,) = records(content, notation={"negative_amounts": True}, columns={"negative": {"Side": ("H",)}})
    assert "csv.negative makes it negative, too" in found.fault


def test_year_of_a_date_without_one_is_that_of_the_period():
    """DATEV writes DDMM, and the period of the file in its first row; a leading zero may have been lost."""
    header = '"EXTF";700;21;20151001;20160930\n'
    rows = "Invoice;Paid;Date\nCW-1;1,00;0112\nCW-2;1,00;105\nCW-3;1,00;2902\nCW-4;1,00;3102\n"
    notation = {"decimal": ",", "date_format": "%d%m", "period_cells": (4, 5)}
    *found, wrong = records((header + rows).encode(), notation=notation)
    assert [one.date_paid for one in found] == [date(2015, 12, 1), date(2016, 5, 1), date(2016, 2, 29)]
    assert isinstance(wrong, Misfit)
    for bad in ("20151001;20170930", "20151001;20161001", "20161001;20160930", "x;y"):
        with pytest.raises(DocumentError, match=r"^row 1: "):
            records(f'"EXTF";700;21;{bad}\n{rows}'.encode(), notation=notation)


# --- single rows -----------------------------------------------------------------------------------------------------

REJECTED = {
    "ragged-row": {3: "row 3: it has 4 cells where the headings have 3", 4: "row 4: it has 2 cells"},
    "decimal-comma": {2: 'row 2, column Paid: "346,34" is not an amount like 1346.34: "," is neither csv.decimal'},
    "thousands-that-are-not-declared": {2: "nor csv.thousands"},
    "currency-sign": {2: "csv.currency_sign"},
    "currency-of-a-spreadsheet": {2: "csv.currency_sign"},
    "parentheses": {2: '"(346.34)" is not accepted: parentheses stand for an amount below zero. With'},
    "minus-at-the-end": {2: "a minus sign after the digits stands for an amount below zero"},
    "negative-amount": {2: '"-346.34" counts as -346.34. With payments.amounts = "total"'},
    "scientific-number": {2: "scientific notation", 3: "row 3, column Invoice: "},
    "formula": {2: 'row 2, column Invoice: "="00123"" is a formula', 3: "row 3, column Paid"},
    "serial-number-of-a-day": {2: "row 2, column Date: "},
    "en-dash": {2: "U+2013 EN DASH as its 3rd character"},
    "minus-sign-of-typography": {2: "U+2212 MINUS SIGN as its 1st character"},
    "empty-date": {2: "is an empty date"},
    "no-invoice-number": {2: "row 2, column Invoice: the invoice number is missing"},
    "day-and-month-in-another-order": {2: 'row 2, column Date: "22/09/2016" is not a date like 2016-09-22'},
}


@pytest.mark.parametrize(("name", "said"), REJECTED.items(), ids=REJECTED)
def test_row_that_is_wrong_is_rejected_alone(name, said):
    """The others are read, and the message names the row and the column."""
    found = {one.line: one for one in records((DATA / f"{name}.csv").read_bytes())}
    for line, record in found.items():
        if line in said:
            assert isinstance(record, Misfit), record
            assert said[line] in record.fault
        else:
            assert isinstance(record, Payment), record
    assert set(said) <= set(found)


def test_amount_that_cannot_be_read_is_none_and_not_zero():
    """Nobody adds it up as 0.00."""
    (misfit,) = records(table("CW-1,(1.00),2016-09-22"))
    assert misfit.amount is None


@pytest.mark.parametrize("row", ["Summe,346.34,", "Total,346.34,Total", ",346.34,Saldo", ",346.34,"])
def test_row_that_may_be_the_sum_of_the_file_names_the_setting_for_it(row):
    """It names no invoice and no day; a payment whose day is missing does, and the setting may be there already."""
    *_, wrong = records(table(GOOD, row))
    assert "set csv.totals = true" in wrong.fault
    *_, payment = records(table(GOOD, "CW-2,5.00,"))
    assert "csv.totals" not in payment.fault
    _, subtotal = records(table(GOOD, "Zwischensumme,346.34,", "Summe,692.68,"), form={"totals": True})
    assert "csv.totals" not in subtotal.fault


# --- whole or not ----------------------------------------------------------------------------------------------------

WAITING = {
    "nothing": b"",
    "blanks": b"\n\n",
    "the headings alone, without their line break": b"Invoice,Paid,Date",
    "half of the headings": b"Invoice,Pa",
    "half of the quoted headings": b'"Invoice";"Pa',
    "half a row": table(GOOD)[:-5],
    "no line break at the end": table(GOOD)[:-1],
    "half a quoted cell": table('"CW-1'),
    "half a character": table("M\u00fc", headings="Invoice,Paid,Date")[:-2],
    "space that is not written yet": table(GOOD) + bytes(100),
}


@pytest.mark.parametrize("content", WAITING.values(), ids=WAITING)
def test_table_that_is_still_written_waits(content):
    """And it is refused as cut off if nothing more comes."""
    assert unfinished(content, terms())
    with pytest.raises(DocumentError):
        read(packed(terms(), content))


def test_table_that_is_whole_or_broken_does_not_wait():
    """Waiting mends nothing that is broken."""
    assert unfinished(table(GOOD), terms()) is None
    for name in ("broken-quoting", "nul", "heading-missing", "excel-workbook"):
        assert unfinished((DATA / f"{name}.csv").read_bytes(), terms()) is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("end", ["\x1a", "\r\n\x1a", "\r\n\x1a\x1a\x1a", "\r\n\x1a\r\n"])
def test_end_mark_of_old_programs_ends_a_table(end, encoding):
    """Ctrl+Z says that nothing follows, also where the last line has no line break; elsewhere it is no end."""
    content = (table(GOOD, "CW-2,5.00,2016-09-22", end="\r\n").decode().strip() + end).encode(encoding)
    assert unfinished(content, terms()) is None
    assert [one.amount for one in records(content)] == [Decimal("346.34"), 5]
    wrong, _ = records(table(f"{GOOD}\x1a", "CW-2,5.00,2016-09-22"))
    assert "Ctrl+Z" in wrong.fault


def test_program_that_never_ends_its_last_line_can_be_declared():
    """csv.open_end = true takes the end of the file for the end."""
    content = table(GOOD)[:-1]
    assert unfinished(content, terms(form={"open_end": True})) is None
    assert len(records(content, form={"open_end": True})) == 1


def test_table_with_its_sum_is_whole_when_the_sum_is_right():
    """The last row holds the sum of all rows above it, also of those that do not count; then it needs no line break."""
    content = table(f"{GOOD},a", "CW-2,-1.00,2016-09-22,b", "Total,345.34,,", headings="Invoice,Paid,Date,Type")
    changes = {"form": {"totals": True}, "columns": {"only": {"Type": ("a",)}}}
    assert len(records(content, **changes)) == 1
    assert unfinished(content[:-1], terms(**changes)) is None


@pytest.mark.parametrize("total", ["6.00", "14.00"])
def test_sum_is_right_with_the_signs_of_csv_negative_or_without(total):
    """A bookkeeping program takes refunds off, and a spreadsheet adds up what stands there."""
    rows = ("CW-1,10.00,2016-09-22,C", "CW-1,4.00,2016-09-23,D")
    content = table(*rows, f"Total,{total},,", headings="Invoice,Paid,Date,Side")
    changes = {"form": {"totals": True}, "columns": {"negative": {"Side": ("D",)}}}
    assert len(records(content, notation={"negative_amounts": True}, **changes)) == 2
    with pytest.raises(DocumentError, match=r"add up to 14\.00, or 6\.00 by csv\.negative"):
        records(content.replace(f"Total,{total}".encode(), b"Total,7.00"), **changes)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((GOOD, "Total,400.00,"), "holds 400.00; they add up to 346.34"),
        ((GOOD, GOOD), "row 3: The file is cut off: its last row must hold the sum"),
        ((GOOD, GOOD, "Total,346.34,2016-09-30"), "holds 346.34; they add up to 692.68"),
        ((GOOD, "CW-2,x,2016-09-22", "Total,346.34,"), "without the amounts that cannot be read (rows 3)"),
        ((GOOD, "CW-2,1.00,2016-09-22", "Total,,"), 'holds "", which is no amount; they add up to 347.34'),
        ((), "the row with the sum (csv.totals) is missing"),
    ],
)
def test_table_whose_sum_is_wrong_is_cut_off(rows, said):
    """Both sums are named, and no payment is taken for the sum of the others."""
    assert unfinished(table(*rows), terms(form={"totals": True}))
    with pytest.raises(DocumentError) as caught:
        records(table(*rows), form={"totals": True})
    assert said in str(caught.value)


# --- what else may lie in such an inbox ------------------------------------------------------------------------------


def test_payment_document_among_tables_is_read_as_it_is():
    """XML passes, and is not taken for a table."""
    from support.documents import document as payments

    content = payments(("CW-1", "1.00"))
    documents = PaymentDocuments(table=terms())
    assert documents.of(content) is content
    assert unfinished(content[:-5], terms()) == "no closing </ArrayOfUpdateInvoicePayment> yet"


def test_no_file_brings_its_own_terms():
    """What the journal keeps of a table is no document that could be dropped."""
    for documents in (PaymentDocuments(), PaymentDocuments(table=terms())):
        with pytest.raises(DocumentError):
            read(documents.of(document(table(GOOD))))


def test_terms_are_kept_with_the_table():
    """What is read later is read under the terms of the first time, whatever they hold."""
    changes = {
        "columns": {"number": 2, "only": {3: ("a", "*"), "T": ("b",)}, "external_id": ("x", 4), "currency": "C"},
        "notation": {"decimal": ",", "thousands": "\u2019", "period_cells": (1, 2), "date_format": "%d%m"},
        "form": {"totals": True, "delimiter": "\t"},
    }
    from watcher.documents.table_terms import unpacked

    given = terms(**changes, add_prefix="\u00fc\n")
    assert unpacked(packed(given, b"a\n\0b")) == (given, b"a\n\0b")


def test_section_of_the_configuration_names_the_same_columns():
    """Support and program agree."""
    from watcher.config.table import CsvSection

    assert CsvSection(**SECTION).terms(negative_amounts=False) == terms()
