"""Says in words why a text is no invoice number, no amount or no date, and what to write instead. Pure.

What is said here holds for XML and for tables. What depends on the declared notation of a table stands in
``table_values``.
"""

from __future__ import annotations

import re
import unicodedata

from watcher.documents.letters import named, odd_character, ordinal, quoted
from watcher.documents.values import DIGITS, YEARS, amount_of, is_empty_day

_LONGEST_NUMBER = 15
_IN_NUMBERS = re.compile(r"[A-Za-z0-9 _./#-]")
# A long number as a spreadsheet shows it: its digits are lost.
_SCIENTIFIC = re.compile(r"-?[0-9](?:[.,][0-9]+)?[Ee][+-]?[0-9]{1,3}")
SERIAL = re.compile(r"[0-9]{5}(?:[.,][0-9]+)?")
_SERIAL_HINT = (
    "it looks like the serial number by which a spreadsheet keeps a day; format the column as a date there, and export "
    "it again"
)
# What bookkeeping programs write after an amount: a credit or a debit, in English and in German.
_SIDE = re.compile(r"[^A-Za-z]*[0-9]\s*(CR|Cr|cr|DR|Dr|dr|[CDSH])\.?")
_SIDE_BEFORE = re.compile(r"(CR|Cr|DR|Dr)\.?\s*[0-9][0-9.,]*")
# What stands for the day and the month; and a day that is followed by a time.
_ORDERED = re.compile(r"[0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4}|[0-9]{8}")
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BLANK_BEFORE_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\s+([0-9]{2}:[0-9]{2}.*)")
# Minus signs and what people type for them.
_MINUSES = ("-", *"\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d")
# A longer text is no amount (characters).
_LONGEST = 64
# What a reversal means where amounts are not added up.
BELOW_ZERO = (
    'With payments.amounts = "total" an amount is all that is paid on the invoice, and never below zero: for a '
    'reversal, give what is left paid. Amounts below zero are accepted only with payments.amounts = "each"'
)
# A currency before an amount or after it.
_CURRENCY = re.compile(r"-?(?:[A-Za-z]{1,4}\.?[^A-Za-z]*[0-9][^A-Za-z]*|[^A-Za-z]*[0-9][^A-Za-z]*[A-Za-z]{1,4}\.?)")
_LETTERS = re.compile(r"(?!T[0-9]|Z$)[A-Za-z]+")
_DIGITS_ALONE = re.compile("[^0-9]")


def spreadsheet_habit(text: str) -> str | None:
    """Return in words what a spreadsheet has made of a value; None if it has made nothing of it."""
    if text.startswith("="):
        return 'is a formula of a spreadsheet (="…"); export the value alone'
    if _SCIENTIFIC.fullmatch(text) and ("+" in text or "." in text or "," in text):
        return (
            "is a number in scientific notation: a spreadsheet has dropped its digits. Format the column as text or "
            "number there, and export it again"
        )
    if text.startswith("#") and text.strip("#") in ("", "N/A", "NAME?", "REF!", "VALUE!", "DIV/0!"):
        return "is what a spreadsheet shows instead of a value: widen the column or mend the formula, and export again"
    return None


def why_no_number(text: str) -> str:
    """Return in words why a text is no possible invoice number."""
    if habit := spreadsheet_habit(text):
        return f"{quoted(text)} {habit}"
    problem = (
        f"{quoted(text)} is not a possible invoice number: one to fifteen letters, digits, spaces and - _ . / # are "
        "accepted"
    )
    if (meant := _mistaken(text)) is not None:
        return f"{problem}; most likely it is {quoted(meant)} in UTF-8, which was read in another encoding"
    if odd := odd_character(text):
        return f"{problem}; it has {odd}"
    wrong = next((place for place, letter in enumerate(text) if not _IN_NUMBERS.match(letter)), None)
    if wrong is not None:
        return f"{problem}; it has {text[wrong]} as its {ordinal(wrong + 1)} character"
    if len(text) > _LONGEST_NUMBER:
        return f"{problem}; it has {len(text)} characters"
    return problem


def _mistaken(text: str) -> str | None:
    """Return what a text was before it was taken for windows-1252 or ISO-8859-1; None if it is itself."""
    for encoding in ("cp1252", "latin-1"):
        try:
            meant = text[:_LONGEST].encode(encoding).decode()
        except UnicodeError:
            continue
        if meant != text[:_LONGEST]:
            return meant
    return None


