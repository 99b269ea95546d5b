"""The books: what may be written to them, and what they say afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from watcher.sandbox import InvoiceSeed, PaymentSeed
from watcher.sandbox.books import Books
from watcher.sandbox.clock import Clock
from watcher.sandbox.conditions import parse_conditions
from watcher.sandbox.errors import RequestError
from watcher.sandbox.fields import INVOICE_FIELDS

FIRST = 1001


def opened(*seeds: InvoiceSeed) -> Books:
    """Open books at a fixed time; the id of the first invoice is 1001."""
    return Books(seeds, Clock(lambda: datetime(2025, 6, 1, 12, 30, tzinfo=UTC)))


def refused(books: Books, body: object, invoice_id: int = FIRST) -> dict[str, Any]:
    """Return the body of the refusal of a POST."""
    with pytest.raises(RequestError) as caught:
        books.add_payment(invoice_id, body)
    assert caught.value.status == 400
    return dict(caught.value.body)


def fault(body: dict[str, Any]) -> tuple[str, str]:
    """Return code and field of the only fault in a refusal."""
    (entry,) = body["errors"]
    return entry["code"], entry["field"]


@pytest.fixture
def books() -> Books:
    """Open books of one invoice over 346.34."""
    return opened(InvoiceSeed("CW-34251", Decimal("346.34")))


@pytest.fixture
def paid() -> tuple[Books, int]:
    """Open books of one invoice over 100 with a payment of 10, and return the payment's id."""
    books = opened(InvoiceSeed("CW-1", Decimal(100)))
    row = books.add_payment(FIRST, {"amount": Decimal(10), "paymentDate": "2016-09-22T00:00:00Z"})
    return books, int(str(row["id"]))


def test_a_payment_is_entered_and_the_balance_follows(books: Books) -> None:
    """A POST gives a row of type P, and payments and balance of the invoice are computed anew."""
    sent = {"type": "P", "amount": Decimal("46.34"), "paymentDate": "2023-08-01T00:00:00.000Z"}
    row = books.add_payment(FIRST, {**sent, "invoice": {"id": FIRST}})
    assert {name: row[name] for name in sent} == sent
    assert row["source"] == "Default"
    assert row["invoice"]["identifier"] == "CW-34251"  # type: ignore[index]
    assert row["_info"] == {"lastUpdated": "2025-06-01T12:30:00Z", "updatedBy": "sandbox"}
    assert books.payments(FIRST) == [row]
    assert books.payment(FIRST, int(str(row["id"]))) == row
    invoice = books.invoice(FIRST)
    assert (invoice["payments"], invoice["credits"], invoice["balance"]) == (
        Decimal("46.34"),
        Decimal("0.00"),
        Decimal("300.00"),
    )


def test_a_payment_without_a_date_has_none(books: Books) -> None:
    """Nothing is made up for a paymentDate that was not sent."""
    assert books.add_payment(FIRST, {"amount": Decimal(1)})["paymentDate"] is None


def test_nothing_can_be_paid(books: Books) -> None:
    """An amount of zero is taken, and has no sign."""
    assert str(books.add_payment(FIRST, {"amount": Decimal("-0.00")})["amount"]) == "0.00"


@pytest.mark.parametrize("amount", [5, "5", "5.00", Decimal("5.000"), Decimal("0.5E1")])
def test_an_amount_is_a_number_or_a_numeric_string(books: Books, amount: object) -> None:
    """However an amount is written, it is kept as a Decimal with two decimals."""
    kept = books.add_payment(FIRST, {"amount": amount})["amount"]
    assert isinstance(kept, Decimal)
    assert str(kept) == "5.00"


def test_the_exact_total_less_credits_can_be_paid() -> None:
    """An applied credit lowers what can be paid, to the cent."""
    seed = InvoiceSeed("CW-1", Decimal(100), payments=(PaymentSeed(Decimal("0.01"), credit="CM-1"),))
    body = refused(opened(seed), {"amount": Decimal(100)})
    assert fault(body) == ("InvalidField", "amount")
    books = opened(seed)
    books.add_payment(FIRST, {"amount": Decimal("99.99")})
    assert books.invoice(FIRST)["balance"] == 0


