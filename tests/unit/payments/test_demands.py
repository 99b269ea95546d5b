"""Records are sorted into demands on invoices, or rejected before any call."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from support.documents import document
from support.effort import effort
from support.money import RULES, demand, invoice, payment
from support.tables import table, terms

from watcher.claim import Claim
from watcher.documents import formats, table_terms
from watcher.documents.reading import read
from watcher.payments.demands import demands_of, first_of_each, timely, unrepeated
from watcher.payments.model import (
    ZERO,
    Create,
    Misfit,
    Payment,
    Rules,
)
from watcher.payments.outcomes import Outcome, finish
from watcher.payments.planning import plan

SUM = Rules(sum_duplicates=True)


# --- days ahead --------------------------------------------------------------------------------------------------

TODAY = date(2016, 8, 22)


@pytest.mark.parametrize(
    ("day", "accepted"), [(date(2016, 9, 22), True), (date(2016, 9, 23), False), (date(2061, 9, 22), False)]
)
def test_a_day_more_than_31_days_ahead_is_rejected(day, accepted):
    """It is a slip of the keyboard. The message names the day, today, and what is accepted."""
    (record,) = timely([payment(day=day)], TODAY)
    assert isinstance(record, Payment) is accepted
    if not accepted:
        ahead = f"The date {day} is {(day - TODAY).days:,} days ahead of today, 2016-08-22"
        assert record.fault == f"{ahead}; at most 31 days ahead are accepted (line 1)"


def test_a_payment_that_may_have_been_made_is_not_judged_by_a_clock_again():
    """A clock that was set back rejects nothing that may be in ConnectWise."""
    late = payment(day=date(2061, 9, 22))
    assert timely([late], TODAY, begun={0}) == (late,)


# --- places ------------------------------------------------------------------------------------------------------


def test_messages_of_tables_name_rows_and_those_of_documents_lines():
    """One word for one thing: what else is said of a table names rows."""
    rows = formats.read(table_terms.packed(terms(), table("CW-1,1.00,2016-09-22", "CW-1,2.00,2016-09-22")))
    assert "(rows 2, 3)" in demands_of("claim", rows, RULES)[1][0].message
    assert "(row 2)" in timely(rows, date(2000, 1, 1))[0].fault
    lines = read(document(("CW-1", "1"), ("CW-1", "2")))
    assert f"(lines {lines[0].line}, {lines[1].line})" in demands_of("claim", lines, RULES)[1][0].message


# --- zero --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["0", "0.00", "000"])
def test_zero_amount_is_rejected_with_the_setting_that_allows_it(written):
    """A zero is often a mistake. The message names the setting that allows it."""
    wanted, (rejected,) = demands_of("claim", read(document(("CW-1", written))), RULES)

    assert wanted == []
    assert rejected.outcome is Outcome.REJECTED
    assert "The amount is zero (line 3)" in rejected.message
    assert 'zero_amount = "remove"' in rejected.message


def test_smallest_amount_above_zero_is_a_payment():
    """A cent is not nothing."""
    wanted, rejected = demands_of("claim", read(document(("CW-1", "0.01"))), RULES)

    assert [asked.amount for asked in wanted] == [Decimal("0.01")]
    assert rejected == []


# --- the same externalId several times ---------------------------------------------------------------------------


def receipts(count, external_id):
    """Return payments on as many invoices, all with one externalId."""
    return [replace(payment(position, number=f"CW-{position}"), external_id=external_id) for position in range(count)]


def test_externalid_of_many_records_is_told_each_in_a_few_words():
    """Twenty thousand records with one externalId are rejected in a moment, each with ten of the lines."""
    with effort() as spent:
        records = unrepeated(receipts(20_000, "R-" + "0" * 200 + "\n"), {})

    assert spent.pieces < 150
    assert {len(record.fault) < 400 and record.fault.isprintable() for record in records} == {True}
    assert "stands 20000 times in this file (lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 19,990 more)" in records[7].fault
    assert records[7].fault.endswith("(line 8)")


def test_externalid_that_was_used_before_is_told_with_its_file():
    """Once or twice in this file: where it was used before counts."""
    earlier = {"R-1": Claim("20160922T123000Z_0a1b2c3d", "mon\x1bday.xml")}
    for count in (1, 2):
        records = unrepeated([*receipts(count, "R-1"), payment(5, number="CW-7")], earlier)
        assert "processed already, in mon\\x1bday.xml taken on 2016-09-22 at 12:30" in records[0].fault
        assert [type(record) for record in records] == [Misfit] * count + [Payment]


# --- the same invoice several times ------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 50])
def test_duplicates_are_all_rejected_and_say_how_to_go_on(count):
    """The program does not guess which one is right. Other invoices are paid."""
    content = document(*[("CW-1", f"{amount}.00") for amount in range(1, count + 1)], ("CW-2", "5"))

    wanted, rejected = demands_of("claim", read(content), RULES)

    assert [asked.invoice_number for asked in wanted] == ["CW-2"]
    assert [result.position for result in rejected] == list(range(count))
    assert {result.outcome for result in rejected} == {Outcome.REJECTED}
    assert [result.failed for result in rejected] == list(range(1, count + 1))
    lines = ", ".join(str(3 + 5 * place) for place in range(min(count, 10)))
    if count > 10:
        lines += f" and {count - 10} more"
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
    """A sum without one of its parts would be wrong. The bad part names its own fault."""
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
    """Every record gets the message that helps to correct it, also where duplicates are rejected."""
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
    assert [(result.position, result.failed) for result in rejected] == [(1, 2), (3, None), (4, 5)]


# --- order -------------------------------------------------------------------------------------------------------


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
