"""ConnectWise PSA: the calls this program makes, typed. What an answer or a fault means to HTTP is ``gateway``'s.

What is known of the API comes from ConnectWise's OpenAPI file (finance, 2025.1) and its developer guide. A payment has
no field for a reference of ours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from watcher.connectwise.http import Gateway
from watcher.errors import AnswerLost, Missing
from watcher.payments.model import ZERO, Call, Change, Create, HeldPayment, Invoice, Remove, money

# The developer guide recommends at most 2,000 characters a URL.
_LONGEST_URL = 2000
# The largest page ConnectWise gives (developer guide); without a size it gives 25 rows.
_PAGE_SIZE = 1000
_INVOICE_FIELDS = "id,invoiceNumber,type,total,payments,credits"


class ConnectWise:
    """The calls this program makes. Safe to use from several threads."""

    def __init__(self, gateway: Gateway) -> None:
        """Make no call yet."""
        self._gateway = gateway

    def answered_at(self) -> datetime | None:
        """Say when ConnectWise last gave a good answer, aware; None before the first."""
        return self._gateway.answered_at

    def look_ups(self, invoice_numbers: Iterable[str]) -> Iterator[tuple[str, ...]]:
        """Split invoice numbers into groups that fit into one ``find_invoices`` each."""
        room = _LONGEST_URL - len(self._gateway.url(_page(_invoices_path(()), 999)))
        group: list[str] = []
        used = 0
        for number in invoice_numbers:
            # The quoted number and its comma, as they stand in the URL.
            length = len(quote(f'"{number}",', safe=","))
            if group and used + length > room:
                yield tuple(group)
                group, used = [], 0
            group.append(number)
            used += length
        if group:
            yield tuple(group)

    def find_invoices(self, invoice_numbers: Sequence[str]) -> dict[str, list[Invoice]]:
        """Look up invoices by number, all in one request.

        Args:
            invoice_numbers: one group of ``look_ups``.

        Returns:
            The invoices found by their case-folded, trimmed number; several under one number if ConnectWise has them.
        """
        wanted = {number.casefold() for number in invoice_numbers}
        found: dict[str, list[Invoice]] = defaultdict(list)
        for row in self._pages(_invoices_path(invoice_numbers)):
            invoice = _invoice(row)
            key = invoice.number.strip().casefold()
            if key in wanted:
                found[key].append(invoice)
        return found

    def find_numbers(self, invoice_ids: Sequence[int]) -> dict[int, str]:
        """Look up the numbers of invoices by ConnectWise's ids, all in one request.

        Args:
            invoice_ids: as many as fit into a URL, a hundred.

        Returns:
            The numbers by id; an id without an invoice is not there.
        """
        conditions = quote(f"id in ({','.join(map(str, invoice_ids))})", safe="(),")
        path = f"/finance/invoices?pageSize={_PAGE_SIZE}&fields=id,invoiceNumber&conditions={conditions}"
        wanted = set(invoice_ids)
        return {row["id"]: str(row.get("invoiceNumber") or "") for row in self._pages(path) if row["id"] in wanted}

    def list_payments(self, invoice_id: int) -> tuple[HeldPayment, ...]:
        """List an invoice's payment rows, applied credits among them.

        Raises:
            Missing: there is no such invoice.
        """
        path = f"/finance/invoices/{invoice_id}/payments?pageSize={_PAGE_SIZE}"
        return tuple(_held_payment(row) for row in self._pages(path))

    def carry_out(self, call: Call) -> int | None:
        """Make the one writing call of a plan.

        Returns:
            ConnectWise's id of the payment row; None once it is removed.

        Raises:
            Rejection: ConnectWise refuses this record; Missing where the invoice or the row is gone.
            AnswerLost: a POST may or may not have been carried out.
            Unreachable, SignInRefused: nothing was done; the line waits.
        """
        payments = f"/finance/invoices/{call.invoice_id}/payments"
        match call:
            case Create(amount=amount, date_paid=day):
                body: dict[str, Any] = {"type": "P", "amount": amount, "invoice": {"id": call.invoice_id}}
                if day is not None:
                    body["paymentDate"] = _midnight(day)
                answer = self._gateway.once("POST", payments, body, sound=_is_record)
                balance = _decimal(answer.get("invoiceBalance"))
                if balance is not None and call.balance_after is not None and balance < call.balance_after:
                    raise AnswerLost(
                        f"the invoice has {money(balance)} left to pay where {money(call.balance_after)} was expected: "
                        "another payment may have come in between",
                        payment_id=answer["id"],
                    )
                return int(answer["id"])
            case Change():
                self._gateway.repeatedly("PATCH", f"{payments}/{call.payment_id}", _patch(call), sound=_is_record)
                return call.payment_id
            case Remove():
                # Missing is what is asked: a DELETE is repeated until it is answered by 204 or the row is gone.
                with suppress(Missing):
                    self._gateway.repeatedly("DELETE", f"{payments}/{call.payment_id}", sound=lambda _content: False)
                return None

    def version(self) -> str:
        """Ask which ConnectWise this is; proves the way there, not the keys."""
        answer = self._gateway.repeatedly("GET", "/system/info", sound=lambda content: isinstance(content, dict))
        return str(answer.get("version", "unknown"))

    def any_invoice_id(self) -> int | None:
        """Read one invoice's id, which proves the sign-in and the right to read invoices; None where there is none."""
        rows = self._gateway.repeatedly("GET", "/finance/invoices?pageSize=1&fields=id", sound=_are_records)
        return int(rows[0]["id"]) if rows else None

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            rows = self._gateway.repeatedly("GET", path if page == 1 else _page(path, page), sound=_are_records)
            yield from rows
            if len(rows) < _PAGE_SIZE:
                return
            page += 1


