"""The rules about money: what is asked and what ConnectWise holds, to steps and results."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.documents import document

from watcher.documents.reading import read
from watcher.payments.demands import demands_of, first_of_each
from watcher.payments.model import (
    ZERO,
    Action,
    Change,
    Create,
    Demand,
    HeldPayment,
    Intent,
    Invoice,
    Keep,
    Misfit,
    Payment,
    Plan,
    Reject,
    Remove,
    Rules,
)
from watcher.payments.outcomes import Outcome, Result, finish, intend, reject, total
from watcher.payments.planning import must_list, plan

DAY = date(2016, 9, 22)
OTHER = date(2016, 8, 1)
RULES = Rules()
DATED = Rules(date_partial_payments=True)
SUM = Rules(sum_duplicates=True)
REMOVE = Rules(remove_on_zero=True)
law = settings(deadline=None, max_examples=120)


def payment(position=0, amount="100", *, number="CW-1", day=DAY):
    """Give a record that asks for an amount on an invoice."""
    return Payment(position, position + 1, number, Decimal(amount), day)


def demand(*amounts, number="CW-1", day=DAY):
    """Give what a document asks of an invoice."""
    parts = tuple(payment(position, amount, number=number, day=day) for position, amount in enumerate(amounts))
    return Demand("claim", number, parts)


def row(amount, day=None, *, row_id=11, credit=False):
    """Give a payment row that ConnectWise holds."""
    return HeldPayment(row_id, Decimal(amount), day, credit)


def invoice(*rows, total="100", credited="0", **more):
    """Give an invoice that ConnectWise holds, with its payment rows listed."""
    paid = sum((held.amount for held in rows), ZERO)
    given = {"id": 1, "number": "CW-1", "type": "Standard", "total": total and Decimal(total), "paid": paid}
    return Invoice(**(given | {"credits": Decimal(credited), "payments": rows} | more))


def decide(asked, *found, intent=None, rules=RULES):
    """Plan one demand."""
    return plan(asked if isinstance(asked, Demand) else demand(asked), found, intent, rules)


def rejection(decided):
    """Give the words of a plan that rejects."""
    assert isinstance(decided.step, Reject)
    return decided.step.message


# --- what is set -----------------------------------------------------------------------------------------------


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
    """The least call is made that leaves min(asked, total - credits), dated only if that pays the invoice."""
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


# --- what the payer is told ------------------------------------------------------------------------------------

OVERAGE = "The paid amount exceeds what the invoice can take: 100.00 was set and 20.50 discarded"
REPLACED = "The earlier amount 40.00 was replaced by {}"


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
def test_payer_is_told_of_overage_replaced_amounts_and_sums(asked, held, warnings):
    """What is set differently from what was asked or held is said with its amounts."""
    decided = decide(demand(*asked), held)

    assert decided.warnings == warnings
    (told,) = {result.warning for result in finish(decided, Outcome.APPLIED, 11)}
    assert told == ("; ".join(warnings) or None)


# --- what is rejected ------------------------------------------------------------------------------------------


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
    """Types are an open list; one that is not known is an invoice."""
    assert decide("100", invoice(type=kind)).step == Create(1, Decimal(100), DAY)


def test_payments_of_a_zero_removal_are_not_guessed_either():
    """A zero does not say which of two payments is meant."""
    decided = decide("0", invoice(row("40", row_id=11), row("60", row_id=12)), rules=REMOVE)

    assert "has 2 payments in ConnectWise (11 of 40.00, 12 of 60.00)" in rejection(decided)


# --- zero ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["0", "0.00", "000"])
def test_zero_amount_is_rejected_with_the_setting_that_allows_it(written):
    """A zero is more often a mistake than a wish; the payer learns how to say it."""
    wanted, (rejected,) = demands_of("claim", read(document(("CW-1", written))), RULES)

    assert wanted == []
    assert rejected.outcome is Outcome.REJECTED
    assert "PaidAmount is zero (line 3)" in rejected.message
    assert 'zero_amount = "remove"' in rejected.message


def test_smallest_amount_above_zero_is_a_payment():
    """A cent is not nothing."""
    wanted, rejected = demands_of("claim", read(document(("CW-1", "0.01"))), RULES)

    assert [asked.amount for asked in wanted] == [Decimal("0.01")]
    assert rejected == []


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


# --- the same invoice several times ----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 50])
def test_duplicates_are_all_rejected_and_told_how_to_go_on(count):
    """None of them is guessed to be the right one; other invoices are paid."""
    content = document(*[("CW-1", f"{amount}.00") for amount in range(1, count + 1)], ("CW-2", "5"))

    wanted, rejected = demands_of("claim", read(content), RULES)

    assert [asked.invoice_number for asked in wanted] == ["CW-2"]
    assert [result.position for result in rejected] == list(range(count))
    assert {result.outcome for result in rejected} == {Outcome.REJECTED}
    assert [result.failed for result in rejected] == list(range(1, count + 1))
    lines = ", ".join(str(3 + 5 * place) for place in range(count))
    for result in rejected:
        assert f"Invoice CW-1 stands {count} times in this file (lines {lines})" in result.message
        assert "group them into one" in result.message
        assert 'duplicates = "sum"' in result.message


@pytest.mark.parametrize("count", [2, 3, 50])
def test_duplicates_are_added_up_where_the_operator_wants_it(count):
    """One payment of the sum is set, dated by the latest day, and each record is reported."""
    days = [date(2016, 9, 1 + (7 * place) % 30) for place in range(count)]
    content = document(
        *[("CW-1", f"{place}.10", str(day)) for place, day in enumerate(days, 1)], ("CW-2", "5", "2016-12-31")
    )

    wanted, rejected = demands_of("claim", read(content), SUM)

    assert rejected == []
    asked, other = wanted
    expected = sum((Decimal(f"{place}.10") for place in range(1, count + 1)), ZERO)
    assert (asked.amount, asked.date_paid, len(asked.parts)) == (expected, max(days), count)
    assert other.amount == 5
    decided = plan(asked, [invoice(total=str(expected))], None, SUM)
    assert decided.step == Create(1, expected, max(days))
    results = finish(decided, Outcome.APPLIED, 11)
    assert [result.position for result in results] == list(range(count))
    assert [result.applied for result in results] == [part.amount for part in asked.parts]
    assert {result.warning for result in results} == {f"{count} records of this invoice were added up to {expected}"}


@pytest.mark.parametrize("rules", [RULES, SUM], ids=["reject", "sum"])
@pytest.mark.parametrize("twin", ["cw-1a", "CW-1A", " Cw-1a\n", "\tcw-1A "], ids=repr)
def test_duplicates_are_known_in_other_letter_case_and_with_spaces_around(twin, rules):
    """Numbers are compared as ConnectWise's answers are: trimmed and case-folded."""
    wanted, rejected = demands_of("claim", read(document(("CW-1a", "1"), (twin, "2"))), rules)

    assert len(rejected) == (0 if rules is SUM else 2)
    assert [asked.amount for asked in wanted] == ([3] if rules is SUM else [])


