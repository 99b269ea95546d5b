"""The other document, InvoicePayments: what is read, looked up by id, paid, and given back in its own shape."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from lxml import etree
from support.connectwise import invoice, payments_of
from support.documents import invoice_payments, records
from support.line import Hurried, connect

from watcher.actions.apply import apply, preview
from watcher.documents.reading import read
from watcher.documents.writing import write_results
from watcher.errors import DocumentError, SignInRefused
from watcher.payments.model import Misfit, Payment, Rules
from watcher.payments.outcomes import Outcome

GOOD = {"amount": "346.34", "paymentDate": "2016-09-22T00:00:00Z", "invoice/identifier": "CW-1"}


def without(name):
    """Give a good payment without one of its elements."""
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.fixture
def settle(start_sandbox):
    """Apply a document to some invoices; give the results, the books and both result files."""

    def run(data, *invoices, rules=None):
        sandbox = start_sandbox(*invoices)
        *_, applied = apply(data, *connect(sandbox.url, Hurried()), rules or Rules())
        return applied, sandbox, write_results(data, applied.results)

    return run


@pytest.mark.parametrize(
    ("given", "number", "invoice_id"),
    [
        pytest.param(GOOD, "CW-1", None, id="identifier"),
        pytest.param(without("invoice/identifier") | {"invoice/id": " 1001 "}, "", 1001, id="id"),
        pytest.param(GOOD | {"invoice/id": "1001"}, "CW-1", 1001, id="both"),
    ],
)
def test_payment_is_read_with_its_invoice_and_external_id(given, number, invoice_id):
    """The invoice is named by number or by ConnectWise's id; the payment's own id means nothing here."""
    content = invoice_payments({"id": "9", "externalId": " R-1 "} | given)

    (record,) = read(content)

    assert record == Payment(0, 3, number, Decimal("346.34"), date(2016, 9, 22), invoice_id, "R-1")


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (without("amount"), "amount is missing"),
        (without("paymentDate"), "paymentDate is missing"),
        (without("invoice/identifier"), "invoice holds neither identifier nor id"),
        (GOOD | {"amount": "1,5"}, 'amount "1,5" is not an amount'),
        (GOOD | {"paymentDate": "soon"}, 'paymentDate "soon" is not a date'),
        (GOOD | {"invoice/identifier": "CW*"}, 'identifier "CW*" is not a possible invoice number'),
        (GOOD | {"invoice/id": "0x1"}, 'invoice id "0x1" is not an id'),
        (GOOD | {"invoice/id": "-1"}, 'invoice id "-1" is not an id'),
        (GOOD | {"invoice/id": "2147483648"}, 'invoice id "2147483648" is not an id'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_fault_of_a_payment_names_the_element_of_its_own_shape(given, fault):
    """The message speaks of what stands in the file, with its line."""
    (record,) = read(invoice_payments(given))

    assert isinstance(record, Misfit)
    assert fault in record.fault
    assert "(line 3)" in record.fault


@pytest.mark.parametrize("name", ["invoice", "amount", "paymentDate", "externalId"])
def test_element_that_stands_twice_is_the_payments_fault(name):
    """Which of two is meant is never guessed."""
    content = invoice_payments({"externalId": "R-1"} | GOOD)
    twice = etree.fromstring(content)
    twice[0].append(etree.fromstring(etree.tostring(twice[0].find(name))))

    (record,) = read(etree.tostring(twice))

    assert f"{name} stands 2 times" in record.fault


def test_record_of_the_other_shape_is_refused():
    """One document has one shape."""
    content = invoice_payments(GOOD).replace(b"InvoicePayment>", b"UpdateInvoicePayment>")

    with pytest.raises(DocumentError, match="<UpdateInvoicePayment> stands where only <InvoicePayment> is expected"):
        read(content)


def test_an_invoice_without_a_number_that_is_named_by_its_id_is_not_said_to_be_missing(settle):
    """It is there, so what is wrong with it is said."""
    data = invoice_payments(without("invoice/identifier") | {"invoice/id": "1001"})
    applied, sandbox, _ = settle(data, invoice(" ", "346.34"))
    assert "The invoice with id 1001 has no number in ConnectWise" in applied.results[0].message
    assert payments_of(sandbox, " ") == []


def test_payments_are_set_and_come_back_in_the_shape_of_their_input(settle):
    """By number, by id and by both; each record in one result file, with everything it had."""
    data = invoice_payments(
        {"id": "1", "externalId": "R-1"} | GOOD,
        {"externalId": "R-2", "amount": "5.00", "paymentDate": "2016-09-22", "invoice/id": "1002", "memo": "by id"},
        GOOD | {"invoice/identifier": "CW-3", "invoice/id": "1003"},
        GOOD | {"invoice/identifier": "NONE"},
        without("invoice/identifier") | {"invoice/id": "9999"},
        GOOD | {"invoice/identifier": "CW-4", "invoice/id": "1003"},
    )

    applied, sandbox, (success, fail) = settle(data, *(invoice(f"CW-{number}", "346.34") for number in range(1, 5)))

    messages = [result.message for result in applied.results]
    assert messages[:3] == [None, None, None]
    assert "Cannot find Invoice Number NONE" in messages[3]
    assert "Cannot find an invoice with id 9999 (line 27)" in messages[4]
    assert "Invoice Number CW-4 has the id 1004 in ConnectWise, not 1003" in messages[5]
    assert [payments_of(sandbox, f"CW-{number}")[0]["amount"] for number in (1, 2, 3)] == [
        *(Decimal("346.34"), Decimal("5.00"), Decimal("346.34")),
    ]
    assert payments_of(sandbox, "CW-4") == []
    assert [etree.fromstring(file).tag for file in (success, fail)] == ["InvoicePayments"] * 2
    assert [record.get("externalId") for record in records(success)] == ["R-1", "R-2", None]
    assert records(success)[1]["memo"] == "by id"
    assert [record["ErrorMessage"] for record in records(fail)] == messages[3:]
    assert [record.invoice_id for record in read(fail)] == [None, 9999, 1003]


def test_invoice_named_once_by_number_and_once_by_id_stands_twice(settle):
    """Two names of one invoice do not make two payments of it."""
    data = invoice_payments(GOOD, without("invoice/identifier") | {"invoice/id": "1001"})

    applied, sandbox, _ = settle(data, invoice("cw-1", "346.34"))

    assert [result.outcome for result in applied.results] == [Outcome.REJECTED] * 2
    assert "stands 2 times in this file (lines 3, 8)" in applied.results[0].message
    assert payments_of(sandbox, "cw-1") == []


def test_one_of_several_invoices_of_a_number_is_meant_by_its_id(settle):
    """An id tells apart what a number does not."""
    data = invoice_payments(GOOD | {"invoice/id": "1002"})

    applied, _, _ = settle(data, invoice("CW-1", "346.34"), invoice("CW-1", "400.00"))

    assert (applied.results[0].outcome, applied.results[0].invoice_id) == (Outcome.APPLIED, 1002)


def test_many_ids_are_looked_up_in_few_requests(settle):
    """Ids cost as little as numbers: one look-up for 250 of them, and none by number afterwards."""
    data = invoice_payments(
        *({"amount": "1", "paymentDate": "2016-09-22", "invoice/id": f"{1000 + n}"} for n in range(1, 251))
    )

    applied, sandbox, _ = settle(data, *(invoice(f"CW-{n}", "1.00") for n in range(1, 251)))

    assert {result.outcome for result in applied.results} == {Outcome.APPLIED}
    looked_up = sum(count for route, count in sandbox.books()["requests"].items() if route == "GET /finance/invoices")
    assert looked_up == 1


def test_outage_while_ids_are_looked_up_leaves_every_payment_open(start_sandbox):
    """No payment fails because its invoice could not be asked for."""
    sandbox = start_sandbox(invoice("CW-1", "346.34"))
    data = invoice_payments(without("invoice/identifier") | {"invoice/id": "1001"})
    client, workers = connect(sandbox.url, Hurried(), private_key="wrong")

    *_, applied = apply(data, client, workers, Rules())

    assert applied.results == (None,)
    assert isinstance(applied.held_up_by, SignInRefused)
    with pytest.raises(SignInRefused):
        preview(data, client, workers, Rules())
