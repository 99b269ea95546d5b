"""The ledger: what is written down of claimed files, and what is known of them after any start."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.journal import FIRST, SECOND, THIRD, applied, demand, payment, rejected

from watcher.claim import Claim
from watcher.journal.database import Database
from watcher.journal.ledger import Ledger
from watcher.payments.model import Action, Intent, Misfit
from watcher.payments.outcomes import Outcome, Result


def results_of(ledger, claim):
    """Return the results of a claim that was begun."""
    return ledger.known(claim.id).results


def intents_of(ledger, claim):
    """Return the intents of a claim that was begun."""
    return ledger.known(claim.id).intents


def judged(ledger, claim):
    """Return the digest and the refusal of a claim that was begun."""
    known = ledger.known(claim.id)
    return known.digest, known.refusal


# --- results ----------------------------------------------------------------------------------------------------------

# Two decimals as documents have them; what cannot be said in text is no amount.
amounts = st.decimals(0, Decimal("9999999999999.99"), places=2)
texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
any_result = st.builds(
    lambda *fields: Result(0, 3, "CW-0", *fields),
    st.sampled_from(Outcome),
    amounts,
    amounts,
    texts,
    texts,
    st.none() | st.integers(0, 2**53),
    st.none() | st.integers(0, 2**53),
)


@settings(deadline=None, max_examples=60)
@given(any_result)
def test_a_result_comes_back_as_it_was(result):
    """Every part of a result is there again, amounts to the last digit."""
    with closing(Database("sqlite://")) as database:
        ledger = Ledger(database)
        ledger.begin(FIRST, "digest", [payment(0)])
        ledger.record([(FIRST.id, result)])
        (found,) = results_of(ledger, FIRST)
        assert found == result
        assert str(found) == str(result)


def test_results_are_in_the_order_of_the_document(ledger):
    """Results come in the order of the records, however they came in. Records without one are left out."""
    ledger.begin(FIRST, "digest", [payment(position) for position in range(4)])
    for position in (3, 0, 2):
        ledger.record([(FIRST.id, applied(position))])
    assert [result.position for result in results_of(ledger, FIRST)] == [0, 2, 3]


def test_results_of_one_file_are_not_those_of_another(ledger):
    """The same position in two files is two records, though both are written down together."""
    for claim in (FIRST, SECOND):
        ledger.begin(claim, "digest", [payment(0), payment(1)])
    ledger.record([(FIRST.id, applied(0)), (SECOND.id, applied(1, "7.00"))])
    assert results_of(ledger, FIRST) == [applied(0)]
    assert results_of(ledger, SECOND) == [applied(1, "7.00")]


def test_a_record_that_cannot_be_read_has_a_result_too(ledger):
    """A misfit without number or amount is kept like any other record."""
    ledger.begin(FIRST, "digest", [Misfit(0, 3, "", None, "InvoiceNumber is missing")])
    rejected = Result(0, 3, "", Outcome.REJECTED, Decimal(0), message="InvoiceNumber is missing")
    ledger.record([(FIRST.id, rejected)])
    assert results_of(ledger, FIRST) == [rejected]


def test_the_words_of_connectwise_may_hold_anything(ledger):
    """An outcome is kept even if ConnectWise's words hold half a letter, which JSON can bring and UTF-8 cannot hold."""
    ledger.begin(FIRST, "digest", [payment(0)])
    refused = Result(0, 3, "CW-0", Outcome.REJECTED, Decimal("10.00"), message="not \ud83d allowed")
    ledger.record([(FIRST.id, refused)])
    (kept,) = results_of(ledger, FIRST)
    assert (kept.outcome, kept.message[:4], kept.message[-8:]) == (Outcome.REJECTED, "not ", " allowed")


def test_nothing_is_written_for_nothing(ledger):
    """Intending and recording no payment at all is no fault."""
    ledger.intend([])
    ledger.record([])
    assert ledger.known(FIRST.id) is None
    ledger.begin(FIRST, "digest", [payment(0)])
    ledger.intend([])
    ledger.record([])
    assert results_of(ledger, FIRST) == []
    assert intents_of(ledger, FIRST) == {}


# --- intents ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("warning", [None, "The earlier amount 5.00 was replaced by 10.10"])
def test_an_intent_is_known_until_its_outcome_is(ledger, action, warning):
    """An intent stands, amount to the last digit, until its record has an outcome."""
    ledger.begin(FIRST, "digest", [payment(0), payment(1)])
    intent = Intent(action, Decimal("10.10"), warning)
    ledger.intend([(demand(FIRST, 0), intent)])
    assert intents_of(ledger, FIRST) == {0: intent}
    assert str(intents_of(ledger, FIRST)[0].amount) == "10.10"
    ledger.record([(FIRST.id, applied(1))])
    assert intents_of(ledger, FIRST) == {0: intent}
    ledger.record([(FIRST.id, applied(0))])
    assert intents_of(ledger, FIRST) == {}


