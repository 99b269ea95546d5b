"""What recovery needs: what was asked, intended, decided and finished.

The ledger is the memory between two starts. It knows which records of a claimed file have an outcome, and which call
was planned and may have been sent. ConnectWise and the folders hold the truth about money and files. If the journal is
lost, the worst is that a repeated payment is reported as unchanged instead of applied.

Whatever a method writes is on disk when it returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import sqlalchemy as sql

from watcher.journal.accepting import accept
from watcher.journal.database import Database
from watcher.journal.tables import DOUBTS, FILES, PAYMENTS
from watcher.payments.dated import Dated
from watcher.payments.doubts import InDoubt, LateCall
from watcher.payments.model import Action, Demand, Intent, Misfit, Payment, Record
from watcher.payments.outcomes import Outcome, Result
from watcher.payments.sums import Addition

_of_record = sql.and_(PAYMENTS.c.claim == sql.bindparam("of_claim"), PAYMENTS.c.position == sql.bindparam("at"))
_of_file = FILES.c.claim == sql.bindparam("of_claim")
# So many records are read, or written, at once.
_PAGE = 1000
# The outcomes of a file with at most so many records are read together with those of other files.
_FEW = 100


@dataclass(frozen=True, slots=True)
class Known:
    """What is written down of a claimed file.

    Attributes:
        refusal: why it was refused; None if it is a payment document.
        adds: True if each of its records is a payment that is added up.
        decided: the positions of its records that have an outcome.
        intents: the calls that were planned for records without an outcome, by position.
        unnumbered: the positions of records without an outcome whose invoice number is not known.
    """

    refusal: str | None
    decided: frozenset[int]
    intents: dict[int, Intent]
    adds: bool = False
    unnumbered: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Opened:
    """What a claimed file asks.

    Attributes:
        claim_id: its claim.
        records: its records, gone through once; none if it is refused.
        refusal: why it cannot be read as a payment document; None if it can.
        adds: True if each of its records is a payment that is added up.
    """

    claim_id: str
    records: Iterable[Record]
    refusal: str | None = None
    adds: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of an opened file all of whose records have an outcome.

    Attributes:
        decided_at: when the last of them got it; when the file was opened if it has no record (aware).
        results: the outcomes, in order; None if they are too many to be held. ``results`` yields them then.
    """

    decided_at: datetime
    results: tuple[Result, ...] | None


