"""Stylesheets for tests: one that makes payments of an export, and what stands in place of the process that runs it."""

from __future__ import annotations

import pytest

from watcher.documents import stylesheet
from watcher.documents.stylesheet import Stylesheet
from watcher.lifetime import Lifetime

SHEET = """<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" {more}>
  <xsl:template match="/ReceiptExport">
    <ArrayOfUpdateInvoicePayment>
      <xsl:for-each select="Receipts/Receipt">
        <UpdateInvoicePayment>
          <InvoiceNumber><xsl:value-of select="concat('CW-', @reference)"/></InvoiceNumber>
          <PaidAmount><xsl:value-of select="AmountReceived"/></PaidAmount>
          <DatePaid><xsl:value-of select="{day}"/></DatePaid>
        </UpdateInvoicePayment>
      </xsl:for-each>
    </ArrayOfUpdateInvoicePayment>
  </xsl:template>
</xsl:stylesheet>"""
PLAIN = SHEET.format(more="", day="Date")
EXPORT = """<?xml version="1.0" encoding="windows-1252"?>
<ReceiptExport company="Zo\u00eb">
  <Receipts>
    <Receipt reference="1">
      <AmountReceived>346.34</AmountReceived><Date>2016-09-22</Date>
    </Receipt>
    <Receipt reference="2">
      <AmountReceived>1,5</AmountReceived><Date>2016-09-23</Date>
    </Receipt>
    <Receipt reference="3">
      <AmountReceived>346.34</AmountReceived><Date>soon</Date>
    </Receipt>
    <Receipt reference="4">
      <AmountReceived></AmountReceived><Date></Date>
    </Receipt>
  </Receipts>
</ReceiptExport>
""".encode("windows-1252")


@pytest.fixture
def sheet(tmp_path):
    """Write a stylesheet and give what it does."""

    def build(text=PLAIN, largest=1_000_000, lifetime=None):
        path = tmp_path / "sage.xsl"
        path.write_text(text, encoding="utf-8")
        return Stylesheet(path, largest, lifetime or Lifetime())

    return build


@pytest.fixture
def interpreter(monkeypatch, tmp_path):
    """Put a script in place of the process's interpreter."""

    def replace(script):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(stylesheet.sys, "executable", str(path))

    return replace
