"""The calls that this program makes to ConnectWise PSA, typed. What an answer means to HTTP is ``http``'s to know.

The API is known from ConnectWise's OpenAPI file (finance, 2025.1) and its developer guide. A payment has no field for
a reference of ours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

from watcher.connectwise import rows
from watcher.connectwise.changing import Ways, contradiction, midnight
from watcher.connectwise.http import Gateway, Read, Reads
from watcher.errors import Contradicted, Rejection, Scope, Unreachable
from watcher.payments.invoices import HeldPayment, Invoice
from watcher.payments.model import Call, Change, Create, Remove

# The developer guide recommends URLs of at most 2,000 characters.
_LONGEST_URL = 2000
# The largest page that ConnectWise serves (developer guide); without a size a page has 25 rows.
_PAGE_SIZE = 1000
# A server that serves smaller pages than asked for makes them of a multiple of so many rows.
_PAGE_UNIT = 25
# Room is kept in a URL for the number of a page of three digits.
_LAST_PAGE = 999
# The most pages that are read of one list. No invoice has twenty thousand payments.
_MOST_PAGES = 20
_INVOICE_FIELDS = "id,invoiceNumber,type,total,payments,credits,balance,currency"

Term = TypeVar("Term", str, int)
Row = TypeVar("Row", Invoice, HeldPayment)


@dataclass(frozen=True, slots=True)
class Written:
    """What is known of a write that was answered well.

    Attributes:
        payment_id: ConnectWise's id of the payment row; None for a row that was removed, and for a new one if the
            answer does not show it.
        balance_fits: False if the answer to a new payment does not say that as much is left to pay on the invoice as
            was expected. Only a list of its payments shows then that no other one came in between.
        is_short: True if the answer to a new payment says that less is left to pay than was expected. Only the invoice
            itself shows then if something else was set off against it in between.
    """

    payment_id: int | None
    balance_fits: bool = True
    is_short: bool = False


class ConnectWise:
    """The calls that this program makes. Safe to use from several threads."""

    def __init__(
        self,
        gateway: Gateway,
        ways: Ways = Ways(),  # noqa: B008  (it cannot change)
        *,
        hurried: bool = False,
    ) -> None:
        """Make no call yet.

        Args:
            gateway: makes the calls.
            ways: how a payment row is changed.
            hurried: do not repeat a look that hung until its timeout.
        """
        self._gateway = gateway
        self._ways = ways
        self._hurried = hurried

    def hurried(self) -> ConnectWise:
        """Return the same for looks that others wait for: one that hung until its timeout is not repeated at once."""
        return ConnectWise(self._gateway, self._ways, hurried=True)

    def answered_at(self) -> datetime | None:
        """Return when ConnectWise last gave a good answer, aware; None before the first."""
        return self._gateway.answered_at

    @property
    def timeout_seconds(self) -> float:
        """How long one call may take."""
        return self._gateway.timeout_seconds

    def look_ups(self, invoice_numbers: Iterable[str]) -> Iterator[tuple[str, ...]]:
        """Split invoice numbers into groups, each as large as the URL of one ``find_invoices`` allows."""
        return self._groups("invoiceNumber", invoice_numbers)

    def look_ups_by_id(self, invoice_ids: Iterable[int]) -> Iterator[tuple[int, ...]]:
        """Split ConnectWise's ids of invoices into groups, each as large as the URL of one ``find_by_id`` allows."""
        return self._groups("id", invoice_ids)

    def find_invoices(self, invoice_numbers: Sequence[str]) -> dict[str, list[Invoice]]:
        """Look up invoices by number, all in one request.

        Args:
            invoice_numbers: one group of ``look_ups``.

        Returns:
            The invoices found by their trimmed, case-folded number; several under one number if ConnectWise has them.
        """
        wanted = {number.casefold() for number in invoice_numbers}
        found: dict[str, list[Invoice]] = defaultdict(list)
        path = _invoices_path("invoiceNumber", invoice_numbers)
        for invoice in self._pages(path, rows.invoices, len(invoice_numbers)):
            key = invoice.number.strip().casefold()
            if key in wanted:
                found[key].append(invoice)
        return found

    def find_by_id(self, invoice_ids: Sequence[int]) -> dict[int, Invoice]:
        """Look up invoices by ConnectWise's ids, all in one request.

        Args:
            invoice_ids: one group of ``look_ups_by_id``.

        Returns:
            The invoices found by id, with all that ``find_invoices`` returns of them.
        """
        wanted = set(invoice_ids)
        found = self._pages(_invoices_path("id", invoice_ids), rows.invoices, len(invoice_ids))
        return {invoice.id: invoice for invoice in found if invoice.id in wanted}

    def list_payments(self, invoice_id: int) -> tuple[HeldPayment, ...]:
        """List an invoice's payment rows, applied credits among them.

        Raises:
            Missing: there is no such invoice.
        """
        path = f"/finance/invoices/{invoice_id}/payments?pageSize={_PAGE_SIZE}"
        return tuple(self._pages(path, _about(invoice_id, rows.held_payments)))

    def read_invoice(self, invoice_id: int) -> Invoice:
        """Read an invoice by its id. A search may show it as it was a moment ago; this does not.

        Raises:
            Missing: there is no such invoice.
        """
        return self._get(f"/finance/invoices/{invoice_id}?fields={_INVOICE_FIELDS}", reads=rows.invoice)

    def invoice_number(self, invoice_id: int) -> str:
        """Return the number of an invoice, whatever else ConnectWise says of it.

        Raises:
            Missing: there is no such invoice.
        """
        return self._get(f"/finance/invoices/{invoice_id}?fields=id,invoiceNumber", reads=rows.number)

    def finds_what_is_there(self) -> bool:
        """Return True if the search finds an invoice that ConnectWise is known to have."""
        seen = self.any_invoice_id()
        if seen is None:
            return False
        # Its id is enough: another part of it may not be understood.
        conditions = _quoted(f"id in ({seen})")
        return seen in self._get(f"/finance/invoices?pageSize=1&fields=id&conditions={conditions}", reads=rows.ids)

    def carry_out(self, call: Call) -> Written:
        """Make the one writing call of a plan.

        Raises:
            Rejection: ConnectWise refuses this record, or the operator wants no date taken off; ``Missing`` if the
                invoice or the row is gone.
            AnswerLost: the call may or may not have been carried out, or its answer contradicts what was sent.
            Unreachable, SignInRefused: nothing was done; the line waits.
        """
        payments = f"/finance/invoices/{call.invoice_id}/payments"
        match call:
            case Create(amount=amount, date_paid=day):
                body: dict[str, Any] = {"type": "P", "amount": amount, "invoice": {"id": call.invoice_id}}
                if day is not None:
                    body["paymentDate"] = midnight(day)
                told = self._gateway.once("POST", payments, body, reads=_about(call.invoice_id, rows.told))
                _believe(call, told)
                expected = call.balance_after
                return Written(
                    told.id,
                    balance_fits=told.balance is not None and told.balance == expected,
                    is_short=told.balance is not None and expected is not None and told.balance < expected,
                )
            case Change():
                self._change(call, f"{payments}/{call.payment_id}")
                return Written(call.payment_id)
            case Remove():
                self._gateway.once("DELETE", f"{payments}/{call.payment_id}", reads=rows.gone)
                return Written(None)

    def version(self) -> str:
        """Return the version of ConnectWise. This proves that it can be reached, not that the keys are right."""
        return self._get("/system/info", reads=rows.version)

    def any_invoice_id(self) -> int | None:
        """Return the id of one invoice, or None if there is none; proves the sign-in and the right to read invoices."""
        ids = self._get("/finance/invoices?pageSize=1&fields=id", reads=rows.ids)
        return ids[0] if ids else None

    def _get(self, path: str, *, reads: Reads[Read]) -> Read:
        return self._gateway.get(path, reads=reads, hurried=self._hurried)

    def _change(self, call: Change, row: str) -> None:
        """Change a payment row in the way that the operator chose."""
        if (refusal := self._ways.refusal(call)) is not None:
            raise Rejection(refusal)
        reads = _about(call.invoice_id, rows.told)
        if self._ways.puts(call):
            held = self._get(row, reads=_about(call.invoice_id, rows.record))
            told = self._gateway.once("PUT", row, self._ways.record(held, call), reads=reads)
        else:
            told = self._gateway.once("PATCH", row, self._ways.operations(call), reads=reads)
        _believe(call, told)

    def _groups(self, field: str, terms: Iterable[Term]) -> Iterator[tuple[Term, ...]]:
        """Split what a field may be into groups that fit into the URL of one look-up."""
        room = _LONGEST_URL - len(self._gateway.url(_page(_invoices_path(field, ()), _LAST_PAGE)))
        group: list[Term] = []
        used = 0
        for term in terms:
            length = len(_quoted(f"{_written(term)},"))
            if group and used + length > room:
                yield tuple(group)
                group, used = [], 0
            group.append(term)
            used += length
        if group:
            yield tuple(group)

    def _pages(self, path: str, reads: Reads[list[Row]], expected: int = _PAGE_SIZE) -> Iterator[Row]:
        """Yield the rows of a list, page by page, each id once: a row that is listed twice is still one row.

        Args:
            path: of the list.
            reads: reads a page.
            expected: how many rows there are at most, as a rule. A page of a round number of rows that are fewer may be
                all that the server serves at once, so the next one is asked for.
        """
        seen: dict[int, Row] = {}
        for page in range(1, _MOST_PAGES + 1):
            found = self._get(path if page == 1 else _page(path, page), reads=_agreeing(seen, reads))
            new = {row.id: row for row in found if row.id not in seen}
            yield from new.values()
            seen |= new
            is_round = bool(new) and len(found) % _PAGE_UNIT == 0 and len(seen) < expected
            if len(found) < _PAGE_SIZE and not is_round:
                return
        endless = Unreachable(f"ConnectWise's list has no end: {_MOST_PAGES} full pages of {path.partition('?')[0]}")
        endless.scope = Scope.ODD
        raise endless


