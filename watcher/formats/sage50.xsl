<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xmlns:f="urn:payment-watcher:format" exclude-result-prefixes="f">
  <f:format title="Sage 50 UK: sales receipts as XML, from Zynk" kind="event">
    <f:step>In Zynk, add the task Exporting Transactions from Sage 50 UK, for modified or new records.</f:step>
    <f:step>Allocate receipts to their invoices in Sage before the task runs. Write the invoice's number into Ref.</f:step>
    <f:step>Let the task write into the inbox, under a new name each time. Set amounts = "each" and zero_amount = "remove" in [payments].</f:step>
    <f:left-out>Sales receipts on account (SA), which are on no invoice yet.</f:left-out>
    <f:left-out>Discounts (SD), credit notes (SC), refunds and bounced cheques (SP, SI), invoices (SI), and all that is not of customers.</f:left-out>
    <f:unsure>The documentation of Zynk, and not a real export, shows how the documents look.</f:unsure>
    <f:unsure>Sage says that the reference of a receipt is not always the number of its invoice. Look at some of yours with payment-watcher try FILE.</f:unsure>
  </f:format>
  <xsl:template match="/">
    <InvoicePayments>
      <xsl:if test="not(*[local-name() = 'Company' or local-name() = 'Transactions'])"><xsl:call-template name="unknown"><xsl:with-param name="expected" select="'&lt;Company> with &lt;Transactions>'"/></xsl:call-template></xsl:if>
      <xsl:if test="*[local-name() = 'Company'][* and not(*[local-name() = 'Transactions'])]">
        <xsl:message terminate="yes"><xsl:value-of select="concat('It holds &lt;', local-name(*/*), '>, and no &lt;Transactions>. Use the task Exporting Transactions from Sage 50 UK in Zynk')"/></xsl:message>
      </xsl:if>
      <xsl:for-each select="(*[local-name() = 'Transactions'] | *[local-name() = 'Company']/*[local-name() = 'Transactions'])/*
          [*[local-name() = 'TransactionType'][normalize-space() = 'SalesReceipt' or normalize-space() = 'SR']]
          [normalize-space(*[local-name() = 'Reference']) = '' or starts-with(translate(normalize-space(*[local-name() = 'Reference']), $small, $large), $begins)]">
        <xsl:call-template name="record">
          <xsl:with-param name="id">
            <xsl:choose>
              <xsl:when test="*[local-name() = 'UniqueId'] != ''"><xsl:value-of select="*[local-name() = 'UniqueId']"/></xsl:when>
              <xsl:when test="*[local-name() = 'TransactionNumber'] != ''"><xsl:value-of select="*[local-name() = 'TransactionNumber']"/></xsl:when>
              <xsl:otherwise><xsl:value-of select="*[local-name() = 'Id']"/></xsl:otherwise>
            </xsl:choose>
          </xsl:with-param>
          <xsl:with-param name="number" select="*[local-name() = 'Reference']"/>
          <xsl:with-param name="amount" select="*[local-name() = 'NetAmount']"/>
          <xsl:with-param name="date" select="*[local-name() = 'TransactionDate']"/>
          <xsl:with-param name="reject">
            <xsl:if test="*[local-name() = 'TaxAmount'][. != '' and not(number(.) = 0)]">This receipt has tax (TaxAmount), so nobody can tell whether NetAmount is all that was paid. Give it the tax code T9 in Sage, or set the payment in ConnectWise by hand</xsl:if>
          </xsl:with-param>
        </xsl:call-template>
      </xsl:for-each>
    </InvoicePayments>
  </xsl:template>
</xsl:stylesheet>
