"""The stylesheet: the accounting system's own XML becomes a payment document, and nothing else can come of it."""

from __future__ import annotations

import re
import socket
from decimal import Decimal
from pathlib import Path

import pytest
from lxml import etree
from support.stylesheets import EXPORT, SHEET

from watcher.documents import stylesheet
from watcher.documents.reading import read
from watcher.documents.stylesheet import Stylesheet
from watcher.documents.writing import write_results
from watcher.errors import ConfigurationError, DocumentError, Outage
from watcher.lifetime import Lifetime
from watcher.payments.model import Misfit

README = Path(__file__).parents[3] / "README.md"


def template(inside, more=""):
    """Return a stylesheet with one template for everything."""
    return (
        f'<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" {more}>'
        f'<xsl:template match="/">{inside}</xsl:template></xsl:stylesheet>'
    )


# --- what it makes -----------------------------------------------------------------------------------------------


def test_export_becomes_payments_whose_lines_are_those_of_the_original(sheet):
    """A fault names the line that the bookkeeper sees; where values do not tell which it is, none."""
    records = read(sheet().transform(EXPORT))

    assert [(record.invoice_number, record.amount, record.line) for record in records] == [
        ("CW-1", Decimal("346.34"), 5),
        ("CW-2", None, 8),
        ("CW-3", Decimal("346.34"), 11),
        ("CW-4", None, 0),
    ]
    assert records[1].fault.endswith("(line 8)")
    assert isinstance(records[3], Misfit)
    assert "line" not in records[3].fault


def test_example_of_the_readme_works(sheet):
    """What the README shows can be copied as it is."""
    example = README.read_text(encoding="utf-8").partition("### From your accounting system's own XML")[2]
    export, text = re.findall(r"```xml\n(.*?)```", example, re.DOTALL)[:2]

    (payment,) = read(sheet(text).transform(export.encode()))

    assert (payment.invoice_number, payment.amount) == ("CW-34251", Decimal("1346.34"))
    assert (payment.date_paid.isoformat(), payment.line) == ("2016-09-22", 4)


def test_line_stays_out_of_the_results(sheet):
    """What is written back is the payment as the stylesheet made it."""
    made = sheet().transform(EXPORT)

    success, _ = write_results(made, [None, None, None, None])
    assert etree.fromstring(success).tag == "ArrayOfUpdateInvoicePayment"
    for file in write_results(made, [None] * 4):
        assert b"line" not in file


def test_functions_of_dates_and_strings_may_be_used(sheet):
    """EXSLT's date and string modules are what exports of other countries need."""
    text = SHEET.format(
        more='xmlns:d="http://exslt.org/dates-and-times" xmlns:s="http://exslt.org/strings"',
        day="concat(d:year(Date), '-', s:align(d:month-in-year(Date), '00', 'right'), '-22')",
    )

    assert read(sheet(text).transform(EXPORT))[0].date_paid.isoformat() == "2016-09-22"


def test_what_a_stylesheet_has_made_may_be_looked_through_again(sheet):
    """EXSLT's node-set() does that, and most processors have it."""
    text = SHEET.format(more='xmlns:e="http://exslt.org/common"', day="concat(e:node-set(Date), '')")

    assert sheet(text)


@pytest.mark.parametrize(
    ("content", "problem", "line"),
    [
        (b"<ReceiptExport>\n<a></b></ReceiptExport>", "</b> stands where </a> must close", 2),
        (b"<ReceiptExport>\n<a>", "cut off: no closing </ReceiptExport>", 2),
        (b"\n<!DOCTYPE a [<!ENTITY b 'c'>]><ReceiptExport>&b;</ReceiptExport>", "DOCTYPE", 2),
        (b"\n<Other/>", "makes no document of <Other>", 2),
        (b"Receipt,Amount", "not an XML file", 1),
        (b"<html><title>Sign in</title></html>", 'a web page (HTML) with the title "Sign in"', 1),
        (b"<Fault><Text>No access</Text></Fault>", 'an error message instead of an export: "No access"', 1),
        (b"<Workbook xmlns='urn:schemas-microsoft-com:office:spreadsheet'/>", "It is an Excel workbook in XML", 1),
        (b"<ReceiptExport>" + b"<a>" * 1000, "nested more than 256 deep", 1),
    ],
)
def test_what_is_no_export_is_refused_with_the_line_of_the_original(sheet, content, problem, line):
    """The sentence is about the file that was dropped."""
    with pytest.raises(DocumentError, match=re.escape(problem)) as caught:
        sheet().transform(content)

    assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (template("<html/>"), "makes <html> of <ReceiptExport>, expected <ArrayOfUpdateInvoicePayment>"),
        (template("<ArrayOfUpdateInvoicePayment>text</ArrayOfUpdateInvoicePayment>"), 'the text "text" stands outside'),
        (template("<InvoicePayments><a/></InvoicePayments>"), "<a> stands where only <InvoicePayment> is expected"),
        (template('<xsl:message terminate="yes">No receipts today</xsl:message>'), "No receipts today"),
    ],
)
def test_result_that_is_no_payment_document_is_refused_naming_the_stylesheet(sheet, text, problem):
    """Whoever wrote the stylesheet learns what is wrong with what it makes."""
    with pytest.raises(DocumentError, match=re.escape(problem)) as caught:
        sheet(text).transform(EXPORT)

    assert "sage.xsl" in str(caught.value)


