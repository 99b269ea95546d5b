"""The journal's database: opening it, bringing it up to date, and transactions on it.

No transaction is open across a network call. Each is short, and on disk once it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sql

from watcher.errors import ConfigurationError, Fault, JournalTrouble
from watcher.journal import sqlite
from watcher.journal.tables import TABLES

# The most values in one statement.
MOST_VALUES = sqlite.MOST_VALUES
# The version of the tables.
_VERSION = 9
# The statements that bring a journal of one version to the next.
_MIGRATIONS = {
    1: (
        "ALTER TABLE line ADD COLUMN cause VARCHAR NOT NULL DEFAULT ''",
        "ALTER TABLE line ADD COLUMN watch VARCHAR NOT NULL DEFAULT ''",
        "ALTER TABLE line ADD COLUMN answered_at VARCHAR",
        "CREATE INDEX payments_rejected ON payments (outcome) WHERE outcome = 'rejected'",
    ),
    2: (
        "ALTER TABLE payments ADD COLUMN external_id VARCHAR",
        "CREATE INDEX ix_payments_external_id ON payments (external_id)",
    ),
    3: (
        "ALTER TABLE files ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE files ADD COLUMN taken INTEGER NOT NULL DEFAULT 1",
        "ALTER TABLE files ADD COLUMN opened_at VARCHAR",
        # Until now the order was that of the claims' ids.
        "UPDATE files SET opened_at = begun_at, sequence = numbered.place FROM "
        "(SELECT claim, ROW_NUMBER() OVER (ORDER BY claim) AS place FROM files) AS numbered "
        "WHERE numbered.claim = files.claim",
        "CREATE UNIQUE INDEX files_sequence ON files (sequence)",
        "CREATE TABLE documents (claim VARCHAR NOT NULL PRIMARY KEY REFERENCES files (claim), content BLOB)",
        "CREATE TABLE made_documents (claim VARCHAR NOT NULL PRIMARY KEY REFERENCES files (claim), "
        "content BLOB NOT NULL)",
    ),
    4: (
        "CREATE TABLE doubts (invoice_id INTEGER NOT NULL, action VARCHAR NOT NULL, amount VARCHAR NOT NULL, "
        "invoice_number VARCHAR NOT NULL, since VARCHAR NOT NULL, claim VARCHAR, settled VARCHAR, payment_id INTEGER, "
        "PRIMARY KEY (invoice_id, action, amount))",
        "CREATE TABLE withdrawals (claim VARCHAR NOT NULL PRIMARY KEY REFERENCES files (claim), "
        "asked_at VARCHAR NOT NULL, reason VARCHAR NOT NULL, held_up_by VARCHAR NOT NULL DEFAULT '')",
        "CREATE TABLE waits (claim VARCHAR NOT NULL, file VARCHAR NOT NULL, since VARCHAR NOT NULL, "
        "reason VARCHAR NOT NULL, mend VARCHAR NOT NULL, overdue INTEGER NOT NULL, PRIMARY KEY (claim, file))",
    ),
    5: (
        "ALTER TABLE payments ADD COLUMN day VARCHAR",
        "ALTER TABLE payments ADD COLUMN intended_day VARCHAR",
        "ALTER TABLE payments ADD COLUMN intended_repeats INTEGER",
        # SQLite changes no primary key. The dates of older calls are not known.
        "ALTER TABLE doubts RENAME TO doubts_of_version_5",
        "CREATE TABLE doubts (invoice_id INTEGER NOT NULL, action VARCHAR NOT NULL, amount VARCHAR NOT NULL, "
        "day VARCHAR NOT NULL DEFAULT '', invoice_number VARCHAR NOT NULL, since VARCHAR NOT NULL, claim VARCHAR, "
        "settled VARCHAR, settled_day VARCHAR, payment_id INTEGER, PRIMARY KEY (invoice_id, action, amount, day))",
        "INSERT INTO doubts (invoice_id, action, amount, invoice_number, since, claim, settled, payment_id) "
        "SELECT invoice_id, action, amount, invoice_number, since, claim, settled, payment_id FROM doubts_of_version_5",
        "DROP TABLE doubts_of_version_5",
    ),
    6: (
        # What was opened so far says what is paid in total.
        "ALTER TABLE files ADD COLUMN adds INTEGER NOT NULL DEFAULT 0",
        "CREATE TABLE sums (invoice_id INTEGER NOT NULL PRIMARY KEY, invoice_key VARCHAR NOT NULL, "
        "total VARCHAR NOT NULL, settled VARCHAR NOT NULL, latest VARCHAR NOT NULL, "
        "intended VARCHAR NOT NULL DEFAULT '')",
        "CREATE INDEX ix_sums_invoice_key ON sums (invoice_key)",
        "CREATE TABLE accepted (external_id VARCHAR NOT NULL PRIMARY KEY, invoice_id INTEGER NOT NULL, "
        "invoice_number VARCHAR NOT NULL, amount VARCHAR NOT NULL, day VARCHAR NOT NULL, "
        "place INTEGER NOT NULL UNIQUE, accepted_at VARCHAR NOT NULL, file VARCHAR NOT NULL, claim VARCHAR NOT NULL)",
        "CREATE INDEX ix_accepted_invoice_id ON accepted (invoice_id)",
    ),
    7: (
        "ALTER TABLE payments ADD COLUMN dismissed_at VARCHAR",
        "ALTER TABLE payments ADD COLUMN dismissed_because VARCHAR",
        "ALTER TABLE payments ADD COLUMN asked_as_written VARCHAR NOT NULL DEFAULT ''",
        # An amount that could not be read was kept as zero. What is not finished keeps it: its receipt may be published
        # already, and is the same at the next attempt.
        "UPDATE payments SET asked = NULL WHERE outcome = 'rejected' AND asked = '0' "
        "AND message LIKE '% is not an amount%' AND claim IN (SELECT claim FROM files WHERE finished_at IS NOT NULL)",
    ),
    8: ("ALTER TABLE line ADD COLUMN next_try_at VARCHAR",),
}


_MEND_DAMAGE = (
    "Move a damaged journal away and start again: ConnectWise and the folders know what was done, and nothing is paid "
    "twice."
)


class OlderJournal(ConfigurationError):
    """A journal is of an older version, and whoever opens it may not bring it up to date."""


class Database:
    """An open journal. It is used from one thread at a time; two that write side by side have one each."""

    def __init__(self, url: str, *, upgrade: bool = True) -> None:
        """Open the journal, and make its tables if there are none.

        Args:
            url: ``sqlite:////path/to/journal.db``; ``sqlite://`` keeps it in memory.
            upgrade: bring a journal of an older version up to date. Only the daemon does: an older daemon that still
                runs must not find its journal changed by somebody who only looks.

        Raises:
            ConfigurationError: it cannot be opened, is damaged, or was written by another version.
        """
        self._engine = sqlite.engine_of(url)
        self._where = str(sqlite.file_of(url) or "in memory")
        self._prepared = False
        self._upgrade = upgrade
        try:
            self._prepare()
        except sql.exc.DatabaseError as error:
            # A full or failing disk is waited out, as it is later. Every other trouble stays until somebody mends it.
            if not sqlite.passes(error, sqlite.file_of(url)):
                raise self._unusable(error) from error

    def _prepare(self) -> None:
        """Make the tables if there are none, and bring older ones up to date."""
        with self._engine.begin() as connection:
            version = sqlite.version(connection)
            if version == 0:
                version = self._make_tables(connection)
        if 0 < version < _VERSION:
            if not self._upgrade:
                fault = self._fault(
                    f"was written by an older payment-watcher (version {version} where this one knows {_VERSION})",
                    "Start or restart the daemon: it brings the journal up to date.",
                )
                raise OlderJournal(fault.faults)
            self._migrate(version)
        if version > _VERSION:
            raise self._fault(
                f"is of version {version}; this program knows {_VERSION}",
                "Use the version of payment-watcher that wrote it, or a newer one.",
            )
        self._prepared = True

    def _make_tables(self, connection: sql.Connection) -> int:
        """Make the tables, altogether or not at all. Return their version: another process may have made them."""
        if set(sql.inspect(connection).get_table_names()) - TABLES.tables.keys():
            raise self._foreign()
        sqlite.let_readers_in(connection)
        sqlite.begin_change_of_tables(connection)
        version = sqlite.version(connection)
        if version == 0:
            names = sql.inspect(connection).get_table_names()
            if any(_holds_rows(connection, name) for name in names):
                raise self._foreign()
            # Version 0.1.0 may have been killed while it made them: they have its columns, and no row yet.
            TABLES.drop_all(connection)
            TABLES.create_all(connection)
            sqlite.set_version(connection, _VERSION)
            version = _VERSION
        return version

    def _migrate(self, version: int) -> None:
        """Bring an older journal up to date, altogether or not at all."""
        with self._engine.begin() as connection:
            sqlite.begin_change_of_tables(connection)
            for step in range(version, _VERSION):
                for statement in _MIGRATIONS[step]:
                    connection.exec_driver_sql(statement)
            sqlite.set_version(connection, _VERSION)

    def _foreign(self) -> ConfigurationError:
        return self._fault("is another program's database", "Name a file of payment-watcher's own.")

    def _unusable(self, error: sql.exc.DatabaseError) -> ConfigurationError:
        return self._fault(
            f"cannot be used: {error.orig}",
            f"Check that the folder exists and may be written. {_MEND_DAMAGE}",
        )

    def _fault(self, problem: str, mend: str) -> ConfigurationError:
        return ConfigurationError((Fault("journal.url", f"{self._where} {problem}", mend),))

    def check(self) -> None:
        """Read the whole journal, and make sure that it is not damaged.

        Raises:
            ConfigurationError: it is.
        """
        with self.transaction() as connection:
            found = sqlite.damage(connection)
        if found:
            raise self._fault(f"is damaged: {found}", _MEND_DAMAGE)

    def close(self) -> None:
        """Close the journal."""
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[sql.Connection]:
        """Open a transaction, which is on disk when this ends.

        The journal is opened anew after a trouble: the file may be another one by then, or gone.

        Raises:
            JournalTrouble: the disk is full, read-only or failing. Nothing of the transaction was written.
            ConfigurationError: the journal is damaged.
        """
        try:
            if not self._prepared:
                self._prepare()
            with self._engine.begin() as connection:
                yield connection
        except sql.exc.OperationalError as error:
            self._prepared = False
            self._engine.dispose()
            raise JournalTrouble(
                f"the journal {self._where} cannot be written: {error.orig}",
                "Make room on that disk and check the service user's rights on it; the work goes on by itself",
            ) from error
        except sql.exc.DatabaseError as error:
            if sqlite.is_damage(error):
                raise self._unusable(error) from error
            raise

    def shrink(self) -> None:
        """Give the room of removed rows back to the disk if there is much of it."""
        sqlite.shrink(self._engine)


def file_of(url: str) -> Path | None:
    """Return the file of a journal; None if it is in no file of this machine."""
    return sqlite.file_of(url)


@contextmanager
def opened(url: str) -> Iterator[Database | None]:
    """Open a journal for those who only look: none is made, and one of an older version is left as it is.

    Args:
        url: as of ``Database``.

    Yields:
        The journal; None if there is none yet.

    Raises:
        ConfigurationError: it cannot be opened, is damaged, or was written by another version.
    """
    if not _exists(file_of(url)):
        yield None
        return
    with closing(Database(url, upgrade=False)) as database:
        yield database


@contextmanager
def readable(url: str) -> Iterator[Database | None]:
    """Open a journal to find out whether the daemon can use it, and change nothing in it.

    Args:
        url: as of ``Database``.

    Yields:
        The journal; None if there is none yet, or one of an older version, which the daemon brings up to date.

    Raises:
        ConfigurationError: it cannot be opened, is damaged, or was written by a later version.
        JournalTrouble: its disk fails.
    """
    if not _exists(file_of(url)):
        yield None
        return
    try:
        database = Database(url, upgrade=False)
    except OlderJournal:
        yield None
        return
    with closing(database):
        database.check()
        yield database


def _holds_rows(connection: sql.Connection, table: str) -> bool:
    return connection.execute(sql.select(sql.literal(1)).select_from(sql.table(table)).limit(1)).first() is not None


def _exists(file: Path | None) -> bool:
    try:
        return file is not None and file.is_file()
    except OSError:
        # This user may not look into its folder: opening the journal names the fault and its mend.
        return True
