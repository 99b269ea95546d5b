"""The typed calls: look-ups that fit into a URL, exact matches, every page, and the bodies of payments."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import simplejson
from hypothesis import given, settings
from hypothesis import strategies as st
from support.connectwise import account, invoice, payments_of
from support.line import Hurried
from support.network import Strike, Unreliable, page

from watcher.connectwise.client import ConnectWise, Written
from watcher.connectwise.http import Gateway
from watcher.connectwise.pace import Pace
from watcher.errors import AnswerLost, Missing, Rejection, Unreachable
from watcher.payments.invoices import HeldPayment
from watcher.payments.model import Change, Create, Remove
from watcher.sandbox import PaymentSeed

DAY = date(2016, 9, 22)
LONGEST_URL = 2000
SAFE = "ABCxyz0189-_./# "

invoice_numbers = st.lists(
    st.text(SAFE, min_size=1, max_size=15).filter(lambda number: number == number.strip()), max_size=40
)


def connectwise(url, **changes):
    """Return a client whose waits take no time."""
    return ConnectWise(Gateway(account(url, **changes), Pace(60000, Hurried())))


def url_lengths(network):
    """Return the length of each whole URL that came."""
    return [len(network.url + request.path) for request in network.requests]


def payment_rows(*amounts):
    """Return seeds of payments."""
    return tuple(PaymentSeed(Decimal(amount)) for amount in amounts)


# --- looking up ------------------------------------------------------------------------------------------------------


class Wire:
    """Stands in for a gateway: keeps the URLs that would be called, as the HTTP library writes them."""

    def __init__(self, base):
        self.base = base
        self.called = []

    def url(self, path):
        """Return the whole URL of a path."""
        return self.base + path

    def get(self, path, **_how):
        """Answer an empty page."""
        self.called.append(requests.Request("GET", self.url(path)).prepare().url)
        return []


def client_base(network):
    """Return the root of the API behind a network."""
    return account(network.url).url


def look_up_url(base, terms):
    """Return the URL with which some numbers or ids are looked up."""
    wire = Wire(base)
    client = ConnectWise(wire)
    client.find_by_id(terms) if isinstance(terms[0], int) else client.find_invoices(terms)
    return wire.called[0]


@settings(deadline=None, max_examples=30)
@given(invoice_numbers, st.integers(1, 30), st.integers(1, 200))
def test_look_ups_are_few_and_fit_into_a_url(numbers, times, host_length):
    """Whatever the numbers and the site: each is asked once, in order, in URLs that are full and never too long."""
    numbers *= times
    base = f"https://{'h' * host_length}/v4_6_release/apis/3.0"
    groups = list(ConnectWise(Wire(base)).look_ups(numbers))
    assert [number for group in groups for number in group] == numbers
    # Room is kept for the further pages of an answer.
    assert all(len(f"{look_up_url(base, group)}&page=999") <= LONGEST_URL for group in groups)
    for group, following in pairwise(groups):
        assert len(look_up_url(base, (*group, following[0]))) > LONGEST_URL - 12, "one more would have fitted"


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 2**31 - 1), max_size=40), st.integers(1, 30), st.integers(1, 200))
def test_look_ups_by_id_are_few_and_fit_into_a_url(ids, times, host_length):
    """Whatever the ids and the site: each is asked once, in order, in URLs that are full and never too long."""
    ids *= times
    base = f"https://{'h' * host_length}/v4_6_release/apis/3.0"
    groups = list(ConnectWise(Wire(base)).look_ups_by_id(ids))
    assert [one for group in groups for one in group] == ids
    # Room is kept for the further pages of an answer.
    assert all(len(f"{look_up_url(base, group)}&page=999") <= LONGEST_URL for group in groups)
    for group, following in pairwise(groups):
        assert len(look_up_url(base, (*group, following[0]))) > LONGEST_URL - 12, "one more would have fitted"


@pytest.mark.parametrize(
    ("numbers", "look_ups"),
    [
        pytest.param([f"ABCDEFGHIJ-{ordinal:04d}" for ordinal in range(200)], 3, id="fifteen characters"),
        pytest.param([f"A #/ # {ordinal:03d} /#z" for ordinal in range(200)], 5, id="characters that are encoded"),
        pytest.param([f"{ordinal}" for ordinal in range(200)], 2, id="short"),
    ],
)
def test_invoices_are_found_by_whole_groups_of_numbers(start_sandbox, numbers, look_ups):
    """Every number is found, over as few requests as the length of URLs allows."""
    sandbox = start_sandbox(*(invoice(number, "1.00") for number in numbers))
    with Unreliable(sandbox.url) as network:
        client = connectwise(network.url)
        found = {}
        for group in client.look_ups(numbers):
            found |= client.find_invoices(group)
        assert max(url_lengths(network)) <= LONGEST_URL
    assert {number: [one.number for one in found[number.casefold()]] for number in numbers} == {
        number: [number] for number in numbers
    }
    assert len(network.requests) <= look_ups


def test_invoices_are_found_by_whole_groups_of_ids(start_sandbox):
    """Every id is found, over as few requests as the length of URLs allows."""
    ids = range(1001, 1601)
    sandbox = start_sandbox(*(invoice(f"CW-{number}", "1.00") for number in ids))
    with Unreliable(sandbox.url) as network:
        client = connectwise(network.url)
        found = {}
        for group in client.look_ups_by_id(ids):
            found |= client.find_by_id(group)
        assert max(url_lengths(network)) <= LONGEST_URL
    assert {number: one.number for number, one in found.items()} == {number: f"CW-{number}" for number in ids}
    assert len(network.requests) == 2


def test_invoice_found_by_id_need_not_be_looked_up_by_number(start_sandbox):
    """It holds all that a look-up by number returns."""
    paid = (PaymentSeed(Decimal("0.10"), DAY), PaymentSeed(Decimal("0.20"), credit="CM-1"))
    client = connectwise(start_sandbox(invoice("CW-1", "346.34", type="Progress", payments=paid)).url)
    assert client.find_by_id([1001]) == {1001: client.find_invoices(["CW-1"])["cw-1"][0]}


def test_only_ids_that_were_asked_for_are_found():
    """An id without an invoice is not in the answer, and an invoice that nobody asked for is not taken from it."""
    body = '[{"id":8,"invoiceNumber":"CW-8","total":1},{"id":7,"invoiceNumber":"CW-7","total":1}]'
    with Unreliable("http://127.0.0.1:1", Strike(page(200, body))) as network:
        found = connectwise(network.url).find_by_id([6, 7])
    assert {number: one.number for number, one in found.items()} == {7: "CW-7"}


@pytest.mark.parametrize("split", ["look_ups", "look_ups_by_id"])
def test_nothing_to_look_up_is_no_look_up(split):
    """Without a number or an id there is no group, so nothing is asked."""
    assert list(getattr(ConnectWise(Wire("https://x")), split)([])) == []


def test_look_up_asks_for_large_pages_of_few_fields(start_sandbox):
    """Without a size a page has 25 rows, and an invoice has fifty fields."""
    sandbox = start_sandbox(invoice("CW-1", "1.00"))
    with Unreliable(sandbox.url) as network:
        connectwise(network.url).find_invoices(["CW-1", "A #/1"])
        connectwise(network.url).find_by_id([1001, 1002])
    by_number, by_id = (parse_qs(urlsplit(request.path).query) for request in network.requests)
    assert by_number["conditions"] == ['invoiceNumber in ("CW-1","A #/1")']
    assert by_id["conditions"] == ["id in (1001,1002)"]
    for query in (by_number, by_id):
        assert query["pageSize"] == ["1000"]
        assert {"id", "invoiceNumber", "type", "total", "payments", "credits"} <= set(query["fields"][0].split(","))


def test_what_an_invoice_holds_is_read_exactly(start_sandbox):
    """Number, kind and amounts are what ConnectWise holds, to the cent."""
    paid = (PaymentSeed(Decimal("0.10"), DAY), PaymentSeed(Decimal("0.20"), credit="CM-1"))
    start = start_sandbox(invoice("CW-1", "346.34", type="Progress", payments=paid))
    ((found,),) = connectwise(start.url).find_invoices(["CW-1"]).values()
    assert (found.number, found.type) == ("CW-1", "Progress")
    assert (found.total, found.paid, found.credits) == (Decimal("346.34"), Decimal("0.10"), Decimal("0.20"))
    assert found.payments is None


def test_amounts_that_connectwise_does_not_give_are_unknown_not_zero():
    """Null is unknown as a total or as payments, and 0 as credits."""
    body = '[{"id":7,"invoiceNumber":"CW-1","type":"Standard","total":null,"payments":null,"credits":null}]'
    with Unreliable("http://127.0.0.1:1", Strike(page(200, body))) as network:
        ((found,),) = connectwise(network.url).find_invoices(["CW-1"]).values()
    assert (found.total, found.paid, found.credits) == (None, None, Decimal(0))


@pytest.mark.parametrize(
    ("asked", "answered", "matches"),
    [
        ("CW-1", "CW-1", True),
        ("CW-1", "cw-1", True),
        ("cw-1", "CW-1", True),
        ("CW-1", "  CW-1 ", True),
        ("STRASSE", "Straße", True),
        ("CW-1", "CW-10", False),
        ("CW-1", "XCW-1", False),
        ("CW-1", "CW 1", False),
        ("CW-1", "CW-01", False),
        ("1", "1.0", False),
        ("CW-1", "", False),
    ],
)
def test_answer_counts_only_if_its_number_is_the_one_asked_for(asked, answered, matches):
    """Letter case and outer blanks do not matter. Anything else does, whatever ConnectWise takes for a match."""
    body = simplejson.dumps([{"id": 7, "invoiceNumber": answered, "type": "Standard", "total": 1}])
    with Unreliable("http://127.0.0.1:1", Strike(page(200, body))) as network:
        found = connectwise(network.url).find_invoices([asked, "other"])
    assert [one.id for one in found.get(asked.casefold(), ())] == ([7] if matches else [])
    assert sum(map(len, found.values())) == matches


def test_invoices_that_share_a_number_are_all_found(start_sandbox):
    """Two invoices under one number are two, however each number is written."""
    sandbox = start_sandbox(invoice("CW-1", "1.00"), invoice("cw-1", "2.00"), invoice("CW-2", "3.00"))
    found = connectwise(sandbox.url).find_invoices(["CW-1", "CW-2", "CW-3"])
    assert {key: len(invoices) for key, invoices in found.items()} == {"cw-1": 2, "cw-2": 1}


# --- pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 2001])
def test_payments_are_read_to_the_last_page(start_sandbox, count):
    """No row is missed and none is read twice, at the edges of a page as well."""
    sandbox = start_sandbox(invoice("CW-1", "9999.00", payments=payment_rows(*["0.01"] * count)))
    rows = connectwise(sandbox.url).list_payments(1001)
    assert len({row.id for row in rows}) == len(rows) == count


def test_invoices_are_read_to_the_last_page(start_sandbox):
    """A look-up that fills its URL finds more than a page of invoices, and the URL of page 2 is not too long."""
    numbers = [f"CW-{ordinal:011d}" for ordinal in range(200)]
    sandbox = start_sandbox(*[invoice(numbers[0], "1.00")] * 1203, *(invoice(number, "1.00") for number in numbers[1:]))
    with Unreliable(sandbox.url) as network:
        client = connectwise(network.url)
        # Longer by a character each, until the URL is full.
        group = next(client.look_ups(numbers))
        left = LONGEST_URL - 1 - len(look_up_url(client_base(network), group))
        brimful = [*group[: len(group) - left], *(f"{number}x" for number in group[len(group) - left :])]
        found = {}
        for part in client.look_ups(brimful):
            found |= client.find_invoices(part)
        assert max(url_lengths(network)) <= LONGEST_URL
    assert len(found[numbers[0].casefold()]) == 1203
    assert {len(found.get(number.casefold(), ())) for number in group[1 : len(group) - left]} == {1}
    assert len(network.seen(path="&page=2")) == 1


# --- payments --------------------------------------------------------------------------------------------------------


def test_payment_rows_are_read_with_day_and_kind(start_sandbox):
    """A row has its exact amount and its day, and says whether it applies a credit."""
    rows = (PaymentSeed(Decimal("0.10"), DAY), PaymentSeed(Decimal("5")), PaymentSeed(Decimal("7.20"), credit="CM-1"))
    sandbox = start_sandbox(invoice("CW-1", "346.34", payments=rows))
    assert connectwise(sandbox.url).list_payments(1001) == (
        HeldPayment(500001, Decimal("0.10"), DAY),
        HeldPayment(500002, Decimal("5.00"), None),
        HeldPayment(500003, Decimal("7.20"), None, applies_credit=True),
    )


@pytest.mark.parametrize(
    "written", ["2016-09-22T00:00:00Z", "2016-09-22T23:30:00Z", "2016-09-22T00:00:00.000+14:00", "2016-09-22"]
)
def test_payment_date_is_the_day_that_is_written(written):
    """Time and offset are dropped; nothing shifts the day."""
    body = simplejson.dumps([{"id": 1, "amount": 1, "paymentDate": written}])
    with Unreliable("http://127.0.0.1:1", Strike(page(200, body))) as network:
        (row,) = connectwise(network.url).list_payments(7)
    assert row.date_paid == DAY


@pytest.mark.parametrize(
    ("day", "date_sent"), [(DAY, {"paymentDate": "2016-09-22T00:00:00Z"}), (None, {})], ids=["dated", "undated"]
)
def test_payment_is_created_with_type_amount_invoice_and_day(start_sandbox, day, date_sent):
    """The POST body is the one known to work: midnight UTC of the day as written; without a day it has no date."""
    sandbox = start_sandbox(invoice("CW-1", "346.34"))
    with Unreliable(sandbox.url) as network:
        payment_id = connectwise(network.url).carry_out(Create(1001, Decimal("346.34"), day)).payment_id
    (request,) = network.requests
    assert (request.method, urlsplit(request.path).path) == (
        "POST",
        "/v4_6_release/apis/3.0/finance/invoices/1001/payments",
    )
    assert simplejson.loads(request.body, use_decimal=True) == {
        "type": "P",
        "amount": Decimal("346.34"),
        "invoice": {"id": 1001},
        **date_sent,
    }
    (row,) = payments_of(sandbox, "CW-1")
    assert row["id"] == payment_id


REPLACED_AMOUNT = {"op": "replace", "path": "amount", "value": "450.00"}
REPLACED_DATE = {"op": "replace", "path": "paymentDate", "value": "2016-09-22T00:00:00Z"}
REMOVED_DATE = {"op": "remove", "path": "paymentDate"}


@pytest.mark.parametrize(
    ("amount", "day", "clears", "operations"),
    [
        ("450", None, False, [REPLACED_AMOUNT]),
        (None, DAY, False, [REPLACED_DATE]),
        (None, None, True, [REMOVED_DATE]),
        ("450", DAY, False, [REPLACED_AMOUNT, REPLACED_DATE]),
        ("450", None, True, [REPLACED_AMOUNT, REMOVED_DATE]),
    ],
    ids=["amount", "date", "no date any more", "amount and date", "amount, no date any more"],
)
def test_payment_is_changed_only_in_what_differs(start_sandbox, amount, day, clears, operations):
    """The PATCH body is a list of operations with bare paths and amounts as exact strings."""
    sandbox = start_sandbox(invoice("CW-1", "500", payments=(PaymentSeed(Decimal("1"), date(2001, 1, 1)),)))
    change = Change(1001, 500001, None if amount is None else Decimal(amount), day, clears)
    with Unreliable(sandbox.url) as network:
        assert connectwise(network.url).carry_out(change) == Written(500001)
    (request,) = network.requests
    assert (request.method, urlsplit(request.path).path.rpartition("/")[2]) == ("PATCH", "500001")
    assert simplejson.loads(request.body) == operations
    (row,) = payments_of(sandbox, "CW-1")
    assert row["amount"] == Decimal(amount or 1)
    assert row["paymentDate"] == (f"{day}T00:00:00Z" if day else None if clears else "2001-01-01T00:00:00Z")


@settings(deadline=None, max_examples=25)
@given(st.decimals(Decimal("0.01"), Decimal("9999999999999.99"), places=2))
def test_every_amount_arrives_to_the_cent(amount):
    """Any amount is sent exactly, in a POST and in a PATCH."""
    answers = (Strike(page(201, '{"id": 1}'), "POST"), Strike(page(200, '{"id": 1}'), "PATCH"))
    with Unreliable("http://127.0.0.1:1", *answers) as network:
        client = connectwise(network.url)
        client.carry_out(Create(7, amount, None))
        client.carry_out(Change(7, 1, amount, None))
    created, changed = (simplejson.loads(request.body, use_decimal=True) for request in network.requests)
    assert created["amount"] == amount
    assert Decimal(changed[0]["value"]) == amount


@pytest.mark.parametrize("body", ["{}", '{"id": null}', '{"id": "x"}', "[]", "[1]", '"created"'])
def test_new_payment_without_an_id_is_unknown(body):
    """An answer that does not say which row was made proves nothing."""
    with Unreliable("http://127.0.0.1:1", Strike(page(201, body))) as network, pytest.raises(AnswerLost):
        connectwise(network.url).carry_out(Create(7, Decimal("1.00"), None))


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.carry_out(Create(9999, Decimal("1.00"), None)),
        lambda client: client.carry_out(Change(1001, 9999, Decimal("1.00"), None)),
        lambda client: client.carry_out(Change(9999, 500001, Decimal("1.00"), None)),
        lambda client: client.list_payments(9999),
    ],
    ids=["POST to no invoice", "PATCH of no row", "PATCH of no invoice", "rows of no invoice"],
)
def test_what_is_not_there_is_missing(start_sandbox, call):
    """A 404 in ConnectWise's JSON is the record's fault, and the error holds its words."""
    sandbox = start_sandbox(invoice("CW-1", "1.00", payments=payment_rows("1.00")))
    with pytest.raises(Missing, match="9999 was not found"):
        call(connectwise(sandbox.url))


def test_what_connectwise_refuses_is_a_rejection(start_sandbox):
    """More than the invoice can take is refused in ConnectWise's words."""
    sandbox = start_sandbox(invoice("CW-1", "1.00"))
    with pytest.raises(Rejection, match=r"is more than 1\.00"):
        connectwise(sandbox.url).carry_out(Create(1001, Decimal("1.01"), None))


