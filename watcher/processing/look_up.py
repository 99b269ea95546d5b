"""What ConnectWise holds, asked for all demands of a round at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from watcher.connectwise.client import ConnectWise
from watcher.connectwise.workers import Batch, Workers
from watcher.errors import Missing, PaymentWatcherError, Rejection, Unreachable
from watcher.events.catalogue import Event
from watcher.payments.model import Demand, Invoice
from watcher.payments.planning import must_list


@dataclass(frozen=True, slots=True)
class Holdings:
    """What ConnectWise holds of some invoices; all keys are those of demands (``Demand.key``).

    Attributes:
        invoices: the invoices of each number. Their payments are listed where a plan needs them.
        refusals: ConnectWise's words about numbers for which it refused to answer.
    """

    invoices: dict[str, list[Invoice]] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)


class LookUp:
    """Finds invoices and lists their payments; used from one thread."""

    def __init__(self, client: ConnectWise, workers: Workers) -> None:
        self._client = client
        self._workers = workers
        self._by_id: dict[int, Invoice] = {}
        self._ahead: Batch[tuple[str, ...], dict[str, list[Invoice]]] | None = None
        self._log = structlog.get_logger()

    def by_id(self, invoice_ids: Iterable[int]) -> dict[int, str]:
        """Find invoices by ConnectWise's ids, and keep them for the next ``holdings``.

        Args:
            invoice_ids: the ids that all files of a batch give in place of invoice numbers.

        Returns:
            The invoice numbers by id. An id that no invoice has is left out.

        Raises:
            Outage: ConnectWise cannot be asked.
        """
        self._by_id = {}
        groups = list(self._client.look_ups_by_id(sorted(set(invoice_ids))))
        for group, answer in self._workers.each(self._client.find_by_id, groups):
            if isinstance(answer, Rejection):
                # A number of digits cannot be at fault, so the refusal is about the query itself.
                raise Unreachable(
                    f"ConnectWise does not look up invoices by id ({len(group)} asked): {answer}", answer.request_id
                ) from answer
            if isinstance(answer, PaymentWatcherError):
                raise answer
            self._by_id.update(answer)
        return {invoice_id: invoice.number.strip() for invoice_id, invoice in self._by_id.items()}

    def ahead(self, demands: Sequence[Demand], after: Batch[Any, Any]) -> None:
        """Look up the invoices of the next round while the calls of this one are under way.

        Args:
            demands: those of the next round, none of them on an invoice of this round.
            after: the calls of this round; once they are halted, no look-up is begun.
        """
        groups = list(self._client.look_ups([demand.invoice_number for demand in demands]))
        self._ahead = self._workers.begin(self._client.find_invoices, groups, after=after)

    def forget_ahead(self) -> None:
        """Forget what was looked up ahead: the next round is another one than was expected."""
        self._ahead = None

    def holdings(self, demands: Sequence[Demand], doubtful: Collection[str]) -> Holdings:
        """Look up what ConnectWise holds of the invoices of some demands.

        Args:
            demands: at most one for each invoice.
            doubtful: the keys of demands whose payments are listed in any case.

        Raises:
            Outage: ConnectWise cannot be asked.
        """
        found = Holdings(self._known(demands))
        missing = [demand.invoice_number for demand in demands if demand.key not in found.invoices]
        self._find(missing, found)
        self._list_payments([demand.key for demand in demands], doubtful, found)
        return found

    def _known(self, demands: Sequence[Demand]) -> dict[str, list[Invoice]]:
        """Return what was looked up before this round; it is fresh enough for one round only."""
        by_id, self._by_id = self._by_id, {}
        ahead, self._ahead = self._ahead, None
        known: dict[str, list[Invoice]] = {}
        if ahead is not None:
            for answers in self._workers.gather(ahead):
                for group, answer in answers:
                    # A look-up that went wrong is repeated by _find, and logged there.
                    if not isinstance(answer, PaymentWatcherError):
                        known |= {number.casefold(): [] for number in group} | answer
        for demand in demands:
            # A number stands for several invoices in rare cases; only a demand that names the id means this one.
            meant = [by_id[each] for each in demand.invoice_ids if each in by_id]
            if len(demand.invoice_ids) == 1 and meant and meant[0].number.strip().casefold() == demand.key:
                known[demand.key] = meant
        return known

    def _find(self, invoice_numbers: Sequence[str], found: Holdings) -> None:
        """Look up invoices. A group that ConnectWise refuses is halved until the number at fault is alone."""
        groups = list(self._client.look_ups(invoice_numbers))
        while groups:
            halves: list[tuple[str, ...]] = []
            for group, answer in self._workers.each(self._client.find_invoices, groups):
                if isinstance(answer, Rejection) and len(group) > 1:
                    self._log_refusal(Event.CONNECTWISE_RETRY, answer, attempt=1)
                    middle = len(group) // 2
                    halves += [group[:middle], group[middle:]]
                elif isinstance(answer, Rejection):
                    found.refusals[group[0].casefold()] = str(answer)
                    self._log_refusal(Event.PAYMENT_REFUSED, answer, invoice_number=group[0])
                elif isinstance(answer, PaymentWatcherError):
                    raise answer
                else:
                    found.invoices.update(answer)
            groups = halves

    def _list_payments(self, keys: Sequence[str], doubtful: Collection[str], found: Holdings) -> None:
        """List the payments of each invoice that stands alone under its number, where a plan needs them."""
        to_list = {
            invoices[0].id: key
            for key in keys
            if len(invoices := found.invoices.get(key, [])) == 1 and (key in doubtful or must_list(invoices[0]))
        }
        for invoice_id, rows in self._workers.each(self._client.list_payments, list(to_list)):
            key = to_list[invoice_id]
            invoice = found.invoices[key][0]
            if isinstance(rows, Missing):
                found.invoices[key] = []
            elif isinstance(rows, Rejection):
                found.refusals[key] = str(rows)
                self._log_refusal(Event.PAYMENT_REFUSED, rows, invoice_number=invoice.number)
            elif isinstance(rows, PaymentWatcherError):
                raise rows
            else:
                found.invoices[key] = [replace(invoice, payments=rows)]

    def _log_refusal(self, event: Event, refusal: Rejection, **keys: object) -> None:
        self._log.warning(event, reason=str(refusal), request_id=refusal.request_id, **keys)
