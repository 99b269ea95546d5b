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
_AMOUNT = re.compile(r"[0-9]+(\.[0-9]{1,2})?")
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


def amount_of(text: str) -> Decimal | None:
    """Return the amount that a text stands for; None if it is none that is accepted."""
    if not _AMOUNT.fullmatch(text):
        return None
    if len(text) > DIGITS:
        return Decimal(text) if len(text.replace(".", "").lstrip("0")) <= DIGITS else None
    return _shared_amount(text)


def day_of(text: str) -> date | None:
    """Return the calendar day that a text stands for; None if it is none that is accepted."""
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
        day = date.fromisoformat(match["day"])
    except ValueError:
        return None
    return day if day.year in YEARS else None
