"""The ledger: what is written down of claimed files, and what is known of them after any start."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from sqlalchemy.exc import IntegrityError
from support.journal import (
    CLOCKS,
    FIRST,
    SECOND,
    THIRD,
    applied,
    begin,
    claimed,
    decided_at,
    demand,
    payment,
    rejected,
    results_of,
)

from watcher.claim import Claim
from watcher.journal.claims import Claims
from watcher.journal.database import MOST_VALUES
from watcher.journal.earlier import Earlier
from watcher.journal.history import History
from watcher.journal.inboxes import Inboxes
from watcher.journal.ledger import Ledger
from watcher.payments.dated import Dated
from watcher.payments.model import Action, Intent, Misfit
from watcher.payments.outcomes import Outcome, Result


def intents_of(ledger, claim):
    """Return the intents of a claim that was opened."""
    return ledger.known(claim.id).intents


def judged(database, claim):
    """Return the digest and the refusal of a claim that was opened."""
    return Claims(database).state(claim.id).digest, Ledger(database).known(claim.id).refusal


# --- results ----------------------------------------------------------------------------------------------------------


def test_results_are_in_the_order_of_the_document(database, ledger):
    """Results come in the order of the records, however they came in. Records without one are left out."""
    begin(database, FIRST, "digest", [payment(position) for position in range(4)])
    for position in (3, 0, 2):
        ledger.record([(FIRST.id, applied(position))])
    assert [result.position for result in results_of(ledger, FIRST)] == [0, 2, 3]


def test_results_of_one_file_are_not_those_of_another(database, ledger):
    """The same position in two files is two records, though both are written down together."""
    for claim in (FIRST, SECOND):
        begin(database, claim, "digest", [payment(0), payment(1)])
    ledger.record([(FIRST.id, applied(0)), (SECOND.id, applied(1, "7.00"))])
    assert results_of(ledger, FIRST) == [applied(0)]
    assert results_of(ledger, SECOND) == [applied(1, "7.00")]


def test_a_record_that_cannot_be_read_has_a_result_too(database, ledger):
    """A misfit without number or amount is kept like any other record."""
    begin(database, FIRST, "digest", [Misfit(0, 3, "", None, "InvoiceNumber is missing", "1,00")])
    rejected = Result(0, 3, "", Outcome.REJECTED, None, message="InvoiceNumber is missing", asked_as_written="1,00")
    ledger.record([(FIRST.id, rejected)])
    assert results_of(ledger, FIRST) == [rejected]


def test_the_words_of_connectwise_may_hold_anything(database, ledger):
    """An outcome is kept even if ConnectWise's words hold half a letter, which JSON can bring and UTF-8 cannot hold."""
    begin(database, FIRST, "digest", [payment(0)])
    refused = Result(0, 3, "CW-0", Outcome.REJECTED, Decimal("10.00"), message="not \ud83d allowed")
    ledger.record([(FIRST.id, refused)])
    (kept,) = results_of(ledger, FIRST)
    assert (kept.outcome, kept.message[:4], kept.message[-8:]) == (Outcome.REJECTED, "not ", " allowed")


def test_nothing_is_written_for_nothing(database, ledger):
    """Intending and recording no payment at all is no fault."""
    ledger.intend([])
    ledger.record([])
    assert ledger.known(FIRST.id) is None
    begin(database, FIRST, "digest", [payment(0)])
    ledger.intend([])
    ledger.record([])
    assert results_of(ledger, FIRST) == []
    assert intents_of(ledger, FIRST) == {}


