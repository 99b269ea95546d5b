"""The audit: an invoice on which a call of ours may have been carried out late is looked at once more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from watcher.connectwise.client import ConnectWise
from watcher.connectwise.workers import Workers
from watcher.errors import AnswerLost, Missing, Outage, PaymentWatcherError, Rejection, Stopping
from watcher.events.catalogue import Event
from watcher.journal.doubts import Doubts
from watcher.payments.dated import Dated
from watcher.payments.doubts import InDoubt
from watcher.payments.invoices import HeldPayment
from watcher.payments.model import ZERO, Call, Change, Create, Remove, money

# An invoice is looked at so long after its last outcome (seconds). No gateway keeps a call for longer.
AUDIT_SECONDS = 300.0
# If that is not possible, it is tried again so often (seconds).
_AGAIN_SECONDS = 60.0
# How often an invoice is put right and looked at again in one audit.
_MOST_CORRECTIONS = 3


class Audit:
    """Looks at invoices in doubt when they are due, and undoes what late calls of ours did; used from one thread."""

    def __init__(self, client: ConnectWise, workers: Workers, doubts: Doubts) -> None:
        """Look at nothing yet.

        Args:
            client: the way to ConnectWise.
            workers: make its calls, and know what time it is.
            doubts: what the journal knows.
        """
        self._client = client
        self._workers = workers
        self._doubts = doubts
        # When each doubt is due (monotonic seconds), by its invoice and the time of its last outcome.
        self._due: dict[tuple[int, datetime], float] = {}
        self._log = structlog.get_logger()

    def in_doubt(self) -> list[InDoubt]:
        """Return the invoices on which a call of ours may still be carried out."""
        return [doubt for doubt, _ in self._doubts.all()]

    def run(self) -> None:
        """Look at every invoice that is due. One that a file in work asks about is left for later.

        An invoice that cannot be looked at is tried again after a while. Nobody waits for it.

        Raises:
            Stopping: the program ends.
        """
        now, at, asks = self._workers.lifetime.now(), datetime.now(UTC), True
        due: dict[tuple[int, datetime], float] = {}
        for doubt, since in self._doubts.all():
            # A clock that was set puts no audit off for longer than it takes anyway.
            left = min(max(AUDIT_SECONDS - (at - since).total_seconds(), 0.0), AUDIT_SECONDS)
            key = doubt.invoice_id, since
            due[key] = self._due.get(key, now + left)
            if asks and due[key] <= now and not self._doubts.has_open_payments(doubt):
                # Perhaps ConnectWise is down: the others are looked at the next time.
                asks = self._is_looked_at(doubt)
                due[key] = now + (AUDIT_SECONDS if asks else _AGAIN_SECONDS)
        self._due = due

    def _is_looked_at(self, doubt: InDoubt) -> bool:
        """Look at one invoice; return False if that is not possible now, so that it has to wait."""
        try:
            self._look_at(doubt)
        except Outage as outage:
            self._log_fault(Event.PAYMENT_REFUSED, doubt, outage)
            return False
        return True

    def _look_at(self, doubt: InDoubt) -> None:
        rows = self._rows(doubt.invoice_id)
        for _ in range(_MOST_CORRECTIONS):
            step = None if rows is None else doubt.mend(rows)
            if rows is None or step is None:
                break
            # On disk before the call. If its answer never comes, the invoice is looked at once more after a while.
            self._doubts.renew(doubt, step)
            answer = self._make(step)
            if isinstance(answer, AnswerLost):
                self._log_fault(Event.PAYMENT_UNKNOWN, doubt, answer)
                if answer.scope.is_no_answer or not _is_about_date(step):
                    return
                # ConnectWise does not take the date. No further try would help, so people are told.
                rows = self._rows(doubt.invoice_id)
                break
            if isinstance(answer, Missing) and isinstance(step, Remove):
                # Only a list shows that it is gone.
                there = self._rows(doubt.invoice_id)
                if there is not None and all(row.id != step.payment_id for row in there):
                    rows = there
                    continue
            if isinstance(answer, Rejection):
                break
            rows = self._after(doubt, step, _said(step, rows))
        if rows is not None and (difference := doubt.difference(rows)) is not None:
            self._tell(doubt, difference, corrected=False)
        self._doubts.end(doubt)

    def _after(self, doubt: InDoubt, step: Call, said: str) -> Sequence[HeldPayment] | None:
        """Tell what was put right, and return the payments as they are now; None as for ``_rows``.

        A removal is told only if the row is gone, or if that cannot be asked now.
        """
        try:
            rows = self._rows(doubt.invoice_id)
        except (Outage, Stopping):
            self._put_right(doubt, said)
            raise
        if not (isinstance(step, Remove) and rows is not None and any(row.id == step.payment_id for row in rows)):
            self._put_right(doubt, said)
        return rows

    def _put_right(self, doubt: InDoubt, said: str) -> None:
        self._doubts.note(doubt, said)
        self._tell(doubt, said, corrected=True)

    def _log_fault(self, event: Event, doubt: InDoubt, fault: Outage | AnswerLost) -> None:
        self._log.warning(
            event,
            claim=doubt.settled and doubt.settled.claim_id,
            invoice_number=doubt.invoice_number,
            reason=str(fault),
            request_id=fault.request_id,
        )

    def _tell(self, doubt: InDoubt, reason: str, *, corrected: bool) -> None:
        self._log.warning(
            Event.PAYMENT_CORRECTED,
            invoice_number=doubt.invoice_number,
            invoice_id=doubt.invoice_id,
            corrected=corrected,
            reason=reason,
        )

    def _rows(self, invoice_id: int) -> Sequence[HeldPayment] | None:
        """Return the payments of an invoice; None if ConnectWise has it no more, or refuses to list them."""
        ((_, answer),) = self._workers.each(self._client.list_payments, [invoice_id])
        if isinstance(answer, Missing | Rejection):
            return None
        if isinstance(answer, PaymentWatcherError):
            raise answer
        return [row for row in answer if not row.applies_credit and row.amount != ZERO]

    def _make(self, step: Call) -> AnswerLost | Rejection | None:
        ((_, answer),) = self._workers.each(self._client.carry_out, [step])
        if isinstance(answer, AnswerLost | Rejection):
            return answer
        if isinstance(answer, PaymentWatcherError):
            raise answer
        return None


def _is_about_date(step: Call) -> bool:
    """Return True if a step changes nothing but a date."""
    return isinstance(step, Change) and step.amount is None


def _said(step: Call, rows: Sequence[HeldPayment]) -> str:
    """Return in words what was put right."""
    cause = "An earlier call, whose answer was lost, was carried out late"
    match step:
        case Remove(payment_id=payment_id):
            amount = next(row.amount for row in rows if row.id == payment_id)
            return f"{cause}: the payment {payment_id} of {money(amount)} that it made was removed"
        case Change(amount=None, date_paid=day):
            again = "the date was taken off again" if day is None else f"{Dated(day)} was set again"
            return f"{cause} and left the payment with {Dated(rows[0].date_paid)}: {again}"
        case Change(amount=amount):
            return f"{cause} and set {money(rows[0].amount)}: {money(amount or rows[0].amount)} was set again"
        case Create(amount=amount, date_paid=day):
            return f"{cause} and removed the payment: {money(amount)} with {Dated(day)} was set again"
