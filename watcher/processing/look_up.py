"""What ConnectWise holds, asked for all demands of a round at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from watcher.connectwise.client import ConnectWise
from watcher.connectwise.workers import Batch, Workers
from watcher.errors import Missing, Outage, PaymentWatcherError, Rejection, Scope, Unreachable
from watcher.events.catalogue import Event
from watcher.payments.invoices import Invoice
from watcher.payments.model import ZERO, Demand, money
from watcher.payments.planning import must_list

# If none of so many invoices is found, the search itself is in doubt.
_MANY = 20
# How often everything that is refused is halved before the search itself is in doubt.
_HALVINGS = 2


@dataclass(frozen=True, slots=True)
class Holdings:
    """What ConnectWise holds of some invoices; all keys are those of demands (``Demand.key``).

    Attributes:
        invoices: the invoices of each number. Their payments are listed where a plan needs them.
        refusals: ConnectWise's words about numbers for which it refused to answer.
        troubles: why nothing is known of other numbers now.
    """

    invoices: dict[str, list[Invoice]] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    troubles: dict[str, Outage] = field(default_factory=dict)


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
        if sum(map(len, groups)) >= _MANY and not self._by_id:
            self._prove_search(f"it found none of {sum(map(len, groups)):,} invoice ids")
        return {invoice_id: invoice.number.strip() for invoice_id, invoice in self._by_id.items()}

    def ahead(self, demands: Sequence[Demand], after: Batch[Any, Any]) -> None:
        """Look up the invoices of the next round while the calls of this one are under way.

        Args:
            demands: those of the next round, none of them on an invoice of this round.
            after: the calls of this round; once they are halted, no look-up is begun.
        """
        groups = list(self._client.look_ups([demand.invoice_number for demand in demands]))
        self._ahead = self._workers.begin(self._client.find_invoices, groups, after, len(groups) + 1)

    def forget_ahead(self) -> None:
        """Forget what was looked up ahead: the next round is another one than was expected."""
        self._ahead = None

    def holdings(
        self, demands: Sequence[Demand], doubtful: Collection[str], in_doubt: Collection[int] = ()
    ) -> Holdings:
        """Look up what ConnectWise holds of the invoices of some demands.

        Args:
            demands: at most one for each invoice.
            doubtful: the keys of demands whose payments are listed in any case.
            in_doubt: ConnectWise's ids of invoices whose payments are listed in any case.

        Raises:
            Outage: ConnectWise cannot be asked.
        """
        found = Holdings(self._known(demands))
        missing = [demand.invoice_number for demand in demands if demand.key not in found.invoices]
        self._find(missing, found)
        if len(demands) >= _MANY and not any(found.invoices.values()) and not (found.refusals or found.troubles):
            self._prove_search(f"it found none of {len(demands):,} invoice numbers")
        self._list_payments([demand.key for demand in demands], doubtful, in_doubt, found)
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
        """Look up invoices. A group that ConnectWise refuses is halved until the number at fault is alone.

        A refusal of everything says nothing about the numbers.
        """
        groups = list(self._client.look_ups(invoice_numbers))
        depth, proved = 0, bool(found.invoices)
        while groups:
            halves: list[tuple[str, ...]] = []
            refusal: Rejection | Outage | None = None
            for group, answer in self._workers.each(self._client.find_invoices, groups, len(groups) + 1):
                if not isinstance(answer, PaymentWatcherError):
                    found.invoices.update(answer)
                    proved = True
                elif not isinstance(answer, Rejection | Outage) or (
                    answer.scope is Scope.LINE and isinstance(answer, Outage)
                ):
                    raise answer
                else:
                    refusal = answer
                    halves += self._smaller(group, answer, found)
            if refusal is not None and not proved and (depth >= _HALVINGS or not halves):
                self._prove_search_after(refusal, alone=len(invoice_numbers) == 1)
                proved = True
            groups, depth = halves, depth + 1

    def _smaller(self, group: tuple[str, ...], answer: Rejection | Outage, found: Holdings) -> list[tuple[str, ...]]:
        """Return the halves of a group that was refused; of a single number, note why."""
        if len(group) > 1:
            self._log_refusal(Event.CONNECTWISE_RETRY, answer, attempt=1)
            middle = len(group) // 2
            return [group[:middle], group[middle:]]
        if isinstance(answer, Outage):
            found.troubles[group[0].casefold()] = answer
        else:
            found.refusals[group[0].casefold()] = str(answer)
            self._log_refusal(Event.PAYMENT_REFUSED, answer, invoice_number=group[0])
        return []

    def _prove_search_after(self, refusal: Rejection | Outage, *, alone: bool) -> None:
        """Make sure that a refusal of everything is not about the search itself."""
        if isinstance(refusal, Rejection):
            self._prove_search(str(refusal), refusal.request_id)
        elif not alone:
            raise refusal

    def _prove_search(self, what: str, request_id: str | None = None) -> None:
        """Make sure that the search works at all: it has to find an invoice that is there.

        Args:
            what: what is wrong with its answer.
            request_id: of that answer.

        Raises:
            Unreachable: it does not work, or cannot be asked.
        """
        ((_, answer),) = self._workers.each(lambda _: self._client.finds_what_is_there(), [None])
        if isinstance(answer, Outage):
            raise answer
        if answer is not True:
            raise Unreachable(f"ConnectWise's search for invoices does not work: {what}", request_id)

    def _list_payments(
        self, keys: Sequence[str], doubtful: Collection[str], in_doubt: Collection[int], found: Holdings
    ) -> None:
        """List the payments of each invoice that stands alone under its number, where a plan needs them."""
        alone = {invoices[0].id: key for key in keys if len(invoices := found.invoices.get(key, [])) == 1}
        to_list = {
            invoice_id: key
            for invoice_id, key in alone.items()
            if key in doubtful or invoice_id in in_doubt or must_list(found.invoices[key][0])
        }
        refused: dict[int, Rejection] = {}
        listed = 0
        for invoice_id, rows in self._workers.each(self._client.list_payments, list(to_list), len(to_list) + 1):
            key = to_list[invoice_id]
            if isinstance(rows, Rejection):
                refused[invoice_id] = rows
            elif isinstance(rows, Outage) and rows.scope is not Scope.LINE:
                found.troubles[key] = rows
            elif isinstance(rows, PaymentWatcherError):
                raise rows
            else:
                listed += 1
                found.invoices[key] = [replace(found.invoices[key][0], payments=rows)]
        self._judge_refused({to_list[each]: answer for each, answer in refused.items()}, found, others=listed > 0)
        self._read_again([key for key in alone.values() if key not in found.troubles], found)

    def _judge_refused(self, refused: dict[str, Rejection], found: Holdings, *, others: bool) -> None:
        """Take in the invoices whose payments ConnectWise refused to list.

        Args:
            refused: its words, by key.
            found: what is known.
            others: True if it listed those of other invoices.
        """
        gone: set[int] = set()
        missing = [found.invoices[key][0].id for key, answer in refused.items() if isinstance(answer, Missing)]
        for invoice_id, answer in self._workers.each(self._client.read_invoice, missing, len(missing) + 1):
            if isinstance(answer, Outage) and answer.scope is Scope.LINE:
                raise answer
            if isinstance(answer, Missing):
                gone.add(invoice_id)
        for key, refusal in refused.items():
            invoice = found.invoices[key][0]
            self._log_refusal(Event.PAYMENT_REFUSED, refusal, invoice_number=invoice.number)
            if invoice.id in gone:
                found.invoices[key] = []
            elif others:
                found.refusals[key] = str(refusal)
            else:
                trouble = Unreachable(f"ConnectWise does not list payments: {refusal}", refusal.request_id)
                trouble.scope = Scope.REFUSED
                found.troubles[key] = trouble

    def _read_again(self, keys: Sequence[str], found: Holdings) -> None:
        """Read invoices by their ids of which the search does not tell enough.

        It showed those as they were whose sums do not fit their payments. If they are less than its payments even then,
        nobody can tell what the invoice can take. Of those without a balance it does not tell what is left to pay:
        taxes, down payments and credits count, too. Nothing is guessed: the payment waits.
        """
        unsure = {
            invoices[0].id: key
            for key in keys
            if (invoices := found.invoices[key]) and (invoices[0].is_stale or invoices[0].balance is None)
        }
        for invoice_id, answer in self._workers.each(self._client.read_invoice, list(unsure), len(unsure) + 1):
            key = unsure[invoice_id]
            if isinstance(answer, Outage) and answer.scope is Scope.LINE:
                raise answer
            if isinstance(answer, PaymentWatcherError):
                found.troubles[key] = _unshown(answer)
                continue
            invoice = replace(answer, payments=found.invoices[key][0].payments)
            found.invoices[key] = [invoice]
            if invoice.is_contradicted:
                found.troubles[key] = _contradicted(invoice)

    def _log_refusal(self, event: Event, refusal: Rejection | Outage, **keys: object) -> None:
        self._log.warning(event, reason=str(refusal), request_id=refusal.request_id, **keys)


def _unshown(error: PaymentWatcherError) -> Outage:
    """Return the trouble of an invoice that ConnectWise lists, and does not show by its id."""
    if isinstance(error, Outage):
        return error
    trouble = Unreachable(f"ConnectWise does not show the invoice: {error}", getattr(error, "request_id", None))
    trouble.scope = Scope.REFUSED
    return trouble


def _contradicted(invoice: Invoice) -> Unreachable:
    """Return the trouble of an invoice whose sum is less than its payments."""
    trouble = Unreachable(
        f"ConnectWise contradicts itself: the payments of invoice {invoice.number} add up to {money(invoice.listed)}, "
        f"and the invoice says {money(invoice.paid or ZERO)}"
    )
    trouble.scope = Scope.ODD
    return trouble
