"""What a search shows that lags behind: each invoice as it was some time ago."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from watcher.sandbox.invoices import Invoice


class Past:
    """The earlier states of invoices."""

    def __init__(self, lag_seconds: float) -> None:
        """Know no state yet.

        Args:
            lag_seconds: how far a search lags behind; 0 for not at all.
        """
        self._lag = timedelta(seconds=lag_seconds)
        self._states: dict[int, list[tuple[datetime, Invoice]]] = defaultdict(list)

    def note(self, invoice: Invoice, now: datetime) -> None:
        """Take in a new state of an invoice."""
        if self._lag:
            self._states[invoice.id].append((now, invoice))

    def forget(self, invoice_id: int) -> None:
        """Forget the states of an invoice."""
        self._states.pop(invoice_id, None)

    def shows(self, invoice: Invoice, now: datetime) -> Invoice:
        """Return an invoice as a search shows it now."""
        states = self._states.get(invoice.id)
        if not states:
            return invoice
        return next((state for began, state in reversed(states) if began <= now - self._lag), states[0][1])
