"""The rules that can be bent, each over HTTP: what a client sees of a ConnectWise that differs."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import requests
import simplejson
from support.connectwise import invoice
from support.sandbox import API, INVOICES, Client, found, numbers

from watcher.sandbox import InvoiceSeed, PaymentSeed

Play = Callable[..., Client]
INVOICE = f"{INVOICES}/1001"
PAYMENTS = f"{INVOICE}/payments"
ROW = f"{PAYMENTS}/500001"
LONG = 3600
DAY = "2016-09-22T00:00:00Z"
REMOVE_DATE = [{"op": "replace", "path": "amount", "value": "2.00"}, {"op": "remove", "path": "paymentDate"}]
SECURITY = "You do not have security permission to perform this action."


def paid(*amounts: str, total: str = "100.00", **more: Any) -> InvoiceSeed:
    """Return an invoice CW-1 that holds payments of a day."""
    day = datetime(2016, 9, 22, tzinfo=UTC).date()
    return invoice("CW-1", total, payments=tuple(PaymentSeed(Decimal(amount), day) for amount in amounts), **more)


def amounts(client: Client, path: str = INVOICE) -> dict[str, Decimal]:
    """Return the amounts of an invoice, exactly."""
    record = simplejson.loads(client.get(path).text, use_decimal=True)
    names = ("subtotal", "salesTax", "total", "downpaymentApplied", "payments", "credits", "balance")
    return {name: record[name] for name in names}


def pay(client: Client, amount: str, **more: object) -> requests.Response:
    """Post a payment on CW-1."""
    return client.post(PAYMENTS, json={"type": "P", "amount": amount, **more})


# --- what an invoice is worth -----------------------------------------------------------------------------------------


def test_total_holds_the_sales_tax(play: Play) -> None:
    """The total is the sum of subtotal and tax, and all of it can be paid."""
    client = play(paid("10.00", total="121.00", tax=Decimal("21.00")))
    assert amounts(client) == {
        "subtotal": 100,
        "salesTax": 21,
        "total": 121,
        "downpaymentApplied": 0,
        "payments": 10,
        "credits": 0,
        "balance": 111,
    }
    assert client.patch(ROW, json=[{"op": "replace", "path": "amount", "value": "121.00"}]).status_code == 200
    assert client.patch(ROW, json=[{"op": "replace", "path": "amount", "value": "121.01"}]).status_code == 400


def test_total_can_leave_the_sales_tax_out(play: Play) -> None:
    """The total is without tax, while the balance has it."""
    client = play(invoice("CW-1", "121.00", tax=Decimal("21.00")), total_without_tax=True)
    assert (amounts(client)["total"], amounts(client)["balance"]) == (100, 121)
    assert pay(client, "121.00").status_code == 201


@pytest.mark.parametrize(("rule", "total"), [(False, 100), (True, 70)])
def test_a_down_payment_lowers_what_is_to_be_paid(play: Play, rule: bool, total: int) -> None:
    """The balance is less the down payment, whether or not the total is."""
    client = play(invoice("CW-1", "100.00", down_payment=Decimal("30.00")), total_without_down_payment=rule)
    shown = amounts(client)
    assert (shown["total"], shown["downpaymentApplied"], shown["balance"]) == (total, 30, 70)
    assert pay(client, "70.01").status_code == 400
    assert pay(client, "70.00").json()["invoiceBalance"] == 0


def test_a_total_can_have_more_than_two_decimals(play: Play) -> None:
    """A seed gives such a total; what can be paid is whole cents."""
    client = play(invoice("CW-1", "346.3401"))
    assert amounts(client)["balance"] == Decimal("346.3401")
    assert pay(client, "346.3401").status_code == 400
    assert pay(client, "346.34").status_code == 201
    assert amounts(client)["balance"] == Decimal("0.0001")


@pytest.mark.parametrize(("decimals", "total"), [(2, "346.34"), (3, "346.341"), (4, "346.3401")])
def test_totals_of_whole_cents_gain_decimals(play: Play, decimals: int, total: str) -> None:
    """The rule gives every total of whole cents one unit of its last decimal more, and leaves the others."""
    client = play(invoice("CW-1", "346.34"), invoice("CW-2", "1.0005"), total_decimals=decimals)
    assert amounts(client)["total"] == Decimal(total)
    assert amounts(client, f"{INVOICES}/1002")["total"] == Decimal("1.0005")


def test_a_row_of_nothing_is_a_row(play: Play) -> None:
    """An invoice whose payments are 0.00 can hold a row, which stands in the way of a second one and can be changed."""
    client = play(paid("0.00"))
    assert amounts(client)["payments"] == 0
    assert [row["amount"] for row in client.get(PAYMENTS).json()] == [0]
    assert pay(client, "5.00").status_code == 400
    assert client.patch(ROW, json=[{"op": "replace", "path": "amount", "value": "5.00"}]).json()["amount"] == 5


def test_a_payment_of_nothing_can_be_refused(play: Play) -> None:
    """Neither POST nor PUT nor PATCH brings a payment to 0.00."""
    client = play(paid("1.00"), zero_accepted=False, second_payment="accepted")
    assert pay(client, "0.00").status_code == 400
    assert client.put(ROW, json={"amount": 0}).status_code == 400
    assert client.patch(ROW, json=[{"op": "replace", "path": "amount", "value": "0"}]).status_code == 400


# --- searching --------------------------------------------------------------------------------------------------------


def test_search_can_lag(play: Play) -> None:
    """Lists and counts with conditions show what was; an invoice by id, its payments and the whole list do not."""
    client = play(invoice("CW-1", "100.00"), invoice("CW-2", "100.00"), search_lag_seconds=LONG)
    assert pay(client, "1.00").status_code == 201
    query = {"conditions": 'invoiceNumber in ("CW-1", "CW-2")'}
    assert [one["payments"] for one in found(client, **query)] == [0, 0]
    assert numbers(client, conditions="payments = 1.00") == []
    assert client.get(f"{INVOICES}/count", params={"conditions": "payments > 0"}).json() == {"count": 0}
    assert client.get(INVOICE).json()["payments"] == 1
    assert len(client.get(PAYMENTS).json()) == 1
    assert [one["payments"] for one in found(client)] == [1, 0]
    client.sandbox.pass_time(LONG)
    assert [one["payments"] for one in found(client, **query)] == [1, 0]


def test_search_lags_through_every_state(play: Play) -> None:
    """Each state of an invoice is shown so long after it began."""
    client = play(paid("1.00"), search_lag_seconds=LONG)
    seen = []
    for amount in ("2.00", "3.00"):
        client.patch(ROW, json=[{"op": "replace", "path": "amount", "value": amount}])
        seen.append(found(client, conditions="id = 1001")[0]["payments"])
        client.sandbox.pass_time(LONG / 2)
    seen.append(found(client, conditions="id = 1001")[0]["payments"])
    client.sandbox.pass_time(LONG / 2)
    seen.append(found(client, conditions="id = 1001")[0]["payments"])
    assert seen == [1, 1, 2, 3]


def test_lists_can_lack_fields(play: Play) -> None:
    """Lists have no balance and no credits, even if they are asked for; an invoice by id has them."""
    client = play(invoice("CW-1", "100.00"), balance_in_lists=False, credits_in_lists=False)
    (listed,) = found(client)
    assert not {"balance", "credits"} & listed.keys()
    assert found(client, fields="id,balance,total") == [{"id": 1001, "total": 100}]
    assert found(client, conditions="balance = 100.00") == [listed]
    assert client.get(INVOICE).json()["balance"] == 100


def test_search_can_find_nothing(play: Play) -> None:
    """Lists and counts with conditions are empty; an invoice by its id is there, and so is the whole list."""
    client = play(invoice("CW-1", "100.00"), search_works=False)
    assert found(client, conditions="id = 1001") == []
    assert client.get(f"{INVOICES}/count", params={"conditions": "id > 0"}).json() == {"count": 0}
    assert client.get(INVOICES, params={"conditions": "nothing = 1"}).status_code == 400
    assert (len(found(client)), client.get(INVOICE).status_code) == (1, 200)


@pytest.mark.parametrize(
    ("condition", "ignored", "exact"),
    [
        ('invoiceNumber = "cw-1"', ["CW-1", "cw-1"], ["cw-1"]),
        ('invoiceNumber in ("cw-1", "CW-2", "Cw-1")', ["CW-1", "CW-2", "cw-1"], ["CW-2", "cw-1"]),
        ('invoiceNumber not in ("cw-1")', ["CW-2"], ["CW-1", "CW-2"]),
        ('invoiceNumber like "cw%"', ["CW-1", "CW-2", "cw-1"], ["cw-1"]),
        ('invoiceNumber = "CW*"', ["CW-1", "CW-2", "cw-1"], ["CW-1", "CW-2"]),
        ('invoiceNumber contains "w-1"', ["CW-1", "cw-1"], ["cw-1"]),
        ('type = "standard" and invoiceNumber > "a"', ["CW-1", "CW-2", "cw-1"], ["cw-1"]),
    ],
)
def test_letter_case_of_numbers_can_count(play: Play, condition: str, ignored: list[str], exact: list[str]) -> None:
    """Whether a number is found in another letter case is a rule; other texts are found in any."""
    invoices = [invoice(number, "1.00") for number in ("CW-1", "CW-2", "cw-1")]
    assert numbers(play(*invoices), conditions=condition) == ignored
    assert numbers(play(*invoices, numbers_by_case=True), conditions=condition) == exact


# --- lasting faults ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "status", "message"), [("refuses", 403, SECURITY), ("fails", 500, "String was not recognized")]
)
def test_writes_to_an_invoice_can_fail_for_good(play: Play, rule: str, status: int, message: str) -> None:
    """Every write to one invoice fails and changes nothing; other invoices and all reads work."""
    client = play(paid("1.00"), invoice("CW-2", "100.00"), **{rule: ("CW-1",)})
    answers = [
        pay(client, "2.00"),
        client.put(ROW, json={"amount": 2}),
        client.patch(ROW, json=[{"op": "replace", "path": "amount", "value": "2.00"}]),
        client.delete(ROW),
    ]
    assert [answer.status_code for answer in answers] == [status] * 4
    assert all(message in answer.json()["message"] for answer in answers)
    assert [row["amount"] for row in client.get(PAYMENTS).json()] == [1]
    assert client.post(f"{INVOICES}/1002/payments", json={"amount": 1}).status_code == 201
    writes: Any = client.sandbox.books()["writes"]
    assert [write["status"] for write in writes] == [status] * 4 + [201]


@pytest.mark.parametrize("status", [403, 500])
def test_all_writes_can_fail(play: Play, status: int) -> None:
    """No write works, not even on an invoice that there is not; an invoice with a rule of its own keeps that."""
    client = play(*(invoice(f"CW-{number}", "9.00") for number in (1, 2)), refuses_all=status, fails=("CW-2",))
    paths = [f"{INVOICES}/{number}/payments" for number in (1001, 1002, 9)]
    assert [client.post(path, json={"amount": 1}).status_code for path in paths] == [status, 500, status]


@pytest.mark.parametrize(("rules", "status"), [({}, 500), ({"hides_status": 403}, 403)])
def test_listing_payments_can_fail(play: Play, rules: dict[str, int], status: int) -> None:
    """The list of one invoice's payments is refused for good, while its payments can be written."""
    client = play(paid("1.00"), invoice("CW-2", "9.00"), hides=("CW-1",), **rules)
    assert client.get(PAYMENTS).status_code == status
    assert client.get(f"{INVOICES}/1002/payments").status_code == 200
    assert (client.get(ROW).status_code, client.delete(ROW).status_code) == (200, 204)


