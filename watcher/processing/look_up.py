"""What ConnectWise holds, asked for all demands of a round at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import structlog

from watcher.connectwise.client import ConnectWise
from watcher.connectwise.workers import Batch, Workers
from watcher.errors import Missing, Outage, PaymentWatcherError, Rejection, Scope, Unreachable
from watcher.events.catalogue import Event
from watcher.payments.invoices import Invoice
from watcher.payments.model import ZERO, Demand, money
from watcher.payments.planning import must_list
from watcher.processing.looks import Found, Looks

# If none of so many invoices is found, the search itself is in doubt.
_MANY = 20

Term = TypeVar("Term", str, int)


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
        self._looks = Looks(client, workers)
        self._by_id: dict[int, Invoice] = {}
        self._ahead: Batch[tuple[str, ...], dict[str, list[Invoice]]] | None = None
        self._log = structlog.get_logger()

    def by_id(self, invoice_ids: Iterable[int]) -> tuple[dict[int, str], dict[int, Outage]]:
        """Find invoices by ConnectWise's ids, and keep them for the next ``holdings``.

        Args:
            invoice_ids: the ids that all files of a batch give in place of invoice numbers.

        Returns:
            The invoice numbers by id, and why nothing is known of other ids now. An id that no invoice has is in
            neither.

        Raises:
            Outage: ConnectWise cannot be asked.
        """
        wanted = sorted(set(invoice_ids))
        search = self._looks.by_id(wanted)
        self._by_id = {each: found[0] for each, found in search.found.items() if found}
        if len(wanted) >= _MANY and not self._by_id and not search.troubles:
            self._looks.prove(f"it found none of {len(wanted):,} invoice ids")
        numbers = {each: invoice.number.strip() for each, invoice in self._by_id.items()}
        troubles = search.troubles | {each: _not_shown(each, why) for each, why in search.refusals.items()}
        # Of an invoice that is not understood the number alone may be. Then no other payment waits for it.
        for each, number in self._looks.make(self._client.invoice_number, list(troubles), proved=True).items():
            if isinstance(number, str):
                numbers[each] = number.strip()
                del troubles[each]
        return numbers, troubles

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
        self,
        demands: Sequence[Demand],
        doubtful: Collection[str],
        in_doubt: Collection[int] = (),
        ids: Mapping[str, int] | None = None,
    ) -> Holdings:
        """Look up what ConnectWise holds of the invoices of some demands.

        Args:
            demands: at most one for each invoice.
            doubtful: the keys of demands whose payments are listed in any case.
            in_doubt: ConnectWise's ids of invoices whose payments are listed in any case.
            ids: ConnectWise's ids of the invoices for which a call was planned, by key. They are looked up by these.

        Raises:
            Outage: ConnectWise cannot be asked.
        """
        keys = {invoice_id: key for key, invoice_id in (ids or {}).items()}
        found = Holdings(self._known([demand for demand in demands if demand.key not in keys.values()]))
        by_id = self._looks.by_id(sorted(keys))
        self._take(by_id, keys.__getitem__, found)
        looked_up = {*found.invoices, *found.refusals, *found.troubles}
        missing = [demand.invoice_number for demand in demands if demand.key not in looked_up]
        self._take(self._looks.by_number(missing), str.casefold, found)
        if len(demands) >= _MANY and not any(found.invoices.values()) and not (found.refusals or found.troubles):
            self._looks.prove(f"it found none of {len(demands):,} invoice numbers")
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

    def _take(self, search: Found[Term], key: Callable[[Term], str], found: Holdings) -> None:
        """Take in what came of a search."""
        found.invoices.update({key(term): invoices for term, invoices in search.found.items()})
        found.troubles.update({key(term): trouble for term, trouble in search.troubles.items()})
        for term, refusal in search.refusals.items():
            found.refusals[key(term)] = str(refusal)
            self._log_refusal(Event.PAYMENT_REFUSED, refusal, invoice_number=key(term))

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
        answers = self._looks.make(self._client.list_payments, list(to_list), proved=False)
        refused: dict[str, Rejection] = {}
        for invoice_id, rows in answers.items():
            key = to_list[invoice_id]
            if isinstance(rows, Rejection):
                refused[key] = rows
            elif isinstance(rows, Outage):
                found.troubles[key] = rows
            else:
                found.invoices[key] = [replace(found.invoices[key][0], payments=rows)]
        listed = len(answers) - len(refused) - sum(isinstance(rows, Outage) for rows in answers.values())
        others = listed > 0 or (bool(refused) and self._lists_another({found.invoices[key][0].id for key in refused}))
        self._judge_refused(refused, found, others=others)
        unasked = {to_list[invoice_id] for invoice_id in to_list.keys() - answers.keys()}
        if unasked:
            # All that were asked for were refused.
            why = next(iter(found.troubles.values()), Unreachable("ConnectWise does not list payments"))
            found.troubles.update(dict.fromkeys(unasked, why))
        self._read_again([key for key in alone.values() if key not in found.troubles], found)

    def _judge_refused(self, refused: dict[str, Rejection], found: Holdings, *, others: bool) -> None:
        """Take in the invoices whose payments ConnectWise refused to list.

        Args:
            refused: its words, by key.
            found: what is known.
            others: True if it listed those of other invoices.
        """
        missing = [found.invoices[key][0].id for key, answer in refused.items() if isinstance(answer, Missing)]
        looks = self._looks.make(self._client.read_invoice, missing, proved=True)
        for key, refusal in refused.items():
            invoice = found.invoices[key][0]
            self._log_refusal(Event.PAYMENT_REFUSED, refusal, invoice_number=invoice.number)
            if isinstance(looks.get(invoice.id), Missing):
                found.invoices[key] = []
            elif others and not isinstance(refusal, Missing):
                found.refusals[key] = str(refusal)
            else:
                trouble = Unreachable(f"ConnectWise does not list payments: {refusal}", refusal.request_id)
                trouble.scope = Scope.REFUSED
                found.troubles[key] = trouble

    def _lists_another(self, invoice_ids: Collection[int]) -> bool:
        """Return True if the payments of another invoice than these can be listed."""

        def list_another(_: None) -> bool:
            another = self._client.any_invoice_id()
            return (
                another is not None and another not in invoice_ids and self._client.list_payments(another) is not None
            )

        return self._looks.make(list_another, [None], proved=True)[None] is True

    def _read_again(self, keys: Sequence[str], found: Holdings) -> None:
        """Read invoices by their ids of which the search does not tell enough.

        It showed those as they were whose sums do not fit their payments. If they are less than its payments even then,
        nobody can tell what the invoice can take. Of those without a balance it does not tell what is left to pay:
        taxes, down payments and credits count, too. Without its type nobody knows if it is a credit memo. Nothing is
        guessed: the payment waits.
        """
        unsure = {
            invoices[0].id: key
            for key in keys
            if (invoices := found.invoices[key]) and (invoices[0].is_stale or invoices[0].lacks_something)
        }
        for invoice_id, answer in self._looks.make(self._client.read_invoice, list(unsure), proved=True).items():
            key = unsure[invoice_id]
            if isinstance(answer, Rejection | Outage):
                found.troubles[key] = _unshown(answer)
                continue
            invoice = replace(answer, payments=found.invoices[key][0].payments)
            found.invoices[key] = [invoice]
            if invoice.is_contradicted:
                found.troubles[key] = _contradicted(invoice)

    def _log_refusal(self, event: Event, refusal: Rejection | Outage, **keys: object) -> None:
        self._log.warning(event, reason=str(refusal), request_id=refusal.request_id, **keys)


def _unshown(error: Rejection | Outage) -> Outage:
    """Return the trouble of an invoice that ConnectWise lists, and does not show by its id."""
    if isinstance(error, Outage):
        return error
    trouble = Unreachable(f"ConnectWise does not show the invoice: {error}", error.request_id)
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


def _not_shown(invoice_id: int, refusal: Rejection) -> Outage:
    # A number of digits cannot be at fault, so the refusal is about the query itself.
    trouble = Unreachable(f"ConnectWise does not look up invoice id {invoice_id}: {refusal}", refusal.request_id)
    trouble.scope = Scope.REFUSED
    return trouble
