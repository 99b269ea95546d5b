"""Defines the values about money that other modules pass on: payments, demands, steps, plans. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from watcher.payments.dated import Dated

if TYPE_CHECKING:
    # What is added up is made of what is defined here.
    from watcher.payments.sums import Adding

ZERO = Decimal(0)
_CENT = Decimal("0.01")
# The most things that one message names.
_MOST_NAMED = 10


def listed(names: Sequence[object]) -> str:
    """Return names in words: the first ten, and how many more there are.

    Each of many records may get a message about all of them, so its length must not grow with their number.
    """
    words = ", ".join(str(name) for name in names[:_MOST_NAMED])
    return words if len(names) <= _MOST_NAMED else f"{words} and {len(names) - _MOST_NAMED:,} more"


def cents(amount: Decimal) -> Decimal:
    """Return an amount of ConnectWise's rounded to the cent: its own sums have up to four decimals (``346.3401``)."""
    # Nothing below half a cent stays, not even its sign.
    return amount.quantize(_CENT, ROUND_HALF_UP) + ZERO


def money(amount: Decimal) -> str:
    """Return an amount as people and ConnectWise write it: ``346.34``; with more decimals only if it has more."""
    exponent = amount.as_tuple().exponent
    places = max(2, -exponent) if isinstance(exponent, int) else 2
    return f"{amount:.{places}f}"


