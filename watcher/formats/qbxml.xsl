<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xmlns:f="urn:payment-watcher:format" exclude-result-prefixes="f">
  <f:format title="QuickBooks Desktop: qbXML answers with invoices or received payments" kind="both">
    <f:step>Ask QuickBooks with InvoiceQueryRq and IncludeLinkedTxns set to true. Save the whole answer in the inbox, under a new name each time.</f:step>
    <f:step>With an iterator, save each answer as a file of its own. Leave amounts = "total" in [payments].</f:step>
    <f:step>Or ask with ReceivePaymentQueryRq, and set amounts = "each" and zero_amount = "remove".</f:step>
    <f:left-out>Credit memos, discounts, journal entries, and money that is on no invoice yet (UnusedPayment).</f:left-out>
    <f:left-out>Invoices on which nothing is paid, and invoices that are pending.</f:left-out>
    <f:left-out>Received payments that bounced, were deleted or were applied to another invoice later: QuickBooks lists them no longer, or without the invoice.</f:left-out>
    <f:unsure>The public schema and samples, and not a real export, show how the answers look.</f:unsure>
    <f:unsure>The answers name currencies in words and not by their codes, so currencies are not compared.</f:unsure>
  </f:format>
  <xsl:template match="/">
    <InvoicePayments>
      <xsl:variable name="answers" select="*[local-name() = 'QBXML']/*[local-name() = 'QBXMLMsgsRs']/*"/>
      <xsl:if test="not(*[local-name() = 'QBXML']/*[local-name() = 'QBXMLMsgsRs'])"><xsl:call-template name="unknown"><xsl:with-param name="expected" select="'&lt;QBXML> with the answers in &lt;QBXMLMsgsRs>'"/></xsl:call-template></xsl:if>
      <xsl:if test="$answers[@statusSeverity = 'Error']"><xsl:message terminate="yes"><xsl:value-of select="concat('QuickBooks answered with an error, and the file may lack payments. Ask it again. Its words: ', $answers[@statusSeverity = 'Error'][1]/@statusMessage)"/></xsl:message></xsl:if>
      <xsl:if test="$answers and not($answers[local-name() = 'InvoiceQueryRs' or local-name() = 'ReceivePaymentQueryRs'])">
        <xsl:message terminate="yes"><xsl:value-of select="concat('It holds &lt;', local-name($answers), '>, and neither &lt;InvoiceQueryRs> nor &lt;ReceivePaymentQueryRs>. Ask QuickBooks for invoices or received payments')"/></xsl:message>
      </xsl:if>
      <xsl:if test="$answers[local-name() = 'ReceivePaymentQueryRs']"><xsl:call-template name="needs"><xsl:with-param name="wanted" select="'each'"/></xsl:call-template></xsl:if>
      <xsl:if test="$answers[local-name() = 'InvoiceQueryRs']"><xsl:call-template name="needs"><xsl:with-param name="wanted" select="'total'"/></xsl:call-template></xsl:if>
      <xsl:for-each select="$answers[local-name() = 'InvoiceQueryRs']/*[local-name() = 'InvoiceRet'][not(*[local-name() = 'IsPending'] = 'true')]
          [normalize-space(*[local-name() = 'RefNumber']) = '' or starts-with(translate(normalize-space(*[local-name() = 'RefNumber']), $small, $large), $begins)]">
        <xsl:variable name="linked" select="*[local-name() = 'LinkedTxn'][*[local-name() = 'TxnType'] = 'ReceivePayment']"/>
        <!-- What is linked to an invoice has a minus. Doubles keep sums of cents exactly enough: format-number rounds to the cent. -->
        <xsl:variable name="cents" select="format-number(-sum($linked/*[local-name() = 'Amount']), '0.00')"/>
        <xsl:choose>
          <xsl:when test="$linked and $cents != '0.00' and $cents != '-0.00'">
            <xsl:call-template name="record">
              <xsl:with-param name="id" select="*[local-name() = 'TxnID']"/>
              <xsl:with-param name="number" select="*[local-name() = 'RefNumber']"/>
              <xsl:with-param name="amount"><xsl:call-template name="sum"><xsl:with-param name="cents" select="$cents"/><xsl:with-param name="parts" select="$linked/*[local-name() = 'Amount']"/></xsl:call-template></xsl:with-param>
              <xsl:with-param name="date">
                <xsl:for-each select="$linked/*[local-name() = 'TxnDate']"><xsl:sort select="." order="descending"/><xsl:if test="position() = 1"><xsl:value-of select="."/></xsl:if></xsl:for-each>
              </xsl:with-param>
            </xsl:call-template>
          </xsl:when>
          <xsl:when test="not(*[local-name() = 'LinkedTxn']) and *[local-name() = 'AppliedAmount'][number(.) != 0]">
            <xsl:call-template name="record">
              <xsl:with-param name="id" select="*[local-name() = 'TxnID']"/>
              <xsl:with-param name="number" select="*[local-name() = 'RefNumber']"/>
              <xsl:with-param name="reject" select="'Something is applied to this invoice, but the file does not hold its linked transactions, and credits are not payments. Export again with IncludeLinkedTxns set to true'"/>
            </xsl:call-template>
          </xsl:when>
        </xsl:choose>
      </xsl:for-each>
      <xsl:for-each select="$answers[local-name() = 'ReceivePaymentQueryRs']/*[local-name() = 'ReceivePaymentRet']">
        <!-- Not in the loop: a receipt may pay thousands of invoices, and this looks through all that stands in it. -->
        <xsl:variable name="receipt" select="string(*[local-name() = 'TxnID'])"/>
        <xsl:variable name="day" select="string(*[local-name() = 'TxnDate'])"/>
        <xsl:for-each select="*[local-name() = 'AppliedToTxnRet'][*[local-name() = 'TxnType'] = 'Invoice' or not(*[local-name() = 'TxnType'])]
            [not(number(*[local-name() = 'Amount']) = 0)]
            [normalize-space(*[local-name() = 'RefNumber']) = '' or starts-with(translate(normalize-space(*[local-name() = 'RefNumber']), $small, $large), $begins)]">
          <xsl:call-template name="record">
            <!-- One receipt pays several invoices, and an invoice keeps its TxnID when its number is changed. -->
            <xsl:with-param name="id" select="concat($receipt, '/', *[local-name() = 'TxnID'])"/>
            <xsl:with-param name="number" select="*[local-name() = 'RefNumber']"/>
            <xsl:with-param name="amount" select="*[local-name() = 'Amount']"/>
            <xsl:with-param name="date" select="$day"/>
          </xsl:call-template>
        </xsl:for-each>
      </xsl:for-each>
    </InvoicePayments>
  </xsl:template>
</xsl:stylesheet>
