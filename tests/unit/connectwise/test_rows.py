"""Odd answers: whatever ConnectWise, or a proxy in its place, answers is read right or is its own trouble."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
import simplejson
from support.connectwise import account
from support.line import Hurried
from support.network import Delivery, Fault, Page, Strike, Unreliable, page

from watcher.connectwise import rows
from watcher.connectwise.client import ConnectWise, Written
from watcher.connectwise.http import Gateway
from watcher.connectwise.pace import Pace
from watcher.errors import AnswerLost, Outage, Unreachable
from watcher.payments.invoices import HeldPayment, Invoice
from watcher.payments.model import Change, Create, Remove

NOWHERE = "http://127.0.0.1:1"
POST = Create(7, Decimal("1.00"), None, balance_after=Decimal(0))
DEEP = "[" * 20_000 + "]" * 20_000

# What stands in the place of a value, as it is written in JSON, and whether an amount, an id, a date may be so.
ODD = {
    "a word": '"word"',
    "an amount in words": '"346.34"',
    "an object": '{"value": 1}',
    "a list": "[1]",
    "true": "true",
    "not a number": "NaN",
    "infinite": "-Infinity",
    "a huge exponent": "1e999999999",
    "a huge zero": "0e999999999",
    "a tiny exponent": "1e-999999999",
    "an exponent beyond all bounds": "1e99999999999999999999",
    "many digits": "9" * 4000,
    "more digits": "9" * 5000,
}
# No JSON, to the library that reads it.
UNREADABLE = {ODD[name] for name in ("not a number", "infinite", "an exponent beyond all bounds", "more digits")}
IDS = ODD | {
    "beyond int32": "2147483648",
    "beyond 64 bits": "18446744073709551616",
    "zero": "0",
    "negative": "-1",
    "with a point": "7.0",
    "null": "null",
}
DATES = {"a word": '"soon"', "a number": "20160922", "American": '"9/22/2016 12:00:00 AM"', "true": "true"} | {
    "no such day": '"2016-02-30T00:00:00Z"',
    "an object": "{}",
    "digits": '"20160922"',
    "a long word": f'"{"x" * 5000}"',
    "a day of five digits": '"2016-09-221"',
}
TEXTS = {"a number": "7", "an object": "{}", "true": "true"}


def client(network):
    """Return a client whose waits take no time."""
    return ConnectWise(Gateway(account(network.url), Pace(60000, Hurried())))


def trouble(body, call, status=200):
    """Return the error that a call meets if everything is answered with a body."""
    with Unreliable(NOWHERE, Strike(page(status, body))) as network, pytest.raises((Outage, AnswerLost)) as caught:
        call(client(network))
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()
    return caught.value


def invoice_with(name, written):
    """Return an answer with one invoice that has an odd value."""
    good = {"id": "7", "invoiceNumber": '"CW-1"', "type": '"Standard"', "total": "1", "payments": "0", "credits": "0"}
    return "[{" + ",".join(f'"{key}": {value}' for key, value in (good | {name: written}).items()) + "}]"


@pytest.mark.parametrize("name", ["total", "payments", "credits"])
@pytest.mark.parametrize("written", ODD.values(), ids=ODD)
def test_odd_amount_of_an_invoice_is_connectwises_trouble(name, written):
    """The line waits, and the message names the invoice and the value."""
    error = trouble(invoice_with(name, written), lambda client: client.find_invoices(["CW-1"]))

    assert type(error) is Unreachable
    if written not in UNREADABLE:
        assert f"invoice CW-1 (id 7): {name} " in str(error)
        assert "is no amount" in str(error)


@pytest.mark.parametrize("written", IDS.values(), ids=IDS)
@pytest.mark.parametrize("call", ["find_invoices", "find_by_id", "list_payments", "any_invoice_id"])
def test_odd_id_is_connectwises_trouble(call, written):
    """An id is an int32 from 1; no other reaches the journal."""
    asked = {"find_invoices": (["CW-1"],), "find_by_id": ([7],), "list_payments": (7,), "any_invoice_id": ()}[call]

    assert type(trouble(f'[{{"id": {written}}}]', lambda client: getattr(client, call)(*asked))) is Unreachable


@pytest.mark.parametrize("name", ["invoiceNumber", "type"])
@pytest.mark.parametrize("written", TEXTS.values(), ids=TEXTS)
def test_odd_text_is_connectwises_trouble(name, written):
    """A number in place of a text is not turned into one."""
    error = trouble(invoice_with(name, written), lambda client: client.find_by_id([7]))
    assert f"{name} " in str(error)
    assert "is no text" in str(error)


@pytest.mark.parametrize("written", DATES.values(), ids=DATES)
def test_odd_date_of_a_payment_is_connectwises_trouble(written):
    """The message names the invoice and the payment."""
    body = f'[{{"id": 11, "amount": 1.00, "paymentDate": {written}}}]'

    error = trouble(body, lambda client: client.list_payments(7))

    assert type(error) is Unreachable
    assert "invoice of id 7: payment 11: paymentDate " in str(error)
    assert "is no date" in str(error)


@pytest.mark.parametrize("written", ODD.values(), ids=ODD)
def test_odd_amount_of_a_payment_is_connectwises_trouble(written):
    """Neither a word nor a number without end is an amount."""
    body = f'[{{"id": 11, "amount": {written}}}]'
    assert type(trouble(body, lambda client: client.list_payments(7))) is Unreachable


@pytest.mark.parametrize("written", IDS.values(), ids=IDS)
def test_new_payment_with_an_odd_id_is_unknown(written):
    """The payments are read back: it may have been made."""
    error = trouble(f'{{"id": {written}}}', lambda client: client.carry_out(POST), 201)
    assert type(error) is AnswerLost
    assert error.payment_id is None


@pytest.mark.parametrize("written", ODD.values(), ids=ODD)
def test_new_payment_with_an_odd_balance_is_unknown_but_known_as_ours(written):
    """The row's id is kept, so that it is known which one is ours."""
    error = trouble(f'{{"id": 11, "invoiceBalance": {written}}}', lambda client: client.carry_out(POST), 201)

    assert type(error) is AnswerLost
    if written not in UNREADABLE:
        assert error.payment_id == 11
        assert "invoice of id 7: invoiceBalance " in str(error)


