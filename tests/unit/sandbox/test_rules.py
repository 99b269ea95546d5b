"""Each rule that can be bent, seen over HTTP."""

from __future__ import annotations

import threading
from datetime import date
from decimal import Decimal

import pytest
import requests
import simplejson
from support.sandbox import INVOICES, Client, found

from watcher.sandbox import InvoiceSeed, PaymentSeed, RuleError, Rules, Sandbox, read_rules, rules_of

HUNDRED = Decimal("100.00")
PAYMENTS = f"{INVOICES}/1001/payments"
ROW = f"{PAYMENTS}/500001"
CLEAR = [{"op": "remove", "path": "paymentDate"}]


def bent(*payments, seed=None, **rules):
    """Return a client of a sandbox with two invoices of 100.00, the first with some payments."""
    held = tuple(PaymentSeed(Decimal(amount), day) for amount, day in payments)
    seeds = [InvoiceSeed("CW-1", HUNDRED, payments=held, **(seed or {})), InvoiceSeed("CW-2", HUNDRED)]
    sandbox = Sandbox(seeds, rules=Rules(**rules))
    sandbox.start()
    return Client(sandbox)


@pytest.fixture
def client(request):
    """Close the client and its sandbox in the end."""
    made = []

    def make(*payments, **rules):
        made.append(bent(*payments, **rules))
        return made[-1]

    yield make
    for each in made:
        each.close()
        each.sandbox.stop()


def post(client, amount, **more):
    """Make a payment on the first invoice."""
    return client.post(PAYMENTS, json={"type": "P", "amount": amount, "invoice": {"id": 1001}, **more})


@pytest.mark.parametrize(
    ("rule", "status", "amounts"),
    [("refused", 400, [60]), ("accepted", 201, [60, 30]), ("replaces", 201, [30])],
)
def test_a_second_payment(client, rule, status, amounts):
    """It is refused, accepted, or replaces the first."""
    signed_in = client((60, None), second_payment=rule)
    assert post(signed_in, 30).status_code == status
    assert [row["amount"] for row in signed_in.get(PAYMENTS).json()] == amounts


@pytest.mark.parametrize(("rule", "balance"), [("true", 70), ("missing", None), ("stale", 100)])
def test_the_balance_in_an_answer(client, rule, balance):
    """It is true, left out, or as it was before."""
    assert post(client(invoice_balance=rule), 30).json().get("invoiceBalance") == balance


def test_sums_of_an_invoice(client):
    """A tax is in the total unless the rule says otherwise, and a down payment is in the balance alone."""
    parts = {"tax": Decimal("19.00"), "down_payment": Decimal("40.00")}
    (plain, _) = found(client(seed=parts))
    (bare, _) = found(client(seed=parts, total_without_tax=True, balance_in_lists=False, credits_in_lists=False))
    assert (plain["total"], plain["subtotal"], plain["balance"], plain["credits"]) == (100, 81, 60, 0)
    assert bare["total"] == 81
    assert "balance" not in bare
    assert "credits" not in bare


def test_a_total_with_four_decimals(client):
    """ConnectWise's own sums have them."""
    sandbox = Sandbox([InvoiceSeed("CW-1", Decimal("346.3401"))])
    with sandbox, Client(sandbox) as signed_in:
        assert '"balance": 346.3401' in signed_in.get(f"{INVOICES}/1001").text


def test_a_search_that_lags(client):
    """It shows what was; the invoice by its id, and its payments, show what is."""
    signed_in = client(search_lag_seconds=3600)
    post(signed_in, 30)
    assert found(signed_in, conditions='invoiceNumber = "CW-1"')[0]["payments"] == 0
    assert signed_in.get(f"{INVOICES}/1001").json()["payments"] == 30
    assert len(signed_in.get(PAYMENTS).json()) == 1


def test_a_search_that_finds_nothing(client):
    """The list without conditions still works."""
    signed_in = client(search_works=False)
    assert found(signed_in, conditions="id = 1001") == []
    assert len(found(signed_in)) == 2


def test_numbers_by_case(client):
    """They are compared with their letter case only if the rule says so."""
    query = {"conditions": 'invoiceNumber in ("cw-1","CW-2")'}
    assert len(found(client(), **query)) == 2
    assert [one["invoiceNumber"] for one in found(client(numbers_by_case=True), **query)] == ["CW-2"]


def test_dates_that_come_back_otherwise(client):
    """They are shifted, or set by the server."""
    sent = {"paymentDate": "2016-09-22T00:00:00Z"}
    assert post(client(date_shift_days=-1), 30, **sent).json()["paymentDate"] == "2016-09-21T00:00:00Z"
    assert post(client(date_by_server=True), 30).json()["paymentDate"].endswith("T00:00:00Z")
    assert "paymentDate" not in post(client(), 30).json()


@pytest.mark.parametrize(
    ("rule", "status", "kept"),
    [("allowed", 200, False), ("refused", 400, True), ("fails", 500, True), ("ignored", 200, True)],
)
def test_a_date_that_is_taken_off(client, rule, status, kept):
    """It goes, or it stays."""
    signed_in = client((60, date(2016, 9, 22)), date_removal=rule)
    assert signed_in.patch(ROW, json=CLEAR).status_code == status
    assert ("paymentDate" in signed_in.get(ROW).json()) is kept


