"""Defines an invoice and its payments as ConnectWise holds them, and what can still be paid on it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from watcher.payments.model import ZERO


@dataclass(frozen=True, slots=True)
class HeldPayment:
    """A payment row of an invoice in ConnectWise (OpenAPI 2025.1, ``InvoicePayment``).

    Attributes:
        id: ConnectWise's id of the row.
        amount: the amount that it pays.
        date_paid: the calendar day of ``paymentDate``; None if the row has no date.
        applies_credit: True if the row applies a credit memo (``credit`` is set). Such a row is no payment.
    """

    id: int
    amount: Decimal
    date_paid: date | None
    applies_credit: bool = False


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice as ConnectWise holds it.

    Attributes:
        id: ConnectWise's id, the ``parentId`` of the payment paths.
        number: the invoice number as ConnectWise writes it.
        type: ``Standard``, ``CreditMemo`` or another type; the list is open.
        total: its total; None if ConnectWise gives none.
        paid: the sum of its payments; None if ConnectWise gives none.
        credits: the sum of the credit memos that were applied to it.
        payments: its payment rows; None if they have not been listed.
        balance: what is left to pay; None if ConnectWise gives none.
        currencies: the names of its currency, such as ``USD``; none if ConnectWise gives none.
    """

    id: int
    number: str
    type: str
    total: Decimal | None
    paid: Decimal | None
    credits: Decimal = ZERO
    payments: tuple[HeldPayment, ...] | None = None
    balance: Decimal | None = None
    currencies: tuple[str, ...] = ()

    @property
    def paying(self) -> list[HeldPayment]:
        """The payments among its rows. A row that applies a credit is none, nor is a row of 0.00 beside a payment."""
        rows = [row for row in self.payments or () if not row.applies_credit]
        return [row for row in rows if row.amount != ZERO] or rows[:1]

    def room(self, held: HeldPayment | None) -> Decimal | None:
        """Return the most that its payment can be; None if ConnectWise does not say.

        The balance knows of taxes, down payments and credits. A search may show an invoice as it was a moment ago, so
        of a balance that does not fit the payment rows the smaller reading counts.

        Args:
            held: its payment; None if it has none.
        """
        if self.balance is None:
            return None if self.total is None else self.total - self.credits
        own = held.amount if held else ZERO
        return self.balance + (own if self.paid is None else min(own, self.paid))

    @property
    def is_stale(self) -> bool:
        """True if the sum of its payments is another one than that of its payment rows."""
        return self.payments is not None and self.paid not in (None, self.listed)

    @property
    def lacks_something(self) -> bool:
        """True if it does not say what is left to pay, or if it is a credit memo."""
        return self.balance is None or not self.type

    @property
    def is_contradicted(self) -> bool:
        """True if the sum of its payments is less than that of its payment rows.

        It may be more: down payments and applied credits may count, too.
        """
        return self.payments is not None and self.paid is not None and self.paid < self.listed

    @property
    def listed(self) -> Decimal:
        """The sum of its payment rows, as far as they are listed."""
        return sum((row.amount for row in self.payments or () if not row.applies_credit), ZERO)
