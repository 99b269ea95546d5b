"""Demands, invoices and payment rows for tests of the rules about money."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from watcher.payments.invoices import HeldPayment, Invoice
from watcher.payments.model import ZERO, Demand, Payment, Reject, Rules
from watcher.payments.planning import plan

DAY = date(2016, 9, 22)
OTHER = date(2016, 8, 1)
RULES = Rules()
REMOVE = Rules(remove_on_zero=True)


def payment(position=0, amount="100", *, number="CW-1", day=DAY):
    """Return a record that asks for an amount on an invoice."""
    return Payment(position, position + 1, number, Decimal(amount), day)


def demand(*amounts, number="CW-1", day=DAY):
    """Return what a document asks of an invoice."""
    parts = tuple(payment(position, amount, number=number, day=day) for position, amount in enumerate(amounts))
    return Demand("claim", number, parts)


def row(amount, day=None, *, row_id=11, credit=False):
    """Return a payment row that ConnectWise holds."""
    return HeldPayment(row_id, Decimal(amount), day, credit)


def invoice(*rows, total="100", credited="0", **more):
    """Return an invoice that ConnectWise holds, with its payment rows listed."""
    paid = sum((held.amount for held in rows), ZERO)
    given = {"id": 1, "number": "CW-1", "type": "Standard", "total": total and Decimal(total), "paid": paid}
    sums = {name: Decimal(more.pop(name)) for name in ("paid", "balance") if isinstance(more.get(name), str)}
    return Invoice(**(given | {"credits": Decimal(credited), "payments": rows} | more | sums))


def decide(asked, *found, intent=None, rules=RULES):
    """Plan one demand."""
    return plan(asked if isinstance(asked, Demand) else demand(asked), found, intent, rules)


def rejection(decided):
    """Return the words of a plan that rejects."""
    assert isinstance(decided.step, Reject)
    return decided.step.message
