"""Payments that are added up (``payments.amounts = "each"``), through real files and the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from decimal import Decimal

import pytest
from support.connectwise import another_user, invoice, payments_of
from support.documents import files, invoice_payments
from support.line import Line

from watcher.journal.sums import Sums
from watcher.sandbox import InvoiceSeed, PaymentSeed, Rules, Sandbox

EACH = {"amounts": "each"}
REMOVE = {"amounts": "each", "zero_amount": "remove"}
SUMS = ("asked", "applied", "unchanged", "discarded", "failed")


def receipt(external_id: str, amount: str, number: str = "CW-1", day: str = "2016-09-22") -> dict[str, str]:
    """Return a payment with an externalId; without one if it is empty."""
    named = {"externalId": external_id} if external_id else {}
    return {**named, "invoice/identifier": number, "amount": amount, "paymentDate": day}


class Books:
    """The daemon's parts, and the books that it works on."""

    def __init__(self, line: Line, sandbox: Sandbox) -> None:
        self.line = line
        self.sandbox = sandbox
        self._count = 0

    def drop(self, *receipts: dict[str, str]) -> list[str]:
        """Take a file of payments to its end; return the outcome of each record."""
        return [row["outcome"] for row in self.told(*receipts)]

    def told(self, *receipts: dict[str, str]) -> list[dict[str, str]]:
        """Take a file of payments to its end; return what its receipt says of each record."""
        self._count += 1
        claim = self.line.claim(f"f{self._count}.xml", invoice_payments(*receipts))
        self.line.process([claim])
        (path,) = files(self.line.folders.archive, f"{claim.id}.receipt.json")
        written = json.loads(path.read_bytes())
        for sums in (*written["records"], written["totals"]):
            whole, *parts = (Decimal(sums[name] or 0) for name in SUMS)
            assert whole == sum(parts)
        return written["records"]

    def paid(self, number: str = "CW-1") -> list[str]:
        """Return the amounts of an invoice's payment rows."""
        return [f"{row['amount']:.2f}" for row in payments_of(self.sandbox, number)]

    def day(self, number: str = "CW-1") -> str | None:
        """Return the date of an invoice's one payment."""
        (row,) = payments_of(self.sandbox, number)
        return (row["paymentDate"] or "")[:10] or None

    def sum(self, number: str = "CW-1") -> Decimal:
        """Return what the journal has accepted for an invoice; it agrees with the payments that it lists."""
        sums = Sums(self.line.database)
        (invoice_id,) = sums.invoice_ids([number.casefold()]) or {0}
        total = sums.before([invoice_id], []).sums[invoice_id].total if invoice_id else Decimal(0)
        assert total == sum((one.amount for one in sums.made_of(number)), Decimal(0))
        return total


@pytest.fixture
def start(folders, start_sandbox) -> Iterator[Callable[..., Books]]:
    """Start a sandbox with given invoices, CW-1 of 500.00 unless told, and give the daemon's parts to it."""
    with ExitStack() as stack:

        def build(*invoices: InvoiceSeed, **payments: object) -> Books:
            sandbox = start_sandbox(*(invoices or (invoice("CW-1", "500.00"), invoice("CW-2", "500.00"))))
            line = Line(folders, sandbox.url, payments={**EACH, **payments})
            return Books(stack.enter_context(closing(line)), sandbox)

        yield build


def type_in(sandbox: Sandbox, amount: float, number: str = "CW-1", invoice_id: int = 1001) -> None:
    """Change an invoice's one payment by hand."""
    (row,) = payments_of(sandbox, number)
    path = f"/finance/invoices/{invoice_id}/payments/{row['id']}"
    another_user(sandbox, "PATCH", path, [{"op": "replace", "path": "amount", "value": amount}])


