"""The journal's file: its tables, how it is opened and brought up to date, and transactions on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import sqlalchemy as sql
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.pool import ConnectionPoolEntry

from watcher.errors import ConfigurationError, Fault, FolderTrouble

# Of the tables below; SQLite keeps it in the file (PRAGMA user_version).
_VERSION = 3
# What brings a journal to the version after; each ran once on every journal that was written before.
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
}


class Amount(sql.types.TypeDecorator[Decimal]):
    """A Decimal as text: SQLite has no exact number, and a float never touches an amount."""

    impl = sql.String
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Write it."""
        return None if value is None else format(value, "f")

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Read it."""
        return None if value is None else Decimal(value)


class Text(sql.types.TypeDecorator[str]):
    """Any text. Half characters, which a name or ConnectWise's words may hold and SQLite does not take, are escaped."""

    impl = sql.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Write it."""
        return None if value is None else value.encode(errors="backslashreplace").decode()


TABLES = sql.MetaData()
INBOXES = sql.Table(
    "inboxes",
    TABLES,
    sql.Column("path", sql.String, primary_key=True),
    sql.Column("marker", sql.String, nullable=False),
)
FILES = sql.Table(
    "files",
    TABLES,
    sql.Column("claim", sql.String, primary_key=True),
    sql.Column("name", Text, nullable=False, index=True),
    sql.Column("digest", sql.String, nullable=False, index=True),
    sql.Column("refusal", Text),
    sql.Column("begun_at", sql.String, nullable=False),
    sql.Column("finished_at", sql.String),
)
PAYMENTS = sql.Table(
    "payments",
    TABLES,
    sql.Column("claim", sql.ForeignKey("files.claim"), primary_key=True),
    sql.Column("position", sql.Integer, primary_key=True),
    sql.Column("line", sql.Integer, nullable=False),
    sql.Column("invoice_number", sql.String, nullable=False, index=True),
    sql.Column("external_id", Text, index=True),
    sql.Column("asked", Amount),
    sql.Column("action", sql.String),
    sql.Column("intended", Amount),
    sql.Column("intended_warning", Text),
    sql.Column("outcome", sql.String),
    sql.Column("settled", Amount),
    sql.Column("message", Text),
    sql.Column("warning", Text),
    sql.Column("invoice_id", sql.Integer),
    sql.Column("payment_id", sql.Integer),
    sql.Column("decided_at", sql.String),
    sql.Index("payments_rejected", "outcome", sqlite_where=sql.text("outcome = 'rejected'")),
)
LINE = sql.Table(
    "line",
    TABLES,
    sql.Column("only", sql.Integer, primary_key=True),
    sql.Column("state", sql.String, nullable=False),
    sql.Column("since", sql.String, nullable=False),
    sql.Column("reason", Text, nullable=False),
    sql.Column("mend", Text, nullable=False),
    sql.Column("cause", sql.String, nullable=False, server_default=""),
    sql.Column("watch", Text, nullable=False, server_default=""),
    sql.Column("answered_at", sql.String),
)


class Database:
    """An open journal file; used from one thread."""

    def __init__(self, url: str, *, upgrade: bool = True) -> None:
        """Open the journal, making its tables if there are none.

        Args:
            url: ``sqlite:////path/to/journal.db``; ``sqlite://`` keeps it in memory.
            upgrade: bring a journal of an older version up to date. For the daemon alone: an older one that still
                runs must not find its journal changed by somebody who only looks.

        Raises:
            ConfigurationError: it cannot be opened, is damaged, or was written by another version.
        """
        self._engine = sql.create_engine(url)
        sql.event.listen(self._engine, "connect", _configure)
        self._where = url.removeprefix("sqlite:///") or "in memory"
        self._prepared = False
        self._upgrade = upgrade
        try:
            self._prepare()
        except sql.exc.DatabaseError as error:
            # A full or failing disk is waited out as at any other time; whatever else it is does not pass by itself.
            if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise self._unusable(error) from error

    def _prepare(self) -> None:
        """Make the tables where there are none."""
        with self._engine.begin() as connection:
            version = connection.execute(sql.text("PRAGMA user_version")).scalar_one()
            if version == 0:
                names = set(sql.inspect(connection).get_table_names())
                if names - TABLES.tables.keys():
                    raise self._fault("is another program's database", "Name a file of payment-watcher's own.")
                # Readers (a status command) never wait for the daemon, nor it for them (SQLite documentation, WAL).
                connection.execute(sql.text("PRAGMA journal_mode = WAL"))
                TABLES.create_all(connection)
                connection.execute(sql.text(f"PRAGMA user_version = {_VERSION}"))
        if 0 < version < _VERSION:
            if not self._upgrade:
                raise self._fault(
                    f"was written by an older payment-watcher (version {version} where this one knows {_VERSION})",
                    "Start or restart the daemon: it brings the journal up to date.",
                )
            self._migrate(version)
        if version > _VERSION:
            raise self._fault(
                f"is of version {version}; this program knows {_VERSION}",
                "Use the version of payment-watcher that wrote it, or a newer one.",
            )
        self._prepared = True

    def _migrate(self, version: int) -> None:
        """Bring an older journal up to date, altogether or not at all."""
        with self._engine.begin() as connection:
            # The driver would begin a transaction at the first row that is written, and not for a change of tables.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            for step in range(version, _VERSION):
                for statement in _MIGRATIONS[step]:
                    connection.exec_driver_sql(statement)
            connection.exec_driver_sql(f"PRAGMA user_version = {_VERSION}")

    def _unusable(self, error: sql.exc.DatabaseError) -> ConfigurationError:
        return self._fault(
            f"cannot be used: {error.orig}",
            "Check that the folder exists and may be written; move a damaged journal away and start again: ConnectWise "
            "and the folders know what was done, and nothing is paid twice.",
        )

    def _fault(self, problem: str, mend: str) -> ConfigurationError:
        return ConfigurationError((Fault("journal.url", f"{self._where} {problem}", mend),))

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[sql.Connection]:
        """Open a transaction; what keeps the database from taking it, such as a full disk, holds up the line.

        After such a trouble the file is opened anew: it may be another one by then, or gone.

        Raises:
            FolderTrouble: nothing of the transaction was written.
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
            raise FolderTrouble(
                f"the journal {self._where} cannot be written: {error.orig}",
                "Make room on that disk and check the service user's rights on it; the work goes on by itself",
            ) from error
        except sql.exc.DatabaseError as error:
            if type(error) is not sql.exc.DatabaseError:
                raise
            raise self._unusable(error) from error

    def shrink(self) -> None:
        """Give the room of removed rows back once a quarter of the file is empty."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
            if free * 4 >= pages:
                connection.exec_driver_sql("VACUUM")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
