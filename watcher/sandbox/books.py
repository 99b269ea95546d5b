"""The books of the sandbox: invoices, their payment rows, and the journal of every write.

They know nothing of HTTP beyond the status a write is answered with. One lock orders all writes; what is
handed out is never changed afterwards, so it may be read at leisure.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus

from watcher.sandbox.dates import midnight, with_kept_date, without_removal
from watcher.sandbox.errors import Record, RequestError, forbidden, invalid_payment, not_found, trouble
from watcher.sandbox.invoices import Invoice, open_invoice
from watcher.sandbox.past import Past
from watcher.sandbox.payments import (
    DEFAULT_DETAILS,
    Payment,
    PaymentFields,
    exact_cents,
    patch_payment,
    read_payment,
)
from watcher.sandbox.predicates import Condition
from watcher.sandbox.rules import Rules
from watcher.sandbox.seeds import InvoiceSeed, PaymentSeed

# Far apart, so that one kind of id taken for another is never found by chance.
_FIRST_INVOICE_ID = 1001
_FIRST_PAYMENT_ID = 500_001
_FIRST_OUTSIDE_CREDIT_ID = 900_001

_MEMBER = "sandbox"
_AS_EVER = Rules()


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class _Write:
    """A write in the journal while it is under way; 500 stands if it ends by a fault of the sandbox."""

    method: str
    invoice_id: int
    payment_id: int | None
    body: object
    status: int = field(default=500)


class Books:
    """Invoices with payments, strict about what may be written to them.

    Args:
        seeds: the invoices to start with; their ids run from 1001 in this order.
        now: the clock that dates every change.
        rules: what is done where nobody has proved what ConnectWise does.
    """

    def __init__(
        self, seeds: Iterable[InvoiceSeed], now: Callable[[], datetime] = _utc_now, rules: Rules = _AS_EVER
    ) -> None:
        """Enter the seeds."""
        self.rules = rules
        self._past = Past(rules.search_lag_seconds)
        self._lock = threading.Lock()
        self._now = now
        self._invoices: dict[int, Invoice] = {}
        self._ids_by_number: dict[str, list[int]] = defaultdict(list)
        self._journal: list[Record] = []
        self._next_payment_id = _FIRST_PAYMENT_ID
        self._enter(list(seeds))

    def find(self, condition: Condition) -> list[Record]:
        """Return the invoices that meet a condition, in order of their ids."""
        with self._lock:
            numbers = condition.only.get("invoiceNumber")
            if numbers is None:
                invoices = list(self._invoices.values())
            else:
                ids = sorted(found for number in numbers for found in self._ids_by_number.get(number, ()))
                invoices = [self._invoices[found] for found in ids]
            invoices = [self._past.shows(invoice, self._now()) for invoice in invoices]
        return [invoice.record for invoice in invoices if condition.matches(invoice.record)]

    def invoice(self, invoice_id: int) -> Record:
        """Return an invoice.

        Raises:
            RequestError: 404, there is none of this id.
        """
        with self._lock:
            return self._invoice(invoice_id).record

    def payments(self, invoice_id: int) -> list[Record]:
        """Return the rows of an invoice, applied credits among them, in the order they came.

        Raises:
            RequestError: 404, there is no invoice of this id.
        """
        with self._lock:
            invoice = self._invoice(invoice_id)
            if invoice.number in self.rules.hides:
                raise trouble()
            return invoice.rows()

    def payment(self, invoice_id: int, payment_id: int) -> Record:
        """Return one row of an invoice.

        Raises:
            RequestError: 404, there is no such invoice, or it has no such row.
        """
        with self._lock:
            return self._row(invoice_id, payment_id)

    def add_payment(self, invoice_id: int, body: object) -> Record:
        """Enter the payment of an invoice and return its row (POST).

        Args:
            invoice_id: the invoice it is for.
            body: the parsed JSON, numbers being int or Decimal.

        Raises:
            RequestError: 404, there is no such invoice; 400, the body breaks a rule of ``payments``
                or ``Invoice.adding``.
        """
        with self._written("POST", invoice_id, None, body, 201) as write:
            invoice = self._invoice(invoice_id)
            fields = with_kept_date(read_payment(body, invoice_id), None, self.rules, self._now())
            payment = Payment(self._next_payment_id, fields, None, self._timestamp())
            changed = invoice.adding(payment, self.rules.second_payment)
            self._put(changed)
            self._next_payment_id += 1
            write.payment_id = next(
                (row.id for row in changed.payments if row.id == payment.id), changed.payments[0].id
            )
            return self._answered(invoice, write.payment_id)

    def replace_payment(self, invoice_id: int, payment_id: int, body: object) -> Record:
        """Set every field of a payment anew and return its row (PUT).

        Raises:
            RequestError: 404, there is no such row; 400, it is a credit or the body breaks a rule.
        """
        with self._written("PUT", invoice_id, payment_id, body, 200):
            payment = self._own_payment(invoice_id, payment_id)
            return self._change(invoice_id, payment, read_payment(body, invoice_id))

    def patch_payment(self, invoice_id: int, payment_id: int, body: object) -> Record:
        """Set single fields of a payment and return its row (PATCH).

        Raises:
            RequestError: 404, there is no such row; 400, it is a credit or the body breaks a rule.
        """
        with self._written("PATCH", invoice_id, payment_id, body, 200):
            payment = self._own_payment(invoice_id, payment_id)
            if self.rules.change_fails:
                raise trouble("String was not recognized as a valid DateTime.")
            return self._change(invoice_id, payment, patch_payment(payment.fields, without_removal(body, self.rules)))

    def remove_payment(self, invoice_id: int, payment_id: int) -> None:
        """Remove a payment (DELETE).

        Raises:
            RequestError: 404, there is no such row; 400, it is a credit.
        """
        with self._written("DELETE", invoice_id, payment_id, None, 204):
            payment = self._own_payment(invoice_id, payment_id)
            invoice = self._invoice(invoice_id)
            self._put(invoice.removing(payment, self._timestamp()))

    def note_unreadable(self, method: str, invoice_id: int, payment_id: int | None, body: str, status: int) -> None:
        """Enter a write into the journal whose body was refused before it could be understood.

        Args:
            method: the HTTP method.
            invoice_id: the invoice of the path.
            payment_id: the payment of the path, if it has one.
            body: the text that was sent.
            status: the status it was answered with.
        """
        with self._lock:
            self._enter_write(_Write(method, invoice_id, payment_id, body, status))

    def snapshot(self) -> dict[str, list[Record]]:
        """Return everything at one instant.

        Returns:
            ``invoices``: each invoice with its rows under ``paymentRows``; ``writes``: the journal, an entry
            being sequence, time, method, invoiceId, invoiceNumber, paymentId, body and status.
        """
        with self._lock:
            invoices = list(self._invoices.values())
            writes = list(self._journal)
        return {
            "invoices": [{**invoice.record, "paymentRows": invoice.rows()} for invoice in invoices],
            "writes": [dict(write) for write in writes],
        }

    def _enter(self, seeds: list[InvoiceSeed]) -> None:
        updated = self._timestamp()
        memo_ids: dict[str, int] = {}
        for ordinal, seed in enumerate(seeds):
            invoice_id = _FIRST_INVOICE_ID + ordinal
            self._put(open_invoice(ordinal, invoice_id, seed, _MEMBER, updated))
            self._ids_by_number[seed.number.casefold()].append(invoice_id)
            if seed.type == "CreditMemo":
                memo_ids.setdefault(seed.number, invoice_id)
        for invoice, seed in zip(list(self._invoices.values()), seeds, strict=True):
            if seed.payments:
                rows = [self._seeded(row, memo_ids, updated) for row in seed.payments]
                self._past.forget(invoice.id)
                self._put(invoice.settled(rows, updated))

    def _seeded(self, seed: PaymentSeed, memo_ids: dict[str, int], updated: str) -> Payment:
        credit: Record | None = None
        if seed.credit is not None:
            memo_id = memo_ids.setdefault(seed.credit, _FIRST_OUTSIDE_CREDIT_ID + len(memo_ids))
            credit = {"id": memo_id, "identifier": seed.credit}
        fields = PaymentFields(exact_cents(seed.amount), {**DEFAULT_DETAILS, "paymentDate": midnight(seed.date)})
        payment = Payment(self._next_payment_id, fields, credit, updated)
        self._next_payment_id += 1
        return payment

    def _invoice(self, invoice_id: int) -> Invoice:
        invoice = self._invoices.get(invoice_id)
        if invoice is None:
            raise not_found("Invoice", invoice_id)
        return invoice

    def _row(self, invoice_id: int, payment_id: int) -> Record:
        invoice = self._invoice(invoice_id)
        return invoice.payment(payment_id).record(invoice.record, _MEMBER)

    def _own_payment(self, invoice_id: int, payment_id: int) -> Payment:
        payment = self._invoice(invoice_id).payment(payment_id)
        if payment.credit is not None:
            message = f"Payment {payment_id} applies a credit and cannot be changed as a payment."
            raise invalid_payment("InvalidField", message, "credit")
        return payment

    def _change(self, invoice_id: int, payment: Payment, fields: PaymentFields) -> Record:
        before = self._invoice(invoice_id)
        changed = Payment(
            payment.id, with_kept_date(fields, payment.fields, self.rules, self._now()), None, self._timestamp()
        )
        self._put(before.changing(changed))
        return self._answered(before, payment.id)

    def _put(self, invoice: Invoice) -> None:
        self._invoices[invoice.id] = invoice
        self._past.note(invoice, self._now())

    def _answered(self, before: Invoice, payment_id: int) -> Record:
        """Return a row as the answer to a write shows it."""
        row = self._row(before.id, payment_id)
        match self.rules.invoice_balance:
            case "missing":
                return {name: value for name, value in row.items() if name != "invoiceBalance"}
            case "stale":
                return {**row, "invoiceBalance": before.record["balance"]}
            case _:
                return row

    @contextmanager
    def _written(
        self, method: str, invoice_id: int, payment_id: int | None, body: object, status: int
    ) -> Iterator[_Write]:
        """Hold the lock over a write and its journal entry, so that their orders agree."""
        write = _Write(method, invoice_id, payment_id, body)
        with self._lock:
            try:
                self._refuse(invoice_id)
                yield write
                write.status = status
            except RequestError as error:
                write.status = error.status
                raise
            finally:
                self._enter_write(write)

    def _refuse(self, invoice_id: int) -> None:
        """Refuse a write that the rules refuse."""
        invoice = self._invoices.get(invoice_id)
        number = None if invoice is None else invoice.number
        if self.rules.refuses_all == HTTPStatus.FORBIDDEN or number in self.rules.refuses:
            raise forbidden()
        if self.rules.refuses_all or number in self.rules.fails:
            raise trouble()

    def _enter_write(self, write: _Write) -> None:
        invoice = self._invoices.get(write.invoice_id)
        self._journal.append(
            {
                "sequence": len(self._journal) + 1,
                "time": self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "method": write.method,
                "invoiceId": write.invoice_id,
                "invoiceNumber": None if invoice is None else invoice.number,
                "paymentId": write.payment_id,
                "body": write.body,
                "status": write.status,
            }
        )

    def _timestamp(self) -> str:
        # ConnectWise developer guide: the API speaks UTC in whole seconds.
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
