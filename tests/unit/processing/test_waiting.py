"""Files that wait by themselves: what is logged, when people are told, and what the journal holds of it."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sql
from structlog.testing import capture_logs

from watcher.claim import Claim
from watcher.errors import FileTrouble
from watcher.inbox.entries import Remark
from watcher.journal.database import Database
from watcher.journal.waits import Wait, Waits
from watcher.processing.waiting import WaitingFiles

CLAIM = Claim("20260922T093015Z_00000001", "pay.xml")
LOCKED = Remark("a.xml", "it is locked", waits=True, waited=30)


@pytest.fixture
def waits():
    """What an empty journal says of files that wait."""
    with closing(Database("sqlite://")) as database:
        yield Waits(database)


def told(log):
    """Return what was logged: the event, the file, and the reason."""
    return [(entry["event"], entry["file"], entry["reason"]) for entry in log]


def test_a_file_of_the_inbox_is_told_of_once_for_each_reason_and_once_when_it_is_overdue(waits):
    """The scan says when it has waited for too long; it waits since it was first seen."""
    waiting = WaitingFiles(waits, 600)
    late = Remark("a.xml", "it is locked", waits=True, overdue=True, waited=600)
    with capture_logs() as log:
        assert [waiting.look([LOCKED]), waiting.look([LOCKED])] == [0, 0]
        assert [waiting.look([late]), waiting.look([late])] == [1, 1]
        assert waiting.look([Remark("a.xml", "it cannot be moved", waits=True, overdue=True, waited=700)]) == 1
    assert told(log) == [
        ("file.waiting", "a.xml", "it is locked"),
        ("file.overdue", "a.xml", "it is locked"),
        ("file.waiting", "a.xml", "it cannot be moved"),
    ]
    (wait,) = waits.all()
    assert (wait.reason, wait.overdue) == ("it cannot be moved", True)
    assert timedelta(seconds=25) < datetime.now(UTC) - wait.since < timedelta(seconds=300)
    assert waiting.look([]) == 0
    assert waits.all() == []


def test_a_file_in_work_is_told_of_again_when_another_thing_is_in_its_way(waits):
    """Whoever cleared the first learns of the second, however long the first one took."""
    waiting = WaitingFiles(waits, 0)
    with capture_logs() as log:
        for reason in ("one", "one", "two"):
            waiting.hold_up(CLAIM, reason, "Move it")
            assert waiting.look([]) == 1
    assert told(log) == [
        (event, "pay.xml", reason) for reason in ("one", "two") for event in ("file.waiting", "file.overdue")
    ]
    with pytest.raises(FileTrouble, match=f"pay.xml .claim {CLAIM.id}. waits: two") as trouble:
        waiting.check()
    assert trouble.value.mend == "Move it"
    waiting.go_on(CLAIM)
    waiting.check()
    assert waits.all() == []


def test_the_next_start_knows_since_when_a_claimed_file_waits_and_forgets_the_inbox(waits):
    """A restart makes no wait shorter; what lies in the inbox is looked at anew."""
    before = Wait(CLAIM.name, CLAIM.id, datetime(2026, 9, 22, tzinfo=UTC), "one")
    waits.change([before, Wait("a.xml", "", before.since, "it is locked")])
    waiting = WaitingFiles(waits, 600)
    waiting.look([])
    assert waits.all() == [before]
    waiting.hold_up(CLAIM, "two", "")
    (after,) = waits.all()
    assert (after.since, after.reason) == (before.since, "two")


def test_a_journal_that_cannot_be_written_keeps_no_wait_from_the_log(tmp_path):
    """It is logged at once, and written down as soon as that is possible."""
    with closing(Database(f"sqlite:///{tmp_path / 'journal.db'}")) as database:
        waits = Waits(database)
        waiting = WaitingFiles(waits, 600)
        with closing(Database(f"sqlite:///{tmp_path / 'journal.db'}")) as other:
            with other.transaction() as connection:
                connection.execute(sql.text("ALTER TABLE waits RENAME TO away"))
            with capture_logs() as log:
                waiting.look([LOCKED])
            assert told(log) == [("file.waiting", "a.xml", "it is locked")]
            with other.transaction() as connection:
                connection.execute(sql.text("ALTER TABLE away RENAME TO waits"))
        waiting.look([LOCKED])
        assert [wait.file for wait in waits.all()] == ["a.xml"]