def test_patches_can_fail_while_puts_work(play: Play) -> None:
    """A well-formed PATCH always gets 500 and changes nothing; a PUT of the record as it was read works."""
    client = play(paid("1.00"), change_fails=True)
    patched = client.patch(ROW, json=[{"op": "replace", "path": "amount", "value": "2.00"}])
    assert (patched.status_code, patched.json()["code"]) == (500, "ConnectWiseApi")
    assert client.patch(ROW, json={}).json()["message"] == "expected array format"
    record = client.get(ROW).json()
    assert record["amount"] == 1
    assert client.put(ROW, json={**record, "amount": 2}).json()["amount"] == 2


# --- second payments and answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "status", "left"),
    [
        ("refused", 400, [(500001, 1)]),
        ("accepted", 201, [(500001, 1), (500002, 2)]),
        ("replaces", 201, [(500001, 2)]),
    ],
)
def test_a_second_payment_has_a_rule(play: Play, rule: str, status: int, left: list[tuple[int, int]]) -> None:
    """A second POST is refused, joins the first, or replaces it under its id."""
    client = play(paid("1.00"), second_payment=rule)
    answer = pay(client, "2.00")
    assert (answer.status_code, answer.json().get("id")) == (status, left[-1][0] if status == 201 else None)
    assert [(row["id"], row["amount"]) for row in client.get(PAYMENTS).json()] == left
    assert amounts(client)["payments"] == sum(amount for _, amount in left)


