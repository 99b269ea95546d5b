"""What people ask about files and payments, and what the journal forgets in time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import sqlalchemy as sql

from watcher.claim import Claim
from watcher.journal.attempts import Attempt, attempt, rows
from watcher.journal.database import Database
from watcher.journal.tables import FILES, PAYMENTS, FileName, Text
from watcher.journal.unpaid import unpaid_rows
from watcher.payments.model import ZERO
from watcher.payments.outcomes import Outcome
from watcher.payments.withdrawal import WITHDRAWN, is_withdrawal


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
        warned: how many succeeded with a warning, such as an overage that was discarded.
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
    warned: int = 0

    @property
    def taken_out(self) -> bool:
        """True if a person took it out of work before its end, as a whole or some of its payments."""
        return self.withdrawn > 0 or is_withdrawal(self.refusal)


class History:
    """What happened, from the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- payments ----------------------------------------------------------------------------------------------

    def attempts(self, *wanted: str) -> list[Attempt]:
        """Return every attempt at an invoice, or every record of a file, in the order in which files were taken.

        Args:
            wanted: invoice numbers, names of files in the inbox, or ids of claims. Letter case is ignored.
        """
        texts = [sql.func.lower(sql.literal(one, Text())) for one in wanted]
        names = [sql.func.lower(sql.literal(one, FileName())) for one in wanted]
        of_invoice = sql.func.lower(PAYMENTS.c.invoice_number).in_(texts)
        of_file = sql.or_(sql.func.lower(FILES.c.name).in_(names), sql.func.lower(FILES.c.claim).in_(texts))
        with self._database.transaction() as connection:
            return [attempt(row) for row in rows(connection, sql.or_(of_invoice, of_file))]

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
        called = sql.func.lower(FILES.c.name) == sql.func.lower(sql.literal(name, FileName()))
        return self._finished(sql.or_(called, borne), count)

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
            warned: Counter[str] = Counter()
            by_person = PAYMENTS.c.message.startswith(WITHDRAWN).label("by_person")
            has_warning = PAYMENTS.c.warning.is_not(None).label("has_warning")
            amounts = sql.select(PAYMENTS.c.claim, PAYMENTS.c.outcome, PAYMENTS.c.asked, by_person, has_warning).where(
                PAYMENTS.c.claim.in_([file.claim for file in files]), PAYMENTS.c.outcome.is_not(None)
            )
            for row in connection.execute(amounts):
                asked[row.claim].append(row.asked)
                withdrawn[row.claim] += bool(row.by_person)
                if row.outcome == Outcome.REJECTED:
                    failed[row.claim].append(row.asked)
                else:
                    warned[row.claim] += bool(row.has_warning)
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
                warned=warned[file.claim],
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
            return finished - {row.claim for row in unpaid_rows(connection)}

    def forget(self, claim_ids: Iterable[str]) -> None:
        """Remove all that is known of some claims, and give room back to the disk if there is much of it."""
        gone = [{"gone": claim_id} for claim_id in claim_ids]
        if not gone:
            return
        with self._database.transaction() as connection:
            connection.execute(sql.delete(PAYMENTS).where(PAYMENTS.c.claim == sql.bindparam("gone")), gone)
            connection.execute(sql.delete(FILES).where(FILES.c.claim == sql.bindparam("gone")), gone)
        self._database.shrink()
