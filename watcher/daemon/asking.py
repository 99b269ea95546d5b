"""ConnectWise is asked although no payment asks it anything: wrong keys are found before the first file comes."""

from __future__ import annotations

import math
from datetime import datetime

from watcher.connectwise.client import ConnectWise
from watcher.connectwise.workers import Workers
from watcher.errors import PaymentWatcherError, Rejection, Unreachable

# After so long without an answer of ConnectWise, it is asked (seconds).
_IDLE_SECONDS = 3600.0


class Asking:
    """Asks ConnectWise once at the start, and whenever nobody else has had an answer for an hour: one request.

    It reads the id of one invoice. That proves site, company and keys, and the right to read invoices.
    """

    def __init__(self, client: ConnectWise, workers: Workers) -> None:
        """Ask nothing yet.

        Args:
            client: the way to ConnectWise.
            workers: make the call, so that it holds up neither the watchdog nor the end of the process.
        """
        self._client = client
        self._quick = client.hurried()
        self._workers = workers
        self._due = -math.inf
        self._failed = False
        # When ConnectWise last gave a good answer, as of the last look here.
        self._answered: datetime | None = None

    @property
    def is_in_trouble(self) -> bool:
        """True if ConnectWise did not give the answer that it was asked for here, and has given none since."""
        return self._failed and self._client.answered_at() == self._answered

    def due_in(self, now: float) -> float:
        """Return how long until ConnectWise is asked (seconds); 0 for now.

        Args:
            now: monotonic seconds.
        """
        if (answered := self._client.answered_at()) != self._answered:
            self._failed, self._answered, self._due = False, answered, now + _IDLE_SECONDS
        return max(0.0, self._due - now)

    def hasten(self) -> None:
        """Ask ConnectWise as soon as possible."""
        self._due = -math.inf

    def try_again_in(self, seconds: float, now: float) -> None:
        """Set when ConnectWise is asked again after it did not answer.

        Args:
            seconds: how long until then.
            now: monotonic seconds.
        """
        self._due = now + seconds

    def ask(self) -> None:
        """Ask ConnectWise.

        Raises:
            Outage: it cannot be reached, is in trouble, or refuses the sign-in or the look.
            Stopping: the process is asked to end.
        """
        self._answered, self._failed = self._client.answered_at(), True
        for _, answer in self._workers.each(lambda quick: quick.any_invoice_id(), [self._quick]):
            if isinstance(answer, Rejection):
                raise Unreachable(f"ConnectWise refuses a look at its invoices: {answer}", answer.request_id)
            if isinstance(answer, PaymentWatcherError):
                raise answer
