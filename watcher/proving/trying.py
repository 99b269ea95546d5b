"""The writes of a proof, step by step, on the test invoice alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from watcher.connectwise.changing import ChangeBy, ClearDate, Ways
from watcher.lifetime import Lifetime
from watcher.payments.model import money
from watcher.proving import answers, dates
from watcher.proving.facts import Seen, seen
from watcher.proving.findings import Finding, differs
from watcher.proving.looking import Looks, about_invoice
from watcher.proving.writing import TestInvoice, Tried

# How long after a payment the search is asked for it (seconds).
_LOOKS = (0.0, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0)
_CENT = Decimal("0.01")
# The least status of a refusal.
_REFUSED = 400

# Asks a person something that only a screen shows; None if nobody can be asked.
Ask = Callable[[str], bool | None]


class Trial:
    """Pays, changes and removes payments on the test invoice, and says what that showed."""

    def __init__(
        self, invoice: TestInvoice, looks: Looks, ways: Ways, lifetime: Lifetime, ask: Ask, today: date
    ) -> None:
        """Write nothing yet.

        Args:
            invoice: the test invoice.
            looks: makes the looks that the product does not make.
            ways: how payments are changed, by the configuration.
            lifetime: of this process.
            ask: asks a person.
            today: the day it is.
        """
        self._invoice = invoice
        self._looks = looks
        self._ways = ways
        self._lifetime = lifetime
        self._ask = ask
        self._day = today - timedelta(days=1)
        self._total = invoice.noted.total
        self._first, self._second, self._changed = answers.amounts(self._total)
        # The statuses of the answers to what ConnectWise refused.
        self._refused: list[int] = []

    def findings(self) -> Iterator[Finding]:
        """Make the steps, and yield what each shows. It ends early where nothing more can be tried.

        Raises:
            Unreachable, SignInRefused: ConnectWise cannot be asked.
            Intruded: somebody else's payment is on the invoice.
            Stopping: the process is asked to end.
        """
        self._invoice.rows()
        payment_id, found = self._make()
        yield from found
        if payment_id is None:
            return
        dates_itself = any("date_by_server" in each.rules for each in found)
        payment_id, found = self._second_payment(payment_id)
        yield from found
        change_by, finding = self._change(payment_id)
        yield finding
        if change_by is not None:
            yield from self._dates(payment_id, change_by, dates_itself=dates_itself)
            yield self._too_much(payment_id, change_by)
        if self._refused:
            yield answers.refusals(self._refused)
        yield self._export(payment_id)
        removed = list(self._remove(payment_id, change_by or "patch"))
        yield from removed
        if removed[0].name == "removal" and len(removed) > 1:
            yield from self._at_once()

    def _make(self) -> tuple[int | None, list[Finding]]:
        """Make the first payment, without a date."""
        noted = self._invoice.noted
        before = self._total if noted.balance is None else noted.balance
        tried = self._invoice.add(self._first, None, before - self._first)
        if tried.payment_id is None:
            return None, [answers.not_made(tried.words, tried.status)]
        posted = next(each for each in reversed(self._looks.gateway.answers) if each.method == "POST")
        # Before anything else: every other call gives the search time.
        fresh = list(self._freshness(tried.payment_id))
        row = self._invoice.row(tried.payment_id)
        found = [answers.made(row, self._first, "" if tried.done else tried.note)]
        if tried.done:
            answer = Seen(posted.content if isinstance(posted.content, dict) else {})
            found.append(answers.names_its_row(answer.id != 0))
            found.append(answers.balance(answer.amount("invoiceBalance"), noted.balance, before - self._first))
        found += [dates.undated(row), *fresh]
        return tried.payment_id, found

    def _freshness(self, payment_id: int) -> Iterator[Finding]:
        """Look the invoice up until the search shows the first payment; list the payments once, at once."""
        made = self._lifetime.now()
        for after in _LOOKS:
            self._lifetime.sleep(max(0.0, after - (self._lifetime.now() - made)))
            shown = self._invoice.find()
            lasted = self._lifetime.now() - made
            if after == 0:
                yield answers.listed_at_once(any(row.id == payment_id for row in self._invoice.rows()))
            if shown is not None and shown.paid in (None, self._first):
                yield answers.freshness(0 if after == 0 else max(1, int(lasted)), lasted)
                return
        yield answers.freshness(None, self._lifetime.now() - made)

    def _second_payment(self, first: int) -> tuple[int, list[Finding]]:
        """Make a second payment; return the id of the one that stays."""
        tried = self._invoice.add(self._second, None, None)
        rows = self._invoice.rows()
        found = [answers.second(tried.words, first, rows, self._second, done=tried.done)]
        surplus = [row.id for row in rows if row.id != first]
        self._note_refusal(tried)
        if len(rows) <= 1:
            return rows[0].id if rows else first, found
        for payment_id in surplus:
            self._invoice.remove(payment_id)
        return first, [*found, answers.whole_after(first, self._first, self._invoice.rows())]

    def _change(self, payment_id: int) -> tuple[ChangeBy | None, Finding]:
        """Change the amount: as configured, and in the other way if that fails."""
        configured = self._ways.change_by
        order: tuple[ChangeBy, ...] = ("patch", "put") if configured == "patch" else ("put", "patch")
        first: Tried | None = None
        for way in order:
            tried = self._invoice.change(payment_id, Ways(way, self._ways.clear_date), self._changed)
            first = first or tried
            if self._invoice.row(payment_id).amount("amount") == self._changed:
                return way, answers.change(configured, way, first.words)
            if way == "patch":
                self._other_patches(payment_id)
        assert first is not None
        return None, answers.change(configured, None, first.words)

    def _other_patches(self, payment_id: int) -> None:
        """Try what other programs send. The report has the answers; the product has no setting for it."""
        values: tuple[tuple[str, Any], ...] = (("/amount", money(self._changed)), ("amount", self._changed))
        for path, value in values:
            self._invoice.patch(payment_id, [{"op": "replace", "path": path, "value": value}])

    def _dates(self, payment_id: int, change_by: ChangeBy, *, dates_itself: bool) -> Iterator[Finding]:
        way = Ways(change_by, self._ways.clear_date)
        tried = self._invoice.change(payment_id, way, self._total, self._day)
        if not tried.done:
            yield differs("full_payment", f"a change to the whole total, with a date, is answered by {tried.words}")
            return
        yield from dates.full(self._invoice.row(payment_id), self._invoice.read(), self._total, self._day)
        number = self._invoice.noted.invoice_number
        question = (
            f"Look at invoice {number} in ConnectWise now: does it show {money(self._total)} paid on {self._day}?"
        )
        yield dates.screen(number, self._total, self._day, self._ask(question))
        if dates_itself:
            self._invoice.change(payment_id, way, self._changed)
            yield dates.unclear()
        else:
            yield self._clear(payment_id, change_by)

    def _clear(self, payment_id: int, change_by: ChangeBy) -> Finding:
        """Take the date off: as configured, and in the other ways if that fails."""
        configured: ClearDate = self._ways.clear_date
        failed: dict[ClearDate, str] = {}
        removal = "allowed"
        others: tuple[ClearDate, ...] = ("remove", "empty", "put")
        order = () if configured == "never" else (configured, *(way for way in others if way != configured))
        for clear in order:
            if change_by == "put" and clear == "put" and "remove" in failed:
                # It is the same call.
                continue
            ways = Ways(change_by, clear)
            tried = self._invoice.change(payment_id, ways, self._changed, clear_date=True)
            row = self._invoice.row(payment_id)
            if row.amount("amount") == self._changed and not row.shows("paymentDate"):
                return dates.cleared(configured, clear, failed, removal)
            failed[clear] = tried.words if not tried.done else "the answer says that it is gone"
            if clear == "remove" and change_by == "patch":
                removal = "ignored" if tried.done else ("refused" if tried.status < 500 else "fails")
        self._invoice.change(payment_id, Ways(change_by, "never"), self._changed)
        worked: ClearDate | None = "never" if configured == "never" else None
        return dates.cleared(configured, worked, failed, removal)

    def _too_much(self, payment_id: int, change_by: ChangeBy) -> Finding:
        ways, asked = Ways(change_by, self._ways.clear_date), self._total + _CENT
        tried = self._invoice.change(payment_id, ways, asked)
        shown = self._invoice.row(payment_id).amount("amount")
        if shown != self._changed:
            self._invoice.change(payment_id, ways, self._changed)
        done = tried.done and shown != self._changed
        self._note_refusal(tried)
        return answers.too_much(tried.words, done=done, shown=shown, asked=asked)

    def _note_refusal(self, tried: Tried) -> None:
        if not tried.done and tried.status >= _REFUSED:
            self._refused.append(tried.status)

    def _export(self, payment_id: int) -> Finding:
        noted = self._invoice.noted
        answer = self._looks.ask(
            f"/finance/accounting/unpostedpayments?pageSize=1000&conditions={about_invoice(noted.invoice_number)}"
        )
        if answer.status == 400:
            answer = self._looks.ask("/finance/accounting/unpostedpayments?pageSize=1000&orderBy=id%20desc")
        self._looks.ask(f"/system/reports/InvoicePayments?pageSize=10&conditions={about_invoice(noted.invoice_number)}")
        if not answer.is_good:
            return answers.export(None, answer.words)
        return answers.export(any(_is_about(row, noted.invoice_number, payment_id) for row in seen(answer.content)), "")

    def _remove(self, payment_id: int, change_by: ChangeBy) -> Iterator[Finding]:
        tried = self._invoice.remove(payment_id)
        rows = self._invoice.rows()
        yield answers.removed(tried.words, rows)
        if rows:
            return
        again = self._invoice.remove(payment_id)
        patched = self._invoice.change(payment_id, Ways(change_by, self._ways.clear_date), self._changed)
        yield answers.gone(again.words, patched.words, missing=patched.missing)

    def _at_once(self) -> Iterator[Finding]:
        self._invoice.rows()
        tried = self._invoice.add(self._total, self._day, Decimal(0))
        if tried.payment_id is None:
            yield differs("usual_case", f"a whole payment that is made at once is answered by {tried.words}")
            return
        times = [each.milliseconds for each in self._looks.gateway.answers]
        yield answers.at_once(self._invoice.read(), self._total, sum(times) / len(times))
        self._invoice.remove(tried.payment_id)


def _is_about(row: Seen, number: str, payment_id: int) -> bool:
    """Return True if an entry of a list is about a payment of the test invoice."""
    return row.id == payment_id or any(
        value == number or (isinstance(value, dict) and number in value.values()) for value in row.raw.values()
    )
