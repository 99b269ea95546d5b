"""The journal: what it keeps, for how long, and what it refuses to be."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.claim import Claim
from watcher.errors import ConfigurationError, PaymentWatcherError
from watcher.journal.ledger import Journal, Judgement
from watcher.payments.model import Action, Demand, Intent, Misfit, Payment
from watcher.payments.outcomes import Outcome, Result

FIRST = Claim("20250101T000000Z_00000001", "first.xml")
SECOND = Claim("20250101T000000Z_00000002", "second.xml")
DAY = date(2016, 9, 22)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the journal lies."""
    return tmp_path / "journal.db"


@pytest.fixture
def reopen(file: Path) -> Iterator[Callable[[], Journal]]:
    """Open the journal as a start of the program does; the one before is closed."""
    opened: list[Journal] = []

    def again() -> Journal:
        for journal in opened:
            journal.close()
        opened[:] = [Journal(f"sqlite:///{file}")]
        return opened[0]

    yield again
    for journal in opened:
        journal.close()


@pytest.fixture
def journal(reopen: Callable[[], Journal]) -> Journal:
    """A fresh journal."""
    return reopen()


def payment(position: int, amount: str = "10.00") -> Payment:
    """Give a record."""
    return Payment(position, 3 + position, f"CW-{position}", Decimal(amount), DAY)


def demand(claim: Claim, *positions: int) -> Demand:
    """Give the demand of some records."""
    return Demand(claim.id, f"CW-{positions[0]}", tuple(payment(position) for position in positions))


def applied(position: int, amount: str = "10.00") -> Result:
    """Give the result of a record that was applied."""
    return Result(position, 3 + position, f"CW-{position}", Outcome.APPLIED, Decimal(amount), Decimal(amount))


# --- results ----------------------------------------------------------------------------------------------------------

# Two decimals as documents have them; what cannot be said in text is no amount.
amounts = st.decimals(0, Decimal("9999999999999.99"), places=2)
texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
results = st.builds(
    Result,
    position=st.just(0),
    line=st.just(3),
    invoice_number=st.just("CW-0"),
    outcome=st.sampled_from(Outcome),
    asked=amounts,
    settled=amounts,
    message=texts,
    warning=texts,
    invoice_id=st.none() | st.integers(0, 2**53),
    payment_id=st.none() | st.integers(0, 2**53),
)


@settings(deadline=None, max_examples=60)
@given(results)
def test_a_result_comes_back_as_it_was(result):
    """Whatever became of a record, every part of it is there again, amounts to the last digit."""
    with closing(Journal("sqlite://")) as journal:
        journal.begin(FIRST, "digest", [payment(0)])
        journal.record([(FIRST.id, result)])
        (found,) = journal.results(FIRST.id)
        assert found == result
        assert (str(found.asked), str(found.settled)) == (str(result.asked), str(result.settled))


def test_results_are_given_in_the_order_of_the_document(journal):
    """However they came in, a file's results are in the order of its records; those without one are left out."""
    journal.begin(FIRST, "digest", [payment(position) for position in range(4)])
    for position in (3, 0, 2):
        journal.record([(FIRST.id, applied(position))])
    assert [result.position for result in journal.results(FIRST.id)] == [0, 2, 3]


def test_results_of_one_file_are_not_those_of_another(journal):
    """The same position of two files is two records, though they are written down together."""
    for claim in (FIRST, SECOND):
        journal.begin(claim, "digest", [payment(0), payment(1)])
    journal.record([(FIRST.id, applied(0)), (SECOND.id, applied(1, "7.00"))])
    assert journal.results(FIRST.id) == [applied(0)]
    assert journal.results(SECOND.id) == [applied(1, "7.00")]


def test_a_record_that_cannot_be_read_has_a_result_too(journal):
    """A misfit without number or amount is kept like any other record."""
    journal.begin(FIRST, "digest", [Misfit(0, 3, "", None, "InvoiceNumber is missing")])
    rejected = Result(0, 3, "", Outcome.REJECTED, Decimal(0), message="InvoiceNumber is missing")
    journal.record([(FIRST.id, rejected)])
    assert journal.results(FIRST.id) == [rejected]


def test_the_words_of_connectwise_may_hold_anything(journal):
    """Half a letter in a refusal, which JSON can bring and UTF-8 cannot hold, keeps no outcome from being kept."""
    journal.begin(FIRST, "digest", [payment(0)])
    refused = Result(0, 3, "CW-0", Outcome.REJECTED, Decimal("10.00"), message="not \ud83d allowed")
    journal.record([(FIRST.id, refused)])
    (kept,) = journal.results(FIRST.id)
    assert (kept.outcome, kept.message[:4], kept.message[-8:]) == (Outcome.REJECTED, "not ", " allowed")