@pytest.mark.parametrize("other", ["CW-10", "CW1", "CW -1", "CW_1"])
def test_numbers_that_only_look_alike_are_no_duplicates(other):
    """Every other difference is another invoice."""
    wanted, rejected = demands_of("claim", read(document(("CW-1", "1"), (other, "2"))), RULES)

    assert [asked.invoice_number for asked in wanted] == ["CW-1", other]
    assert rejected == []


@pytest.mark.parametrize("place", [0, 1, 2])
def test_bad_record_among_summed_ones_rejects_them_all(place):
    """A sum without one of its parts would be a wrong amount; the bad part says its own fault."""
    amounts = ["1.00", "2.00", "3.00"]
    amounts[place] = "1,5"

    wanted, rejected = demands_of("claim", read(document(*[("CW-1", amount) for amount in amounts])), SUM)

    assert wanted == []
    assert len(rejected) == 3
    for result in rejected:
        if result.position == place:
            assert 'PaidAmount "1,5" is not an amount' in result.message
        else:
            assert "another record of invoice CW-1 is wrong (lines 3, 8, 13)" in result.message
            assert "wrong amount" in result.message


def test_bad_record_among_rejected_duplicates_says_its_own_fault():
    """With duplicates rejected, too, every record gets the words that help it."""
    _, (first, second) = demands_of("claim", read(document(("CW-1", "1"), ("CW-1", "x"))), RULES)

    assert "stands 2 times in this file" in first.message
    assert 'PaidAmount "x" is not an amount' in second.message


