"""Which payment document a file is: the file itself, or what the stylesheet makes of it."""

from __future__ import annotations

import pytest
from support.documents import document

from watcher.documents.formats import PaymentDocuments, unfinished
from watcher.documents.reading import read
from watcher.documents.stylesheet import Stylesheet
from watcher.errors import DocumentError
from watcher.lifetime import Lifetime

SHEET = """<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:template match="/Receipt">
    <InvoicePayments>
      <InvoicePayment>
        <invoice><identifier><xsl:value-of select="@number"/></identifier></invoice>
        <amount><xsl:value-of select="@amount"/></amount>
        <paymentDate>2016-09-22</paymentDate>
      </InvoicePayment>
    </InvoicePayments>
  </xsl:template>
</xsl:stylesheet>"""


@pytest.fixture
def documents(tmp_path):
    """Payment documents, with a stylesheet for receipts."""
    path = tmp_path / "sage.xsl"
    path.write_text(SHEET, encoding="utf-8")
    return PaymentDocuments(Stylesheet(path, 1_000_000, Lifetime()))


@pytest.mark.parametrize(
    "content",
    [
        document(("CW-1", "1")),
        b"<InvoicePayments/>",
        document(("CW-1", "1")).replace(b"utf-8", b"utf-16").decode().encode("utf-16"),
    ],
    ids=["payments", "the other document", "in utf-16"],
)
def test_payment_document_passes_as_it_is(documents, content):
    """A corrected fail file is a payment document already."""
    assert documents.of(content) is content


def test_file_of_another_format_becomes_what_the_stylesheet_makes_of_it(documents):
    """The accounting system's own export is read as payments."""
    (payment,) = read(documents.of(b"<Receipt number='CW-1' amount='5.00'/>"))

    assert (payment.invoice_number, payment.amount) == ("CW-1", 5)


def test_file_that_the_stylesheet_does_not_accept_is_refused(documents):
    """The message names the stylesheet."""
    with pytest.raises(DocumentError, match=r"sage\.xsl"):
        documents.of(b"<Order/>")


@pytest.mark.parametrize("content", [document(("CW-1", "1")), b"<Receipt/>", b"no XML", b""])
def test_every_file_is_itself_without_a_stylesheet(content):
    """Whether it is a payment document, its reader finds out."""
    assert PaymentDocuments().of(content) is content


def test_export_is_unfinished_until_its_closing_root_tag():
    """A file of any format is taken only when it is whole."""
    assert unfinished(b"<Receipt><a/>") == "no closing </Receipt> yet"
    assert unfinished(b"<Receipt><a/></Receipt>") is None
