<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xmlns:f="urn:payment-watcher:format" exclude-result-prefixes="f">
  <f:format title="Xero: invoices or payments as XML, from its API or from Zynk" kind="both">
    <f:step>In Zynk, add the task Exporting Invoices from Xero with the filter Type == "ACCREC". Or save the answer of GET /api.xro/2.0/Invoices as XML, each page as a file of its own.</f:step>
    <f:step>Let it write into the inbox, under a new name each time. Leave amounts = "total" in [payments].</f:step>
    <f:step>Or export the payments (Exporting Payments from Xero, or GET /api.xro/2.0/Payments), and set amounts = "each" and zero_amount = "remove".</f:step>
    <f:left-out>Bills (ACCPAY), and invoices that are drafts, submitted, voided or deleted.</f:left-out>
    <f:left-out>Credit notes, prepayments and overpayments, and refunds of them. Xero counts them in AmountCredited and not in AmountPaid.</f:left-out>
    <f:left-out>Invoices on which nothing is paid.</f:left-out>
    <f:left-out>Payments that were deleted: if one was set before, its amount is taken off again. Keep payments with the Status DELETED in the export.</f:left-out>
    <f:unsure>The documentation of Xero and of Zynk, and not a real export, shows how the documents look.</f:unsure>
    <f:unsure>An invoice that is partly paid may come without its payments. Its date is then the day of its last change (UpdatedDateUTC).</f:unsure>
  </f:format>
  <!-- Payments of bills, and refunds of credit notes, prepayments and overpayments. -->
  <xsl:variable name="other-payments" select="'|accpaypayment|accountspayable|arcreditpayment|apcreditpayment|arprepaymentpayment|apprepaymentpayment|aroverpaymentpayment|apoverpaymentpayment|'"/>
  <xsl:template match="/">
    <InvoicePayments>
      <xsl:variable name="invoices" select="*[local-name() = 'ArrayOfXeroInvoice' or local-name() = 'ArrayOfInvoice' or local-name() = 'Invoices'] | *[local-name() = 'Response']/*[local-name() = 'Invoices']"/>
      <xsl:variable name="payments" select="*[local-name() = 'ArrayOfXeroPayment' or local-name() = 'ArrayOfPayment' or local-name() = 'Payments'] | *[local-name() = 'Response']/*[local-name() = 'Payments']"/>
      <xsl:if test="not($invoices or $payments or *[local-name() = 'Response'])">
        <xsl:call-template name="unknown"><xsl:with-param name="expected" select="'&lt;Response>, &lt;ArrayOfXeroInvoice> or &lt;ArrayOfXeroPayment>'"/></xsl:call-template>
      </xsl:if>
      <xsl:if test="not($invoices or $payments) and *[local-name() = 'Response']/*[*]">
        <xsl:message terminate="yes"><xsl:value-of select="concat('It holds &lt;', local-name(*[local-name() = 'Response']/*[*]), '>, and neither &lt;Invoices> nor &lt;Payments>. Export invoices or payments')"/></xsl:message>
      </xsl:if>
      <xsl:if test="$payments"><xsl:call-template name="needs"><xsl:with-param name="wanted" select="'each'"/></xsl:call-template></xsl:if>
      <xsl:if test="$invoices"><xsl:call-template name="needs"><xsl:with-param name="wanted" select="'total'"/></xsl:call-template></xsl:if>
      <xsl:for-each select="$invoices/*[not(*[local-name() = 'Type'][. = 'ACCPAY' or . = 'AccountsPayable'])]
          [not(contains('|draft|submitted|deleted|voided|', concat('|', translate(*[local-name() = 'Status'], $large, $small), '|')))]
          [not(number(*[local-name() = 'AmountPaid']) = 0)]">
        <xsl:variable name="type" select="normalize-space(*[local-name() = 'Type'])"/>
        <xsl:variable name="status" select="normalize-space(*[local-name() = 'Status'])"/>
        <xsl:variable name="number" select="*[local-name() = 'InvoiceNumber' or local-name() = 'Number'][1]"/>
        <xsl:if test="normalize-space($number) = '' or starts-with(translate(normalize-space($number), $small, $large), $begins)">
          <xsl:call-template name="record">
            <xsl:with-param name="id" select="*[local-name() = 'InvoiceID' or local-name() = 'Id'][1]"/>
            <xsl:with-param name="number" select="$number"/>
            <xsl:with-param name="amount" select="*[local-name() = 'AmountPaid']"/>
            <xsl:with-param name="currency" select="*[local-name() = 'CurrencyCode']"/>
            <xsl:with-param name="reject">
              <xsl:if test="not(contains('|ACCREC|AccountsReceivable|AccountsRecievable|', concat('|', $type, '|'))) or not(contains('|authorised|paid|', concat('|', translate($status, $large, $small), '|')))">
                <xsl:value-of select="concat('Nobody can tell whether this is a sales invoice that counts: its Type is &quot;', $type, '&quot; and its Status &quot;', $status, '&quot;. Set it in ConnectWise by hand if it counts')"/>
              </xsl:if>
            </xsl:with-param>
            <xsl:with-param name="date">
              <xsl:variable name="days" select="*[local-name() = 'Payments']/*[not(translate(*[local-name() = 'Status'], 'delt', 'DELT') = 'DELETED')]/*[local-name() = 'Date'][. != '']"/>
              <xsl:choose>
                <xsl:when test="*[local-name() = 'FullyPaidOnDate'] != '' and not(starts-with(*[local-name() = 'FullyPaidOnDate'], '0001'))"><xsl:value-of select="*[local-name() = 'FullyPaidOnDate']"/></xsl:when>
                <xsl:when test="$days">
                  <xsl:for-each select="$days"><xsl:sort select="." order="descending"/><xsl:if test="position() = 1"><xsl:value-of select="."/></xsl:if></xsl:for-each>
                </xsl:when>
                <xsl:otherwise><xsl:value-of select="*[local-name() = 'UpdatedDateUTC' or local-name() = 'UpdatedDateUtc']"/></xsl:otherwise>
              </xsl:choose>
            </xsl:with-param>
          </xsl:call-template>
        </xsl:if>
      </xsl:for-each>
      <!-- The Status of the invoice in a payment of Zynk is always Draft, and says nothing. -->
      <xsl:for-each select="$payments/*[*[local-name() = 'Invoice'] or not(*[local-name() = 'CreditNote' or local-name() = 'Prepayment' or local-name() = 'Overpayment'])]
          [not(*[local-name() = 'PaymentType' or local-name() = 'Type'][contains($other-payments, concat('|', translate(normalize-space(), $large, $small), '|'))])]
          [not(*[local-name() = 'Invoice']/*[local-name() = 'Type'][. = 'ACCPAY' or . = 'AccountsPayable'])]">
        <xsl:variable name="invoice" select="*[local-name() = 'Invoice']"/>
        <xsl:variable name="types" select="*[local-name() = 'PaymentType' or local-name() = 'Type'] | $invoice/*[local-name() = 'Type']"/>
        <xsl:variable name="strange" select="$types[not(contains('|ACCRECPAYMENT|ACCREC|AccountsReceivable|AccountsRecievable|', concat('|', normalize-space(), '|')))]"/>
        <xsl:variable name="id" select="normalize-space(*[local-name() = 'PaymentID' or local-name() = 'Id'][1])"/>
        <xsl:variable name="number" select="$invoice/*[local-name() = 'InvoiceNumber' or local-name() = 'Number'][1]"/>
        <xsl:variable name="deleted" select="translate(*[local-name() = 'Status'], 'delt', 'DELT') = 'DELETED'"/>
        <xsl:if test="(normalize-space($number) = '' and not($deleted)) or (normalize-space($number) != '' and starts-with(translate(normalize-space($number), $small, $large), $begins))">
          <xsl:call-template name="record">
            <xsl:with-param name="id" select="$id"/>
            <xsl:with-param name="number" select="$number"/>
            <xsl:with-param name="amount" select="*[local-name() = 'Amount']"/>
            <xsl:with-param name="date" select="*[local-name() = 'Date']"/>
            <xsl:with-param name="currency" select="$invoice/*[local-name() = 'CurrencyCode']"/>
            <xsl:with-param name="reject">
              <xsl:choose>
                <xsl:when test="$strange"><xsl:value-of select="concat('Nobody can tell whether this pays a sales invoice: its ', local-name($strange), ' is &quot;', normalize-space($strange), '&quot;. Set it in ConnectWise by hand if it does')"/></xsl:when>
                <xsl:when test="not($types)">Nobody can tell whether this pays a sales invoice: it has no PaymentType. Set it in ConnectWise by hand if it does</xsl:when>
              </xsl:choose>
            </xsl:with-param>
          </xsl:call-template>
          <!-- It may have been set before, or never. Both records together come to nothing, whichever of them is known. -->
          <xsl:if test="$deleted and $id != '' and $types and not($strange)">
            <xsl:call-template name="record">
              <xsl:with-param name="id" select="$id"/>
              <xsl:with-param name="back" select="'/deleted'"/>
              <xsl:with-param name="number" select="$number"/>
              <xsl:with-param name="amount" select="*[local-name() = 'Amount']"/>
              <xsl:with-param name="date" select="*[local-name() = 'Date']"/>
              <xsl:with-param name="currency" select="$invoice/*[local-name() = 'CurrencyCode']"/>
            </xsl:call-template>
          </xsl:if>
        </xsl:if>
      </xsl:for-each>
    </InvoicePayments>
  </xsl:template>
</xsl:stylesheet>
