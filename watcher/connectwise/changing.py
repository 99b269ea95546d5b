"""How a payment row is changed: what ConnectWise is sent, by the operator's choice, and what it must answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from watcher.connectwise.rows import Told
from watcher.payments.model import ZERO, Change, Create, money

ChangeBy = Literal["patch", "put"]
ClearDate = Literal["remove", "empty", "put", "never"]


@dataclass(frozen=True, slots=True)
class Ways:
    """What this ConnectWise understands (``connectwise.change_by`` and ``connectwise.clear_date``).

    Attributes:
        change_by: ``patch`` sends what differs. ``put`` reads the row and sends it back whole.
        clear_date: how a date is taken off: ``remove`` removes the field by a PATCH, ``empty`` replaces it with an
            empty text, ``put`` sends the whole row without it, ``never`` leaves the date as it is.
    """

    change_by: ChangeBy = "patch"
    clear_date: ClearDate = "remove"

    def puts(self, call: Change) -> bool:
        """Return True if a change is made by sending the whole row."""
        return self.change_by == "put" or (call.clear_date and self.clear_date == "put")

    def refusal(self, call: Change) -> str | None:
        """Return why a change is not even tried; None if it is."""
        return 'connectwise.clear_date is "never"' if call.clear_date and self.clear_date == "never" else None

    def operations(self, call: Change) -> list[dict[str, Any]]:
        """Return a PATCH in the developer guide's dialect: bare, case-sensitive paths; values as strings."""
        operations: list[dict[str, Any]] = []
        if call.amount is not None:
            operations.append({"op": "replace", "path": "amount", "value": money(call.amount)})
        if call.date_paid is not None:
            operations.append({"op": "replace", "path": "paymentDate", "value": midnight(call.date_paid)})
        if call.clear_date and self.clear_date == "empty":
            operations.append({"op": "replace", "path": "paymentDate", "value": ""})
        elif call.clear_date:
            operations.append({"op": "remove", "path": "paymentDate"})
        return operations

    def record(self, row: Mapping[str, Any], call: Change) -> dict[str, Any]:
        """Return the whole row to PUT: fields that are left out become empty there.

        Args:
            row: the row as ConnectWise gives it.
            call: what to change of it.
        """
        changed = dict(row)
        if call.amount is not None:
            changed["amount"] = call.amount
        if call.date_paid is not None:
            changed["paymentDate"] = midnight(call.date_paid)
        if call.clear_date and self.clear_date == "empty":
            changed["paymentDate"] = ""
        elif call.clear_date:
            changed.pop("paymentDate", None)
        return changed


def contradiction(call: Create | Change, told: Told) -> str | None:
    """Return in words how the answer to a write contradicts what was sent; None if it does not.

    What the answer does not say contradicts nothing.
    """
    if isinstance(call, Change) and told.id != call.payment_id:
        return f"it is about payment {told.id} where payment {call.payment_id} was changed"
    if None not in (call.amount, told.amount) and told.amount != call.amount:
        return f"payment {told.id} has {money(told.amount or ZERO)} where {money(call.amount or ZERO)} was sent"
    if told.date_paid is None:
        return None
    if call.date_paid is not None and told.date_paid != call.date_paid:
        return f"payment {told.id} has the date {told.date_paid} where {call.date_paid} was sent"
    if isinstance(call, Change) and call.clear_date:
        return f"payment {told.id} has the date {told.date_paid} where the date was taken off"
    return None


def midnight(day: date) -> str:
    """Return a calendar day as ConnectWise stores it: midnight UTC."""
    return f"{day.isoformat()}T00:00:00Z"