def test_an_empty_date(client):
    """It takes the date off only if the rule says so."""
    empty = [{"op": "Replace", "path": "paymentDate", "value": ""}]
    assert client((60, date(2016, 9, 22))).patch(ROW, json=empty).status_code == 400
    signed_in = client((60, date(2016, 9, 22)), empty_date=True)
    assert signed_in.patch(ROW, json=empty).status_code == 200
    assert "paymentDate" not in signed_in.get(ROW).json()


def test_a_change_that_fails_can_be_put(client):
    """Every PATCH is a 500; a PUT of the record works."""
    signed_in = client((60, None), change_fails=True)
    assert signed_in.patch(ROW, json=[{"op": "replace", "path": "amount", "value": "5"}]).status_code == 500
    assert signed_in.put(ROW, json=signed_in.get(ROW).json() | {"amount": 5}).json()["amount"] == 5


@pytest.mark.parametrize(
    ("rules", "statuses"),
    [
        ({"refuses": ("CW-1",)}, (403, 201)),
        ({"fails": ("CW-1",)}, (500, 201)),
        ({"refuses_all": 403}, (403, 403)),
        ({"refuses_all": 500}, (500, 500)),
    ],
)
def test_writes_that_are_refused(client, rules, statuses):
    """Those on one invoice, or all."""
    signed_in = client(**rules)
    other = signed_in.post(PAYMENTS.replace("1001", "1002"), json={"amount": 1})
    assert (post(signed_in, 1).status_code, other.status_code) == statuses
    assert signed_in.get(PAYMENTS).status_code == 200


def test_payments_that_cannot_be_listed(client):
    """Those of one invoice."""
    signed_in = client(hides=("CW-1",))
    assert signed_in.get(PAYMENTS).status_code == 500
    assert signed_in.get(PAYMENTS.replace("1001", "1002")).status_code == 200


def test_a_write_that_is_carried_out_late(client):
    """It gets no answer, and is there some time later."""
    signed_in = client(late_seconds=0.05)
    with pytest.raises(requests.ConnectionError):
        post(signed_in, 30)
    there = threading.Event()
    for _ in range(500):
        if signed_in.get(PAYMENTS).json():
            break
        there.wait(0.01)
    assert [row["amount"] for row in signed_in.get(PAYMENTS).json()] == [30]


def test_pages_are_linked_with_the_page_last():
    """Published clients look for it there, whatever order they asked in."""
    with Sandbox() as sandbox, Client(sandbox) as client:
        response = client.get(INVOICES, params={"page": 1, "PageSize": 20, "ORDERBY": "id desc"})
        assert len(response.json()) == 20
        assert response.json()[0]["id"] > response.json()[1]["id"]
        assert response.links["next"]["url"].endswith("&page=2")


def test_an_answer_names_the_version_that_was_asked_for(client):
    """Old versions live long."""
    accept = {"Accept": "application/vnd.connectwise.com+json; version=2020.1"}
    assert client().get(INVOICES, headers=accept).headers["Content-Type"].endswith("version=2020.1")


@pytest.mark.parametrize("fields", ["*", "nothing"])
def test_fields_that_no_record_has_give_its_id(client, fields):
    """There is no way to ask for nothing."""
    assert found(client(), fields=fields) == [{"id": 1001}, {"id": 1002}]


def test_conditions_with_an_unknown_name(client):
    """The code and the words are those seen live."""
    answer = client().get(INVOICES, params={"conditions": "invoiceDate = null"}).json()
    assert (answer["code"], answer["message"]) == ("ApiFindCondition", "invoiceDate is not a recognized name.")


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (
            ["second_payment=accepted", "search_lag_seconds=2.5"],
            Rules(second_payment="accepted", search_lag_seconds=2.5),
        ),
        (["search_works=no", "refuses=CW-1, CW-2"], Rules(search_works=False, refuses=("CW-1", "CW-2"))),
        (["date_shift_days=-1", "refuses_all=403"], Rules(date_shift_days=-1, refuses_all=403)),
        ([], Rules()),
    ],
)
def test_rules_are_read(given, read):
    """From the words of a command line."""
    assert read_rules(given) == read


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("second=accepted", "second: there is no such rule. There are: second_payment, "),
        ("second_payment=perhaps", "second_payment: perhaps is not one of refused, accepted, replaces"),
        ("search_works=maybe", "search_works: maybe is not true or false"),
        ("late_seconds=soon", "late_seconds: soon is not a number"),
    ],
)
def test_a_rule_that_cannot_be_read_is_explained(given, said):
    """It says what there is."""
    with pytest.raises(RuleError, match=f"^{said}"):
        read_rules([given])


def test_rules_come_from_json_too():
    """As a report holds them."""
    values = simplejson.loads(
        '{"second_payment": "replaces", "empty_date": true, "hides": ["CW-1"], "late_seconds": 2}'
    )
    assert rules_of(values) == Rules(second_payment="replaces", empty_date=True, hides=("CW-1",), late_seconds=2.0)