def test_payment_is_removed(start_sandbox):
    """After a DELETE the row is gone."""
    sandbox = start_sandbox(invoice("CW-1", "5.00", payments=payment_rows("1.00")))
    assert connectwise(sandbox.url).carry_out(Remove(1001, 500001)) == Written(None)
    assert payments_of(sandbox, "CW-1") == []


def test_payment_that_is_gone_before_is_missing(start_sandbox):
    """A 404 to a DELETE may also be about the address. Only a list shows if the row is gone."""
    sandbox = start_sandbox(invoice("CW-1", "5.00"))
    with pytest.raises(Missing):
        connectwise(sandbox.url).carry_out(Remove(1001, 500001))


def test_invoice_is_read_by_its_id(start_sandbox):
    """It holds what a search shows of it."""
    client = connectwise(start_sandbox(invoice("CW-1", "5.00", payments=payment_rows("1.00"))).url)
    assert client.read_invoice(1001) == client.find_by_id([1001])[1001]
    assert client.read_invoice(1001).balance == Decimal("4.00")


@pytest.mark.parametrize(("answer", "works"), [(None, True), (page(200, "[]"), False)], ids=["finds it", "finds none"])
def test_a_search_works_if_it_finds_what_is_there(start_sandbox, answer, works):
    """One invoice is taken from the list of all, and searched for."""
    strikes = [Strike(answer, "GET", "conditions=")] if answer else []
    with Unreliable(start_sandbox(invoice("CW-1", "1.00")).url, *strikes) as network:
        assert connectwise(network.url).finds_what_is_there() is works
        assert len(network.requests) == 2


