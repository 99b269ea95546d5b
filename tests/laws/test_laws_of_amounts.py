"""Laws about money, for any document, any invoice and any rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.payments.demands import demands_of
from watcher.payments.invoices import HeldPayment, Invoice
from watcher.payments.model import ZERO, Action, Change, Create, Demand, Intent, Keep, Misfit, Payment, Remove, Rules
from watcher.payments.outcomes import Outcome, finish, intend, reject, total
from watcher.payments.planning import plan

law = settings(deadline=None, max_examples=120)

cents = st.integers(0, 30_000).map(lambda amount: Decimal(amount) / 100)

days = st.dates(date(2016, 1, 1), date(2016, 12, 31))

all_rules = st.builds(Rules, st.booleans(), st.booleans(), st.booleans())


@st.composite
def documents(draw):
    """Return a document's records: payments and misfits on few invoices, so that they meet."""
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
    """Return an invoice as ConnectWise may hold it."""
    held = [
        HeldPayment(10 + place, draw(cents), draw(st.none() | days), draw(st.integers(0, 3)) == 0)
        for place in range(draw(st.integers(0, max_rows)))
    ]
    given_total = draw(st.none() | cents) if draw(st.integers(0, 9)) == 0 else draw(cents)
    kind = draw(st.sampled_from(["Standard"] * 9 + ["CreditMemo"]))
    credited = sum((one.amount for one in held if one.applies_credit), ZERO)
    paid = draw(st.none() | st.just(sum((one.amount for one in held), ZERO)))
    return Invoice(1, "A", kind, given_total, paid, credited, tuple(held))


intents = st.none() | st.builds(Intent, st.sampled_from(Action), cents, st.none() | st.just("warned then"))


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
            assert sum((result.held for result in finished), ZERO) == decided.amount <= asked.amount
            results += finished

    assert sorted(result.position for result in results) == [record.position for record in records]
    for result in results:
        record = records[result.position]
        assert (result.line, result.invoice_number) == (record.line, record.invoice_number)
        assert result.asked == record.amount
        parts = (result.applied, result.unchanged, result.discarded, result.failed or ZERO)
        assert (result.asked or ZERO) == sum(parts, ZERO)
        assert (result.failed is None) == (result.asked is None)
        assert min(parts) >= 0
        assert (result.message is not None) == (result.outcome is Outcome.REJECTED)
        assert result.warning is None or result.outcome is not Outcome.REJECTED
    sums = total(results)
    assert sums.asked == sum((record.amount or ZERO for record in records), ZERO)
    assert sums.unreadable == sum(record.amount is None for record in records)
    assert sums.asked == sums.applied + sums.unchanged + sums.discarded + sums.failed
    assert sums.records == sums.succeeded + sums.rejected == len(records)


@st.composite
def planned(draw):
    """Return a demand, an invoice with at most one payment of ours, the rules, and the plan."""
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
        # With taxes or a down payment, what is left is not the total without payments and credits.
        held = replace(held, balance=draw(cents), paid=sum((one.amount for one in held.payments), ZERO))
    if draw(st.booleans()):
        credit = HeldPayment(10, draw(cents), None, applies_credit=True)
        held = replace(held, payments=(*held.payments, credit), credits=credit.amount)
    return asked, held, rules, plan(asked, [held], None, rules)


def carried_out(held, step):
    """Return the invoice as ConnectWise holds it after a call."""
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
    if held.balance is None:
        return replace(held, payments=tuple(rows.values()))
    paid = sum((one.amount for one in rows.values() if not one.applies_credit), ZERO)
    return replace(held, payments=tuple(rows.values()), balance=held.balance + held.paid - paid, paid=paid)


@law
@given(planned())
def test_carried_out_plan_leaves_one_payment_as_the_rules_say(drawn):
    """Afterwards the invoice holds one payment of min(asked, payable), dated as the rules say, or none for a zero."""
    asked, held, rules, decided = drawn
    if decided.rejects:
        return

    ours = [one for one in carried_out(held, decided.step).payments if not one.applies_credit]

    if asked.amount == 0:
        assert all(one.amount == 0 for one in ours)
        return
    before = sum((one.amount for one in held.payments if not one.applies_credit), ZERO)
    payable = held.total - held.credits if held.balance is None else held.balance + before
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
    assert after.repeats == decided.repeats
    assert finish(after, Outcome.APPLIED, 11) == finish(decided, Outcome.APPLIED, 11)
