"""Claims: the files in work, their order, and our own copies of them."""

from __future__ import annotations

import resource
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError, NoResultFound
from support.journal import CLOCKS, FIRST, SECOND, THIRD, applied, begin, claimed, demand, payment

from watcher.claim import Claim
from watcher.errors import JournalTrouble
from watcher.journal.claims import Claims, Copy, NewClaim, State, Unfinished
from watcher.journal.database import Database, opened
from watcher.journal.earlier import Earlier
from watcher.journal.history import History
from watcher.payments.model import ZERO, Action, Intent

MIB = 1024 * 1024


def order(claims):
    """Return the ids of the files in work."""
    return [file.claim.id for file in claims.unfinished()]


def contents(file):
    """Return how many copies a journal holds, as another process sees it."""
    with closing(sqlite3.connect(file)) as other:
        counts = "SELECT (SELECT count(*) FROM documents) + (SELECT count(*) FROM made_documents)"
        return other.execute(counts).fetchone()[0]


# --- the order --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claimed_in_turn", CLOCKS.values(), ids=CLOCKS.keys())
@pytest.mark.parametrize("together", [True, False], ids=["together", "one by one"])
def test_the_order_of_claiming_is_the_journals_own(reopen, claimed_in_turn, together):
    """It is that in which the files were added, whatever their ids say, before and after a start."""
    database = reopen()
    if together:
        claimed(database, *claimed_in_turn)
    else:
        for claim in claimed_in_turn:
            claimed(database, claim)
    wanted = [claim.id for claim in claimed_in_turn]
    assert order(Claims(database)) == wanted
    assert order(Claims(reopen())) == wanted


def test_the_times_in_the_journal_have_no_part_in_the_order(database, claims, file):
    """A clock that runs backwards leaves times in the wrong order. The files stay in theirs."""
    claimed(database, FIRST, SECOND, THIRD)
    with closing(sqlite3.connect(file)) as other, other:
        for day, claim in ((3, FIRST), (1, SECOND), (2, THIRD)):
            time = f"2026-09-0{day}T00:00:00.000+00:00"
            other.execute("UPDATE files SET begun_at = ?, opened_at = ? WHERE claim = ?", (time, time, claim.id))
    assert order(claims) == [FIRST.id, SECOND.id, THIRD.id]


def test_a_claim_that_was_undone_leaves_no_trace_in_the_order(database, claims):
    """Its place may be given again. Those before and after keep their order."""
    claimed(database, THIRD, SECOND)
    claims.undo([SECOND.id])
    claimed(database, FIRST)
    claimed(database, SECOND)
    assert order(claims) == [THIRD.id, FIRST.id, SECOND.id]
    claims.undo([THIRD.id])
    assert order(claims) == [FIRST.id, SECOND.id]


def test_a_hundred_files_keep_their_order(database, claims):
    """As many as one batch has, with ids that go down."""
    batch = [Claim(f"20250101T000000Z_{100 - number:08x}", "pay.xml") for number in range(100)]
    claimed(database, *batch)
    assert [file.claim for file in claims.unfinished()] == batch


# --- claiming ---------------------------------------------------------------------------------------------------------


