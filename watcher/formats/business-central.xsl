<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xmlns:f="urn:payment-watcher:format" exclude-result-prefixes="f">
  <f:format title="Business Central: invoices of the customer ledger as XML, by an XMLport" kind="state">
    <f:step>Let your partner add the XMLport that payment-watcher formats business-central prints, and run it as a job.</f:step>
    <f:step>Let the job write into the inbox, under a new name each time. Leave amounts = "total" in [payments].</f:step>
    <f:left-out>Credit memos, refunds, payment discounts, payment tolerance and roundings.</f:left-out>
    <f:left-out>Applications that were taken back (their opposite entries are counted), and invoices on which nothing is paid.</f:left-out>
    <f:unsure>The documentation of the tables, and not a real export, shows how they look. The XMLport was not compiled.</f:unsure>
    <f:unsure>Document No. must be ConnectWise's invoice number. If yours stands in External Document No., let your partner export that field as DocumentNo.</f:unsure>
    <f:program>
xmlport 50100 "Paid Invoices"
{
    Direction = Export;
    Format = Xml;
    schema
    {
        textelement(CustLedgerEntries)
        {
            tableelement(CustLedgerEntry; "Cust. Ledger Entry")
            {
                SourceTableView = where("Document Type" = const(Invoice));
                fieldelement(EntryNo; CustLedgerEntry."Entry No.") { }
                fieldelement(DocumentType; CustLedgerEntry."Document Type") { }
                fieldelement(DocumentNo; CustLedgerEntry."Document No.") { }
                fieldelement(CurrencyCode; CustLedgerEntry."Currency Code") { }
                fieldelement(ClosedAtDate; CustLedgerEntry."Closed at Date") { }
                tableelement(DetailedCustLedgEntry; "Detailed Cust. Ledg. Entry")
                {
                    LinkTable = CustLedgerEntry;
                    LinkFields = "Cust. Ledger Entry No." = field("Entry No.");
                    MinOccurs = Zero;
                    fieldelement(EntryType; DetailedCustLedgEntry."Entry Type") { }
                    fieldelement(DocumentType; DetailedCustLedgEntry."Document Type") { }
                    fieldelement(PostingDate; DetailedCustLedgEntry."Posting Date") { }
                    fieldelement(Amount; DetailedCustLedgEntry.Amount) { }
                }
            }
        }
    }
}</f:program>
  </f:format>
  <!-- The first words of the types of entries and documents. Numbers are understood, too. -->
  <xsl:variable name="entry-types" select="'|Initial|Application|Unrealized|Realized|Payment|Appln.|Correction|'"/>
  <xsl:variable name="document-types" select="'|Payment|Invoice|Credit|Finance|Reminder|Refund|'"/>
  <!-- An XMLport's names of elements are its author's: letter case and underscores do not matter. -->
  <xsl:template match="/">
    <InvoicePayments>
      <xsl:variable name="entries" select="//*[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'custledgerentry']"/>
      <xsl:if test="not($entries or *[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'custledgerentries'])"><xsl:call-template name="unknown"><xsl:with-param name="expected" select="'&lt;CustLedgerEntries>, as the XMLport of payment-watcher formats business-central makes it'"/></xsl:call-template></xsl:if>
      <xsl:for-each select="$entries">
        <xsl:variable name="details" select="*[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'detailedcustledgentry']"/>
        <xsl:variable name="fields" select="*[not(*)]"/>
        <xsl:variable name="type" select="normalize-space($fields[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'documenttype'])"/>
        <xsl:variable name="number" select="normalize-space($fields[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'documentno'])"/>
        <!-- A type in another language: what cannot be read must not be taken for nothing paid. -->
        <xsl:variable name="foreign" select="$fields[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'documenttype'][translate(normalize-space(), '0123456789', '') != '' and not(contains($document-types, concat('|', substring-before(concat(normalize-space(), ' '), ' '), '|')))]
          | $details/*[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'entrytype'][translate(normalize-space(), '0123456789', '') != '' and not(contains($entry-types, concat('|', substring-before(concat(normalize-space(), ' '), ' '), '|')))]
          | $details/*[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'documenttype'][translate(normalize-space(), '0123456789', '') != '' and not(contains($document-types, concat('|', substring-before(concat(normalize-space(), ' '), ' '), '|')))]"/>
        <xsl:if test="($type = 'Invoice' or $type = '2' or $type = '' or $foreign) and ($number = '' or starts-with(translate($number, $small, $large), $begins))">
          <!-- What was applied to the invoice (2) and came from a payment (1). -->
          <xsl:variable name="paid" select="$details[*[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'entrytype'][. = 'Application' or . = '2']][*[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'documenttype'][. = 'Payment' or . = '1']]"/>
          <!-- What is applied to an invoice has a minus. Doubles keep sums of cents exactly enough: format-number rounds to the cent. -->
          <xsl:variable name="parts" select="$paid/*[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'amount']"/>
          <xsl:variable name="cents" select="format-number(-sum($parts), '0.00')"/>
          <xsl:variable name="closed" select="$fields[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'closedatdate'][normalize-space() != '' and not(starts-with(., '0001'))]"/>
          <xsl:choose>
            <xsl:when test="$foreign">
              <xsl:call-template name="record">
                <xsl:with-param name="id" select="$fields[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'entryno']"/>
                <xsl:with-param name="number" select="$number"/>
                <xsl:with-param name="reject" select="concat('Nobody can tell what is paid on this invoice: the type of an entry or document is &quot;', normalize-space($foreign), '&quot;, which is none of the English words of Business Central. Let the job of the XMLport run in English, and export again')"/>
              </xsl:call-template>
            </xsl:when>
            <xsl:when test="$paid and $cents != '0.00' and $cents != '-0.00'">
              <xsl:call-template name="record">
                <xsl:with-param name="id" select="$fields[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'entryno']"/>
                <xsl:with-param name="number" select="$number"/>
                <xsl:with-param name="amount"><xsl:call-template name="sum"><xsl:with-param name="cents" select="$cents"/><xsl:with-param name="parts" select="$parts"/></xsl:call-template></xsl:with-param>
                <xsl:with-param name="currency" select="$fields[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'currencycode']"/>
                <xsl:with-param name="date">
                  <xsl:choose>
                    <xsl:when test="$closed"><xsl:value-of select="$closed"/></xsl:when>
                    <xsl:otherwise>
                      <xsl:for-each select="$paid/*[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'postingdate']"><xsl:sort select="." order="descending"/><xsl:if test="position() = 1"><xsl:value-of select="."/></xsl:if></xsl:for-each>
                    </xsl:otherwise>
                  </xsl:choose>
                </xsl:with-param>
              </xsl:call-template>
            </xsl:when>
            <xsl:when test="not($details) and $fields[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'remainingamount'] and not(number($fields[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'remainingamount']) = number($fields[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'amount']))">
              <xsl:call-template name="record">
                <xsl:with-param name="id" select="$fields[translate(local-name(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_', 'abcdefghijklmnopqrstuvwxyz') = 'entryno']"/>
                <xsl:with-param name="number" select="$number"/>
                <xsl:with-param name="reject" select="'Something is applied to this invoice, but the file does not hold its detailed entries, and credit memos and discounts are not payments. Export with the XMLport of payment-watcher formats business-central'"/>
              </xsl:call-template>
            </xsl:when>
          </xsl:choose>
        </xsl:if>
      </xsl:for-each>
    </InvoicePayments>
  </xsl:template>
</xsl:stylesheet>
