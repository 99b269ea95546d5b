"""What the writes to the test invoice say about dates. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from watcher.connectwise.changing import ClearDate
from watcher.payments.invoices import Invoice
from watcher.payments.model import money
from watcher.proving.facts import Seen
from watcher.proving.findings import Finding, Setting, differs, holds, look, unknown

_DATE_PARTIAL = Setting("payments", "date_partial_payments", value=True)


def undated(row: Seen) -> Finding:
    """Decide if a payment without a date stays without one."""
    if not row.shows("paymentDate"):
        return holds("undated", "a partial payment without a date stays without one")
    what = f"a payment without a date gets one ({row.text('paymentDate')[:10]})"
    return differs("undated", what, "reports take a date for paid", _DATE_PARTIAL, rules={"date_by_server": True})


def full(row: Seen, invoice: Invoice, total: Decimal, day: date) -> Iterator[Finding]:
    """Decide if a payment of the whole total is what it was sent as.

    Args:
        row: as it was read back.
        invoice: as it was read back.
        total: what was paid.
        day: the day that was sent.
    """
    if row.amount("amount") == total and invoice.paid in (None, total) and invoice.balance in (None, Decimal(0)):
        yield holds("full_payment", f"a payment of all {money(total)} leaves nothing to pay")
    else:
        left = "an unknown amount" if invoice.balance is None else money(invoice.balance)
        yield differs("full_payment", f"a payment of all {money(total)} leaves {left} to pay", "look into this first")
    yield _dated(row.text("paymentDate"), day)


def _dated(shown: str, day: date) -> Finding:
    name = "date"
    if shown[:10] == day.isoformat():
        return holds(name, "the date of a payment stays the day that was sent")
    try:
        shift = (date.fromisoformat(shown[:10]) - day).days
    except ValueError:
        means = "payments that are whole would not count as paid in reports"
        return differs(name, f"a payment dated {day} shows {shown or 'no date'}", means)
    what = f"a payment dated {day} shows {shown[:10]}: {abs(shift)} day{'' if abs(shift) == 1 else 's'} off"
    return differs(
        name, what, "amounts are right, and each payment bears a wrong day", rules={"date_shift_days": shift}
    )


def screen(number: str, total: Decimal, day: date, answer: bool | None) -> Finding:
    """Return what a person saw on ConnectWise's screen.

    Args:
        number: of the invoice.
        total: what was paid.
        day: the day that was sent.
        answer: True if the screen showed both; None if nobody was asked.
    """
    what = f"invoice {number} showed {money(total)} paid on {day} on ConnectWise's screen"
    if answer is None:
        what = f"whether ConnectWise's screen shows {money(total)} paid on {day}"
        return look("screen", what, "nobody was asked; without --yes you are asked at the right moment")
    if answer:
        return holds("screen", what)
    return differs("screen", f"invoice {number} did not show {money(total)} paid on {day} on ConnectWise's screen")


def cleared(configured: ClearDate, worked: ClearDate | None, tried: dict[ClearDate, str], removal: str) -> Finding:
    """Decide how a date is taken off a payment.

    Args:
        configured: the way that the configuration has.
        worked: the way that worked; None if none did.
        tried: what became of each way that did not, in words.
        removal: the rule by which the sandbox plays a PATCH that removes the date.
    """
    name = "clear_date"
    rules: dict[str, object] = {"date_removal": removal} if removal != "allowed" else {}
    if worked == "empty":
        rules["empty_date"] = True
    if worked == configured:
        how = {"remove": "by a PATCH that removes it", "empty": "by an empty text", "put": "by a PUT without it"}
        if worked == "never":
            return holds(name, "the date stays on a payment that becomes partial", 'clear_date = "never" is set')
        return holds(name, f"a date is taken off {how[worked]}", "", rules=rules)
    words = next(iter(tried.values()))
    what = f"a removed date stays ({words})"
    return differs(name, what, "", Setting("connectwise", "clear_date", worked or "never"), rules=rules)


def unclear() -> Finding:
    """Return the finding of a date that ConnectWise sets by itself."""
    return unknown("clear_date", "how a date is taken off was not tried", "ConnectWise dates payments by itself")
