"""Whatever became of a payment: it is written down to the cent, in receipt and journal, and comes back as it was."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from support.journal import FIRST, begin, payment, results_of
from support.receipts import CLAIM, DIGEST, DONE, content_of, written

from watcher.journal.database import Database
from watcher.journal.ledger import Ledger
from watcher.payments.outcomes import Outcome, Result
from watcher.payments.receipt import ReadReceipt, read_receipt

# --- receipts --------------------------------------------------------------------------------------------------------

PARTS = ("applied", "unchanged", "discarded", "failed")

cents = st.integers(0, 10**15).map(lambda amount: Decimal(amount) / 100)


@st.composite
def results(draw):
    """Return results of any outcome."""
    asked = draw(cents)
    outcome = draw(st.sampled_from(Outcome))
    settled = Decimal(0) if outcome is Outcome.REJECTED else min(asked, draw(cents))
    return Result(0, 1, "CW-1", outcome, asked, settled)


@settings(deadline=None, max_examples=100)
@given(st.lists(results(), max_size=20))
def test_amounts_of_a_receipt_add_up(given_results):
    """What is asked = applied + unchanged + discarded + failed, in every record and in the totals, to the cent."""
    content = content_of(*given_results)

    for amounts in (*content["records"], content["totals"]):
        assert all(isinstance(amounts[part], str) for part in ("asked", *PARTS))
        assert Decimal(amounts["asked"]) == sum(Decimal(amounts[part]) for part in PARTS)
    for part in ("asked", *PARTS):
        assert Decimal(content["totals"][part]) == sum(Decimal(record[part]) for record in content["records"])
    assert content["totals"]["records"] == len(content["records"])


texts = st.none() | st.text(min_size=1, max_size=40)


@st.composite
def full_results(draw):
    """Return a result with everything that it can say."""
    result = draw(results())
    rejected = result.outcome is Outcome.REJECTED
    return replace(
        result,
        position=draw(st.integers(0, 9999)),
        invoice_number=draw(st.text(max_size=20)),
        message=draw(texts) if rejected else None,
        warning=None if rejected else draw(texts),
        invoice_id=draw(st.none() | st.integers(1)),
        payment_id=draw(st.none() | st.integers(1)),
    )


@settings(deadline=None, max_examples=100)
@given(st.lists(full_results(), max_size=5), texts)
def test_receipt_read_back_says_the_same(given_results, refusal):
    """Whatever became of a file, what is published from its receipt is what was decided."""
    content = written(given_results, refusal)
    whole_second = DONE.replace(microsecond=0)
    assert read_receipt(content) == ReadReceipt(CLAIM.name, DIGEST, refusal, given_results, whole_second)
    assert written(read_receipt(content).results, refusal) == content


# --- the journal -----------------------------------------------------------------------------------------------------

# Two decimals as documents have them; what cannot be said in text is no amount.
amounts = st.decimals(0, Decimal("9999999999999.99"), places=2)
words = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
any_result = st.builds(
    lambda *fields: Result(0, 3, "CW-0", *fields),
    st.sampled_from(Outcome),
    amounts,
    amounts,
    words,
    words,
    st.none() | st.integers(0, 2**53),
    st.none() | st.integers(0, 2**53),
)


@settings(deadline=None, max_examples=60)
@given(any_result)
def test_a_result_comes_back_as_it_was(result):
    """Every part of a result is there again, amounts to the last digit."""
    with closing(Database("sqlite://")) as database:
        ledger = Ledger(database)
        begin(database, FIRST, "digest", [payment(0)])
        ledger.record([(FIRST.id, result)])
        (found,) = results_of(ledger, FIRST)
        assert found == result
        assert str(found) == str(result)
