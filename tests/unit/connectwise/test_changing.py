"""How a payment is changed, by the operator's choice: against a ConnectWise that takes nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from support.connectwise import account, invoice, payments_of
from support.documents import document
from support.line import Hurried
from support.program import command, configure

from watcher.connectwise.changing import Ways, contradiction
from watcher.connectwise.client import ConnectWise
from watcher.connectwise.http import Gateway
from watcher.connectwise.pace import Pace
from watcher.connectwise.rows import Told
from watcher.errors import Rejection
from watcher.payments.model import Change, Create
from watcher.sandbox import PaymentSeed, Rules

DAY, OTHER = date(2016, 9, 22), date(2016, 9, 21)
PAID = PaymentSeed(Decimal("100.00"), DAY)
PARTIAL = Change(1001, 50001, Decimal("60.00"), None, clear_date=True)
REFUSES_REMOVE = {"date_removal": "refused"}


@pytest.fixture
def change(start_sandbox):
    """Return a function that makes a change in some way; it returns the amount and the date of the row afterwards."""

    def make(call, ways, **rules):
        sandbox = start_sandbox(invoice("CW-1", "100.00", payments=(PAID,)), rules=Rules(**rules))
        (row,) = payments_of(sandbox, "CW-1")
        gateway = Gateway(account(sandbox.url), Pace(60000, Hurried()))
        ConnectWise(gateway, ways).carry_out(replace(call, payment_id=row["id"]))
        (row,) = payments_of(sandbox, "CW-1")
        return str(row["amount"]), row["paymentDate"], [write["method"] for write in sandbox.books()["writes"]]

    return make


@pytest.mark.parametrize(
    ("ways", "rules", "method"),
    [
        (Ways(), {}, "PATCH"),
        (Ways(clear_date="empty"), {"empty_date": True, **REFUSES_REMOVE}, "PATCH"),
        (Ways(clear_date="put"), REFUSES_REMOVE, "PUT"),
        (Ways(change_by="put"), {"change_fails": True}, "PUT"),
        (Ways(change_by="put", clear_date="put"), {"change_fails": True}, "PUT"),
        (Ways(change_by="put", clear_date="empty"), {"change_fails": True, "empty_date": True}, "PUT"),
    ],
    ids=str,
)
def test_each_way_takes_a_date_off_with_the_amount(change, ways, rules, method):
    """One write sets the amount and takes the date off."""
    assert change(PARTIAL, ways, **rules) == ("60.00", None, [method])


@pytest.mark.parametrize("ways", [Ways(), Ways(clear_date="put"), Ways(change_by="put")], ids=str)
@pytest.mark.parametrize("day", [None, date(2016, 10, 1)])
def test_each_way_leaves_what_is_not_asked_for(change, ways, day):
    """A change of the amount alone keeps the date, and one of the date keeps the amount."""
    amount = Decimal("60.00") if day is None else None
    held = change(Change(1001, 0, amount, day), ways)
    assert held[:2] == (("60.00", f"{DAY}T00:00:00Z") if day is None else ("100.00", f"{day}T00:00:00Z"))
    assert held[2] == ["PUT" if ways.change_by == "put" else "PATCH"]


def test_a_date_that_is_never_taken_off_costs_no_write(change):
    """The client refuses before it sends anything, so that the payment is planned again without the date."""
    with pytest.raises(Rejection, match="never"):
        change(PARTIAL, Ways(clear_date="never"))


@pytest.mark.parametrize(
    ("settings", "rules", "dated"),
    [
        ({}, {}, False),
        ({"clear_date": "empty"}, {"empty_date": True, **REFUSES_REMOVE}, False),
        ({"clear_date": "put"}, {"date_removal": "fails"}, False),
        ({"clear_date": "never"}, {"date_removal": "fails"}, True),
        ({"change_by": "put"}, {"change_fails": True}, False),
    ],
    ids=str,
)
def test_apply_sets_the_amount_in_each_way(folders, start_sandbox, tmp_path, settings, rules, dated):
    """The settings reach the calls. Where the date stays, the payer is told, and a second run changes nothing."""
    sandbox = start_sandbox(invoice("CW-1", "100.00", payments=(PAID,)), rules=Rules(**rules))
    config = configure(folders, sandbox.url, connectwise=settings)
    for outcome in ("applied", "unchanged"):
        done = command("apply", "--json", "--config", config, stdin=document(("CW-1", "60.00")))
        assert done.code == 0, done.err
        assert json.loads(done.out)["totals"][outcome] == "60.00"
        (row,) = payments_of(sandbox, "CW-1")
        assert (str(row["amount"]), row["paymentDate"]) == ("60.00", f"{DAY}T00:00:00Z" if dated else None)
        told = 'does not take the date 2016-09-22 off this payment: connectwise.clear_date is "never"'
        success = next(tmp_path.glob("*_success.xml")).read_text()
        assert (told in success) == dated


MADE = Create(7, Decimal("60.00"), DAY)
CHANGED = Change(7, 11, Decimal("60.00"), None, clear_date=True)


@pytest.mark.parametrize(
    ("call", "told", "words"),
    [
        (MADE, Told(11), None),
        (MADE, Told(11, Decimal("60.00"), DAY, Decimal(0)), None),
        (MADE, Told(11, Decimal("59.99")), "payment 11 has 59.99 where 60.00 was sent"),
        (MADE, Told(11, None, OTHER), f"payment 11 has the date {OTHER} where {DAY} was sent"),
        (replace(MADE, date_paid=None), Told(11, Decimal("60.00"), DAY), None),
        (CHANGED, Told(11, Decimal("60.00")), None),
        (CHANGED, Told(12), "it is about payment 12 where payment 11 was changed"),
        (CHANGED, Told(11, Decimal("60.00"), DAY), f"payment 11 has the date {DAY} where the date was taken off"),
        (Change(7, 11, None, DAY), Told(11, Decimal("1.00"), DAY), None),
        (Change(7, 11, Decimal("60.00"), None), Told(11, Decimal("60.00"), DAY), None),
    ],
)
def test_an_answer_contradicts_only_what_was_sent(call, told, words):
    """What was not sent, or is not said, is no contradiction."""
    assert contradiction(call, told) == words
