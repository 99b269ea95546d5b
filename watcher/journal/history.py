"""What people ask about files and payments, and what the journal forgets in time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sql

from watcher.claim import Claim, claims_in
from watcher.journal.database import Database
from watcher.journal.tables import FILES, PAYMENTS, Text
from watcher.payments.model import ZERO
from watcher.payments.outcomes import Outcome
from watcher.payments.withdrawal import WITHDRAWN, is_withdrawal


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one record of one file.

    Attributes:
        file: the file's name in the inbox.
        claim: the file's claim.
        begun_at: when it was claimed, aware.
        finished_at: when its results were all published, aware; None if they are not yet.
        line: the record's line in the file; 0 where the file could not be read as a payment document.
        invoice_number: as written.
        asked: the amount asked; None where it cannot be read.
        outcome: ``applied``, ``unchanged`` or ``rejected``; ``waiting`` before any; ``refused`` or ``empty`` for a
            whole file.
        held: the part of the amount that ConnectWise held then.
        message: why it failed, or what the payer should know.
        invoice_id: ConnectWise's id of the invoice.
        payment_id: ConnectWise's id of the payment row.
        decided_at: when it got its outcome, aware.
        external_id: the accounting system's own id of the payment; None if there is none.
        day: its day; None if it is not known.
        asked_as_written: the amount as it stands in the file, where it cannot be read; else empty.
    """

    file: str
    claim: str
    begun_at: datetime
    finished_at: datetime | None
    line: int
    invoice_number: str
    asked: Decimal | None
    outcome: str
    held: Decimal | None
    message: str | None
    invoice_id: int | None
    payment_id: int | None
    decided_at: datetime | None
    external_id: str | None = None
    day: date | None = None
    asked_as_written: str = ""


@dataclass(frozen=True, slots=True)
class InWork:
    """A file that is claimed and not finished.

    Attributes:
        claim: its claim.
        records: how many records it has; 0 before it is read.
        decided: how many of them have an outcome.
    """

    claim: Claim
    records: int
    decided: int


@dataclass(frozen=True, slots=True)
class FinishedFile:
    """A file that is done, and what it came to.

    Attributes:
        name: its name in the inbox.
        claim: its claim.
        finished_at: when its results were all published, aware.
        refusal: why it was refused; None if it is a payment document.
        succeeded: how many of its records were applied or unchanged.
        rejected: how many were rejected.
        asked: the sum of all amounts that can be read.
        failed: the sum of the rejected ones among them.
        withdrawn: how many of the rejected ones a person withdrew.
        unreadable: how many amounts cannot be read, and are in no sum.
    """

    name: str
    claim: str
    finished_at: datetime
    refusal: str | None
    succeeded: int
    rejected: int
    asked: Decimal
    failed: Decimal
    withdrawn: int = 0
    unreadable: int = 0

    @property
    def taken_out(self) -> bool:
        """True if a person took it out of work before its end, as a whole or some of its payments."""
        return self.withdrawn > 0 or is_withdrawal(self.refusal)


