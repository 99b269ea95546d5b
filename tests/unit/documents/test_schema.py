"""The published schema accepts what the program reads, and what it writes."""

from __future__ import annotations

import importlib.resources
import os
import subprocess
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from support.documents import document, invoice_payments
from support.needs import needs
from typer.testing import CliRunner

from watcher.cli.commands import app
from watcher.documents.reading import read
from watcher.documents.writing import empty_results, write_results
from watcher.errors import DocumentError
from watcher.payments.outcomes import Outcome, Result

ROOT = "ArrayOfUpdateInvoicePayment"
RECORD = "UpdateInvoicePayment"
XSD = importlib.resources.files("watcher.documents").joinpath("payments.xsd").read_bytes()
SCHEMA = etree.XMLSchema(etree.fromstring(XSD))
GOOD = (
    f"<{RECORD}><InvoiceNumber>CW-1</InvoiceNumber><PaidAmount>346.34</PaidAmount>"
    f"<DatePaid>2016-09-22</DatePaid></{RECORD}>"
)
XSI = "http://www.w3.org/2001/XMLSchema-instance"


def rooted(inside, attributes=""):
    """Put markup inside a payment document's root."""
    return f"<{ROOT}{attributes}>{inside}</{ROOT}>".encode()


def valid(content):
    """Return True if the schema accepts a document; the report of the assertion holds its faults."""
    if not SCHEMA.validate(etree.fromstring(content)):
        raise AssertionError(SCHEMA.error_log)
    return True


def results_of(content):
    """Return the result files of a document, every other record rejected, each with a message or a warning."""
    results = [
        Result(
            record.position,
            record.line,
            record.invoice_number,
            Outcome.REJECTED if record.position % 2 else Outcome.APPLIED,
            Decimal(1),
            message="Cannot find it" if record.position % 2 else None,
            warning=None if record.position % 2 else "1.00 discarded",
        )
        for record in read(content)
    ]
    return write_results(content, results)


INPUTS = {
    "the documented sample": document(("CW-34251", "346.34")),
    "no record": rooted(""),
    "several records": document(("CW-1", "1"), ("CW-2", "2", "2016-09-22"), ("CW-3", "3"), ("CW-4", "4")),
    "fields in another order": rooted(
        f"<{RECORD}><DatePaid>2016-09-22</DatePaid><PaidAmount>1</PaidAmount>"
        f"<InvoiceNumber>CW-1</InvoiceNumber></{RECORD}>"
    ),
    "elements and attributes of others": rooted(
        GOOD.replace("</PaidAmount>", "</PaidAmount><Memo lang='en'>a <b>c</b></Memo>").replace(
            f"<{RECORD}>", f"<{RECORD} row='1'>"
        ),
        " export='7'",
    ),
    "elements of another namespace": rooted(
        GOOD.replace("</PaidAmount>", "</PaidAmount><q:Till q:n='1'/>"), " xmlns:q='urn:q' q:a='1'"
    ),
    "the namespaces of the documented result": rooted(
        GOOD, f" xmlns:xsi='{XSI}' xmlns:xsd='http://www.w3.org/2001/XMLSchema'"
    ),
    "a fail file dropped in again": rooted(
        GOOD.replace("</DatePaid>", "</DatePaid><ErrorMessage>Cannot find it</ErrorMessage>")
    ),
    "a success file dropped in again": rooted(
        GOOD.replace("</DatePaid>", "</DatePaid><WarningMessage>1.00 discarded</WarningMessage>")
    ),
    "wrong values": document(("CW*1", "1,5", "soon"), ("", "", "")),
    "missing fields": rooted(f"<{RECORD}/><{RECORD}><PaidAmount>1</PaidAmount></{RECORD}>"),
    "a field twice": rooted(GOOD.replace("</PaidAmount>", "</PaidAmount><PaidAmount>2</PaidAmount>") * 2),
    "markup inside a field": rooted(GOOD.replace("346.34", "<b at='x'>346.34</b>") * 2),
    "attributes on a field": rooted(GOOD.replace("<PaidAmount>", "<PaidAmount currency='GBP'>") * 2),
    "a date that is nil": rooted(
        GOOD.replace("<DatePaid>2016-09-22</DatePaid>", "<DatePaid xsi:nil='true'/>") * 2, f" xmlns:xsi='{XSI}'"
    ),
    "text in a record": rooted(GOOD.replace(f"</{RECORD}>", f"and so on</{RECORD}>") * 2),
    "the other document": invoice_payments(
        {"id": "7", "externalId": "R-1", "amount": "1.00", "paymentDate": "2016-09-22", "invoice/identifier": "CW-1"},
        {"amount": "1,5", "paymentDate": "soon", "invoice/id": "x", "memo": "m"},
    ),
    "the other document without a record": invoice_payments(),
    "the other document without values": invoice_payments({"amount": "", "amount2": ""}, {}),
    "comments and instructions": rooted(f"<!-- a -->{GOOD}<?pi b?>".replace("346", "<!-- c -->346")),
}


