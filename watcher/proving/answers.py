"""What the writes to the test invoice say. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from watcher.connectwise.changing import ChangeBy
from watcher.payments.invoices import HeldPayment, Invoice
from watcher.payments.model import money
from watcher.proving.books import LIST_FIRST
from watcher.proving.facts import Seen
from watcher.proving.findings import Finding, Setting, differs, holds, look, unknown

# What is assumed of a search that does not show a payment within the time that is waited for it (seconds).
_NEVER_SECONDS = 600.0
# How late a write is played whose answer is lost (seconds).
_LATE_SECONDS = 5.0
_SERVER_FAULT = 500
# What each method does, and the right that it needs.
_WRITES = {
    "POST": ("a new payment", "Add"),
    "PATCH": ("a change of a payment", "Edit"),
    "PUT": ("a change of a payment", "Edit"),
    "DELETE": ("the removal of a payment", "Delete"),
}


def amounts(total: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    """Return the amounts of a proof: of the first payment, of the second, and what the first is changed to.

    Args:
        total: of the test invoice, at least 1.
    """
    first, changed = ((total * part).quantize(Decimal("0.01")) for part in (Decimal("0.111"), Decimal("0.222")))
    return first, max(Decimal("0.01"), (total * Decimal("0.003")).quantize(Decimal("0.01"))), changed


def not_made(words: str, status: int) -> Finding:
    """Return the finding of a new payment that ConnectWise did not make."""
    rules: dict[str, object] = {"refuses_all": status} if status in (403, 500) else {}
    means = "no payment can be made on this invoice, and perhaps on none; ask ConnectWise's support about this answer"
    return differs("new_payment", f"a new payment is answered by {words}", means, rules=rules)


def not_allowed(method: str, words: str) -> Finding:
    """Return the finding of a write that the API member may not make.

    Args:
        method: the HTTP method of the write.
        words: ConnectWise's answer.
    """
    what, right = _WRITES.get(method, ("a call", "Inquire"))
    means = f"give the API member's role {right} in Finance > Invoicing and in Finance > Accounting Interface"
    rules: dict[str, object] = {"refuses_all": 403} if method == "POST" else {}
    return differs("rights", f"{what} is answered by {words}", means, rules=rules)


def lost(reason: str, *, by_gateway: bool) -> Finding:
    """Return the finding of a new payment whose answer did not come.

    Args:
        reason: why.
        by_gateway: a gateway said so; otherwise nothing came.
    """
    means = (
        "the program reads the payments back before it sends another one; look for what cuts the line, or raise "
        "connectwise.timeout_seconds if ConnectWise is slow"
    )
    # Nobody knows how late: so late that each answer is lost, and soon enough to be seen.
    rules: dict[str, object] = {"late_seconds": _LATE_SECONDS, "late_answer": "504" if by_gateway else "closed"}
    return differs("lost_answer", f"the answer to a new payment is lost ({reason})", means, rules=rules)


def made(row: Seen, amount: Decimal, odd: str) -> Finding:
    """Decide if a new payment is as it was sent.

    Args:
        row: as it was read back.
        amount: what was sent.
        odd: what is not understood in the answer; empty if it is.
    """
    if odd:
        return differs("new_payment", f"a new payment is made, and its answer is odd: {odd}", "payments would wait")
    if row.amount("amount") != amount:
        shown = row.amount("amount")
        what = f"a payment of {money(amount)} is shown as {'nothing' if shown is None else money(shown)}"
        return differs("new_payment", what, "the program would set it again and again")
    return holds("new_payment", f"a new payment of {money(amount)} is made")


def balance(shown: Decimal | None, before: Decimal | None, expected: Decimal) -> Finding:
    """Decide if the answer to a new payment says what is left to pay.

    Args:
        shown: the answer's ``invoiceBalance``; None without one.
        before: what was left to pay before.
        expected: what should be left.
    """
    name, cost = "invoice_balance", "the program lists the payments after each new one, which is one more request"
    if shown == expected:
        return holds(name, "the answer to a new payment says what is left to pay")
    if shown is None:
        return holds(
            name,
            "the answer to a new payment does not say what is left to pay",
            cost,
            rules={"invoice_balance": "missing"},
        )
    what = f"the answer to a new payment says that {money(shown)} is left to pay, and not {money(expected)}"
    if shown > expected:
        return holds(name, what, cost, rules={"invoice_balance": "stale"} if shown == before else {})
    cost = "the program lists the payments and reads the invoice after each new one, which are two more requests"
    return holds(name, what, cost, rules={"invoice_balance": "low"})


def names_its_row(shown: bool) -> Finding:
    """Decide if the answer to a new payment shows its id."""
    name = "id_in_answer"
    if shown:
        return holds(name, "the answer to a new payment shows its id")
    cost = "the program lists the payments after each new one, which is one more request"
    return holds(name, "the answer to a new payment shows no id", cost, rules={"id_in_answers": False})


def listed_at_once(found: bool) -> Finding:
    """Decide if a new payment is in the list of the invoice's payments at once."""
    if found:
        return holds("list_by_id", "a new payment is in the invoice's list of payments at once")
    means = "a payment whose answer is lost could be made twice"
    return differs("list_by_id", "a new payment is not in the invoice's list of payments at once", means)


