"""What is wrong with a document is said in a bookkeeper's words: where, what, and what to write or export instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.documents import document
from support.markup import GOOD, only, rooted
from support.tables import table, terms

from watcher.documents.formats import PaymentDocuments, read
from watcher.errors import DocumentError
from watcher.payments.model import Misfit, Payment

DATA = Path(__file__).parents[2] / "data" / "xml"
TOTAL = 'With payments.amounts = "total" an amount is all that is paid on the invoice, and never below zero'
MARK = "The invisible character U+FEFF (a byte-order mark) stands where none may"
TO_CSV = 'CSV UTF-8 needs transform = "csv" in [inbox]'

REFUSED = {
    "values-as-attributes-of-the-root": (
        "line 1: InvoiceNumber stands as an attribute in the tag <ArrayOf",
        "346.34</",
    ),
    "bare-ampersand": ('line 4: A bare & stands in "Smith & Sons"', "write &amp;"),
    "ampersand-without-semicolon": ('line 4: &amp in "R&amp D" lacks the semicolon', "write &amp;."),
    "control-character": ('line 4: U+0001 (a control character) stands in this line after "CW"', "Take it out"),
    "control-character-by-number": ("line 4: &#x1; stands for U+0001 (a control character)", "Take it out"),
    "entity-of-web-pages": ("line 4: &nbsp; is a sign of web pages", "write a blank instead of it"),
    "tags-crossed": (
        "line 2: </invoicenumber> stands where </InvoiceNumber> must close the <InvoiceNumber> of line 2",
    ),
    "bytes-that-are-not-utf-8": ("line 4: The byte 0xE9 is no character of UTF-8", 'after "caf"', "windows-1252"),
    "end-mark-of-old-programs": ("line 9: U+001A (Ctrl+Z", "after the end of the document"),
    "two-byte-order-marks": (f"line 1: {MARK}", "Export the file again"),
    "byte-order-mark-further-on": (f"line 2: {MARK}",),
    "sign-in-page": ("line 1: ", 'a web page (HTML) with the title "Sign in to your account", probably a sign-in page'),
    "web-page-that-is-no-xml": ("a web page (HTML)", "Export the payments as XML"),
    "sheet-as-web-page": ("a sheet saved as a web page (HTML)", TO_CSV),
    "xml-spreadsheet": ("an Excel workbook in XML (XML Spreadsheet 2003)", TO_CSV),
    "excel-workbook": ("not an XML file of payments but an Excel workbook", TO_CSV),
    "pdf": ("not an XML file of payments but a PDF. Export the payments as XML",),
    "rtf": ("a text of a word processor (RTF)",),
    "json": ("not an XML file of payments but JSON",),
    "http-answer": ("the answer of a web server",),
    "escaped": ("&lt; stands where < belongs",),
    "table": ('it starts with "InvoiceNumber,Amount,Date" and not with <', 'transform = "csv"'),
    "error-message": ('looks like an error message instead of an export: "x"',),
    "prefix-not-declared": (
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" in the outermost element is missing',
    ),
    "two-documents": ("line 9: ", "two documents were put into one file: drop each as a file of its own"),
    "comment-never-closed": ("a comment (<!--)", "opened and never closed"),
    "blank": ("The file is empty",),
    "cut-off": ("The file is cut off: no closing </ArrayOfUpdateInvoicePayment>. Export it again",),
}


def file(name):
    """Return a file that is named after its fault."""
    return (DATA / f"{name}.xml").read_bytes()


@pytest.mark.parametrize(("name", "said"), REFUSED.items(), ids=REFUSED)
def test_refused_document_says_what_is_wrong_and_what_to_do(name, said):
    """No word is the parser's, and no advice is about another kind of file."""
    with pytest.raises(DocumentError) as caught:
        read(PaymentDocuments().of(file(name)))
    for words in said:
        assert words in str(caught.value)
    assert "not well-formed" not in str(caught.value)
    assert "DOCTYPE" not in str(caught.value)


