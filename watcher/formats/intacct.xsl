<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xmlns:f="urn:payment-watcher:format" exclude-result-prefixes="f">
  <f:format title="Sage Intacct: invoices (ARINVOICE) that readByQuery or query answers" kind="state">
    <f:step>Ask Intacct with readByQuery for the object ARINVOICE, with the fields RECORDNO, RECORDID, STATE, TRX_TOTALPAID, CURRENCY, WHENPAID and WHENMODIFIED.</f:step>
    <f:step>Save each page (readMore) as a file of its own in the inbox. Leave amounts = "total" in [payments].</f:step>
    <f:left-out>Drafts, reversed and voided invoices, and invoices on which nothing is paid.</f:left-out>
    <f:unsure>Whether TRX_TOTALPAID holds credits that were applied was not seen on a real export. Try an invoice with a credit before you rely on it.</f:unsure>
    <f:unsure>WHENPAID is empty until an invoice is paid in full. Until then its date is the day of its last change (WHENMODIFIED).</f:unsure>
  </f:format>
  <!-- The names of elements come in small letters and in capitals. -->
  <xsl:key name="field" match="*" use="concat(generate-id(..), ' ', translate(local-name(), 'abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'))"/>
  <xsl:key name="element" match="*" use="translate(local-name(), 'abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ')"/>
  <xsl:template match="/">
    <InvoicePayments>
      <xsl:if test="not(key('element', 'ARINVOICE') or key('element', 'RESPONSE') or key('element', 'DATA'))"><xsl:call-template name="unknown"><xsl:with-param name="expected" select="'&lt;response> with &lt;ARINVOICE>'"/></xsl:call-template></xsl:if>
      <xsl:if test="key('element', 'STATUS')[. = 'failure' or . = 'aborted'] or key('element', 'ERRORMESSAGE')">
        <xsl:variable name="words" select="key('element', 'DESCRIPTION2')[normalize-space() != '']"/>
        <xsl:message terminate="yes">
          <xsl:text>Intacct answered with an error, and the file may lack invoices. Ask it again</xsl:text>
          <xsl:if test="$words"><xsl:value-of select="concat('. Its words: ', normalize-space($words))"/></xsl:if>
        </xsl:message>
      </xsl:if>
      <xsl:if test="key('element', 'ARPYMT') or key('element', 'ARPYMTDETAIL') or key('element', 'ARPAYMENT')"><xsl:message terminate="yes">It holds payments (ARPYMT), which name invoices only by Intacct's own record numbers. Export the invoices (ARINVOICE) instead</xsl:message></xsl:if>
      <xsl:for-each select="key('element', 'ARINVOICE')[*]">
        <xsl:variable name="here" select="concat(generate-id(), ' ')"/>
        <xsl:variable name="number" select="normalize-space(key('field', concat($here, 'RECORDID')))"/>
        <xsl:variable name="paid" select="key('field', concat($here, 'TRX_TOTALPAID'))"/>
        <xsl:variable name="state" select="translate(normalize-space(key('field', concat($here, 'STATE'))), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')"/>
        <xsl:if test="not(number($paid) = 0) and not(contains('|draft|reversed|reversal|voided|void|deleted|submitted|declined|', concat('|', $state, '|')) and $state != '') and ($number = '' or starts-with(translate($number, $small, $large), $begins))">
          <xsl:variable name="when" select="key('field', concat($here, 'WHENPAID'))[normalize-space() != '']"/>
          <xsl:call-template name="record">
            <xsl:with-param name="id" select="key('field', concat($here, 'RECORDNO'))"/>
            <xsl:with-param name="number" select="$number"/>
            <xsl:with-param name="amount" select="$paid"/>
            <xsl:with-param name="currency" select="key('field', concat($here, 'CURRENCY'))"/>
            <xsl:with-param name="date">
              <xsl:call-template name="month-first">
                <xsl:with-param name="date" select="$when | key('field', concat($here, 'WHENMODIFIED'))[not($when)]"/>
              </xsl:call-template>
            </xsl:with-param>
            <xsl:with-param name="reject">
              <xsl:if test="not($paid)">The file does not say what is paid in the invoice's currency. Ask Intacct for the field TRX_TOTALPAID, too</xsl:if>
            </xsl:with-param>
          </xsl:call-template>
        </xsl:if>
      </xsl:for-each>
    </InvoicePayments>
  </xsl:template>
</xsl:stylesheet>