def test_a_replacing_payment_spares_credits(play: Play) -> None:
    """A row that applies a credit stays when a second payment replaces the first."""
    rows = (PaymentSeed(Decimal("40.00"), credit="CM-1"), PaymentSeed(Decimal("60.00")))
    client = play(invoice("CW-1", "100.00", payments=rows), second_payment="replaces")
    assert pay(client, "60.01").status_code == 400
    assert pay(client, "59.00").status_code == 201
    assert [row["amount"] for row in client.get(PAYMENTS).json()] == [40, 59]


@pytest.mark.parametrize(
    ("rule", "balances"),
    [("true", [99, 98, 97]), ("stale", [100, 99, 98]), ("missing", [None, None, None]), ("low", [98, 96, 94])],
)
def test_the_balance_in_an_answer_has_a_rule(play: Play, rule: str, balances: list[int | None]) -> None:
    """The answer to a write tells the balance after it, the one before it, too little, or none; the list is true."""
    client = play(invoice("CW-1", "100.00"), invoice_balance=rule)
    answers = [
        pay(client, "1.00"),
        client.patch(ROW, json=[{"op": "replace", "path": "amount", "value": 2}]),
        client.put(ROW, json={"amount": 3}),
    ]
    assert [answer.json().get("invoiceBalance") for answer in answers] == balances
    assert client.get(PAYMENTS).json()[0]["invoiceBalance"] == 97