@pytest.mark.parametrize("name", INPUTS)
def test_what_is_read_stands_in_the_schema_and_so_do_its_results(name):
    """Good and wrong records alike: a program that validates before and after meets no surprise."""
    content = INPUTS[name]

    assert valid(content)
    for file in results_of(content):
        assert valid(file)


def test_files_without_records_stand_in_the_schema():
    """The result files of an unusable document are documents themselves."""
    for file in empty_results():
        assert valid(file)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"<html/>", id="another root"),
        pytest.param(
            b"<InvoicePayments><UpdateInvoicePayment/></InvoicePayments>", id="a record of the other document"
        ),
        pytest.param(rooted("<Payment/>"), id="another element among the records"),
        pytest.param(rooted(GOOD + "<PaidAmount>1</PaidAmount>"), id="a field outside a record"),
        pytest.param(rooted(f"stray{GOOD}"), id="text before a record"),
        pytest.param(rooted(f"{GOOD}stray"), id="text after a record"),
    ],
)
def test_what_the_schema_refuses_is_refused(content):
    """The schema and the program agree on what is no payment document."""
    assert not SCHEMA.validate(etree.fromstring(content))
    with pytest.raises(DocumentError):
        read(content)


_CHILDREN = st.sampled_from(
    [
        *("<InvoiceNumber>CW-1</InvoiceNumber>", "<InvoiceNumber/>", "<PaidAmount>1.00</PaidAmount>"),
        *("<PaidAmount>1,5</PaidAmount>", "<PaidAmount at='x'><b/></PaidAmount>", "<DatePaid>2016-09-22</DatePaid>"),
        *("<Memo>m</Memo>", "<q:Memo xmlns:q='urn:q' q:a='1'><q:b/></q:Memo>", "<!-- c -->", "text"),
        *("<ErrorMessage>old</ErrorMessage>", "<WarningMessage>old</WarningMessage>", "\n"),
    ]
)


@settings(deadline=None, max_examples=100 * int(os.environ.get("SOAK", "1")))
@given(st.lists(st.lists(_CHILDREN, max_size=6), max_size=5))
def test_whatever_is_read_and_written_stands_in_the_schema(drawn):
    """The schema is no narrower than the program."""
    content = rooted("".join(f"<{RECORD}>{''.join(children)}</{RECORD}>\n" for children in drawn))

    assert valid(content)
    for file in results_of(content):
        assert valid(file)


def test_another_validator_agrees(tmp_path):
    """A stock xmllint takes the schema and every result file, and refuses another document."""
    xmllint = needs("xmllint")
    (tmp_path / "payments.xsd").write_bytes(XSD)
    results = []
    for place, content in enumerate(INPUTS.values()):
        for kind, file in zip(("success", "fail"), results_of(content), strict=True):
            results.append(tmp_path / f"{place}_{kind}.xml")
            results[-1].write_bytes(file)
    (tmp_path / "other.xml").write_bytes(rooted("<Payment/>"))

    def check(*files):
        command = [xmllint, "--noout", "--nonet", "--schema", "payments.xsd", *(file.name for file in files)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    accepted = check(*results)
    assert accepted.returncode == 0, accepted.stderr
    assert accepted.stderr.count(" validates") == len(results)
    refused = check(tmp_path / "other.xml")
    assert refused.returncode == 3
    assert "other.xml fails to validate" in refused.stderr


def test_schema_says_what_each_element_accepts():
    """Whoever writes an export finds the rules beside the elements."""
    names = {"xs": "http://www.w3.org/2001/XMLSchema"}
    documented = {
        element.get("name"): " ".join(element.xpath("string(xs:annotation/xs:documentation)", namespaces=names).split())
        for element in etree.fromstring(XSD).iterfind("xs:element", names)
    }

    assert set(documented) == {
        *(
            ROOT,
            RECORD,
            "InvoiceNumber",
            "PaidAmount",
            "DatePaid",
            "Currency",
            "NumberInFile",
            "Reject",
            "ErrorMessage",
            "WarningMessage",
        ),
        *("InvoicePayments", "InvoicePayment", "id", "externalId", "invoice", "identifier", "amount", "paymentDate"),
    }
    assert all(documented.values())
    assert "at most two decimals" in documented["PaidAmount"]
    assert "one to fifteen" in documented["InvoiceNumber"]


def test_command_prints_the_schema():
    """The schema that is published is the one that is shipped."""
    shown = CliRunner().invoke(app, ["schema"])

    assert shown.exit_code == 0
    assert shown.stdout.encode() == XSD
