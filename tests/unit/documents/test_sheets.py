"""The formats that are stylesheets: what an accounting system exports becomes the payments in it, and no others."""

from __future__ import annotations

import re
import time
from decimal import Decimal
from pathlib import Path

import pytest
from lxml import etree

from watcher.documents import sheets, stylesheet_process
from watcher.documents.reading import read
from watcher.documents.stylesheet import Stylesheet
from watcher.documents.writing import write_results
from watcher.errors import ConfigurationError, DocumentError
from watcher.lifetime import Lifetime
from watcher.payments.model import Misfit

DATA = Path(__file__).parents[2] / "data" / "formats"
SAMPLES = sorted(DATA.glob("*/*.xml"))
# The element of one record in a sample that is made longer.
RECORDS = [
    ("xero/invoices-total", "Invoice"),
    ("xero/invoices-total", "Payment"),
    ("xero/payments-each", "Payment"),
    ("qbxml/invoices-total", "InvoiceRet"),
    ("qbxml/invoices-total", "LinkedTxn"),
    ("qbxml/payments-each", "AppliedToTxnRet"),
    ("sage50/receipts-each", "Transaction"),
    ("intacct/invoices-total", "arinvoice"),
    ("business-central/ledger-total", "CustLedgerEntry"),
    ("business-central/ledger-total", "DetailedCustLedgEntry"),
    ("camt/statement-of-version-2-each", "Ntry"),
    ("camt/statement-of-version-2-each", "Strd"),
    ("camt/statement-of-version-8-each", "TxDtls"),
    ("camt/statement-of-version-8-each", "NtryDtls"),
]


def amounts_of(sample):
    """Return what the amounts of a sample are, as its name ends: total or each."""
    return sample.stem.rpartition("-")[2]


def transformed(sample, content=None, **parameters):
    """Return the payment document that a format makes of a sample."""
    given = {"amounts": amounts_of(sample), "prefix": "CW-" if sample.parent.name == "camt" else "", **parameters}
    sheet = Stylesheet(Path(sample.parent.name), 10**8, Lifetime(), given)
    return sheet.transform(sample.read_bytes() if content is None else content)


def line_of(record):
    """Return a record as the files beside the samples have it."""
    if isinstance(record, Misfit):
        return f"rejected: {record.fault}"
    return f"{record.invoice_number} {record.amount} {record.date_paid} {record.external_id}".rstrip()


def test_each_format_has_a_sample_and_says_what_it_does():
    """Whoever reads the list knows how to export, what is left out, and what could not be checked."""
    assert {sample.parent.name for sample in SAMPLES} == set(sheets.names())
    for name in sheets.names():
        found = sheets.description(name)
        assert found.title
        assert found.kind in ("state", "event", "both")
        assert all((found.export, found.leaves_out, found.unchecked))
        assert {amounts_of(sample) for sample in SAMPLES if sample.parent.name == name} == {
            "state": {"total"},
            "event": {"each"},
            "both": {"total", "each"},
        }[found.kind]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_sample_becomes_the_payments_beside_it(sample):
    """Credits, discounts, drafts, and what is pending or reversed are no payments; no money for an invoice is lost."""
    expected = sample.with_suffix(".txt").read_text(encoding="utf-8").splitlines()

    found = [line_of(record) for record in read(transformed(sample), signed=amounts_of(sample) == "each")]

    assert len(found) == len(expected), found
    for line, wanted in zip(found, expected, strict=True):
        assert line.startswith(wanted) if wanted.startswith("rejected: ") else line == wanted


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
@pytest.mark.parametrize("namespace", ["", "urn:any:version"])
def test_namespace_does_not_matter(sample, namespace):
    """Versions differ in it, and some programs leave it out."""
    text = re.sub(rb' xmlns="[^"]*"', b"", sample.read_bytes())
    text = re.sub(rb"<([A-Za-z]\w*)", lambda tag: b"<" + tag[1] + f' xmlns="{namespace}"'.encode(), text, count=1)

    assert list(map(line_of, read(transformed(sample, text)))) == list(map(line_of, read(transformed(sample))))


@pytest.mark.parametrize(
    "sample", [each for each in SAMPLES if each.parent.name in ("xero", "qbxml")], ids=lambda path: path.stem
)
def test_document_of_the_other_kind_is_refused(sample):
    """Totals taken for single payments, or the other way round, would make wrong books."""
    other = {"each": "total", "total": "each"}[amounts_of(sample)]

    with pytest.raises(DocumentError, match=rf'payments\.amounts is "{other}"\. Export .* instead, or set amounts = '):
        transformed(sample, amounts=other)


