"""Calls without an answer: which may still be carried out, on which invoices, and when a second POST may be made."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal

from watcher.lifetime import Lifetime
from watcher.payments.dated import Dated
from watcher.payments.doubts import InDoubt, Settled, late_call
from watcher.payments.invoices import Invoice
from watcher.payments.model import ZERO, Action, Demand, DemandId, Intent
from watcher.payments.outcomes import Outcome, Result


class Unanswered:
    """Remembers the calls that may still be carried out; used from one thread.

    ConnectWise, or a gateway before it, may carry out a request after its client gave up waiting or was killed. After
    a PATCH or a DELETE the same call may be made again at once. A second POST would make a second payment. So it waits
    for as long as a call may take (the hold-off), and the payments are read back once more before it.
    """

    def __init__(self, lifetime: Lifetime, seconds: float) -> None:
        """Remember nothing yet.

        Args:
            lifetime: of this process.
            seconds: the longest time that a call may take.
        """
        self._lifetime = lifetime
        self._seconds = seconds
        # Calls of an earlier process were made before this one began.
        self._earlier_are_over_at = lifetime.now() + seconds
        self._planned: set[DemandId] = set()
        self._calls: dict[DemandId, set[Intent]] = {}
        self._over_at: dict[DemandId, float] = {}
        # By ConnectWise's id of the invoice: what is known beyond the demands that have no outcome.
        self._doubts: dict[int, InDoubt] = {}

    def meet(self, intents: Mapping[DemandId, Intent], doubts: Sequence[InDoubt]) -> None:
        """Take in what the journal holds.

        Args:
            intents: the calls that were planned for demands without an outcome. Those of an earlier process may have
                been made.
            doubts: the invoices on which calls for decided demands may still be carried out.
        """
        self._doubts = {one.invoice_id: one for one in doubts}
        for demand_id, intent in intents.items():
            if demand_id not in self._planned:
                self._planned.add(demand_id)
                self._add(demand_id, intent, self._earlier_are_over_at)

    def planned(self, demand_ids: Iterable[DemandId]) -> None:
        """Take in for which demands this process has planned a call."""
        self._planned.update(demand_ids)

    def lost(self, intents: Mapping[DemandId, Intent | None]) -> None:
        """Take in which calls got no answer."""
        over_at = self._lifetime.now() + self._seconds
        for demand_id, intent in intents.items():
            if intent is not None:
                self._add(demand_id, intent, over_at)

    def wait_before_post(self, demand_id: DemandId) -> float:
        """Return how long (seconds) a further POST for a demand has to wait; 0 if it may be made now."""
        if not any(intent.action is Action.CREATE for intent in self._calls.get(demand_id, ())):
            return 0.0
        return max(0.0, self._over_at[demand_id] - self._lifetime.now())

    @property
    def invoice_ids(self) -> Collection[int]:
        """ConnectWise's ids of the invoices on which a call for a decided demand may still be carried out."""
        return self._doubts.keys()

    def on(self, invoices: Iterable[Invoice]) -> InDoubt | None:
        """Return what may still be carried out on one of some invoices for a demand that has its outcome."""
        return next((self._doubts[each.id] for each in invoices if each.id in self._doubts), None)

    def decided(
        self, demand: Demand, results: Sequence[Result], amount: Decimal | None, dated: Dated | None = None
    ) -> InDoubt | None:
        """Take in the outcome of a demand.

        Args:
            demand: the demand.
            results: what became of it.
            amount: the payment that its invoice has now; None if nothing was set.
            dated: the date that its invoice's payment has now; None if it is not known.

        Returns:
            What may still be carried out on its invoice; None if nothing.
        """
        self._planned.discard(demand.id)
        self._over_at.pop(demand.id, None)
        calls = frozenset(map(late_call, self._calls.pop(demand.id, ())))
        first = next((each for each in results if each.outcome is not Outcome.REJECTED), results[0])
        known = None if first.invoice_id is None else self._doubts.get(first.invoice_id)
        if first.invoice_id is None or not (calls or known):
            return None
        settled = known.settled if known else None
        if amount is not None:
            settled = Settled(demand.claim_id, amount, first.payment_id, dated if amount != ZERO else None)
        doubt = InDoubt(first.invoice_id, demand.invoice_number, calls | (known.calls if known else calls), settled)
        self._doubts[first.invoice_id] = doubt
        return doubt

    def _add(self, demand_id: DemandId, intent: Intent, over_at: float) -> None:
        self._calls.setdefault(demand_id, set()).add(intent)
        self._over_at[demand_id] = max(over_at, self._over_at.get(demand_id, over_at))
