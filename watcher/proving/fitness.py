"""Which invoice may be used for a proof: a throw-away one that nobody has paid. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from watcher.payments.model import ZERO, listed, money
from watcher.proving.facts import Seen

_LEAST, _MOST = Decimal(1), Decimal(100)


def refusal(number: str, found: Sequence[Seen], rows: Sequence[Seen]) -> str | None:
    """Return why an invoice cannot be used, in a sentence; None if it can.

    Args:
        number: as the user typed it.
        found: the invoices with this number, each read whole.
        rows: the payment rows of the first of them.
    """
    if not found:
        return f"ConnectWise finds no invoice {number}."
    if len(found) > 1:
        return f"{len(found)} invoices have the number {number} (ids {listed([each.id for each in found])})."
    (invoice,) = found
    total = invoice.amount("total")
    if invoice.text("type").casefold() == "creditmemo":
        return f"Invoice {number} is a credit memo."
    if total is None or not _LEAST <= total <= _MOST:
        shown = "not given" if total is None else money(total)
        return f"The total of invoice {number} is {shown}. It must be from {money(_LEAST)} to {money(_MOST)}."
    if rows or invoice.paid != ZERO:
        return f"Invoice {number} has payments already."
    if invoice.credits != ZERO:
        return f"Invoice {number} has credits."
    if invoice.shows("glBatch"):
        return f"Invoice {number} is in a GL batch already."
    if invoice.amount("balance") not in (None, total):
        return f"Invoice {number} has {money(invoice.amount('balance') or ZERO)} left to pay of {money(total)}."
    return None


HOW_TO = """\
Nothing was written. To prove the writes too, make one throw-away invoice by hand in ConnectWise:
  1. Finance > Invoicing: a new Miscellaneous invoice for your own company, or for a test company.
  2. A total of 10.00, no tax. Close it as you close real invoices. Do not put it in a GL batch.
  3. payment-watcher prove --invoice ITS-NUMBER
Delete the invoice afterwards."""