def test_receipts_in_several_files_add_up(start):
    """100.00 in one file and 50.00 in the next leave 150.00 on the invoice."""
    books = start()
    assert books.drop(receipt("R-1", "100.00")) == ["applied"]
    assert books.drop(receipt("R-2", "50.00")) == ["applied"]
    assert (books.paid(), books.sum()) == (["150.00"], Decimal(150))


def test_several_payments_of_one_invoice_in_one_file_are_several_payments(start):
    """They are added up in one call, and each record says what it added."""
    books = start()
    told = books.told(receipt("R-1", "100.00"), receipt("R-2", "50.00"), receipt("R-3", "-20.00"))
    assert [(row["outcome"], row["applied"]) for row in told] == [
        ("applied", "100.00"),
        ("applied", "50.00"),
        ("applied", "-20.00"),
    ]
    assert (books.paid(), books.sum()) == (["130.00"], Decimal(130))
    assert len(books.sandbox.books()["writes"]) == 1


def test_a_payment_that_comes_again_is_unchanged(start):
    """Its externalId is known, with the same amount: nothing is added, whatever day it has now."""
    books = start()
    books.drop(receipt("R-1", "100.00"), receipt("R-2", "50.00"))
    assert books.drop(receipt("R-1", "100.0000", day="2016-10-01"), receipt("R-3", "1.00")) == ["unchanged", "applied"]
    assert books.drop(receipt("R-3", "1.00"), receipt("R-1", "100.00")) == ["unchanged", "unchanged"]
    assert (books.paid(), books.sum()) == (["151.00"], Decimal(151))


def test_a_known_payment_with_another_amount_is_rejected_and_stops_no_other(start):
    """The message names the file in which it was accepted, and both amounts."""
    books = start()
    books.drop(receipt("R-1", "100.00"))
    told = books.told(receipt("R-1", "90.00"), receipt("R-2", "50.00"))
    assert [row["outcome"] for row in told] == ["rejected", "applied"]
    assert "externalId R-1 was accepted before with 100.00, in f1.xml (claim " in told[0]["message"]
    assert "this record says 90.00" in told[0]["message"]
    assert (books.paid(), books.sum()) == (["150.00"], Decimal(150))


def test_a_known_payment_on_another_invoice_is_rejected(start):
    """One externalId is one payment, in all the books."""
    books = start()
    books.drop(receipt("R-1", "100.00"))
    (told,) = books.told(receipt("R-1", "100.00", "CW-2"))
    assert told["outcome"] == "rejected"
    assert "accepted before with 100.00 for invoice CW-1, in f1.xml" in told["message"]
    assert (books.paid("CW-2"), books.sum("CW-2")) == ([], 0)


def test_an_external_id_with_several_meanings_in_one_file_is_rejected_wherever_it_stands(start):
    """Nobody can tell which of them is right. The same record twice is one payment."""
    books = start()
    outcomes = books.drop(
        receipt("R-1", "100.00"),
        receipt("R-1", "90.00"),
        receipt("R-2", "5.00", "CW-1"),
        receipt("R-2", "5.00", "CW-2"),
        receipt("R-3", "7.00"),
        receipt("R-3", "7.00"),
        receipt("", "8.00"),
    )
    assert outcomes == ["rejected"] * 4 + ["applied", "unchanged", "rejected"]
    assert (books.paid(), books.sum(), books.sum("CW-2")) == (["7.00"], Decimal(7), 0)


def test_one_external_id_on_two_invoices_in_two_files_of_one_batch_counts_once(start):
    """The later file's record is rejected, since the earlier one's may be under way."""
    books = start()
    claims = [
        books.line.claim("a.xml", invoice_payments(receipt("R-1", "10.00", "CW-1"))),
        books.line.claim("b.xml", invoice_payments(receipt("R-1", "10.00", "CW-2"))),
    ]
    books.line.process(claims)
    assert (books.paid("CW-1"), books.paid("CW-2")) == (["10.00"], [])
    (result,) = books.line.results(claims[1].id)
    assert "also stands for invoice CW-1 in a file that is in work" in result.message


