"""The raw JSON of invoices and payment rows, read as far as it goes: nothing that is odd in it stops a proof. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from watcher.payments.model import ZERO, cents

_CENT_DECIMALS = 2
# An amount with more digits than this is none.
_MOST_DIGITS = 18
_TOO_LARGE = 10**_MOST_DIGITS


@dataclass(frozen=True, slots=True)
class Seen:
    """An invoice or a payment row as ConnectWise showed it.

    Attributes:
        raw: its JSON.
    """

    raw: Mapping[str, Any]

    @property
    def id(self) -> int:
        """ConnectWise's id; 0 if there is none."""
        found = self.raw.get("id")
        return found if type(found) is int else 0

    def text(self, name: str) -> str:
        """Return a text; empty if there is none."""
        found = self.raw.get(name)
        return found if isinstance(found, str) else ""

    def amount(self, name: str) -> Decimal | None:
        """Return an amount to the cent; None if there is none."""
        found = self.raw.get(name)
        return cents(Decimal(str(found))) if _is_amount(found) else None

    def shows(self, name: str) -> bool:
        """Return True if there is something in a field."""
        return self.raw.get(name) not in (None, "")

    def decimals(self, name: str) -> int:
        """Return how many decimals an amount has, without zeros at its end, at least two."""
        found = self.raw.get(name)
        if not isinstance(found, Decimal) or not _is_amount(found):
            return _CENT_DECIMALS
        exponent = found.normalize().as_tuple().exponent
        return max(_CENT_DECIMALS, -exponent) if isinstance(exponent, int) else _CENT_DECIMALS

    @property
    def number(self) -> str:
        """The invoice number."""
        return self.text("invoiceNumber").strip()

    @property
    def paid(self) -> Decimal:
        """The sum of an invoice's payments."""
        return self.amount("payments") or ZERO

    @property
    def credits(self) -> Decimal:
        """The sum of the credits that an invoice has."""
        return self.amount("credits") or ZERO

    @property
    def pays(self) -> Decimal:
        """The amount of a payment row."""
        return self.amount("amount") or ZERO

    @property
    def is_credit(self) -> bool:
        """True if a payment row applies a credit."""
        return self.raw.get("credit") is not None

    @property
    def currency(self) -> str:
        """The code of an invoice's currency; empty if it gives none."""
        found = self.raw.get("currency")
        code = (found.get("currencyCode") or found.get("isoCode") or "") if isinstance(found, Mapping) else ""
        return code if isinstance(code, str) else ""


def seen(content: Any) -> list[Seen]:
    """Return the records of a list; none if it is no list."""
    return [Seen(row) for row in content if isinstance(row, Mapping)] if isinstance(content, list) else []


def total(rows: Iterable[Seen]) -> Decimal:
    """Return what payment rows add up to."""
    return sum((row.pays for row in rows), ZERO)


def _is_amount(value: Any) -> bool:
    # JSON's true is an int in Python.
    if type(value) is int:
        return bool(abs(value) < _TOO_LARGE)
    return isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < _MOST_DIGITS
