"""A turn of demands, looked up and planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from watcher.errors import Outage, Scope, Unreachable
from watcher.payments.model import ZERO, Dates, Demand, Plan, Reject, Rules
from watcher.payments.planning import plan
from watcher.payments.sums import Before, add
from watcher.processing.look_up import Holdings, LookUp
from watcher.processing.pending import Pending
from watcher.processing.unanswered import Unanswered

if TYPE_CHECKING:
    from watcher.journal.sums import Sums


class Planner:
    """Looks up what ConnectWise holds, and plans what to do about it."""

    def __init__(
        self,
        look_up: LookUp,
        rules: Rules,
        unanswered: Unanswered,
        dates: Mapping[int, date | None],
        sums: Sums | None = None,
    ) -> None:
        """Plan nothing yet.

        Args:
            look_up: finds invoices and payments.
            rules: the operator's choices about money.
            unanswered: knows on which invoices a call may still be carried out.
            dates: the day that was sent last for a payment row, by its id.
            sums: what was accepted before; None if no demand is added up.
        """
        self._look_up = look_up
        self._rules = rules
        self._unanswered = unanswered
        self._dates = dates
        self._sums = sums

    def plans(self, turn: Sequence[Pending]) -> list[Plan | Outage]:
        """Look up the invoices of some demands, and decide about each; or return why that is not possible for one.

        Args:
            turn: at most one demand for each invoice.

        Raises:
            Outage: it is possible for none.
        """
        doubtful = {one.demand.key for one in turn if self._is_listed(one)}
        # A search by number may find nothing, or not understand the number; the id is certain.
        ids = {one.demand.key: invoice_id for one in turn if (invoice_id := _known_id(one)) is not None}
        adding = [one.demand for one in turn if one.demand.adds]
        # A search may show an invoice as it was before our last payment.
        summed = self._sums.invoice_ids(demand.key for demand in adding) if self._sums and adding else set()
        listed = {*self._unanswered.invoice_ids, *summed}
        found = self._look_up.holdings([one.demand for one in turn], doubtful, listed, ids)
        before = self._before(adding, found)
        return [found.troubles.get(one.demand.key) or self._plan(one, found, before) for one in turn]

    def _before(self, adding: Sequence[Demand], found: Holdings) -> Before | None:
        """Return what was accepted before, as far as it matters to demands that are added up."""
        if not adding or self._sums is None:
            return None
        ids = [invoice.id for demand in adding for invoice in found.invoices.get(demand.key, ())]
        return self._sums.before(ids, [part.external_id for demand in adding for part in demand.parts])

    def _plan(self, one: Pending, found: Holdings, before: Before | None) -> Plan | Outage:
        key = one.demand.key
        invoices = found.invoices.get(key, ())
        if one.in_doubt and (key in found.refusals or not invoices):
            # Perhaps it is set. Only a look that shows the invoice can tell.
            invoice = f"invoice {one.demand.invoice_number}" + (f" (id {_known_id(one)})" if _known_id(one) else "")
            why = f"refuses to show {invoice}: {found.refusals[key]}" if key in found.refusals else f"hides {invoice}"
            trouble = Unreachable(f"ConnectWise {why}. A payment may have been set on it")
            trouble.scope = Scope.ODD
            return trouble
        if key in found.refusals:
            refusal = Reject(found.refusals[key])
            adding = add(one.demand, None, before, self._rules) if before is not None and one.demand.adds else None
            return Plan(one.demand, refusal, adding=adding)
        dates = Dates(self._dates, one.dates_stay)
        # A call that was refused makes none of several payments ours.
        intent = one.sent if all(len(invoice.paying) < 2 for invoice in invoices) else one.intent
        earlier, refused = self._unanswered.on(invoices), one.refused and one.refused[0]
        decided = plan(one.demand, invoices, intent, self._rules, one.made, earlier, dates, refused, before)
        one.unread = False
        if not isinstance(decided.step, Reject):
            one.invoice_id = decided.step.invoice_id
        elif one.in_doubt:
            one.invoice_id = _known_id(one) or (invoices[0].id if len(invoices) == 1 else None)
        return decided

    def _is_listed(self, one: Pending) -> bool:
        """Return True if the payments of a demand's invoice are listed whatever a search says of them.

        A call that an earlier process planned may have been made. As long as no second one may be made, the search is
        enough; after that a list is needed. That nothing is there to be removed only a list shows: a search may lag.
        """
        planned_before = one.intent is not None and not self._unanswered.wait_before_post(one.demand.id)
        removes = one.demand.amount == ZERO
        return one.doubtful or planned_before or removes or self._rules.list_first


def _known_id(one: Pending) -> int | None:
    """Return ConnectWise's id of a demand's invoice, if a call was planned for it."""
    return one.invoice_id if one.intent is None or one.intent.invoice_id is None else one.intent.invoice_id
