"""What ConnectWise's answers hold: the only place that reads them, and that doubts them. Pure.

A value is what its kind allows, or the answer is not understood: an id is an int32, an amount is a finite number of a
sane size, a date is a date. Texts are bounded and cleaned here. So nothing that an answer holds can end the program.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from watcher.payments.invoices import HeldPayment, Invoice
from watcher.payments.model import ZERO, cents
from watcher.plain import plain

# ConnectWise's ids are int32 in OpenAPI.
_LARGEST_ID = 2**31 - 1
# An amount has at most so many digits before the point, and so many after it: what is left of binary fractions is long.
_MOST_DIGITS = 18
_MOST_DECIMALS = 60
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)", re.ASCII)
# The longest text that is kept of an answer, and that a message quotes of a value (characters).
_LONGEST_TEXT = 100
_LONGEST_QUOTE = 40


class NotUnderstood(ValueError):
    """An answer does not hold what was asked for.

    Attributes:
        payment_id: ConnectWise's id of the payment row that it is about, if the answer says that much.
    """

    def __init__(self, message: str, payment_id: int | None = None) -> None:
        super().__init__(message)
        self.payment_id = payment_id


def invoice(content: Any) -> Invoice:
    """Read an invoice."""
    return _invoice(record(content))


def invoices(content: Any) -> list[Invoice]:
    """Read a list of invoices."""
    return [_invoice(row) for row in _rows(content)]


def held_payments(content: Any) -> list[HeldPayment]:
    """Read a list of an invoice's payment rows."""
    return [_held_payment(row) for row in _rows(content)]


@dataclass(frozen=True, slots=True)
class Told:
    """What the answer to a write says of the payment row; None for what it does not say.

    Attributes:
        id: ConnectWise's id of the row.
        amount: its amount.
        date_paid: the calendar day of its date.
        balance: what is left to pay on the invoice.
    """

    id: int | None
    amount: Decimal | None = None
    date_paid: date | None = None
    balance: Decimal | None = None


def told(content: Any) -> Told:
    """Read the answer to a new or changed payment."""
    row = record(content)
    # A payment without an id can be found by a list. What has no amount either is no payment.
    payment_id = None if row.get("id") is None and row.get("amount") is not None else _id(row)
    try:
        return Told(
            payment_id, _amount(content, "amount"), _day(content, "paymentDate"), _amount(content, "invoiceBalance")
        )
    except NotUnderstood as error:
        raise NotUnderstood(str(error), payment_id) from error


def ids(content: Any) -> list[int]:
    """Read the ids of a list of rows."""
    return [_id(row) for row in _rows(content)]


def gone(content: Any) -> None:
    """Read the answer to a removal, which is none (204)."""
    if content is not None:
        raise NotUnderstood("a removal is answered by nothing")


def number(content: Any) -> str:
    """Read the number of an invoice, and nothing else of it."""
    return _text(record(content), "invoiceNumber")


def version(content: Any) -> str:
    """Read the version of ConnectWise."""
    return _text(record(content), "version") or "unknown"


def _rows(content: Any) -> list[dict[str, Any]]:
    if not isinstance(content, list):
        raise NotUnderstood(f"{_shown(content)} is no list")
    return [record(row) for row in content]


def record(row: Any) -> dict[str, Any]:
    """Read a record of any kind."""
    if not isinstance(row, dict):
        raise NotUnderstood(f"{_shown(row)} is no record")
    return row


def _invoice(row: dict[str, Any]) -> Invoice:
    invoice_id, number = _id(row), _text(row, "invoiceNumber")
    try:
        return Invoice(
            id=invoice_id,
            number=number,
            type=_text(row, "type"),
            total=_amount(row, "total"),
            paid=_amount(row, "payments"),
            credits=_amount(row, "credits") or ZERO,
            balance=_amount(row, "balance"),
            currencies=_currencies(row.get("currency")),
        )
    except NotUnderstood as error:
        raise NotUnderstood(f"invoice {number or 'without a number'} (id {invoice_id}): {error}") from error


def _currencies(reference: Any) -> tuple[str, ...]:
    """Read the names of a currency (OpenAPI 2025.1, ``CurrencyReference``; older versions have ``isoCode``).

    Returns:
        Its names, as they are written; none where none can be read. No payment waits for that.
    """
    if not isinstance(reference, dict):
        return ()
    names = [reference.get(key) for key in ("currencyCode", "currencyIdentifier", "isoCode", "name")]
    written = [name.strip()[:_LONGEST_TEXT] for name in names if isinstance(name, str)]
    return tuple(dict.fromkeys(name for name in written if name))


def _held_payment(row: dict[str, Any]) -> HeldPayment:
    payment_id = _id(row)
    try:
        return HeldPayment(
            id=payment_id,
            amount=_given_amount(row, "amount"),
            date_paid=_day(row, "paymentDate"),
            applies_credit=bool(row.get("credit")),
        )
    except NotUnderstood as error:
        raise NotUnderstood(f"payment {payment_id}: {error}", payment_id) from error


def _id(row: dict[str, Any]) -> int:
    value = row.get("id")
    if type(value) is not int or not 1 <= value <= _LARGEST_ID:
        raise NotUnderstood(f"id {_shown(value)} is no id")
    return value


def _amount(row: dict[str, Any], name: str) -> Decimal | None:
    """Read an amount, to the cent."""
    value = row.get(name)
    if value is None:
        return None
    # JSON's true is an int in Python, and its NaN a float.
    amount = Decimal(value) if type(value) in (int, Decimal) else Decimal("NaN")
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or amount.adjusted() >= _MOST_DIGITS or -exponent > _MOST_DECIMALS:
        raise NotUnderstood(f"{name} {_shown(value)} is no amount")
    return cents(amount)


def _given_amount(row: dict[str, Any], name: str) -> Decimal:
    """Read an amount that must be there: nothing is never taken for 0.00."""
    amount = _amount(row, name)
    if amount is None:
        raise NotUnderstood(f"it has no {name}")
    return amount


def _day(row: dict[str, Any], name: str) -> date | None:
    value = row.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and (found := _DAY.match(value)):
        try:
            return date.fromisoformat(found[0])
        except ValueError:
            pass
    raise NotUnderstood(f"{name} {_shown(value)} is no date")


def _text(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise NotUnderstood(f"{name} {_shown(value)} is no text")
    return plain(value, _LONGEST_TEXT)


def _shown(value: Any) -> str:
    """Return a value as a message quotes it."""
    if isinstance(value, str):
        return f'"{plain(value, _LONGEST_QUOTE)}"'
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return "null" if value is None else plain(str(value), _LONGEST_QUOTE)
