"""A demand and what ConnectWise holds become one step."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from support.documents import document
from support.money import DAY, OTHER, REMOVE, RULES, decide, demand, invoice, rejection, row

from watcher.documents.reading import read
from watcher.payments.demands import demands_of
from watcher.payments.model import (
    ZERO,
    Action,
    Change,
    Create,
    Dates,
    Intent,
    Keep,
    Plan,
    Remove,
    Rules,
)
from watcher.payments.outcomes import Outcome, finish
from watcher.payments.planning import must_list, plan

DATED = Rules(date_partial_payments=True)


OVERAGE = "The paid amount exceeds what the invoice can take: 100.00 was set and 20.50 discarded"
REPLACED = "The earlier amount 40.00 was replaced by {}"


# --- what is set -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "held", "step", "set_to"),
    [
        pytest.param("100", invoice(), Create(1, Decimal(100), DAY), "100", id="no row, whole amount"),
        pytest.param("100.00", invoice(), Create(1, Decimal(100), DAY), "100", id="no row, whole amount with cents"),
        pytest.param("99.99", invoice(), Create(1, Decimal("99.99"), None), "99.99", id="no row, a cent short"),
        pytest.param("100.01", invoice(), Create(1, Decimal(100), DAY), "100", id="no row, a cent over"),
        pytest.param("0.01", invoice(), Create(1, Decimal("0.01"), None), "0.01", id="no row, a cent"),
        pytest.param("0.01", invoice(total="0.01"), Create(1, Decimal("0.01"), DAY), "0.01", id="an invoice of a cent"),
        pytest.param("100", invoice(payments=None), Create(1, Decimal(100), DAY), "100", id="rows not listed"),
        pytest.param("70", invoice(credited="30"), Create(1, Decimal(70), DAY), "70", id="the rest beside credits"),
        pytest.param("69.99", invoice(credited="30"), Create(1, Decimal("69.99"), None), "69.99", id="less than that"),
        pytest.param("100", invoice(credited="30"), Create(1, Decimal(70), DAY), "70", id="more than that"),
        pytest.param(
            "70",
            invoice(row("30", DAY, credit=True), credited="30"),
            Create(1, Decimal(70), DAY),
            "70",
            id="a row that applies a credit is no payment",
        ),
        pytest.param(
            "70",
            invoice(row("30", credit=True, row_id=10), row("20", row_id=11), credited="30"),
            Change(1, 11, Decimal(70), DAY),
            "70",
            id="the payment beside a credit is changed",
        ),
        pytest.param(
            "70",
            invoice(row("10", credit=True, row_id=9), row("20", credit=True, row_id=10), credited="30"),
            Create(1, Decimal(70), DAY),
            "70",
            id="several credits are no payments",
        ),
        pytest.param("60", invoice(row("40")), Change(1, 11, Decimal(60), None), "60", id="a larger part"),
        pytest.param("20", invoice(row("40")), Change(1, 11, Decimal(20), None), "20", id="a smaller part"),
        pytest.param("100", invoice(row("40")), Change(1, 11, Decimal(100), DAY), "100", id="the completing payment"),
        pytest.param(
            "100", invoice(row("40", DAY)), Change(1, 11, Decimal(100), None), "100", id="completing, the day is there"
        ),
        pytest.param("100", invoice(row("100")), Change(1, 11, None, DAY), "100", id="only the date is missing"),
        pytest.param("100", invoice(row("100", OTHER)), Change(1, 11, None, DAY), "100", id="only the date differs"),
        pytest.param("120", invoice(row("100", OTHER)), Change(1, 11, None, DAY), "100", id="over, the date differs"),
        pytest.param(
            "40",
            invoice(row("100", OTHER)),
            Change(1, 11, Decimal(40), None, clear_date=True),
            "40",
            id="partly paid again, the date goes",
        ),
        pytest.param(
            "40",
            invoice(row("100", DAY)),
            Change(1, 11, Decimal(40), None, clear_date=True),
            "40",
            id="partly paid again, even the same date goes",
        ),
        pytest.param(
            "40", invoice(row("40", DAY)), Change(1, 11, None, None, clear_date=True), "40", id="only the date goes"
        ),
        pytest.param("100", invoice(row("100", DAY)), Keep(1, 11), "100", id="held already"),
        pytest.param("100.00", invoice(row("1E+2", DAY)), Keep(1, 11), "100", id="held already, written otherwise"),
        pytest.param("40", invoice(row("40")), Keep(1, 11), "40", id="held already in part"),
        pytest.param("150", invoice(row("100", DAY)), Keep(1, 11), "100", id="held already up to the total"),
        pytest.param(
            "100", invoice(row("100", DAY), total="80"), Change(1, 11, Decimal(80), None), "80", id="the total shrank"
        ),
    ],
)
def test_payment_is_set_to_what_is_asked_up_to_what_the_invoice_can_take(asked, held, step, set_to):
    """The smallest call leaves min(asked, total - credits), with a date only if that pays the invoice."""
    decided = decide(asked, held)

    assert (decided.step, decided.amount) == (step, Decimal(set_to))
    assert not decided.applied


@pytest.mark.parametrize(
    ("asked", "held", "step"),
    [
        pytest.param("40", invoice(), Create(1, Decimal(40), DAY), id="no row"),
        pytest.param("40", invoice(row("40")), Change(1, 11, None, DAY), id="the date is missing"),
        pytest.param("40", invoice(row("40", OTHER)), Change(1, 11, None, DAY), id="the date differs"),
        pytest.param("60", invoice(row("40", DAY)), Change(1, 11, Decimal(60), None), id="the amount differs"),
        pytest.param("40", invoice(row("40", DAY)), Keep(1, 11), id="held already"),
        pytest.param("100", invoice(), Create(1, Decimal(100), DAY), id="whole amount"),
    ],
)
def test_partial_payment_carries_a_date_where_the_operator_wants_it(asked, held, step):
    """With date_partial_payments every payment carries its day."""
    assert decide(asked, held, rules=DATED).step == step


def test_row_left_undated_by_a_partial_payment_is_dated_when_completed():
    """Part by part: no date, no date, then the date of the payment that completes the invoice."""
    first = decide("40", invoice())
    second = decide("60", invoice(row("40")))
    last = decide("100", invoice(row("60")))

    assert [decided.step.date_paid for decided in (first, second, last)] == [None, None, DAY]


def test_amount_of_connectwise_with_odd_decimals_is_kept_exact():
    """What ConnectWise computes is compared and set to its last decimal."""
    decided = decide("100", invoice(total="99.995"))

    assert decided.step == Create(1, Decimal("99.995"), DAY)
    assert "99.995 was set" in decided.warnings[0]
    assert "0.005 discarded" in decided.warnings[0]


# --- what the payer learns ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "held", "warnings"),
    [
        pytest.param(["100"], invoice(), (), id="nothing for a payment as asked"),
        pytest.param(["40"], invoice(), (), id="nothing for a part"),
        pytest.param(["120.50"], invoice(), (OVERAGE,), id="the overage"),
        pytest.param(["120.50"], invoice(row("100", DAY)), (OVERAGE,), id="the overage where nothing changes"),
        pytest.param(["60"], invoice(row("40")), (REPLACED.format("60.00"),), id="the amount replaced"),
        pytest.param(["20"], invoice(row("40")), (REPLACED.format("20.00"),), id="a larger amount replaced"),
        pytest.param(["120.50"], invoice(row("40")), (OVERAGE, REPLACED.format("100.00")), id="both"),
        pytest.param(["100"], invoice(row("100", OTHER)), (), id="nothing for a date alone"),
        pytest.param(["100"], invoice(row("100", DAY)), (), id="nothing for what is held already"),
        pytest.param(["40", "60"], invoice(), ("2 records of this invoice were added up to 100.00",), id="the sum"),
    ],
)
def test_payer_gets_a_warning_of_overage_replaced_amounts_and_sums(asked, held, warnings):
    """A warning gives the amounts if what is set differs from what was asked or held."""
    decided = decide(demand(*asked), held)

    assert decided.warnings == warnings
    (warning,) = {result.warning for result in finish(decided, Outcome.APPLIED, 11)}
    assert warning == ("; ".join(warnings) or None)


# --- what is rejected --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "message"),
    [
        pytest.param([], "Cannot find Invoice Number CW-1", id="unknown"),
        pytest.param(
            [invoice(), invoice(id=2)],
            "ConnectWise has 2 invoices with Invoice Number CW-1 (ids 1, 2); nothing is guessed",
            id="two invoices",
        ),
        pytest.param(
            [invoice(), invoice(id=2), invoice(id=3)],
            "ConnectWise has 3 invoices with Invoice Number CW-1 (ids 1, 2, 3); nothing is guessed",
            id="three invoices",
        ),
        pytest.param(
            [invoice(type="CreditMemo")], "Invoice Number CW-1 is a credit memo, which takes no payment", id="memo"
        ),
        pytest.param(
            [invoice(type="creditMEMO")],
            "Invoice Number CW-1 is a credit memo, which takes no payment",
            id="memo in other letter case",
        ),
        pytest.param(
            [invoice(row("40", row_id=11), row("60.5", row_id=12))],
            "Invoice CW-1 has 2 payments in ConnectWise (11 of 40.00, 12 of 60.50), where one was expected; "
            "leave one of them and send this again",
            id="two payments",
        ),
        pytest.param(
            [invoice(row("100", DAY, row_id=11), row("1", row_id=12), row("2", row_id=13))],
            "Invoice CW-1 has 3 payments in ConnectWise (11 of 100.00, 12 of 1.00, 13 of 2.00), "
            "where one was expected; leave one of them and send this again",
            id="three payments, one as asked",
        ),
        pytest.param([invoice(total=None)], "ConnectWise gives no total for invoice CW-1", id="no total"),
        pytest.param(
            [invoice(total="0")],
            "Invoice CW-1 has nothing to pay: its total is 0.00 and its credits are 0.00",
            id="a total of zero",
        ),
        pytest.param(
            [invoice(credited="100")],
            "Invoice CW-1 has nothing to pay: its total is 100.00 and its credits are 100.00",
            id="credits take all",
        ),
        pytest.param(
            [invoice(credited="130")],
            "Invoice CW-1 has nothing to pay: its total is 100.00 and its credits are 130.00",
            id="credits take more",
        ),
        pytest.param(
            [invoice(total="-20")],
            "Invoice CW-1 has nothing to pay: its total is -20.00 and its credits are 0.00",
            id="a negative total",
        ),
    ],
)
def test_payment_that_cannot_be_set_is_rejected_and_says_why(found, message):
    """Nothing is guessed: the payer gets the number and the reason."""
    assert rejection(decide("100", *found)) == message


def test_rejection_names_the_number_as_the_payer_wrote_it():
    """The unknown invoice's message carries the document's own number."""
    assert rejection(decide(demand("1", number="cw-34251"))) == "Cannot find Invoice Number cw-34251"


@pytest.mark.parametrize("kind", ["Agreement", "DownPayment", "Miscellaneous", "Progress", "Standard", "Consolidated"])
def test_every_type_but_a_credit_memo_can_be_paid(kind):
    """The list of types is open: an unknown type is an invoice."""
    assert decide("100", invoice(type=kind)).step == Create(1, Decimal(100), DAY)


def test_payments_of_a_zero_removal_are_not_guessed_either():
    """A zero does not say which of two payments is meant."""
    decided = decide("0", invoice(row("40", row_id=11), row("60", row_id=12)), rules=REMOVE)

    assert "has 2 payments in ConnectWise (11 of 40.00, 12 of 60.00)" in rejection(decided)


# --- zero --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "step", "warnings"),
    [
        pytest.param(
            invoice(row("40")), Remove(1, 11), ("The earlier payment of 40.00 was removed",), id="the row goes"
        ),
        pytest.param(
            invoice(row("30", credit=True, row_id=10), row("70", DAY), credited="30"),
            Remove(1, 11),
            ("The earlier payment of 70.00 was removed",),
            id="the row goes, the credit stays",
        ),
        pytest.param(
            invoice(row("40"), total="0"),
            Remove(1, 11),
            ("The earlier payment of 40.00 was removed",),
            id="nothing to pay",
        ),
        pytest.param(
            invoice(row("40"), total=None),
            Remove(1, 11),
            ("The earlier payment of 40.00 was removed",),
            id="no total needed",
        ),
        pytest.param(invoice(), Keep(1, None), (), id="no row"),
        pytest.param(invoice(row("30", credit=True), credited="30"), Keep(1, None), (), id="a credit alone stays"),
    ],
)
def test_zero_takes_the_payment_off_where_the_operator_wants_it(held, step, warnings):
    """With zero_amount = "remove" a zero leaves the invoice without a payment of ours."""
    (asked,), rejected = demands_of("claim", read(document(("CW-1", "0"))), REMOVE)

    decided = decide(asked, held, rules=REMOVE)

    assert rejected == []
    assert (decided.step, decided.amount, decided.warnings) == (step, ZERO, warnings)
    assert not decided.applied


def test_zero_on_an_unknown_invoice_or_a_memo_is_rejected_like_any_amount():
    """Removing follows the same look-up rules as paying."""
    assert rejection(decide("0", rules=REMOVE)) == "Cannot find Invoice Number CW-1"
    assert "credit memo" in rejection(decide("0", invoice(type="CreditMemo"), rules=REMOVE))


# --- after a lost answer or a crash ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intent", "asked", "held", "step", "applied", "warnings"),
    [
        pytest.param(
            Intent(Action.CREATE, Decimal(40), "warned then"),
            "40",
            invoice(row("40")),
            Keep(1, 11),
            True,
            ("warned then",),
            id="the POST arrived",
        ),
        pytest.param(
            Intent(Action.CREATE, Decimal(40)),
            "40",
            invoice(row("40")),
            Keep(1, 11),
            True,
            (),
            id="the POST arrived, nothing to tell",
        ),
        pytest.param(
            Intent(Action.CHANGE, Decimal(100), "warned then"),
            "120",
            invoice(row("100", DAY)),
            Keep(1, 11),
            True,
            ("warned then",),
            id="the PATCH arrived",
        ),
        pytest.param(
            Intent(Action.REMOVE, ZERO, "warned then"),
            "0",
            invoice(),
            Keep(1, None),
            True,
            ("warned then",),
            id="the DELETE arrived",
        ),
        pytest.param(
            Intent(Action.CREATE, Decimal(40)), "40", invoice(), Create(1, Decimal(40), None), False, (), id="no POST"
        ),
        pytest.param(
            Intent(Action.CHANGE, Decimal(60)),
            "60",
            invoice(row("40")),
            Change(1, 11, Decimal(60), None),
            False,
            (REPLACED.format("60.00"),),
            id="no PATCH",
        ),
        pytest.param(
            Intent(Action.REMOVE, ZERO),
            "0",
            invoice(row("40")),
            Remove(1, 11),
            False,
            ("The earlier payment of 40.00 was removed",),
            id="no DELETE",
        ),
        pytest.param(
            Intent(Action.CREATE, Decimal(30), "warned then"),
            "40",
            invoice(row("40")),
            Keep(1, 11),
            False,
            (),
            id="another amount was meant",
        ),
        pytest.param(
            Intent(Action.REMOVE, Decimal(40), "warned then"),
            "40",
            invoice(row("40")),
            Keep(1, 11),
            False,
            (),
            id="a removal was meant",
        ),
        pytest.param(
            Intent(Action.CREATE, ZERO, "warned then"),
            "0",
            invoice(),
            Keep(1, None),
            False,
            (),
            id="no removal was meant",
        ),
        pytest.param(
            Intent(Action.CREATE, Decimal(40)),
            "40",
            invoice(row("40", row_id=11), row("40", row_id=12)),
            Remove(1, 12, surplus=True),
            False,
            (),
            id="both POSTs arrived, the second row goes",
        ),
        pytest.param(
            Intent(Action.CREATE, Decimal(40)),
            "40",
            invoice(row("40", row_id=12), row("40", row_id=11)),
            Remove(1, 12, surplus=True),
            False,
            (),
            id="whatever their order",
        ),
        pytest.param(
            Intent(Action.CREATE, Decimal(40)),
            "40",
            invoice(row("40", row_id=11), row("40", row_id=12), row("30", row_id=13, credit=True)),
            Remove(1, 12, surplus=True),
            False,
            (),
            id="a credit is not the surplus",
        ),
    ],
)
def test_what_an_earlier_attempt_did_is_known_by_its_intent(intent, asked, held, step, applied, warnings):
    """A payment that our lost call has set counts as applied, with its warning. Otherwise it is set now."""
    decided = decide(asked, held, intent=intent)

    assert (decided.step, decided.applied, decided.warnings) == (step, applied, warnings)


@pytest.mark.parametrize(
    ("intent", "rows"),
    [
        pytest.param(None, [row("40", row_id=11), row("40", row_id=12)], id="no call of ours"),
        pytest.param(
            Intent(Action.CREATE, Decimal(40)),
            [row("40", row_id=11), row("41", row_id=12)],
            id="one is not of our amount",
        ),
        pytest.param(
            Intent(Action.CREATE, Decimal(41)),
            [row("40", row_id=11), row("40", row_id=12)],
            id="neither is of our amount",
        ),
        pytest.param(
            Intent(Action.CHANGE, Decimal(40)), [row("40", row_id=11), row("40", row_id=12)], id="ours was a PATCH"
        ),
        pytest.param(Intent(Action.REMOVE, ZERO), [row("40", row_id=11), row("40", row_id=12)], id="ours was a DELETE"),
    ],
)
def test_two_rows_that_are_not_both_ours_are_never_touched(intent, rows):
    """A second row is removed only if nobody but us can have made both."""
    message = rejection(decide("40", invoice(*rows), intent=intent))

    assert "11 of 40.00" in message
    assert "has 2 payments" in message


def test_row_that_is_known_to_be_ours_makes_way_for_another_users():
    """If another payment came in between, ours is removed, and the other one can be changed to what is asked."""
    rows = (row("41", row_id=11), row("40", row_id=12))

    decided = plan(demand("40"), [invoice(*rows)], Intent(Action.CREATE, Decimal(40)), Rules(), made=12)

    assert decided.step == Remove(1, 12, surplus=True)


def test_message_names_ten_rows_and_how_many_more_there_are():
    """A message to each of many records must not grow with what it lists."""
    rows = [row("1.00", row_id=number) for number in range(100, 20_100)]

    message = rejection(decide("40", invoice(*rows)))

    assert "has 20000 payments in ConnectWise (100 of 1.00, 101 of 1.00, " in message
    assert "109 of 1.00 and 19,990 more), where one was expected" in message


@pytest.mark.parametrize("contradicts", [False, True], ids=["one number", "a document that contradicts itself"])
def test_message_names_ten_ids_and_how_many_more_there_are(contradicts):
    """Many invoices under one number are named in short, and so are many ids that a document gives."""
    found = [invoice(id=number) for number in range(1, 1001)]
    asked = demand(*["1.00"] * 500)
    if contradicts:
        asked = replace(asked, parts=tuple(replace(part, invoice_id=part.position + 5000) for part in asked.parts))

    message = rejection(decide(asked, *found))

    assert "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 990 more" in message
    assert ("5000, 5001, 5002, 5003, 5004, 5005, 5006, 5007, 5008, 5009 and 490 more" in message) == contradicts
    assert len(message) < 300


# --- what is listed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paid", "listed"),
    [(Decimal("0.00"), False), (Decimal("0.01"), True), (Decimal(-5), True), (None, True)],
    ids=["nothing paid", "a cent paid", "a negative sum", "paid unknown"],
)
def test_rows_are_listed_unless_there_can_be_none(paid, listed):
    """The request for the rows is saved only if ConnectWise says that nothing is paid."""
    assert must_list(invoice(paid=paid)) is listed


@pytest.mark.parametrize("asked", ["0", "60"])
def test_a_payment_below_zero_is_named_and_left_alone(asked):
    """It is no payment that this program can have made, so nobody can tell what it means."""
    assert rejection(decide(asked, invoice(row("-50")), rules=REMOVE)) == (
        "In ConnectWise the payment 11 on invoice CW-1 is -50.00, an amount below zero; "
        "correct it there and send this again"
    )


@pytest.mark.parametrize(
    ("found", "refused", "applied"),
    [
        pytest.param(row("60"), Change(1, 11, Decimal(60), None), True, id="the amount was set"),
        pytest.param(row("60"), Change(1, 12, Decimal(60), None), False, id="another row"),
        pytest.param(row("60"), Change(1, 11, None, None, clear_date=True), True, id="the date was taken off"),
        pytest.param(row("60", DAY), Change(1, 11, None, None, clear_date=True), False, id="the date stays"),
        pytest.param(row("60"), Create(1, Decimal(60), None), False, id="somebody else's, before ours"),
    ],
)
def test_a_refused_call_whose_effect_is_there_was_carried_out(found, refused, applied):
    """Only what was another one when the call was made shows that."""
    before = Plan(demand("60"), refused, Decimal(60), ("what was replaced",))
    dates = Dates(stays="words") if found.date_paid else Dates()
    decided = plan(demand("60"), [invoice(found)], None, RULES, dates=dates, refused=before)
    assert isinstance(decided.step, Keep)
    assert decided.applied is applied
    assert ("what was replaced" in decided.warnings) is applied


def test_a_refused_removal_after_which_the_row_is_gone_was_carried_out():
    """What was removed is said."""
    before = Plan(demand("0"), Remove(1, 11), warnings=("what was removed",))
    decided = plan(demand("0"), [invoice()], None, REMOVE, refused=before)
    assert (decided.step, decided.applied, decided.warnings) == (Keep(1, None), True, ("what was removed",))


# --- what ConnectWise says is left -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "held", "step"),
    [
        pytest.param("120", invoice(balance="120"), Create(1, Decimal(120), DAY), id="the total is without tax"),
        pytest.param("100", invoice(balance="60"), Create(1, Decimal(60), DAY), id="a down payment"),
        pytest.param("60", invoice(balance="60"), Create(1, Decimal(60), DAY), id="the rest beside a down payment"),
        pytest.param(
            "100", invoice(row("40"), balance="20", paid="40"), Change(1, 11, Decimal(60), DAY), id="with our own row"
        ),
        pytest.param(
            "150", invoice(row("60"), balance="100", paid="0"), Change(1, 11, Decimal(100), DAY), id="a stale search"
        ),
        pytest.param(
            "100", invoice(balance="60", paid="40"), Create(1, Decimal(60), DAY), id="payments hold a down payment"
        ),
        pytest.param("100", invoice(total=None, balance="90"), Create(1, Decimal(90), DAY), id="no total"),
    ],
)
def test_invoice_takes_what_its_balance_and_our_own_row_allow(asked, held, step):
    """The balance knows of taxes and down payments. If sums do not fit the rows, the smaller reading counts."""
    assert decide(asked, held).step == step


def test_invoice_without_anything_left_says_why():
    """Total, credits and balance are named."""
    assert rejection(decide("5", invoice(balance="0", paid="0"))).endswith(
        "has nothing to pay: its total is 100.00, its credits are 0.00 and its balance is 0.00"
    )


# --- rows of 0.00 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "rows", "step"),
    [
        pytest.param("60", [row("0")], Change(1, 11, Decimal(60), None), id="alone"),
        pytest.param("60", [row("0"), row("0", row_id=12)], Change(1, 11, Decimal(60), None), id="two"),
        pytest.param("60", [row("0"), row("40", row_id=12)], Change(1, 12, Decimal(60), None), id="beside a payment"),
        pytest.param("40", [row("40"), row("0", row_id=12)], Keep(1, 11), id="beside the payment that is asked for"),
        pytest.param("0", [row("0")], Keep(1, None), id="nothing to remove"),
        pytest.param("0", [row("0"), row("40", row_id=12)], Remove(1, 12), id="the payment is removed"),
    ],
)
def test_row_of_nothing_is_a_payment_only_if_it_is_alone(asked, rows, step):
    """It is changed then, and no second row is made beside it."""
    assert decide(asked, invoice(*rows), rules=REMOVE).step == step


# --- dates that ConnectWise does not keep ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "held", "sent", "told"),
    [
        pytest.param("100", row("100", OTHER), DAY, f"shows the date {OTHER}", id="shifted"),
        pytest.param("100", row("100"), DAY, "shows no date", id="not stored"),
        pytest.param("40", row("40", OTHER), None, "although the date was taken off", id="set by the server"),
    ],
)
def test_date_that_was_sent_and_came_back_otherwise_is_not_sent_again(asked, held, sent, told):
    """The payer is told, and the record converges."""
    dates = Dates({11: sent})
    planned = plan(demand(asked), [invoice(held)], None, Rules(), dates=dates)
    assert planned.step == Keep(1, 11)
    assert told in planned.warnings[-1]


def test_another_date_than_was_sent_is_sent():
    """A date that was sent before says nothing of a new one."""
    planned = plan(demand("100"), [invoice(row("100", OTHER))], None, Rules(), dates=Dates({11: OTHER}))
    assert planned.step == Change(1, 11, None, DAY)


def test_amount_is_set_without_the_date_that_cannot_be_taken_off():
    """The payer is told in ConnectWise's words."""
    dates = Dates(stays="paymentDate is required.")
    planned = plan(demand("60"), [invoice(row("40", OTHER))], None, Rules(), dates=dates)
    assert planned.step == Change(1, 11, Decimal(60), None)
    assert planned.warnings[-1].endswith("off this payment: paymentDate is required.")
    assert plan(demand("40"), [invoice(row("40", OTHER))], None, Rules(), dates=dates).step == Keep(1, 11)