def test_an_intent_of_summed_records_is_every_ones(ledger):
    """A call for several records of one invoice is written down for each of them."""
    ledger.begin(FIRST, "digest", [payment(position) for position in range(3)])
    intent = Intent(Action.CREATE, Decimal("20.00"))
    ledger.intend([(demand(FIRST, 0, 2), intent)])
    assert intents_of(ledger, FIRST) == {0: intent, 2: intent}


def test_a_later_intent_takes_the_place_of_an_earlier_one(ledger):
    """The plan that was made last, after another look, counts."""
    ledger.begin(FIRST, "digest", [payment(0)])
    ledger.intend([(demand(FIRST, 0), Intent(Action.CREATE, Decimal("10.00"), "one"))])
    ledger.intend([(demand(FIRST, 0), Intent(Action.CHANGE, Decimal("11.00")))])
    assert intents_of(ledger, FIRST) == {0: Intent(Action.CHANGE, Decimal("11.00"))}


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_that_was_begun_is_left_as_it_is(ledger):
    """Every start after a crash begins a file again, which forgets no outcome and adds no record."""
    ledger.begin(FIRST, "digest", [payment(0)])
    ledger.record([(FIRST.id, applied(0))])
    ledger.begin(FIRST, "other", [payment(0), payment(1)], "refused")
    assert results_of(ledger, FIRST) == [applied(0)]
    assert judged(ledger, FIRST) == ("digest", None)
    assert (ledger.earlier("digest", SECOND), ledger.earlier("other", SECOND)) == (FIRST, None)


@pytest.mark.parametrize(
    ("results", "finished"),
    [([], False), ([rejected(0)], False), ([applied(0)], True), ([rejected(0), applied(1)], True)],
    ids=["just begun", "under way", "succeeded", "partly failed"],
)
def test_an_earlier_file_of_the_same_content_is_found(ledger, results, finished):
    """A file counts that is in work, or in which something succeeded. The first of several is returned."""
    for claim in (FIRST, SECOND):
        ledger.begin(claim, "digest", [payment(0), payment(1)])
        ledger.record([(claim.id, result) for result in results])
        if finished:
            ledger.finish(claim.id)
    assert ledger.earlier("digest", THIRD) == ledger.earlier("digest", SECOND) == FIRST


@pytest.mark.parametrize(
    ("digest", "refusal", "result", "claim"),
    [
        ("other", None, applied(0), SECOND),
        ("digest", "it is cut off", None, SECOND),
        ("digest", None, rejected(0), SECOND),
        ("digest", None, applied(0), FIRST),
        ("digest", None, applied(0), Claim("20240101T000000Z_00000001", "before.xml")),
    ],
    ids=["other content", "refused", "failed altogether", "itself", "claimed later"],
)
def test_a_file_that_moved_no_money_is_no_earlier_file(ledger, digest, refusal, result, claim):
    """Other content, a file that was refused or failed altogether, the file itself and later ones do not count."""
    ledger.begin(FIRST, digest, [] if refusal else [payment(0)], refusal)
    if result:
        ledger.record([(FIRST.id, result)])
    ledger.finish(FIRST.id)
    assert ledger.earlier("digest", claim) is None


@pytest.mark.parametrize("refusal", [None, "it is cut off"], ids=["accepted", "refused"])
def test_the_judgement_of_a_file_is_known_after_a_start(reopen, refusal):
    """Whether a file was begun, and why it was refused, is known after a start. Of others nothing is known."""
    Ledger(reopen()).begin(FIRST, "digest", [] if refusal else [payment(0)], refusal)
    ledger = Ledger(reopen())
    assert judged(ledger, FIRST) == ("digest", refusal)
    assert ledger.known(SECOND.id) is None


def test_a_file_is_finished_once(ledger, file):
    """A file that is finished again after a crash keeps its first time. An unknown claim is no fault."""
    for claim in (FIRST, SECOND):
        ledger.begin(claim, "digest", [])
    with closing(sqlite3.connect(file)) as other:
        asked = "SELECT claim, finished_at FROM files WHERE finished_at IS NOT NULL"
        assert other.execute(asked).fetchall() == []
        ledger.finish(FIRST.id)
        ((claim_id, finished_at),) = other.execute(asked).fetchall()
        assert claim_id == FIRST.id
        assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(finished_at) < timedelta(minutes=1)
        with other:
            other.execute("UPDATE files SET finished_at = 'then' WHERE claim = ?", (FIRST.id,))
        ledger.finish(FIRST.id)
        ledger.finish("20250101T000000Z_00000009")
        assert other.execute(asked).fetchall() == [(FIRST.id, "then")]


