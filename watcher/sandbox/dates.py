"""Dates of payments: which is kept of the one that was sent, and what becomes of one that is taken off."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from watcher.sandbox.errors import invalid_payment, trouble
from watcher.sandbox.payments import PaymentFields
from watcher.sandbox.rules import Rules


def midnight(day: date | None) -> str | None:
    """Return a day as the API writes it."""
    return None if day is None else f"{day}T00:00:00Z"


def with_kept_date(fields: PaymentFields, before: PaymentFields | None, rules: Rules, now: datetime) -> PaymentFields:
    """Return the fields of a payment with the date that is kept of the one that was sent.

    Args:
        fields: as they were sent.
        before: as they were before; None for a new payment.
        rules: say what is kept.
        now: the time.
    """
    sent = fields.details["paymentDate"]
    if before is not None and sent == before.details["paymentDate"]:
        return fields
    kept = sent
    if isinstance(sent, str) and rules.date_shift_days:
        kept = midnight(date.fromisoformat(sent[:10]) + timedelta(days=rules.date_shift_days))
    elif sent is None and rules.date_by_server:
        kept = midnight(now.date())
    return PaymentFields(fields.amount, {**fields.details, "paymentDate": kept})


def without_removal(operations: object, rules: Rules) -> object:
    """Return the operations of a PATCH as the rules let them take a date off.

    Raises:
        RequestError: 400 or 500, the rules refuse it.
    """
    if not isinstance(operations, list):
        return operations
    kept = []
    for operation in operations:
        is_date = isinstance(operation, Mapping) and str(operation.get("path")).removeprefix("/") == "paymentDate"
        if is_date and operation.get("value") == "" and rules.empty_date:
            kept.append({**operation, "value": None})
        elif not is_date or str(operation.get("op")).lower() != "remove" or rules.date_removal == "allowed":
            kept.append(operation)
        elif rules.date_removal == "refused":
            raise invalid_payment("InvalidField", "paymentDate is required.", "paymentDate")
        elif rules.date_removal == "fails":
            raise trouble()
    return kept
