"""One invoice with its payment rows, and the rules for what may be paid on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal

from watcher.sandbox.errors import Record, invalid_payment, not_found
from watcher.sandbox.payments import CENT, Payment, exact_amount
from watcher.sandbox.rules import Rules
from watcher.sandbox.seeds import InvoiceSeed

_NOTHING = Decimal("0.00")
_COMPANIES = ("Northwind Traders", "Contoso", "Fabrikam", "Tailspin Toys", "Woodgrove Bank")
_FIRST_DATE = date(2025, 1, 2)
_CENT_DECIMALS = 2
_CURRENCY: Record = {
    "id": 1,
    "symbol": "$",
    "currencyCode": "USD",
    "decimalSeparator": ".",
    "numberOfDecimals": 2,
    "thousandsSeparator": ",",
    "negativeParenthesesFlag": False,
    "displaySymbolFlag": True,
    "currencyIdentifier": "USD",
    "displayIdFlag": False,
    "rightAlign": False,
    "name": "US Dollars",
}


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice as it stands; every change gives a new one, so a reader needs no lock.

    Attributes:
        id: the number the API knows it by; not the invoice number.
        number: the invoice number.
        payable: what is to be paid on it if there are no payments and no credits: all of it but a down payment.
        record: the invoice as the API serves it, with payments, credits and balance computed.
        payments: its rows in the order they came, applied credits among them.
        member: whose changes these are.
    """

    id: int
    number: str
    payable: Decimal
    record: Record
    payments: tuple[Payment, ...]
    member: str

    @property
    def balance(self) -> Decimal:
        """What is left to pay."""
        paid, credited = _sums(self.payments)
        return self.payable - paid - credited

    def rows(self) -> list[Record]:
        """Return the payment rows as the API serves them."""
        return [payment.record(self.record, self.member) for payment in self.payments]

    def answer(self, payment_id: int, before: Invoice, rules: Rules) -> Record:
        """Return a row as the answer to a write shows it.

        Args:
            payment_id: of the row.
            before: the invoice as it was before the write.
            rules: what such an answer shows.
        """
        payment = self.payment(payment_id)
        balances = {
            "true": self.balance,
            "missing": None,
            "stale": before.balance,
            "low": self.balance - payment.fields.amount,
        }
        row = {**payment.record(self.record, self.member), "invoiceBalance": balances[rules.invoice_balance]}
        return row if rules.id_in_answers else {name: row[name] for name in row if name != "id"}

    def payment(self, payment_id: int) -> Payment:
        """Return one of its rows.

        Raises:
            RequestError: 404, the invoice has no such row.
        """
        for payment in self.payments:
            if payment.id == payment_id:
                return payment
        raise not_found("Payment", payment_id)

    def settled(self, payments: Sequence[Payment], updated: str) -> Invoice:
        """Return the invoice with other rows, whatever they are.

        The published samples agree with balance = total - payments - credits; none has a down payment.
        """
        changed = replace(self, payments=tuple(payments))
        paid, credited = _sums(payments)
        record = {
            **self.record,
            "payments": paid,
            "credits": credited,
            "balance": changed.balance,
            "_info": {"lastUpdated": updated, "updatedBy": self.member},
        }
        return replace(changed, record=record)

    def adding(self, payment: Payment, rules: Rules) -> Invoice:
        """Return the invoice with one payment more.

        Integrators' documentation: ConnectWise allows a single payment an invoice; rows that
        apply a credit do not count. Whether it refuses a second one is not proved.

        Args:
            payment: the payment.
            rules: what becomes of a second one, and of one that is too much.

        Raises:
            RequestError: 400, there is a payment already, or the amount is too much.
        """
        held = next((row for row in self.payments if row.credit is None), None)
        if held is not None and rules.second_payment == "refused":
            raise invalid_payment("ObjectExists", f"Invoice {self.number} already has a payment.", "invoice")
        if held is not None and rules.second_payment == "replaces":
            return self.changing(replace(payment, id=held.id), rules)
        return self._checked((*self.payments, payment), payment, rules)

    def changing(self, payment: Payment, rules: Rules) -> Invoice:
        """Return the invoice with the row of the payment's id replaced by the payment.

        Args:
            payment: the row as it is to be.
            rules: what becomes of an amount that is too much.

        Raises:
            RequestError: 400, the amount is too much.
        """
        rows = [payment if row.id == payment.id else row for row in self.payments]
        return self._checked(rows, payment, rules)

    def removing(self, payment: Payment, updated: str) -> Invoice:
        """Return the invoice without one of its payments."""
        return self.settled([row for row in self.payments if row.id != payment.id], updated)

    def _checked(self, rows: Sequence[Payment], payment: Payment, rules: Rules) -> Invoice:
        # What a payment on a credit memo would mean is documented nowhere, so none is taken.
        if self.record["type"] == "CreditMemo":
            raise invalid_payment("InvalidField", f"{self.number} is a credit memo.", "invoice")
        paid, credited = _sums(rows)
        open_amount = self.payable - credited
        if paid > open_amount and rules.overpayment == "refused":
            message = f"amount {paid} is more than {open_amount}, what is to be paid less credits."
            raise invalid_payment("InvalidField", message, "amount")
        if paid > open_amount and rules.overpayment == "cut":
            most = max(_NOTHING, payment.fields.amount - (paid - open_amount)).quantize(CENT, ROUND_DOWN)
            cut = replace(payment, fields=payment.fields._replace(amount=most))
            rows = [cut if row is payment else row for row in rows]
        return self.settled(rows, payment.updated)


