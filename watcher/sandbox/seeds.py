"""What the books of the sandbox start with: invoices, made by rule, read from a file or written in code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

import simplejson

from watcher.sandbox.payments import CENT, exact_amount, exact_cents

INVOICE_TYPES = frozenset(
    ("Agreement", "Consolidated", "CreditMemo", "DownPayment", "Miscellaneous", "Progress", "Standard")
)
"""The types of an invoice: OpenAPI 2025.1, and Consolidated of 2026.4."""

LONGEST_NUMBER = 15
"""How many characters an invoice number may have (OpenAPI 2025.1)."""

_EXAMPLE_ORDINAL = 34251
_EXAMPLE_TOTAL = Decimal("346.34")


class SeedError(ValueError):
    """An invoice or a payment the books could not hold, or a file of them that cannot be read."""


@dataclass(frozen=True, slots=True)
class PaymentSeed:
    """A row an invoice already carries when the sandbox starts.

    Attributes:
        amount: what was paid, not negative, at most two decimals.
        date: the day of the payment, None for none.
        credit: the number of the credit memo when the row is an applied credit and not a payment.

    Raises:
        SeedError: the amount is no such amount.
    """

    amount: Decimal
    date: date | None = None
    credit: str | None = None

    def __post_init__(self) -> None:
        """Refuse what the books could not hold."""
        if _read(exact_cents, self.amount, "amount") < 0:
            raise SeedError(f"amount {self.amount} is negative")


@dataclass(frozen=True, slots=True)
class InvoiceSeed:
    """An invoice the sandbox starts with.

    Attributes:
        number: one to fifteen characters (OpenAPI 2025.1); two invoices may share one.
        total: the amount of the invoice with sales tax, at most four decimals.
        type: one of ``INVOICE_TYPES``.
        payments: the rows it already carries. They are taken as given, so that states can be
            seeded that the API itself would refuse to bring about, such as two payments.
        tax: how much of the total is sales tax, at most four decimals.
        down_payment: how much of the total a down payment has settled already, at most four decimals.

    Raises:
        SeedError: a value breaks one of these rules.
    """

    number: str
    total: Decimal
    type: str = "Standard"
    payments: tuple[PaymentSeed, ...] = ()
    tax: Decimal = Decimal(0)
    down_payment: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        """Refuse what the books could not hold."""
        if not 1 <= len(self.number) <= LONGEST_NUMBER:
            raise SeedError(f"invoice number {self.number!r} is not one to {LONGEST_NUMBER} characters long")
        _read(exact_amount, self.total, f"the total of {self.number}")
        _read(exact_amount, self.tax, f"the tax of {self.number}")
        _read(exact_amount, self.down_payment, f"the down payment of {self.number}")
        if self.type not in INVOICE_TYPES:
            raise SeedError(f"the type of {self.number} is {self.type!r}, not one of {sorted(INVOICE_TYPES)}")


def numbered_invoices(count: int, first: int = 1) -> list[InvoiceSeed]:
    """Return invoices with running numbers and varied totals, the same on every call.

    Args:
        count: how many numbers to run through.
        first: the first of them; 1 gives CW-00001.

    Returns:
        The invoices in order of their numbers. A list that starts at 1 has the invoice of the
        documentation's example, CW-34251 over 346.34, added as one more unless it is among them.
    """
    ordinals = list(range(first, first + count))
    if first == 1 and count < _EXAMPLE_ORDINAL:
        ordinals.append(_EXAMPLE_ORDINAL)
    return [InvoiceSeed(number=f"CW-{ordinal:05d}", total=_total_of(ordinal)) for ordinal in ordinals]


def read_invoices(path: Path | str) -> list[InvoiceSeed]:
    """Read invoices from a JSON file.

    Args:
        path: a file with a list of ``{"number", "total", "type", "tax", "down_payment", "payments": [{"amount",
            "date", "credit"}]}``; number, total and amount are needed, the rest may be left out. Amounts are JSON
            numbers or strings and are read as they are written.

    Returns:
        The invoices in the order of the file.

    Raises:
        SeedError: the file cannot be read or a value is wrong; the message names the file and the place.
    """
    try:
        entries = simplejson.loads(Path(path).read_text(encoding="utf-8"), use_decimal=True)
    except (OSError, ValueError, RecursionError) as error:
        raise SeedError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(entries, list):
        raise SeedError(f"{path}: holds no list of invoices")
    seeds = []
    for ordinal, entry in enumerate(entries, start=1):
        try:
            seeds.append(_invoice(entry))
        except ValueError as error:
            raise SeedError(f"{path}: invoice {ordinal}: {error}") from error
    return seeds


def _total_of(ordinal: int) -> Decimal:
    if ordinal == _EXAMPLE_ORDINAL:
        return _EXAMPLE_TOTAL
    # A prime step spreads the totals over 10.00 to 5,009.99 without repeating soon.
    return Decimal(1000 + ordinal * 7919 % 500_000) * CENT


def _read(exact: Callable[[object], Decimal], value: object, what: str) -> Decimal:
    try:
        return exact(value)
    except ValueError as error:
        raise SeedError(f"{what}: {error}") from error


def _invoice(entry: object) -> InvoiceSeed:
    fields = _known(entry, {"number", "total"}, {"type", "tax", "down_payment", "payments"})
    payments = fields.get("payments", [])
    if not isinstance(payments, list):
        raise SeedError(f"payments is {payments!r}, not a list")
    return InvoiceSeed(
        number=_text(fields["number"], "number"),
        total=_decimal(fields["total"], "total"),
        type=_text(fields.get("type", "Standard"), "type"),
        payments=tuple(_payments(payments)),
        tax=_decimal(fields.get("tax", 0), "tax"),
        down_payment=_decimal(fields.get("down_payment", 0), "down_payment"),
    )


def _payments(entries: list[object]) -> Iterator[PaymentSeed]:
    for ordinal, entry in enumerate(entries, start=1):
        try:
            fields = _known(entry, {"amount"}, {"date", "credit"})
            credit = fields.get("credit")
            yield PaymentSeed(
                amount=_decimal(fields["amount"], "amount"),
                date=_day(fields.get("date")),
                credit=None if credit is None else _text(credit, "credit"),
            )
        except ValueError as error:
            raise SeedError(f"payment {ordinal}: {error}") from error


def _known(entry: object, needed: set[str], optional: set[str]) -> Mapping[str, object]:
    if not isinstance(entry, dict):
        raise SeedError(f"{entry!r} is not an object")
    if missing := needed - entry.keys():
        raise SeedError(f"{', '.join(sorted(missing))} is missing")
    if unknown := entry.keys() - needed - optional:
        raise SeedError(f"{', '.join(sorted(unknown))} is not known here")
    return entry


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise SeedError(f"{name} is {value!r}, not a string")
    return value


def _decimal(value: object, name: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        raise SeedError(f"{name} is {value!r}, not an amount")
    try:
        return Decimal(value)
    except InvalidOperation as error:
        raise SeedError(f"{name} is {value!r}, not an amount") from error


def _day(value: object) -> date | None:
    if value is None:
        return None
    text = _text(value, "date")
    try:
        # The format is spelled out because date.fromisoformat would take the week notation too.
        return datetime.strptime(f"{text}+0000", "%Y-%m-%d%z").date()
    except ValueError as error:
        raise SeedError(f"date is {value!r}, not a day such as 2016-09-22") from error
