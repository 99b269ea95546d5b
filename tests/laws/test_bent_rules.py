"""Whatever a real ConnectWise does otherwise than we assume: the money is right, or it is said."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from support.connectwise import another_user, invoice, payments_of
from support.day import Day
from support.documents import document, drop, files, one, records
from support.line import Hurried, Line, connect
from support.network import INVALID_400, RESET_AFTER, TIMED_OUT_500, Fault, Strike, Unreliable, after, altered, page

from watcher.actions.apply import apply
from watcher.payments.model import Rules as ByRules
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
                "inbox": {"observer": "off", "scan_seconds": 60, "settle_seconds": 0},
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


@pytest.mark.parametrize("second", ["accepted", "refused"])
def test_a_payment_that_a_search_does_not_show_yet_is_removed(company, second):
    """Only a list shows that there is nothing to remove."""
    pay = company(second_payment=second, search_lag_seconds=LONG)
    pay(("CW-1", "60.00"))
    assert pay(("CW-1", "0.00"))["WarningMessage"] == "The earlier payment of 60.00 was removed"
    assert rows(pay) == []
    pay(("CW-1", "40.00"))
    assert rows(pay) == ["40.00"]


@pytest.mark.parametrize("second", ["accepted", "refused"])
def test_a_429_to_a_call_that_was_carried_out_makes_no_second_payment(company, second):
    """It is made again, which ConnectWise refuses or the balance shows: one row."""
    pay = company(second_payment=second)
    pay.network.strike(Strike(after(page(429, "{}", Retry_After="1")), "POST", nth=1))
    assert "ErrorMessage" not in pay(("CW-1", "60.00"))
    assert rows(pay) == ["60.00"]


def test_a_call_that_is_carried_out_twice_makes_no_second_payment(company):
    """The balance in the answer shows it, and the second row is removed."""
    pay = company(second_payment="accepted")
    again = Fault(
        meanwhile=lambda: another_user(pay.sandbox, "POST", "/finance/invoices/1001/payments", {"amount": 60})
    )
    pay.network.strike(Strike(again, "POST", nth=1))
    assert "ErrorMessage" not in pay(("CW-1", "60.00"))
    assert rows(pay) == ["60.00"]


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


@pytest.mark.parametrize(
    "missing", ["type", "total", "payments", "total balance", "type total payments credits balance"]
)
@pytest.mark.parametrize(
    ("seed", "held"),
    [
        ({"type": "CreditMemo"}, []),
        ({"payments": (PaymentSeed(Decimal(60)),)}, [TOTAL]),
        ({"payments": (PaymentSeed(Decimal(25), credit="MEMO-1"),)}, ["75.00"]),
    ],
    ids=["credit memo", "paid", "credit"],
)
def test_what_a_list_leaves_out_is_read(company, missing, seed, held):
    """Whatever field lists do not show, no credit memo is paid, and no invoice gets more than it can take."""
    pay = company(invoice("CW-1", TOTAL, **seed), overpayment="accepted")
    left_out = missing.split()
    shown = altered(lambda found: [{key: one[key] for key in one if key not in left_out} for one in found])
    pay.network.strike(Strike(shown, "GET", SEARCHES))
    said = pay(("CW-1", "120.00"))
    assert rows(pay) == held
    assert ("is a credit memo, which takes no payment" in said.get("ErrorMessage", "")) == (held == [])
    assert ("discarded" in said.get("WarningMessage", "")) == (held != [])


@pytest.mark.parametrize("size", [25, 100])
def test_a_server_of_smaller_pages_hides_no_invoice(start_sandbox, size):
    """A look-up that is answered by a round number of rows, fewer than were asked for, is followed by the next page."""
    numbers = [f"N-{ordinal}" for ordinal in range(130)]
    books = start_sandbox(*(invoice(number, TOTAL) for number in numbers), rules=Rules(largest_page=size))
    with Unreliable(books.url) as network:
        *_, applied = apply(
            document(*((number, TOTAL) for number in numbers)), *connect(network.url, Hurried()), ByRules()
        )
    assert {str(result.outcome) for result in applied.known} == {"applied"}


def test_a_balance_that_cannot_be_read_is_not_guessed(company):
    """Lists do not show it, and ConnectWise refuses to show the invoice: that payment waits, and others are made."""
    seed = invoice("CW-1", TOTAL, down_payment=Decimal(40))
    pay = company(seed, balance_in_lists=False, overpayment="accepted")
    pay.network.strike(Strike(TIMED_OUT_500, "GET", r"/invoices/1001\?"))
    assert "CW-1" not in [each["InvoiceNumber"] for each in pay(("CW-1", TOTAL), ("CW-2", TOTAL))]
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
    """The same file again and again, in one run: one PATCH of it at most, then it is unchanged, and that is said."""
    amount = TOTAL if "date_shift_days" in rules else "40.00"
    pay = company(**rules)
    for number in range(4):
        drop(folders.inbox, f"pay{number}.xml", document(("CW-1", amount)))
    pay(("CW-2", TOTAL))
    assert len(pay.network.seen("PATCH", "/1001/")) <= 1
    last = one([path for path in files(folders.success) if path.name.startswith("pay3")])
    assert "ConnectWise shows the date" in records(last)[0]["WarningMessage"]
    assert rows(pay) == [amount]


@pytest.mark.parametrize(
    "shown",
    [
        "2016-09-22",
        "2016-09-22T00:00:00",
        "2016-09-22T12:00:00Z",
        "2016-09-22T00:00:00.000Z",
        "2016-09-22T00:00:00-05:00",
    ],
)
def test_a_day_is_the_same_in_whatever_form_it_comes_back(company, shown):
    """Its first ten characters count: the same file once more changes nothing."""
    pay = company()
    one_form = altered(
        lambda found: [one | {"paymentDate": shown} for one in found] if isinstance(found, list) else found
    )
    pay.network.strike(Strike(one_form, "GET", r"/payments\?"))
    pay(("CW-1", TOTAL))
    pay(("CW-1", TOTAL))
    assert pay.network.seen("PATCH") == []


def test_a_date_that_is_never_shown_converges_and_is_said(folders, company):
    """It is sent once more, and no further time in one run."""
    pay = company()
    bare = altered(lambda found: [{key: one[key] for key in one if key != "paymentDate"} for one in found])
    pay.network.strike(Strike(bare, "GET", r"/payments\?"))
    for number in range(4):
        drop(folders.inbox, f"pay{number}.xml", document(("CW-1", TOTAL)))
    pay(("CW-2", TOTAL))
    assert len(pay.network.seen("PATCH", "/1001/")) <= 1
    last = one([path for path in files(folders.success) if path.name.startswith("pay3")])
    assert "ConnectWise shows no date" in records(last)[0]["WarningMessage"]


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ((datetime.now(UTC) + timedelta(days=40)).date().isoformat(), "40 days ahead of today"),
        ("1900-01-01T00:00:00", "is an empty date"),
    ],
    ids=["far ahead", "empty"],
)
def test_a_day_that_cannot_be_meant_is_never_sent(company, day, words):
    """The payment is rejected, and its neighbour is made."""
    pay = company()
    bad, good = sorted(pay(("CW-1", TOTAL, day), ("CW-2", "100.0000")), key=lambda one: one["InvoiceNumber"])
    assert words in bad["ErrorMessage"]
    assert "ErrorMessage" not in good
    assert (rows(pay), rows(pay, "CW-2")) == ([], [TOTAL])


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


# --- answers that contradict themselves -------------------------------------------------------------------------------

LISTS, SEARCHES = r"/payments\?", "conditions="


def of_sixty():
    """Give an invoice that holds a payment of 60.00 without a date; its row has the id 500001."""
    return invoice("CW-1", TOTAL, payments=(PaymentSeed(Decimal(60)),))


def test_a_row_that_is_listed_twice_is_one_payment(company):
    """A list shows the only row twice after a lost answer: nothing is removed."""
    pay = company()
    pay.network.strike(Strike(RESET_AFTER, "POST", nth=1), Strike(altered(lambda found: found * 2), "GET", LISTS))
    assert "ErrorMessage" not in pay(("CW-1", "60.00"))
    assert rows(pay) == ["60.00"]
    assert pay.network.seen("DELETE") == []


def test_an_invoice_that_is_found_twice_under_one_id_is_one_invoice(company):
    """It is paid, and not taken for two."""
    pay = company()
    pay.network.strike(Strike(altered(lambda found: found * 2), "GET", SEARCHES))
    assert "ErrorMessage" not in pay(("CW-1", "60.00"))
    assert rows(pay) == ["60.00"]


def test_two_rows_with_one_id_that_differ_are_not_understood(company):
    """The payment waits until the list is clear, and nothing is changed or removed meanwhile."""
    pay = company(of_sixty())
    pay.network.strike(Strike(altered(lambda found: [*found, found[0] | {"amount": 50}]), "GET", LISTS))
    assert pay(("CW-1", "80.00")) == []
    assert [request.method for request in pay.network.requests if request.method != "GET"] == []
    pay.network.strike()
    pay(("CW-2", "60.00"))
    assert rows(pay) == ["80.00"]


@pytest.mark.parametrize("sum_of_payments", [0, 10])
def test_an_invoice_that_contradicts_its_payments_is_not_understood(company, sum_of_payments):
    """Its sum is less than its rows, also when it is read by its id: nothing is set or discarded."""
    pay = company(of_sixty())
    pay.network.strike(
        Strike(altered(lambda found: [one | {"payments": sum_of_payments} for one in found]), "GET", SEARCHES),
        Strike(altered(lambda one: one | {"payments": sum_of_payments}), "GET", r"/1001\?"),
    )
    assert pay(("CW-1", "80.00")) == []
    assert rows(pay) == ["60.00"]
    pay.network.strike()
    pay(("CW-2", "60.00"))
    assert rows(pay) == ["80.00"]


def test_credits_among_the_payments_contradict_nothing(company):
    """An invoice may count applied credits as payments."""
    seed = invoice("CW-1", TOTAL, payments=(PaymentSeed(Decimal(60)), PaymentSeed(Decimal(10), credit="CM-1")))
    pay = company(seed)
    pay.network.strike(
        Strike(altered(lambda found: [one | {"payments": 70} for one in found]), "GET", SEARCHES),
        Strike(altered(lambda one: one | {"payments": 70}), "GET", r"/1001\?"),
    )
    pay(("CW-1", "80.00"))
    assert rows(pay) == ["80.00"]


def test_a_row_without_an_amount_is_never_taken_for_nothing(company):
    """Nothing is set beside it or in its place, and nothing is discarded."""
    pay = company(of_sixty())
    pay.network.strike(Strike(altered(lambda found: [one | {"amount": None} for one in found]), "GET", LISTS))
    assert pay(("CW-1", "80.00")) == []
    assert rows(pay) == ["60.00"]


# --- answers that contradict what was sent ----------------------------------------------------------------------------


@pytest.mark.parametrize("lie", ['{"id": 500001, "amount": 60.00}', '{"id": 500009}'], ids=["as it was", "another row"])
def test_a_change_that_the_answer_denies_is_made_again(company, lie):
    """A 200 that shows the row as it was proves nothing: the payments are listed, and the change is made."""
    pay = company(of_sixty())
    pay.network.strike(Strike(page(200, lie), "PATCH", nth=1))
    assert pay(("CW-1", "80.00"))["WarningMessage"] == "The earlier amount 60.00 was replaced by 80.00"
    assert rows(pay) == ["80.00"]


def test_a_change_that_is_always_denied_is_never_reported_as_done(company):
    """It waits, and others go on."""
    pay = company(of_sixty())
    pay.network.strike(Strike(page(200, '{"id": 500001, "amount": 60.00}'), "PATCH"))
    assert pay(("CW-1", "80.00"), ("CW-2", TOTAL)) == []
    assert (rows(pay), rows(pay, "CW-2")) == (["60.00"], [TOTAL])


def test_a_removal_that_removes_nothing_is_made_again(company):
    """A 204 proves nothing: only a list shows that the row is gone."""
    pay = company(of_sixty())
    pay.network.strike(Strike(page(204, ""), "DELETE", nth=1))
    assert pay(("CW-1", "0.00"))["WarningMessage"] == "The earlier payment of 60.00 was removed"
    assert rows(pay) == []
    assert len(pay.network.seen("DELETE")) == 2


def test_a_removal_costs_one_list_more(company):
    """The invoice is looked up and listed, the row removed, and its absence seen."""
    pay = company(of_sixty())
    pay(("CW-1", "0.00"))
    assert [request.method for request in pay.network.requests] == ["GET", "GET", "DELETE", "GET"]


@pytest.mark.parametrize(
    "lie", [{"amount": 59}, {"paymentDate": "2016-09-21T00:00:00Z"}, {"invoiceBalance": -1}], ids=str
)
def test_a_new_payment_that_the_answer_denies_is_looked_at(company, lie):
    """The list shows that all is well: nothing is made or changed again."""
    pay = company()
    pay.network.strike(Strike(altered(lambda row: row | lie), "POST"))
    said = pay(("CW-1", TOTAL))
    assert "ErrorMessage" not in said
    assert "WarningMessage" not in said
    assert rows(pay) == [TOTAL]
    assert [request.method for request in pay.network.requests] == ["GET", "POST", "GET", "GET"]


def emptied(_):
    """Give nothing in place of a row."""


def too_low(row):
    """Give a row whose invoice has less left to pay than it has."""
    return row | {"invoiceBalance": row["invoiceBalance"] - 1}


def worded(row):
    """Give a row with a balance in words."""
    return row | {"invoiceBalance": "none"}


@pytest.mark.parametrize(("lie", "cost"), [(emptied, 2.12), (too_low, 3.04), (worded, 2.04)])
def test_answers_that_say_too_little_cost_a_list_each(folders, start_sandbox, lie, cost):
    """Such an answer is about one payment: no other one waits for it, and few look-ups are made again.

    If less is left to pay than it should be, the invoice is read, too.
    """
    count = 400
    sandbox = start_sandbox(*(invoice(f"CW-{n}", TOTAL) for n in range(count)))
    with Unreliable(sandbox.url, Strike(altered(lie), "POST")) as network:
        with closing(Line(folders, network.url, lifetime=Day())) as line:
            claim = line.claim("pay.xml", document(*((f"CW-{n}", TOTAL) for n in range(count))))
            line.process([claim])
            assert {result.outcome.value for result in line.results(claim.id)} == {"applied"}
        assert len(network.seen("POST")) == count
        assert len(network.requests) <= cost * count


# --- refusals that are none -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "asked", "held", "warning"),
    [
        ("PATCH", "80.00", ["80.00"], "The earlier amount 60.00 was replaced by 80.00"),
        ("DELETE", "0.00", [], "The earlier payment of 60.00 was removed"),
    ],
)
def test_a_call_that_is_refused_and_carried_out_all_the_same_is_told(folders, company, method, asked, held, warning):
    """The books show what the call did: the payment is applied, and the payer hears what it replaced."""
    pay = company(of_sixty())
    pay.network.strike(Strike(after(INVALID_400), method))
    assert pay(("CW-1", asked))["WarningMessage"] == warning
    assert rows(pay) == held
    (receipt,) = files(folders.archive, "receipt.json")
    assert json.loads(receipt.read_bytes())["records"][0]["outcome"] == "applied"
