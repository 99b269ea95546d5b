"""The journal's tables, and the types of their columns."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

import sqlalchemy as sql
from sqlalchemy.engine.interfaces import Dialect

from watcher.payments.dated import Dated


class Amount(sql.types.TypeDecorator[Decimal]):
    """A Decimal, kept as text: SQLite has no exact number, and a float never touches an amount."""

    impl = sql.String
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return an amount as the database keeps it."""
        return None if value is None else format(value, "f")

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Return an amount that the database kept."""
        return None if value is None else Decimal(value)


class Day(sql.types.TypeDecorator[Dated]):
    """What is known of a payment's date: a calendar day, ``none``, or nothing (an empty text or NULL)."""

    impl = sql.String
    cache_ok = True

    _NONE = "none"

    def process_bind_param(self, value: Dated | None, dialect: Dialect) -> str:  # noqa: ARG002
        """Return a date as the database keeps it."""
        if value is None:
            return ""
        return self._NONE if value.on is None else value.on.isoformat()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Dated | None:  # noqa: ARG002
        """Return a date that the database kept."""
        if not value:
            return None
        return Dated(None if value == self._NONE else date.fromisoformat(value))


class Text(sql.types.TypeDecorator[str]):
    """Any text. Documents and ConnectWise's words may hold half characters (surrogates), which are escaped."""

    impl = sql.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return a text as the database keeps it."""
        return None if value is None else value.encode(errors="backslashreplace").decode()


class FileName(sql.types.TypeDecorator[str]):
    """A file's name, whatever its bytes: what is no UTF-8 (surrogates) is escaped, and comes back as it was."""

    impl = sql.String
    cache_ok = True

    _ESCAPED = re.compile(r"\\(x5c|ud[89a-f][0-9a-f]{2})")

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return a name as the database keeps it. A name may itself look as if something in it were escaped."""
        if value is None:
            return None
        return self._ESCAPED.sub(r"\\x5c\1", value).encode(errors="backslashreplace").decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return a name as it is on disk."""
        return None if value is None else self._ESCAPED.sub(lambda escaped: chr(int(escaped[1][1:], 16)), value)


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
    sql.Column("name", FileName, nullable=False, index=True),
    sql.Column("digest", sql.String, nullable=False, index=True),
    sql.Column("refusal", Text),
    # When it was claimed.
    sql.Column("begun_at", sql.String, nullable=False),
    sql.Column("finished_at", sql.String),
    # The order of claiming. No clock has a part in it.
    sql.Column("sequence", sql.Integer, nullable=False),
    # 0 while it is not sure that the file has left the inbox as it was read.
    sql.Column("taken", sql.Integer, nullable=False, server_default="1"),
    # When its records, or its refusal, were written down.
    sql.Column("opened_at", sql.String),
    # 1 if each of its records is a payment that is added up (``payments.amounts = "each"``). It was when it was opened.
    sql.Column("adds", sql.Integer, nullable=False, server_default="0"),
    sql.Index("files_sequence", "sequence", unique=True),
)
# Our own copy of each file in work.
DOCUMENTS = sql.Table(
    "documents",
    TABLES,
    sql.Column("claim", sql.ForeignKey("files.claim"), primary_key=True),
    # NULL for a file that is too large to be read.
    sql.Column("content", sql.LargeBinary),
)
# What the stylesheet made of it. It has a row of its own: SQLite writes, and reads into memory, whole rows.
MADE_DOCUMENTS = sql.Table(
    "made_documents",
    TABLES,
    sql.Column("claim", sql.ForeignKey("files.claim"), primary_key=True),
    sql.Column("content", sql.LargeBinary, nullable=False),
)
PAYMENTS = sql.Table(
    "payments",
    TABLES,
    sql.Column("claim", sql.ForeignKey("files.claim"), primary_key=True),
    sql.Column("position", sql.Integer, primary_key=True),
    sql.Column("line", sql.Integer, nullable=False),
    sql.Column("invoice_number", sql.String, nullable=False, index=True),
    sql.Column("external_id", Text, index=True),
    # NULL if it cannot be read; it stands in the next column then.
    sql.Column("asked", Amount),
    sql.Column("asked_as_written", Text, nullable=False, server_default=""),
    # The date that it asks for.
    sql.Column("day", Day),
    sql.Column("action", sql.String),
    sql.Column("intended", Amount),
    sql.Column("intended_warning", Text),
    sql.Column("intended_day", Day),
    # 1 if its invoice held the amount before the call.
    sql.Column("intended_repeats", sql.Integer),
    sql.Column("outcome", sql.String),
    # The part of the amount that ConnectWise holds.
    sql.Column("settled", Amount),
    sql.Column("message", Text),
    sql.Column("warning", Text),
    sql.Column("invoice_id", sql.Integer),
    sql.Column("payment_id", sql.Integer),
    sql.Column("decided_at", sql.String),
    # When a person said that it will never be paid, and why.
    sql.Column("dismissed_at", sql.String),
    sql.Column("dismissed_because", Text),
    sql.Index("payments_rejected", "outcome", sqlite_where=sql.text("outcome = 'rejected'")),
)
# The calls that got no answer, of payments that have their outcome by now, until they have been looked at once more.
DOUBTS = sql.Table(
    "doubts",
    TABLES,
    sql.Column("invoice_id", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("action", sql.String, primary_key=True),
    sql.Column("amount", Amount, primary_key=True),
    # The date that the payment has after the call.
    sql.Column("day", Day, primary_key=True, server_default=""),
    sql.Column("invoice_number", sql.String, nullable=False),
    # When the last payment of this invoice got its outcome.
    sql.Column("since", sql.String, nullable=False),
    # What was set last: for which claim, how much, with which date, and in which row. No claim: nothing was.
    sql.Column("claim", sql.String),
    sql.Column("settled", Amount),
    sql.Column("settled_day", Day),
    sql.Column("payment_id", sql.Integer),
)
# The sum of each invoice whose payments are added up. Nothing ever removes a row of this table or the next.
SUMS = sql.Table(
    "sums",
    TABLES,
    sql.Column("invoice_id", sql.Integer, primary_key=True, autoincrement=False),
    # As a file wrote it last, case-folded.
    sql.Column("invoice_key", sql.String, nullable=False, index=True),
    sql.Column("total", Amount, nullable=False),
    # The payment that was set last; less than the total if the invoice could not take it all.
    sql.Column("settled", Amount, nullable=False),
    # The latest day among the accepted payments.
    sql.Column("latest", Day, nullable=False),
    # What calls of this program may have set since then, which had no outcome; a blank between two.
    sql.Column("intended", sql.String, nullable=False, server_default=""),
)
# The payments in these sums. They stay when their files are forgotten, so they name them by themselves.
ACCEPTED = sql.Table(
    "accepted",
    TABLES,
    sql.Column("external_id", Text, primary_key=True),
    sql.Column("invoice_id", sql.Integer, nullable=False, index=True),
    sql.Column("invoice_number", sql.String, nullable=False),
    sql.Column("amount", Amount, nullable=False),
    sql.Column("day", Day, nullable=False),
    # The order in which payments were accepted.
    sql.Column("place", sql.Integer, nullable=False, unique=True),
    sql.Column("accepted_at", sql.String, nullable=False),
    sql.Column("file", FileName, nullable=False),
    # Empty for a document that was never in the inbox.
    sql.Column("claim", sql.String, nullable=False),
)
# The files that a person wants out of work.
WITHDRAWALS = sql.Table(
    "withdrawals",
    TABLES,
    sql.Column("claim", sql.ForeignKey("files.claim"), primary_key=True),
    sql.Column("asked_at", sql.String, nullable=False),
    sql.Column("reason", Text, nullable=False),
    # What kept the last attempt from its end.
    sql.Column("held_up_by", Text, nullable=False, server_default=""),
)
# The files that wait by themselves, while others go on.
WAITS = sql.Table(
    "waits",
    TABLES,
    # Empty for a file in the inbox.
    sql.Column("claim", sql.String, primary_key=True),
    sql.Column("file", FileName, primary_key=True),
    sql.Column("since", sql.String, nullable=False),
    sql.Column("reason", Text, nullable=False),
    sql.Column("mend", Text, nullable=False),
    # 1 once people were told that it waits for too long.
    sql.Column("overdue", sql.Integer, nullable=False),
)
# The daemon's latest bulletin, in a row of its own (``only`` is 1).
BULLETIN = sql.Table(
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
    sql.Column("next_try_at", sql.String),
)
