"""A payment in another currency than its invoice's is rejected; the embedded ConnectWise has US dollars."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from support.connectwise import payments_of
from support.documents import document, invoice_payments, records
from support.program import command
from support.results import FAIL, SUCCESS

from watcher.connectwise import rows
from watcher.payments.model import Create, Demand, Payment, Rules
from watcher.payments.planning import plan


def updates(currency, name="Currency"):
    """Return a document of one payment in a currency."""
    return document(("CW-1", "100.00")).replace(b"</DatePaid>", f"</DatePaid><{name}>{currency}</{name}>".encode())


def payments(currency):
    """Return a document of the other shape."""
    paid = {"invoice/identifier": "CW-1", "amount": "100.00", "paymentDate": "2016-09-22", "Currency": currency}
    return invoice_payments(paid)


@pytest.mark.parametrize("make", [updates, payments])
@pytest.mark.parametrize("currency", ["USD", " usd ", "US Dollars", ""])
def test_a_payment_in_the_invoices_currency_is_made(settings, sandbox, tmp_path, make, currency):
    """Letter case does not matter, and a payment may name no currency."""
    assert command("apply", "-", "--config", settings, stdin=make(currency)).code == 0
    assert len(payments_of(sandbox, "CW-1")) == 1
    assert len(records(tmp_path / SUCCESS)) == 1


@pytest.mark.parametrize("make", [updates, payments, lambda currency: updates(currency, "currency")])
def test_a_payment_in_another_currency_is_rejected(settings, sandbox, tmp_path, make):
    """Nothing is set, and the message names both currencies."""
    assert command("apply", "-", "--config", settings, stdin=make("EUR")).code == 1
    assert payments_of(sandbox, "CW-1") == []
    (failed,) = records(tmp_path / FAIL)
    assert failed["ErrorMessage"].startswith("Invoice Number CW-1 is in USD, and this payment is in EUR: ")


def test_two_currencies_of_one_payment_are_a_fault_of_it(settings, tmp_path):
    """Nobody can tell which of them is meant."""
    twice = updates("USD").replace(b"</Currency>", b"</Currency><currency>EUR</currency>")
    assert command("apply", "-", "--config", settings, stdin=twice).code == 1
    (failed,) = records(tmp_path / FAIL)
    assert "Currency and currency both stand in this payment" in failed["ErrorMessage"]


@pytest.mark.parametrize("reference", [None, "USD", {}, {"currencyCode": 7}, {"currencyCode": " "}, [], {"id": 1}])
def test_where_connectwise_names_no_currency_none_is_compared(reference):
    """The payment is planned as one without a currency is."""
    row = {"id": 1, "invoiceNumber": "CW-1", "type": "Standard", "total": 100, "payments": 0, "balance": 100}
    found = rows.invoice(row | {"currency": reference})
    assert found.currencies == ()
    asked = Demand("claim", "CW-1", (Payment(0, 1, "CW-1", Decimal(100), date(2016, 9, 22), currency="EUR"),))
    assert plan(asked, [found], None, Rules()).step == Create(1, Decimal(100), date(2016, 9, 22))