@pytest.mark.parametrize("name", sheets.names())
def test_another_document_is_refused(name):
    """A document of another system moves no money, and the message names what was expected."""
    sheet = Stylesheet(Path(name), 10**6, Lifetime(), {"amounts": "total"})

    with pytest.raises(DocumentError, match="outermost element is <Other>, expected <"):
        sheet.transform(b"<Other/>")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "qbxml",
            b'<QBXML><QBXMLMsgsRs><InvoiceQueryRs statusCode="3120" statusSeverity="Error" statusMessage="No such">'
            b"</InvoiceQueryRs></QBXMLMsgsRs></QBXML>",
            "QuickBooks answered with an error.*No such",
        ),
        (
            "intacct",
            b"<response><control><status>failure</status></control></response>",
            "Intacct answered with an",
        ),
        (
            "intacct",
            b"<response><errormessage><error><description2>No such object.</description2></error></errormessage>"
            b"</response>",
            r"Its words: No such object\.",
        ),
        ("intacct", b"<response><data><ARPYMT/></data></response>", "Export the invoices"),
        (
            "xero",
            b"<Response><CreditNotes><CreditNote/></CreditNotes></Response>",
            "It holds <CreditNotes>, and",
        ),
        (
            "qbxml",
            b"<QBXML><QBXMLMsgsRs><BillQueryRs/></QBXMLMsgsRs></QBXML>",
            "It holds <BillQueryRs>.*Ask QuickBooks for invoices",
        ),
        ("sage50", b"<Company><Invoices><Invoice/></Invoices></Company>", "It holds <Invoices>, and no <Transactions>"),
    ],
)
def test_answer_that_is_an_error_or_holds_something_else_is_refused(name, content, words):
    """What it does not hold is not taken for nothing paid."""
    with pytest.raises(DocumentError, match=words):
        Stylesheet(Path(name), 10**6, Lifetime(), {"amounts": "total"}).transform(content)


def test_prefixes_are_put_before_numbers_and_taken_off():
    """Accounting may have 34251 where ConnectWise has CW-34251, or the other way round; quotes are texts."""
    sample = DATA / "xero" / "invoices-total.xml"

    def numbers(**parameters):
        return [record.invoice_number for record in read(transformed(sample, **parameters))][:3]

    assert numbers(add_prefix="X") == ["XCW-1", "XCW-2", "XCW-3"]
    assert numbers(remove_prefix="CW-") == ["1", "2", "3"]
    assert numbers(add_prefix="CW-") == ["CW-1", "CW-2", "CW-3"]
    assert numbers(remove_prefix="CW-", add_prefix="IN/") == ["IN/1", "IN/2", "IN/3"]
    assert numbers(prefix="CW-2") == ["CW-2", ""]
    assert numbers(prefix="cw-2") == ["CW-2", ""]
    assert numbers(add_prefix="cw-") == ["CW-1", "CW-2", "CW-3"]
    assert numbers(remove_prefix="cw-") == ["1", "2", "3"]
    assert numbers(add_prefix="'\"")[0] == "'\"CW-1"

    # The number in the file is kept, and shows the line.
    first = read(transformed(sample, remove_prefix="CW-", add_prefix="IN/"))[0]
    assert (first.number_in_file, first.line) == ("CW-1", read(transformed(sample))[0].line)
    assert read(transformed(sample, add_prefix="CW-"))[0].number_in_file == ""


def test_bank_statement_without_a_prefix_says_that_it_needs_one():
    """A credit is left out only where the prefix shows that it names no invoice."""
    records = read(transformed(DATA / "camt" / "references-of-version-4-each.xml", prefix=""))

    assert [isinstance(record, Misfit) for record in records] == [True, True, True, False, True]
    assert "Set prefix in [transform]" in records[0].fault


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Invoice CW-34251.", "CW-34251"),
        ("inv cw-34251 of 20160922, 346.34 EUR, customer 10023", "CW-34251"),
        ("EREF+CW-34251 SVWZ+CW-34251", "CW-34251"),
        ("(CW-34251)", "CW-34251"),
        ("/ROC/CW-34251///URI/CW-34251", "CW-34251"),
        ("CW-INVOICE CW-34251", "CW-34251"),
        ("CW-INVOICE", "seems to name an invoice"),
        ("CW-34251 CW-34252", "pays several invoices (CW-34251, CW-34252)"),
        ("CW-34251+34252", "pays several invoices (CW-34251, 34252)"),
        ("CW-34251-CW-34252", "pays several invoices (CW-34251, CW-34252)"),
        ("CW-34251/CW-34252/CW-34253", "pays several invoices (CW-34251, CW-34252, CW-34253)"),
        ("CW 34251", "seems to name an invoice"),
        ("invoiceCW-34251", "seems to name an invoice"),
        ("rent of May", None),
        ("CW is a fine firm", None),
    ],
)
def test_number_is_found_in_the_text_of_a_transfer(text, found):
    """What names one invoice is paid; what may name another one, too, is left to a person."""
    sample = DATA / "camt" / "same-entry-in-053-each.xml"
    content = sample.read_bytes().replace(b"<Ustrd>CW-1</Ustrd>", f"<Ustrd>{text}</Ustrd>".encode())

    records = read(transformed(sample, content))

    assert [getattr(record, "fault", record.invoice_number) for record in records] == (
        [found] if found and found.startswith("CW") else [records[0].fault] if found else []
    )
    assert not found or found in line_of(records[0])


