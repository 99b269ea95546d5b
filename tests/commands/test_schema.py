"""``schema``: the XSD that it prints."""

from __future__ import annotations

from lxml import etree
from support.documents import document, records
from support.program import command
from support.results import FAIL, SUCCESS


def test_schema_describes_input_and_results(settings, sandbox, tmp_path):
    """The printed XSD accepts an input and both result files, and refuses what is no payment document."""
    shown = command("schema")
    assert shown.code == 0
    schema = etree.XMLSchema(etree.fromstring(shown.out.encode()))
    given = document(("CW-1", "120.00"), ("CW-404", "10.00"), ("CW-2", "1,00"))
    assert command("apply", given.decode(), "--config", settings).code == 1
    assert [record["WarningMessage"] for record in records(tmp_path / SUCCESS)]
    assert len(records(tmp_path / FAIL)) == 2
    for content in (given, (tmp_path / SUCCESS).read_bytes(), (tmp_path / FAIL).read_bytes()):
        schema.assertValid(etree.fromstring(content))
    for wrong in (b"<Orders/>", b"<ArrayOfUpdateInvoicePayment><Order/></ArrayOfUpdateInvoicePayment>"):
        assert not schema.validate(etree.fromstring(wrong))