# --- intents ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("warning", [None, "The earlier amount 5.00 was replaced by 10.10"])
@pytest.mark.parametrize("dated", [None, Dated(None), Dated(date(2016, 9, 22))], ids=str)
def test_an_intent_is_known_until_its_outcome_is(database, ledger, action, warning, dated):
    """An intent stands, amount to the last digit and date, until its record has an outcome."""
    begin(database, FIRST, "digest", [payment(0), payment(1)])
    intent = Intent(action, Decimal("10.10"), warning, dated=dated, repeats=warning is None)
    ledger.intend([(demand(FIRST, 0), intent)])
    assert intents_of(ledger, FIRST) == {0: intent}
    assert str(intents_of(ledger, FIRST)[0].amount) == "10.10"
    ledger.record([(FIRST.id, applied(1))])
    assert intents_of(ledger, FIRST) == {0: intent}
    ledger.record([(FIRST.id, applied(0))])
    assert intents_of(ledger, FIRST) == {}


def test_an_intent_of_summed_records_is_every_ones(database, ledger):
    """A call for several records of one invoice is written down for each of them."""
    begin(database, FIRST, "digest", [payment(position) for position in range(3)])
    intent = Intent(Action.CREATE, Decimal("20.00"))
    ledger.intend([(demand(FIRST, 0, 2), intent)])
    assert intents_of(ledger, FIRST) == {0: intent, 2: intent}


def test_a_later_intent_takes_the_place_of_an_earlier_one(database, ledger):
    """The plan that was made last, after another look, counts."""
    begin(database, FIRST, "digest", [payment(0)])
    ledger.intend([(demand(FIRST, 0), Intent(Action.CREATE, Decimal("10.00"), "one"))])
    ledger.intend([(demand(FIRST, 0), Intent(Action.CHANGE, Decimal("11.00")))])
    assert intents_of(ledger, FIRST) == {0: Intent(Action.CHANGE, Decimal("11.00"))}


# --- files ------------------------------------------------------------------------------------------------------------

BEFORE = Claim("20240101T000000Z_00000001", "before.xml")
BEFORE_BY_A_WRONG_CLOCK = Claim("20990101T000000Z_00000001", "before, too.xml")


def test_a_file_that_was_opened_is_left_as_it_is(database, ledger):
    """Neither a second claim of its id, nor opening it again, forgets an outcome or adds a record."""
    begin(database, FIRST, "digest", [payment(0)])
    ledger.record([(FIRST.id, applied(0))])
    with pytest.raises(IntegrityError):
        claimed(database, FIRST, digest="other")
    with pytest.raises(IntegrityError):
        ledger.open(FIRST.id, [payment(0), payment(1)], "refused")
    claimed(database, SECOND)
    assert results_of(ledger, FIRST) == [applied(0)]
    assert judged(database, FIRST) == ("digest", None)
    assert len(History(database).attempts(FIRST.id)) == 1
    assert (Earlier(database).file("digest", SECOND), Earlier(database).file("other", SECOND)) == (FIRST, None)


@pytest.mark.parametrize("claims", CLOCKS.values(), ids=CLOCKS.keys())
def test_a_file_that_is_claimed_is_not_known_before_it_is_opened(database, ledger, claims):
    """What it asks is not written down yet, and those of the same content that come later count it as in work."""
    first, second, third = claims
    claimed(database, first, second)
    assert ledger.known(first.id) is None
    assert (Earlier(database).file("digest", first), Earlier(database).file("digest", second)) == (None, first)
    ledger.open(first.id, [payment(0)])
    assert list(ledger.results(first.id)) == []
    assert ledger.known(second.id) is None
    # One that is not claimed has no place in the order.
    assert Earlier(database).file("digest", third) is None


