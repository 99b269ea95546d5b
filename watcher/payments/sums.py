"""Payments that are added up (``payments.amounts = "each"``): what was accepted before, and what a file adds. Pure.

Each record is one payment, told apart by its externalId. What is set on an invoice is the sum of all payments that were
ever accepted for it, or as much of the sum as the invoice can take.

* A payment is accepted together with the outcome of its record, in one transaction, and never before: ConnectWise
  holds it then. A rejected record is in no sum, and may be sent again. A kill before that transaction leaves the call
  that was planned for it. The next attempt adds up the same amounts, and finds what that call has set.
* Since every call sets the whole sum, none adds anything by being repeated.
* An accepted payment counts in full, however much of the sum the invoice can take: what is set is the smaller of the
  two. So neither the order nor the files in which payments come change what is set in the end.
* Nothing is added to an amount that is not ours. What ConnectWise holds must be what this program set last, or what a
  call of its own with a lost answer may have set, or nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

from watcher.payments.model import ZERO, Demand, Payment, Rules, money
from watcher.plain import plain

# The longest externalId or file name that is quoted whole in a message (characters).
_LONGEST_QUOTE = 100


@dataclass(frozen=True, slots=True)
class Accepted:
    """A payment that is in the sum of an invoice.

    Attributes:
        external_id: the accounting system's own id of the payment.
        invoice_id: ConnectWise's id of the invoice.
        invoice_number: the number as its file writes it.
        amount: what it adds; less than zero if it takes something off.
        date_paid: its day.
        file: the name of its file.
        claim_id: the file's claim; empty if it was never in the inbox.
        accepted_at: when it was accepted, aware.
    """

    external_id: str
    invoice_id: int
    invoice_number: str
    amount: Decimal
    date_paid: date
    file: str
    claim_id: str
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class Sum:
    """What is known of the payments of one invoice.

    Attributes:
        total: the sum of all payments that were accepted, in full.
        settled: the payment that this program set last, zero if it has none; less than the total if the invoice could
            not take it all.
        latest: the latest day among the accepted payments; None without any.
        intended: what calls of this program may have set since then, which had no outcome.
    """

    total: Decimal = ZERO
    settled: Decimal = ZERO
    latest: date | None = None
    intended: frozenset[Decimal] = frozenset()


@dataclass(frozen=True, slots=True)
class Before:
    """What was accepted before, as far as it matters to some demands.

    Attributes:
        sums: by ConnectWise's id of the invoice.
        accepted: by externalId.
        undecided: the records of files in work that have no outcome yet, by externalId: each with the claim of its file
            and its invoice number. A file is in work by its claim, in the order of claiming.
    """

    sums: Mapping[int, Sum] = field(default_factory=dict)
    accepted: Mapping[str, Accepted] = field(default_factory=dict)
    undecided: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Adding:
    """What one file adds to the sum of one invoice.

    Attributes:
        before: the sum before.
        new: the records that are added.
        repeated: the positions of the records that add nothing: they were accepted before, or stand in the file again.
        accepted_before: the positions of those of them that were accepted before.
        faults: why the other records are rejected, by position.
    """

    before: Sum
    new: tuple[Payment, ...]
    repeated: frozenset[int]
    accepted_before: frozenset[int]
    faults: Mapping[int, str]

    @property
    def amount(self) -> Decimal:
        """The sum afterwards."""
        return self.before.total + sum((part.amount for part in self.new), ZERO)

    @property
    def date_paid(self) -> date:
        """The latest day among all that were accepted then."""
        days = [part.date_paid for part in self.new]
        return max(days if self.before.latest is None else [*days, self.before.latest])

    @property
    def in_words(self) -> str:
        """What is added up, for people."""
        added = "".join(f" {'-' if part.amount < ZERO else '+'} {money(abs(part.amount))}" for part in self.new[:10])
        more = f" and {len(self.new) - 10:,} more" if len(self.new) > 10 else ""
        return f"accepted before {money(self.before.total)}{added}{more} = {money(self.amount)}"

    def note(self, part: Payment) -> str | None:
        """Return what the payer should know of a record that stands in its file before; None if it does not."""
        if part.position not in self.repeated - self.accepted_before:
            return None
        return (
            f"externalId {plain(part.external_id, _LONGEST_QUOTE)} stands several times in this file, and the payment "
            "counts once. If these are several payments, give each an externalId of its own"
        )

    def shares(self, room: Decimal | None) -> dict[int, Decimal]:
        """Return by how much each new record changes what the invoice's payment is, by position.

        The shares of all records that were ever accepted add up to what is set, as long as the invoice can take the
        same.

        Args:
            room: the most that the invoice's payment can be; None if nothing limits it.
        """
        shares, so_far = {}, self.before.total
        for part in self.new:
            then = so_far + part.amount
            shares[part.position] = _at_most(then, room) - _at_most(so_far, room)
            so_far = then
        return shares


@dataclass(frozen=True, slots=True)
class Addition:
    """What a file has added to the sum of an invoice. ConnectWise holds it by now.

    Attributes:
        claim_id: the file's claim; empty if it was never in the inbox.
        invoice_id: ConnectWise's id of the invoice.
        new: the records that were added.
        settled: the payment that is on the invoice now; zero if there is none.
    """

    claim_id: str
    invoice_id: int
    new: tuple[Payment, ...]
    settled: Decimal

    @property
    def amount(self) -> Decimal:
        """By how much the sum is another one."""
        return sum((part.amount for part in self.new), ZERO)

    @property
    def latest(self) -> date:
        """The latest day among what was added."""
        return max(part.date_paid for part in self.new)


def _at_most(amount: Decimal, room: Decimal | None) -> Decimal:
    return amount if room is None else min(amount, room)


def add(demand: Demand, invoice_id: int | None, before: Before, rules: Rules) -> Adding:
    """Tell which records of a file are new payments of an invoice, and add them to what was accepted before.

    If the sum would be below zero, or would become zero where that is rejected, no record that takes something off is
    accepted: nobody can tell which of them is meant. Records that take back another one of the file are accepted, if
    the sum is right with them.

    Args:
        demand: the records, each with an externalId.
        invoice_id: ConnectWise's id of the invoice; None if there is no such invoice, or several.
        before: what was accepted before.
        rules: the operator's choice about zero.
    """
    so_far = Sum() if invoice_id is None else before.sums.get(invoice_id, Sum())
    new: list[Payment] = []
    repeated: set[int] = set()
    accepted: set[int] = set()
    faults: dict[int, str] = {}
    # The same record twice in one file is one payment.
    here: set[str] = set()
    for part in demand.parts:
        known = before.accepted.get(part.external_id)
        if known is not None:
            fault = _differs(part, known, invoice_id)
        else:
            fault = _elsewhere(part, demand, before.undecided.get(part.external_id, ()))
        if fault is not None:
            faults[part.position] = fault
        elif known is not None or part.external_id in here:
            repeated.add(part.position)
            accepted |= {part.position} if known is not None else set()
        else:
            here.add(part.external_id)
            new.append(part)
    adding = Adding(so_far, tuple(new), frozenset(repeated), frozenset(accepted), faults)
    fault = _too_little(adding, rules) if new else None
    if fault is None:
        return adding
    off = {part.external_id for part in new if part.amount < ZERO}
    kept = _without(off - _taking_back(demand, faults), adding)
    if kept.new and (other := _too_little(kept, rules)):
        fault = other
        kept = _without(off, adding)
    gone = {part.external_id for part in new} - {part.external_id for part in kept.new}
    faults |= {part.position: fault for part in demand.parts if part.external_id in gone}
    return replace(kept, repeated=frozenset(repeated - faults.keys()), faults=faults)


def _without(ids: Collection[str], adding: Adding) -> Adding:
    """Return what is added without the payments of some externalIds."""
    return replace(adding, new=tuple(part for part in adding.new if part.external_id not in ids))


def _taking_back(demand: Demand, faults: Mapping[int, str]) -> set[str]:
    """Return the externalIds of the records that take back exactly another record of the same demand.

    Such a record has the other one's externalId, and a word after a slash: a payment that was deleted comes as both.
    """
    amounts = {part.external_id: part.amount for part in demand.parts if part.position not in faults}
    return {
        external_id
        for external_id, amount in amounts.items()
        if amount < ZERO and amounts.get(external_id.rpartition("/")[0]) == -amount
    }


def _too_little(adding: Adding, rules: Rules) -> str | None:
    """Return why a sum cannot be set that takes too much off; None if it can."""
    if adding.amount > ZERO or not any(part.amount < ZERO for part in adding.new):
        return None
    if adding.amount == adding.before.total == ZERO:
        # They take back one another, and nothing is to be set: a payment that was deleted before it ever came.
        return None
    if adding.amount < ZERO:
        return (
            f"The sum of the payments of this invoice would be below zero: {adding.in_words}. "
            "Send the payment that this takes back first, or with it"
        )
    if not rules.remove_on_zero:
        return (
            f"The sum of the payments of this invoice would be zero: {adding.in_words}. "
            'To take the payment off an invoice then, set zero_amount = "remove" in the configuration'
        )
    return None


def _differs(part: Payment, known: Accepted, invoice_id: int | None) -> str | None:
    """Return how a record differs from the accepted one with its externalId; None if it is the same payment."""
    same_invoice = (
        invoice_id == known.invoice_id
        if invoice_id is not None
        else part.invoice_number.casefold() == known.invoice_number.casefold()
    )
    if same_invoice and part.amount == known.amount:
        return None
    then = f"{money(known.amount)}" + ("" if same_invoice else f" for invoice {known.invoice_number}")
    where = f"in {plain(known.file, _LONGEST_QUOTE)}" + (f" (claim {known.claim_id})" if known.claim_id else "")
    now = f"{money(part.amount)}" + ("" if same_invoice else f" for invoice {part.invoice_number}")
    return (
        f"externalId {plain(part.external_id, _LONGEST_QUOTE)} was accepted before with {then}, {where}, and this "
        f"record says {now}. Give another payment another externalId; to correct an accepted one, send the difference "
        "as a payment of its own"
    )


def _elsewhere(part: Payment, demand: Demand, undecided: Sequence[tuple[str, str]]) -> str | None:
    """Return why a record has to wait for one of another invoice that has its externalId; None if there is none."""
    for claim_id, number in undecided:
        # The ids of claims sort in the order of claiming. What is in no file comes after all that is in work.
        earlier = not demand.claim_id or claim_id < demand.claim_id
        if earlier and number.casefold() != demand.key:
            return (
                f"externalId {plain(part.external_id, _LONGEST_QUOTE)} also stands for invoice {number} in a file that "
                f"is in work (claim {claim_id}). Give another payment another externalId; if this is the right "
                "invoice, send it again once that file has failed"
            )
    return None


def conflicts(payments: Iterable[Payment]) -> dict[int, str]:
    """Return why records of one document are rejected whose externalId stands there with several meanings.

    Args:
        payments: the document's payments.

    Returns:
        The reasons by position.
    """
    by_id: dict[str, Payment | list[Payment]] = {}
    for one in payments:
        first = by_id.setdefault(one.external_id, one)
        if isinstance(first, list):
            first.append(one)
        elif first is not one:
            by_id[one.external_id] = [first, one]
    faults: dict[int, str] = {}
    for external_id, same in by_id.items():
        if not isinstance(same, list) or len({_meaning(one) for one in same}) == 1:
            continue
        fault = (
            f"externalId {plain(external_id, _LONGEST_QUOTE)} stands {len(same)} times in this file, with different "
            "amounts or invoices, and nothing is guessed: give each payment an externalId of its own"
        )
        faults |= {one.position: fault for one in same if external_id}
    return faults


def _meaning(payment: Payment) -> tuple[str, Decimal]:
    return payment.invoice_number.casefold(), payment.amount


def foreign(held: Decimal, before: Sum, ours: Iterable[Decimal]) -> str | None:
    """Return why nothing may be added to what an invoice holds; None if it holds what this program set, or nothing.

    Args:
        held: the payment that ConnectWise holds; zero if there is none.
        before: what is known of the invoice.
        ours: what calls of this program may have set whose outcome is not known.
    """
    if held == ZERO or held == before.settled or held in before.intended or any(held == one for one in ours):
        return None
    how = "of which" if held > before.settled else "where"
    to = f"Set it to {money(before.settled)} there, or take it off" if before.settled else "Take it off there"
    return (
        f"ConnectWise holds {money(held)}, {how} this program set {money(before.settled)}; nothing is guessed. "
        f"{to}, and send this again: a payment that was typed in by hand counts if it is sent as a record of its own"
    )