def freshness(seen_after: float | None, waited: float) -> Finding:
    """Decide if a search shows a new payment at once.

    Args:
        seen_after: how long after the payment the search showed it (seconds); None if it did not.
        waited: how long it was waited for.
    """
    if seen_after == 0:
        return holds("freshness", "a look-up shows a new payment at once")
    if seen_after is None:
        what = f"a look-up does not show a new payment within {waited:.0f} seconds"
        return differs("freshness", what, "", LIST_FIRST, rules={"search_lag_seconds": _NEVER_SECONDS})
    what = f"a look-up shows a new payment only after {seen_after:.0f} second{'' if seen_after == 1 else 's'}"
    return differs("freshness", what, "", LIST_FIRST, rules={"search_lag_seconds": seen_after})


def second(words: str, first: int, rows: Sequence[HeldPayment], amount: Decimal, *, done: bool) -> Finding:
    """Decide what becomes of a second payment on an invoice.

    Args:
        words: ConnectWise's answer.
        done: it says that the payment was made.
        first: the id of the first payment.
        rows: the payments afterwards.
        amount: of the second payment.
    """
    name = "second_payment"
    if len(rows) > 1:
        means = "your ConnectWise allows double payments"
        return differs(
            name, "a second payment on an invoice is accepted", means, LIST_FIRST, rules={"second_payment": "accepted"}
        )
    if rows and rows[0].amount == amount:
        same = " and has its id" if rows[0].id == first else ""
        what = f"a second payment takes the place of the first{same}"
        return holds(name, what, "there is never more than one", rules={"second_payment": "replaces"})
    if done:
        means = "the program would believe an answer that is not true"
        return differs(name, f"a second payment is answered by {words}, and is not there", means)
    return holds(name, f"a second payment on an invoice is refused ({words})")


def whole_after(first: int, amount: Decimal, rows: Sequence[HeldPayment]) -> Finding:
    """Decide if the first payment is whole after the second was removed."""
    if [(row.id, row.amount) for row in rows] == [(first, amount)]:
        return holds("after_second", "the first payment is whole after the second is removed")
    shown = ", ".join(f"{row.id} of {money(row.amount)}" for row in rows) or "none"
    return differs(
        "after_second", f"after a second payment is removed the payments are {shown}", "look into this first"
    )


