"""What invoices and payments say that a sandbox cannot show."""

from __future__ import annotations

from decimal import Decimal

import pytest

from watcher.proving import books
from watcher.proving.facts import Seen, seen
from watcher.proving.findings import Verdict


def an_invoice(number="CW-1", total=100, paid=0, credited=0, **more):
    """Return an invoice as a list shows it."""
    sums = {"total": total, "payments": paid, "credits": credited, "balance": total - paid - credited}
    return Seen({"id": 1, "invoiceNumber": number, "type": "Standard", **sums, **more})


def a_row(amount, **more):
    """Return a payment row."""
    return Seen({"id": 5, "type": "P", "amount": Decimal(str(amount)), **more})


def of(findings, name):
    """Return the only finding of a name."""
    (found,) = [each for each in findings if each.name == name]
    return found


def test_without_invoices_nothing_is_known():
    """It says what to do."""
    (found,) = books.arithmetic([], [])
    assert (found.verdict, found.means) == (Verdict.UNKNOWN, "run it again once there are some")


def test_a_balance_that_is_no_known_sum_is_to_be_looked_at():
    """The invoice is named. The program goes by the balance, so it is no fault."""
    found = list(books.arithmetic([an_invoice(), an_invoice("CW-2", balance=77)], []))
    strange = [each for each in found if each.verdict is Verdict.LOOK]
    assert [each.what for each in strange] == ["the balance of 1 of 2 invoices is no known sum: CW-2"]


def test_earlier_progress_is_a_known_sum():
    """Nobody knows yet what ConnectWise does with it, so both ways are known."""
    progress = an_invoice(total=100, previousProgressApplied=40, balance=60)
    assert "earlier progress" in of(books.arithmetic([progress], []), "arithmetic").what


@pytest.mark.parametrize(
    ("missing", "verdict"),
    [
        (("type",), Verdict.DIFFERS),
        (("total", "balance"), Verdict.DIFFERS),
        (("balance", "credits"), Verdict.DIFFERS),
        (("balance",), Verdict.HOLDS),
        (("payments",), Verdict.HOLDS),
    ],
)
def test_fields_that_a_list_leaves_out(missing, verdict):
    """It matters only where the program cannot know the amount without them."""
    shown = Seen({name: value for name, value in an_invoice().raw.items() if name not in missing})
    assert of(books.arithmetic([shown], []), "fields").verdict is verdict


def test_several_currencies_are_to_be_looked_at():
    """One is nothing to tell."""
    one, other = ({"currency": {"currencyCode": code}} for code in ("USD", "EUR"))
    assert of(books.arithmetic([an_invoice(**one), an_invoice("B", **other)], []), "currencies").verdict is Verdict.LOOK
    names = [each.name for each in books.arithmetic([an_invoice(**one), an_invoice("B", **one)], [])]
    assert "currencies" not in names


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([a_row(30, credit={"id": 9})], Verdict.HOLDS),
        ([], Verdict.HOLDS),
        ([a_row(30)], Verdict.DIFFERS),
    ],
    ids=["told apart", "not among the rows", "as payments"],
)
def test_credits_that_look_like_payments_differ(rows, verdict):
    """One of them could be changed as a payment."""
    paid = [(an_invoice(paid=10), [a_row(10)])]
    found = books.rows(paid, [(an_invoice(credited=30), rows)], [], [])
    assert of(found, "credits").verdict is verdict


def test_payments_that_do_not_add_up_differ():
    """The invoice is named."""
    found = of(books.rows([(an_invoice(paid=10), [a_row(7)])], [], [], []), "sum_of_payments")
    assert (found.verdict, found.setting) == (Verdict.DIFFERS, None)
    assert "CW-1" in found.what


@pytest.mark.parametrize(
    ("day", "verdict"),
    [
        ("2026-11-23T00:00:00Z", Verdict.HOLDS),
        ("2026-11-23", Verdict.HOLDS),
        ("2026-11-23T05:00:00Z", Verdict.LOOK),
    ],
)
def test_dates_with_a_time_of_day_are_to_be_looked_at(day, verdict):
    """The day may be another one in the user's time zone."""
    rows = [(an_invoice(paid=10), [a_row(10, paymentDate=day)])]
    assert of(books.rows(rows, [], [], []), "time_of_day").verdict is verdict


def test_another_type_of_payment_is_to_be_looked_at():
    """The program sends P."""
    rows = [(an_invoice(paid=10), [a_row(10, type="Cash")])]
    assert of(books.rows(rows, [], [], []), "type").verdict is Verdict.LOOK


@pytest.mark.parametrize("odd", [None, True, "x", Decimal("NaN"), Decimal("1e30"), Decimal("1e-99"), 10**4000, [], {}])
def test_what_is_no_amount_is_none(odd):
    """Odd JSON stops nothing."""
    shown = Seen({"id": odd, "total": odd, "invoiceNumber": odd, "currency": odd, "payments": odd})
    assert (shown.amount("total"), shown.paid, shown.currency) == (None, 0, "")
    list(books.arithmetic([shown], []))
    assert seen(odd) == []