def test_nothing_is_written_for_nothing(journal):
    """Intending and recording no payment at all is no fault."""
    journal.intend([])
    journal.record([])
    assert journal.results(FIRST.id) == []
    assert journal.intents(FIRST.id) == {}


# --- intents ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("warning", [None, "The earlier amount 5.00 was replaced by 10.10"])
def test_an_intent_is_known_until_its_outcome_is(journal, action, warning):
    """What was going to be done stands, amount to the last digit, until the record has an outcome."""
    journal.begin(FIRST, "digest", [payment(0), payment(1)])
    intent = Intent(action, Decimal("10.10"), warning)
    journal.intend([(demand(FIRST, 0), intent)])
    assert journal.intents(FIRST.id) == {0: intent}
    assert str(journal.intents(FIRST.id)[0].amount) == "10.10"
    journal.record([(FIRST.id, applied(1))])
    assert journal.intents(FIRST.id) == {0: intent}
    journal.record([(FIRST.id, applied(0))])
    assert journal.intents(FIRST.id) == {}


def test_the_intent_of_summed_records_is_every_ones(journal):
    """A call for several records of one invoice is written down for each of them."""
    journal.begin(FIRST, "digest", [payment(position) for position in range(3)])
    intent = Intent(Action.CREATE, Decimal("20.00"))
    journal.intend([(demand(FIRST, 0, 2), intent)])
    assert journal.intents(FIRST.id) == {0: intent, 2: intent}


def test_a_later_intent_takes_the_place_of_an_earlier_one(journal):
    """What is planned anew after another look is what counts."""
    journal.begin(FIRST, "digest", [payment(0)])
    journal.intend([(demand(FIRST, 0), Intent(Action.CREATE, Decimal("10.00"), "one"))])
    journal.intend([(demand(FIRST, 0), Intent(Action.CHANGE, Decimal("11.00")))])
    assert journal.intents(FIRST.id) == {0: Intent(Action.CHANGE, Decimal("11.00"))}


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_that_was_begun_is_left_as_it_is(journal):
    """Beginning a file again, as every start after a crash does, forgets no outcome and adds no record."""
    journal.begin(FIRST, "digest", [payment(0)])
    journal.record([(FIRST.id, applied(0))])
    journal.begin(FIRST, "other", [payment(0), payment(1)], "refused")
    assert journal.results(FIRST.id) == [applied(0)]
    assert journal.judgement(FIRST.id) == Judgement("digest", None)
    assert (journal.earlier("digest", SECOND), journal.earlier("other", SECOND)) == (FIRST, None)


def rejected(position: int) -> Result:
    """Give the result of a record that was rejected."""
    return Result(position, 3 + position, f"CW-{position}", Outcome.REJECTED, Decimal("10.00"), message="no")


@pytest.mark.parametrize(
    ("results", "finished"),
    [([], False), ([rejected(0)], False), ([applied(0)], True), ([rejected(0), applied(1)], True)],
    ids=["just begun", "under way", "succeeded", "partly failed"],
)
def test_a_file_of_the_same_content_that_was_taken_before_is_found(journal, results, finished):
    """A file counts that is in work or of which something succeeded; the first of several is given."""
    third = Claim("20250101T000000Z_00000003", "third.xml")
    for claim in (FIRST, SECOND):
        journal.begin(claim, "digest", [payment(0), payment(1)])
        journal.record([(claim.id, result) for result in results])
        if finished:
            journal.finish(claim.id)
    assert journal.earlier("digest", third) == journal.earlier("digest", SECOND) == FIRST


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
def test_what_moved_no_money_is_no_earlier_file(journal, digest, refusal, result, claim):
    """Other content, a file that was refused or failed altogether, the file itself and later ones do not count."""
    journal.begin(FIRST, digest, [] if refusal else [payment(0)], refusal)
    if result:
        journal.record([(FIRST.id, result)])
    journal.finish(FIRST.id)
    assert journal.earlier("digest", claim) is None


@pytest.mark.parametrize("refusal", [None, "it is cut off"], ids=["accepted", "refused"])
def test_what_a_file_was_judged_to_be_is_known(reopen, refusal):
    """Whether a file was written down before, and why it was refused, is there after a start; of others nothing is."""
    reopen().begin(FIRST, "digest", [] if refusal else [payment(0)], refusal)
    journal = reopen()
    assert journal.judgement(FIRST.id) == Judgement("digest", refusal)
    assert journal.judgement(SECOND.id) is None


