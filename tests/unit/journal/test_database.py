"""The journal's database: what it refuses to be, what it survives, and how it comes along from older versions."""

from __future__ import annotations

import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.journal import FIRST, SECOND, applied, payment

from watcher.claim import Claim
from watcher.errors import ConfigurationError, JournalTrouble
from watcher.journal.bulletins import Bulletins
from watcher.journal.database import Database, file_of, opened
from watcher.journal.history import History
from watcher.journal.ledger import Ledger

VERSION_1 = Path(__file__).parents[2] / "data" / "journal-of-version-1.sql"
# What version 2 brought to a journal of version 1.
VERSION_2 = """
ALTER TABLE line ADD COLUMN cause VARCHAR NOT NULL DEFAULT '';
ALTER TABLE line ADD COLUMN watch VARCHAR NOT NULL DEFAULT '';
ALTER TABLE line ADD COLUMN answered_at VARCHAR;
CREATE INDEX payments_rejected ON payments (outcome) WHERE outcome = 'rejected';
PRAGMA user_version = 2;
"""


def test_a_reader_does_not_hold_up_the_daemon(ledger, file):
    """While a status command is in the middle of reading, the daemon writes, and the reader sees what it saw."""
    ledger.begin(FIRST, "digest", [payment(0)])
    with closing(sqlite3.connect(file, timeout=0)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM files").fetchone() == (1,)
        ledger.begin(SECOND, "digest", [payment(0)])
        assert reader.execute("SELECT count(*) FROM files").fetchone() == (1,)
        reader.rollback()
        assert reader.execute("SELECT count(*) FROM files").fetchone() == (2,)


# --- journals that are refused ----------------------------------------------------------------------------------------


def test_a_journal_of_a_later_version_is_refused(reopen, file, url):
    """A journal that a later program wrote is not touched; both versions are named."""
    reopen().close()
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match="is of version 99; this program knows 3") as refused:
        Database(url)
    (fault,) = refused.value.faults
    assert fault.key == "journal.url"
    assert "newer" in fault.mend
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("PRAGMA user_version").fetchone() == (99,)


def _cut(file: Path) -> None:
    with closing(Database(f"sqlite:///{file}")) as database:
        Ledger(database).begin(FIRST, "digest", [payment(0)])
    file.write_bytes(file.read_bytes()[:5000])


def _overwritten(file: Path) -> None:
    Database(f"sqlite:///{file}").close()
    content = file.read_bytes()
    file.write_bytes(content[:100] + b"\xff" * (len(content) - 100))


UNUSABLE = {
    "text": lambda file: file.write_text("This is no database, and long enough not to pass for one.\n" * 100),
    "cut off": _cut,
    "overwritten": _overwritten,
    "a folder": lambda file: file.mkdir(),
}


@pytest.mark.parametrize("spoil", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_damaged_journal_is_refused_with_its_mend(file, url, spoil):
    """A file that is no whole database is named at the start, with what to do, and is left for a person to look at."""
    spoil(file)
    before = file.read_bytes() if file.is_file() else None
    with pytest.raises(ConfigurationError) as refused:
        Database(url)
    (fault,) = refused.value.faults
    assert (fault.key, str(file) in fault.problem) == ("journal.url", True)
    assert "move a damaged journal away" in fault.mend
    assert (file.read_bytes() if file.is_file() else None) == before


def test_another_programs_database_is_left_as_it_is(file, url):
    """A database with tables of somebody else is named and not written to."""
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("CREATE TABLE customers (name TEXT)")
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match="is another program's database"):
        Database(url)
    assert file.read_bytes() == before


def test_a_journal_without_a_folder_is_refused(tmp_path):
    """A journal in a folder that is not there is named with its mend; the folder is not made."""
    with pytest.raises(ConfigurationError, match="nowhere"):
        Database(f"sqlite:///{tmp_path}/nowhere/journal.db")
    assert list(tmp_path.iterdir()) == []


# --- what a journal survives ------------------------------------------------------------------------------------------


def test_a_journal_that_was_being_made_is_made_to_its_end(file, reopen):
    """A crash between the first tables and the last leaves a journal that the next start completes."""
    reopen().close()
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("DROP TABLE payments")
        other.execute("PRAGMA user_version = 0")
    ledger = Ledger(reopen())
    ledger.begin(FIRST, "digest", [payment(0)])
    ledger.record([(FIRST.id, applied(0))])
    assert ledger.known(FIRST.id).results == [applied(0)]


def test_an_empty_file_becomes_a_journal(file, reopen):
    """A journal file that a crash left empty, or an administrator made, is used."""
    file.touch()
    Ledger(reopen()).begin(FIRST, "digest", [payment(0)])
    assert Ledger(reopen()).known(FIRST.id).decided_at