def test_answers_can_lack_the_id(play: Play) -> None:
    """The answer to a write shows no id; the list and the row alone do."""
    client = play(invoice("CW-1", "100.00"), id_in_answers=False)
    answers = [
        pay(client, "1.00"),
        client.patch(ROW, json=[{"op": "replace", "path": "amount", "value": 2}]),
        client.put(ROW, json={"amount": 3}),
    ]
    assert [(answer.status_code, answer.json().get("id")) for answer in answers] == [
        (201, None),
        (200, None),
        (200, None),
    ]
    assert [row["id"] for row in (*client.get(PAYMENTS).json(), client.get(ROW).json())] == [500001, 500001]


@pytest.mark.parametrize(
    ("rule", "status", "left"), [("refused", 400, [60, 30]), ("accepted", 200, [60, 50]), ("cut", 200, [60, 40])]
)
def test_an_overpayment_has_a_rule(play: Play, rule: str, status: int, left: list[int]) -> None:
    """More than is to be paid is refused, is taken, or is lowered to what is to be paid, and no other row changes."""
    client = play(paid("60.00", "30.00"), overpayment=rule)
    answer = client.patch(f"{PAYMENTS}/500002", json=[{"op": "replace", "path": "amount", "value": 50}])
    assert answer.status_code == status
    assert [row["amount"] for row in client.get(PAYMENTS).json()] == left
    assert amounts(client)["balance"] == 100 - sum(left)