def test_a_second_payment_is_refused(books: Books) -> None:
    """An invoice takes a single payment; the refusal names ObjectExists."""
    books.add_payment(FIRST, {"amount": Decimal(1)})
    body = refused(books, {"amount": Decimal(1)})
    assert body["code"] == "InvalidObject"
    assert fault(body) == ("ObjectExists", "invoice")
    assert len(books.payments(FIRST)) == 1


def test_a_payment_can_follow_an_applied_credit() -> None:
    """A row that applies a credit is no payment."""
    books = opened(
        InvoiceSeed("CM-1", Decimal(20), type="CreditMemo"),
        InvoiceSeed("CW-1", Decimal(100), payments=(PaymentSeed(Decimal(20), credit="CM-1"),)),
    )
    books.add_payment(FIRST + 1, {"amount": Decimal(80)})
    credit, payment = books.payments(FIRST + 1)
    assert credit["credit"] == {"id": FIRST, "identifier": "CM-1"}
    assert (credit["type"], payment["type"], payment["credit"]) == ("C", "P", None)
    assert books.invoice(FIRST + 1)["credits"] == 20


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ("MissingRequiredField", "amount")),
        ({"amount": None}, ("MissingRequiredField", "amount")),
        ({"amount": Decimal("-0.01")}, ("InvalidField", "amount")),
        ({"amount": Decimal("1.001")}, ("InvalidField", "amount")),
        ({"amount": Decimal("346.35")}, ("InvalidField", "amount")),
        ({"amount": Decimal("1E+999999")}, ("InvalidField", "amount")),
        ({"amount": Decimal("1E+9999999999")}, ("InvalidField", "amount")),
        ({"amount": Decimal("1E-9999999999")}, ("InvalidField", "amount")),
        ({"amount": Decimal("Infinity")}, ("InvalidField", "amount")),
        ({"amount": Decimal("1." + "0" * 40 + "1")}, ("InvalidField", "amount")),
        ({"amount": "1,00"}, ("InvalidField", "amount")),
        ({"amount": "1_0"}, ("InvalidField", "amount")),
        ({"amount": "NaN"}, ("InvalidField", "amount")),
        ({"amount": True}, ("InvalidField", "amount")),
        ({"amount": 1.5}, ("InvalidField", "amount")),
        ({"amount": [1]}, ("InvalidField", "amount")),
        ({"amount": 1, "paymentDate": "22/09/2016"}, ("InvalidField", "paymentDate")),
        ({"amount": 1, "paymentDate": "2016-02-30"}, ("InvalidField", "paymentDate")),
        ({"amount": 1, "type": "C"}, ("InvalidField", "type")),
        ({"amount": 1, "source": "Post"}, ("InvalidField", "source")),
        ({"amount": 1, "invoice": {"id": 7}}, ("InvalidField", "invoice")),
        ({"amount": 1, "credit": {"id": 7}}, ("InvalidField", "credit")),
        ({"amount": 1, "glBatchID": "x" * 51}, ("InvalidField", "glBatchID")),
    ],
)
def test_a_faulty_payment_is_refused(books: Books, body: object, expected: tuple[str, str]) -> None:
    """A payment that breaks a rule is refused with the field at fault, and nothing is entered."""
    assert fault(refused(books, body)) == expected
    assert books.payments(FIRST) == []


@pytest.mark.parametrize("body", [None, [], "x", 5])
def test_a_payment_is_an_object(books: Books, body: object) -> None:
    """A POST of anything but a JSON object is refused."""
    assert refused(books, body)["errors"] is None


def test_a_credit_memo_takes_no_payment() -> None:
    """An invoice of type CreditMemo cannot be paid."""
    books = opened(InvoiceSeed("CM-1", Decimal(20), type="CreditMemo"))
    assert fault(refused(books, {"amount": 1})) == ("InvalidField", "invoice")


