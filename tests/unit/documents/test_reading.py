"""Documents are read into records; faults of a record and faults of a document."""

from __future__ import annotations

import gzip
import re
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree
from support.documents import document
from support.markup import GOOD, RECORD, ROOT, law, only, rooted

from watcher.documents import reading
from watcher.documents.reading import read
from watcher.documents.record import Names, read_record
from watcher.documents.shapes import UPDATES
from watcher.documents.unfinished import unfinished
from watcher.errors import DocumentError
from watcher.payments.model import Misfit, Payment

# --- what is read ------------------------------------------------------------------------------------------------


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


# --- faults of a record ------------------------------------------------------------------------------------------


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


def test_misfit_names_all_its_faults_at_once():
    """The payer corrects a record once, not once for each fault."""
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


# --- plain records ---------------------------------------------------------------------------------------------

# Values of fields, as exports and hands write them: a right one, and some that may be wrong.
_VALUES = {
    "InvoiceNumber": (
        "CW-1",
        st.sampled_from([" a/B #1\n", "CW*", "\u0661", "", " "]) | st.text("CW-1 */", max_size=17),
    ),
    "PaidAmount": ("346.34", st.sampled_from([" 7.5 ", "1,5", "-1", "1e3", ""]) | st.text("019. ", max_size=18)),
    "DatePaid": (
        "2016-09-22",
        st.sampled_from(["\n2016-09-22T23:30Z ", "2015-02-29", "soon", ""]) | st.dates().map(str),
    ),
}
# Other children of a record, and text between them.
_OTHERS = st.sampled_from(
    [
        *("<Memo>x</Memo>", "<ErrorMessage>old</ErrorMessage>", f"<{RECORD}/>", "<q:PaidAmount>1</q:PaidAmount>"),
        *("text", "\n  ", "<![CDATA[ ]]>", "<!-- c -->", "<?pi d?>"),
    ]
)
# Forms of a field that a plain record does not have.
_ODD = ("<{0} xsi:nil='true'>{1}</{0}>", "<{0} a='1'>{1}</{0}>", "<{0}>{1}<b/></{0}>", "<{0}>{1}</{0}>" * 2)
NAMESPACES = "xmlns:q='urn:q' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'"


@st.composite
def written_records(draw, odd=()):
    """Return the markup of a record: most fields are right, in any order, between other children."""
    forms = st.sampled_from(["<{0}>{1}</{0}>"] * 9 + ["", *odd])
    fields = [
        draw(forms).format(name, right if draw(st.integers(0, 3)) else draw(any_value))
        for name, (right, any_value) in _VALUES.items()
    ]
    inside = draw(st.permutations(fields + draw(st.lists(_OTHERS, max_size=2))))
    return f"<{RECORD}>{''.join(inside)}</{RECORD}>"


@law
@given(written_records())
@example(GOOD)
def test_plain_record_is_read_by_both_ways_of_reading_alike(record):
    """What the quick way accepts, the full way reads as the same payment."""
    parser = etree.XMLParser(remove_comments=True, remove_pis=True)
    (element,) = etree.fromstring(rooted(record, start=f"<{ROOT} {NAMESPACES}>"), parser)
    names = Names()

    quick = reading._plain(4, element, UPDATES, names)
    full = read_record(4, element, UPDATES, names)

    assert quick is None or quick == full
    if isinstance(full, Payment) and len({child.tag for child in element}) == len(element) == 3:
        assert quick == full


@law
@given(st.lists(written_records(_ODD), min_size=1, max_size=4))
@example([GOOD.replace("</PaidAmount>", "</PaidAmount><PaidAmount>1</PaidAmount>")])
def test_any_record_is_read_alike_whatever_stands_beside_it(drawn):
    """An attribute anywhere makes the program read every record in full. The records stay the same."""
    start = f"<{ROOT} {NAMESPACES}>"
    quick = read(rooted("\n".join(drawn) + f"\n<{RECORD}/>", start=start))
    full = read(rooted("\n".join(drawn) + f"\n<{RECORD} a='1'/>", start=start))

    assert quick == full


# --- faults of a document ----------------------------------------------------------------------------------------