def test_damage_that_is_met_at_work_is_reported_with_its_mend(file, url, reopen):
    """Rows that cannot be read any more end the program, as a journal that cannot be opened does."""
    ledger = Ledger(database := reopen())
    for number in range(300):
        ledger.begin(Claim(f"20250101T000000Z_{number:08x}", "pay.xml"), "digest", ())
    database.close()
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\x5a" * (len(content) - 4096))
    with closing(Database(url)) as database:
        ledger = Ledger(database)
        for act in (
            Bulletins(database).latest,
            lambda: ledger.marker("/srv"),
            lambda: ledger.begin(FIRST, "digest", ()),
        ):
            with pytest.raises(ConfigurationError, match="malformed") as reported:
                act()
            assert "nothing is paid twice" in reported.value.faults[0].mend


def test_a_journal_that_cannot_grow_goes_on_once_it_can(ledger, file):
    """A full disk is an outage that names the journal, and nothing is written. With room again the journal goes on."""
    ledger.begin(FIRST, "digest", [payment(0)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.with_name("journal.db-wal").stat().st_size, limits[1]))
    try:
        with pytest.raises(JournalTrouble) as trouble:
            ledger.record([(FIRST.id, applied(0))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(trouble.value).startswith(f"the journal {file} cannot be written: ")
    assert trouble.value.mend.startswith("Make room on that disk")
    assert ledger.known(FIRST.id).results == []
    ledger.record([(FIRST.id, applied(0))])
    assert ledger.known(FIRST.id).results == [applied(0)]


# --- older versions ---------------------------------------------------------------------------------------------------


def tables(file):
    """Return the tables and indexes of a journal with their columns, and its version."""
    with closing(sqlite3.connect(file)) as journal:
        names = journal.execute("SELECT name FROM sqlite_master ORDER BY name").fetchall()
        columns = {
            name: sorted(journal.execute(f"SELECT name, type, \"notnull\" FROM pragma_table_info('{name}')"))
            for (name,) in names
        }
        return columns, journal.execute("PRAGMA user_version").fetchone()


@pytest.fixture(params=[VERSION_1.read_text("utf-8"), VERSION_1.read_text("utf-8") + VERSION_2], ids=["1", "2"])
def older(request, file):
    """A journal of an older version."""
    with closing(sqlite3.connect(file)) as journal:
        journal.executescript(request.param)
    return file


def test_an_older_journal_comes_along(older, url, tmp_path):
    """Its tables are those of a new one, and what it knew is known."""
    Database(f"sqlite:///{tmp_path / 'new.db'}").close()
    with closing(Database(url)) as database:
        assert tables(older) == tables(tmp_path / "new.db")
        assert [attempt.invoice_number for attempt in History(database).unpaid()] == ["CW-404"]
        assert Bulletins(database).latest().reason == "Working on 1 file."
        assert list(Ledger(database).known("20260901T090000Z_00000002").intents) == [0]


def test_a_migration_that_breaks_off_leaves_the_journal_as_it_was(older, url):
    """The journal comes along altogether or not at all: here its last step finds the index made already."""
    with closing(sqlite3.connect(older)) as journal:
        journal.execute("CREATE INDEX ix_payments_external_id ON payments (asked)")
    before = tables(older)
    with pytest.raises(ConfigurationError, match="ix_payments_external_id"):
        Database(url)
    assert tables(older) == before


def test_an_older_journal_is_left_as_it_is_by_those_who_look(older, url):
    """An older daemon may still run: the mend is to restart it."""
    before = older.read_bytes()
    with pytest.raises(ConfigurationError, match="was written by an older payment-watcher") as refused, opened(url):
        pass
    assert "restart the daemon" in refused.value.faults[0].mend
    assert older.read_bytes() == before


# --- looking ----------------------------------------------------------------------------------------------------------


def test_looking_makes_no_journal(url, tmp_path):
    """Before the daemon's first start there is nothing to look at."""
    with opened(url) as database:
        assert database is None
    with opened("sqlite://") as database:
        assert database is None
    assert list(tmp_path.iterdir()) == []


def test_a_journal_is_opened_for_those_who_look(ledger, url):
    """They see what the daemon has written."""
    ledger.begin(FIRST, "digest", [payment(0)])
    with opened(url) as database:
        assert History(database).progress(FIRST.id) == (1, 0)


def test_a_journal_that_cannot_be_looked_at_is_named(tmp_path):
    """It is no journal that is missing, but one that this user cannot reach; the fault says so."""
    with pytest.raises(ConfigurationError, match="cannot be used"), opened(f"sqlite:///{tmp_path}/{'x' * 300}"):
        pass


def test_the_file_of_a_journal_is_known(url, file):
    """Whoever names the journal or looks at its disk asks for its file."""
    assert file_of(url) == file
    assert file_of("sqlite://") is None