class Ledger:
    """What was written down about claimed files. Every method is one short transaction, or a few."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- what is written down ----------------------------------------------------------------------------------

    def open(
        self, claim_id: str, records: Iterable[Record], refusal: str | None = None, at: datetime | None = None
    ) -> None:
        """Write down what a claimed file asks; as ``open_all``."""
        self.open_all([Opened(claim_id, records, refusal)], at)

    def open_all(self, files: Iterable[Opened], at: datetime | None = None) -> None:
        """Write down what claimed files ask, which are not opened yet: all or none.

        Args:
            files: the files.
            at: when they were opened, aware; now if None.
        """
        opened_at = _time(at)
        opened: list[dict[str, Any]] = []

        def rows() -> Iterator[dict[str, Any]]:
            for file in files:
                known = {"opened_at": opened_at, "refusal": file.refusal, "adds": int(file.adds)}
                opened.append({"of_claim": file.claim_id, **known})
                for record in file.records:
                    yield {
                        "claim": file.claim_id,
                        "position": record.position,
                        "line": record.line,
                        "invoice_number": record.invoice_number,
                        "asked": record.amount,
                        "asked_as_written": record.amount_as_written,
                        "day": Dated(record.date_paid) if isinstance(record, Payment) else None,
                        "external_id": _external_id(record),
                    }

        with self._database.transaction() as connection:
            all_rows = rows()
            while page := list(islice(all_rows, _PAGE)):
                connection.execute(sql.insert(PAYMENTS), page)
            if opened:
                values: dict[str, Any] = {name: sql.bindparam(name) for name in ("opened_at", "refusal", "adds")}
                connection.execute(sql.update(FILES).where(_of_file).values(values), opened)

    def number(self, numbers: Iterable[tuple[str, int, str]]) -> None:
        """Write down invoice numbers that were not known when their files were opened.

        Args:
            numbers: each with the id of its claim and the position of its record.
        """
        rows = [{"of_claim": claim_id, "at": at, "invoice_number": number} for claim_id, at, number in numbers]
        self._update(rows, ("invoice_number",))

    def adopt(self, claim_id: str, results: Sequence[Result], refusal: str | None, decided_at: datetime) -> None:
        """Write down what a claim's receipt says, where this journal, an older copy or a new one, does not know it.

        Args:
            claim_id: the claim.
            results: one for each of its records.
            refusal: why it cannot be read as a payment document; None if it can.
            decided_at: when its last record got its outcome, aware.
        """
        known = self.known(claim_id)
        if known is None:
            asked = [
                Misfit(one.position, one.line, one.invoice_number, one.asked, "", one.asked_as_written)
                for one in results
            ]
            self.open(claim_id, asked, refusal, decided_at)
        decided = known.decided if known else frozenset()
        self.record([(claim_id, result) for result in results if result.position not in decided], at=decided_at)

    def intend(self, intents: Sequence[tuple[Demand, Intent | None]]) -> None:
        """Write down calls before they are made; None where no call may have been made after all."""
        rows = [
            {
                "of_claim": demand.claim_id,
                "at": part.position,
                "action": intent and intent.action.value,
                "intended": intent and intent.amount,
                "intended_warning": intent and intent.warning,
                "intended_day": intent and intent.dated,
                "intended_repeats": intent and int(intent.repeats),
                "invoice_id": intent and intent.invoice_id,
            }
            for demand, intent in intents
            for part in demand.parts
        ]
        columns = ("action", "intended", "intended_warning", "intended_day", "intended_repeats", "invoice_id")
        self._update(rows, columns)

    def record(
        self,
        results: Sequence[tuple[str, Result]],
        doubts: Sequence[InDoubt] = (),
        at: datetime | None = None,
        additions: Sequence[Addition] = (),
    ) -> None:
        """Write down outcomes, and with them, in one transaction, the payments that are accepted by them.

        Args:
            results: each with the id of its claim.
            doubts: the invoices among theirs on which a call of ours may still be carried out.
            additions: what they add to the sums of invoices.
            at: when they were decided, aware; now if None.
        """
        decided_at = _time(at)
        rows = [
            {
                "of_claim": claim_id,
                "at": result.position,
                "outcome": result.outcome.value,
                "asked": result.asked,
                "settled": result.held,
                "message": result.message,
                "warning": result.warning,
                "invoice_id": result.invoice_id,
                "payment_id": result.payment_id,
                "decided_at": decided_at,
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
        self._update(rows, columns, doubts, additions)

    def _update(
        self,
        rows: list[dict[str, Any]],
        columns: Sequence[str],
        doubts: Sequence[InDoubt] = (),
        additions: Sequence[Addition] = (),
    ) -> None:
        if not rows:
            return
        with self._database.transaction() as connection:
            values: dict[str, Any] = {column: sql.bindparam(column) for column in columns}
            connection.execute(sql.update(PAYMENTS).where(_of_record).values(values), rows)
            for one in doubts:
                _put_doubt(connection, one)
            accept(connection, additions)

    # --- what is known -----------------------------------------------------------------------------------------

    def known(self, claim_id: str) -> Known | None:
        """Return what is written down of a claimed file; None if it was not opened."""
        return self.known_of([claim_id]).get(claim_id)

    def known_of(self, claim_ids: Sequence[str]) -> dict[str, Known]:
        """Return what is written down of some claimed files, a batch of them, without those that were not opened."""
        with self._database.transaction() as connection:
            files = connection.execute(
                sql.select(FILES.c.claim, FILES.c.refusal, FILES.c.adds).where(
                    FILES.c.claim.in_(claim_ids), FILES.c.opened_at.is_not(None)
                )
            ).all()
            if not files:
                return {}
            query = (
                sql.select(
                    PAYMENTS.c.claim,
                    PAYMENTS.c.position,
                    PAYMENTS.c.invoice_number,
                    PAYMENTS.c.action,
                    PAYMENTS.c.intended,
                    PAYMENTS.c.intended_warning,
                    PAYMENTS.c.intended_day,
                    PAYMENTS.c.intended_repeats,
                    PAYMENTS.c.invoice_id,
                    PAYMENTS.c.outcome,
                )
                .where(
                    PAYMENTS.c.claim.in_([file.claim for file in files]),
                    sql.or_(
                        PAYMENTS.c.outcome.is_not(None),
                        PAYMENTS.c.action.is_not(None),
                        PAYMENTS.c.invoice_number == "",
                    ),
                )
                .order_by(PAYMENTS.c.claim, PAYMENTS.c.position)
            )
            decided: dict[str, list[int]] = {file.claim: [] for file in files}
            intents: dict[str, dict[int, Intent]] = {file.claim: {} for file in files}
            unnumbered: dict[str, list[int]] = {file.claim: [] for file in files}
            for row in connection.execution_options(yield_per=_PAGE).execute(query):
                if row.outcome:
                    decided[row.claim].append(row.position)
                    continue
                if not row.invoice_number:
                    unnumbered[row.claim].append(row.position)
                if row.action:
                    intents[row.claim][row.position] = Intent(
                        Action(row.action),
                        row.intended,
                        row.intended_warning,
                        row.invoice_id,
                        row.intended_day,
                        bool(row.intended_repeats),
                    )
        return {
            file.claim: Known(
                file.refusal,
                frozenset(decided[file.claim]),
                intents[file.claim],
                bool(file.adds),
                frozenset(unnumbered[file.claim]),
            )
            for file in files
        }

    def decisions(self, claim_ids: Sequence[str]) -> dict[str, Decision]:
        """Return what became of some opened files all of whose records have an outcome, a batch of them."""
        counted = (
            sql.select(FILES.c.claim, FILES.c.opened_at, sql.func.count(PAYMENTS.c.position).label("records"))
            .add_columns(sql.func.max(PAYMENTS.c.decided_at).label("decided_at"))
            .outerjoin(PAYMENTS, PAYMENTS.c.claim == FILES.c.claim)
            .where(FILES.c.claim.in_(claim_ids))
            .group_by(FILES.c.claim)
        )
        with self._database.transaction() as connection:
            files = connection.execute(counted).all()
            few: dict[str, list[Result]] = {file.claim: [] for file in files if file.records <= _FEW}
            query = (
                sql.select(PAYMENTS)
                .where(PAYMENTS.c.claim.in_(few), PAYMENTS.c.outcome.is_not(None))
                .order_by(PAYMENTS.c.claim, PAYMENTS.c.position)
            )
            for row in connection.execute(query):
                few[row.claim].append(_result(row))
        return {
            file.claim: Decision(
                datetime.fromisoformat(file.decided_at or file.opened_at),
                tuple(few[file.claim]) if file.claim in few else None,
            )
            for file in files
        }

    def results(self, claim_id: str) -> Iterator[Result]:
        """Yield the outcomes of a file's records, in order. No transaction is open between two of them."""
        after = -1
        while True:
            query = (
                sql.select(PAYMENTS)
                .where(PAYMENTS.c.claim == claim_id, PAYMENTS.c.position > after, PAYMENTS.c.outcome.is_not(None))
                .order_by(PAYMENTS.c.position)
                .limit(_PAGE)
            )
            with self._database.transaction() as connection:
                page = connection.execute(query).all()
            yield from map(_result, page)
            if len(page) < _PAGE:
                return
            after = page[-1].position