@pytest.mark.parametrize("path", ["amount", "/amount"])
@pytest.mark.parametrize("value", [Decimal("45.5"), "45.5"])
@pytest.mark.parametrize("verb", ["add", "replace"])
def test_a_patch_sets_one_field(paid: tuple[Books, int], path: str, value: object, verb: str) -> None:
    """PATCH takes bare and slashed paths, numbers and numeric strings, and leaves the other fields."""
    books, payment_id = paid
    row = books.patch_payment(FIRST, payment_id, [{"op": verb, "path": path, "value": value}])
    assert (row["amount"], row["paymentDate"]) == (Decimal("45.50"), "2016-09-22T00:00:00Z")
    assert books.invoice(FIRST)["balance"] == Decimal("54.50")


def test_a_patch_can_remove_the_date(paid: tuple[Books, int]) -> None:
    """The operation remove makes a field null."""
    books, payment_id = paid
    assert books.patch_payment(FIRST, payment_id, [{"op": "remove", "path": "paymentDate"}])["paymentDate"] is None


@pytest.mark.parametrize(
    "operations",
    [
        {"op": "replace", "path": "amount", "value": 1},
        [5],
        [{"op": "test", "path": "amount", "value": 10}],
        [{"op": "replace", "value": 1}],
        [{"op": "replace", "path": "amount"}],
        [{"op": "replace", "path": "Amount", "value": 1}],
        [{"op": "replace", "path": "invoice/id", "value": 1}],
        [{"op": "replace", "path": "id", "value": 1}],
        [{"op": "remove", "path": "amount"}],
        [{"op": "replace", "path": "amount", "value": Decimal("100.01")}],
        [{"op": "replace", "path": "paymentDate", "value": None}, {"op": "replace", "path": "x", "value": 1}],
    ],
)
def test_a_faulty_patch_changes_nothing(paid: tuple[Books, int], operations: object) -> None:
    """A PATCH is refused whole when any part of it is wrong."""
    books, payment_id = paid
    before = books.payment(FIRST, payment_id)
    with pytest.raises(RequestError) as caught:
        books.patch_payment(FIRST, payment_id, operations)
    assert caught.value.status == 400
    assert books.payment(FIRST, payment_id) == before


def test_a_put_replaces_everything(paid: tuple[Books, int]) -> None:
    """What a PUT leaves out becomes null; the row keeps its id."""
    books, payment_id = paid
    row = books.replace_payment(FIRST, payment_id, {"amount": 20})
    assert (row["id"], row["amount"], row["paymentDate"]) == (payment_id, Decimal("20.00"), None)


def test_a_row_can_be_put_back_as_it_was_served(paid: tuple[Books, int]) -> None:
    """The fields the server computes may stand in a PUT."""
    books, payment_id = paid
    row = books.payment(FIRST, payment_id)
    assert books.replace_payment(FIRST, payment_id, row) == row


def test_a_removed_payment_makes_room(paid: tuple[Books, int]) -> None:
    """After a DELETE the invoice is unpaid and takes a payment again, under a new id."""
    books, payment_id = paid
    books.remove_payment(FIRST, payment_id)
    assert (books.payments(FIRST), books.invoice(FIRST)["balance"]) == ([], 100)
    assert books.add_payment(FIRST, {"amount": 1})["id"] != payment_id


def test_a_credit_row_is_not_changed_as_a_payment() -> None:
    """PUT, PATCH and DELETE of a row that applies a credit are refused."""
    seed = InvoiceSeed("CW-1", Decimal(100), payments=(PaymentSeed(Decimal(20), credit="CM-1"),))
    books = opened(seed)
    row_id = int(str(books.payments(FIRST)[0]["id"]))
    with pytest.raises(RequestError):
        books.patch_payment(FIRST, row_id, [{"op": "replace", "path": "amount", "value": 1}])
    with pytest.raises(RequestError):
        books.replace_payment(FIRST, row_id, {"amount": 1})
    with pytest.raises(RequestError):
        books.remove_payment(FIRST, row_id)
    assert [write["status"] for write in books.snapshot()["writes"]] == [400, 400, 400]


