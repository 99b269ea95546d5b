"""The journal: what was asked, planned and done, in SQLite. The only SQL, with ``database``.

It is the memory between two starts: which records of a claimed file have an outcome, which call was planned and may
have been sent. ConnectWise and the folders hold the truth about money and files; should the journal be lost, the worst
is that a repeated payment is reported as unchanged instead of applied.

No transaction is open across a network call: every method is one short transaction, on disk when it returns
(``synchronous=FULL``; SQLite documentation, PRAGMA synchronous).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sql

from watcher.claim import Claim
from watcher.journal.database import FILES, INBOXES, LINE, PAYMENTS, Database, Text
from watcher.payments.model import Action, Demand, Intent, Payment, Record
from watcher.payments.outcomes import Outcome, Result, total

# SQLite takes 32,766 of them in one statement (SQLITE_MAX_VARIABLE_NUMBER).
_VARIABLES = 10_000

_CLAIM = re.compile(r"__(\d{8}T\d{6}Z_[0-9a-f]{8})")
_of_record = sql.and_(PAYMENTS.c.claim == sql.bindparam("of_claim"), PAYMENTS.c.position == sql.bindparam("at"))


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was written down of a file before anything was done about it.

    Attributes:
        digest: SHA-256 of its content then, hex.
        refusal: why it was refused; None if it is a payment document.
    """

    digest: str
    refusal: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """What the daemon last said of itself.

    Attributes:
        state: ``watching``, ``working``, ``waiting`` or ``stopped``.
        since: when that began, aware.
        reason: in a sentence.
        mend: what a person can do about it; empty where there is nothing to do.
        cause: the kind of outage, as ``errors`` names it; empty where the line does not wait.
        watch: how the inbox is watched, and why so.
        answered_at: when ConnectWise last gave a good answer, aware; None if it has not since the daemon began.
    """

    state: str
    since: datetime
    reason: str
    mend: str
    cause: str = ""
    watch: str = ""
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one record of one file.

    Attributes:
        file: the file's name in the inbox.
        claim: the file's claim.
        begun_at: when it was taken up, aware.
        finished_at: when its results had been published, aware; None if they have not been yet.
        line: the record's line in the file; 0 where the file could not be read as a payment document.
        invoice_number: as written.
        asked: the amount asked; None where that cannot be read.
        outcome: ``applied``, ``unchanged`` or ``rejected``, ``refused`` of a whole file, ``waiting`` before any.
        settled: the part of it that ConnectWise held then.
        message: why it failed, or what the payer should know.
        invoice_id: ConnectWise's id of the invoice.
        payment_id: ConnectWise's id of the payment row.
        decided_at: when it got its outcome, aware.
    """

    file: str
    claim: str
    begun_at: datetime
    finished_at: datetime | None
    line: int
    invoice_number: str
    asked: Decimal | None
    outcome: str
    settled: Decimal | None
    message: str | None
    invoice_id: int | None
    payment_id: int | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class FinishedFile:
    """A file that has been dealt with, and what it came to."""

    name: str
    claim: str
    finished_at: datetime
    refusal: str | None
    succeeded: int
    rejected: int
    asked: Decimal
    failed: Decimal


class Journal:
    """One journal, opened by one daemon; used from one thread."""

    def __init__(self, url: str, *, upgrade: bool = True) -> None:
        """Open the journal, making its tables if there are none.

        Args:
            url: where it lies, as of ``Database``.
            upgrade: bring a journal of an older version up to date; only the daemon may.

        Raises:
            ConfigurationError: it cannot be opened, is damaged, or was written by another version.
        """
        self._database = Database(url, upgrade=upgrade)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def marker(self, inbox: str) -> str | None:
        """Give the marker that an inbox carries since its first start; None before that."""
        with self._database.transaction() as connection:
            return connection.execute(sql.select(INBOXES.c.marker).where(INBOXES.c.path == inbox)).scalar_one_or_none()

    def remember_marker(self, inbox: str, marker: str) -> None:
        """Remember the marker of an inbox."""
        with self._database.transaction() as connection:
            connection.execute(sql.delete(INBOXES).where(INBOXES.c.path == inbox))
            connection.execute(sql.insert(INBOXES).values(path=inbox, marker=marker))

    def begin(self, claim: Claim, digest: str, records: Sequence[Record], refusal: str | None = None) -> None:
        """Write down a claimed file and what it asks; a file that is there already is left as it is.

        Args:
            claim: the file.
            digest: SHA-256 of its content, hex.
            records: its records; none if it is refused.
            refusal: why it cannot be read as a payment document, where it cannot.
        """
        asked = [
            (record.position, record.line, record.invoice_number, record.amount, _external_id(record))
            for record in records
        ]
        self._begin(claim, digest, asked, refusal)

    def adopt(self, claim: Claim, digest: str, results: Sequence[Result], refusal: str | None = None) -> None:
        """Take over what a claim's receipt says where this journal does not know it: an older copy, or a new one.

        Args:
            claim: the file.
            digest: SHA-256 of its content, hex.
            results: one for each of its records.
            refusal: why it cannot be read as a payment document, where it cannot.
        """
        asked = [(result.position, result.line, result.invoice_number, result.asked, None) for result in results]
        self._begin(claim, digest, asked, refusal)
        known = {result.position for result in self.results(claim.id)}
        self.record([(claim.id, result) for result in results if result.position not in known])

    def _begin(
        self,
        claim: Claim,
        digest: str,
        asked: Sequence[tuple[int, int, str, Decimal | None, str | None]],
        refusal: str | None,
    ) -> None:
        with self._database.transaction() as connection:
            if connection.execute(sql.select(FILES.c.claim).where(FILES.c.claim == claim.id)).first():
                return
            file = {
                "claim": claim.id,
                "name": claim.name,
                "digest": digest,
                "refusal": refusal,
                "begun_at": _now(),
            }
            connection.execute(sql.insert(FILES).values(file))
            if asked:
                columns = ("position", "line", "invoice_number", "asked", "external_id")
                rows = [{"claim": claim.id, **dict(zip(columns, row, strict=True))} for row in asked]
                connection.execute(sql.insert(PAYMENTS), rows)

    def intend(self, intents: Sequence[tuple[Demand, Intent]]) -> None:
        """Write down calls before they are made; on disk when this returns."""
        rows = [
            {
                "of_claim": demand.claim_id,
                "at": part.position,
                "action": intent.action.value,
                "intended": intent.amount,
                "intended_warning": intent.warning,
            }
            for demand, intent in intents
            for part in demand.parts
        ]
        self._update(rows, ("action", "intended", "intended_warning"))

    def record(self, results: Sequence[tuple[str, Result]]) -> None:
        """Write down outcomes, each with the id of its claim; on disk when this returns."""
        now = _now()
        rows = [
            {
                "of_claim": claim_id,
                "at": result.position,
                "outcome": result.outcome.value,
                "asked": result.asked,
                "settled": result.settled,
                "message": result.message,
                "warning": result.warning,
                "invoice_id": result.invoice_id,
                "payment_id": result.payment_id,
                "decided_at": now,
            }
            for claim_id, result in results
        ]
        columns = (
            "outcome",
            "asked",
            "settled",
            "message",
            "warning",
            "invoice_id",
            "payment_id",
            "decided_at",
        )
        self._update(rows, columns)

    def _update(self, rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
        if not rows:
            return
        with self._database.transaction() as connection:
            values: dict[str, Any] = {column: sql.bindparam(column) for column in columns}
            connection.execute(sql.update(PAYMENTS).where(_of_record).values(values), rows)

    def intents(self, claim_id: str) -> dict[int, Intent]:
        """Give the calls that were planned for a claim's records and have no outcome, by position."""
        query = sql.select(PAYMENTS).where(
            PAYMENTS.c.claim == claim_id, PAYMENTS.c.outcome.is_(None), PAYMENTS.c.action.is_not(None)
        )
        with self._database.transaction() as connection:
            return {
                row.position: Intent(Action(row.action), row.intended, row.intended_warning)
                for row in connection.execute(query)
            }

    def results(self, claim_id: str) -> list[Result]:
        """Give the outcomes of a claim's records that have one, in order."""
        query = (
            sql.select(PAYMENTS)
            .where(PAYMENTS.c.claim == claim_id, PAYMENTS.c.outcome.is_not(None))
            .order_by(PAYMENTS.c.position)
        )
        with self._database.transaction() as connection:
            return [
                Result(
                    row.position,
                    row.line,
                    row.invoice_number,
                    Outcome(row.outcome),
                    row.asked,
                    row.settled,
                    row.message,
                    row.warning,
                    row.invoice_id,
                    row.payment_id,
                )
                for row in connection.execute(query)
            ]

    def decided_at(self, claim_id: str) -> datetime:
        """Say when the last record of a claim got its outcome; when the claim was begun if it has none."""
        query = sql.select(
            sql.func.coalesce(
                sql.select(sql.func.max(PAYMENTS.c.decided_at)).where(PAYMENTS.c.claim == claim_id).scalar_subquery(),
                FILES.c.begun_at,
            )
        ).where(FILES.c.claim == claim_id)
        with self._database.transaction() as connection:
            return datetime.fromisoformat(connection.execute(query).scalar_one())

    def earlier(self, digest: str, claim: Claim) -> Claim | None:
        """Find a file of the same content that was claimed before this one and did not fail altogether."""
        succeeded = sql.exists().where(
            PAYMENTS.c.claim == FILES.c.claim, PAYMENTS.c.outcome.in_([Outcome.APPLIED, Outcome.UNCHANGED])
        )
        query = (
            sql.select(FILES.c.claim, FILES.c.name)
            .where(
                FILES.c.digest == digest,
                FILES.c.claim < claim.id,
                FILES.c.refusal.is_(None),
                sql.or_(FILES.c.finished_at.is_(None), succeeded),
            )
            .order_by(FILES.c.claim)
        )
        with self._database.transaction() as connection:
            row = connection.execute(query).first()
        return Claim(row.claim, row.name) if row else None

    def earlier_payments(self, external_ids: Sequence[str], claim: Claim) -> dict[str, Claim]:
        """Find the files claimed before this one in which a payment of an externalId was applied, or still is in work.

        Returns:
            The first such claim by externalId.
        """
        found: dict[str, Claim] = {}
        with self._database.transaction() as connection:
            for start in range(0, len(external_ids), _VARIABLES):
                query = (
                    sql.select(PAYMENTS.c.external_id, FILES.c.claim, FILES.c.name)
                    .join(FILES, FILES.c.claim == PAYMENTS.c.claim)
                    .where(
                        PAYMENTS.c.external_id.in_(external_ids[start : start + _VARIABLES]),
                        FILES.c.claim < claim.id,
                        sql.or_(
                            PAYMENTS.c.outcome.is_(None),
                            PAYMENTS.c.outcome.in_([Outcome.APPLIED, Outcome.UNCHANGED]),
                        ),
                    )
                    .order_by(FILES.c.claim.desc())
                )
                found.update({row.external_id: Claim(row.claim, row.name) for row in connection.execute(query)})
        return found

    def judgement(self, claim_id: str) -> Judgement | None:
        """Say what a file was judged to be when it was written down; None if it has not been."""
        query = sql.select(FILES.c.digest, FILES.c.refusal).where(FILES.c.claim == claim_id)
        with self._database.transaction() as connection:
            row = connection.execute(query).first()
        return Judgement(row.digest, row.refusal) if row else None

    def note_line(self, line: Line) -> None:
        """Write down what the daemon says of itself."""
        values = {
            "state": line.state,
            "since": line.since.isoformat(),
            "reason": line.reason,
            "mend": line.mend,
            "cause": line.cause,
            "watch": line.watch,
            "answered_at": line.answered_at and line.answered_at.isoformat(),
        }
        with self._database.transaction() as connection:
            connection.execute(sql.delete(LINE))
            connection.execute(sql.insert(LINE).values(only=1, **values))

    def line(self) -> Line | None:
        """Give what the daemon last said of itself; None before its first start."""
        with self._database.transaction() as connection:
            row = connection.execute(sql.select(LINE)).first()
        if row is None:
            return None
        return Line(
            row.state,
            datetime.fromisoformat(row.since),
            row.reason,
            row.mend,
            row.cause,
            row.watch,
            _time(row.answered_at),
        )

    def history(self, wanted: str) -> list[Attempt]:
        """Give every attempt at an invoice, or every record of a file, the earliest first.

        Args:
            wanted: an invoice number, letter case ignored; a file's name in the inbox; a claim's id.
        """
        of_payment = PAYMENTS.c.invoice_number.collate("NOCASE") == wanted
        of_file = sql.or_(FILES.c.name == wanted, FILES.c.claim == wanted)
        return self._attempts(sql.or_(of_payment, of_file))

    def unpaid(self) -> list[Attempt]:
        """Give the rejected payments that are unresolved, the earliest first.

        One is resolved once its invoice has been set or tried again, or its fail file has been dropped in again: what
        became of that is told of under the new file, whose invoice number may be a corrected one.
        """
        later = PAYMENTS.alias()
        tried = sql.exists().where(
            later.c.invoice_number == PAYMENTS.c.invoice_number,
            sql.or_(
                later.c.claim > PAYMENTS.c.claim,
                sql.and_(later.c.claim == PAYMENTS.c.claim, later.c.outcome != Outcome.REJECTED),
            ),
        )
        # Written out, so that the index on rejected payments serves.
        rejected = PAYMENTS.c.outcome == sql.literal_column("'rejected'")
        numbered = PAYMENTS.c.invoice_number != ""
        found = self._attempts(sql.and_(rejected, sql.not_(sql.and_(numbered, tried))))
        again = self._dropped_again()
        return [attempt for attempt in found if attempt.claim not in again]

    def _dropped_again(self) -> set[str]:
        """Give the claims whose published files have been dropped in again: the later file's name bears them."""
        query = sql.select(FILES.c.name).where(FILES.c.name.like("%Z\\_%", escape="\\"))
        with self._database.transaction() as connection:
            names = connection.execute(query).scalars()
            return {claim for name in names for claim in _CLAIM.findall(name)}

    def settled_before(self, time: datetime) -> set[str]:
        """Give the claims that were finished before a time and of which nothing is unresolved.

        Args:
            time: aware.
        """
        query = sql.select(FILES.c.claim).where(
            FILES.c.finished_at < time.astimezone(UTC).isoformat(timespec="milliseconds"), FILES.c.refusal.is_(None)
        )
        with self._database.transaction() as connection:
            finished = set(connection.execute(query).scalars())
        return finished - {attempt.claim for attempt in self.unpaid()}

    def forget(self, claim_ids: Iterable[str]) -> None:
        """Remove all that is known of some claims, and give the room back once a quarter of the file is empty."""
        gone = [{"gone": claim_id} for claim_id in claim_ids]
        if not gone:
            return
        with self._database.transaction() as connection:
            connection.execute(sql.delete(PAYMENTS).where(PAYMENTS.c.claim == sql.bindparam("gone")), gone)
            connection.execute(sql.delete(FILES).where(FILES.c.claim == sql.bindparam("gone")), gone)
        self._database.shrink()

    def set_since(self, claim_id: str, invoice_numbers: Sequence[str]) -> dict[str, str]:
        """Say which of some invoices later files have set, and the name of the last of those files.

        Args:
            claim_id: the claim after which files are later.
            invoice_numbers: letter case is ignored.
        """
        query = (
            sql.select(PAYMENTS.c.invoice_number, FILES.c.name)
            .join(FILES)
            .where(PAYMENTS.c.claim > claim_id, PAYMENTS.c.outcome.in_([Outcome.APPLIED, Outcome.UNCHANGED]))
            .order_by(PAYMENTS.c.claim)
        )
        wanted = {number.casefold() for number in invoice_numbers}
        with self._database.transaction() as connection:
            rows = connection.execute(query)
            return {row.invoice_number: row.name for row in rows if row.invoice_number.casefold() in wanted}

    def _attempts(self, condition: sql.ColumnElement[bool]) -> list[Attempt]:
        query = (
            sql.select(FILES, *(column for column in PAYMENTS.c if column.name != "claim"))
            .outerjoin(PAYMENTS)
            .where(condition)
            .order_by(FILES.c.claim, PAYMENTS.c.position)
        )
        with self._database.transaction() as connection:
            return [
                Attempt(
                    file=row.name,
                    claim=row.claim,
                    begun_at=datetime.fromisoformat(row.begun_at),
                    finished_at=_time(row.finished_at),
                    line=row.line or 0,
                    invoice_number=row.invoice_number or "",
                    asked=row.asked,
                    outcome="refused" if row.refusal else row.outcome or ("waiting" if row.invoice_number else "empty"),
                    settled=row.settled,
                    message=row.refusal or row.message or row.warning,
                    invoice_id=row.invoice_id,
                    payment_id=row.payment_id,
                    decided_at=_time(row.decided_at),
                )
                for row in connection.execute(query)
            ]

    def progress(self, claim_id: str) -> tuple[int, int]:
        """Count a claim's records, and those of them that have an outcome."""
        query = sql.select(sql.func.count(), sql.func.count(PAYMENTS.c.outcome)).where(PAYMENTS.c.claim == claim_id)
        with self._database.transaction() as connection:
            records, decided = connection.execute(query).one()
        return records, decided

    def last_files(self, count: int) -> list[FinishedFile]:
        """Give the files that were finished last, the latest first."""
        query = (
            sql.select(FILES).where(FILES.c.finished_at.is_not(None)).order_by(FILES.c.finished_at.desc()).limit(count)
        )
        with self._database.transaction() as connection:
            files = connection.execute(query).all()
        return [self._finished(file.claim, file.name, file.finished_at, file.refusal) for file in files]

    def files_of(self, name: str, count: int) -> list[FinishedFile]:
        """Give the finished files of a name, or of the claim that a published name bears, the latest first."""
        query = (
            sql.select(FILES)
            .where(
                FILES.c.finished_at.is_not(None),
                sql.or_(FILES.c.name == name, sql.literal(name, Text()).contains(FILES.c.claim, autoescape=False)),
            )
            .order_by(FILES.c.finished_at.desc())
            .limit(count)
        )
        with self._database.transaction() as connection:
            files = connection.execute(query).all()
        return [self._finished(file.claim, file.name, file.finished_at, file.refusal) for file in files]

    def _finished(self, claim_id: str, name: str, finished_at: str, refusal: str | None) -> FinishedFile:
        sums = total(self.results(claim_id))
        finished = datetime.fromisoformat(finished_at)
        return FinishedFile(name, claim_id, finished, refusal, sums.succeeded, sums.rejected, sums.asked, sums.failed)

    def finish(self, claim_id: str) -> None:
        """Write down that everything of a claim lies where it belongs."""
        with self._database.transaction() as connection:
            connection.execute(
                sql.update(FILES)
                .where(FILES.c.claim == claim_id, FILES.c.finished_at.is_(None))
                .values(finished_at=_now())
            )


def _external_id(record: Record) -> str | None:
    return (record.external_id or None) if isinstance(record, Payment) else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _time(written: str | None) -> datetime | None:
    return datetime.fromisoformat(written) if written else None
