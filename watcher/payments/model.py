"""The words of this program about money: frozen values that the other modules pass to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

ZERO = Decimal(0)


def money(amount: Decimal) -> str:
    """Give an amount as people and ConnectWise write it: ``346.34``; more decimals only where it has them."""
    exponent = amount.as_tuple().exponent
    places = max(2, -exponent) if isinstance(exponent, int) else 2
    return f"{amount:.{places}f}"


@dataclass(frozen=True, slots=True)
class Payment:
    """A record of a document that says which invoice is paid, how much and when.

    Attributes:
        position: its place among the document's records, from 0.
        line: its line in the document, from 1; 0 where a stylesheet made the document and the line is not known.
        invoice_number: as written, trimmed; empty where only the invoice's id is given and not looked up yet.
        amount: zero or more, at most two decimal places.
        date_paid: the calendar day as written; time and offset dropped.
        invoice_id: ConnectWise's id of the invoice, where the document gives it.
        external_id: the accounting system's own id of the payment; empty where there is none.
    """

    position: int
    line: int
    invoice_number: str
    amount: Decimal
    date_paid: date
    invoice_id: int | None = None
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A record that cannot be read as a payment, and why.

    Attributes:
        position: its place among the document's records, from 0.
        line: its line in the document, from 1; 0 where it is not known.
        invoice_number: as written, trimmed; empty where there is none.
        amount: what it asks where at least that can be read.
        fault: what is wrong and what is accepted, for the payer.
    """

    position: int
    line: int
    invoice_number: str
    amount: Decimal | None
    fault: str


Record = Payment | Misfit


@dataclass(frozen=True, slots=True)
class HeldPayment:
    """A payment row of an invoice in ConnectWise (OpenAPI 2025.1, ``InvoicePayment``).

    Attributes:
        id: ConnectWise's id of the row.
        amount: what it pays.
        date_paid: the calendar day of ``paymentDate``; None where it carries none.
        applies_credit: the row applies a credit memo (``credit`` is set): it is not a payment.
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
        type: ``Standard``, ``CreditMemo``, …; an open list.
        total: None where ConnectWise gives none.
        paid: the sum of its payments; None where ConnectWise does not say.
        credits: the sum of applied credit memos.
        payments: its payment rows; None while they have not been listed.
    """

    id: int
    number: str
    type: str
    total: Decimal | None
    paid: Decimal | None
    credits: Decimal = ZERO
    payments: tuple[HeldPayment, ...] | None = None


@dataclass(frozen=True, slots=True)
class Demand:
    """What one document asks of one invoice.

    Attributes:
        claim_id: the claim the document belongs to.
        invoice_number: the number as the first of its records writes it.
        parts: the records behind it; more than one only where duplicates are summed.
    """

    claim_id: str
    invoice_number: str
    parts: tuple[Payment, ...]

    @property
    def amount(self) -> Decimal:
        """The sum of its parts."""
        return sum((part.amount for part in self.parts), ZERO)

    @property
    def date_paid(self) -> date:
        """The latest day among its parts."""
        return max(part.date_paid for part in self.parts)

    @property
    def invoice_ids(self) -> set[int]:
        """The ids of the invoice that its parts give; one at most, unless the document contradicts itself."""
        return {part.invoice_id for part in self.parts if part.invoice_id is not None}

    @property
    def key(self) -> str:
        """Equal for two demands on the same invoice: the number case-folded, as answers are compared."""
        return self.invoice_number.casefold()


class Action(StrEnum):
    """What is done to an invoice's payment."""

    CREATE = "create"
    CHANGE = "change"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Create:
    """POST a payment.

    Attributes:
        date_paid: the day, or None to send none.
        balance_after: what the invoice will have left to pay if no other payment has come meanwhile; None if unknown.
    """

    invoice_id: int
    amount: Decimal
    date_paid: date | None
    balance_after: Decimal | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Change:
    """PATCH the payment row; only what differs is set.

    Attributes:
        amount: the new amount, or None to leave it.
        date_paid: the new day, or None to leave it.
        clear_date: take the date off the row.
    """

    invoice_id: int
    payment_id: int
    amount: Decimal | None
    date_paid: date | None
    clear_date: bool = False


@dataclass(frozen=True, slots=True)
class Remove:
    """DELETE a payment row.

    Attributes:
        surplus: it is the second of two rows that a lost answer of ours left; the other one stays and is looked at
            again.
    """

    invoice_id: int
    payment_id: int
    surplus: bool = False


Call = Create | Change | Remove


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing to do: ConnectWise holds what is asked."""

    invoice_id: int
    payment_id: int | None


@dataclass(frozen=True, slots=True)
class Reject:
    """Nothing is done: the payment cannot be set, and why."""

    message: str


@dataclass(frozen=True, slots=True)
class Intent:
    """A call that was planned, written down, and perhaps sent, before its answer was known.

    Attributes:
        action: what was going to be done.
        amount: the amount that was to be set.
        warning: what the payer was to be told once it was done.
    """

    action: Action
    amount: Decimal
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about one demand.

    Attributes:
        demand: what is asked.
        step: the call to make, or that there is none to make.
        amount: what the invoice's payment will be afterwards.
        warnings: what the payer should know once it is done.
        applied: True where the step is Keep because an earlier attempt of this same claim did it.
    """

    demand: Demand
    step: Call | Keep | Reject
    amount: Decimal = ZERO
    warnings: tuple[str, ...] = ()
    applied: bool = False

    @property
    def rejects(self) -> bool:
        """Whether its records are rejected."""
        return isinstance(self.step, Reject)


@dataclass(frozen=True, slots=True)
class Rules:
    """The choices an operator makes about money (``[payments]`` of the configuration)."""

    sum_duplicates: bool = False
    remove_on_zero: bool = False
    date_partial_payments: bool = False