@dataclass(frozen=True, slots=True)
class Payment:
    """A record of a document that says which invoice is paid, how much, and when.

    Attributes:
        position: its place among the document's records, from 0.
        line: its line in the document, from 1; 0 if a stylesheet made the document and the line is not known.
        invoice_number: the number as written, trimmed; empty if the document gives the id alone and the number has not
            been looked up yet.
        amount: with at most two decimal places; less than zero only where payments are added up.
        date_paid: the calendar day as written, without time and offset.
        invoice_id: ConnectWise's id of the invoice; None if the document does not give it.
        external_id: the accounting system's own id of the payment; empty if there is none.
        currency: the currency as written; empty if the record gives none.
        number_in_file: the number as the file has it, if a prefix makes it another one; else empty.
        unit: what its line is called: a table has rows.
    """

    position: int
    line: int
    invoice_number: str
    amount: Decimal
    date_paid: date
    invoice_id: int | None = None
    external_id: str = ""
    currency: str = ""
    number_in_file: str = ""
    unit: str = "line"

    @property
    def amount_as_written(self) -> str:
        """Empty: its amount can be read."""
        return ""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A record that cannot be read as a payment, and the reason.

    Attributes:
        position: its place among the document's records, from 0.
        line: its line in the document, from 1; 0 if it is not known.
        invoice_number: the number as written, trimmed; empty if there is none.
        amount: the amount; None if it cannot be read.
        fault: what is wrong, and what is accepted, in words for the payer.
        amount_as_written: the amount as it stands in the document, if it cannot be read; else empty.
        number_in_file: the number as the file has it, if a prefix makes it another one; else empty.
        unit: what its line is called: a table has rows.
    """

    position: int
    line: int
    invoice_number: str
    amount: Decimal | None
    fault: str
    amount_as_written: str = ""
    number_in_file: str = ""
    unit: str = "line"


Record = Payment | Misfit


# A claim's id, and the position of a record in its document.
DemandId = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Demand:
    """What one document asks of one invoice.

    Attributes:
        claim_id: the id of the claim to which the document belongs.
        invoice_number: the number as its first record writes it.
        parts: its records; more than one only if duplicates are summed, or payments are added up.
        adds: True if each part is a payment of its own, to be added to all that were accepted before. Otherwise its
            amount is the total paid on the invoice so far.
    """

    claim_id: str
    invoice_number: str
    parts: tuple[Payment, ...]
    adds: bool = False

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
        """The invoice ids that its parts give; more than one only if the document contradicts itself."""
        return {part.invoice_id for part in self.parts if part.invoice_id is not None}

    @property
    def id(self) -> DemandId:
        """Its claim and the position of its first record, which no other demand has."""
        return self.claim_id, self.parts[0].position

    @property
    def key(self) -> str:
        """The case-folded number, by which ConnectWise's answers are compared; equal for demands on one invoice."""
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
        date_paid: the day; None to send none.
        balance_after: what will be left to pay on the invoice, unless another payment comes in between; None if it is
            not known.
    """

    invoice_id: int
    amount: Decimal
    date_paid: date | None
    balance_after: Decimal | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Change:
    """PATCH a payment row, and set only what differs.

    Attributes:
        amount: the new amount; None to leave it.
        date_paid: the new day; None to leave it.
        clear_date: remove the date from the row.
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
        surplus: True if a lost answer made us POST twice and this is the second row. The other row stays, and the
            demand is planned again.
    """

    invoice_id: int
    payment_id: int
    surplus: bool = False


Call = Create | Change | Remove


def action_of(call: Call) -> Action:
    """Return what a call does."""
    match call:
        case Create():
            return Action.CREATE
        case Change():
            return Action.CHANGE
        case Remove():
            return Action.REMOVE


@dataclass(frozen=True, slots=True)
class Keep:
    """Do nothing: ConnectWise already holds what is asked.

    Attributes:
        payment_id: the id of the payment row; None if the invoice has none.
    """

    invoice_id: int
    payment_id: int | None


@dataclass(frozen=True, slots=True)
class Reject:
    """Do nothing: the payment cannot be set.

    Attributes:
        message: the reason, in words for the payer.
    """

    message: str


@dataclass(frozen=True, slots=True)
class Intent:
    """A call as it is written down before it is made. Whether it was sent is not known.

    Attributes:
        action: what the call does.
        amount: the amount that it sets.
        warning: what the payer should know once the call has succeeded.
        invoice_id: ConnectWise's id of the invoice; None if it is not known.
        dated: the date that the payment has afterwards; None if it is not known.
        repeats: as for the plan.
    """

    action: Action
    amount: Decimal
    warning: str | None = None
    invoice_id: int | None = field(default=None, compare=False)
    dated: Dated | None = None
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about one demand.

    Attributes:
        demand: what is asked.
        step: the call to make; Keep or Reject if there is none to make.
        amount: the amount of the invoice's payment afterwards.
        warnings: what the payer should know once the step has been taken.
        applied: True if the step is Keep because an earlier attempt of the same claim made the call.
        date_paid: the date of the invoice's payment afterwards; None if it has none.
        repeats: True if the invoice held the very amount that is asked before any attempt of the same claim.
        adding: what is added to the sum of the invoice, where payments are added up.
        room: the most that the invoice's payment can be, as far as that matters to ``adding``.
    """

    demand: Demand
    step: Call | Keep | Reject
    amount: Decimal = ZERO
    warnings: tuple[str, ...] = ()
    applied: bool = False
    date_paid: date | None = None
    repeats: bool = False
    adding: Adding | None = None
    room: Decimal | None = None

    @property
    def rejects(self) -> bool:
        """True if its records are rejected."""
        return isinstance(self.step, Reject)


@dataclass(frozen=True, slots=True)
class Dates:
    """What ConnectWise has done so far with the dates that it was sent.

    Attributes:
        sent: the day that was last set on a payment row in this run and answered well, by ConnectWise's id of the row;
            None if the day was taken off.
        stays: ConnectWise's words when it refused to take the date off this invoice's payment; None if it did not.
    """

    sent: Mapping[int, date | None] = field(default_factory=dict)
    stays: str | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's choices about money (``[payments]`` in the configuration).

    Attributes:
        sum_duplicates: add up the records of one invoice in one document. Otherwise they are rejected.
        remove_on_zero: an amount of zero removes the invoice's payment. Otherwise it is rejected.
        date_partial_payments: give a date to payments that leave the invoice partly paid, too.
        list_first: list the payments of an invoice before its first payment, too (``connectwise.list_first``).
        add_up: every record is one payment, to be added to all that were accepted before (``amounts = "each"``).
            Otherwise an amount is the total paid on the invoice so far, and ``sum_duplicates`` counts.
    """

    sum_duplicates: bool = False
    remove_on_zero: bool = False
    date_partial_payments: bool = False
    list_first: bool = False
    add_up: bool = False
