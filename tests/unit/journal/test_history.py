"""History: what people ask about files and payments, and what is forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from support.journal import CLOCKS, FIRST, SECOND, THIRD, applied, begin, claimed, payment, rejected

from watcher.claim import Claim
from watcher.journal.claims import Claims
from watcher.journal.history import History, InWork
from watcher.journal.unpaid import Unpaid
from watcher.payments.model import Misfit
from watcher.payments.outcomes import Outcome, Result

TOMORROW = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def history(database):
    """The history of a fresh journal."""
    return History(database)


@pytest.fixture
def write(database, ledger):
    """Claim a file and write down the results of its first records; it is finished if all have one."""

    def written(claim, *results, records=(), refusal=None):
        asked = [payment(result.position, str(result.asked), result.invoice_number) for result in results]
        begin(database, claim, "digest", [*asked, *records], refusal)
        ledger.record([(claim.id, result) for result in results])
        if not records:
            Claims(database).finish(claim.id)

    return written


# --- attempts ---------------------------------------------------------------------------------------------------------


def test_an_attempt_says_all_that_is_known_of_a_record(write, history):
    """File, claim, times, amounts, outcome, words and ids are those that were written down."""
    result = Result(0, 3, "CW-0", Outcome.APPLIED, Decimal("10.00"), Decimal("8.50"), None, "2.50 too much", 7, 8)
    write(FIRST, result)
    (attempt,) = history.attempts("first.xml")
    assert (attempt.file, attempt.claim, attempt.line) == (FIRST.name, FIRST.id, 3)
    assert (attempt.invoice_number, attempt.outcome, attempt.message) == ("CW-0", "applied", "2.50 too much")
    assert (str(attempt.asked), str(attempt.held)) == ("10.00", "8.50")
    assert (attempt.invoice_id, attempt.payment_id) == (7, 8)
    assert attempt.begun_at <= attempt.decided_at <= attempt.finished_at
    assert attempt.begun_at.tzinfo is not None


@pytest.mark.parametrize("wanted", ["CW-0", "cw-0"])
def test_every_attempt_at_an_invoice_is_found(write, history, wanted):
    """Attempts of several files are found, the earliest first, whatever the letters' case."""
    write(FIRST, applied(1), rejected(0))
    write(SECOND, applied(0))
    write(THIRD, applied(2))
    assert [(found.file, found.outcome) for found in history.attempts(wanted)] == [
        ("first.xml", "rejected"),
        ("second.xml", "applied"),
    ]


@pytest.mark.parametrize("claims", CLOCKS.values(), ids=CLOCKS.keys())
def test_attempts_come_in_the_order_of_claiming_whatever_the_clock_says(write, history, claims):
    """The order is that in which the files were claimed, not that of their ids."""
    for claim in claims:
        write(claim, applied(0))
    assert [found.claim for found in history.attempts("CW-0")] == [claim.id for claim in claims]


@pytest.mark.parametrize("wanted", [FIRST.name, FIRST.id])
def test_every_record_of_a_file_is_found(write, history, wanted):
    """A file is known by its name and by its claim; its records come in order."""
    write(FIRST, rejected(1), applied(0))
    write(SECOND, applied(0))
    assert [found.line for found in history.attempts(wanted)] == [3, 4]


def test_a_record_without_outcome_waits(write, history):
    """It has an amount, but no time and no outcome yet."""
    write(FIRST, records=[payment(0)])
    (attempt,) = history.attempts("CW-0")
    assert (attempt.outcome, attempt.decided_at, attempt.finished_at) == ("waiting", None, None)


def test_a_file_that_is_not_opened_yet_waits(database, history):
    """It is claimed, so it is known. Nobody can say yet what is in it."""
    claimed(database, FIRST)
    (attempt,) = history.attempts("first.xml")
    assert (attempt.outcome, attempt.line, attempt.asked, attempt.finished_at) == ("waiting", 0, None, None)


def test_a_record_without_a_number_waits_too(write, history):
    """It is a record like any other, and no empty file."""
    write(FIRST, records=[Misfit(0, 3, "", None, "InvoiceNumber is missing")])
    (attempt,) = history.attempts("first.xml")
    assert (attempt.outcome, attempt.line) == ("waiting", 3)


@pytest.mark.parametrize(
    ("refusal", "outcome", "message"), [("it is cut off", "refused", "it is cut off"), (None, "empty", None)]
)
def test_a_file_without_records_has_an_attempt_of_its_own(write, history, refusal, outcome, message):
    """A refused file and an empty one are found by name."""
    write(FIRST, refusal=refusal)
    (attempt,) = history.attempts("first.xml")
    assert (attempt.outcome, attempt.message, attempt.line) == (outcome, message, 0)


@pytest.mark.parametrize("wanted", ["CW-1", "other.xml", "", "pay\udcff.xml", "it's", "%"])
def test_nothing_is_found_under_a_name_that_is_not_known(write, history, wanted):
    """Any text may be asked for."""
    write(FIRST, applied(0))
    assert history.attempts(wanted) == []


