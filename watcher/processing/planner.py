"""A turn of demands, looked up and planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from watcher.errors import Outage
from watcher.payments.model import Dates, Plan, Reject, Rules
from watcher.payments.planning import plan
from watcher.payments.refusals import Refusals
from watcher.processing.look_up import LookUp
from watcher.processing.pending import Pending
from watcher.processing.unanswered import Unanswered


class Planner:
    """Looks up what ConnectWise holds, and plans what to do about it."""

    def __init__(
        self,
        look_up: LookUp,
        rules: Rules,
        unanswered: Unanswered,
        refusals: Refusals,
        dates: Mapping[int, date | None],
    ) -> None:
        """Plan nothing yet.

        Args:
            look_up: finds invoices and payments.
            rules: the operator's choices about money.
            unanswered: knows on which invoices a call may still be carried out.
            refusals: is told whose invoices were looked up.
            dates: the day that was sent last for a payment row, by its id.
        """
        self._look_up = look_up
        self._rules = rules
        self._unanswered = unanswered
        self._refusals = refusals
        self._dates = dates

    def plans(self, turn: Sequence[Pending]) -> list[Plan | Outage]:
        """Look up the invoices of some demands, and decide about each; or return why that is not possible for one.

        Args:
            turn: at most one demand for each invoice.

        Raises:
            Outage: it is possible for none.
        """
        doubtful = {one.demand.key for one in turn if self._is_listed(one)}
        found = self._look_up.holdings([one.demand for one in turn], doubtful, self._unanswered.invoice_ids)
        plans: list[Plan | Outage] = []
        for one in turn:
            key = one.demand.key
            if key in found.troubles:
                plans.append(found.troubles[key])
            elif key in found.refusals:
                plans.append(Plan(one.demand, Reject(found.refusals[key])))
            else:
                invoices = found.invoices.get(key, ())
                earlier = self._unanswered.on(invoices)
                dates = Dates(self._dates, one.dates_stay)
                refused = one.refused and one.refused[0]
                plans.append(plan(one.demand, invoices, one.intent, self._rules, one.made, earlier, dates, refused))
        self._refusals.looked_up(one.demand.id for one in turn if one.demand.key not in found.troubles)
        return plans

    def _is_listed(self, one: Pending) -> bool:
        """Return True if the payments of a demand's invoice are listed whatever a search says of them.

        A call that an earlier process planned may have been made. As long as no second one may be made, the search is
        enough; after that a list is needed.
        """
        planned_before = one.intent is not None and not self._unanswered.wait_before_post(one.demand.id)
        return one.doubtful or planned_before or self._rules.list_first