def change(configured: ChangeBy, worked: ChangeBy | None, words: str) -> Finding:
    """Decide how a payment is changed.

    Args:
        configured: the way that the configuration has.
        worked: the way that worked; None if none did.
        words: ConnectWise's answer to the configured way.
    """
    name = "change"
    if worked is None:
        return differs(name, f"the amount of a payment cannot be changed ({words})", "corrections would not be made")
    if worked == configured:
        return holds(name, f"the amount of a payment is changed by a {worked.upper()}")
    rules: dict[str, object] = {"change_fails": True} if configured == "patch" else {}
    what = f"a {configured.upper()} of a payment is answered by {words}, and a {worked.upper()} works"
    return differs(name, what, "", Setting("connectwise", "change_by", worked), rules=rules)


def refusals(statuses: Sequence[int]) -> Finding:
    """Say how ConnectWise refuses a payment.

    Args:
        statuses: of the answers to payments that it refused; one at least.
    """
    name, shown = "refusals", " and ".join(str(each) for each in sorted(set(statuses)))
    what = f"a payment that ConnectWise refuses is answered by {shown}"
    if max(statuses) < _SERVER_FAULT:
        return holds(name, what)
    means = "the program tries such a payment for a minute before it is rejected, and goes on with others meanwhile"
    return holds(name, what, means, rules={"refusal_status": 500})


def too_much(words: str, *, done: bool, shown: Decimal | None, asked: Decimal) -> Finding:
    """Say if ConnectWise itself stops an overpayment. The program never sends one.

    Args:
        words: ConnectWise's answer.
        done: it took the amount.
        shown: the amount afterwards.
        asked: one cent more than the invoice can take.
    """
    name = "overpayment"
    if not done:
        return holds(name, f"ConnectWise refuses more than is to pay ({words})")
    if shown == asked:
        means = "the program's own limit is the only guard"
        return holds(name, "ConnectWise takes more than is to pay", means, rules={"overpayment": "accepted"})
    what = f"ConnectWise cuts what is more than is to pay to {money(shown or Decimal(0))}"
    return holds(name, what, rules={"overpayment": "cut"})


def export(found: bool | None, words: str) -> Finding:
    """Decide if a payment waits to be exported to the accounting system.

    Args:
        found: it stands in the list of unposted payments; None if that cannot be read.
        words: ConnectWise's answer.
    """
    name = "export"
    if found is None:
        return unknown(name, f"the list of payments that wait for export: {words}", "ask whoever runs the export")
    if not found:
        return holds(name, "the payment does not wait for export to an accounting system")
    means = (
        "if ConnectWise exports payments to the system that they come from, they stand there twice; switch off "
        "the payment sync in ConnectWise's accounting set-up"
    )
    return look(name, "the payment waits for export to an accounting system", means)


def removed(words: str, left: Sequence[HeldPayment]) -> Finding:
    """Decide if a payment can be removed."""
    if not left:
        return holds("removal", "a payment is removed by a DELETE")
    means = "payments cannot be taken back; remove the test payment by hand"
    return differs("removal", f"a removed payment stays ({words})", means)


def gone(again: str, patched: str, *, missing: bool) -> Finding:
    """Decide if the program notices that a payment is gone.

    Args:
        again: the answer to a second DELETE.
        patched: the answer to a change of the row that is gone.
        missing: the product takes the latter for a row that is gone.
    """
    what = f"a payment that is gone is answered by {again} to a DELETE and by {patched} to a change"
    if missing:
        return holds("gone", what)
    return look("gone", what, "the program then lists the payments to be sure")


def at_once(invoice: Invoice, total: Decimal, milliseconds: float) -> Finding:
    """Decide if the usual case works from end to end: all of it paid at once, with a date.

    Args:
        invoice: as it was read back.
        total: what was paid.
        milliseconds: how long a call took, on the average.
    """
    if invoice.paid in (None, total) and invoice.balance in (None, Decimal(0)):
        return holds("usual_case", f"a whole payment with its date is made at once; a call takes {milliseconds:.0f} ms")
    return differs("usual_case", "a whole payment that is made at once is not shown", "look into this first")
