"""Whatever a real ConnectWise does otherwise than we assume: the money is right, or it is said."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from decimal import Decimal

import pytest
from support.connectwise import another_user, invoice, payments_of
from support.day import Day
from support.documents import document, drop, files, one, records
from support.line import Line
from support.network import TIMED_OUT_500, Strike, Unreliable

from watcher.sandbox import PaymentSeed, Rules

TOTAL = "100.00"
# Longer than any test takes.
LONG = 3600.0


@pytest.fixture
def company(folders, start_sandbox):
    """Return a function that builds a ConnectWise with bent rules; it returns a function that pays one invoice."""
    started = []

    def build(seed=None, **rules):
        sandbox = start_sandbox(
            seed or invoice("CW-1", TOTAL), *(invoice(f"CW-{n}", TOTAL) for n in range(2, 5)), rules=Rules(**rules)
        )
        network = Unreliable(sandbox.url)
        network.__enter__()
        started.append(network)
        count = iter(range(100))

        def pay(*payments):
            name = f"pay{next(count)}.xml"
            drop(folders.inbox, name, document(*payments))
            serve()
            results = [*files(folders.success), *files(folders.fail)]
            found = [row for path in results if path.name.startswith(name[:-4] + "__") for row in records(path)]
            return found[0] if len(found) == 1 else found

        def serve():
            sections = {
                "inbox": {"observer": "off", "scan_seconds": 1, "settle_seconds": 0},
                "payments": {"zero_amount": "remove"},
            }
            with closing(Line(folders, network.url, lifetime=Day(), **sections)) as line, line.service() as service:
                service.run()

        pay.network, pay.sandbox = network, sandbox
        return pay

    yield build
    for network in started:
        network.__exit__(None, None, None)


def rows(pay, number="CW-1"):
    """Give the amounts of the payment rows of an invoice."""
    return [str(row["amount"]) for row in payments_of(pay.sandbox, number)]


# --- a second payment ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", ["accepted", "refused", "replaces"])
@pytest.mark.parametrize(
    "answer",
    [
        *({"invoice_balance": balance} for balance in ("true", "missing", "stale", "low")),
        {"id_in_answers": False},
        {"id_in_answers": False, "invoice_balance": "stale"},
    ],
    ids=str,
)
@pytest.mark.parametrize("later", ["60.00", "30.00", TOTAL, "150.00"])
def test_a_search_that_lags_makes_no_second_payment(company, second, answer, later):
    """Another file on an invoice whose payment the search does not show yet: one row, of the later amount."""
    pay = company(second_payment=second, search_lag_seconds=LONG, **answer)
    pay(("CW-1", "60.00"))
    said = pay(("CW-1", later))
    assert "ErrorMessage" not in said
    assert rows(pay) == [min(later, TOTAL, key=Decimal)]
    assert ("50.00 discarded" in said.get("WarningMessage", "")) == (later == "150.00")


@pytest.mark.parametrize("second", ["accepted", "refused", "replaces"])
def test_a_row_of_nothing_costs_no_money(company, second):
    """It is not seen before the payment is made; what is paid afterwards is right, also when it is changed."""
    seed = invoice("CW-1", TOTAL, payments=(PaymentSeed(Decimal(0)),))
    pay = company(seed, second_payment=second)
    assert "ErrorMessage" not in pay(("CW-1", "60.00"))
    assert "ErrorMessage" not in pay(("CW-1", "80.00"))
    assert [amount for amount in rows(pay) if amount != "0.00"] == ["80.00"]
    assert len(rows(pay)) == (2 if second == "accepted" else 1)


def test_an_answer_without_a_balance_is_proved_by_a_list(company):
    """One request more for each new payment, and no other."""
    pay = company(invoice_balance="missing")
    pay(*((f"CW-{n}", TOTAL) for n in range(1, 5)))
    assert len(pay.network.requests) == 1 + 4 + 4


@pytest.mark.parametrize(
    ("rules", "more"),
    [({"id_in_answers": False}, 1), ({"invoice_balance": "low"}, 2), ({"balance_in_lists": False}, 1)],
)
def test_what_an_answer_does_not_tell_is_read_and_holds_up_nothing(company, rules, more):
    """So many requests more for each new payment, and no wait."""
    pay = company(**rules)
    pay(*((f"CW-{n}", TOTAL) for n in range(1, 5)))
    proved = 1 if "balance_in_lists" in rules else 0
    assert len(pay.network.requests) == 1 + 4 + 4 * more + proved
    assert [rows(pay, f"CW-{n}") for n in range(1, 5)] == [[TOTAL]] * 4


def test_a_balance_that_is_true_is_proved_now_and_then(company):
    """The payments are listed after the first payment of a run, and not after each."""
    pay = company()
    pay(*((f"CW-{n}", TOTAL) for n in range(1, 5)))
    assert len(pay.network.requests) == 1 + 4 + 1


# --- what an invoice can take ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seed", "rules", "asked", "held"),
    [
        pytest.param({"tax": Decimal(20)}, {"total_without_tax": True}, TOTAL, TOTAL, id="total without tax"),
        pytest.param({"down_payment": Decimal(40)}, {}, TOTAL, "60.00", id="down payment"),
        pytest.param({}, {"balance_in_lists": False}, "120.00", TOTAL, id="no balance"),
        pytest.param({}, {"credits_in_lists": False}, "120.00", TOTAL, id="no credits"),
        pytest.param({}, {"overpayment": "accepted"}, "120.00", TOTAL, id="more would be taken"),
        pytest.param(
            {"down_payment": Decimal(40)},
            {"balance_in_lists": False, "overpayment": "accepted"},
            TOTAL,
            "60.00",
            id="no balance, a down payment, and more would be taken",
        ),
        pytest.param(
            {"payments": (PaymentSeed(Decimal(25), credit="MEMO-1"),)},
            {"balance_in_lists": False, "credits_in_lists": False, "overpayment": "accepted"},
            TOTAL,
            "75.00",
            id="neither balance nor credits, a credit, and more would be taken",
        ),
    ],
)
def test_an_invoice_gets_what_it_can_take(company, seed, rules, asked, held):
    """No more, whatever the total says, and with its date: it is paid."""
    pay = company(invoice("CW-1", TOTAL, **seed), **rules)
    said = pay(("CW-1", asked))
    assert rows(pay) == [held]
    assert payments_of(pay.sandbox, "CW-1")[0]["paymentDate"] is not None
    assert ("discarded" in said.get("WarningMessage", "")) == (asked != held)


def test_a_balance_that_cannot_be_read_is_not_guessed(company):
    """Lists do not show it, and ConnectWise refuses to show the invoice: nothing is paid there, and that is said."""
    seed = invoice("CW-1", TOTAL, down_payment=Decimal(40))
    pay = company(seed, balance_in_lists=False, overpayment="accepted")
    pay.network.strike(Strike(TIMED_OUT_500, "GET", r"/invoices/1001\?"))
    said = {each["InvoiceNumber"]: each for each in pay(("CW-1", TOTAL), ("CW-2", TOTAL))}
    assert "ConnectWise answered 500" in said["CW-1"]["ErrorMessage"]
    assert (rows(pay), rows(pay, "CW-2")) == ([], [TOTAL])


def test_a_total_with_four_decimals_is_paid_to_the_cent(company):
    """It is whole then, and has its date."""
    pay = company(invoice("CW-1", "346.3401"))
    assert "WarningMessage" not in pay(("CW-1", "346.34"))
    (row,) = payments_of(pay.sandbox, "CW-1")
    assert (str(row["amount"]), row["paymentDate"]) == ("346.34", "2016-09-22T00:00:00Z")


# --- dates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rules",
    [
        {"date_removal": "refused"},
        {"date_removal": "fails"},
        {"date_removal": "ignored"},
    ],
    ids=str,
)
def test_an_amount_is_set_although_its_date_stays(company, rules):
    """A part is paid of what was paid whole: the payer hears that the date is still there."""
    seed = invoice("CW-1", TOTAL, payments=(PaymentSeed(Decimal(TOTAL), date(2016, 8, 1)),))
    pay = company(seed, **rules)
    said = pay(("CW-1", "40.00"), ("CW-2", TOTAL))
    assert rows(pay) == ["40.00"]
    if rules["date_removal"] != "ignored":
        assert "does not take the date 2016-08-01 off this payment" in said[0]["WarningMessage"]


@pytest.mark.parametrize("rules", [{"date_shift_days": -1}, {"date_by_server": True}], ids=str)
def test_a_date_that_comes_back_otherwise_converges(folders, company, rules):
    """The same file again and again, in one run: one PATCH at most, then it is unchanged, and that is said."""
    amount = TOTAL if "date_shift_days" in rules else "40.00"
    pay = company(**rules)
    for number in range(4):
        drop(folders.inbox, f"pay{number}.xml", document(("CW-1", amount)))
    pay(("CW-2", TOTAL))
    assert len(pay.network.seen("PATCH")) <= 1
    last = one([path for path in files(folders.success) if path.name.startswith("pay3")])
    assert "ConnectWise shows the date" in records(last)[0]["WarningMessage"]
    assert rows(pay) == [amount]


# --- other users -----------------------------------------------------------------------------------------------------


def test_somebody_elses_payment_beside_ours_is_never_removed(company):
    """Two payments that are not both ours are told, and a person decides."""
    pay = company(second_payment="accepted")
    pay(("CW-1", "40.00"))
    another_user(pay.sandbox, "POST", "/finance/invoices/1001/payments", {"amount": 30})
    assert "has 2 payments" in pay(("CW-1", "50.00"))["ErrorMessage"]
    assert sorted(rows(pay)) == ["30.00", "40.00"]


def test_a_date_that_cannot_be_taken_off_fails_no_payment_whose_amount_is_there(company):
    """Nothing else is to be set: the payment is unchanged, and the payer hears of the date."""
    seed = invoice("CW-1", TOTAL, payments=(PaymentSeed(Decimal(60), date(2016, 9, 22)),))
    pay = company(seed, date_removal="refused")
    said = pay(("CW-1", "60.00"))
    assert "does not take the date 2016-09-22 off this payment" in said["WarningMessage"]
    assert rows(pay) == ["60.00"]