def reversal(text: str, *, signed: bool, example: str = "346.34") -> str | None:
    """Return what to do about an amount that is below zero, or that may be; None if nothing shows that it is.

    Args:
        text: the amount as it is written.
        signed: amounts may be less than zero.
        example: an amount as it is to be written.
    """
    if len(text) > _LONGEST or not any("0" <= letter <= "9" for letter in text):
        return None
    # A currency sign may stand anywhere.
    text = "".join(letter for letter in text if unicodedata.category(letter) != "Sc").strip()
    side = _SIDE.fullmatch(text) or _SIDE_BEFORE.fullmatch(text)
    if side:
        below = f"a reversal like -{example}" if signed else "for a reversal, give what is left paid on the invoice"
        return f"{side[1]} does not say if it is a payment or a reversal: write a payment like {example}, and {below}"
    if text.startswith(("(", "[", "<")) and text.endswith((")", "]", ">")):
        written = f"{'parentheses' if text.startswith('(') else 'brackets'} stand for an amount below zero"
    elif text.endswith(_MINUSES) and not text.startswith(_MINUSES):
        written = "a minus sign after the digits stands for an amount below zero"
    elif text.startswith(_MINUSES) and not text.startswith("-"):
        written = f"{named(text[0])} as its 1st character stands for an amount below zero"
    elif text.startswith("- "):
        written = "a blank stands after the minus sign"
    elif text.startswith("-") and not text.startswith("--") and not signed:
        written = "it is below zero"
    else:
        return None
    if not signed:
        return f"{written}. {BELOW_ZERO}"
    return f"{written}; write a minus sign (-) directly before the digits, like -{example}"


def why_no_amount(text: str, *, signed: bool) -> str:
    """Return in words why a text of a payment document is no amount.

    Args:
        text: the text.
        signed: amounts may be less than zero.
    """
    if habit := spreadsheet_habit(text):
        return f"{quoted(text)} {habit}"
    problem = (
        f"{quoted(text)} is not an amount: digits with a point and at most two decimals are accepted, like 1346.34"
    )
    if amount_of(text.lstrip("-")) == 0:
        return f"{problem}; zero has no sign: write 0.00"
    if below := reversal(text, signed=signed):
        return f"{quoted(text)} is not accepted: {below}"
    hint = too_long(text) or _odd_sign(text)
    return f"{problem}; {hint}" if hint else problem


def too_long(text: str) -> str | None:
    """Return that an amount has too many digits; None if it has not."""
    digits = _DIGITS_ALONE.sub("", text)
    return f"more than {DIGITS} digits are not accepted" if len(digits.lstrip("0")) > DIGITS else None


def _odd_sign(text: str) -> str | None:
    """Return which sign of an amount is not accepted, and what to write; None if all its signs are."""
    other = re.search(r"[^0-9., \u00a0\u202f'\u2019-]+", text)
    if other is not None:
        sign = other[0]
        if unicodedata.category(sign[0]) == "Sc" or (len(text) <= _LONGEST and _CURRENCY.fullmatch(text)):
            return f"it has {quoted(sign)}: write the digits alone; a currency belongs into an element <Currency>"
        if (odd := odd_character(text)) is not None:
            return f"it has {odd}"
        return f"it has {quoted(sign)}: write the digits alone"
    if "-" in text[1:] or text == "-":
        return 'it has "-" where no minus sign may stand: write the digits alone'
    separator = re.search(r"[^0-9.-]", text)
    if separator is not None:
        sign = separator[0]
        what = f"{named(sign)} as its {ordinal(separator.start() + 1)} character" if sign > "~" else quoted(sign)
        return f"it has {what}: write a point before the decimals, and nothing between thousands"
    if re.fullmatch(r"-?[0-9]+\.[0-9]{3,}", text):
        return "round it where it was made"
    if text.count(".") > 1:
        return "it has more than one point"
    return None


def why_no_date(text: str) -> str:
    """Return in words why a text of a payment document is no date."""
    if is_empty_day(text) or text.startswith("0000-00-00"):
        return empty_date(text)
    problem = (
        f"{quoted(text)} is not a date: a day of the years {YEARS.start} to {YEARS.stop - 1}, alone or with a time, is "
        "accepted, like 2016-09-22 or 2016-09-22T12:05:54+01:00"
    )
    hint = _date_hint(text)
    return f"{problem}; {hint}" if hint else problem


def empty_date(text: str) -> str:
    """Return in words that a text is a date that stands for none."""
    return (
        f"{quoted(text)} is an empty date: databases and spreadsheets write it where there is none; give the day of "
        "the payment"
    )


def common_date_hint(text: str) -> str | None:
    """Return what a date is that no notation has; None if nothing shows it."""
    if SERIAL.fullmatch(text):
        return _SERIAL_HINT
    return f"it has {odd}" if (odd := odd_character(text)) else None


def _date_hint(text: str) -> str | None:
    if _BLANK_BEFORE_TIME.fullmatch(text):
        return "write T instead of the blank before the time, or the day alone"
    if hint := common_date_hint(text):
        return hint
    if _ISO.fullmatch(text):
        if int(text[:4]) not in YEARS:
            return "its year is not one of these"
        return "there is no such day; is the month before the day?"
    if _ORDERED.fullmatch(text.split(" ", 1)[0]):
        return "write the year, then the month, then the day, with - between them"
    letters = _LETTERS.search(text[:_LONGEST])
    return f"it has {quoted(letters[0])}, which is not accepted there" if letters else None