def test_a_payment_without_an_external_id_is_rejected_alone(start):
    """It could not be told from another one of the same amount."""
    books = start()
    told = books.told(receipt("", "100.00"), receipt("R-2", "50.00"))
    assert [row["outcome"] for row in told] == ["rejected", "applied"]
    assert told[0]["message"].startswith("externalId is missing")


def test_invoices_named_by_number_and_by_id_are_one_invoice(start):
    """A sum belongs to ConnectWise's id of the invoice. A record with a wrong id is rejected alone."""
    books = start()
    by_id = {"externalId": "R-2", "invoice/id": "1001", "amount": "50.00", "paymentDate": "2016-09-22"}
    wrong = {**receipt("R-4", "9.00"), "invoice/id": "1002"}
    assert books.drop(receipt("R-1", "100.00"), by_id, receipt("R-3", "1.00", "cw-1"), wrong) == [
        "applied",
        "applied",
        "applied",
        "rejected",
    ]
    assert books.drop({**by_id, "externalId": "R-5"}) == ["applied"]
    assert (books.paid(), books.sum()) == (["201.00"], Decimal(201))


def test_the_other_document_takes_an_external_id_too(start):
    """``ExternalId`` or ``externalId`` in an UpdateInvoicePayment is the payment's own id."""
    books = start()
    for name, element in (("a.xml", "ExternalId"), ("b.xml", "externalId")):
        document = (
            f"<ArrayOfUpdateInvoicePayment><UpdateInvoicePayment><{element}>{name}</{element}>"
            "<InvoiceNumber>CW-1</InvoiceNumber><PaidAmount>50.00</PaidAmount><DatePaid>2016-09-22</DatePaid>"
            "</UpdateInvoicePayment></ArrayOfUpdateInvoicePayment>"
        )
        books.line.process([books.line.claim(name, document.encode())])
    assert (books.paid(), books.sum()) == (["100.00"], Decimal(100))


def test_what_an_invoice_cannot_take_is_discarded_and_counts_in_its_sum(start):
    """So a later payment that takes something off is right, in whatever order they come."""
    books = start(invoice("CW-1", "100.00"))
    parts = [
        books.told(receipt(f"R-{at}", amount))[0] for at, amount in enumerate(("60.00", "60.00", "10.00", "-40.00"))
    ]
    assert [(row["applied"], row["unchanged"], row["discarded"]) for row in parts] == [
        ("60.00", "0.00", "0.00"),
        ("40.00", "0.00", "20.00"),
        ("0.00", "0.00", "10.00"),
        ("-10.00", "0.00", "-30.00"),
    ]
    assert "is 120.00, which exceeds what it can take: 100.00 was set and 20.00 discarded" in parts[1]["message"]
    assert (books.paid(), books.sum()) == (["90.00"], Decimal(90))


@pytest.mark.parametrize("first", [["100.00"], ["60.00", "40.00"]])
def test_a_sum_below_zero_is_rejected_and_zero_follows_its_setting(start, first):
    """Only the records that take something off are rejected, and they may be sent again."""
    books = start()
    positive = [receipt(f"R-{at}", amount) for at, amount in enumerate(first)]
    bounced, more = receipt("B-1", "-100.00"), receipt("B-2", "-0.01")
    assert books.drop(bounced) == ["rejected"]
    told = books.told(bounced, more, *positive)
    assert [row["outcome"] for row in told] == ["rejected", "rejected"] + ["applied"] * len(first)
    assert "would be below zero: accepted before 0.00 - 100.00 - 0.01 + " in told[0]["message"]
    (zero,) = books.told(bounced)
    assert (zero["outcome"], 'zero_amount = "remove"' in zero["message"]) == ("rejected", True)
    books.line = books.line.again(payments=REMOVE)
    assert books.drop(bounced) == ["applied"]
    assert (books.paid(), books.sum()) == ([], 0)
    assert books.drop(receipt("R-9", "5.00")) == ["applied"]
    assert (books.paid(), books.sum()) == (["5.00"], Decimal(5))