def open_invoice(ordinal: int, invoice_id: int, seed: InvoiceSeed, member: str, updated: str, rules: Rules) -> Invoice:
    """Return an invoice without payment rows.

    Args:
        ordinal: its place in the books, from which company and dates follow.
        invoice_id: the number the API is to know it by.
        seed: its number, amounts and type.
        member: who is said to have written it.
        updated: when, as the API writes times.
        rules: what its total holds.
    """
    whole, tax, down = (exact_amount(amount) for amount in (seed.total, seed.tax, seed.down_payment))
    if rules.total_decimals > _CENT_DECIMALS and whole == whole.quantize(CENT):
        whole = exact_amount(whole + Decimal(1).scaleb(-rules.total_decimals))
    left_out = tax * rules.total_without_tax + down * rules.total_without_down_payment
    company_id = ordinal % len(_COMPANIES)
    name = _COMPANIES[company_id]
    company = {"id": 20 + company_id, "identifier": name.replace(" ", ""), "name": name}
    day = _FIRST_DATE + timedelta(days=ordinal % 365)
    record: Record = {
        "id": invoice_id,
        "invoiceNumber": seed.number,
        "type": seed.type,
        # Closing an invoice is what sends it to accounting, so closed invoices are the ones that get paid.
        "status": {"id": 3, "name": "Closed", "isClosed": True},
        "company": company,
        "billToCompany": company,
        "shipToCompany": company,
        "applyToType": "All",
        "date": f"{day}T00:00:00Z",
        "dueDate": f"{day + timedelta(days=30)}T00:00:00Z",
        "restrictDownpaymentFlag": False,
        "locationId": 2,
        "departmentId": 10,
        "location": {"id": 2, "name": "Head Office"},
        "department": {"id": 10, "identifier": "Services", "name": "Services"},
        "taxableFlag": bool(tax),
        "currency": _CURRENCY,
        "subtotal": whole - tax,
        "salesTax": tax,
        "total": whole - left_out,
        "downpaymentApplied": down,
        "specialInvoiceFlag": False,
    }
    return Invoice(invoice_id, seed.number, whole - down, record, (), member).settled((), updated)


def _sums(payments: Sequence[Payment]) -> tuple[Decimal, Decimal]:
    paid = sum((row.fields.amount for row in payments if row.credit is None), _NOTHING)
    credited = sum((row.fields.amount for row in payments if row.credit is not None), _NOTHING)
    return paid, credited
