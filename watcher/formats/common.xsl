<!-- What every format shares: its parameters, and one record of the payment document. It is no format itself. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:param name="amounts"/>
  <xsl:param name="prefix"/>
  <xsl:param name="add_prefix"/>
  <xsl:param name="remove_prefix"/>
  <xsl:variable name="small" select="'abcdefghijklmnopqrstuvwxyz'"/>
  <xsl:variable name="large" select="'ABCDEFGHIJKLMNOPQRSTUVWXYZ'"/>
  <!-- Letter case does not count in prefixes, nor in ConnectWise's numbers. -->
  <xsl:variable name="begins" select="translate($prefix, $small, $large)"/>
  <xsl:template name="record">
    <xsl:param name="id"/>
    <xsl:param name="number"/>
    <xsl:param name="amount"/>
    <xsl:param name="date"/>
    <xsl:param name="currency"/>
    <xsl:param name="reject"/>
    <!-- Not empty: the money was taken back. -->
    <xsl:param name="back"/>
    <xsl:variable name="given" select="normalize-space($number)"/>
    <xsl:variable name="short">
      <xsl:choose>
        <xsl:when test="$remove_prefix != '' and starts-with(translate($given, $small, $large), translate($remove_prefix, $small, $large))">
          <xsl:value-of select="substring($given, string-length($remove_prefix) + 1)"/>
        </xsl:when>
        <xsl:otherwise><xsl:value-of select="$given"/></xsl:otherwise>
      </xsl:choose>
    </xsl:variable>
    <xsl:variable name="asked">
      <xsl:if test="$given != '' and not(starts-with(translate($short, $small, $large), translate($add_prefix, $small, $large)))"><xsl:value-of select="$add_prefix"/></xsl:if>
      <xsl:value-of select="$short"/>
    </xsl:variable>
    <InvoicePayment>
      <!-- A total is no payment of its own: the same invoice comes again with another one. -->
      <xsl:if test="$amounts != 'total'"><externalId><xsl:value-of select="concat(normalize-space($id), $back)"/></externalId></xsl:if>
      <invoice><identifier><xsl:value-of select="$asked"/></identifier></invoice>
      <!-- So that a person finds the payment in the export. -->
      <xsl:if test="$asked != $given"><NumberInFile><xsl:value-of select="$given"/></NumberInFile></xsl:if>
      <amount><xsl:if test="$back != '' and normalize-space($amount) != ''">-</xsl:if><xsl:value-of select="normalize-space($amount)"/></amount>
      <paymentDate><xsl:value-of select="normalize-space($date)"/></paymentDate>
      <xsl:if test="normalize-space($currency) != ''"><Currency><xsl:value-of select="normalize-space($currency)"/></Currency></xsl:if>
      <xsl:choose>
        <xsl:when test="$reject != ''"><Reject><xsl:value-of select="$reject"/></Reject></xsl:when>
        <xsl:when test="$given = ''"><Reject><xsl:value-of select="concat('Nothing says which invoice this money is for: the number is empty (id ', normalize-space($id), &quot;). Give the invoice ConnectWise's number in the accounting system and export again, or set the payment in ConnectWise by hand&quot;)"/></Reject></xsl:when>
      </xsl:choose>
    </InvoicePayment>
  </xsl:template>
  <!-- The day of a date such as 09/22/2016 or 9/2/2016, with the month first. Anything else stays as it is. -->
  <xsl:template name="month-first">
    <xsl:param name="date"/>
    <xsl:variable name="text" select="substring-before(concat(normalize-space($date), ' '), ' ')"/>
    <xsl:variable name="month" select="substring-before($text, '/')"/>
    <xsl:variable name="rest" select="substring-after($text, '/')"/>
    <xsl:variable name="day" select="substring-before($rest, '/')"/>
    <xsl:choose>
      <xsl:when test="$day != ''">
        <xsl:value-of select="concat(substring-after($rest, '/'), '-', substring(concat('0', $month), string-length($month)), '-', substring(concat('0', $day), string-length($day)))"/>
      </xsl:when>
      <xsl:otherwise><xsl:value-of select="$text"/></xsl:otherwise>
    </xsl:choose>
  </xsl:template>
  <!-- A sum, or the first amount that is no number: it is shown as it stands. -->
  <xsl:template name="sum">
    <xsl:param name="cents"/>
    <xsl:param name="parts"/>
    <xsl:choose>
      <xsl:when test="$cents = 'NaN'"><xsl:value-of select="$parts[string(number()) = 'NaN']"/></xsl:when>
      <xsl:otherwise><xsl:value-of select="$cents"/></xsl:otherwise>
    </xsl:choose>
  </xsl:template>
  <xsl:template name="needs">
    <xsl:param name="wanted"/>
    <xsl:if test="$amounts != $wanted">
      <xsl:message terminate="yes">
        <xsl:choose>
          <xsl:when test="$wanted = 'each'">It holds single payments, but payments.amounts is "total". Export the invoices instead, or set amounts = "each" in [payments]</xsl:when>
          <xsl:otherwise>It holds what is paid on each invoice so far, but payments.amounts is "each". Export the payments instead, or set amounts = "total" in [payments]</xsl:otherwise>
        </xsl:choose>
      </xsl:message>
    </xsl:if>
  </xsl:template>
  <xsl:template name="unknown">
    <xsl:param name="expected"/>
    <xsl:message terminate="yes"><xsl:value-of select="concat('Its outermost element is &lt;', local-name(/*), '>, expected ', $expected)"/></xsl:message>
  </xsl:template>
</xsl:stylesheet>