def test_a_file_is_claimed_with_its_content(claims, file):
    """Claim, digest and content are on disk when the call returns. It is not sure yet that the file was taken."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    claims.add([NewClaim(FIRST, "one", b"<one/>"), NewClaim(SECOND, "two", b"\x00\xff")])
    assert claims.unfinished() == [
        Unfinished(FIRST, "one", taken=False, kept=True, size=6),
        Unfinished(SECOND, "two", taken=False, kept=True, size=2),
    ]
    assert (claims.copy(FIRST.id), claims.copy(SECOND.id)) == (
        Copy("one", b"<one/>", None),
        Copy("two", b"\x00\xff", None),
    )
    with closing(sqlite3.connect(file)) as other:
        columns = "name, digest, content, taken, begun_at, opened_at, finished_at"
        found = other.execute(f"SELECT {columns} FROM files JOIN documents USING (claim) ORDER BY sequence").fetchall()
    assert [row[:4] for row in found] == [("first.xml", "one", b"<one/>", 0), ("second.xml", "two", b"\x00\xff", 0)]
    assert all(before <= datetime.fromisoformat(row[4]) <= datetime.now(UTC) for row in found)
    assert [row[5:] for row in found] == [(None, None)] * 2


@pytest.mark.parametrize("content", [b"", b"<x/>", b"\x00" * 5, None], ids=["empty", "some", "zeros", "too large"])
def test_any_content_is_kept_as_it_was(database, claims, content):
    """An empty file has a copy of no bytes; one that is too large has none, and is known all the same."""
    claimed(database, FIRST, content=content)
    assert claims.copy(FIRST.id) == Copy("digest", content, None)
    assert claims.unfinished() == [
        Unfinished(FIRST, "digest", taken=True, kept=True, size=None if content is None else len(content))
    ]


def test_of_several_files_all_are_claimed_or_none(database, claims, file):
    """A claim that is there already spoils all that come with it, and stays as it is."""
    claimed(database, SECOND, digest="one", content=b"<one/>")
    with pytest.raises(IntegrityError):
        claims.add([NewClaim(FIRST, "two", b"<two/>"), NewClaim(SECOND, "two", b"<two/>")])
    assert (order(claims), claims.copy(SECOND.id), contents(file)) == ([SECOND.id], Copy("one", b"<one/>", None), 1)
    claimed(database, FIRST)
    assert order(claims) == [SECOND.id, FIRST.id]


def test_no_file_is_claimed_on_a_full_disk(database, claims, file):
    """It is an outage that names the journal, and nothing was claimed. With room again the same files are."""
    new = [NewClaim(FIRST, "one", b"<one/>"), NewClaim(SECOND, "two", b"x" * MIB)]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB // 2, limits[1]))
    try:
        with pytest.raises(JournalTrouble) as trouble:
            claims.add(new)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(trouble.value).startswith(f"the journal {file} cannot be written: ")
    assert (claims.unfinished(), contents(file)) == ([], 0)
    claims.add(new)
    assert order(claims) == [FIRST.id, SECOND.id]


@pytest.mark.parametrize(
    "name",
    ["pay\nment.xml", "💷.xml", 'it\'s "x".xml', "pay\udcff.xml", "pay\\udcff.xml", "\\x5c.xml", "\\\\\udc80\\udc80"],
    ids=["newline", "emoji", "quotes", "no UTF-8", "looks escaped", "looks escaped twice", "both"],
)
def test_a_file_has_its_own_name_after_a_start(reopen, name):
    """The original in work and all that is published bear the name: it must be the same one after a crash."""
    claimed(reopen(), Claim(FIRST.id, name))
    database = reopen()
    (found,) = Claims(database).unfinished()
    assert found.claim == Claim(FIRST.id, name)
    assert found.claim.published_name == Claim(FIRST.id, name).published_name
    assert [attempt.file for attempt in History(database).attempts(name)] == [name]


def test_names_that_look_alike_are_told_apart(database):
    """No two names are kept as the same text."""
    names = ["a\udcff", "a\\udcff", "a\\x5cudcff", "a\\x5c", "a\\", "a\\\\udcff", "a\\\udcff"]
    ids = [f"20250101T000000Z_{number:08x}" for number in range(len(names))]
    claimed(database, *(Claim(claim_id, name) for claim_id, name in zip(ids, names, strict=True)))
    found = [[attempt.claim for attempt in History(database).attempts(name)] for name in names]
    assert found == [[claim_id] for claim_id in ids]


# --- sure, or undone --------------------------------------------------------------------------------------------------


def test_it_becomes_sure_that_files_were_taken(claims, reopen):
    """Those that are named are sure, also after a start; the others are not. An unknown claim is no fault."""
    claims.add([NewClaim(claim, "digest", b"<x/>") for claim in (FIRST, SECOND, THIRD)])
    claims.take({FIRST.id, THIRD.id, "20250101T000000Z_00000009"})
    claims.take([])
    assert [file.taken for file in claims.unfinished()] == [True, False, True]
    assert [file.taken for file in Claims(reopen()).unfinished()] == [True, False, True]


def test_a_claim_that_came_to_nothing_is_forgotten(claims, file):
    """Neither the claim nor the content is there any more; the others stay. The id may come again."""
    claims.add([NewClaim(claim, "digest", b"<x/>") for claim in (FIRST, SECOND)])
    claims.keep_document(FIRST.id, b"<made/>")
    claims.undo(iter([FIRST.id, "20250101T000000Z_00000009"]))
    claims.undo([])
    assert (order(claims), contents(file)) == ([SECOND.id], 1)
    assert claims.state(FIRST.id) is None
    claims.add([NewClaim(FIRST, "digest", b"<y/>")])
    assert claims.copy(FIRST.id) == Copy("digest", b"<y/>", None)


def test_a_claim_that_was_opened_is_not_undone(database, claims, file):
    """Money may have moved for it: what is known of it stays, with its copy, and so does all that came with it."""
    claimed(database, SECOND)
    begin(database, FIRST, "digest", [payment(0)])
    with pytest.raises(IntegrityError):
        claims.undo([SECOND.id, FIRST.id])
    assert (order(claims), contents(file)) == ([SECOND.id, FIRST.id], 2)


# --- our copy ---------------------------------------------------------------------------------------------------------


def test_what_the_stylesheet_made_is_kept_beside_the_content(database, claims, reopen):
    """The last one counts; other files have none."""
    claimed(database, FIRST, SECOND)
    claims.keep_document(FIRST.id, b"<once/>")
    claims.keep_document(FIRST.id, b"<made/>")
    claims = Claims(reopen())
    assert claims.copy(FIRST.id) == Copy("digest", b"<x/>", b"<made/>")
    assert claims.copy(SECOND.id) == Copy("digest", b"<x/>", None)
    assert [file.size for file in claims.unfinished()] == [4, 4]


@pytest.mark.parametrize("content", [b"<theirs/>", None], ids=["read", "too large"])
@pytest.mark.parametrize("document", [b"<ours/>", None], ids=["stylesheet", "no stylesheet"])
def test_the_copy_of_a_file_that_had_none_is_kept_once(database, claims, file, content, document):
    """A journal of version 3 knew the file without its content. A second copy is refused."""
    claimed(database, FIRST)
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("DELETE FROM documents")
    assert claims.unfinished() == [Unfinished(FIRST, "digest", taken=True, kept=False, size=None)]
    with pytest.raises(NoResultFound):
        claims.copy(FIRST.id)
    claims.keep(FIRST.id, content, document)
    assert claims.copy(FIRST.id) == Copy("digest", content, document)
    assert claims.unfinished()[0].kept
    with pytest.raises(IntegrityError):
        claims.keep(FIRST.id, b"another", None)
    assert claims.copy(FIRST.id) == Copy("digest", content, document)


def test_no_copy_is_kept_of_a_file_that_is_not_claimed(claims, file):
    """A copy belongs to a claim."""
    with pytest.raises(IntegrityError):
        claims.keep(FIRST.id, b"<x/>", None)
    with pytest.raises(IntegrityError):
        claims.keep_document(FIRST.id, b"<x/>")
    assert contents(file) == 0


# --- the end ----------------------------------------------------------------------------------------------------------


def test_a_finished_file_is_known_without_its_content(database, claims, reopen, file):
    """It is not in work any more, its copy is gone, its digest stays. Other files keep theirs."""
    claimed(database, FIRST, SECOND)
    claims.keep_document(FIRST.id, b"<made/>")
    claims.finish(FIRST.id)
    for claims in (Claims(database), Claims(reopen())):
        assert order(claims) == [SECOND.id]
        assert claims.state(FIRST.id) == State(FIRST.name, "digest", finished=True)
        assert claims.state(SECOND.id) == State(SECOND.name, "digest", finished=False)
        assert claims.state(THIRD.id) is None
        assert claims.copy(SECOND.id).content == b"<x/>"
        with pytest.raises(NoResultFound):
            claims.copy(FIRST.id)
    assert contents(file) == 1


def test_a_finished_file_keeps_its_place_and_its_payments(database, ledger, claims):
    """It is earlier than all that come, and its records stay written down."""
    begin(database, THIRD, "digest", [payment(0)])
    ledger.record([(THIRD.id, applied(0))])
    claims.finish(THIRD.id)
    claimed(database, FIRST)
    assert Earlier(database).file("digest", FIRST) == THIRD
    assert list(ledger.results(THIRD.id)) == [applied(0)]


def test_a_file_is_finished_once(database, claims, file):
    """A file that is finished again after a crash keeps its first time. An unknown claim is no fault."""
    claimed(database, FIRST, SECOND)
    with closing(sqlite3.connect(file)) as other:
        asked = "SELECT claim, finished_at FROM files WHERE finished_at IS NOT NULL"
        assert other.execute(asked).fetchall() == []
        claims.finish(FIRST.id)
        ((claim_id, finished_at),) = other.execute(asked).fetchall()
        assert claim_id == FIRST.id
        assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(finished_at) < timedelta(minutes=1)
        with other:
            other.execute("UPDATE files SET finished_at = 'then' WHERE claim = ?", (FIRST.id,))
        claims.finish(FIRST.id)
        claims.finish("20250101T000000Z_00000009")
        assert other.execute(asked).fetchall() == [(FIRST.id, "then")]


# --- ids --------------------------------------------------------------------------------------------------------------


def test_the_largest_id_is_known(database, claims, reopen):
    """New ids are made after it. Finished files count; it is that of no claim in particular order."""
    assert claims.latest_id() == ""
    claimed(database, THIRD, FIRST)
    assert claims.latest_id() == THIRD.id
    claims.finish(THIRD.id)
    assert Claims(reopen()).latest_id() == THIRD.id


def test_those_who_look_see_the_files_in_work(database, ledger, url):
    """They see each as soon as it is claimed, and how far it is, but never write."""
    claimed(database, THIRD)
    begin(database, FIRST, "digest", [payment(0), payment(1)])
    ledger.intend([(demand(FIRST, 0), Intent(Action.CREATE, ZERO))])
    ledger.record([(FIRST.id, applied(0))])
    with opened(url) as looked_at:
        assert [(file.claim, file.records, file.decided) for file in History(looked_at).in_work()] == [
            (THIRD, 0, 0),
            (FIRST, 2, 1),
        ]
        assert order(Claims(looked_at)) == [THIRD.id, FIRST.id]


def test_claims_work_in_a_journal_in_memory():
    """Tests and trials need no file."""
    with closing(Database("sqlite://")) as database:
        claimed(database, FIRST)
        assert order(Claims(database)) == [FIRST.id]
