"""The journal's tables, and the types of their columns."""

from __future__ import annotations

from decimal import Decimal

import sqlalchemy as sql
from sqlalchemy.engine.interfaces import Dialect


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


class Text(sql.types.TypeDecorator[str]):
    """Any text. File names and ConnectWise's words may hold half characters (surrogates), which are escaped."""

    impl = sql.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return a text as the database keeps it."""
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
    # The part of the amount that ConnectWise holds.
    sql.Column("settled", Amount),
    sql.Column("message", Text),
    sql.Column("warning", Text),
    sql.Column("invoice_id", sql.Integer),
    sql.Column("payment_id", sql.Integer),
    sql.Column("decided_at", sql.String),
    sql.Index("payments_rejected", "outcome", sqlite_where=sql.text("outcome = 'rejected'")),
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
)