def test_an_amount_below_zero_is_no_amount_where_amounts_are_totals(start):
    """The message names the setting that takes it, and nothing is counted as asked."""
    books = start(amounts="total")
    (told,) = books.told(receipt("R-1", "-5.00"))
    assert (told["outcome"], told["asked"]) == ("rejected", None)
    assert told["asked_as_written"] == "-5.00"
    assert 'Amounts below zero are accepted only with payments.amounts = "each"' in told["message"]


def test_the_payment_that_completes_an_invoice_has_the_latest_day(start):
    """A partial payment carries no date, whatever days its parts have."""
    books = start(invoice("CW-1", "100.00"))
    books.drop(receipt("R-1", "60.00", day="2016-10-03"))
    assert books.day() is None
    books.drop(receipt("R-2", "40.00", day="2016-09-22"))
    assert (books.paid(), books.day()) == (["100.00"], "2016-10-03")


def test_a_payment_typed_in_by_hand_is_noticed_and_nothing_is_guessed(start):
    """Both amounts are named, the sum stays, and what was accepted before stays accepted."""
    books = start()
    books.drop(receipt("R-1", "100.00"))
    type_in(books.sandbox, 120.0)
    told = books.told(receipt("R-1", "100.00"), receipt("R-2", "50.00"))
    assert [row["outcome"] for row in told] == ["unchanged", "rejected"]
    assert "ConnectWise holds 120.00, of which this program set 100.00; nothing is guessed" in told[1]["message"]
    assert (books.paid(), books.sum()) == (["120.00"], Decimal(100))
    type_in(books.sandbox, 100.0)
    assert books.drop(receipt("R-2", "50.00")) == ["applied"]
    assert (books.paid(), books.sum()) == (["150.00"], Decimal(150))


def test_a_payment_that_was_there_before_is_not_added_to(start):
    """What ConnectWise held before the first payment is not ours; a row of 0.00 is nothing."""
    books = start(
        invoice("CW-1", "500.00", payments=(PaymentSeed(Decimal("20.00")),)),
        invoice("CW-2", "500.00", payments=(PaymentSeed(Decimal("0.00")),)),
    )
    told = books.told(receipt("R-1", "20.00"), receipt("R-2", "30.00", "CW-2"))
    assert [row["outcome"] for row in told] == ["rejected", "applied"]
    assert "ConnectWise holds 20.00, of which this program set 0.00" in told[0]["message"]
    assert books.paid("CW-2") == ["30.00"]


def test_a_payment_that_was_taken_off_by_hand_is_set_again_with_the_next_one_and_said(start):
    """Where ConnectWise holds nothing, the whole sum is set."""
    books = start()
    books.drop(receipt("R-1", "100.00"))
    (row,) = payments_of(books.sandbox, "CW-1")
    another_user(books.sandbox, "DELETE", f"/finance/invoices/1001/payments/{row['id']}")
    (again,) = books.told(receipt("R-1", "100.00"))
    assert (again["outcome"], again["message"]) == (
        "unchanged",
        "ConnectWise holds nothing on this invoice, where this program set 100.00",
    )
    (told,) = books.told(receipt("R-2", "50.00"))
    assert "the whole sum was set again" in told["message"]
    assert (books.paid(), books.sum()) == (["150.00"], Decimal(150))


def test_a_rejected_payment_is_in_no_sum_and_may_be_sent_again(start):
    """An unknown invoice: once its number is corrected, the same externalId is accepted."""
    books = start()
    assert books.drop(receipt("R-1", "100.00", "CW-9")) == ["rejected"]
    assert books.drop(receipt("R-1", "100.00", "CW-1")) == ["applied"]
    assert books.sum() == Decimal(100)