NOT_PAYMENTS = [
    pytest.param(b"InvoiceNumber,PaidAmount\n", "not an XML file", 1, id="a table of commas"),
    pytest.param(b'{"InvoiceNumber": "CW-1"}', "not an XML file", 1, id="json"),
    pytest.param(b"<html>\n<body/></html>", "a web page \\(HTML\\), probably", 1, id="a web page"),
    pytest.param(f"<!-- a -->\n<{RECORD}/>".encode(), f"outermost element is <{RECORD}>", 2, id="a record alone"),
    pytest.param(rooted("\n<Payment/>"), "<Payment> stands where", 2, id="another record"),
    pytest.param(rooted(f"{GOOD}\n<Payment/>\n{GOOD}"), "<Payment> stands where", 2, id="another record between"),
    pytest.param(
        rooted(f"{GOOD}\n<{RECORD}>\n"), f"</{ROOT}> stands where </{RECORD}> must close", 3, id="an end tag missing"
    ),
    pytest.param(
        rooted(f"{GOOD}\n{GOOD}".replace("</PaidAmount>", "")),
        "must close the <PaidAmount> of line 1",
        1,
        id="tags crossed",
    ),
    pytest.param(rooted(f"\n<{RECORD} a='1' a='2'/>"), "attribute a stands twice", 2, id="an attribute twice"),
    pytest.param(rooted(f"\n<{RECORD} a=1/>"), "straight quotation marks", 2, id="an attribute without quotes"),
    pytest.param(
        rooted(f"\n<{RECORD}>\x01</{RECORD}>"), "U\\+0001 .a control character. stands", 2, id="a control character"
    ),
    pytest.param(
        rooted("\n<!-- \xff -->").decode().encode("latin-1"), "byte 0xFF is no character", 2, id="bytes not utf-8"
    ),
    pytest.param(rooted(f"\n<{RECORD}>a < b</{RECORD}>"), "write &lt;", 2, id="a bare less-than"),
    pytest.param(rooted(f"\n<{RECORD}>\nA & B</{RECORD}>"), "write &amp;", 3, id="a bare ampersand"),
    pytest.param(rooted(f"\n<{RECORD}>A&B</{RECORD}>\n{GOOD}"), "write &amp;", 2, id="a bare ampersand in a word"),
    pytest.param(
        rooted(f"\n<{RECORD}>\n&nbsp;</{RECORD}>"), "&nbsp; is a sign of web pages", 3, id="an entity of web pages"
    ),
    pytest.param(
        rooted(f"\n<{RECORD} a='&nbsp;'/>"), "&nbsp; is a sign of web pages", 2, id="an entity in an attribute"
    ),
    pytest.param(rooted("\n<a:b/>"), "prefix a: is used", 2, id="a prefix nobody declared"),
    pytest.param(rooted(f"\n<{RECORD}><a:b/></{RECORD}>"), "prefix a: is used", 2, id="such a prefix in a record"),
    pytest.param(rooted(f"\n<{RECORD}><a:b:c/></{RECORD}>"), "a:b:c|prefix a: is used", 2, id="two colons in a name"),
    pytest.param(rooted("\n<:b/>"), "colon|<:?b> stands", 2, id="a name that starts with a colon"),
    pytest.param(b"<a:b/>", "prefix a: is used", 1, id="a root with such a prefix"),
    pytest.param(
        rooted(GOOD) + b"\n" + rooted(GOOD), "two documents were put into one file", 2, id="two documents in one file"
    ),
    pytest.param(rooted(GOOD) + b"\nend", 'text "end" stands after the end', 2, id="text after the end"),
    pytest.param(
        b"<?xml encoding='utf-8'?>" + rooted(GOOD), "is not that of XML 1.0", 1, id="a declaration without version"
    ),
    pytest.param(b"<a/><?xml version='1.0'?>", "declaration|<a>", 1, id="a declaration at the end"),
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
        "an Excel workbook in XML .* saved as CSV UTF-8",
        1,
        id="a workbook as XML",
    ),
    pytest.param(
        f"<Export>\n<{ROOT}/></Export>".encode(),
        f"<{ROOT}> stands inside it \\(line 2\\)",
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
    """One fault of the document makes all of it unusable. The message says what is wrong and where."""
    with pytest.raises(DocumentError) as caught:
        read(content)

    assert re.search(problem, caught.value.problem)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"line {line}: ")


@pytest.mark.parametrize(("content", "problem", "line"), NOT_PAYMENTS)
def test_file_that_is_broken_is_not_unfinished(content, problem, line):
    """The program does not wait for a file that waiting will not mend."""
    assert unfinished(content) is None


def test_empty_file_is_refused_as_empty():
    """No bytes at all get a message of their own."""
    with pytest.raises(DocumentError, match="The file is empty"):
        read(b"")
