"""Success and fail files: every record goes to one of them, as it came."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree
from support.documents import document, numbers, records
from support.markup import GOOD, RECORD, ROOT, law, only, result, rooted

from watcher.documents.reading import read
from watcher.documents.writing import empty_results, write_results
from watcher.payments.model import Payment
from watcher.payments.outcomes import Outcome, Result


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
    """The fail file looks as the documented sample, but for its indentation."""
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
    """The warning of a success is a WarningMessage."""
    success, fail = write_results(document(("CW-1", "5")), [result(0, warning="1.00 discarded")])

    assert list(records(success)[0])[-1] == "WarningMessage"
    assert records(success)[0]["WarningMessage"] == "1.00 discarded"
    assert b"ErrorMessage" not in success
    assert records(fail) == []


@pytest.mark.parametrize("rejected", [False, True])
def test_messages_of_earlier_runs_vanish(rejected):
    """Old errors and warnings are removed, wherever and however often they stand."""
    old = "<ErrorMessage>old</ErrorMessage><WarningMessage>old</WarningMessage>"
    content = rooted(GOOD.replace("<PaidAmount>", f"{old}<PaidAmount>").replace("</DatePaid>", f"</DatePaid>{old}"))

    success, fail = write_results(content, [result(0, rejected=rejected, message="new" if rejected else None)])

    assert b"old" not in success + fail
    (record,) = records(fail if rejected else success)
    assert list(record) == ["InvoiceNumber", "PaidAmount", "DatePaid"] + ["ErrorMessage"] * rejected


def test_fail_file_dropped_in_again_and_again_grows_no_messages():
    """A fail file that is read again gives the same fail file."""
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
    """A record without an outcome is reported neither as done nor as failed."""
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
    """Return records as an export or a hand may write them, good and bad."""
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

    def facts_of(content):
        rows = [int(record["Row"]) for record in records(content)]
        facts = [
            (record.invoice_number, record.amount, record.date_paid if isinstance(record, Payment) else None)
            for record in read(content)
        ]
        return dict(zip(rows, facts, strict=True))

    success, fail = write_results(content, results)

    assert list(facts_of(success)) == [row for row, outcome in enumerate(outcomes) if outcome is not Outcome.REJECTED]
    assert list(facts_of(fail)) == [row for row, outcome in enumerate(outcomes) if outcome is Outcome.REJECTED]
    assert facts_of(success) | facts_of(fail) == facts_of(content)
    assert all(record.get("ErrorMessage") == "No" for record in records(fail))
    assert all("ErrorMessage" not in record for record in records(success))
