"""What the invoices were like a while ago, for a search that lags."""

from __future__ import annotations

from collections import defaultdict, deque
from datetime import datetime, timedelta

from watcher.sandbox.invoices import Invoice


class Past:
    """Keeps the former states of invoices for as long as a search can still show them.

    Args:
        seconds: by how much the search lags.
    """

    def __init__(self, seconds: float) -> None:
        """Start with no former states."""
        self._lag = timedelta(seconds=seconds)
        self._former: defaultdict[int, deque[tuple[datetime, Invoice]]] = defaultdict(deque)

    def ended(self, invoice: Invoice, now: datetime) -> None:
        """Keep the state of an invoice, which ends now."""
        if self._lag:
            self._former[invoice.id].append((now, invoice))

    def shown(self, invoice: Invoice, now: datetime) -> Invoice:
        """Return the state of an invoice that a search shows.

        Args:
            invoice: its present state.
            now: the time it is.
        """
        former = self._former.get(invoice.id)
        while former and former[0][0] <= now - self._lag:
            former.popleft()
        return former[0][1] if former else invoice
