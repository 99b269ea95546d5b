"""Reads single values of a payment: an amount, a date, an invoice number. Pure."""

from __future__ import annotations

import functools
import hashlib
import re
from datetime import date
from decimal import Decimal

# ConnectWise keeps amounts as doubles, which keep fifteen significant digits exactly (IEEE 754 binary64).
DIGITS = 15
YEARS = range(1900, 2100)
# What databases and spreadsheets write where there is no date.
EMPTY_DAYS = frozenset(
    {date.min, date(1753, 1, 1), date(1899, 12, 30), date(1900, 1, 1), date(1970, 1, 1), date(9999, 12, 31)}
)
# Databases write amounts with four decimals. Zeros beyond the second one change nothing, and are left out. Every part
# takes what it can and gives nothing back, so a long text is looked through once.
_AMOUNT = re.compile(r"(?P<amount>[0-9]++(\.[0-9]{1,2}+)?+)0*+")
# The characters that are safe inside a quoted ConnectWise condition. The length is that of OpenAPI's invoiceNumber.
_INVOICE_NUMBER = re.compile(r"[A-Za-z0-9 _./#-]{1,15}")
# xs:dateTime or xs:date (XML Schema part 2, 3.2.7 and 3.2.9); seconds may be left out.
_DATE = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})"
    r"(T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?|T24:00(:00(\.0{1,9})?)?)?"
    r"(Z|[+-](0\d|1[0-3]):[0-5]\d|[+-]14:00)?",
    re.ASCII,
)
# 2016-09-22T12:05:54.123456789+01:00
_LONGEST_DATE = 35
# The longest externalId that is kept as it is (characters).
_LONGEST_ID = 255


def is_invoice_number(text: str) -> bool:
    """Return True if a text can be an invoice number. No other text may be sent as one."""
    return _INVOICE_NUMBER.fullmatch(text) is not None


def amount_of(text: str, *, signed: bool = False) -> Decimal | None:
    """Return the amount that a text stands for; None if it is none that is accepted.

    Args:
        text: the text.
        signed: an amount may be less than zero.
    """
    if signed and text.startswith("-"):
        amount = amount_of(text[1:])
        return -amount if amount else None
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return None
    text = match["amount"]
    if len(text) > DIGITS:
        return Decimal(text) if len(text.replace(".", "").lstrip("0")) <= DIGITS else None
    return _shared_amount(text)


def day_of(text: str) -> date | None:
    """Return the calendar day that a text stands for; None if it is none that is accepted."""
    day = _written_day(text)
    return day if day is not None and day.year in YEARS and day not in EMPTY_DAYS else None


def is_empty_day(text: str) -> bool:
    """Return True if a text is a date that databases and spreadsheets write where there is none."""
    return _written_day(text) in EMPTY_DAYS


def _written_day(text: str) -> date | None:
    # What is too long for a date must not be remembered: it may hold megabytes.
    return _shared_day(text) if len(text) <= _LONGEST_DATE else None


def bounded_id(text: str) -> str:
    """Return an externalId by which a payment is known: of a long one its beginning and its SHA-256 (hex).

    Two different ids stay different.
    """
    if len(text) <= _LONGEST_ID:
        return text
    return f"{text[:64]}…{hashlib.sha256(text.encode()).hexdigest()}"


# A document has many payments of the same amounts and on few dates. Each value takes memory once.
@functools.lru_cache(maxsize=8192)
def _shared_amount(text: str) -> Decimal:
    return Decimal(text)


@functools.lru_cache(maxsize=1024)
def _shared_day(text: str) -> date | None:
    match = _DATE.fullmatch(text)
    if not match:
        return None
    try:
        return date.fromisoformat(match["day"])
    except ValueError:
        return None