def test_a_file_whose_name_is_no_text_is_found(write, history):
    """Names of any bytes are kept escaped, found by the name as it is on disk, and come back as that."""
    write(Claim(FIRST.id, "pay\udcff.xml"), applied(0))
    write(Claim(SECOND.id, "pay\\udcff.xml"), applied(1))
    assert [attempt.file for attempt in history.attempts("pay\udcff.xml")] == ["pay\udcff.xml"]
    assert [file.name for file in history.files_of("pay\udcff.xml", 3)] == ["pay\udcff.xml"]


# --- unpaid -----------------------------------------------------------------------------------------------------------


def unpaid(history):
    """Return the claim and the invoice of each unpaid payment."""
    return [(attempt.claim, attempt.invoice_number) for attempt in Unpaid(history._database).all()]


def test_a_rejected_payment_is_unpaid_until_its_invoice_is_tried_again(write, history):
    """A later file stands for it, whatever becomes of that. So does a success in the same file."""
    write(FIRST, rejected(0), rejected(1), applied(2), rejected(3, "CW-2"))
    assert unpaid(history) == [(FIRST.id, "CW-0"), (FIRST.id, "CW-1")]
    write(SECOND, applied(0), rejected(1))
    assert unpaid(history) == [(SECOND.id, "CW-1")]


@pytest.mark.parametrize("claims", CLOCKS.values(), ids=CLOCKS.keys())
def test_only_a_file_that_was_claimed_later_stands_for_a_rejected_payment(write, history, claims):
    """A clock that was set back or ahead resolves nothing: an earlier success is no later attempt."""
    first, second, third = claims
    write(first, applied(0), rejected(1), rejected(2))
    write(second, rejected(0), applied(1))
    assert unpaid(history) == [(first.id, "CW-2"), (second.id, "CW-0")]
    write(third, rejected(0))
    assert unpaid(history) == [(first.id, "CW-2"), (third.id, "CW-0")]


def test_rejected_payments_without_a_number_stay_unpaid(database, ledger, write, history):
    """No later record without a number stands for an earlier one."""
    nameless = Result(0, 3, "", Outcome.REJECTED, Decimal(0), message="InvoiceNumber is missing")
    for claim in (FIRST, SECOND):
        begin(database, claim, "digest", [Misfit(0, 3, "", None, "InvoiceNumber is missing")])
        ledger.record([(claim.id, nameless)])
    assert unpaid(history) == [(FIRST.id, ""), (SECOND.id, "")]


def test_a_fail_file_that_was_dropped_in_again_stands_for_its_payments(write, history):
    """The later file's name bears the earlier claim; its invoice number may be a corrected one."""
    write(FIRST, rejected(0))
    write(replace(SECOND, name=f"first__{FIRST.id}.xml"), applied(0, number="CW-9"))
    assert unpaid(history) == []


@pytest.mark.parametrize("name", ["pay_2025Z_01.xml", f"first_{FIRST.id}.xml", f"first__{THIRD.id}.xml"])
def test_a_name_that_does_not_bear_the_claim_resolves_nothing(write, history, name):
    """A Z, the id after one underscore, and another claim are not this claim."""
    write(FIRST, rejected(0))
    write(replace(SECOND, name=name), applied(1))
    assert unpaid(history) == [(FIRST.id, "CW-0")]


# --- later files ------------------------------------------------------------------------------------------------------


def test_invoices_that_later_files_have_set_are_named_with_the_last_file(write, history):
    """Only successes of later files count; the letters' case does not."""
    write(FIRST, applied(0), applied(1))
    write(SECOND, applied(0), rejected(1))
    write(THIRD, applied(0), applied(2))
    assert history.set_since(FIRST.id, ["cw-0", "CW-1"]) == {"CW-0": "third.xml"}
    assert history.set_since(THIRD.id, ["CW-0"]) == {}


@pytest.mark.parametrize("claims", CLOCKS.values(), ids=CLOCKS.keys())
def test_what_is_later_is_what_was_claimed_later(write, history, claims):
    """A clock that was set back or ahead hides no later file, and makes no earlier one later."""
    first, second, third = claims
    write(first, applied(0), applied(1))
    write(second, applied(0), replace(applied(1), outcome=Outcome.UNCHANGED))
    write(third, applied(0), rejected(1))
    assert history.set_since(first.id, ["CW-0", "CW-1"]) == {"CW-0": third.name, "CW-1": second.name}
    assert history.set_since(second.id, ["CW-0", "CW-1"]) == {"CW-0": third.name}
    assert history.set_since(third.id, ["CW-0", "CW-1"]) == {}


def test_nobody_can_say_what_is_later_than_a_claim_that_is_not_known(write, history):
    """A new journal, or an older copy, does not know it: no answer is not the same as no later file."""
    write(SECOND, applied(0))
    assert history.set_since(FIRST.id, ["CW-0"]) is None
    assert history.set_since(THIRD.id, []) is None


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claims", CLOCKS.values(), ids=CLOCKS.keys())
def test_files_in_work_come_with_their_records_and_outcomes(database, write, history, claims):
    """They come in the order of claiming. Of a claim that is not opened there are no records; a finished one is out."""
    first, second, third = claims
    write(first, applied(0), records=[payment(1), payment(2)])
    write(second, applied(0))
    claimed(database, third)
    assert history.in_work() == [InWork(first, 3, 1), InWork(third, 0, 0)]


