<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xmlns:f="urn:payment-watcher:format" xmlns:str="http://exslt.org/strings" xmlns:exsl="http://exslt.org/common" exclude-result-prefixes="f str exsl">
  <f:format title="Bank statements: camt.052, camt.053 and camt.054, of any version" kind="event">
    <f:step>Let your bank write its statements (camt.053) or its notifications of credits (camt.054) into the inbox. Take one of both alone, if you can.</f:step>
    <f:step>Set prefix in [transform] to how your invoice numbers begin, such as CW-. They are then found in the texts of transfers, too.</f:step>
    <f:step>Set amounts = "each" and zero_amount = "remove" in [payments].</f:step>
    <f:left-out>Debits, and entries that are pending, for information, or reversals. A debit that takes back a payment of an invoice (RvslInd or RtrInf) is rejected, so that somebody sees it.</f:left-out>
    <f:left-out>Credits whose text holds no invoice number with the prefix. References such as QRR are no invoice numbers; a SCOR reference counts if the prefix stands after RF and its two digits.</f:left-out>
    <f:unsure>Public samples, and not the exports of many banks, show how statements look.</f:unsure>
    <f:unsure>Amounts are what the bank credited: charges that it kept are missing, unless the transfer names its invoices with amounts.</f:unsure>
    <f:unsure>A payment is known by the bank's reference (AcctSvcrRef). A bank may give it another one in camt.054 than in camt.053. Placeholders such as NONREF are no references.</f:unsure>
  </f:format>
  <!-- A SCOR reference has letters and digits alone (ISO 11649). -->
  <xsl:variable name="letters" select="translate($begins, '-_./# ', '')"/>
  <xsl:variable name="ends" select="' ,;:()[]{}+&amp;!?*=|&quot;&#9;&#10;&#13;'"/>
  <!-- What banks and payers write where they have no reference. -->
  <xsl:variable name="no-references" select="'||NONREF|NOREF|NOTPROVIDED|NOT PROVIDED|NONE|N/A|UNKNOWN|'"/>
  <xsl:key name="named" match="*[local-name() = 'Strd']" use="concat(generate-id(..), ' ', normalize-space(*[local-name() = 'RfrdDocInf']/*[local-name() = 'Nb']))"/>
  <xsl:key name="known" match="InvoicePayment" use="externalId[. != '']"/>
  <xsl:template match="/">
    <InvoicePayments>
      <xsl:if test="not(//*[starts-with(local-name(), 'BkToCstmr')])"><xsl:call-template name="unknown"><xsl:with-param name="expected" select="'&lt;Document> with a statement of camt.052, camt.053 or camt.054'"/></xsl:call-template></xsl:if>
      <!-- The same payment may stand in several reports of one file, and counts once. In one of them it stands once. -->
      <xsl:for-each select="//*[local-name() = 'Ntry']/..">
        <xsl:variable name="made"><xsl:call-template name="entries"/></xsl:variable>
        <xsl:for-each select="exsl:node-set($made)/InvoicePayment">
          <xsl:copy>
            <xsl:copy-of select="*"/>
            <xsl:if test="not(Reject) and key('known', externalId)[2]"><Reject>The bank gives several transfers of this statement the same reference, so nobody can tell them apart. Set them in ConnectWise by hand</Reject></xsl:if>
          </xsl:copy>
        </xsl:for-each>
      </xsl:for-each>
    </InvoicePayments>
  </xsl:template>
  <!-- The entries of one statement, report or notification, which is the current node. -->
  <xsl:template name="entries">
    <!-- A reversal is a debit if it takes a credit back. A reversal that is a credit takes back what was paid to others. -->
    <xsl:for-each select="*[local-name() = 'Ntry']
        [not(contains('|PDNG|INFO|FUTR|', concat('|', normalize-space(*[local-name() = 'Sts']), '|'))) or normalize-space(*[local-name() = 'Sts']) = '']
        [(*[local-name() = 'CdtDbtInd'] = 'CRDT' and not(*[local-name() = 'RvslInd'][. = 'true' or . = '1']))
         or (*[local-name() = 'CdtDbtInd'] = 'DBIT' and (*[local-name() = 'RvslInd'][. = 'true' or . = '1'] or *[local-name() = 'NtryDtls']/*[local-name() = 'TxDtls']/*[local-name() = 'RtrInf']))]">
      <xsl:variable name="back"><xsl:if test="*[local-name() = 'CdtDbtInd'] = 'DBIT'">/returned</xsl:if></xsl:variable>
      <xsl:variable name="reversal" select="boolean(*[local-name() = 'RvslInd'][. = 'true' or . = '1'])"/>
      <!-- Not in the loop: an entry may hold thousands of transfers, and this looks through all that stands in it. -->
      <xsl:variable name="status" select="normalize-space(*[local-name() = 'Sts'])"/>
      <!-- A statement (camt.053) holds what is booked, and some banks say no more. -->
      <xsl:variable name="doubt">
        <xsl:if test="$status != 'BOOK' and not($status = '' and ancestor::*[local-name() = 'BkToCstmrStmt'])">
          <xsl:choose>
            <xsl:when test="$status = ''">The entry has no status (Sts)</xsl:when>
            <xsl:otherwise><xsl:value-of select="concat('The status of the entry (Sts) is ', $status)"/></xsl:otherwise>
          </xsl:choose>
          <xsl:text>, so nobody can tell whether the bank has booked it. If it has, set it in ConnectWise by hand</xsl:text>
        </xsl:if>
      </xsl:variable>
      <xsl:variable name="booked" select="normalize-space(*[local-name() = 'AcctSvcrRef'][not(contains($no-references, concat('|', translate(normalize-space(translate(., '0', '')), $small, $large), '|')))])"/>
      <xsl:variable name="day" select="string((*[local-name() = 'ValDt']/* | self::*[not(*[local-name() = 'ValDt'])]/*[local-name() = 'BookgDt']/*)[1])"/>
      <xsl:variable name="amount" select="*[local-name() = 'Amt']"/>
      <xsl:variable name="charges" select="*[local-name() = 'Chrgs']"/>
      <xsl:variable name="words" select="string(*[local-name() = 'AddtlNtryInf'])"/>
      <xsl:variable name="details" select="*[local-name() = 'NtryDtls']"/>
      <xsl:variable name="single" select="$details/*[local-name() = 'TxDtls']"/>
      <xsl:variable name="many" select="$details/*[local-name() = 'Btch']/*[local-name() = 'NbOfTxs'][number(.) > 1]"/>
      <xsl:variable name="alone" select="count($single) &lt; 2 and not($many)"/>
      <xsl:choose>
        <xsl:when test="$single">
          <xsl:for-each select="$single">
            <xsl:if test="($back = '' and not(*[local-name() = 'CdtDbtInd'] = 'DBIT') and not(*[local-name() = 'RtrInf']))
                or ($back != '' and not(*[local-name() = 'CdtDbtInd'] = 'CRDT') and ($reversal or *[local-name() = 'RtrInf']))">
              <xsl:call-template name="transfer">
                <xsl:with-param name="alone" select="$alone"/>
                <xsl:with-param name="position" select="position()"/>
                <xsl:with-param name="doubt" select="string($doubt)"/>
                <xsl:with-param name="booked" select="$booked"/>
                <xsl:with-param name="day" select="$day"/>
                <xsl:with-param name="amount" select="$amount"/>
                <xsl:with-param name="charges" select="$charges"/>
                <xsl:with-param name="words" select="$words"/>
                <xsl:with-param name="back" select="string($back)"/>
              </xsl:call-template>
            </xsl:if>
          </xsl:for-each>
        </xsl:when>
        <xsl:when test="$many or $details/*[local-name() = 'Btch'][not(*[local-name() = 'NbOfTxs'])]">
          <xsl:call-template name="record">
            <xsl:with-param name="id" select="$booked"/>
            <xsl:with-param name="back" select="string($back)"/>
            <xsl:with-param name="amount" select="$amount"/>
            <xsl:with-param name="date" select="$day"/>
            <xsl:with-param name="reject" select="'The bank booked several payments as one entry, and the file does not hold them. Ask the bank for camt.054 with single payments, or set them in ConnectWise by hand'"/>
          </xsl:call-template>
        </xsl:when>
        <xsl:otherwise>
          <xsl:call-template name="transfer">
            <xsl:with-param name="alone" select="true()"/>
            <xsl:with-param name="position" select="1"/>
            <xsl:with-param name="doubt" select="string($doubt)"/>
            <xsl:with-param name="booked" select="$booked"/>
            <xsl:with-param name="day" select="$day"/>
            <xsl:with-param name="amount" select="$amount"/>
            <xsl:with-param name="charges" select="$charges"/>
            <xsl:with-param name="words" select="$words"/>
            <xsl:with-param name="back" select="string($back)"/>
          </xsl:call-template>
        </xsl:otherwise>
      </xsl:choose>
    </xsl:for-each>
  </xsl:template>
  <!-- One transfer. The current node is its TxDtls, or the entry if it has none. The parameters are the entry's. -->
  <xsl:template name="transfer">
    <xsl:param name="alone"/>
    <xsl:param name="position"/>
    <xsl:param name="doubt"/>
    <xsl:param name="booked"/>
    <xsl:param name="day"/>
    <xsl:param name="amount"/>
    <xsl:param name="charges"/>
    <xsl:param name="words"/>
    <xsl:param name="back"/>
    <xsl:variable name="remittance" select="*[local-name() = 'RmtInf']"/>
    <xsl:variable name="structured" select="$remittance/*[local-name() = 'Strd']"/>
    <xsl:variable name="documents" select="$structured[*[local-name() = 'RfrdDocInf']/*[local-name() = 'Nb'][normalize-space() != '']]
      [not(*[local-name() = 'RfrdDocInf']/*[local-name() = 'Tp']/*[local-name() = 'CdOrPrtry']/*[local-name() = 'Cd'] = 'CREN')]"/>
    <xsl:variable name="numbers" select="$documents/*[local-name() = 'RfrdDocInf']/*[local-name() = 'Nb'][normalize-space() != '']"/>
    <xsl:variable name="parts" select="$documents/*[local-name() = 'RfrdDocAmt']/*[local-name() = 'RmtdAmt']"/>
    <!-- Later versions have the transfer's amount in Amt, version 2 has it in AmtDtls. -->
    <xsl:variable name="direct" select="*[local-name() = 'Amt']"/>
    <xsl:variable name="transferred" select="*[local-name() = 'AmtDtls']/*[local-name() = 'TxAmt']/*[local-name() = 'Amt']"/>
    <xsl:variable name="own" select="$direct | $transferred[not($direct)]"/>
    <xsl:variable name="whole" select="$own | $amount[$alone and not($own)]"/>
    <xsl:variable name="charged" select="*[local-name() = 'Chrgs']"/>
    <xsl:variable name="costs" select="$charged | $charges[$alone and not($charged)]"/>
    <xsl:variable name="kept" select="sum($costs/*[local-name() = 'Rcrd']/*[local-name() = 'Amt'] | $costs/*[local-name() = 'Amt'])"/>
    <xsl:variable name="id">
      <xsl:variable name="refs" select="*[local-name() = 'Refs']/*[not(contains($no-references, concat('|', translate(normalize-space(translate(., '0', '')), $small, $large), '|')))]"/>
      <xsl:variable name="single" select="normalize-space($refs[local-name() = 'AcctSvcrRef'])"/>
      <xsl:variable name="sent" select="normalize-space($refs[local-name() = 'EndToEndId'])"/>
      <xsl:variable name="transaction" select="$refs[local-name() = 'TxId']"/>
      <xsl:variable name="instructed" select="normalize-space($transaction | $refs[local-name() = 'InstrId'][not($transaction)])"/>
      <xsl:choose>
        <xsl:when test="$alone and $booked != ''"><xsl:value-of select="$booked"/></xsl:when>
        <xsl:when test="$single != '' and $single != $booked"><xsl:value-of select="$single"/></xsl:when>
        <xsl:when test="$booked != '' and $sent != ''"><xsl:value-of select="concat($booked, '/', $sent)"/></xsl:when>
        <xsl:when test="$booked != '' and $instructed != ''"><xsl:value-of select="concat($booked, '/', $instructed)"/></xsl:when>
        <xsl:when test="$booked != ''"><xsl:value-of select="concat($booked, '/', $position)"/></xsl:when>
        <xsl:when test="$single != ''"><xsl:value-of select="$single"/></xsl:when>
        <xsl:when test="$instructed != ''"><xsl:value-of select="$instructed"/></xsl:when>
        <!-- The payer chooses it, perhaps each month anew. -->
        <xsl:when test="$sent != ''"><xsl:value-of select="concat($sent, '/', $day, '/', $whole)"/></xsl:when>
      </xsl:choose>
    </xsl:variable>
    <xsl:variable name="unknown">
      <xsl:value-of select="$doubt"/>
      <xsl:if test="$doubt = '' and $id = ''">The bank gives this transfer no reference (AcctSvcrRef), so nobody can tell whether it came before. Set it in ConnectWise by hand</xsl:if>
      <xsl:if test="$doubt = '' and $id != '' and $whole and $back != ''">The bank took this payment back. If this program has set it, remove &lt;Reject> from the record in the fail file, and put that file into the inbox: its amount below zero takes the payment off</xsl:if>
      <xsl:if test="$doubt = '' and $id != '' and not($whole)">The bank gives no amount for this transfer alone. Ask the bank for camt.054 with single payments, or set it in ConnectWise by hand</xsl:if>
    </xsl:variable>
    <xsl:choose>
      <xsl:when test="$numbers">
        <xsl:variable name="sum" select="format-number(sum($parts), '0.00')"/>
        <xsl:variable name="fault">
          <xsl:value-of select="$unknown"/>
          <xsl:choose>
            <xsl:when test="$unknown != ''"/>
            <xsl:when test="count($numbers) > 1 and (count($numbers) != count($documents) or count($parts) != count($documents))">
              <xsl:text>One transfer pays several invoices (</xsl:text>
              <xsl:for-each select="$numbers[position() &lt; 11]"><xsl:if test="position() > 1">, </xsl:if><xsl:value-of select="normalize-space()"/></xsl:for-each>
              <xsl:text>) and does not say how much each gets. Set them in ConnectWise by hand</xsl:text>
            </xsl:when>
            <xsl:when test="$parts[@Ccy != $whole/@Ccy]">The amounts of the invoices are in another currency than the transfer. Set them in ConnectWise by hand</xsl:when>
            <xsl:when test="$parts and $sum != format-number($whole, '0.00') and $sum != format-number($whole + $kept, '0.00')"><xsl:value-of select="concat('The amounts of the invoices come to ', $sum, ', but the transfer is ', normalize-space($whole), '. Set them in ConnectWise by hand')"/></xsl:when>
          </xsl:choose>
        </xsl:variable>
        <xsl:choose>
          <xsl:when test="$fault != ''">
            <xsl:call-template name="record">
              <xsl:with-param name="back" select="$back"/>
              <xsl:with-param name="id" select="$id"/>
              <xsl:with-param name="number" select="$numbers[count($numbers) = 1]"/>
              <xsl:with-param name="amount" select="$whole"/>
              <xsl:with-param name="date" select="$day"/>
              <xsl:with-param name="reject" select="string($fault)"/>
            </xsl:call-template>
          </xsl:when>
          <xsl:otherwise>
            <xsl:for-each select="$documents">
              <xsl:variable name="number" select="normalize-space(*[local-name() = 'RfrdDocInf']/*[local-name() = 'Nb'][normalize-space() != ''])"/>
              <xsl:variable name="part" select="*[local-name() = 'RfrdDocAmt']/*[local-name() = 'RmtdAmt']"/>
              <xsl:call-template name="record">
                <xsl:with-param name="back" select="$back"/>
                <xsl:with-param name="reject">
                  <xsl:if test="count(key('named', concat(generate-id(..), ' ', $number))) > 1">The transfer names this invoice several times, and such payments cannot be told apart. Set them in ConnectWise by hand</xsl:if>
                </xsl:with-param>
                <xsl:with-param name="id" select="concat($id, '/', $number)"/>
                <xsl:with-param name="number" select="$number"/>
                <xsl:with-param name="amount" select="$part | $whole[not($part)]"/>
                <xsl:with-param name="currency" select="($part | $whole[not($part)])/@Ccy"/>
                <xsl:with-param name="date" select="$day"/>
              </xsl:call-template>
            </xsl:for-each>
          </xsl:otherwise>
        </xsl:choose>
      </xsl:when>
      <xsl:when test="$prefix = '' and $back != ''"/>
      <xsl:when test="$prefix = ''">
        <xsl:call-template name="record">
          <xsl:with-param name="back" select="$back"/>
          <xsl:with-param name="id" select="$id"/>
          <xsl:with-param name="amount" select="$whole"/>
          <xsl:with-param name="date" select="$day"/>
          <xsl:with-param name="reject" select="'This credit names no invoice in a structured reference. Set prefix in [transform] to how your invoice numbers begin, so that they are found in texts, and that other credits are left out'"/>
        </xsl:call-template>
      </xsl:when>
      <xsl:otherwise>
        <xsl:variable name="said">
          <xsl:for-each select="$remittance/*[local-name() = 'Ustrd'] | $structured/*[local-name() = 'AddtlRmtInf']"><xsl:value-of select="concat(., ' ')"/></xsl:for-each>
          <xsl:for-each select="$structured/*[local-name() = 'CdtrRefInf']/*[local-name() = 'Ref']">
            <xsl:variable name="reference" select="translate(translate(., ' ', ''), $small, $large)"/>
            <xsl:choose>
              <xsl:when test="starts-with($reference, 'RF') and starts-with(substring($reference, 5), $begins)"><xsl:value-of select="concat(substring($reference, 5), ' ')"/></xsl:when>
              <xsl:when test="starts-with($reference, 'RF') and $letters != '' and starts-with(substring($reference, 5), $letters)"><xsl:value-of select="concat($prefix, substring($reference, 5 + string-length($letters)), ' ')"/></xsl:when>
              <xsl:when test="starts-with($reference, $begins)"><xsl:value-of select="concat(., ' ')"/></xsl:when>
            </xsl:choose>
          </xsl:for-each>
          <xsl:if test="not($remittance)">
            <xsl:value-of select="concat(*[local-name() = 'AddtlTxInf'], ' ')"/>
            <xsl:if test="$alone"><xsl:value-of select="$words"/></xsl:if>
          </xsl:if>
        </xsl:variable>
        <xsl:call-template name="texts">
          <xsl:with-param name="back" select="$back"/>
          <xsl:with-param name="id" select="string($id)"/>
          <xsl:with-param name="whole" select="$whole"/>
          <xsl:with-param name="day" select="$day"/>
          <xsl:with-param name="unknown" select="string($unknown)"/>
          <!-- Banks break texts at a fixed width, such as 27, 35 or 140, and also within a number. -->
          <xsl:with-param name="broken">
            <xsl:for-each select="$remittance/*[local-name() = 'Ustrd'][string-length() > 26][contains('0123456789', substring(., string-length()))]
                [contains('0123456789', substring(concat(following-sibling::*[1][local-name() = 'Ustrd'], '-'), 1, 1))]">
              <xsl:if test="starts-with(translate(str:tokenize(string(), $ends)[last()], $small, $large), $begins)">x</xsl:if>
            </xsl:for-each>
          </xsl:with-param>
          <xsl:with-param name="text">
            <xsl:value-of select="$said"/>
            <!-- Some payers write the invoice's number there, and nowhere else. -->
            <xsl:if test="not(contains(translate($said, $small, $large), $begins))"><xsl:value-of select="*[local-name() = 'Refs']/*[local-name() = 'EndToEndId'][starts-with(translate(., $small, $large), $begins)]"/></xsl:if>
          </xsl:with-param>
        </xsl:call-template>
      </xsl:otherwise>
    </xsl:choose>
  </xsl:template>
  <!-- The invoice that the texts of a transfer name. Words that begin with the prefix are numbers. -->
  <xsl:template name="texts">
    <xsl:param name="id"/>
    <xsl:param name="whole"/>
    <xsl:param name="day"/>
    <xsl:param name="unknown"/>
    <xsl:param name="back"/>
    <xsl:param name="broken"/>
    <xsl:param name="text"/>
    <xsl:variable name="capitals" select="translate($text, $small, $large)"/>
    <!-- CW 34251 and CW34251: the prefix without its marks, and a digit behind it. -->
    <xsl:variable name="follows" select="substring(substring-after(translate($capitals, '-_./# ', ''), $letters), 1, 1)"/>
    <xsl:variable name="alike" select="string-length(translate($letters, '0123456789', '')) > 1 and $follows != '' and contains('0123456789', $follows)"/>
    <xsl:if test="contains($capitals, $begins) or $alike">
      <!-- A number may hold - _ . / and #, but after one of them another number may begin. -->
      <xsl:variable name="apart" select="str:replace(str:replace(str:replace(str:replace(str:replace(str:replace(string($capitals), '//', ' '), concat('/', $begins), concat(' ', $begins)), concat('.', $begins), concat(' ', $begins)), concat('-', $begins), concat(' ', $begins)), concat('_', $begins), concat(' ', $begins)), concat('#', $begins), concat(' ', $begins))"/>
      <xsl:variable name="tokens" select="str:tokenize(string($apart), $ends)"/>
      <xsl:variable name="words" select="$tokens[starts-with(., $begins) and string-length(.) > string-length($begins) and translate(., '0123456789', '') != .]"/>
      <xsl:variable name="first">
        <xsl:call-template name="trimmed"><xsl:with-param name="word" select="string($words[1])"/></xsl:call-template>
      </xsl:variable>
      <xsl:variable name="rest" select="substring($first, string-length($begins) + 1)"/>
      <!-- CW-34251, 34252: the second number without its prefix. Numbers that are paid together begin alike. -->
      <xsl:variable name="bare" select="$tokens[translate(., '0123456789', '') = '' or (translate(., '0123456789', '') = '.' and substring(., string-length()) = '.')]
        [string-length(translate(., '.', '')) = string-length($rest) and translate(., '.', '') != $rest]
        [string-length($rest) > 2 and translate($rest, '0123456789', '') = '' and starts-with(., substring($rest, 1, floor(string-length($rest) div 2)))]"/>
      <xsl:variable name="others" select="$words[. != $first and . != concat($first, '.') and . != concat($first, '/') and . != concat($first, '-')]"/>
      <xsl:call-template name="record">
        <xsl:with-param name="back" select="$back"/>
        <xsl:with-param name="id"><xsl:value-of select="$id"/><xsl:if test="$id != '' and $rest != '' and not($others or $bare)"><xsl:value-of select="concat('/', $first)"/></xsl:if></xsl:with-param>
        <xsl:with-param name="number"><xsl:if test="$rest != '' and $broken = '' and not($others or $bare)"><xsl:value-of select="concat($prefix, $rest)"/></xsl:if></xsl:with-param>
        <xsl:with-param name="amount" select="$whole"/>
        <xsl:with-param name="currency" select="$whole/@Ccy"/>
        <xsl:with-param name="date" select="$day"/>
        <xsl:with-param name="reject">
          <xsl:choose>
            <xsl:when test="$unknown != ''"><xsl:value-of select="$unknown"/></xsl:when>
            <xsl:when test="$broken != ''">The text of this transfer is broken into lines, and the number at the end of one may go on in the next. Set it in ConnectWise by hand</xsl:when>
            <xsl:when test="$rest = ''"><xsl:value-of select="concat('The text of this transfer seems to name an invoice, but no number that begins with ', $prefix, ' can be read in it. Set it in ConnectWise by hand')"/></xsl:when>
            <xsl:when test="$others or $bare">
              <xsl:value-of select="concat('One transfer pays several invoices (', $first)"/>
              <xsl:for-each select="($others | $bare)[position() &lt; 10]"><xsl:value-of select="concat(', ', .)"/></xsl:for-each>
              <xsl:text>) and does not say how much each gets. Set them in ConnectWise by hand</xsl:text>
            </xsl:when>
          </xsl:choose>
        </xsl:with-param>
      </xsl:call-template>
    </xsl:if>
  </xsl:template>
  <!-- A word without the marks that end a sentence. -->
  <xsl:template name="trimmed">
    <xsl:param name="word"/>
    <xsl:variable name="last" select="substring($word, string-length($word))"/>
    <xsl:choose>
      <xsl:when test="$last != '' and contains('./-_#', $last)">
        <xsl:call-template name="trimmed"><xsl:with-param name="word" select="substring($word, 1, string-length($word) - 1)"/></xsl:call-template>
      </xsl:when>
      <xsl:otherwise><xsl:value-of select="$word"/></xsl:otherwise>
    </xsl:choose>
  </xsl:template>
</xsl:stylesheet>
