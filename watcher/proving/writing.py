"""Writes to the test invoice: each is noted before it is made, and nothing else is ever written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from watcher.connectwise.changing import Ways
from watcher.connectwise.client import ConnectWise
from watcher.connectwise.recorded import RecordingGateway
from watcher.errors import (
    AnswerLost,
    Contradicted,
    Missing,
    Outage,
    PaymentWatcherError,
    Rejection,
    Scope,
    SignInRefused,
    Stopping,
    Unreachable,
)
from watcher.lifetime import Lifetime
from watcher.payments.invoices import HeldPayment, Invoice
from watcher.payments.model import Change, Create, Remove, money
from watcher.proving.facts import Seen
from watcher.proving.notes import Noted, Notes

# How often the payments are read again after a lost answer (seconds).
_LOOK_SECONDS = 5.0
# Answers to a method or a path that this ConnectWise does not offer.
_NOT_OFFERED = (404, 405)


class Intruded(PaymentWatcherError):
    """A payment of somebody else is on the test invoice: it is not touched."""

    def __init__(self, noted: Noted, row: HeldPayment) -> None:
        super().__init__(
            f"Invoice {noted.invoice_number} has payment {row.id} of {money(row.amount)}, which this command did not "
            "make. It is left alone. The proof is not finished: use an invoice that nobody else works on."
        )


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a write.

    Attributes:
        done: ConnectWise says that it was carried out.
        words: ConnectWise's answer: the status, and its own words if it refused.
        status: of the answer; 0 if there is none.
        payment_id: the id of the row that was made; None if it is not known.
        missing: the row or the invoice is not there.
        note: what is odd about an answer that is good otherwise.
    """

    done: bool
    words: str
    status: int
    payment_id: int | None = None
    missing: bool = False
    note: str = ""