def test_a_search_in_which_no_invoice_shows_at_all_does_not_work(start_sandbox):
    """An API member who sees no invoice cannot pay any."""
    assert not connectwise(start_sandbox().url).finds_what_is_there()


# --- what else is asked ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["{}", '{"id": 1}', '"none"', "7", "true"])
@pytest.mark.parametrize(("call", "asked"), [("find_invoices", ["CW-1"]), ("find_by_id", [7]), ("list_payments", 7)])
def test_answer_that_is_no_list_is_connectwises_trouble(call, asked, body):
    """Nothing is concluded from an answer that is no list."""
    with Unreliable("http://127.0.0.1:1", Strike(page(200, body))) as network, pytest.raises(Unreachable):
        getattr(connectwise(network.url), call)(asked)


def test_version_is_read(start_sandbox):
    """The check command shows which ConnectWise it reached."""
    assert connectwise(start_sandbox(invoice("CW-1", "1.00")).url).version() == "v2025.1.100000"


def test_reading_an_invoice_proves_the_sign_in(start_sandbox):
    """The id of any invoice is read; it is None if there is no invoice."""
    assert connectwise(start_sandbox(invoice("CW-1", "1.00")).url).any_invoice_id() == 1001
    assert connectwise(start_sandbox().url).any_invoice_id() is None


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        ('{"id": 7, "amount": 100.00, "invoiceBalance": 99.00}', Written(7, balance_fits=False, is_short=True)),
        ('{"id": 7, "amount": 100.00, "invoiceBalance": 100.00}', Written(7)),
        ('{"id": 7, "amount": 100.00, "invoiceBalance": 200.00}', Written(7, balance_fits=False)),
        ('{"id": 7, "amount": 100.00}', Written(7, balance_fits=False)),
        ('{"amount": 100.00, "invoiceBalance": 100.00}', Written(None)),
    ],
    ids=["less is left", "as expected", "more is left", "no balance", "no id"],
)
def test_what_the_answer_to_a_new_payment_says_is_told(start_sandbox, answer, written):
    """If less is left to pay than our payment leaves, something may have come in between. More proves nothing."""
    sandbox = start_sandbox(invoice("CW-1", "200.00"))
    call = Create(1001, Decimal("100.00"), None, balance_after=Decimal("100.00"))
    with Unreliable(sandbox.url, Strike(page(201, answer, content_type="application/json"), "POST")) as network:
        assert connectwise(network.url).carry_out(call) == written