def test_a_file_is_finished_once(journal, file):
    """Finishing again after a crash keeps the time of the first; finishing what is not known is no fault."""
    for claim in (FIRST, SECOND):
        journal.begin(claim, "digest", [])
    with closing(sqlite3.connect(file)) as other:
        asked = "SELECT claim, finished_at FROM files WHERE finished_at IS NOT NULL"
        assert other.execute(asked).fetchall() == []
        journal.finish(FIRST.id)
        ((claim_id, finished_at),) = other.execute(asked).fetchall()
        assert claim_id == FIRST.id
        assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(finished_at) < timedelta(minutes=1)
        with other:
            other.execute("UPDATE files SET finished_at = 'then' WHERE claim = ?", (FIRST.id,))
        journal.finish(FIRST.id)
        journal.finish("20250101T000000Z_00000009")
        assert other.execute(asked).fetchall() == [(FIRST.id, "then")]


def test_a_file_is_decided_with_its_last_record(journal, file):
    """The time of the receipt is that of the last outcome, or of the beginning where there is no record."""
    journal.begin(FIRST, "digest", [payment(0), payment(1)])
    begun = journal.decided_at(FIRST.id)
    assert begun.tzinfo is not None
    assert timedelta(0) <= datetime.now(UTC) - begun < timedelta(minutes=1)
    journal.record([(FIRST.id, applied(0))])
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("UPDATE payments SET decided_at = '2999-01-01T00:00:00.000+00:00' WHERE outcome IS NOT NULL")
    journal.record([(FIRST.id, applied(1))])
    assert journal.decided_at(FIRST.id) == datetime(2999, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "name",
    ["pay\nment.xml", "💷.xml", 'it\'s "x".xml', "pay\udcff.xml"],
    ids=["newline", "emoji", "quotes", "no UTF-8"],
)
def test_any_file_name_can_be_kept(journal, name):
    """A file may be called whatever the file system allows, text or not."""
    journal.begin(Claim(FIRST.id, name), "digest", [payment(0)])
    journal.record([(FIRST.id, applied(0))])
    journal.finish(FIRST.id)
    kept = journal.earlier("digest", SECOND)
    assert kept.id == FIRST.id
    assert kept.name.startswith(name.split("\udcff")[0])


# --- the inbox's marker -----------------------------------------------------------------------------------------------


def test_an_inbox_has_the_marker_that_was_remembered(journal):
    """Each inbox has its own; before the first start there is none, and a new one takes the place of the old."""
    assert journal.marker("/srv/a") is None
    journal.remember_marker("/srv/a", "one")
    journal.remember_marker("/srv/b", "two")
    journal.remember_marker("/srv/a", "three")
    assert (journal.marker("/srv/a"), journal.marker("/srv/b")) == ("three", "two")
    assert journal.marker("/srv/A") is None


# --- the database -----------------------------------------------------------------------------------------------------


def test_what_was_written_is_there_after_a_start(reopen):
    """Files, intents, outcomes and markers outlive the program."""
    journal = reopen()
    journal.begin(FIRST, "digest", [payment(0), payment(1)])
    journal.intend([(demand(FIRST, 1), Intent(Action.CREATE, Decimal("10.00")))])
    journal.record([(FIRST.id, applied(0))])
    journal.remember_marker("/srv/a", "one")
    begun = journal.decided_at(FIRST.id)
    journal = reopen()
    assert journal.results(FIRST.id) == [applied(0)]
    assert journal.intents(FIRST.id) == {1: Intent(Action.CREATE, Decimal("10.00"))}
    assert journal.marker("/srv/a") == "one"
    assert journal.decided_at(FIRST.id) == begun


def test_what_was_written_is_on_disk_when_the_call_returns(journal, file):
    """Another process sees every begun file, intent and outcome at once, and amounts are text, never floats."""
    with closing(sqlite3.connect(file)) as other:
        journal.begin(FIRST, "digest", [payment(0, "0.10")])
        assert other.execute("SELECT name, asked FROM files JOIN payments USING (claim)").fetchall() == [
            ("first.xml", "0.10")
        ]
        journal.intend([(demand(FIRST, 0), Intent(Action.CREATE, Decimal("0.10")))])
        assert other.execute("SELECT action, intended FROM payments").fetchall() == [("create", "0.10")]
        journal.record([(FIRST.id, applied(0, "0.10"))])
        assert other.execute("SELECT outcome, settled FROM payments").fetchall() == [("applied", "0.10")]


