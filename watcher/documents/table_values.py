"""Reads amounts and dates of a table in their declared notation, and says in words why one is not. Pure."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from decimal import Decimal

from watcher.documents.letters import odd_character, ordinal, quoted
from watcher.documents.table_terms import Notation
from watcher.documents.values import DIGITS, EMPTY_DAYS, YEARS, day_of, is_empty_day
from watcher.documents.wrong_values import common_date_hint, empty_date, reversal, spreadsheet_habit, too_long
from watcher.payments.model import ZERO

# A longer text is no amount and no date (characters).
_LONGEST = 64
# Who writes a blank between thousands writes one of these. In Switzerland, Windows writes the second apostrophe.
_BLANKS = " \u00a0\u202f"
_APOSTROPHES = "'\u2019"
_TIME = re.compile(r"(.+?)[ T][0-9]{1,2}:[0-9]{2}(:[0-9]{2})?(\.[0-9]+)?(Z|[+-][0-9:]{2,6})?")
_PARTS = {"d": 2, "m": 2, "y": 2, "Y": 4, "H": 2, "M": 2, "S": 2}
_DIRECTIVE = re.compile(r"%(.)|([^%])|(%)$", re.DOTALL)


class Amounts:
    """Reads amounts."""

    def __init__(self, notation: Notation) -> None:
        self._notation = notation
        # What stands between thousands, in each way of writing it.
        self._thousands = notation.thousands
        for alike in (_BLANKS, _APOSTROPHES):
            if notation.thousands and notation.thousands in alike:
                self._thousands = alike
        grouped = f"[0-9]{{1,3}}(?:[{self._thousands}][0-9]{{3}})+|" if self._thousands else ""
        sign = f"(?:{re.escape(notation.currency_sign)})?" if notation.currency_sign else ""
        blanks = f"[{_BLANKS}]?" if sign else ""
        self._pattern = re.compile(
            rf"(?P<minus>-)?{sign}{blanks}(?P<inner>-)?(?P<whole>{grouped}[0-9]+)"
            rf"(?:{re.escape(notation.decimal)}(?P<part>[0-9]{{1,2}})0*)?{blanks}{sign}"
        )
        self._known: dict[str, Decimal | None] = {}

    @property
    def example(self) -> str:
        """An amount in the declared notation."""
        return f"1{self._notation.thousands}346{self._notation.decimal}34"

    def amount(self, text: str) -> Decimal | None:
        """Return the amount that a text stands for; None if it is not written as declared."""
        if text in self._known:
            return self._known[text]
        amount = self._read(text)
        # What is too long for an amount must not be remembered.
        if len(self._known) < 8192 and len(text) <= _LONGEST:
            # A table has many payments of the same amounts. Each value takes memory once.
            self._known[text] = amount
        return amount

    def _read(self, text: str) -> Decimal | None:
        match = self._pattern.fullmatch(text) if len(text) <= _LONGEST else None
        if match is None or (match["minus"] and match["inner"]):
            return None
        whole = re.sub("[^0-9]", "", match["whole"])
        part = match["part"] or ""
        if len((whole + part).lstrip("0")) > DIGITS:
            return None
        value = Decimal(f"{whole}.{part}" if part else whole)
        return -value + ZERO if match["minus"] or match["inner"] else value

    def why_not(self, text: str) -> str:
        """Return in words why a text is no amount."""
        if habit := spreadsheet_habit(text):
            return f"{quoted(text)} {habit}"
        signed = self._notation.negative_amounts or self._notation.reverse
        if below := reversal(text, signed=signed, example=self.example):
            return f"{quoted(text)} is not accepted: {below}"
        return f"{quoted(text)} is not an amount like {self.example}: {self._hint(text)}"

    def _hint(self, text: str) -> str:
        notation = self._notation
        if long := too_long(text):
            return long
        if text.startswith("+") and self._read(text[1:]) is not None:
            return "it has a plus sign; write the amount without it"
        bare = text.lstrip("-")
        if notation.currency_sign:
            bare = bare.replace(notation.currency_sign, "", 1).strip()
        others = re.sub(r"[0-9.,' \u00a0\u202f\u2019-]", "", bare)
        if others:
            return _not_of_an_amount(others, text)
        for separator in ".,' \u00a0\u202f\u2019":
            if separator in bare and separator not in (notation.decimal, *self._thousands):
                return f'{quoted(separator)} is neither csv.decimal ("{notation.decimal}") nor csv.thousands'
        if any(separator in bare for separator in self._thousands):
            return f'"{notation.thousands}" (csv.thousands) must stand between groups of three digits'
        if (odd := odd_character(text)) is not None:
            return odd
        return "digits with at most two decimals are accepted"


def _not_of_an_amount(others: str, text: str) -> str:
    """Return in words which characters of a text no amount has."""
    odd = odd_character(others[:1])
    if odd and unicodedata.category(others[0]) != "Sc":
        return odd.replace("its 1st character", f"its {ordinal(text.index(others[0]) + 1)} character")
    if '"' in others:
        return "a quotation mark that does not stand directly after the delimiter is a part of the value"
    declare = "; csv.currency_sign can declare a currency sign" if _may_be_currency(others) else ""
    return f"{quoted(others)} is not accepted{declare}"


def _may_be_currency(text: str) -> bool:
    letters = "".join(letter for letter in text if unicodedata.category(letter) != "Sc")
    return len(letters) <= 3 and len(text) <= 4 and (letters.isalpha() or not letters)


class Dates:
    """Reads dates.

    A date without a year takes the year in which it lies within the period of the file.
    """

    def __init__(self, date_format: str) -> None:
        self._format = date_format
        self._pattern = None if date_format == "iso" else re.compile(pattern_of(date_format))
        self._has_year = date_format == "iso" or "%y" in date_format.lower()
        self.period: tuple[date, date] | None = None
        self._known: dict[str, date | None] = {}

    @property
    def example(self) -> str:
        """A date in the declared form."""
        if self._format == "iso":
            return "2016-09-22"
        return date(2016, 9, 22).strftime(self._format)

    def day(self, text: str) -> date | None:
        """Return the day that a text stands for; None if it is not written as declared, or no day of a payment."""
        day = self._written(text)
        return day if day is not None and day.year in YEARS and day not in EMPTY_DAYS else None

    def _written(self, text: str) -> date | None:
        if self._pattern is None:
            return day_of(text)
        if text in self._known:
            return self._known[text]
        day = self._read(text)
        if len(self._known) < 1024 and len(text) <= _LONGEST:
            self._known[text] = day
        return day

    def _read(self, text: str) -> date | None:
        match = self._pattern.fullmatch(text) if self._pattern and len(text) <= _LONGEST else None
        if match is None:
            return None
        parts = {name: int(value) for name, value in match.groupdict().items() if value is not None}
        if parts.get("H", 0) > 23 or parts.get("M", 0) > 59 or parts.get("S", 0) > 59:
            return None
        years = [parts["Y"]] if "Y" in parts else [2000 + parts["y"]] if "y" in parts else self._years()
        for year in years:
            try:
                day = date(year, parts["m"], parts["d"])
            except ValueError:
                continue
            if self._has_year or (self.period and self.period[0] <= day <= self.period[1]):
                return day
        return None

    def _years(self) -> range:
        return range(self.period[0].year, self.period[1].year + 1) if self.period else range(0)

    def why_not(self, text: str) -> str:
        """Return in words why a text is no date."""
        if habit := spreadsheet_habit(text):
            return f"{quoted(text)} {habit}"
        if is_empty_day(text) if self._pattern is None else self._written(text) in EMPTY_DAYS:
            return empty_date(text)
        return f"{quoted(text)} is not a date like {self.example} (csv.date_format): {self._hint(text)}"

    def _hint(self, text: str) -> str:
        if hint := common_date_hint(text):
            return hint
        if not self._has_year and self.period and self._pattern and self._pattern.fullmatch(text):
            return f"no such day lies between {self.period[0]} and {self.period[1]}, the period of the file"
        timed = _TIME.fullmatch(text[:_LONGEST])
        if timed and (day_of(timed[1]) if self._pattern is None else self._pattern.fullmatch(timed[1])):
            form = "%Y-%m-%d" if self._pattern is None else self._format
            return f'a time stands after it; "{form} %H:%M:%S" would declare one'
        if self._pattern is None or not self._pattern.fullmatch(text):
            return "it is not written in this form"
        return f"there is no such day in the years {YEARS.start} to {YEARS.stop - 1}; are day and month in this order?"


def pattern_of(date_format: str) -> str:
    """Return the pattern of a form of dates.

    A day or month of one digit is accepted, unless another number stands directly before it.

    Args:
        date_format: such as ``%d/%m/%Y``.

    Raises:
        ValueError: it is no form of dates that is known here.
    """
    made = ""
    seen: list[str] = []
    after_digits = False
    for match in _DIRECTIVE.finditer(date_format):
        part, letter = match[1], match[2]
        if letter is not None:
            made += re.escape(letter)
            after_digits = False
            continue
        if part not in _PARTS or part in seen:
            known = ", ".join(f"%{each}" for each in _PARTS)
            raise ValueError(f"{match[0]} is not known here, or stands twice; known are {known}")
        width = _PARTS[part]
        fixed = after_digits or part in "yYMS"
        made += f"(?P<{part}>[0-9]{{{width if fixed else '1,' + str(width)}}})"
        seen.append(part)
        after_digits = True
    if "d" not in seen or "m" not in seen or {"y", "Y"} <= set(seen):
        raise ValueError("%d and %m must stand in it, and %Y or %y unless csv.period_cells gives the year")
    return made