def test_zero_among_summed_records_counts_as_bad_unless_zero_means_remove():
    """A zero is rejected wherever it stands; where it is allowed it adds nothing."""
    content = read(document(("CW-1", "100"), ("CW-1", "0")))

    wanted, rejected = demands_of("claim", content, SUM)
    assert wanted == []
    assert [result.position for result in rejected] == [0, 1]

    (asked,), rejected = demands_of("claim", content, Rules(sum_duplicates=True, remove_on_zero=True))
    assert rejected == []
    assert asked.amount == 100


def test_records_without_a_number_are_duplicates_of_none():
    """Two records that both lack the number have nothing else in common."""
    wanted, rejected = demands_of("claim", read(document(("", "1"), ("", "2"), ("CW-1", "3"))), SUM)

    assert [asked.amount for asked in wanted] == [3]
    assert len(rejected) == 2
    assert all("InvoiceNumber is missing" in r.message or "InvoiceNumber is empty" in r.message for r in rejected)


def test_one_bad_record_never_stops_another():
    """Each record stands on its own, in the order of the document."""
    content = document(
        ("CW-1", "1"), ("CW*2", "2"), ("CW-3", "3"), ("CW-4", "x"), ("CW-5", "5", "never"), ("CW-6", "6")
    )

    wanted, rejected = demands_of("claim", read(content), RULES)

    assert [asked.invoice_number for asked in wanted] == ["CW-1", "CW-3", "CW-6"]
    assert [asked.claim_id for asked in wanted] == ["claim"] * 3
    assert [(result.position, result.failed) for result in rejected] == [(1, 2), (3, 0), (4, 5)]


@pytest.mark.parametrize(
    ("amounts", "payable", "settled"),
    [
        pytest.param(["40", "60"], "100", ["40", "60"], id="just enough"),
        pytest.param(["40", "60"], "99.99", ["40", "59.99"], id="a cent short"),
        pytest.param(["40", "60"], "40", ["40", "0"], id="the first alone"),
        pytest.param(["40", "60"], "10", ["10", "0"], id="part of the first"),
        pytest.param(["10", "20", "30", "40"], "45", ["10", "20", "15", "0"], id="four"),
    ],
)
def test_overage_of_a_sum_falls_on_the_last_records(amounts, payable, settled):
    """The amount set is shared out in the order of the records, and what is left is discarded, to the cent."""
    decided = decide(demand(*amounts), invoice(total=payable))

    results = finish(decided, Outcome.APPLIED, 11)

    assert [result.applied for result in results] == [Decimal(part) for part in settled]
    assert sum(result.discarded for result in results) == sum(map(Decimal, amounts)) - Decimal(payable)
    assert all(result.asked == result.applied + result.discarded for result in results)


