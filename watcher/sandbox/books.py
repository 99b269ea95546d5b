"""The books of the sandbox: invoices, their payment rows, and the journal of every write.

They know nothing of HTTP beyond the status a write is answered with. One lock orders all writes; what is
handed out is never changed afterwards, so it may be read at leisure.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from http import HTTPStatus

from watcher.sandbox.clock import Clock
from watcher.sandbox.errors import Record, RequestError, invalid_payment, lasting_fault, not_found, server_fault
from watcher.sandbox.invoices import Invoice, open_invoice
from watcher.sandbox.journal import Journal, Write
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
_BATCH = "GL-1"


class Books:
    """Invoices with payments, strict about what may be written to them.

    Args:
        seeds: the invoices to start with; their ids run from 1001 in this order.
        clock: dates every change; the machine's time unless told.
        rules: how the ConnectWise behaves; a plain one unless told.

    Attributes:
        clock: that clock.
        rules: those rules.
    """

    def __init__(self, seeds: Iterable[InvoiceSeed], clock: Clock | None = None, rules: Rules | None = None) -> None:
        """Enter the seeds."""
        self.clock = clock or Clock()
        self.rules = rules or Rules()
        self._past = Past(self.rules.search_lag_seconds)
        self._lock = threading.Lock()
        self._invoices: dict[int, Invoice] = {}
        self._ids_by_number: dict[str, list[int]] = defaultdict(list)
        self._journal = Journal(self.clock)
        self._next_payment_id = _FIRST_PAYMENT_ID
        self._enter(list(seeds))

    def find(self, condition: Condition) -> list[Record]:
        """Return the invoices that meet a condition, in order of their ids, as a search shows them."""
        with self._lock:
            now = self.clock.now()
            invoices = [self._past.shown(self._invoices[found], now) for found in self._candidates(condition)]
        return [invoice.record for invoice in invoices if condition.matches(invoice.record)]

    def all(self) -> list[Record]:
        """Return all invoices in order of their ids, as they are."""
        with self._lock:
            return [invoice.record for invoice in self._invoices.values()]

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
            RequestError: 404, there is no invoice of this id; or what the rules say to listing them.
        """
        with self._lock:
            if self._number(invoice_id) in self.rules.hides:
                raise lasting_fault(self.rules.hides_status)
            return [self._shown(row, invoice_id) for row in self._invoice(invoice_id).rows()]

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
            fields = read_payment(body, invoice_id, self.rules, self.clock.now().date())
            payment = Payment(self._next_payment_id, fields, None, self._timestamp())
            changed = invoice.adding(payment, self.rules)
            self._put(changed)
            self._next_payment_id += 1
            # One that replaces another has the id of that.
            there = [row.id for row in changed.payments if row.credit is None]
            payment_id = payment.id if payment.id in there else there[0]
            write.payment_id = payment_id
            return self._answered(invoice, payment_id)

    def replace_payment(self, invoice_id: int, payment_id: int, body: object) -> Record:
        """Set every field of a payment anew and return its row (PUT).

        Raises:
            RequestError: 404, there is no such row; 400, it is a credit or the body breaks a rule.
        """
        with self._written("PUT", invoice_id, payment_id, body, 200):
            payment = self._own_payment(invoice_id, payment_id)
            fields = read_payment(body, invoice_id, self.rules, self.clock.now().date())
            return self._change(invoice_id, payment, fields)

    def patch_payment(self, invoice_id: int, payment_id: int, body: object) -> Record:
        """Set single fields of a payment and return its row (PATCH).

        Raises:
            RequestError: 404, there is no such row; 400, it is a credit or the body breaks a rule.
        """
        with self._written("PATCH", invoice_id, payment_id, body, 200):
            payment = self._own_payment(invoice_id, payment_id)
            fields = patch_payment(payment.fields, body, self.rules, self.clock.now().date())
            if self.rules.change_fails:
                raise server_fault()
            return self._change(invoice_id, payment, fields)

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
            self._journal.enter(Write(method, invoice_id, payment_id, body, status), self._number(invoice_id))

    def snapshot(self) -> dict[str, list[Record]]:
        """Return everything at one instant.

        Returns:
            ``invoices``: each invoice with its rows under ``paymentRows``; ``writes``: the journal, an entry
            being sequence, time, method, invoiceId, invoiceNumber, paymentId, body and status.
        """
        with self._lock:
            invoices = list(self._invoices.values())
            writes = self._journal.entries()
        return {
            "invoices": [{**invoice.record, "paymentRows": invoice.rows()} for invoice in invoices],
            "writes": writes,
        }

    def _enter(self, seeds: list[InvoiceSeed]) -> None:
        updated = self._timestamp()
        memo_ids: dict[str, int] = {}
        for ordinal, seed in enumerate(seeds):
            invoice_id = _FIRST_INVOICE_ID + ordinal
            self._invoices[invoice_id] = open_invoice(ordinal, invoice_id, seed, _MEMBER, updated, self.rules)
            self._ids_by_number[seed.number.casefold()].append(invoice_id)
            if seed.type == "CreditMemo":
                memo_ids.setdefault(seed.number, invoice_id)
        for invoice, seed in zip(list(self._invoices.values()), seeds, strict=True):
            if seed.payments:
                rows = [self._seeded(row, memo_ids, updated) for row in seed.payments]
                self._invoices[invoice.id] = invoice.settled(rows, updated)

    def _seeded(self, seed: PaymentSeed, memo_ids: dict[str, int], updated: str) -> Payment:
        credit: Record | None = None
        if seed.credit is not None:
            memo_id = memo_ids.setdefault(seed.credit, _FIRST_OUTSIDE_CREDIT_ID + len(memo_ids))
            credit = {"id": memo_id, "identifier": seed.credit}
        fields = PaymentFields(exact_cents(seed.amount), {**DEFAULT_DETAILS, "paymentDate": _midnight(seed.date)})
        payment = Payment(self._next_payment_id, fields, credit, updated)
        self._next_payment_id += 1
        return payment

    def _candidates(self, condition: Condition) -> Iterable[int]:
        numbers = condition.only.get("invoiceNumber")
        if numbers is None:
            return self._invoices
        return sorted({found for number in numbers for found in self._ids_by_number.get(number.casefold(), ())})

    def _invoice(self, invoice_id: int) -> Invoice:
        invoice = self._invoices.get(invoice_id)
        if invoice is None:
            raise not_found("Invoice", invoice_id)
        return invoice

    def _row(self, invoice_id: int, payment_id: int) -> Record:
        invoice = self._invoice(invoice_id)
        return self._shown(invoice.payment(payment_id).record(invoice.record, _MEMBER), invoice_id)

    def _shown(self, row: Record, invoice_id: int) -> Record:
        """Return a row of an invoice as the API serves it."""
        return {**row, "glBatchID": _BATCH} if self._is_batched(invoice_id) else row

    def _is_batched(self, invoice_id: int) -> bool:
        return self._number(invoice_id) in self.rules.batched

    def _own_payment(self, invoice_id: int, payment_id: int) -> Payment:
        payment = self._invoice(invoice_id).payment(payment_id)
        if payment.credit is not None:
            message = f"Payment {payment_id} applies a credit and cannot be changed as a payment."
            raise invalid_payment("InvalidField", message, "credit")
        if self._is_batched(invoice_id):
            message = f"Payment {payment_id} is in GL batch {_BATCH}, which is closed."
            raise invalid_payment("InvalidField", message, "glBatchID")
        return payment

    def _change(self, invoice_id: int, payment: Payment, fields: PaymentFields) -> Record:
        changed = Payment(payment.id, fields, None, self._timestamp())
        before = self._invoice(invoice_id)
        self._put(before.changing(changed, self.rules))
        return self._answered(before, payment.id)

    def _answered(self, before: Invoice, payment_id: int) -> Record:
        """Return a row as the answer to a write shows it."""
        row = self._invoice(before.id).answer(payment_id, before, self.rules)
        return self._shown(row, before.id)

    @contextmanager
    def _written(
        self, method: str, invoice_id: int, payment_id: int | None, body: object, status: int
    ) -> Iterator[Write]:
        """Hold the lock over a write and its journal entry, so that their orders agree."""
        write = Write(method, invoice_id, payment_id, body)
        with self._lock, self._journal.written(write, status, self._number(invoice_id)):
            self._play_faults(self._number(invoice_id))
            try:
                yield write
            except RequestError as refusal:
                if refusal.status == HTTPStatus.BAD_REQUEST:
                    refusal.status = self.rules.refusal_status
                raise

    def _play_faults(self, number: str | None) -> None:
        """Refuse a write that the rules refuse."""
        if number in self.rules.refuses:
            raise lasting_fault(HTTPStatus.FORBIDDEN)
        if number in self.rules.fails:
            raise lasting_fault(HTTPStatus.INTERNAL_SERVER_ERROR)
        if self.rules.refuses_all:
            raise lasting_fault(self.rules.refuses_all)

    def _number(self, invoice_id: int) -> str | None:
        invoice = self._invoices.get(invoice_id)
        return None if invoice is None else invoice.number

    def _put(self, invoice: Invoice) -> None:
        self._past.ended(self._invoices[invoice.id], self.clock.now())
        self._invoices[invoice.id] = invoice

    def _timestamp(self) -> str:
        # ConnectWise developer guide: the API speaks UTC in whole seconds.
        return self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def _midnight(day: date | None) -> str | None:
    return None if day is None else f"{day}T00:00:00Z"