CALLS = {
    "find_invoices": lambda client: client.find_invoices(["CW-1"]),
    "find_by_id": lambda client: client.find_by_id([7]),
    "list_payments": lambda client: client.list_payments(7),
    "any_invoice_id": lambda client: client.any_invoice_id(),
    "version": lambda client: client.version(),
    "POST": lambda client: client.carry_out(POST),
    "PATCH": lambda client: client.carry_out(Change(7, 11, Decimal(1), None)),
}
WRITES = (CALLS["POST"], CALLS["PATCH"])


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    "body",
    ["null", "7", '"x"', "true", "NaN", DEEP, f'{{"id": {DEEP}}}', "[null]", "[[]]", "[7]", '[{"id": {}}]', "{}x", ""],
    ids=lambda body: body[:12] or "nothing",
)
def test_odd_answer_never_ends_the_program(call, body):
    """It is ConnectWise's trouble, and what was written is read back."""
    error = trouble(body, call)
    assert type(error) is (AnswerLost if call in WRITES else Unreachable)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_answer_without_content_is_the_answer_to_nothing_but_a_removal(call):
    """A 204 may come from any proxy. It does not say what ConnectWise holds, nor that it did anything."""
    nothing = Fault(Delivery.NEVER, Page(204))
    with Unreliable(NOWHERE, Strike(nothing)) as network:
        with pytest.raises((Unreachable, AnswerLost)) as caught:
            call(client(network))
        assert type(caught.value) is (AnswerLost if call in WRITES else Unreachable)
        assert client(network).carry_out(Remove(7, 11)) == Written(None)


@pytest.mark.parametrize("status", [203, 206, 299])
def test_any_good_status_with_what_was_asked_for_is_good(status):
    """Only the content says more than the status does."""
    with Unreliable(NOWHERE, Strike(page(status, "[]"))) as network:
        assert client(network).list_payments(7) == ()


@pytest.mark.parametrize("status", [300, 304, 600, 999])
def test_other_status_is_no_answer_whatever_it_holds(status):
    """A status beyond those of HTTP is no good one."""
    body = "" if status == 304 else "[]"
    assert isinstance(trouble(body, lambda client: client.list_payments(7), status), Outage)


def test_list_without_an_end_is_connectwises_trouble():
    """A server that does not know pages answers the same one for ever."""
    body = simplejson.dumps([{"id": number, "amount": 1} for number in range(1, 1001)])
    with Unreliable(NOWHERE, Strike(page(200, body))) as network:
        with pytest.raises(Unreachable, match="has no end: 20 full pages of /finance/invoices/7/payments"):
            client(network).list_payments(7)
        assert len(network.requests) == 20


# --- single values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("0", "0"),
        ("346.34", "346.34"),
        ("-5.10", "-5.10"),
        ("0.30000000000000004", "0.30"),
        ("5.684341886080802E-14", "0.00"),
        ("-5.684341886080802E-14", "0.00"),
        ("346.3401", "346.34"),
        ("346.345", "346.35"),
        ("999999999999999.99", "999999999999999.99"),
        ("1e2", "100"),
    ],
)
def test_amounts_of_all_sane_sizes_are_read(written, amount):
    """Whatever digits binary fractions and ConnectWise's own sums leave, the amount is the nearest cent."""
    content = simplejson.loads(f'[{{"id": 1, "amount": {written}}}]', use_decimal=True)
    assert rows.held_payments(content) == [HeldPayment(1, Decimal(amount), None)]
    assert not rows.held_payments(content)[0].amount.is_signed() or written.startswith("-5.1")


@pytest.mark.parametrize("more", ["", ', "amount": null'], ids=["missing", "null"])
def test_payment_without_an_amount_is_connectwises_trouble(more):
    """It is never read as 0.00."""
    with (
        Unreliable(NOWHERE, Strike(page(200, f'[{{"id": 11{more}}}]'))) as network,
        pytest.raises(Unreachable, match="invoice of id 7: payment 11: it has no amount"),
    ):
        client(network).list_payments(7)


@pytest.mark.parametrize("written", ["2016-09-22", "2016-09-22T00:00:00Z", "2016-09-22 00:00:00", "2016-09-22T1x"])
def test_dates_keep_their_day(written):
    """What follows the day does not count."""
    (row,) = rows.held_payments([{"id": 1, "amount": 1, "paymentDate": written}])
    assert row.date_paid == date(2016, 9, 22)


def test_texts_are_bounded_and_clean():
    """A number of ConnectWise's may go into messages and files."""
    (found,) = rows.invoices([{"id": 1, "invoiceNumber": "CW\x1b[2J" + "7" * 10_000_000, "type": "a\u202eb"}])
    assert found.number.startswith(r"CW\x1b[2J777")
    assert len(found.number) == 100
    assert found.type == r"a\u202eb"
    assert rows.version({"version": None}) == "unknown"


def test_number_is_kept_as_connectwise_writes_it():
    """Blanks around it are part of it."""
    assert rows.invoices([{"id": 1, "invoiceNumber": "  CW-1 "}]) == [Invoice(1, "  CW-1 ", "", None, None)]
