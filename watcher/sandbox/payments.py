"""A payment row of an invoice: its fields, and how the bodies of POST, PUT and PATCH are read into them.

Names and types are OpenAPI 2025.1's InvoicePayment. What a body must not do here is refused with a 400 and
never bent into shape, because a client that passes here is to pass against the strictest server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from watcher.sandbox.errors import Record, RequestError, invalid_payment, invalid_request, server_fault
from watcher.sandbox.predicates import moment
from watcher.sandbox.rules import Rules

CENT = Decimal("0.01")
"""The smallest amount that can be paid."""

# What ConnectWise's database keeps of an amount.
_SMALLEST = Decimal("0.0001")

_TOO_LARGE = Decimal(10) ** 15
_PLAIN_AMOUNT = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)


class PaymentFields(NamedTuple):
    """What a client can set on a payment.

    Attributes:
        amount: not negative, with two decimals.
        details: the other fields by their names in the API.
    """

    amount: Decimal
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Payment:
    """A row in the list of an invoice's payments.

    Attributes:
        id: the number the server gave it.
        fields: what a client can set.
        credit: the reference to a credit memo when the row is an applied credit, else None.
        updated: when it was last written, as the API writes times.
    """

    id: int
    fields: PaymentFields
    credit: Record | None
    updated: str

    def record(self, invoice: Record, member: str) -> Record:
        """Return the row as the API serves it.

        Args:
            invoice: the record of the invoice it belongs to.
            member: who applied it.
        """
        return {
            "id": self.id,
            # P is what published integrations send for a payment; the code of a credit is a guess.
            "type": "P" if self.credit is None else "C",
            "source": self.fields.details["source"],
            "invoice": {
                "id": invoice["id"],
                "identifier": invoice["invoiceNumber"],
                "applyToType": invoice["applyToType"],
                "invoiceDate": invoice["date"],
                "chargeFirmFlag": False,
            },
            "credit": self.credit,
            "amount": self.fields.amount,
            "balance": None,
            "invoiceBalance": invoice["balance"],
            "invoiceTotal": invoice["total"],
            "paymentDate": self.fields.details["paymentDate"],
            "appliedBy": member,
            **self.fields.details,
            "_info": {"lastUpdated": self.updated, "updatedBy": member},
        }


def exact_cents(amount: object) -> Decimal:
    """Return an amount written with two decimals.

    Raises:
        ValueError: it is no finite Decimal, has more than two decimals, or fifteen digits cannot hold it.
    """
    exact = exact_amount(amount)
    rounded = exact.quantize(CENT)
    if rounded != exact:
        raise ValueError(f"amount {amount} has more than two decimals")
    return rounded


def exact_amount(amount: object) -> Decimal:
    """Return an amount written with two decimals, or with four where it has more than two.

    Raises:
        ValueError: it is no finite Decimal, has more than four decimals, or fifteen digits cannot hold it.
    """
    if not isinstance(amount, Decimal) or not amount.is_finite() or amount.copy_abs() >= _TOO_LARGE:
        raise ValueError(f"amount {amount!s} is not a decimal number of at most 15 digits")
    rounded = amount.quantize(_SMALLEST)
    if rounded != amount:
        raise ValueError(f"amount {amount} has more than four decimals")
    cents = amount.quantize(CENT)
    # The sum rids zero of a minus sign.
    return (cents if cents == amount else rounded) + 0


def read_payment(body: object, invoice_id: int, rules: Rules, today: date) -> PaymentFields:
    """Read the body of a POST or PUT; what it leaves out is null or the default.

    ConnectWise developer guide: PUT replaces everything, fields left out become defaults or null.

    Args:
        body: the parsed JSON.
        invoice_id: the invoice the path names.
        rules: what is done with dates and amounts of zero.
        today: the day it is.

    Raises:
        RequestError: 400, for a field that is wrong, or without an amount.
    """
    if not isinstance(body, Mapping):
        raise invalid_request("The body is not a JSON object.")
    details = dict(DEFAULT_DETAILS)
    amount: Decimal | None = None
    for name, value in body.items():
        if name == "amount":
            amount = _amount(value, rules)
        elif name in details:
            details[name] = _detail(name, value, rules)
        else:
            _settle_for(name, value, invoice_id)
    if amount is None:
        raise _amount_missing()
    return _dated(PaymentFields(amount, details), rules, today)


def patch_payment(fields: PaymentFields, operations: object, rules: Rules, today: date) -> PaymentFields:
    """Return the fields after a PATCH body.

    ConnectWise developer guide: an array of {op: add|replace|remove, path, value}, the path being the
    case-sensitive name of a field; published integrations write it with a leading slash as well.

    Args:
        fields: the fields before.
        operations: the parsed JSON.
        rules: what is done with dates and amounts of zero.
        today: the day it is.

    Raises:
        RequestError: 400, for an operation or a path that is unknown and for a value that is wrong; or what the rules
            say to a date that is removed.
    """
    if not isinstance(operations, list):
        raise invalid_request("expected array format")
    amount, details = fields.amount, dict(fields.details)
    for operation in operations:
        name, value = _operation(operation)
        if name == "amount":
            amount = _amount(value, rules)
        elif name == "paymentDate" and value is None:
            details[name] = _removed_date(details[name], rules)
        elif name in details:
            details[name] = _detail(name, value, rules)
        else:
            raise invalid_payment("InvalidField", f"{name} is not a path that can be patched.", name)
    return _dated(PaymentFields(amount, details), rules, today)


def _operation(operation: object) -> tuple[str, object]:
    if not isinstance(operation, Mapping):
        raise invalid_request("A patch operation is not a JSON object.")
    verb, path = str(operation.get("op")).lower(), operation.get("path")
    if verb not in ("add", "replace", "remove"):
        raise invalid_request(f"The patch operation {verb} is not add, replace or remove.")
    if not isinstance(path, str):
        raise invalid_request("A patch operation has no path.")
    if verb == "remove":
        return path.removeprefix("/"), None
    if "value" not in operation:
        raise invalid_request(f"The patch operation on {path} has no value.")
    return path.removeprefix("/"), operation["value"]


def _amount(value: object, rules: Rules) -> Decimal:
    if value is None:
        raise _amount_missing()
    number = value
    if isinstance(value, str) and _PLAIN_AMOUNT.fullmatch(value):
        number = Decimal(value)
    if isinstance(value, int) and not isinstance(value, bool):
        number = Decimal(value)
    try:
        amount = exact_cents(number)
    except ValueError as error:
        raise invalid_payment("InvalidField", f"{error}.", "amount") from error
    if amount < 0:
        raise invalid_payment("InvalidField", f"amount {amount} is negative.", "amount")
    if amount == 0 and not rules.zero_accepted:
        raise invalid_payment("InvalidField", f"amount {amount} is nothing.", "amount")
    return amount


def _amount_missing() -> RequestError:
    return invalid_payment("MissingRequiredField", "amount is required.", "amount")


def _settle_for(name: str, value: object, invoice_id: int) -> None:
    """Pass over a field that cannot be set or is unknown, unless it asks for something else than there will be."""
    if value is None:
        return
    if name == "invoice":
        if not isinstance(value, Mapping) or value.get("id", invoice_id) != invoice_id:
            raise invalid_payment("InvalidField", f"invoice is not that of the path, {invoice_id}.", name)
    elif name == "type":
        if value != "P":
            raise invalid_payment("InvalidField", f"type {value!r} is not P.", name)
    elif name == "credit":
        raise invalid_payment("InvalidField", "A credit is applied with its credit memo.", name)


def _is_date_time(value: object) -> bool:
    if not isinstance(value, str) or not _DATE_TIME.fullmatch(value):
        return False
    try:
        moment(value)
    except ValueError:
        return False
    return True


def _is_text(value: object) -> bool:
    return isinstance(value, str)


# The default of each field a client can set besides the amount, and what else it may hold (OpenAPI 2025.1).
_DETAILS: Mapping[str, tuple[object, Callable[[object], bool]]] = {
    "source": ("Default", lambda value: value in ("Default", "WisePay")),
    "paymentDate": (None, _is_date_time),
    "paymentSyncStatus": ("Unapplied", lambda value: value in ("Unapplied", "Applied", "Synced")),
    "glBatchID": (None, lambda value: isinstance(value, str) and len(value) <= 50),
    "paymentSyncDate": (None, _is_date_time),
    "paymentAccount": (None, _is_text),
    "aRPaymentAccount": (None, _is_text),
    "wisePayPayment": (None, lambda value: isinstance(value, Mapping)),
}

DEFAULT_DETAILS: Mapping[str, object] = MappingProxyType({name: entry[0] for name, entry in _DETAILS.items()})
"""The fields a client can set besides the amount, as they are when nothing was sent."""


def _detail(name: str, value: object, rules: Rules) -> object:
    default, allowed = _DETAILS[name]
    # Public clients clear a date with an empty text.
    if value is None or (name == "paymentDate" and value == "" and rules.empty_date):
        return default
    if not allowed(value):
        raise invalid_payment("InvalidField", f"{name} cannot be {value!r}.", name)
    if name == "paymentDate" and rules.date_shift_days:
        return _shifted(str(value), rules.date_shift_days)
    return value


def _shifted(text: str, days: int) -> str:
    try:
        return (moment(text).astimezone(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    except OverflowError as error:
        raise invalid_payment("InvalidField", f"paymentDate cannot be {text!r}.", "paymentDate") from error


def _dated(fields: PaymentFields, rules: Rules, today: date) -> PaymentFields:
    """Return the fields with a date, if the server sees to that."""
    if not rules.date_by_server or fields.details["paymentDate"] is not None:
        return fields
    return PaymentFields(fields.amount, {**fields.details, "paymentDate": f"{today}T00:00:00Z"})


def _removed_date(present: object, rules: Rules) -> object:
    """Return what is left of a date that a patch removes."""
    if rules.date_removal == "refused":
        raise invalid_payment("InvalidField", "paymentDate cannot be removed.", "paymentDate")
    if rules.date_removal == "fails":
        raise server_fault()
    return present if rules.date_removal == "ignored" else None