REJECTED = {
    "en-dash": ('"CW\u201334251" is not a possible', "U+2013 EN DASH as its 3rd character (write - instead) (line 3)"),
    "no-break-space": ('"CW[U+00A0]34251"', "U+00A0 NO-BREAK SPACE as its 3rd character"),
    "zero-width-space": ('"CW-34251[U+200B]"', "U+200B ZERO WIDTH SPACE as its 9th character (take it out)"),
    "cyrillic-letter": ("U+0421 CYRILLIC CAPITAL LETTER ES as its 1st character (letters are those from A to Z)",),
    "full-width-digits": ("U+FF13 FULLWIDTH DIGIT THREE as its 1st character (write 3 instead)",),
    "utf-8-taken-for-windows-1252": ('most likely it is "CW\u20131" in UTF-8',),
    "values-as-attributes": (
        "InvoiceNumber, PaidAmount, DatePaid stand as attributes in the tag <UpdateInvoicePayment \u2026>; write each",
        "like <InvoiceNumber>CW-1</InvoiceNumber> (line 2)",
    ),
    "values-as-attributes-of-fields": ("attribute value does not count: write <PaidAmount>1</PaidAmount>",),
    "values-as-attributes-of-an-invoice": ("amount, paymentDate stand as attributes", "like <identifier>CW-1<"),
    "names-in-other-letters": ("PaidAmount is missing; <paidAmount> stands there", "write <PaidAmount>"),
    "minus-sign-of-typography": ("U+2212 MINUS SIGN as its 1st character stands for an amount below zero", TOTAL),
    "parentheses": ("parentheses stand for an amount below zero", TOTAL),
    "minus-at-the-end": ("a minus sign after the digits stands for an amount below zero", TOTAL),
    "negative-amount": ("it is below zero", TOTAL),
    "credit": ("CR does not say if it is a payment or a reversal", "for a reversal, give what is left paid"),
}


@pytest.mark.parametrize(("name", "said"), REJECTED.items(), ids=REJECTED)
def test_rejected_record_says_what_is_wrong_and_what_to_write(name, said):
    """A character that looks like another is named. Nothing is shown as a programmer would write it."""
    record = only(file(name))
    assert isinstance(record, Misfit)
    for words in said:
        assert words in record.fault
    assert "\\x" not in record.fault


def test_number_and_amount_that_stand_as_attributes_are_known_to_results():
    """The sums of a file tell what failed, and its history which invoice."""
    record = only(file("values-as-attributes"))
    assert (record.invoice_number, str(record.amount)) == ("CW-1", "10.00")


ADDED_UP = {
    "parentheses": "write a minus sign (-) directly before the digits, like -346.34",
    "minus-at-the-end": "write a minus sign (-) directly before the digits, like -346.34",
    "minus-sign-of-typography": "write a minus sign (-) directly before the digits, like -346.34",
    "credit": "write a payment like 346.34, and a reversal like -346.34",
}


@pytest.mark.parametrize(("name", "said"), ADDED_UP.items(), ids=ADDED_UP)
def test_reversal_where_payments_are_added_up_is_told_how_to_be_written(name, said):
    """Amounts below zero are accepted there, with a minus sign alone."""
    (record,) = read(file(name), signed=True)
    assert said in record.fault
    assert TOTAL not in record.fault
    (accepted,) = read(file("negative-amount"), signed=True)
    assert isinstance(accepted, Payment)


AMOUNTS = {
    "346,34": 'it has ",": write a point before the decimals',
    "1\u00a0346.34": "U+00A0 NO-BREAK SPACE as its 2nd character: write a point",
    "346.34 EUR": 'it has "EUR": write the digits alone; a currency belongs into an element <Currency>',
    "$-346.34": "it is below zero",
    "#####": "is what a spreadsheet shows instead of a value",
    "3.46E2": "scientific notation",
    "-0.00": "zero has no sign: write 0.00",
    "1234567890123456": "more than 15 digits are not accepted",
    "346.345": "at most two decimals",
    "[5.00]": "brackets stand for an amount below zero",
    "CR 5.00": "CR does not say if it is a payment or a reversal",
    "5-00": 'it has "-" where no minus sign may stand',
    "1O0.00": 'it has "O": write the digits alone',
}


NUMBERS = {
    "CW&#150;1": "U+0096 (a control character; EN DASH in windows-1252) as its 3rd character (write - instead)",
    "CW\t1": "U+0009 (a tab) as its 3rd character (take it out)",
    "CW\uff0d1": "U+FF0D FULLWIDTH HYPHEN-MINUS as its 3rd character (write - instead)",
    "CW*1": "it has * as its 3rd character",
    "CW-34251-and-more": "it has 17 characters",
}