def test_a_new_payment_that_is_too_much_can_be_cut(play: Play) -> None:
    """What is left to pay is set."""
    client = play(invoice("CW-1", "100.00"), overpayment="cut")
    assert (pay(client, "150.00").json()["amount"], amounts(client)["balance"]) == (100, 0)


def test_what_is_refused_can_get_a_500(play: Play) -> None:
    """What breaks a rule gets it, and what is not there still gets a 404. The journal knows the status."""
    client = play(paid("1.00"), refusal_status=500)
    assert pay(client, "2.00").status_code == 500
    assert client.delete(f"{PAYMENTS}/7").status_code == 404
    assert [write["status"] for write in client.get("/books").json()["writes"]] == [500, 404]


def test_payments_in_a_closed_batch_stay(play: Play) -> None:
    """They bear the id of the batch, and can be neither changed nor removed. Other invoices' can."""
    client = play(paid("1.00"), invoice("CW-2", "9.00", payments=(PaymentSeed(Decimal(1)),)), batched="CW-1")
    change = [{"op": "replace", "path": "amount", "value": 2}]
    answers = [client.patch(ROW, json=change), client.put(ROW, json={"amount": 2}), client.delete(ROW)]
    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert "GL-1, which is closed" in answers[0].text
    assert [(row["amount"], row["glBatchID"]) for row in client.get(PAYMENTS).json()] == [(1, "GL-1")]
    assert client.patch(f"{INVOICES}/1002/payments/500002", json=change).status_code == 200


# --- dates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "kept"), [(1, "2016-09-23T00:00:00Z"), (-1, "2016-09-21T00:00:00Z")])
def test_dates_can_shift(play: Play, days: int, kept: str) -> None:
    """A date that is sent is kept some days off, by POST, PUT and PATCH; a patch of the amount leaves it."""
    client = play(paid("1.00"), date_shift_days=days, second_payment="accepted")
    row = pay(client, "1.00", paymentDate=DAY).json()
    path = f"{PAYMENTS}/{row['id']}"
    dates = [
        row["paymentDate"],
        client.put(path, json={"amount": 1, "paymentDate": "2016-09-22"}).json()["paymentDate"],
        client.patch(path, json=[{"op": "replace", "path": "paymentDate", "value": DAY}]).json()["paymentDate"],
        client.patch(path, json=[{"op": "replace", "path": "amount", "value": 2}]).json()["paymentDate"],
    ]
    assert dates == [kept] * 4


def test_a_date_cannot_shift_out_of_the_calendar(play: Play) -> None:
    """A date that would leave the calendar is refused."""
    client = play(invoice("CW-1", "100.00"), date_shift_days=-1)
    assert pay(client, "1.00", paymentDate="0001-01-01T00:00:00Z").status_code == 400


def test_the_server_can_date_payments(play: Play) -> None:
    """A payment that is written without a date gets that of the sandbox's clock; one with a date keeps it."""
    client = play(invoice("CW-1", "100.00"), date_by_server=True, second_payment="accepted")
    before = datetime.now(UTC).date()
    client.sandbox.pass_time(10 * 86400)
    made = pay(client, "1.00").json()
    replaced = client.put(ROW, json={"amount": 1}).json()
    removed = client.patch(ROW, json=REMOVE_DATE).json()
    for row in (made, replaced, removed):
        assert row["paymentDate"].endswith("T00:00:00Z")
        assert (datetime.fromisoformat(row["paymentDate"]).date() - before).days in (10, 11)
    assert pay(client, "1.00", paymentDate=DAY).json()["paymentDate"] == DAY


