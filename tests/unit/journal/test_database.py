"""The journal's database: what it refuses to be, what it survives, and how it comes along from older versions."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from support.journal import FIRST, SECOND, applied, begin, claimed, decided_at, environment, payment

from watcher.claim import Claim
from watcher.errors import ConfigurationError, JournalTrouble
from watcher.journal.bulletins import Bulletins
from watcher.journal.claims import Claims, Unfinished
from watcher.journal.database import Database, file_of, opened
from watcher.journal.doubts import Doubts
from watcher.journal.earlier import Earlier
from watcher.journal.history import History, InWork
from watcher.journal.inboxes import Inboxes
from watcher.journal.ledger import Ledger
from watcher.journal.unpaid import Unpaid
from watcher.payments.dated import Dated
from watcher.payments.doubts import InDoubt, LateCall, Settled
from watcher.payments.model import Action, Intent

VERSION_1 = Path(__file__).parents[2] / "data" / "journal-of-version-1.sql"
# What version 2 brought to a journal of version 1.
VERSION_2 = """
ALTER TABLE line ADD COLUMN cause VARCHAR NOT NULL DEFAULT '';
ALTER TABLE line ADD COLUMN watch VARCHAR NOT NULL DEFAULT '';
ALTER TABLE line ADD COLUMN answered_at VARCHAR;
CREATE INDEX payments_rejected ON payments (outcome) WHERE outcome = 'rejected';
PRAGMA user_version = 2;
"""
# What version 3 brought to a journal of version 2.
VERSION_3 = """
ALTER TABLE payments ADD COLUMN external_id VARCHAR;
CREATE INDEX ix_payments_external_id ON payments (external_id);
PRAGMA user_version = 3;
"""
# What version 4 brought to a journal of version 3.
VERSION_4 = """
ALTER TABLE files ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE files ADD COLUMN taken INTEGER NOT NULL DEFAULT 1;
ALTER TABLE files ADD COLUMN opened_at VARCHAR;
UPDATE files SET opened_at = begun_at, sequence = rowid;
CREATE UNIQUE INDEX files_sequence ON files (sequence);
CREATE TABLE documents (claim VARCHAR NOT NULL PRIMARY KEY REFERENCES files (claim), content BLOB);
CREATE TABLE made_documents (claim VARCHAR NOT NULL PRIMARY KEY REFERENCES files (claim), content BLOB NOT NULL);
PRAGMA user_version = 4;
"""
# What version 5 brought to a journal of version 4.
VERSION_5 = """
CREATE TABLE doubts (invoice_id INTEGER NOT NULL, action VARCHAR NOT NULL, amount VARCHAR NOT NULL,
    invoice_number VARCHAR NOT NULL, since VARCHAR NOT NULL, claim VARCHAR, settled VARCHAR, payment_id INTEGER,
    PRIMARY KEY (invoice_id, action, amount));
CREATE TABLE withdrawals (claim VARCHAR NOT NULL PRIMARY KEY REFERENCES files (claim),
    asked_at VARCHAR NOT NULL, reason VARCHAR NOT NULL, held_up_by VARCHAR NOT NULL DEFAULT '');
CREATE TABLE waits (claim VARCHAR NOT NULL, file VARCHAR NOT NULL, since VARCHAR NOT NULL,
    reason VARCHAR NOT NULL, mend VARCHAR NOT NULL, overdue INTEGER NOT NULL, PRIMARY KEY (claim, file));
PRAGMA user_version = 5;
"""
# What version 6 brought to a journal of version 5.
VERSION_6 = """
ALTER TABLE payments ADD COLUMN day VARCHAR;
ALTER TABLE payments ADD COLUMN intended_day VARCHAR;
ALTER TABLE payments ADD COLUMN intended_repeats INTEGER;
DROP TABLE doubts;
CREATE TABLE doubts (invoice_id INTEGER NOT NULL, action VARCHAR NOT NULL, amount VARCHAR NOT NULL,
    day VARCHAR NOT NULL DEFAULT '', invoice_number VARCHAR NOT NULL, since VARCHAR NOT NULL, claim VARCHAR,
    settled VARCHAR, settled_day VARCHAR, payment_id INTEGER, PRIMARY KEY (invoice_id, action, amount, day));
