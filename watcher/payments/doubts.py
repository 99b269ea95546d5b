"""Calls whose answer never came: what they may still do to an invoice, and what puts that right. Pure.

A gateway may carry a request out after its client gave up waiting. So a record can have its outcome while a call that
was made for it before is still on its way. It then makes a second payment, or brings an earlier amount or date back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from watcher.payments.dated import Dated
from watcher.payments.invoices import HeldPayment
from watcher.payments.model import ZERO, Action, Call, Change, Create, Intent, Remove, listed, money


@dataclass(frozen=True, slots=True)
class LateCall:
    """A call that may still be carried out.

    Attributes:
        action: what it does.
        amount: the amount that it sets.
        dated: the date that the payment has afterwards; None if it is not known.
    """

    action: Action
    amount: Decimal
    dated: Dated | None = None


def late_call(intent: Intent) -> LateCall:
    """Return the call that was planned."""
    return LateCall(intent.action, intent.amount, intent.dated)


@dataclass(frozen=True, slots=True)
class Settled:
    """What was set last on an invoice.

    Attributes:
        claim_id: the claim of the file that asked for it.
        amount: the amount of the payment; zero if it was removed.
        payment_id: ConnectWise's id of the payment row; None if there is none.
        dated: its date; None if it is not known.
    """

    claim_id: str
    amount: Decimal
    payment_id: int | None
    dated: Dated | None = None

    def differs_in_date(self, row: HeldPayment) -> bool:
        """Return True if a payment is known to have another date."""
        return self.dated is not None and self.dated.on != row.date_paid


@dataclass(frozen=True, slots=True)
class InDoubt:
    """An invoice on which calls of ours may still be carried out.

    Attributes:
        invoice_id: ConnectWise's id.
        invoice_number: the number as a file wrote it.
        calls: the calls without an answer.
        settled: what was set last; None if every payment was rejected.
    """

    invoice_id: int
    invoice_number: str
    calls: frozenset[LateCall]
    settled: Settled | None = None

    def surplus(self, rows: Sequence[HeldPayment]) -> HeldPayment | None:
        """Return the payment that a late POST made beside another one; None if there is none for certain.

        Args:
            rows: the payments of the invoice, without those that apply a credit.
        """
        if len({row.id for row in rows}) < 2:
            return None
        ours = [row for row in rows if self._may_set(row.amount, Action.CREATE)]
        known = self.settled and self.settled.payment_id
        if any(row.id == known for row in rows):
            ours = [row for row in ours if row.id != known]
        elif len(ours) < len(rows):
            # Somebody else's payment is among them, and nobody can tell which of them should stay.
            return None
        return max(ours, key=lambda row: row.id, default=None)

    def mend(self, rows: Sequence[HeldPayment]) -> Call | None:
        """Return the next call that undoes what a late call of ours did; None if none did, or nobody can tell.

        An amount is set again before a date: ConnectWise may refuse to change the date.

        Args:
            rows: the payments of the invoice, without those that apply a credit.
        """
        if self.settled is None:
            return None
        extra = self.surplus(rows)
        if extra is not None:
            return Remove(self.invoice_id, extra.id, surplus=True)
        amount, dated = self.settled.amount, self.settled.dated
        if not rows and amount != ZERO and any(call.action is Action.REMOVE for call in self.calls):
            return Create(self.invoice_id, amount, dated.on if dated else None)
        if len(rows) != 1:
            return None
        row = rows[0]
        if row.amount != amount:
            if not self._may_set(row.amount, Action.CREATE, Action.CHANGE):
                return None
            return Change(self.invoice_id, row.id, amount, None) if amount != ZERO else Remove(self.invoice_id, row.id)
        if dated is None or not self.settled.differs_in_date(row) or not self._may_date(row):
            return None
        return Change(self.invoice_id, row.id, None, dated.on, clear_date=dated.on is None)

    def difference(self, rows: Sequence[HeldPayment]) -> str | None:
        """Return in words how an invoice differs from what was set last; None if it does not.

        Args:
            rows: the payments of the invoice, without those that apply a credit.
        """
        if self.settled is None:
            late = [row for row in rows if self._may_set(row.amount, Action.CREATE, Action.CHANGE)]
            if not late:
                return None
            return f"its payment was reported as failed, but payment {late[0].id} of {money(late[0].amount)} is on it"
        settled, amount = self.settled, self.settled.amount
        if [row.amount for row in rows] != ([] if amount == ZERO else [amount]):
            there = listed([f"{row.id} of {money(row.amount)}" for row in rows]) or "none"
            return f"the payments on it are {there}, where {money(amount) if amount != ZERO else 'none'} was set last"
        if rows and settled.differs_in_date(rows[0]):
            return f"payment {rows[0].id} on it has {Dated(rows[0].date_paid)}, where {settled.dated} was set last"
        return None

    def _may_set(self, amount: Decimal, *actions: Action) -> bool:
        """Return True if a late call of one of some kinds sets an amount."""
        return any(call.action in actions and call.amount == amount for call in self.calls)

    def _may_date(self, row: HeldPayment) -> bool:
        """Return True if a late call gives a payment the date that it has."""
        dated = Dated(row.date_paid)
        return any(call.action is not Action.REMOVE and call.dated == dated for call in self.calls)