def test_number_is_found_in_the_reference_of_the_payer():
    """Some write it there and nowhere else. What the text says counts first."""
    sample = DATA / "camt" / "same-entry-in-053-each.xml"
    refs = b"<TxDtls><Refs><EndToEndId>cw-7</EndToEndId></Refs>"
    content = sample.read_bytes().replace(b"<TxDtls>", refs)

    assert [record.invoice_number for record in read(transformed(sample, content))] == ["CW-1"]
    bare = content.replace(b"<Ustrd>CW-1</Ustrd>", b"<Ustrd>thanks</Ustrd>")
    assert [record.invoice_number for record in read(transformed(sample, bare))] == ["CW-7"]


@pytest.mark.parametrize("version", ["052", "053", "054"])
def test_entry_without_a_status_counts_in_a_statement_alone(version):
    """A statement holds what is booked. A report or a notification may also hold what is not."""
    sample = DATA / "camt" / f"same-entry-in-{version}-each.xml"
    content = re.sub(rb"<Sts>.*?</Sts>", b"", sample.read_bytes(), flags=re.DOTALL)

    (record,) = read(transformed(sample, content))

    assert isinstance(record, Misfit) == (version != "053")
    assert version == "053" or "has no status (Sts)" in record.fault


def test_transfers_of_one_statement_with_the_same_reference_are_rejected():
    """Nobody can tell them apart. The same transfer in two reports of one file is one payment."""
    sample = DATA / "camt" / "same-entry-in-053-each.xml"
    text = sample.read_bytes()
    (entry,) = re.findall(rb"<Ntry>.*?</Ntry>", text, re.DOTALL)
    other = entry.replace(b"CW-1<", b"CW-2<")

    *same, good = read(transformed(sample, text.replace(entry, entry * 2 + other)))
    assert ["the same reference" in record.fault for record in same] == [True, True]
    assert line_of(good).startswith("CW-2 100.00")

    (report,) = re.findall(rb"<Stmt>.*?</Stmt>", text, re.DOTALL)
    assert len({line_of(record) for record in read(transformed(sample, text.replace(report, report * 2)))}) == 1

    transfer = b"<TxDtls><Refs><AcctSvcrRef>R1</AcctSvcrRef><EndToEndId>E</EndToEndId></Refs><Amt Ccy='EUR'>50.00</Amt>"
    batch = b"<NtryDtls>" + 2 * (transfer + b"<RmtInf><Ustrd>CW-1</Ustrd></RmtInf></TxDtls>") + b"</NtryDtls>"
    content = re.sub(rb"<NtryDtls>.*?</NtryDtls>", batch, text)
    assert ["the same reference" in record.fault for record in read(transformed(sample, content))] == [True, True]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<PaymentType>ACCRECPAYMENT<", "<PaymentType>ACCRECPAYMENTBATCH<", 'its PaymentType is "ACCRECPAYMENTBATCH"'),
        ("<Type>ACCREC<", "<Type>ACCRECNEW<", 'its Type is "ACCRECNEW"'),
        ("<PaymentType>ACCRECPAYMENT</PaymentType>", "", None),
        ("<PaymentType>ACCRECPAYMENT</PaymentType>", "<PaymentType/>", 'its PaymentType is ""'),
        ("<PaymentType>ACCRECPAYMENT<", "<PaymentType>accpaypayment<", ""),
    ],
)
def test_payment_in_xero_of_an_unknown_kind_is_rejected(old, new, said):
    """It is not left out in silence. Payments of bills and refunds of credits are known, and left out."""
    sample = DATA / "xero" / "payments-each.xml"
    content = sample.read_bytes().replace(old.encode(), new.encode(), 1)

    found = [line_of(record) for record in read(transformed(sample, content), signed=True)]

    expected = sample.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    assert found[-3:] == expected[-3:]
    assert len(found) == len(expected) - (said == "")
    assert not said or said in found[0]
    assert (found[0] == expected[0]) == (said is None)