def test_a_reader_does_not_hold_up_the_daemon(journal, file):
    """While a status command is in the middle of reading, the daemon writes, and the reader sees what it saw."""
    journal.begin(FIRST, "digest", [payment(0)])
    with closing(sqlite3.connect(file, timeout=0)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM files").fetchone() == (1,)
        journal.begin(SECOND, "digest", [payment(0)])
        assert reader.execute("SELECT count(*) FROM files").fetchone() == (1,)
        reader.rollback()
        assert reader.execute("SELECT count(*) FROM files").fetchone() == (2,)


def test_a_journal_of_another_version_is_refused(reopen, file):
    """A journal that a later program wrote is not touched; both versions are named."""
    reopen().close()
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match="is of version 99; this program knows 3") as refused:
        Journal(f"sqlite:///{file}")
    (fault,) = refused.value.faults
    assert fault.key == "journal.url"
    assert "newer" in fault.mend
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("PRAGMA user_version").fetchone() == (99,)


def _cut(file: Path) -> None:
    with closing(Journal(f"sqlite:///{file}")) as journal:
        journal.begin(FIRST, "digest", [payment(0)])
    file.write_bytes(file.read_bytes()[:5000])


def _overwritten(file: Path) -> None:
    Journal(f"sqlite:///{file}").close()
    content = file.read_bytes()
    file.write_bytes(content[:100] + b"\xff" * (len(content) - 100))


UNUSABLE = {
    "text": lambda file: file.write_text("This is no database, and long enough not to pass for one.\n" * 100),
    "cut off": _cut,
    "overwritten": _overwritten,
    "a folder": lambda file: file.mkdir(),
}


@pytest.mark.parametrize("spoil", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_damaged_journal_is_refused_with_its_mend(file, spoil):
    """A file that is no whole database is named at the start, with what to do, and is left for a person to look at."""
    spoil(file)
    before = file.read_bytes() if file.is_file() else None
    with pytest.raises(ConfigurationError) as refused:
        Journal(f"sqlite:///{file}")
    (fault,) = refused.value.faults
    assert (fault.key, str(file) in fault.problem) == ("journal.url", True)
    assert "move a damaged journal away" in fault.mend
    assert (file.read_bytes() if file.is_file() else None) == before


def test_another_programs_database_is_left_as_it_is(file):
    """A database with tables of somebody else is named and not written to."""
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("CREATE TABLE customers (name TEXT)")
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match="is another program's database"):
        Journal(f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_a_journal_that_was_being_made_is_made_to_its_end(file, reopen):
    """A crash between the first tables and the last leaves a journal that the next start completes."""
    reopen().close()
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("DROP TABLE payments")
        other.execute("PRAGMA user_version = 0")
    journal = reopen()
    journal.begin(FIRST, "digest", [payment(0)])
    journal.record([(FIRST.id, applied(0))])
    assert journal.results(FIRST.id) == [applied(0)]


def test_damage_that_is_met_at_work_is_told_with_its_mend(file, reopen):
    """Rows that cannot be read any more end the program as a journal that cannot be opened does; nothing is guessed."""
    journal = reopen()
    for number in range(300):
        journal.begin(Claim(f"20250101T000000Z_{number:08x}", "pay.xml"), "digest", ())
    journal.close()
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\x5a" * (len(content) - 4096))
    with closing(Journal(f"sqlite:///{file}")) as journal:
        for act in (journal.line, lambda: journal.marker("/srv"), lambda: journal.begin(FIRST, "digest", ())):
            with pytest.raises(ConfigurationError, match="malformed") as told:
                act()
            assert "nothing is paid twice" in told.value.faults[0].mend


def test_a_journal_without_a_folder_is_refused(tmp_path):
    """A journal in a folder that is not there is named with its mend; the folder is not made."""
    with pytest.raises(ConfigurationError, match="nowhere"):
        Journal(f"sqlite:///{tmp_path}/nowhere/journal.db")
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_cannot_grow_is_this_programs_trouble_to_tell(journal, file):
    """Where the disk takes no more, writing is an error this program knows; with room again the journal goes on."""
    journal.begin(FIRST, "digest", [payment(0)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.with_name("journal.db-wal").stat().st_size, limits[1]))
    try:
        with pytest.raises(PaymentWatcherError):
            journal.record([(FIRST.id, applied(0))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert journal.results(FIRST.id) == []
    journal.record([(FIRST.id, applied(0))])
    assert journal.results(FIRST.id) == [applied(0)]


def test_an_empty_file_becomes_a_journal(file, reopen):
    """A journal file that a crash left empty, or an administrator made, is used."""
    file.touch()
    journal = reopen()
    journal.begin(FIRST, "digest", [payment(0)])
    assert reopen().decided_at(FIRST.id)