class History:
    """What happened, from the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- payments ----------------------------------------------------------------------------------------------

    def attempts(self, wanted: str) -> list[Attempt]:
        """Return every attempt at an invoice, or every record of a file, the earliest first.

        Args:
            wanted: an invoice number, letter case ignored; a file's name in the inbox; a claim's id.
        """
        text = sql.literal(wanted, Text())
        of_invoice = sql.func.lower(PAYMENTS.c.invoice_number) == sql.func.lower(text)
        return self._attempts(sql.or_(of_invoice, FILES.c.name == wanted, FILES.c.claim == text))

    def unpaid(self) -> list[Attempt]:
        """Return the rejected payments that are unresolved, the earliest first.

        One is resolved if its invoice has been set or tried again, or if its fail file has been dropped in again. The
        later file's row says what happened then, perhaps under a corrected invoice number.

        Where payments are added up, another payment of its invoice resolves nothing: this one has to be tried again,
        which its externalId shows, and its amount if it had none.
        """
        later, of_later = PAYMENTS.alias(), FILES.alias()
        tried = sql.exists().where(
            later.c.invoice_number == PAYMENTS.c.invoice_number,
            of_later.c.claim == later.c.claim,
            sql.or_(
                FILES.c.adds == 0,
                later.c.external_id == PAYMENTS.c.external_id,
                sql.and_(PAYMENTS.c.external_id.is_(None), later.c.asked == PAYMENTS.c.asked),
            ),
            sql.or_(
                of_later.c.sequence > FILES.c.sequence,
                sql.and_(later.c.claim == PAYMENTS.c.claim, later.c.outcome != Outcome.REJECTED),
            ),
        )
        # The value stands in the statement: the index on rejected payments serves only if the database sees it.
        rejected = PAYMENTS.c.outcome == sql.literal_column("'rejected'")
        numbered = PAYMENTS.c.invoice_number != ""
        corrected = sql.exists().where(
            FILES.c.adds == 1,
            later.c.external_id == PAYMENTS.c.external_id,
            of_later.c.claim == later.c.claim,
            of_later.c.sequence > FILES.c.sequence,
        )
        found = self._attempts(sql.and_(rejected, sql.not_(sql.and_(numbered, tried)), sql.not_(corrected)))
        again = self._dropped_again()
        return [attempt for attempt in found if attempt.claim not in again]

    def _dropped_again(self) -> set[str]:
        """Return the claims whose published files were dropped in again: the later file's name bears them."""
        # Every claim has a Z_ in it. So the database leaves out nearly all other names, and few have to be read.
        query = sql.select(FILES.c.name).where(FILES.c.name.like("%Z\\_%", escape="\\"))
        with self._database.transaction() as connection:
            names = connection.execute(query).scalars()
            return {claim for name in names for claim in claims_in(name)}

    def _attempts(self, condition: sql.ColumnElement[bool]) -> list[Attempt]:
        query = (
            sql.select(FILES, *(column for column in PAYMENTS.c if column.name != "claim"))
            .outerjoin(PAYMENTS)
            .where(condition)
            .order_by(FILES.c.sequence, PAYMENTS.c.position)
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
                    outcome=_outcome(row),
                    held=row.settled,
                    message=row.refusal or row.message or row.warning,
                    invoice_id=row.invoice_id,
                    payment_id=row.payment_id,
                    decided_at=_time(row.decided_at),
                    external_id=row.external_id,
                    day=row.day.on if row.day else None,
                    asked_as_written=row.asked_as_written or "",
                )
                for row in connection.execute(query)
            ]

    def set_since(self, claim_id: str, invoice_numbers: Sequence[str]) -> dict[str, str] | None:
        """Return which of some invoices later files have set, each with the name of the last such file.

        Args:
            claim_id: the claim after which files are later.
            invoice_numbers: letter case is ignored.

        Returns:
            Names of files by invoice number; None if the claim is not known, so that nobody can say what is later.
        """
        since = sql.select(FILES.c.sequence).where(FILES.c.claim == claim_id).scalar_subquery()
        query = (
            sql.select(PAYMENTS.c.invoice_number, FILES.c.name)
            .join(FILES)
            .where(FILES.c.sequence > since, PAYMENTS.c.outcome.in_([Outcome.APPLIED, Outcome.UNCHANGED]))
            .order_by(FILES.c.sequence)
        )
        wanted = {number.casefold() for number in invoice_numbers}
        with self._database.transaction() as connection:
            if connection.execute(sql.select(since)).scalar_one() is None:
                return None
            rows = connection.execute(query)
            return {row.invoice_number: row.name for row in rows if row.invoice_number.casefold() in wanted}

    # --- files -------------------------------------------------------------------------------------------------

    def in_work(self) -> list[InWork]:
        """Return the files that are claimed and not finished, in the order of claiming."""
        query = (
            sql.select(
                FILES.c.claim, FILES.c.name, sql.func.count(PAYMENTS.c.position), sql.func.count(PAYMENTS.c.outcome)
            )
            .outerjoin(PAYMENTS)
            .where(FILES.c.finished_at.is_(None))
            .group_by(FILES.c.claim, FILES.c.name, FILES.c.sequence)
            .order_by(FILES.c.sequence)
        )
        with self._database.transaction() as connection:
            return [InWork(Claim(*row[:2]), *row[2:]) for row in connection.execute(query)]

    def last_files(self, count: int) -> list[FinishedFile]:
        """Return the files that were finished last, the latest first."""
        return self._finished(sql.true(), count)

    def files_of(self, name: str, count: int) -> list[FinishedFile]:
        """Return the finished files of a name, or of the claim that a published name bears, the latest first."""
        borne = sql.literal(name, Text()).contains(FILES.c.claim, autoescape=False)
        return self._finished(sql.or_(FILES.c.name == name, borne), count)

    def _finished(self, condition: sql.ColumnElement[bool], count: int) -> list[FinishedFile]:
        files_wanted = (
            sql.select(FILES)
            .where(FILES.c.finished_at.is_not(None), condition)
            .order_by(FILES.c.finished_at.desc())
            .limit(count)
        )
        with self._database.transaction() as connection:
            files = connection.execute(files_wanted).all()
            asked: dict[str, list[Decimal | None]] = defaultdict(list)
            failed: dict[str, list[Decimal | None]] = defaultdict(list)
            withdrawn: Counter[str] = Counter()
            by_person = PAYMENTS.c.message.startswith(WITHDRAWN).label("by_person")
            amounts = sql.select(PAYMENTS.c.claim, PAYMENTS.c.outcome, PAYMENTS.c.asked, by_person).where(
                PAYMENTS.c.claim.in_([file.claim for file in files]), PAYMENTS.c.outcome.is_not(None)
            )
            for row in connection.execute(amounts):
                asked[row.claim].append(row.asked)
                withdrawn[row.claim] += bool(row.by_person)
                if row.outcome == Outcome.REJECTED:
                    failed[row.claim].append(row.asked)
        return [
            FinishedFile(
                name=file.name,
                claim=file.claim,
                finished_at=datetime.fromisoformat(file.finished_at),
                refusal=file.refusal,
                succeeded=len(asked[file.claim]) - len(failed[file.claim]),
                rejected=len(failed[file.claim]),
                asked=sum(filter(None, asked[file.claim]), ZERO),
                failed=sum(filter(None, failed[file.claim]), ZERO),
                withdrawn=withdrawn[file.claim],
                unreadable=asked[file.claim].count(None),
            )
            for file in files
        ]

    # --- retention ---------------------------------------------------------------------------------------------

    def resolved_before(self, time: datetime) -> set[str]:
        """Return the claims that were finished before a time and have nothing unresolved.

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
        """Remove all that is known of some claims, and give room back to the disk if there is much of it."""
        gone = [{"gone": claim_id} for claim_id in claim_ids]
        if not gone:
            return
        with self._database.transaction() as connection:
            connection.execute(sql.delete(PAYMENTS).where(PAYMENTS.c.claim == sql.bindparam("gone")), gone)
            connection.execute(sql.delete(FILES).where(FILES.c.claim == sql.bindparam("gone")), gone)
        self._database.shrink()


def _outcome(row: sql.Row[Any]) -> str:
    if row.refusal:
        return "refused"
    if row.position is None and row.opened_at:
        return "empty"
    return str(row.outcome or "waiting")


def _time(written: str | None) -> datetime | None:
    return datetime.fromisoformat(written) if written else None