def _is_record(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("id"), int)


def _are_records(content: Any) -> bool:
    return isinstance(content, list) and all(_is_record(row) for row in content)


def _invoices_path(invoice_numbers: Sequence[str]) -> str:
    listed = ",".join(f'"{number}"' for number in invoice_numbers)
    conditions = quote(f"invoiceNumber in ({listed})", safe="(),")
    return f"/finance/invoices?pageSize={_PAGE_SIZE}&fields={_INVOICE_FIELDS}&conditions={conditions}"


def _page(path: str, page: int) -> str:
    return f"{path}&page={page}"


def _invoice(row: dict[str, Any]) -> Invoice:
    return Invoice(
        id=int(row["id"]),
        number=str(row.get("invoiceNumber") or ""),
        type=str(row.get("type") or ""),
        total=_decimal(row.get("total")),
        paid=_decimal(row.get("payments")),
        credits=_decimal(row.get("credits")) or ZERO,
    )


def _held_payment(row: dict[str, Any]) -> HeldPayment:
    written = row.get("paymentDate")
    return HeldPayment(
        id=int(row["id"]),
        amount=_decimal(row.get("amount")) or ZERO,
        date_paid=date.fromisoformat(written[:10]) if written else None,
        applies_credit=bool(row.get("credit")),
    )


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _patch(call: Change) -> list[dict[str, Any]]:
    """Write a change in the developer guide's dialect: bare, case-sensitive paths; values as strings."""
    operations: list[dict[str, Any]] = []
    if call.amount is not None:
        operations.append({"op": "replace", "path": "amount", "value": money(call.amount)})
    if call.date_paid is not None:
        operations.append({"op": "replace", "path": "paymentDate", "value": _midnight(call.date_paid)})
    if call.clear_date:
        operations.append({"op": "remove", "path": "paymentDate"})
    return operations


def _midnight(day: date) -> str:
    """Write a calendar day as ConnectWise stores days: midnight UTC."""
    return f"{day.isoformat()}T00:00:00Z"