def test_the_name_of_a_file_in_work_is_that_on_disk(database, history):
    """Names of any bytes come back as they are, however they look escaped."""
    names = ["pay\udcff.xml", "pay\\udcff.xml", "pay\\x5cudcff.xml", "\\\udcff.xml", "pay\\.xml"]
    claimed(database, *(Claim(f"{FIRST.id[:-1]}{number}", name) for number, name in enumerate(names)))
    assert [file.claim.name for file in history.in_work()] == names


def test_the_last_files_come_with_their_sums(write, history):
    """Counts and sums are those of each file's own records."""
    write(FIRST, applied(0, "0.10"), applied(1, "0.20"), rejected(2))
    write(SECOND, refusal="it is cut off")
    write(THIRD, records=[payment(0)])
    first = next(file for file in history.last_files(9) if file.claim == FIRST.id)
    assert (first.name, first.refusal) == ("first.xml", None)
    assert (first.succeeded, first.rejected) == (2, 1)
    assert (str(first.asked), str(first.failed)) == ("10.30", "10.00")
    second = next(file for file in history.last_files(9) if file.claim == SECOND.id)
    assert (second.refusal, second.succeeded, second.asked) == ("it is cut off", 0, 0)
    assert len(history.last_files(9)) == 2


def finished_at(database, claim, time):
    """Let a file have been finished at a time."""
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE files SET finished_at = ? WHERE claim = ?", (time, claim.id))


def test_the_latest_files_come_first_and_no_more_than_asked(database, write, history):
    """The time at which a file was finished counts, not that of its claim."""
    for claim, day in ((FIRST, 3), (SECOND, 1), (THIRD, 2)):
        write(claim, applied(0))
        finished_at(database, claim, f"2026-09-0{day}T00:00:00.000+00:00")
    assert [file.claim for file in history.last_files(2)] == [FIRST.id, THIRD.id]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("pay.xml", [SECOND.id, FIRST.id]),
        (f"pay__{FIRST.id}.xml", [FIRST.id]),
        (f"pay__{FIRST.id}.receipt.json", [FIRST.id]),
        ("PAY.XML", [SECOND.id, FIRST.id]),
        ("pays.xml", []),
        ("pay\udcff.xml", []),
    ],
)
def test_the_files_of_a_name_are_found(database, write, history, name, found):
    """A name in the inbox finds all its files; a published name finds the one of its claim."""
    for claim, day in ((FIRST, 1), (SECOND, 2)):
        write(replace(claim, name="pay.xml"), applied(0))
        finished_at(database, claim, f"2026-09-0{day}T00:00:00.000+00:00")
    write(THIRD, applied(0))
    assert [file.claim for file in history.files_of(name, 3)] == found


# --- retention --------------------------------------------------------------------------------------------------------


def test_only_finished_files_without_anything_unresolved_are_resolved(write, history):
    """A refused file, one with an unpaid payment and one in work are not."""
    write(FIRST, applied(0))
    write(SECOND, applied(0), rejected(1))
    write(THIRD, refusal="it is cut off")
    write(Claim("20250101T000000Z_00000004", "work.xml"), records=[payment(0)])
    assert history.resolved_before(TOMORROW) == {FIRST.id}
    assert history.resolved_before(TOMORROW - timedelta(days=2)) == set()


def test_a_claim_that_is_forgotten_changes_no_order(write, history):
    """The latest place may be given again; the claims that stay keep theirs."""
    for claim in (THIRD, SECOND):
        write(claim, applied(0))
    history.forget([SECOND.id])
    write(FIRST, applied(0))
    assert [attempt.claim for attempt in history.attempts("CW-0")] == [THIRD.id, FIRST.id]
    history.forget([THIRD.id])
    assert history.set_since(FIRST.id, ["CW-0"]) == {}
    assert history.set_since(THIRD.id, ["CW-0"]) is None


def test_claims_that_are_forgotten_leave_nothing(write, ledger, history):
    """The other claims stay as they are."""
    write(FIRST, applied(0), rejected(1))
    write(SECOND, applied(0))
    history.forget([FIRST.id])
    history.forget([])
    assert ledger.known(FIRST.id) is None
    assert history.attempts(FIRST.id) == history.attempts("CW-1") == []
    assert list(ledger.results(SECOND.id)) == [applied(0)]


def test_the_journal_gives_room_back_once_much_of_it_is_empty(write, file, history):
    """Its file is smaller after most of its rows are gone."""
    claims = [Claim(f"20250101T000000Z_{number:08x}", "a.xml") for number in range(40)]
    for claim in claims:
        write(claim, *(applied(position) for position in range(50)))

    def size():
        return sum(path.stat().st_size for path in file.parent.glob("journal.db*"))

    before = size()
    history.forget(claim.id for claim in claims[1:])
    assert size() < before / 2
