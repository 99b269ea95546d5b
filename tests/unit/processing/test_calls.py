"""New payments whose answers do not tell all: what is read before they count as made."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from watcher.connectwise.client import Written
from watcher.errors import AnswerLost, Scope, Unreachable
from watcher.payments.invoices import HeldPayment, Invoice
from watcher.payments.model import Create
from watcher.processing.calls import Calls

POST = Create(1001, Decimal("60.00"), None, balance_after=Decimal("40.00"))
OURS = HeldPayment(7, Decimal("60.00"), None)
THEIRS = HeldPayment(8, Decimal("30.00"), None)


class Stub:
    """A ConnectWise that answers a POST, a list and a look as told, and remembers what it was asked."""

    def __init__(self, written, rows, balance="40.00"):
        self.asked = []
        self._written, self._rows, self._balance = written, rows, balance

    def carry_out(self, _call):
        """Answer the POST."""
        return self._written

    def list_payments(self, _invoice_id):
        """List the payments."""
        self.asked.append("payments")
        return self._rows

    def read_invoice(self, invoice_id):
        """Read the invoice."""
        self.asked.append("invoice")
        return Invoice(invoice_id, "CW-1", "Standard", Decimal(100), Decimal(60), balance=Decimal(self._balance))


def test_an_answer_without_an_id_is_found_by_a_list():
    """The only payment of its amount is the new one."""
    stub = Stub(Written(None), [OURS])
    assert Calls(stub).make(POST) == 7
    assert stub.asked == ["payments"]


@pytest.mark.parametrize(
    ("rows", "ours"),
    [([], None), ([THEIRS], None), ([OURS, THEIRS], 7), ([OURS, replace(OURS, id=9)], None)],
    ids=["none", "another", "two", "two of the same amount"],
)
def test_an_answer_without_an_id_that_no_list_proves_is_lost(rows, ours):
    """The payments are read back before anything else is done. It is known which one is ours if only one can be."""
    with pytest.raises(AnswerLost) as lost:
        Calls(Stub(Written(None), rows)).make(POST)
    assert lost.value.payment_id == ours


def test_a_balance_that_is_too_low_is_compared_with_the_invoice():
    """If the invoice itself shows what was expected, the answer was wrong, and the payment is made."""
    stub = Stub(Written(7, balance_fits=False, is_short=True), [OURS])
    assert Calls(stub).make(POST) == 7
    assert stub.asked == ["payments", "invoice"]


def test_a_credit_that_came_in_between_is_noticed():
    """Less is left to pay although our payment stands alone: the invoice is looked at again."""
    stub = Stub(Written(7, balance_fits=False, is_short=True), [OURS], balance="-10.00")
    with pytest.raises(AnswerLost, match=r"-10\.00 left to pay where 40\.00 was expected") as lost:
        Calls(stub).make(POST)
    assert lost.value.payment_id == 7


class Hidden(Stub):
    """A ConnectWise that does not list the payments of one invoice."""

    hidden = False
    scope = Scope.REFUSED

    def list_payments(self, invoice_id):
        """Refuse it while it is hidden."""
        if self.hidden:
            self.asked.append("payments")
            error = Unreachable("ConnectWise answered 500")
            error.scope = self.scope
            raise error
        return super().list_payments(invoice_id)


def test_an_invoice_that_cannot_be_listed_makes_no_payment_that_looks_good_unknown():
    """Lists have agreed with the balances before: the payment counts as made, and the next one is proved instead."""
    stub = Hidden(Written(7), [OURS])
    calls = Calls(stub)
    made = [calls.make(POST) for _ in range(200)]
    assert stub.asked == ["payments"]
    stub.hidden = True
    made += [calls.make(POST) for _ in range(2)]
    assert (set(made), stub.asked) == ({7}, ["payments"] * 3)


def test_a_payment_is_unknown_while_nothing_answers():
    """That a list does not come says nothing of the invoice: it is asked for again."""
    stub = Hidden(Written(7), [OURS])
    calls = Calls(stub)
    for _ in range(200):
        calls.make(POST)
    stub.hidden, stub.scope = True, Scope.LOST
    with pytest.raises(AnswerLost) as lost:
        calls.make(POST)
    assert (lost.value.payment_id, lost.value.scope) == (7, Scope.LOST)


def test_a_payment_that_cannot_be_listed_is_unknown_before_any_list_agreed():
    """Nothing has shown yet that the balances of this ConnectWise are true."""
    stub = Hidden(Written(7), [OURS])
    stub.hidden = True
    with pytest.raises(AnswerLost) as lost:
        Calls(stub).make(POST)
    assert (lost.value.payment_id, lost.value.scope) == (7, Scope.REFUSED)