PRAGMA user_version = 6;
"""
# What version 7 brought to a journal of version 6.
VERSION_7 = """
ALTER TABLE files ADD COLUMN adds INTEGER NOT NULL DEFAULT 0;
CREATE TABLE sums (invoice_id INTEGER NOT NULL PRIMARY KEY, invoice_key VARCHAR NOT NULL, total VARCHAR NOT NULL,
    settled VARCHAR NOT NULL, latest VARCHAR NOT NULL, intended VARCHAR NOT NULL DEFAULT '');
CREATE INDEX ix_sums_invoice_key ON sums (invoice_key);
CREATE TABLE accepted (external_id VARCHAR NOT NULL PRIMARY KEY, invoice_id INTEGER NOT NULL,
    invoice_number VARCHAR NOT NULL, amount VARCHAR NOT NULL, day VARCHAR NOT NULL, place INTEGER NOT NULL UNIQUE,
    accepted_at VARCHAR NOT NULL, file VARCHAR NOT NULL, claim VARCHAR NOT NULL);
CREATE INDEX ix_accepted_invoice_id ON accepted (invoice_id);
PRAGMA user_version = 7;
"""
# What version 8 brought to a journal of version 7.
VERSION_8 = """
ALTER TABLE payments ADD COLUMN dismissed_at VARCHAR;
ALTER TABLE payments ADD COLUMN dismissed_because VARCHAR;
ALTER TABLE payments ADD COLUMN asked_as_written VARCHAR NOT NULL DEFAULT '';
PRAGMA user_version = 8;
"""
DOUBTS_OF_VERSION_5 = """
INSERT INTO doubts VALUES (7, 'change', '10.00', 'CW-7', '2026-09-01T09:00:00.000+00:00', 'a claim', '20.00', 11);
INSERT INTO doubts VALUES (7, 'remove', '0.00', 'CW-7', '2026-09-01T09:00:00.000+00:00', 'a claim', '20.00', 11);
"""
OLDER = {
    "1": VERSION_1.read_text("utf-8"),
    "2": VERSION_1.read_text("utf-8") + VERSION_2,
    "3": VERSION_1.read_text("utf-8") + VERSION_2 + VERSION_3,
    "4": VERSION_1.read_text("utf-8") + VERSION_2 + VERSION_3 + VERSION_4,
    "5": VERSION_1.read_text("utf-8") + VERSION_2 + VERSION_3 + VERSION_4 + VERSION_5,
    "6": VERSION_1.read_text("utf-8") + VERSION_2 + VERSION_3 + VERSION_4 + VERSION_5 + VERSION_6,
}
OLDER["7"] = OLDER["6"] + VERSION_7
OLDER["8"] = OLDER["7"] + VERSION_8


def test_a_reader_does_not_hold_up_the_daemon(database, ledger, file):
    """While a status command is in the middle of reading, the daemon writes, and the reader sees what it saw."""
    begin(database, FIRST, "digest", [payment(0)])
    with closing(sqlite3.connect(file, timeout=0)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM files").fetchone() == (1,)
        begin(database, SECOND, "digest", [payment(0)])
        assert reader.execute("SELECT count(*) FROM files").fetchone() == (1,)
        reader.rollback()
        assert reader.execute("SELECT count(*) FROM files").fetchone() == (2,)


# --- journals that are refused ----------------------------------------------------------------------------------------


def test_a_journal_of_a_later_version_is_refused(reopen, file, url):
    """A journal that a later program wrote is not touched; both versions are named."""
    reopen().close()
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match="is of version 99; this program knows 9") as refused:
        Database(url)
    (fault,) = refused.value.faults
    assert fault.key == "journal.url"
    assert "newer" in fault.mend
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("PRAGMA user_version").fetchone() == (99,)


def _cut(file: Path) -> None:
    with closing(Database(f"sqlite:///{file}")) as database:
        begin(database, FIRST, "digest", [payment(0)])
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
    assert "Move a damaged journal away" in fault.mend
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
    ledger = Ledger(database := reopen())
    begin(database, FIRST, "digest", [payment(0)])
    ledger.record([(FIRST.id, applied(0))])
    assert list(ledger.results(FIRST.id)) == [applied(0)]


def test_a_journal_that_an_older_version_was_making_is_made_to_its_end(older, reopen, url):
    """Version 0.1.0 makes its tables one by one. Killed in between, it leaves them with its own columns and no row."""
    with closing(sqlite3.connect(older)) as other, other:
        for table in ("payments", "line", "files"):
            other.execute(f"DELETE FROM {table}")
        other.execute("DROP TABLE inboxes")
        other.execute("PRAGMA user_version = 0")
    ledger = Ledger(database := reopen())
    begin(database, FIRST, "digest", [payment(0)])
    ledger.record([(FIRST.id, applied(0))])
    assert list(ledger.results(FIRST.id)) == [applied(0)]
    new = older.with_name("new.db")
    Database(f"sqlite:///{new}").close()
    assert tables(older) == tables(new)


def test_tables_with_rows_are_never_made_anew(file, reopen):
    """A journal that has rows and no version was not made by this program, and it is left as it is."""
    begin(reopen(), FIRST, "digest", [payment(0)])
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("PRAGMA user_version = 0")
    before = rows(file)
    with pytest.raises(ConfigurationError, match="another program"):
        reopen()
    assert rows(file) == before


def test_two_processes_make_one_journal(url, file):
    """Of two that find no tables, one makes them, and the other takes nothing away."""
    with closing(sqlite3.connect(file)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(2) as pool:
            opening = [pool.submit(Database, url) for _ in range(2)]
            other.execute("COMMIT")
            first, second = (each.result() for each in opening)
    begin(first, FIRST, "digest", [payment(0)])
    begin(second, SECOND, "digest", [payment(0)])
    assert [file.claim for file in History(first).in_work()] == [FIRST, SECOND]
    first.close()
    second.close()


def test_an_empty_file_becomes_a_journal(file, reopen):
    """A journal file that a crash left empty, or an administrator made, is used."""
    file.touch()
    begin(reopen(), FIRST, "digest", [payment(0)])
    assert decided_at(Ledger(reopen()), FIRST)


def test_damage_that_is_met_at_work_is_reported_with_its_mend(file, url, reopen):
    """Rows that cannot be read any more end the program, as a journal that cannot be opened does."""
    database = reopen()
    for number in range(300):
        begin(database, Claim(f"20250101T000000Z_{number:08x}", "pay.xml"), "digest", ())
    database.close()
    with closing(sqlite3.connect(file)) as journal:
        roots = [page for (page,) in journal.execute("SELECT rootpage FROM sqlite_master WHERE rootpage > 1")]
    with file.open("r+b") as damaged:
        for page in roots:
            damaged.seek(4096 * (page - 1))
            damaged.write(b"\x5a" * 4096)
    with closing(Database(url)) as database:
        inboxes = Inboxes(database)
        for act in (
            Bulletins(database).latest,
            lambda: inboxes.marker("/srv"),
            lambda: begin(database, FIRST, "digest", ()),
        ):
            with pytest.raises(ConfigurationError, match="malformed") as reported:
                act()
            assert "nothing is paid twice" in reported.value.faults[0].mend


def test_damage_in_the_middle_of_a_content_is_reported_with_its_mend(file, url, reopen):
    """A content is read piece by piece, and its pieces lie all over the file."""
    database = reopen()
    claimed(database, FIRST, content=b"x" * 300_000)
    database.close()
    content = bytearray(file.read_bytes())
    pages = [at for at in range(0, len(content), 4096) if content[at + 100 : at + 200] == b"x" * 100]
    for at in pages[3:6]:
        content[at : at + 4096] = b"\x5a" * 4096
    file.write_bytes(content)
    with closing(Database(url)) as database, pytest.raises(ConfigurationError, match="malformed") as reported:
        Claims(database).copy(FIRST.id)
    assert "nothing is paid twice" in reported.value.faults[0].mend


def test_a_journal_that_is_closed_in_order_is_one_file(reopen, file, url, tmp_path):
    """Nothing lies beside it, whoever closes it last, and a copy of this one file knows everything."""
    database = reopen()
    claimed(database, FIRST, content=b"x" * 300_000)
    begin(database, SECOND, "digest", [payment(0)])
    assert {path.name for path in tmp_path.iterdir()} > {file.name}
    with opened(url) as reader:
        assert len(History(reader).in_work()) == 2
        database.close()
    assert list(tmp_path.iterdir()) == [file]
    with opened(url) as reader:
        assert len(History(reader).in_work()) == 2
    assert list(tmp_path.iterdir()) == [file]
    copy = file.rename(tmp_path / "copy.db")
    with closing(Database(f"sqlite:///{copy}")) as database:
        assert [each.size for each in Claims(database).unfinished()] == [300_000, 4]
        Claims(database).finish(FIRST.id)
    assert list(tmp_path.iterdir()) == [copy]


def test_a_journal_that_was_not_closed_is_one_file_after_the_next_orderly_end(url, file, tmp_path):
    """A daemon that was killed leaves files beside the journal. They belong to it until somebody closes it."""
    claim = "from support.journal import FIRST, claimed; from watcher.journal.database import Database; import os, sys"
    act = f"{claim}; claimed(Database({url!r}), FIRST, content=b'x' * 300_000); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", act], check=False, env=environment()).returncode == 9
    assert {path.name for path in tmp_path.iterdir()} > {file.name}
    with closing(Database(url)) as database:
        assert Claims(database).copy(FIRST.id).content == b"x" * 300_000
    assert list(tmp_path.iterdir()) == [file]


def test_a_journal_that_cannot_grow_goes_on_once_it_can(database, ledger, file):
    """A full disk is an outage that names the journal, and nothing is written. With room again the journal goes on."""
    begin(database, FIRST, "digest", [payment(0)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.with_name("journal.db-wal").stat().st_size, limits[1]))
    try:
        with pytest.raises(JournalTrouble) as trouble:
            ledger.record([(FIRST.id, applied(0))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(trouble.value).startswith(f"the journal {file} cannot be written: ")
    assert trouble.value.mend.startswith("Make room on that disk")
    assert list(ledger.results(FIRST.id)) == []
    ledger.record([(FIRST.id, applied(0))])
    assert list(ledger.results(FIRST.id)) == [applied(0)]


def test_a_journal_that_cannot_be_opened_for_a_moment_is_waited_for(url, file):
    """SQLite does not say why it cannot open a file. If neither file, folder nor right is missing, it is an outage."""
    Database(url).close()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        database = Database(url)
        with pytest.raises(JournalTrouble), database.transaction():
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    with closing(database):
        begin(database, FIRST, "digest", [payment(0)])
        assert Ledger(database).known(FIRST.id) is not None


# --- older versions ---------------------------------------------------------------------------------------------------


def tables(file):
    """Return the tables and indexes of a journal with their columns, and its version."""
    with closing(sqlite3.connect(file)) as journal:
        names = journal.execute("SELECT name FROM sqlite_master ORDER BY name").fetchall()
        columns = {
            name: sorted(journal.execute(f"SELECT name, type, \"notnull\", pk > 0 FROM pragma_table_info('{name}')"))
            for (name,) in names
        }
        return columns, journal.execute("PRAGMA user_version").fetchone()


def rows(file):
    """Return all that a journal knows of files."""
    with closing(sqlite3.connect(file)) as journal:
        return journal.execute("SELECT * FROM files").fetchall()


@pytest.fixture(params=OLDER.values(), ids=OLDER.keys())
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
        assert [attempt.invoice_number for attempt in Unpaid(database).all()] == ["CW-404"]
        assert Bulletins(database).latest().reason == "Working on 1 file."
        assert list(Ledger(database).known("20260901T090000Z_00000002").intents) == [0]
        assert [file.name for file in History(database).last_files(9)] == ["september.xml"]


def test_amounts_that_could_not_be_read_are_no_zeros(url, file):
    """A journal of version 7 kept them as zero. A file in work keeps it: its receipt may be published already."""
    wrong = "('{claim}', {place}, 3, 'CW-1', '0', 'rejected', '{message}')"
    unreadable, zero = 'PaidAmount "1,00" is not an amount: digits', "The amount is zero"
    done, begun = "20260901T080000Z_00000001", "20260901T090000Z_00000002"
    rows = [
        wrong.format(claim=claim, place=place, message=message)
        for claim, place, message in ((done, 8, unreadable), (done, 9, zero), (begun, 8, unreadable))
    ]
    columns = "claim, position, line, invoice_number, asked, outcome, message"
    with closing(sqlite3.connect(file)) as journal:
        journal.executescript(f"{OLDER['7']} INSERT INTO payments ({columns}) VALUES {', '.join(rows)};")
    Database(url).close()
    with closing(sqlite3.connect(file)) as journal:
        kept = journal.execute("SELECT claim, position, asked FROM payments WHERE position > 7").fetchall()
    assert kept == [(done, 8, None), (done, 9, "0"), (begun, 8, "0")]


def test_the_dates_of_older_doubts_are_not_known(url, file):
    """A journal of version 5 kept amounts alone; a later call of the same amount on another day has its own row."""
    with closing(sqlite3.connect(file)) as journal:
        journal.executescript(OLDER["5"] + DOUBTS_OF_VERSION_5)
    with closing(Database(url)) as database:
        ((doubt, _),) = Doubts(database).all()
        late = LateCall(Action.CHANGE, Decimal("10.00"))
        assert doubt.calls == {late, LateCall(Action.REMOVE, Decimal("0.00"))}
        assert doubt.settled == Settled("a claim", Decimal("20.00"), 11)
        begin(database, FIRST, "digest", [payment(0)])
        new = replace(late, dated=Dated(date(2016, 9, 22)))
        settled = Settled(FIRST.id, Decimal("20.00"), 11, Dated(None))
        Ledger(database).record([(FIRST.id, applied(0))], [InDoubt(7, "CW-7", frozenset({new}), settled)])
        ((doubt, _),) = Doubts(database).all()
        assert doubt.calls == {late, new, LateCall(Action.REMOVE, Decimal("0.00"))}
        assert doubt.settled == settled


def test_an_older_journals_files_keep_their_order_and_their_progress(older, url):
    """The order was that of the ids. All were opened when they were begun, and none has a copy of its content."""
    begun = Claim("20260901T090000Z_00000002", "begun.xml")
    digest = "01862083214deb8082ccf4c49be74274f61a7bdc7ff27f489102a0f912692f49"
    with closing(Database(url)) as database:
        assert Claims(database).unfinished() == [Unfinished(begun, digest, taken=True, kept=False, size=None)]
        assert History(database).in_work() == [InWork(begun, 2, 0)]
        known = Ledger(database).known(begun.id)
        assert known.intents == {0: Intent(Action.CREATE, Decimal("20.00"), None)}
        assert (known.decided, known.refusal) == (frozenset(), None)
    with closing(sqlite3.connect(older)) as journal:
        assert journal.execute("SELECT claim, sequence, taken, opened_at = begun_at FROM files").fetchall() == [
            ("20260901T080000Z_00000001", 1, 1, 1),
            (begun.id, 2, 1, 1),
        ]
        assert journal.execute("SELECT count(*) FROM documents").fetchone() == (0,)


@pytest.fixture
def busy(file):
    """A journal of version 3 that a busy daemon left: 5,000 files, each hundredth in work, not written in their order.

    Returns:
        The ids of the claims in the order of claiming.
    """
    claims = [f"2026{1 + number // 600:02}01T{number % 24:02}0000Z_{number:08x}" for number in range(5000)]
    begun, finished = "2026-11-22T21:01:46.173+00:00", "2026-11-22T21:01:47.000+00:00"
    work = {claim: number % 100 == 99 for number, claim in enumerate(sorted(claims))}
    with closing(sqlite3.connect(file)) as journal, journal:
        journal.executescript(OLDER["3"] + "DELETE FROM payments; DELETE FROM files;")
        journal.executemany(
            "INSERT INTO files VALUES (?, ?, 'digest', NULL, ?, ?)",
            ((claim, f"{claim[-3:]}.xml", begun, None if work[claim] else finished) for claim in reversed(claims)),
        )
        journal.executemany(
            "INSERT INTO payments (claim, position, line, invoice_number, asked, outcome, settled, external_id) "
            "VALUES (?, 0, 3, 'CW-1', '10.00', ?, '10.00', ?)",
            ((claim, None if work[claim] else "applied", claim[-3:]) for claim in claims),
        )
    return sorted(claims)


def test_a_journal_of_many_files_comes_along_in_their_order(busy, file, url):
    """Every file keeps its place and its payments; those in work are found in order, and a new claim comes last."""
    with closing(Database(url)) as database:
        claims = Claims(database)
        assert [each.claim.id for each in claims.unfinished()] == busy[99::100]
        assert not any(each.kept for each in claims.unfinished())
        assert [attempt.claim for attempt in History(database).attempts("CW-1")] == busy
        assert History(database).set_since(busy[-2], ["CW-1"]) == {}
        assert History(database).set_since(busy[-3], ["CW-1"]) == {"CW-1": f"{busy[-2][-3:]}.xml"}
        # A clock that was set back since.
        late = Claim("20200101T000000Z_00000000", "late.xml")
        claimed(database, late)
        assert claims.unfinished()[-1].claim == late
        assert Earlier(database).file("digest", late).id == busy[0]
    with closing(sqlite3.connect(file)) as journal:
        rows = journal.execute("SELECT claim, sequence FROM files ORDER BY sequence").fetchall()
        assert rows == [(claim, place) for place, claim in enumerate([*busy, late.id], 1)]
        unopened = journal.execute("SELECT claim FROM files WHERE opened_at IS NULL OR opened_at != begun_at")
        assert unopened.fetchall() == [(late.id,)]
        assert journal.execute("SELECT claim FROM documents").fetchall() == [(late.id,)]
        assert journal.execute("SELECT count(*) FROM payments").fetchone() == (5000,)


def test_a_file_of_an_older_journal_gets_its_copy_later(older, url):
    """The copy of a file in work is kept once it has been read, with what the stylesheet made of it."""
    begun = "20260901T090000Z_00000002"
    with closing(Database(url)) as database:
        claims = Claims(database)
        claims.keep(begun, b"<their/>", b"<ours/>")
        (file,) = claims.unfinished()
        assert (file.kept, file.size) == (True, 8)
        assert claims.copy(begun).document == b"<ours/>"


def test_a_migration_that_breaks_off_leaves_the_journal_as_it_was(older, url):
    """The journal comes along altogether or not at all: here its last step finds the column there."""
    with closing(sqlite3.connect(older)) as journal:
        journal.execute("ALTER TABLE line ADD COLUMN next_try_at VARCHAR")
    before, files = tables(older), rows(older)
    with pytest.raises(ConfigurationError, match="next_try_at"):
        Database(url)
    assert (tables(older), rows(older)) == (before, files)


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


def test_a_journal_is_opened_for_those_who_look(database, url):
    """They see what the daemon has written."""
    begin(database, FIRST, "digest", [payment(0)])
    with opened(url) as looked_at:
        assert History(looked_at).in_work() == [InWork(FIRST, 1, 0)]


def test_a_journal_that_cannot_be_looked_at_is_named(tmp_path):
    """It is no journal that is missing, but one that this user cannot reach; the fault says so."""
    with pytest.raises(ConfigurationError, match="cannot be used"), opened(f"sqlite:///{tmp_path}/{'x' * 300}"):
        pass


def test_the_file_of_a_journal_is_known(url, file):
    """Whoever names the journal or looks at its disk asks for its file."""
    assert file_of(url) == file
    assert file_of("sqlite://") is None