def test_payment_in_xero_without_its_invoice_is_rejected():
    """Money on no invoice is for a person, unless it is known to be none."""
    sample = DATA / "xero" / "payments-each.xml"
    content = re.sub(rb"<Invoice>.*?</Invoice>", b"", sample.read_bytes(), count=1)

    first, *_ = read(transformed(sample, content), signed=True)

    assert "Nothing says which invoice" in line_of(first)
    kinds = re.sub(rb"<(Payment)?Type>\w+</(Payment)?Type>", b"", sample.read_bytes())
    assert "it has no PaymentType" in line_of(read(transformed(sample, kinds), signed=True)[0])


def test_currency_goes_along():
    """It is compared with the invoice's."""
    for sample in (DATA / "xero" / "invoices-total.xml", DATA / "camt" / "statement-of-version-2-each.xml"):
        assert etree.fromstring(transformed(sample)).findtext("*/Currency") in ("GBP", "EUR")


def test_parameter_that_a_stylesheet_does_not_take_is_a_fault_of_the_configuration(tmp_path):
    """The message names those that it takes; its own stylesheets may take any."""
    own = tmp_path / "own.xsl"
    own.write_text(
        '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:param name="branch"/>'
        '<xsl:template match="/"><InvoicePayments><InvoicePayment><invoice><identifier><xsl:value-of select="$branch"/>'
        "</identifier></invoice><amount>1</amount><paymentDate>2016-09-22</paymentDate></InvoicePayment>"
        "</InvoicePayments></xsl:template></xsl:stylesheet>"
    )

    (record,) = read(Stylesheet(own, 10**6, Lifetime(), {"branch": "B-1", "amounts": "each"}).transform(b"<a/>"))
    assert record.invoice_number == "B-1"
    for path, known in ((own, "It accepts branch."), (Path("xero"), "It accepts add_prefix, prefix, remove_prefix.")):
        with pytest.raises(ConfigurationError) as caught:
            Stylesheet(path, 10**6, Lifetime(), {"brunch": "B-1"})
        (fault,) = caught.value.faults
        assert (fault.key, fault.mend) == ("transform.brunch", known)


@pytest.mark.parametrize(("stem", "record"), RECORDS)
def test_time_grows_as_the_export_grows(stem, record):
    """A sheet that looks through the whole file for each record would meet its limit with a real export."""
    sample = DATA / f"{stem}.xml"
    name, text, tag = sample.parent.name, sample.read_bytes(), record.encode()
    found = re.search(rb"<%b>.*?</%b>" % (tag, tag), text, re.DOTALL)
    assert found
    source, taken = sheets.source(Path(name)), []
    parameters = {"amounts": amounts_of(sample), "prefix": "CW-" if name == "camt" else ""}
    for times in (1000, 4000):
        many = text[: found.start()] + found[0] * times + text[found.end() :]
        start = time.process_time()
        stylesheet_process._transform(name, source, many, 10**8, parameters)
        taken.append(time.process_time() - start)

    # 4 times as long takes 4 times the time, and 16 times where each record looks at all.
    assert taken[1] < 9 * taken[0] + 0.1


# --- <Reject> -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "record",
    [
        "<ArrayOfUpdateInvoicePayment><UpdateInvoicePayment><InvoiceNumber>CW-1</InvoiceNumber><PaidAmount>1</PaidAmount>"
        "<DatePaid>2016-09-22</DatePaid>{}</UpdateInvoicePayment></ArrayOfUpdateInvoicePayment>",
        "<InvoicePayments><InvoicePayment><invoice><identifier>CW-1</identifier></invoice><amount>1</amount>"
        "<paymentDate>2016-09-22</paymentDate>{}</InvoicePayment></InvoicePayments>",
    ],
    ids=["updates", "payments"],
)
def test_record_is_rejected_with_the_reason_of_its_stylesheet(record):
    """Whoever writes a stylesheet knows why a record is no payment; the reason is bounded and cleaned."""

    def rejected(reason):
        (found,) = read(record.format(f"<Reject>{reason}</Reject>").encode())
        assert isinstance(found, Misfit)
        assert found.amount == Decimal(1)
        return found.fault

    assert rejected(" it is a\n deposit. ") == (
        "it is a deposit. To send this record corrected, remove <Reject> from it, too (line 1)"
    )
    assert (
        rejected("a deposit: remove &lt;Reject&gt; if it counts") == "a deposit: remove <Reject> if it counts (line 1)"
    )
    assert "without a reason" in rejected("")
    assert len(rejected("\u202e" * 10_000)) < 600
    assert "\u202e" not in rejected("\u202e")
    # Who drops the fail file again without a look, must not set what was rejected.
    document = record.format("<Reject>no</Reject>").encode()
    assert b"<Reject>no</Reject>" in write_results(document, [None])[1] or isinstance(read(document)[0], Misfit)
