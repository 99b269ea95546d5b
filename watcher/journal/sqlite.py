"""What is SQLite's own about the journal. A second kind of database gets a module of the same functions beside this."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

# SQLite takes 32,766 values in one statement (SQLITE_MAX_VARIABLE_NUMBER).
MOST_VALUES = 10_000
# What is left of the write-ahead log between two writes (bytes). A large document would leave it large until the end.
_LOG_BYTES = 4 * 1024 * 1024


def file_of(url: str) -> Path | None:
    """Return the file of a database; None if it is in memory."""
    name = sql.make_url(url).database
    return Path(name) if name else None


def engine_of(url: str) -> sql.Engine:
    """Return an engine whose transactions are on disk once they are committed."""
    engine = sql.create_engine(url)
    sql.event.listen(engine, "connect", _configure)
    return engine


def _configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    # SQLite documentation, PRAGMA synchronous.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    cursor.close()
    # SQLite's own knows the letters of ASCII alone.
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(text: object) -> str | None:
    return None if text is None else str(text).casefold()


def version(connection: sql.Connection) -> int:
    """Return the version of the tables; 0 before there are any."""
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def set_version(connection: sql.Connection, number: int) -> None:
    """Write down the version of the tables, in the file itself."""
    connection.exec_driver_sql(f"PRAGMA user_version = {number}")


def let_readers_in(connection: sql.Connection) -> None:
    """Keep readers, such as a status command, and the daemon from waiting for each other (documentation, WAL)."""
    connection.exec_driver_sql("PRAGMA journal_mode = WAL")


def begin_change_of_tables(connection: sql.Connection) -> None:
    """Begin a transaction now: the driver does it at the first row that is written, and not for a change of tables."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def content(connection: sql.Connection, table: sql.Table, claim_id: str) -> bytes | None:
    """Return the content that a table holds of a claim; None if it holds none.

    SQLite reads a row into its own memory first, and a large content would be there twice. It reads a BLOB that is
    opened piece by piece (sqlite.org/c3ref/blob_open.html).
    """
    query = sql.select(sql.literal_column("rowid"), sql.func.length(table.c.content)).where(table.c.claim == claim_id)
    found = connection.execute(query).first()
    if found is None or found[1] is None:
        return None
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    try:
        with driver.blobopen(table.name, "content", found[0], readonly=True) as blob:
            return blob.read()
    except sqlite3.OperationalError as error:
        # As SQLAlchemy raises them.
        raise sql.exc.OperationalError(f"blob of {table.name}", None, error) from error
    except sqlite3.DatabaseError as error:
        raise sql.exc.DatabaseError(f"blob of {table.name}", None, error) from error


def passes(error: sql.exc.DatabaseError, file: Path | None) -> bool:
    """Return True if an error at opening passes by itself: the disk is full or failing.

    Args:
        error: the error.
        file: the database's file; None if it is in memory.
    """
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_CANTOPEN:
        # SQLite does not say why. If nothing is missing, the disk has no room for another file, or it fails.
        return file is not None and _may_be_opened(file)
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def _may_be_opened(file: Path) -> bool:
    """Return True if neither the file nor its folder nor a right is what is missing."""
    try:
        if any(file.with_name(f"{file.name}{ending}").is_dir() for ending in ("", "-wal", "-shm", "-journal")):
            return False
        usable = not file.exists() or os.access(file, os.R_OK | os.W_OK)
    except OSError:
        return False
    return usable and os.access(file.parent, os.W_OK | os.X_OK)


def is_damage(error: sql.exc.DatabaseError) -> bool:
    """Return True if the file is damaged. The driver has a class of error for each other kind."""
    return type(error) is sql.exc.DatabaseError


def damage(connection: sql.Connection) -> str:
    """Return the first thing that is wrong with the file; empty if it is whole (documentation, PRAGMA quick_check)."""
    found = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
    return "" if found == "ok" else found


def shrink(engine: sql.Engine) -> None:
    """Give the room of removed rows back to the disk once a quarter of the file is empty."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
        if free * 4 >= pages:
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