def test_a_lost_journal_leads_to_no_wrong_books(start):
    """What ConnectWise holds is not known for ours any more, so nothing is added to it; taken off, all is set anew."""
    books = start()
    books.drop(receipt("R-1", "100.00"))
    books.line.close()
    for path in books.line.settings.journal.path.parent.glob("journal.db*"):
        path.unlink()
    books.line = Line(books.line.folders, books.sandbox.url, payments=EACH)
    assert books.drop(receipt("R-2", "50.00")) == ["rejected"]
    assert books.paid() == ["100.00"]
    (row,) = payments_of(books.sandbox, "CW-1")
    another_user(books.sandbox, "DELETE", f"/finance/invoices/1001/payments/{row['id']}")
    assert books.drop(receipt("R-2", "50.00"), receipt("R-1", "100.00")) == ["applied", "applied"]
    assert (books.paid(), books.sum()) == (["150.00"], Decimal(150))
    books.line.close()


def test_switching_between_totals_and_single_payments_adds_nothing_to_what_the_other_set(start):
    """A total that was set in between is not ours to add to; the same total as the sum is."""
    books = start()
    books.drop(receipt("R-1", "100.00"))
    books.line = books.line.again(payments={"amounts": "total"})
    assert books.drop(receipt("T-1", "170.00")) == ["applied"]
    books.line = books.line.again(payments=EACH)
    (told,) = books.told(receipt("R-2", "50.00"))
    assert "ConnectWise holds 170.00, of which this program set 100.00" in told["message"]
    assert books.paid() == ["170.00"]


def test_retention_touches_neither_sums_nor_the_payments_in_them(start):
    """A payment is known for ever, when nothing else is known of its file any more."""
    books = start()
    books.drop(receipt("R-1", "100.00"))
    (file,) = books.line.history.last_files(9)
    books.line.history.forget([file.claim])
    assert books.line.history.last_files(9) == []
    assert books.drop(receipt("R-1", "100.00"), receipt("R-2", "50.00")) == ["unchanged", "applied"]
    assert (books.paid(), books.sum()) == (["150.00"], Decimal(150))


def test_with_prevent_reprocessing_a_payment_that_comes_again_is_rejected_and_counted_once(start):
    """It is refused, as elsewhere, and its sum stays."""
    books = start(prevent_reprocessing=True)
    books.drop(receipt("R-1", "100.00"))
    assert books.drop(receipt("R-1", "100.00"), receipt("R-2", "50.00")) == ["rejected", "applied"]
    assert (books.paid(), books.sum()) == (["150.00"], Decimal(150))


def test_a_search_that_lags_makes_no_second_payment(folders, start_sandbox):
    """An invoice that has a sum is listed, although the search does not show its payment yet."""
    sandbox = start_sandbox(invoice("CW-1", "500.00"), rules=Rules(search_lag_seconds=3600))
    with closing(Line(folders, sandbox.url, payments=EACH)) as line:
        sandbox.pass_time(7200)
        books = Books(line, sandbox)
        assert books.drop(receipt("R-1", "100.00")) == ["applied"]
        assert books.drop(receipt("R-2", "50.00")) == ["applied"]
        assert books.paid() == ["150.00"]
        assert [write["method"] for write in sandbox.books()["writes"]] == ["POST", "PATCH"]


@pytest.mark.parametrize("again", ["R-1", "R-2"])
def test_a_second_instalment_of_the_same_amount_is_not_short_in_silence_where_amounts_are_totals(start, again):
    """It is unchanged, and a warning names the setting that adds it; the same payment again is no such thing."""
    books = start(amounts="total")
    books.drop(receipt("R-1", "50.00"))
    (told,) = books.told(receipt(again, "50.00"))
    assert told["outcome"] == "unchanged"
    assert ('payments.amounts = "each"' in (told["message"] or "")) == (again == "R-2")
    (told,) = books.told(receipt("R-1", "50.00", day="2016-10-22"))
    assert 'payments.amounts = "each"' in told["message"]