def test_a_file_is_opened_at_a_time(database, ledger):
    """It counts until a record is decided. Times come in any zone; the later one counts, not the later text."""
    claimed(database, FIRST)
    at = datetime(2026, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    ledger.open(FIRST.id, [payment(0), payment(1)], at=at)
    assert decided_at(ledger, FIRST) == at
    ledger.record([(FIRST.id, applied(0))], at=at + timedelta(minutes=1))
    ledger.record([(FIRST.id, applied(1))], at=datetime(2026, 2, 28, 22, 45, tzinfo=UTC))
    assert decided_at(ledger, FIRST) == datetime(2026, 2, 28, 22, 45, tzinfo=UTC)


@pytest.mark.parametrize(
    ("results", "finished"),
    [([], False), ([rejected(0)], False), ([applied(0)], True), ([rejected(0), applied(1)], True)],
    ids=["just begun", "under way", "succeeded", "partly failed"],
)
@pytest.mark.parametrize("claims", CLOCKS.values(), ids=CLOCKS.keys())
def test_an_earlier_file_of_the_same_content_is_found(database, ledger, claims, results, finished):
    """A file counts that is in work, or in which something succeeded. The first is returned, whatever the clock says.

    So a clock that was set back lets no file pass, and one that was set ahead refuses no earlier file.
    """
    first, second, third = claims
    for claim in (first, second):
        begin(database, claim, "digest", [payment(0), payment(1)])
        ledger.record([(claim.id, result) for result in results])
        if finished:
            Claims(database).finish(claim.id)
    claimed(database, third)
    assert Earlier(database).file("digest", third) == Earlier(database).file("digest", second) == first
    assert Earlier(database).file("digest", first) is None


@pytest.mark.parametrize(
    ("digest", "refusal", "result", "claim"),
    [
        ("other", None, applied(0), SECOND),
        ("digest", "it is cut off", None, SECOND),
        ("digest", None, rejected(0), SECOND),
        ("digest", None, applied(0), FIRST),
        ("digest", None, applied(0), BEFORE),
        ("digest", None, applied(0), BEFORE_BY_A_WRONG_CLOCK),
    ],
    ids=["other content", "refused", "failed altogether", "itself", "claimed later", "claimed later, clock set back"],
)
def test_a_file_that_moved_no_money_is_no_earlier_file(database, ledger, digest, refusal, result, claim):
    """Other content, a file that was refused or failed altogether, the file itself and later ones do not count."""
    claimed(database, BEFORE, BEFORE_BY_A_WRONG_CLOCK, digest="its own")
    begin(database, FIRST, digest, [] if refusal else [payment(0)], refusal)
    if result:
        ledger.record([(FIRST.id, result)])
    Claims(database).finish(FIRST.id)
    claimed(database, SECOND)
    assert Earlier(database).file("digest", claim) is None


@pytest.mark.parametrize("refusal", [None, "it is cut off"], ids=["accepted", "refused"])
def test_the_judgement_of_a_file_is_known_after_a_start(reopen, refusal):
    """Whether a file was opened, and why it was refused, is known after a start. Of others nothing is known."""
    begin(reopen(), FIRST, "digest", [] if refusal else [payment(0)], refusal)
    database = reopen()
    assert judged(database, FIRST) == ("digest", refusal)
    assert Ledger(database).known(SECOND.id) is None


def test_a_file_is_decided_with_its_last_record(database, ledger, file):
    """A file is decided when its last record is. If no record is decided, the time of its opening counts."""
    begin(database, FIRST, "digest", [payment(0), payment(1)])
    begun = decided_at(ledger, FIRST)
    assert begun.tzinfo is not None
    assert timedelta(0) <= datetime.now(UTC) - begun < timedelta(minutes=1)
    ledger.record([(FIRST.id, applied(0))])
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("UPDATE payments SET decided_at = '2999-01-01T00:00:00.000+00:00' WHERE outcome IS NOT NULL")
    ledger.record([(FIRST.id, applied(1))])
    assert decided_at(ledger, FIRST) == datetime(2999, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "name",
    ["pay\nment.xml", "💷.xml", 'it\'s "x".xml', "pay\udcff.xml"],
    ids=["newline", "emoji", "quotes", "no UTF-8"],
)
def test_any_file_name_can_be_kept(database, ledger, name):
    """A file may be called whatever the file system allows, text or not."""
    begin(database, Claim(FIRST.id, name), "digest", [payment(0)])
    ledger.record([(FIRST.id, applied(0))])
    Claims(database).finish(FIRST.id)
    claimed(database, SECOND)
    assert Earlier(database).file("digest", SECOND) == Claim(FIRST.id, name)


# --- receipts ---------------------------------------------------------------------------------------------------------


DECIDED = datetime(2026, 9, 1, 12, 30, 0, 250_000, tzinfo=UTC)


def test_a_receipt_is_adopted_by_a_journal_that_does_not_know_its_file(database, ledger):
    """Every record of the receipt has its result; the refusal of a refused file is known, too."""
    claimed(database, FIRST)
    claimed(database, SECOND, digest="other")
    ledger.adopt(FIRST.id, [applied(0), rejected(1)], None, DECIDED)
    ledger.adopt(SECOND.id, [], "it is cut off", DECIDED)
    assert (judged(database, FIRST), results_of(ledger, FIRST)) == (("digest", None), [applied(0), rejected(1)])
    assert (judged(database, SECOND), results_of(ledger, SECOND)) == (("other", "it is cut off"), [])
    assert decided_at(ledger, FIRST) == decided_at(ledger, SECOND) == DECIDED


def test_a_receipt_adds_only_the_outcomes_that_are_missing(database, ledger):
    """An outcome that the journal has stays as it is, with its time."""
    begin(database, FIRST, "digest", [payment(0), payment(1)])
    ledger.record([(FIRST.id, applied(0))], at=DECIDED - timedelta(days=2))
    ledger.adopt(FIRST.id, [rejected(0), rejected(1)], None, DECIDED - timedelta(days=1))
    assert results_of(ledger, FIRST) == [applied(0), rejected(1)]
    attempts = History(database).attempts(FIRST.id)
    assert [attempt.decided_at for attempt in attempts] == [DECIDED - timedelta(days=2), DECIDED - timedelta(days=1)]


def test_an_older_journal_learns_how_its_calls_ended(database, ledger):
    """A copy of the journal from the middle of a file has intents: none is left once the receipt is adopted."""
    begin(database, FIRST, "digest", [payment(0), payment(1)])
    ledger.intend([(demand(FIRST, 0), Intent(Action.CREATE, Decimal("10.00")))])
    ledger.adopt(FIRST.id, [applied(0), rejected(1)], None, DECIDED)
    assert intents_of(ledger, FIRST) == {}
    assert results_of(ledger, FIRST) == [applied(0), rejected(1)]
    assert decided_at(ledger, FIRST) == DECIDED


def test_a_receipt_is_adopted_again_after_a_crash_in_between(database, ledger):
    """Adopting breaks off between its steps, or is done twice: what is there at the end is the same."""
    claimed(database, FIRST)
    ledger.open(FIRST.id, [payment(0), payment(1)], None, DECIDED)
    for _ in range(2):
        ledger.adopt(FIRST.id, [applied(0), rejected(1)], None, DECIDED)
        assert results_of(ledger, FIRST) == [applied(0), rejected(1)]
        assert decided_at(ledger, FIRST) == DECIDED


def test_the_receipt_of_a_record_that_cannot_be_read_is_adopted(database, ledger):
    """It has no number and no amount, as in the document."""
    nameless = Result(0, 3, "", Outcome.REJECTED, None, message="InvoiceNumber is missing")
    claimed(database, FIRST)
    ledger.adopt(FIRST.id, [nameless], None, DECIDED)
    assert results_of(ledger, FIRST) == [nameless]


def test_an_empty_files_receipt_is_adopted(database, ledger):
    """It has no record, is no refusal, and is known afterwards."""
    claimed(database, FIRST)
    ledger.adopt(FIRST.id, [], None, DECIDED)
    known = ledger.known(FIRST.id)
    assert (known.decided, known.intents, known.refusal) == (frozenset(), {}, None)
    assert decided_at(ledger, FIRST) == DECIDED


# --- externalIds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claims", CLOCKS.values(), ids=CLOCKS.keys())
def test_earlier_payments_are_found_by_their_external_ids(database, ledger, claims):
    """Payments count that succeeded or are in work, of files claimed earlier. The first such file is returned.

    A clock that was set back lets no payment pass, and one that was set ahead makes none a repetition.
    """
    first, second, third = claims

    def write(claim, *ids):
        records = [replace(payment(position), external_id=name) for position, name in enumerate(ids)]
        begin(database, claim, "digest", records)

    write(first, "paid", "failed", "open")
    ledger.record([(first.id, applied(0)), (first.id, rejected(1))])
    write(second, "paid", "later")
    claimed(database, third)
    asked = ["paid", "failed", "open", "later", "unknown"]
    assert Earlier(database).payments(asked, first) == {}
    assert Earlier(database).payments(asked, second) == {"paid": first, "open": first}
    assert Earlier(database).payments(asked, third) == {"paid": first, "open": first, "later": second}
    assert Earlier(database).payments([], third) == {}


def test_many_external_ids_are_asked_for_at_once(database, ledger):
    """More than fit into one statement: each is found, the first and the last."""
    ids = [f"id-{number}" for number in range(MOST_VALUES + 1)]
    begin(database, THIRD, "digest", [replace(payment(at), external_id=ids[-at]) for at in (0, 1)])
    claimed(database, FIRST)
    assert Earlier(database).payments(ids, FIRST) == {ids[0]: THIRD, ids[-1]: THIRD}


# --- the inbox's marker -----------------------------------------------------------------------------------------------


def test_an_inbox_has_the_marker_that_was_remembered(database):
    """Each inbox has its own. Before the first start there is none. A new one takes the place of the one before."""
    assert Inboxes(database).marker("/srv/a") is None
    Inboxes(database).remember("/srv/a", "one")
    Inboxes(database).remember("/srv/b", "two")
    Inboxes(database).remember("/srv/a", "three")
    assert (Inboxes(database).marker("/srv/a"), Inboxes(database).marker("/srv/b")) == ("three", "two")
    assert Inboxes(database).marker("/srv/A") is None


# --- on disk ----------------------------------------------------------------------------------------------------------


def test_what_was_written_is_there_after_a_start(reopen):
    """Files, intents, outcomes and markers outlive the program."""
    ledger = Ledger(database := reopen())
    begin(database, FIRST, "digest", [payment(0), payment(1)])
    ledger.intend([(demand(FIRST, 1), Intent(Action.CREATE, Decimal("10.00")))])
    ledger.record([(FIRST.id, applied(0))])
    Inboxes(database).remember("/srv/a", "one")
    begun = decided_at(ledger, FIRST)
    ledger = Ledger(database := reopen())
    assert results_of(ledger, FIRST) == [applied(0)]
    assert intents_of(ledger, FIRST) == {1: Intent(Action.CREATE, Decimal("10.00"))}
    assert Inboxes(database).marker("/srv/a") == "one"
    assert decided_at(ledger, FIRST) == begun


def test_what_was_written_is_on_disk_when_the_call_returns(database, ledger, file):
    """Another process sees every opened file, intent and outcome at once. Amounts are text, never floats."""
    with closing(sqlite3.connect(file)) as other:
        begin(database, FIRST, "digest", [payment(0, "0.10")])
        assert other.execute("SELECT name, asked FROM files JOIN payments USING (claim)").fetchall() == [
            ("first.xml", "0.10")
        ]
        ledger.intend([(demand(FIRST, 0), Intent(Action.CREATE, Decimal("0.10")))])
        assert other.execute("SELECT action, intended FROM payments").fetchall() == [("create", "0.10")]
        ledger.record([(FIRST.id, applied(0, "0.10"))])
        assert other.execute("SELECT outcome, settled FROM payments").fetchall() == [("applied", "0.10")]