def test_a_file_is_decided_with_its_last_record(ledger, file):
    """A file is decided when its last record is. If no record is decided, the time of its beginning counts."""
    ledger.begin(FIRST, "digest", [payment(0), payment(1)])
    begun = ledger.known(FIRST.id).decided_at
    assert begun.tzinfo is not None
    assert timedelta(0) <= datetime.now(UTC) - begun < timedelta(minutes=1)
    ledger.record([(FIRST.id, applied(0))])
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("UPDATE payments SET decided_at = '2999-01-01T00:00:00.000+00:00' WHERE outcome IS NOT NULL")
    ledger.record([(FIRST.id, applied(1))])
    assert ledger.known(FIRST.id).decided_at == datetime(2999, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "name",
    ["pay\nment.xml", "💷.xml", 'it\'s "x".xml', "pay\udcff.xml"],
    ids=["newline", "emoji", "quotes", "no UTF-8"],
)
def test_any_file_name_can_be_kept(ledger, name):
    """A file may be called whatever the file system allows, text or not."""
    ledger.begin(Claim(FIRST.id, name), "digest", [payment(0)])
    ledger.record([(FIRST.id, applied(0))])
    ledger.finish(FIRST.id)
    kept = ledger.earlier("digest", SECOND)
    assert kept.id == FIRST.id
    assert kept.name.startswith(name.split("\udcff")[0])


# --- receipts ---------------------------------------------------------------------------------------------------------


def test_a_receipt_is_adopted_by_a_journal_that_does_not_know_its_file(ledger):
    """Every record of the receipt has its result; the refusal of a refused file is known, too."""
    ledger.adopt(FIRST, "digest", [applied(0), rejected(1)])
    ledger.adopt(SECOND, "other", [], "it is cut off")
    assert (judged(ledger, FIRST), results_of(ledger, FIRST)) == (("digest", None), [applied(0), rejected(1)])
    assert (judged(ledger, SECOND), results_of(ledger, SECOND)) == (("other", "it is cut off"), [])


def test_a_receipt_adds_only_the_outcomes_that_are_missing(ledger):
    """An outcome that the journal has stays as it is, with its time."""
    ledger.begin(FIRST, "digest", [payment(0), payment(1)])
    ledger.record([(FIRST.id, applied(0))])
    ledger.adopt(FIRST, "digest", [rejected(0), rejected(1)])
    assert results_of(ledger, FIRST) == [applied(0), rejected(1)]


# --- externalIds ------------------------------------------------------------------------------------------------------


def test_earlier_payments_are_found_by_their_external_ids(ledger):
    """Payments count that succeeded or are in work, of files claimed earlier. The first such file is returned."""

    def begin(claim, *ids):
        records = [replace(payment(position), external_id=name) for position, name in enumerate(ids)]
        ledger.begin(claim, "digest", records)

    begin(FIRST, "paid", "failed", "open")
    ledger.record([(FIRST.id, applied(0)), (FIRST.id, rejected(1))])
    begin(SECOND, "paid", "later")
    asked = ["paid", "failed", "open", "later", "unknown"]
    assert ledger.earlier_payments(asked, FIRST) == {}
    assert ledger.earlier_payments(asked, SECOND) == {"paid": FIRST, "open": FIRST}
    assert ledger.earlier_payments(asked, THIRD) == {"paid": FIRST, "open": FIRST, "later": SECOND}
    assert ledger.earlier_payments([], THIRD) == {}


# --- the inbox's marker -----------------------------------------------------------------------------------------------


def test_an_inbox_has_the_marker_that_was_remembered(ledger):
    """Each inbox has its own. Before the first start there is none. A new one takes the place of the one before."""
    assert ledger.marker("/srv/a") is None
    ledger.remember_marker("/srv/a", "one")
    ledger.remember_marker("/srv/b", "two")
    ledger.remember_marker("/srv/a", "three")
    assert (ledger.marker("/srv/a"), ledger.marker("/srv/b")) == ("three", "two")
    assert ledger.marker("/srv/A") is None


# --- on disk ----------------------------------------------------------------------------------------------------------


def test_what_was_written_is_there_after_a_start(reopen):
    """Files, intents, outcomes and markers outlive the program."""
    ledger = Ledger(reopen())
    ledger.begin(FIRST, "digest", [payment(0), payment(1)])
    ledger.intend([(demand(FIRST, 1), Intent(Action.CREATE, Decimal("10.00")))])
    ledger.record([(FIRST.id, applied(0))])
    ledger.remember_marker("/srv/a", "one")
    begun = ledger.known(FIRST.id).decided_at
    ledger = Ledger(reopen())
    assert results_of(ledger, FIRST) == [applied(0)]
    assert intents_of(ledger, FIRST) == {1: Intent(Action.CREATE, Decimal("10.00"))}
    assert ledger.marker("/srv/a") == "one"
    assert ledger.known(FIRST.id).decided_at == begun


def test_what_was_written_is_on_disk_when_the_call_returns(ledger, file):
    """Another process sees every begun file, intent and outcome at once. Amounts are text, never floats."""
    with closing(sqlite3.connect(file)) as other:
        ledger.begin(FIRST, "digest", [payment(0, "0.10")])
        assert other.execute("SELECT name, asked FROM files JOIN payments USING (claim)").fetchall() == [
            ("first.xml", "0.10")
        ]
        ledger.intend([(demand(FIRST, 0), Intent(Action.CREATE, Decimal("0.10")))])
        assert other.execute("SELECT action, intended FROM payments").fetchall() == [("create", "0.10")]
        ledger.record([(FIRST.id, applied(0, "0.10"))])
        assert other.execute("SELECT outcome, settled FROM payments").fetchall() == [("applied", "0.10")]