def _believe(call: Create | Change, told: rows.Told) -> None:
    """Make sure that the answer to a write says what was sent.

    Raises:
        Contradicted: it says something else, so that only a list shows what is there.
    """
    contradicts = contradiction(call, told)
    if contradicts is not None:
        reason = f"ConnectWise's answer contradicts what it was sent: {contradicts}"
        raise Contradicted(reason, payment_id=told.id if isinstance(call, Create) else None)


def _invoices_path(field: str, terms: Iterable[str | int]) -> str:
    """Return the path that looks up every invoice whose field equals one of the terms."""
    conditions = _quoted(f"{field} in ({','.join(map(_written, terms))})")
    return f"/finance/invoices?pageSize={_PAGE_SIZE}&fields={_INVOICE_FIELDS}&conditions={conditions}"


def _written(term: str | int) -> str:
    """Return a term as it stands in a condition: text in quotes, a number bare."""
    return f'"{term}"' if isinstance(term, str) else str(term)


def _quoted(condition: str) -> str:
    return quote(condition, safe="(),")


def _page(path: str, page: int) -> str:
    return f"{path}&page={page}"


def _agreeing(seen: Mapping[int, Row], reads: Reads[list[Row]]) -> Reads[list[Row]]:
    """Let a page be understood only if rows with the same id are equal, on this page and on those before it.

    Args:
        seen: the rows of the pages before, by id.
        reads: reads the page.
    """

    def read(content: Any) -> list[Row]:
        found = reads(content)
        known = dict(seen)
        for row in found:
            if known.setdefault(row.id, row) != row:
                raise rows.NotUnderstood(f"two rows with the id {row.id} differ")
        return found

    return read


def _about(invoice_id: int, reads: Reads[Read]) -> Reads[Read]:
    """Let what is not understood in an answer name the invoice."""

    def read(content: Any) -> Read:
        try:
            return reads(content)
        except rows.NotUnderstood as error:
            raise rows.NotUnderstood(f"invoice of id {invoice_id}: {error}", error.payment_id) from error

    return read