@pytest.mark.parametrize(("invoice_id", "payment_id"), [(7, 500_001), (FIRST, 7), (FIRST + 1, 500_001)])
def test_an_unknown_record_is_a_404(invoice_id: int, payment_id: int) -> None:
    """An id that does not exist, or a payment of another invoice, is not found."""
    seeds = [
        InvoiceSeed("CW-1", Decimal(9), payments=(PaymentSeed(Decimal(1)),)),
        InvoiceSeed("CW-2", Decimal(9)),
    ]
    with pytest.raises(RequestError) as caught:
        opened(*seeds).remove_payment(invoice_id, payment_id)
    assert caught.value.status == 404


def test_the_journal_keeps_every_write_in_order(books: Books) -> None:
    """Each write has its number, time, invoice, body and status, whether it was accepted or not."""
    row = books.add_payment(FIRST, {"amount": 5})
    payment_id = int(str(row["id"]))
    refused(books, {"amount": 6})
    books.patch_payment(FIRST, payment_id, [{"op": "replace", "path": "amount", "value": 7}])
    books.note_unreadable("POST", FIRST, None, "{", 400)
    books.remove_payment(FIRST, payment_id)
    with pytest.raises(RequestError):
        books.add_payment(7, {"amount": 1})
    writes = books.snapshot()["writes"]
    assert [write["sequence"] for write in writes] == [1, 2, 3, 4, 5, 6]
    assert [(write["method"], write["status"]) for write in writes] == [
        ("POST", 201),
        ("POST", 400),
        ("PATCH", 200),
        ("POST", 400),
        ("DELETE", 204),
        ("POST", 404),
    ]
    assert writes[0] == {
        "sequence": 1,
        "time": "2025-06-01T12:30:00.000Z",
        "method": "POST",
        "invoiceId": FIRST,
        "invoiceNumber": "CW-34251",
        "paymentId": payment_id,
        "body": {"amount": 5},
        "status": 201,
    }
    assert writes[3]["body"] == "{"
    assert writes[5]["invoiceNumber"] is None


def test_of_many_payments_at_once_one_is_entered(books: Books) -> None:
    """However many POSTs race for an invoice, exactly one is accepted and all are in the journal."""

    def post(amount: int) -> int:
        try:
            books.add_payment(FIRST, {"amount": amount})
        except RequestError as error:
            return error.status
        return 201

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(post, range(1, 65)))
    assert sorted(statuses) == [201] + [400] * 63
    assert len(books.payments(FIRST)) == 1
    assert [write["sequence"] for write in books.snapshot()["writes"]] == list(range(1, 65))


def test_what_was_read_stays_as_it_was(paid: tuple[Books, int]) -> None:
    """A record that was handed out does not change with the books."""
    books, payment_id = paid
    before = books.invoice(FIRST)
    books.remove_payment(FIRST, payment_id)
    assert before["payments"] == 10


def test_two_invoices_can_share_a_number() -> None:
    """A condition finds every invoice of a number, whatever its letter case."""
    books = opened(*(InvoiceSeed(number, Decimal(1)) for number in ("CW-1", "CW-2", "cw-1")))
    found = books.find(parse_conditions('invoiceNumber = "CW-1"', INVOICE_FIELDS))
    assert [invoice["id"] for invoice in found] == [FIRST, FIRST + 2]


def test_seeded_rows_are_taken_as_given() -> None:
    """A state the API would refuse can be seeded: two payments, over the total."""
    rows = (PaymentSeed(Decimal(60), date=date(2016, 9, 22)), PaymentSeed(Decimal("50.50")))
    books = opened(InvoiceSeed("CW-1", Decimal(100), payments=rows))
    first, second = books.payments(FIRST)
    assert (first["paymentDate"], second["paymentDate"]) == ("2016-09-22T00:00:00Z", None)
    assert books.invoice(FIRST)["balance"] == Decimal("-10.50")