# --- what it may not do --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<a/>", "It is not XSLT 1.0"),
        ("", "empty"),
        ("<xsl:stylesheet", "prefix xsl: is used"),
        (template("<xsl:value-of select='1 +'/>"), "It is not XSLT 1.0"),
        ("<!DOCTYPE a []>" + template(""), "DOCTYPE"),
        (template("<xsl:value-of select='document(\"a\")'/>"), "It calls document()"),
        (template("<a b='{ document ( \"x\" ) }'/>"), "It calls document()"),
        (
            template("<xsl:value-of select='e:evaluate(1)'/>", 'xmlns:e="http://exslt.org/dynamic"'),
            "calls e:evaluate()",
        ),
        (template("<a b='{e:node-set(/)}'/>", 'xmlns:e="http://exslt.org/sets"'), "calls e:node-set()"),
        (template("<a/>", 'extension-element-prefixes="e" xmlns:e="http://exslt.org/common"'), "not part of XSLT"),
        (template("<xsl:value-of select='e:test(1)'/>", 'xmlns:e="http://exslt.org/regular-expressions"'), "e:test()"),
        (
            '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">\n'
            '<xsl:import href="other.xsl"/></xsl:stylesheet>',
            "line 2: It uses another stylesheet",
        ),
        (
            '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
            '<xsl:include href="other.xsl"/></xsl:stylesheet>',
            "It uses another stylesheet",
        ),
    ],
)
def test_stylesheet_that_wants_more_than_it_may_have_is_a_fault_of_the_configuration(sheet, text, problem):
    """It is found at the start, with the setting, the file and the line."""
    with pytest.raises(ConfigurationError) as caught:
        sheet(text)

    (fault,) = caught.value.faults
    assert fault.key == "inbox.transform"
    assert "sage.xsl" in fault.problem
    assert problem in fault.problem


@pytest.mark.parametrize(
    "text",
    [
        template("<a b='text() document (x) e:f(x)'><xsl:value-of select=\"concat('document(', ' e:f(1)')\"/></a>"),
        template("<xsl:value-of select='count(child::text()) + string-length(a/b) * (1 + 2)'/>"),
    ],
)
def test_words_that_only_look_like_calls_are_left_alone(sheet, text):
    """Steps along an axis and quoted texts call nothing."""
    with pytest.raises(DocumentError, match="expected <ArrayOfUpdateInvoicePayment>"):
        sheet(text).transform(EXPORT)


def test_missing_stylesheet_is_a_fault_of_the_configuration(tmp_path):
    """The daemon does not start without it."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Stylesheet(tmp_path / "none.xsl", 1, Lifetime())


def test_nothing_is_opened_by_a_document_element_written_by_the_stylesheet(sheet, tmp_path):
    """An element that libxslt knows for writing files writes none."""
    target = tmp_path / "written"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        for place in (target.as_uri(), f"http://127.0.0.1:{listener.getsockname()[1]}/x"):
            text = template(f'<InvoicePayments><xsl:document href="{place}">x</xsl:document></InvoicePayments>')
            with pytest.raises((DocumentError, ConfigurationError)):
                sheet(text).transform(EXPORT)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert not target.exists()


def test_endless_recursion_is_named(sheet):
    """Libxslt's own words are passed on, not "unknown error"."""
    text = template('<xsl:call-template name="a"/>').replace(
        "</xsl:stylesheet>",
        '<xsl:template name="a"><xsl:call-template name="a"/></xsl:template></xsl:stylesheet>',
    )
    with pytest.raises(DocumentError, match=r"does not accept this file: .*infinite template recursion"):
        sheet(text).transform(EXPORT)