def _put_doubt(connection: sql.Connection, doubt: InDoubt) -> None:
    """Write down a doubt, beside the calls on the same invoice that are in doubt already."""
    of_invoice = DOUBTS.c.invoice_id == doubt.invoice_id
    settled = doubt.settled
    values: dict[str, Any] = {"invoice_number": doubt.invoice_number, "since": _time(None)}
    if settled is not None:
        values |= {"claim": settled.claim_id, "settled": settled.amount, "payment_id": settled.payment_id}
        values["settled_day"] = settled.dated
    known = connection.execute(sql.select(DOUBTS).where(of_invoice)).all()
    common = {**(known[0]._mapping if known else {"invoice_id": doubt.invoice_id}), **values}
    calls = doubt.calls | {LateCall(Action(row.action), row.amount, row.day) for row in known}
    connection.execute(sql.delete(DOUBTS).where(of_invoice))
    rows = [{**common, "action": call.action.value, "amount": call.amount, "day": call.dated} for call in calls]
    connection.execute(sql.insert(DOUBTS), rows)


def _result(row: sql.Row[Any]) -> Result:
    return Result(
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
        asked_as_written=row.asked_as_written,
    )


def _external_id(record: Record) -> str | None:
    return (record.external_id or None) if isinstance(record, Payment) else None


def _time(at: datetime | None) -> str:
    return (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds")
