"""A payment of an amount that its invoice holds already: the same record again, or one that is not counted. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from watcher.payments.dated import Dated
from watcher.payments.model import Payment, money


@dataclass(frozen=True, slots=True)
class Repeat:
    """A record that asks for what its invoice held before.

    Attributes:
        record: the record.
        amount: the amount that the invoice held.
    """

    record: Payment
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Asked:
    """How an earlier record is told from others.

    Attributes:
        external_id: the accounting system's own id of the payment; empty if there was none.
        dated: its day; None if it is not known.
    """

    external_id: str
    dated: Dated | None

    def may_be(self, record: Payment) -> bool:
        """Return True if nothing tells a record from the earlier one."""
        another_id = self.external_id and record.external_id and self.external_id != record.external_id
        return not another_id and self.dated in (None, Dated(record.date_paid))


def warning_of(repeat: Repeat, earlier: Collection[Asked]) -> str | None:
    """Return what the payer should know of a record that asks for what its invoice held before; None if nothing.

    Args:
        repeat: the record.
        earlier: the records of the same invoice by which earlier files set its payment, as far as they are known.
    """
    if not earlier or any(one.may_be(repeat.record) for one in earlier):
        return None
    return (
        f"The invoice held {money(repeat.amount)} already, and no earlier record of it has this externalId and day: "
        "if this is a second instalment of the same amount, it was not added. "
        "An amount must be the total paid on the invoice so far. If your system exports single payments, set "
        'payments.amounts = "each"'
    )