@pytest.mark.parametrize(("written", "said"), NUMBERS.items(), ids=ascii)
def test_impossible_number_is_told_which_character_is_wrong(written, said):
    """What cannot be seen is named, and what to write instead."""
    assert said in only(document((written, "1.00"))).fault


MARKUP = {
    "an entity for a dash": (
        b"CW&ndash;1",
        "&ndash; is a sign of web pages, and XML does not know it: write - instead.",
    ),
    "a tag of web pages": (b"CW-1<br>", "</InvoiceNumber> stands where </br> must close the <br>"),
    "a name of its own": (b"AT&T;", "&T; is not known in XML: if & is meant, write &amp;T;"),
}


@pytest.mark.parametrize(("written", "said"), MARKUP.values(), ids=MARKUP)
def test_broken_markup_in_a_value_is_told_what_to_write(written, said):
    """What people type into a name or a note is no fault of theirs that the words have to show."""
    with pytest.raises(DocumentError) as caught:
        read(document(("NUMBER", "1.00")).replace(b"NUMBER", written))
    assert said in str(caught.value)


def test_declaration_that_does_not_end_is_shown():
    """It is broken, and not cut off."""
    with pytest.raises(DocumentError, match=r"\?> at its end"):
        read(b'<?xml version="1.0">' + document(("CW-1", "1.00")).split(b"?>")[-1])


def test_element_around_payments_is_to_be_taken_out():
    """The payments inside it are right."""
    content = rooted(f"<Batch>{GOOD}</Batch>")
    with pytest.raises(DocumentError, match="Take out <Batch> and </Batch>"):
        read(content)


@pytest.mark.parametrize(("written", "said"), AMOUNTS.items())
def test_unreadable_amount_is_told_which_sign_is_wrong(written, said):
    """Nobody has to compare it with a rule letter by letter."""
    assert said in only(document(("CW-1", written))).fault


DATES = {
    "22/09/2016": "write the year, then the month, then the day, with - between them",
    "2016-22-09": "there is no such day; is the month before the day?",
    "2216-09-22": "its year is not one of these",
    "2016-09-22 12:05": "write T instead of the blank before the time",
    "42635": "the serial number by which a spreadsheet keeps a day",
    "0000-00-00": "is an empty date",
    "22 Sep 2016": 'it has "Sep", which is not accepted there',
    "2016\u201309-22": "U+2013 EN DASH as its 5th character",
}


@pytest.mark.parametrize(("written", "said"), DATES.items())
def test_unreadable_date_is_told_how_to_be_written(written, said):
    """The order of a day and a month is never guessed."""
    assert said in only(document(("CW-1", "1.00", written))).fault


def test_row_with_several_faults_names_its_row_once():
    """Each fault names its column."""
    (record,) = read(PaymentDocuments(table=terms()).of(table("CW\u20131,x,y")))
    assert record.fault.count("row 2") == 1
    assert all(f"column {name}: " in record.fault for name in ("Invoice", "Paid", "Date"))


def test_row_with_too_few_cells_is_not_told_about_quotation_marks():
    """Only a row with too many cells may hold a delimiter within a cell."""
    few, many = read(PaymentDocuments(table=terms()).of(table("CW-1,1.00", "CW-1,1,00,2016-09-22")))
    assert few.fault == "row 2: it has 2 cells where the headings have 3; write an empty cell where there is no value"
    assert "quotation marks" in many.fault


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xef\xbb\xbf\xef\xbb\xbfInvoice,Paid,Date\n", MARK),
        (b'{"Invoice": 1}\n', "JSON. Export the payments as CSV"),
        (b"{\\rtf1}\n", "word processor"),
        (b"<html><title>Sign in</title></html>", 'a web page (HTML) with the title "Sign in", probably a sign-in page'),
    ],
)
def test_file_of_another_kind_among_tables_is_named(content, said):
    """It is told what it is, instead of which headings are missing."""
    with pytest.raises(DocumentError) as caught:
        read(PaymentDocuments(table=terms()).of(content))
    assert said in str(caught.value)


def test_payment_that_speaks_of_a_web_page_is_none():
    """Only the first element of a file says what it is."""
    content = document(("CW-1", "1.00")).replace(
        b"<DatePaid>", b"<Memo>&lt;html></Memo><Memo><table/></Memo><DatePaid>"
    )
    (record,) = read(PaymentDocuments(table=terms()).of(content))
    assert isinstance(record, Payment)