def test_words_of_a_stylesheet_are_bounded(sheet):
    """What it says before it ends itself may hold the whole file."""
    text = template(f'<xsl:message terminate="yes">{"no " * 100_000}</xsl:message>')
    with pytest.raises(DocumentError, match="does not accept this file: no no") as caught:
        sheet(text).transform(EXPORT)
    assert len(str(caught.value)) < 500


# --- how it is run -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "echo Traceback >&2; echo \"ModuleNotFoundError: No module named 'lxml'\" >&2; exit 1",
            "No module named 'lxml'",
        ),
        ("exit 3", "it ended with 3"),
        ("kill -9 $$", "it ended with -9"),
    ],
    ids=["import error", "exit code", "killed"],
)
def test_process_that_does_not_start_is_no_fault_of_the_file(sheet, interpreter, script, words):
    """A broken installation refuses no file: the file waits, and the log says what the process said."""
    made = sheet()
    interpreter(script)

    with pytest.raises(Outage, match=f"does not start: .*{words}") as caught:
        made.transform(EXPORT)

    assert "Install" in caught.value.mend


def test_interpreter_that_is_gone_is_no_fault_of_the_file(sheet, monkeypatch, tmp_path):
    """A Python that was upgraded away refuses no file, either."""
    made = sheet()
    monkeypatch.setattr(stylesheet.sys, "executable", str(tmp_path / "gone"))
    with pytest.raises(Outage, match="No such file"):
        made.transform(EXPORT)


def test_process_that_dies_with_a_file_refuses_that_file(sheet, interpreter):
    """Once it has begun, it is the file or the stylesheet that ends it."""
    made = sheet()
    interpreter("printf '!'; kill -SEGV $$")
    with pytest.raises(DocumentError, match=r"sage\.xsl .*: its process ended by SIGSEGV"):
        made.transform(EXPORT)


@pytest.mark.parametrize("name", ["KILL", "TERM", "INT", "HUP"])
def test_process_that_is_ended_from_outside_is_no_fault_of_the_file(sheet, interpreter, tmp_path, name):
    """The kernel ends it for lack of memory, or a person does. The file waits, and is read at the next try."""
    made = sheet()
    again = tmp_path / "again"
    interpreter(f"printf '!'; test -e {again} && printf + && exit 0; touch {again}; kill -{name} $$")

    with pytest.raises(Outage, match=rf"was not applied to the end: its process was ended by SIG{name}") as caught:
        made.transform(EXPORT)

    assert "memory" in caught.value.mend
    assert made.transform(EXPORT) == b""


def test_file_whose_process_is_ended_each_time_is_refused_at_last(sheet, interpreter):
    """It may be this file that takes the machine's memory. It holds up the others for three tries, each time anew."""
    made = sheet()
    interpreter("printf '!'; kill -KILL $$")

    for file in (EXPORT, EXPORT.replace(b"<", b" <", 1)):
        for _ in range(2):
            with pytest.raises(Outage):
                made.transform(file)
        with pytest.raises(DocumentError, match="it was tried 3 times, and its process was ended by SIGKILL each time"):
            made.transform(file)


def test_machine_without_memory_is_no_fault_of_the_file(sheet, interpreter):
    """Only a process that met its own limit says that the file is too large."""
    made = sheet()
    interpreter("printf '!s'")
    with pytest.raises(Outage, match="the machine gave its process no more memory"):
        made.transform(EXPORT)


def test_result_that_is_too_large_is_refused(sheet):
    """What it makes is bounded as a file in the inbox is."""
    with pytest.raises(DocumentError, match=r"makes more than 100 bytes \(inbox.max_file_bytes\)"):
        sheet(largest=100).transform(EXPORT)


def test_process_is_given_no_environment(sheet, monkeypatch):
    """Keys that are set in the environment stay with the daemon."""
    given = {}
    start = stylesheet.subprocess.Popen

    def spy(*args, **options):
        given.update(options)
        return start(*args, **options)

    monkeypatch.setattr(stylesheet.subprocess, "Popen", spy)
    sheet().transform(EXPORT)

    assert given["env"] == {}