# --- after a lost answer or a crash ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intent", "asked", "held", "step", "applied", "warnings"),
    [
        pytest.param(
            Intent(Action.CREATE, Decimal(40), "told then"),
            "40",
            invoice(row("40")),
            Keep(1, 11),
            True,
            ("told then",),
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
            Intent(Action.CHANGE, Decimal(100), "told then"),
            "120",
            invoice(row("100", DAY)),
            Keep(1, 11),
            True,
            ("told then",),
            id="the PATCH arrived",
        ),
        pytest.param(
            Intent(Action.REMOVE, ZERO, "told then"),
            "0",
            invoice(),
            Keep(1, None),
            True,
            ("told then",),
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
            Intent(Action.CREATE, Decimal(30), "told then"),
            "40",
            invoice(row("40")),
            Keep(1, 11),
            False,
            (),
            id="another amount was meant",
        ),
        pytest.param(
            Intent(Action.REMOVE, Decimal(40), "told then"),
            "40",
            invoice(row("40")),
            Keep(1, 11),
            False,
            (),
            id="a removal was meant",
        ),
        pytest.param(
            Intent(Action.CREATE, ZERO, "told then"),
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
    """A payment that our lost call set counts as applied with its warning; one it did not set is set now."""
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


@pytest.mark.parametrize(
    ("step", "earlier", "written"),
    [
        pytest.param(Create(1, Decimal(40), None), None, Intent(Action.CREATE, Decimal(40), "a; b"), id="create"),
        pytest.param(
            Change(1, 11, Decimal(40), None), None, Intent(Action.CHANGE, Decimal(40), "a; b"), id="change of amount"
        ),
        pytest.param(
            Change(1, 11, None, DAY), None, Intent(Action.CHANGE, Decimal(40), "a; b"), id="change of the date alone"
        ),
        pytest.param(Remove(1, 11), None, Intent(Action.REMOVE, Decimal(40), "a; b"), id="remove"),
        pytest.param(Remove(1, 11, surplus=True), None, None, id="nothing for a surplus row"),
        pytest.param(Keep(1, 11), None, None, id="nothing to do"),
        pytest.param(Reject("No"), None, None, id="nothing for a rejection"),
        pytest.param(
            Create(1, Decimal(40), None),
            Intent(Action.CREATE, Decimal(40), "then"),
            Intent(Action.CREATE, Decimal(40), "then"),
            id="the same again keeps its warning",
        ),
        pytest.param(
            Create(1, Decimal(40), None),
            Intent(Action.CREATE, Decimal(30), "then"),
            Intent(Action.CREATE, Decimal(40), "a; b"),
            id="another amount",
        ),
        pytest.param(
            Create(1, Decimal(40), None),
            Intent(Action.CHANGE, Decimal(40), "then"),
            Intent(Action.CREATE, Decimal(40), "a; b"),
            id="another action",
        ),
    ],
)
def test_call_is_written_down_with_its_amount_and_warning(step, earlier, written):
    """What may be sent is known afterwards; what sends no new payment needs no intent."""
    assert intend(Plan(demand("40"), step, Decimal(40), ("a", "b")), earlier) == written


@pytest.mark.parametrize(
    ("paid", "listed"),
    [(Decimal("0.00"), False), (Decimal("0.01"), True), (Decimal(-5), True), (None, True)],
    ids=["nothing paid", "a cent paid", "a negative sum", "paid unknown"],
)
def test_rows_are_listed_unless_there_can_be_none(paid, listed):
    """A look at the rows is saved only where ConnectWise says that nothing is paid."""
    assert must_list(invoice(paid=paid)) is listed


# --- order -----------------------------------------------------------------------------------------------------


def test_demands_side_by_side_are_of_different_invoices_and_the_earliest_of_each():
    """Two files on one invoice are never worked on at once, so that the later one wins."""
    waiting = [demand(amount, number=number) for number, amount in (("A", "1"), ("b", "2"), ("a", "3"), ("C", "4"))]

    assert first_of_each(waiting, 10) == [waiting[0], waiting[1], waiting[3]]
    assert first_of_each(waiting[2:], 10) == waiting[2:]
    assert first_of_each([], 10) == []


@pytest.mark.parametrize(("limit", "taken"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3)])
def test_no_more_demands_are_taken_than_the_limit(limit, taken):
    """A round is bounded, and keeps the order of arrival."""
    waiting = [demand("1", number=number) for number in ("A", "A", "B", "C")]

    assert [asked.invoice_number for asked in first_of_each(waiting, limit)] == ["A", "B", "C"][:taken]


# --- laws ------------------------------------------------------------------------------------------------------

cents = st.integers(0, 30_000).map(lambda amount: Decimal(amount) / 100)
days = st.dates(date(2016, 1, 1), date(2016, 12, 31))
all_rules = st.builds(Rules, st.booleans(), st.booleans(), st.booleans())


@st.composite
def documents(draw):
    """Give a document's records: payments and misfits on few invoices, so that they meet."""
    records = []
    for position in range(draw(st.integers(1, 12))):
        number = draw(st.sampled_from(["A", "a", "B", "C", "D", "E"]))
        if draw(st.integers(0, 7)) == 0:
            amount = draw(st.none() | cents)
            records.append(Misfit(position, position + 1, draw(st.sampled_from(["", number])), amount, "wrong"))
        else:
            records.append(Payment(position, position + 1, number, draw(cents), draw(days)))
    return records


@st.composite
def invoices(draw, max_rows=3):
    """Give an invoice as ConnectWise may hold it."""
    held = [
        HeldPayment(10 + place, draw(cents), draw(st.none() | days), draw(st.integers(0, 3)) == 0)
        for place in range(draw(st.integers(0, max_rows)))
    ]
    given_total = draw(st.none() | cents) if draw(st.integers(0, 9)) == 0 else draw(cents)
    kind = draw(st.sampled_from(["Standard"] * 9 + ["CreditMemo"]))
    credited = sum((one.amount for one in held if one.applies_credit), ZERO)
    paid = draw(st.none() | st.just(sum((one.amount for one in held), ZERO)))
    return Invoice(1, "A", kind, given_total, paid, credited, tuple(held))


intents = st.none() | st.builds(Intent, st.sampled_from(Action), cents, st.none() | st.just("told then"))


@law
@given(documents(), all_rules, st.data())
def test_every_record_has_one_result_whose_amounts_add_up(records, rules, data):
    """What is asked = applied + unchanged + discarded + failed, of every record and of the whole, whatever is found."""
    wanted, results = demands_of("claim", records, rules)
    for asked in wanted:
        found = data.draw(st.lists(invoices(), max_size=2))
        decided = plan(asked, found, data.draw(intents), rules)
        refused = data.draw(st.booleans())
        if decided.rejects:
            results += [reject(part, decided.step.message) for part in asked.parts]
        elif refused:
            results += [reject(part, "Refused by ConnectWise", 1) for part in asked.parts]
        else:
            outcome = data.draw(st.sampled_from([Outcome.APPLIED, Outcome.UNCHANGED]))
            finished = finish(decided, outcome, 11)
            assert sum((result.settled for result in finished), ZERO) == decided.amount <= asked.amount
            results += finished

    assert sorted(result.position for result in results) == [record.position for record in records]
    for result in results:
        record = records[result.position]
        assert (result.line, result.invoice_number) == (record.line, record.invoice_number)
        assert result.asked == (record.amount or ZERO)
        assert result.asked == result.applied + result.unchanged + result.discarded + result.failed
        assert min(result.applied, result.unchanged, result.discarded, result.failed) >= 0
        assert (result.message is not None) == (result.outcome is Outcome.REJECTED)
        assert result.warning is None or result.outcome is not Outcome.REJECTED
    sums = total(results)
    assert sums.asked == sum((record.amount or ZERO for record in records), ZERO)
    assert sums.asked == sums.applied + sums.unchanged + sums.discarded + sums.failed
    assert sums.records == sums.succeeded + sums.rejected == len(records)


@st.composite
def planned(draw):
    """Give a demand, an invoice with at most one payment of ours, the rules, and the plan."""
    rules = draw(all_rules)
    parts = tuple(
        Payment(place, place + 1, "A", draw(cents), draw(days))
        for place in range(draw(st.sampled_from([1, 1, 1, 2, 3])))
    )
    asked = Demand("claim", "A", parts)
    held = draw(invoices(max_rows=0))
    if draw(st.booleans()):
        near = st.sampled_from([asked.amount, min(asked.amount, held.total or ZERO)])
        mine = HeldPayment(11, draw(near | cents), draw(st.none() | st.just(asked.date_paid) | days))
        held = replace(held, payments=(mine,))
    if draw(st.booleans()):
        credit = HeldPayment(10, draw(cents), None, applies_credit=True)
        held = replace(held, payments=(*held.payments, credit), credits=credit.amount)
    return asked, held, rules, plan(asked, [held], None, rules)


def carried_out(held, step):
    """Give the invoice as ConnectWise holds it after a call."""
    rows = {one.id: one for one in held.payments}
    match step:
        case Create():
            rows[12] = HeldPayment(12, step.amount, step.date_paid)
        case Change():
            before = rows[step.payment_id]
            day = None if step.clear_date else step.date_paid or before.date_paid
            rows[before.id] = replace(
                before, amount=before.amount if step.amount is None else step.amount, date_paid=day
            )
        case Remove():
            del rows[step.payment_id]
    return replace(held, payments=tuple(rows.values()))


@law
@given(planned())
def test_carried_out_plan_leaves_one_payment_as_the_rules_say(drawn):
    """Afterwards the invoice holds one payment of min(asked, payable), dated as the rules say, or none for a zero."""
    asked, held, rules, decided = drawn
    if decided.rejects:
        return

    ours = [one for one in carried_out(held, decided.step).payments if not one.applies_credit]

    if asked.amount == 0:
        assert ours == []
        return
    payable = held.total - held.credits
    (mine,) = ours
    assert mine.amount == min(asked.amount, payable) == decided.amount
    dated = asked.amount >= payable or rules.date_partial_payments
    assert mine.date_paid == (max(part.date_paid for part in asked.parts) if dated else None)


@law
@given(planned())
def test_carried_out_plan_leaves_nothing_to_do(drawn):
    """The same payment again is unchanged, and a row that applies a credit is never touched."""
    asked, held, rules, decided = drawn
    if decided.rejects:
        return
    after = carried_out(held, decided.step)

    again = plan(asked, [after], None, rules)

    assert isinstance(again.step, Keep)
    assert not again.applied
    assert again.amount == decided.amount
    assert [one for one in after.payments if one.applies_credit] == [one for one in held.payments if one.applies_credit]


@law
@given(planned())
def test_crash_around_a_call_changes_no_result(drawn):
    """Before the call the same call is planned again; after it the results are those of a run without a crash."""
    asked, held, rules, decided = drawn
    intent = intend(decided, None)
    if intent is None:
        return

    before = plan(asked, [held], intent, rules)
    after = plan(asked, [carried_out(held, decided.step)], intent, rules)

    assert before == decided
    assert intend(before, intent) == intent
    assert after.applied
    assert finish(after, Outcome.APPLIED, 11) == finish(decided, Outcome.APPLIED, 11)


# --- results ---------------------------------------------------------------------------------------------------


def test_finished_record_carries_the_ids_of_connectwise():
    """A success says which invoice and payment row it became."""
    (result,) = finish(decide("120.50", invoice(id=77)), Outcome.APPLIED, 11)

    assert result == Result(
        0, 1, "CW-1", Outcome.APPLIED, Decimal("120.50"), Decimal(100), warning=OVERAGE, invoice_id=77, payment_id=11
    )


@pytest.mark.parametrize("outcome", [Outcome.APPLIED, Outcome.UNCHANGED])
def test_overage_is_discarded_whether_or_not_anything_was_set(outcome):
    """The discarded part is the same for a payment set now and one that was there."""
    (result,) = finish(decide("120.50", invoice(row("100", DAY))), outcome, 11)

    assert result.discarded == Decimal("20.50")
    assert (result.applied, result.unchanged) == ((100, 0) if outcome is Outcome.APPLIED else (0, 100))


@pytest.mark.parametrize(
    ("record", "asked"),
    [
        pytest.param(payment(amount="346.34"), "346.34", id="a payment"),
        pytest.param(Misfit(0, 1, "CW-1", Decimal("346.34"), "wrong"), "346.34", id="a misfit with an amount"),
        pytest.param(Misfit(0, 1, "CW-1", None, "wrong"), "0", id="a misfit without"),
    ],
)
def test_rejected_record_failed_with_its_whole_amount(record, asked):
    """Nothing of a rejected record is applied; what cannot be read counts as zero."""
    result = reject(record, "No", 77)

    assert (result.asked, result.failed) == (Decimal(asked), Decimal(asked))
    assert (result.applied, result.unchanged, result.discarded) == (0, 0, 0)
    assert (result.message, result.warning, result.invoice_id) == ("No", None, 77)


def test_a_row_that_is_known_to_be_ours_makes_way_for_another_users():
    """Where another payment came in between, ours goes, so that the other one can be changed to what is asked."""
    rows = (row("41", row_id=11), row("40", row_id=12))

    decided = plan(demand("40"), [invoice(*rows)], Intent(Action.CREATE, Decimal(40)), Rules(), made=12)

    assert decided.step == Remove(1, 12, surplus=True)