@pytest.mark.parametrize(
    ("rule", "status", "date", "amount"),
    [("allowed", 200, None, 2), ("refused", 400, DAY, 1), ("fails", 500, DAY, 1), ("ignored", 200, DAY, 2)],
)
def test_removing_a_date_has_a_rule(play: Play, rule: str, status: int, date: str | None, amount: int) -> None:
    """The operation remove clears the date, is refused, fails, or is passed over while the rest is done."""
    client = play(paid("1.00"), date_removal=rule)
    assert client.patch(ROW, json=REMOVE_DATE).status_code == status
    row = client.get(ROW).json()
    assert (row.get("paymentDate"), row["amount"]) == (date, amount)
    assert "paymentDate" not in client.put(ROW, json={"amount": 1}).json()


@pytest.mark.parametrize(("rule", "status", "date"), [(True, 200, None), (False, 400, DAY)])
def test_an_empty_date_has_a_rule(play: Play, rule: bool, status: int, date: str | None) -> None:
    """An empty text as date clears it, as public clients do, or is refused; whether remove works is another rule."""
    client = play(paid("1.00"), empty_date=rule, date_removal="refused")
    patched = client.patch(ROW, json=[{"op": "replace", "path": "paymentDate", "value": ""}])
    assert patched.status_code == status
    assert client.get(ROW).json().get("paymentDate") == date


# --- late writes ------------------------------------------------------------------------------------------------------


def test_writes_can_come_late_on_a_closed_connection(play: Play) -> None:
    """The connection closes at once without an answer; the payment is there when its time has come."""
    client = play(invoice("CW-1", "100.00"), late_seconds=LONG)
    with pytest.raises(requests.ConnectionError):
        pay(client, "1.00")
    assert client.get(PAYMENTS).json() == []
    client.sandbox.pass_time(LONG / 2)
    assert client.sandbox.books()["writes"] == []
    client.sandbox.pass_time(LONG / 2)
    assert [row["amount"] for row in client.get(PAYMENTS).json()] == [1]


def test_writes_can_come_late_after_a_504(play: Play) -> None:
    """A gateway's page is answered; the writes are carried out in their order, each at its own time."""
    client = play(paid("1.00"), late_seconds=LONG, late_answer="504")
    answers = [
        client.patch(ROW, json=[{"op": "replace", "path": "amount", "value": "2.00"}]),
        pay(client, "3.00"),
        client.delete(ROW),
    ]
    assert [(answer.status_code, answer.headers["Content-Type"]) for answer in answers] == [
        (504, "text/html; charset=utf-8")
    ] * 3
    assert client.get(ROW).json()["amount"] == 1
    client.sandbox.pass_time(3 * LONG)
    writes: Any = client.sandbox.books()["writes"]
    assert [(write["method"], write["status"]) for write in writes] == [("PATCH", 200), ("POST", 400), ("DELETE", 204)]
    late = [datetime.fromisoformat(write["time"]).timestamp() - time.time() for write in writes]
    # They were due one LONG after they came, which is two LONGs before the time that the sandbox has now.
    assert all(LONG - 60 < seconds <= LONG for seconds in late)


def test_late_writes_are_those_that_are_known(play: Play) -> None:
    """What is no write of the API is answered at once, as ever."""
    client = play(invoice("CW-1", "100.00"), late_seconds=LONG)
    assert client.delete(INVOICES).status_code == 405
    client.auth = None
    assert pay(client, "1.00").status_code == 401


# --- the system -------------------------------------------------------------------------------------------------------


def test_the_version_has_a_rule(play: Play) -> None:
    """GET /system/info gives the version it was told."""
    assert play().get(f"{API}/system/info").json()["version"] == "v2025.1.100000"
    assert play(version="v2026.4.1").get(f"{API}/system/info").json()["version"] == "v2026.4.1"
