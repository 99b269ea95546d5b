"""Calls whose answer never came: what they may still do to an invoice, and what puts that right. Pure.

A gateway may carry a request out after its client gave up waiting. So a record can have its outcome while a call that
was made for it before is still on its way. It then makes a second payment, or brings an earlier amount back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from watcher.payments.invoices import HeldPayment
from watcher.payments.model import ZERO, Action, Call, Change, Create, Remove, listed, money


@dataclass(frozen=True, slots=True)
class Settled:
    """What was set last on an invoice.

    Attributes:
        claim_id: the claim of the file that asked for it.
        amount: the amount of the payment; zero if it was removed.
        payment_id: ConnectWise's id of the payment row; None if there is none.
    """

    claim_id: str
    amount: Decimal
    payment_id: int | None


@dataclass(frozen=True, slots=True)
class InDoubt:
    """An invoice on which calls of ours may still be carried out.

    Attributes:
        invoice_id: ConnectWise's id.
        invoice_number: the number as a file wrote it.
        calls: the calls without an answer: what each does, and the amount that it sets.
        settled: what was set last; None if every payment was rejected.
    """

    invoice_id: int
    invoice_number: str
    calls: frozenset[tuple[Action, Decimal]]
    settled: Settled | None = None

    def surplus(self, rows: Sequence[HeldPayment]) -> HeldPayment | None:
        """Return the payment that a late POST made beside another one; None if there is none for certain.

        Args:
            rows: the payments of the invoice, without those that apply a credit.
        """
        if len({row.id for row in rows}) < 2:
            return None
        ours = [row for row in rows if (Action.CREATE, row.amount) in self.calls]
        known = self.settled and self.settled.payment_id
        if any(row.id == known for row in rows):
            ours = [row for row in ours if row.id != known]
        elif len(ours) < len(rows):
            # Somebody else's payment is among them, and nobody can tell which of them should stay.
            return None
        return max(ours, key=lambda row: row.id, default=None)

    def mend(self, rows: Sequence[HeldPayment]) -> Call | None:
        """Return the call that undoes what a late call of ours did; None if none did, or nobody can tell.

        Args:
            rows: the payments of the invoice, without those that apply a credit.
        """
        if self.settled is None:
            return None
        extra = self.surplus(rows)
        if extra is not None:
            return Remove(self.invoice_id, extra.id, surplus=True)
        amount = self.settled.amount
        if not rows and amount != ZERO and any(action is Action.REMOVE for action, _ in self.calls):
            return Create(self.invoice_id, amount, None)
        if len(rows) != 1 or rows[0].amount == amount:
            return None
        if not any((action, rows[0].amount) in self.calls for action in (Action.CREATE, Action.CHANGE)):
            return None
        if amount == ZERO:
            return Remove(self.invoice_id, rows[0].id)
        return Change(self.invoice_id, rows[0].id, amount, None)

    def difference(self, rows: Sequence[HeldPayment]) -> str | None:
        """Return in words how an invoice differs from what was set last; None if it does not.

        Args:
            rows: the payments of the invoice, without those that apply a credit.
        """
        if self.settled is None:
            late = [row for row in rows if {(Action.CREATE, row.amount), (Action.CHANGE, row.amount)} & self.calls]
            if not late:
                return None
            return f"its payment was reported as failed, but payment {late[0].id} of {money(late[0].amount)} is on it"
        amount = self.settled.amount
        if [row.amount for row in rows] == ([] if amount == ZERO else [amount]):
            return None
        there = listed([f"{row.id} of {money(row.amount)}" for row in rows]) or "none"
        return f"the payments on it are {there}, where {money(amount) if amount != ZERO else 'none'} was set last"