class TestInvoice:
    """The one invoice that a proof writes to."""

    # It is no test of this program.
    __test__ = False

    def __init__(self, gateway: RecordingGateway, ways: Ways, notes: Notes, lifetime: Lifetime) -> None:
        """Write nothing yet.

        Args:
            gateway: makes the calls.
            ways: how a payment row is changed, by the configuration.
            notes: of this proof, which has begun.
            lifetime: of this process.
        """
        self.gateway = gateway
        self._client = ConnectWise(gateway, ways)
        self._notes = notes
        self._lifetime = lifetime

    @property
    def noted(self) -> Noted:
        """What is noted of this proof."""
        return self._notes.noted

    def rows(self) -> tuple[HeldPayment, ...]:
        """List its payment rows.

        Raises:
            Intruded: one of them is somebody else's.
        """
        rows = self._client.list_payments(self.noted.invoice_id)
        for row in rows:
            if not is_own(row, self.noted):
                raise Intruded(self.noted, row)
        return rows

    def read(self) -> Invoice:
        """Read the invoice by its id."""
        return self._client.read_invoice(self.noted.invoice_id)

    def find(self) -> Invoice | None:
        """Look the invoice up by its number; None if the search does not find it."""
        number = self.noted.invoice_number
        found = self._client.find_invoices([number]).get(number.strip().casefold(), [])
        return next((each for each in found if each.id == self.noted.invoice_id), None)

    def row(self, payment_id: int) -> Seen:
        """Read a payment row as ConnectWise gives it; an empty one if it does not."""
        try:
            self.gateway.get(self._path(payment_id))
        except Rejection:
            return Seen({})
        content = self.gateway.answers[-1].content
        return Seen(content if isinstance(content, dict) else {})

    def add(self, amount: Decimal, day: date | None, balance_after: Decimal | None) -> Tried:
        """Make a payment as the product does. If its answer is lost, look for it until the timeout is over.

        Raises:
            Unreachable: ConnectWise cannot be reached. The payment may have been made, and the notes say so.
            SignInRefused: the API member may not do this.
            Intruded: a payment of somebody else is on the invoice.
        """
        self._notes.sending(amount)
        call = Create(self.noted.invoice_id, amount, day, balance_after)
        try:
            written = self._client.carry_out(call)
        except (Rejection, Outage, Stopping) as error:
            # It was refused or not sent. What may have been carried out is an AnswerLost.
            self._notes.not_made()
            if isinstance(error, Rejection):
                return self._refused(error)
            raise
        except AnswerLost as lost:
            return self._late(amount, lost)
        if written.payment_id is None:
            return self._unnamed(amount)
        self._notes.made(written.payment_id)
        return Tried(done=True, words=self._words, status=self._status, payment_id=written.payment_id)

    def change(
        self, payment_id: int, ways: Ways, amount: Decimal, day: date | None = None, *, clear_date: bool = False
    ) -> Tried:
        """Change a payment as the product does.

        Raises:
            Unreachable: ConnectWise cannot be reached.
            SignInRefused: the API member may not do this.
        """
        call = Change(self.noted.invoice_id, payment_id, amount, day, clear_date)
        return self._tried(lambda: ConnectWise(self.gateway, ways).carry_out(call))

    def patch(self, payment_id: int, operations: list[dict[str, Any]]) -> Tried:
        """Send a PATCH that the product does not send."""
        return self._tried(lambda: self.gateway.once("PATCH", self._path(payment_id), operations))

    def remove(self, payment_id: int) -> Tried:
        """Remove a payment as the product does."""
        assert payment_id in self.noted.rows
        return self._tried(lambda: self._client.carry_out(Remove(self.noted.invoice_id, payment_id)))

    def _tried(self, call: Callable[[], object]) -> Tried:
        try:
            call()
        except Rejection as error:
            return self._refused(error)
        except SignInRefused:
            if self._status not in _NOT_OFFERED:
                raise
            # This ConnectWise has other ways, or none.
            return Tried(done=False, words=self._words, status=self._status)
        except Contradicted as odd:
            return Tried(done=True, words=self._words, status=self._status, note=str(odd))
        except AnswerLost as lost:
            if lost.scope.is_no_answer:
                raise Unreachable(str(lost), lost.request_id) from lost
            return Tried(done=False, words=self._words, status=self._status, note=str(lost))
        return Tried(done=True, words=self._words, status=self._status)

    def _unnamed(self, amount: Decimal) -> Tried:
        """Return what became of a new payment whose answer shows no id."""
        lost = AnswerLost("the answer shows no id")
        lost.scope = Scope.ODD
        found = self._late(amount, lost)
        return found if found.payment_id is None else replace(found, done=True, note="")

    def _late(self, amount: Decimal, lost: AnswerLost) -> Tried:
        """Return what became of a new payment whose answer cannot be trusted."""
        if lost.payment_id is not None:
            self._notes.made(lost.payment_id)
            return Tried(done=True, words=self._words, status=self._status, payment_id=lost.payment_id, note=str(lost))
        if lost.scope.is_no_answer:
            # Whoever cleans up looks for it.
            raise Unreachable(str(lost), lost.request_id) from lost
        words, status = self._words, self._status
        until = self._lifetime.now() + self._client.timeout_seconds
        while True:
            new = [row.id for row in self.rows() if row.id not in self.noted.rows and row.amount == amount]
            if new:
                self._notes.made(*new)
                return Tried(done=False, words=words, status=status, payment_id=new[0], note=str(lost))
            if (left := until - self._lifetime.now()) <= 0:
                self._notes.not_made()
                return Tried(done=False, words=words, status=status, note=str(lost))
            self._lifetime.sleep(min(left, _LOOK_SECONDS))

    def _refused(self, error: Rejection) -> Tried:
        return Tried(done=False, words=self._words, status=self._status, missing=isinstance(error, Missing))

    def _path(self, payment_id: int) -> str:
        return f"/finance/invoices/{self.noted.invoice_id}/payments/{payment_id}"

    @property
    def _words(self) -> str:
        return self.gateway.answers[-1].words

    @property
    def _status(self) -> int:
        return self.gateway.answers[-1].status


def is_own(row: HeldPayment, noted: Noted) -> bool:
    """Return True if a payment row is one that a proof made, or may have made by a call without an answer."""
    if row.applies_credit:
        return False
    return row.id in noted.rows or (noted.sending is not None and row.amount == noted.sending)
