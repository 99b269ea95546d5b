"""What ConnectWise holds, asked for all demands of a round at once.

A look that goes wrong says nothing of the other invoices, whatever went wrong. A group that cannot be looked up is
halved until the invoice at fault is alone, and that one waits. If nothing can be looked up, the line waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import structlog

from watcher.connectwise.client import ConnectWise
from watcher.connectwise.workers import Batch, Workers
from watcher.errors import Missing, Outage, PaymentWatcherError, Rejection, Scope, Unreachable
from watcher.events.catalogue import Event
from watcher.payments.attempts import spread
from watcher.payments.invoices import Invoice
from watcher.payments.model import Demand
from watcher.payments.planning import must_list

# If none of so many invoices is found, the search itself is in doubt.
_MANY = 20
# How often everything that is refused is halved before the search itself is in doubt.
_HALVINGS = 2
# How many looks in a row may go wrong, with none that went well, before that is the line's trouble.
_PATIENCE = 8

Term = TypeVar("Term", str, int)
Answer = TypeVar("Answer")


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


@dataclass(slots=True)
class _Search(Generic[Term]):
    """What came of a search for some invoices, by what was searched for."""

    found: dict[Term, list[Invoice]] = field(default_factory=dict)
    refusals: dict[Term, Rejection] = field(default_factory=dict)
    troubles: dict[Term, Outage] = field(default_factory=dict)


class LookUp:
    """Finds invoices and lists their payments; used from one thread."""

    def __init__(self, client: ConnectWise, workers: Workers) -> None:
        self._client = client
        self._workers = workers
        self._by_id: dict[int, Invoice] = {}
        self._ahead: Batch[tuple[str, ...], dict[str, list[Invoice]]] | None = None
        self._log = structlog.get_logger()

    def by_id(self, invoice_ids: Iterable[int]) -> tuple[dict[int, str], dict[int, Outage]]:
        """Find invoices by ConnectWise's ids, and keep them for the next ``holdings``.

        Args:
            invoice_ids: the ids that all files of a batch give in place of invoice numbers.

        Returns:
            The invoice numbers by id, and why nothing is known of other ids now. An id that no invoice has is in neither.

        Raises:
            Outage: ConnectWise cannot be asked.
        """
        wanted = sorted(set(invoice_ids))
        search = self._find(wanted, self._client.look_ups_by_id, self._find_by_id)
        self._by_id = {each: found[0] for each, found in search.found.items() if found}
        if len(wanted) >= _MANY and not self._by_id and not search.troubles:
            self._prove_search(f"it found none of {len(wanted):,} invoice ids")
        numbers = {each: invoice.number.strip() for each, invoice in self._by_id.items()}
        troubles = search.troubles | {each: _not_shown(each, why) for each, why in search.refusals.items()}
        # Of an invoice that is not understood the number alone may be. Then no other payment waits for it.
        for each, number in self._ask(self._client.invoice_number, list(troubles), proved=True).items():
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
        by_id = self._find(sorted(keys), self._client.look_ups_by_id, self._find_by_id)
        self._take(by_id, keys.__getitem__, found)
        looked_up = {*found.invoices, *found.refusals, *found.troubles}
        missing = [demand.invoice_number for demand in demands if demand.key not in looked_up]
        self._take(self._find(missing, self._client.look_ups, self._find_by_number), str.casefold, found)
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

    def _find_by_number(self, numbers: Sequence[str]) -> dict[str, list[Invoice]]:
        found = self._client.find_invoices(numbers)
        return {number: found.get(number.casefold(), []) for number in numbers}

    def _find_by_id(self, invoice_ids: Sequence[int]) -> dict[int, list[Invoice]]:
        found = self._client.find_by_id(invoice_ids)
        return {each: [found[each]] if each in found else [] for each in invoice_ids}

    def _take(self, search: _Search[Term], key: Callable[[Term], str], found: Holdings) -> None:
        """Take in what came of a search."""
        found.invoices.update({key(term): invoices for term, invoices in search.found.items()})
        found.troubles.update({key(term): trouble for term, trouble in search.troubles.items()})
        for term, refusal in search.refusals.items():
            found.refusals[key(term)] = str(refusal)
            self._log_refusal(Event.PAYMENT_REFUSED, refusal, invoice_number=key(term))

    def _find(
        self,
        terms: Sequence[Term],
        groups_of: Callable[[Sequence[Term]], Iterable[tuple[Term, ...]]],
        ask: Callable[[tuple[Term, ...]], dict[Term, list[Invoice]]],
    ) -> _Search[Term]:
        """Look up invoices. A group that cannot be looked up is halved until the one at fault is alone.

        That nothing can be looked up says nothing about the numbers.

        Raises:
            Outage: it is about all of them.
        """
        search = _Search[Term]()
        groups = list(groups_of(terms))
        depth, proved = 0, False
        while groups:
            halves: list[tuple[Term, ...]] = []
            fault: Rejection | Outage | None = None
            answers = self._ask(ask, groups, proved=proved)
            for group, answer in answers.items():
                if not isinstance(answer, Rejection | Outage):
                    search.found.update(answer)
                    proved = True
                    continue
                fault = answer
                if len(group) > 1:
                    self._log_refusal(Event.CONNECTWISE_RETRY, answer, attempt=1)
                    middle = len(group) // 2
                    halves += [group[:middle], group[middle:]]
                elif isinstance(answer, Outage):
                    search.troubles[group[0]] = answer
                else:
                    search.refusals[group[0]] = answer
            if fault is not None and not proved and (isinstance(fault, Outage) or depth >= _HALVINGS or not halves):
                self._prove_search(str(fault), fault.request_id)
                proved = True
            groups, depth = halves + [group for group in groups if group not in answers], depth + 1
        return search

    def _ask(
        self, ask: Callable[[Any], Answer], items: Sequence[Any], *, proved: bool
    ) -> dict[Any, Answer | Rejection | Outage]:
        """Make some looks at once, and return what came of each; those that were not made are left out.

        Args:
            ask: makes one.
            items: what is asked for.
            proved: a look went well before. Otherwise no further one is made after some that went wrong.

        Raises:
            Outage: it is about all of them.
        """
        answers: dict[Any, Answer | Rejection | Outage] = {}
        # The first ones are from all places: broken invoices may stand side by side.
        first = spread(items, _PATIENCE)
        early = set(first)
        rest = [item for item in items if item not in early]
        for some in (first, rest):
            for item, answer in self._workers.each(ask, some, len(some) + 1):
                if not isinstance(answer, PaymentWatcherError):
                    proved = True
                elif not isinstance(answer, Rejection | Outage) or _is_about_all(answer):
                    raise answer
                answers[item] = answer
            if not proved:
                break
        return answers

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
        answers = self._ask(self._client.list_payments, list(to_list), proved=False)
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
        self._judge_refused(refused, found, others=listed > 0)
        unasked = {to_list[invoice_id] for invoice_id in to_list.keys() - answers.keys()}
        if unasked:
            # All that were asked for were refused.
            why = next(iter(found.troubles.values()), Unreachable("ConnectWise does not list payments"))
            found.troubles.update(dict.fromkeys(unasked, why))
        self._read_again([key for key in to_list.values() if key not in found.troubles], found)

    def _judge_refused(self, refused: dict[str, Rejection], found: Holdings, *, others: bool) -> None:
        """Take in the invoices whose payments ConnectWise refused to list.

        Args:
            refused: its words, by key.
            found: what is known.
            others: True if it listed those of other invoices.
        """
        missing = [found.invoices[key][0].id for key, answer in refused.items() if isinstance(answer, Missing)]
        looks = self._ask(self._client.read_invoice, missing, proved=True)
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

    def _read_again(self, keys: Sequence[str], found: Holdings) -> None:
        """Read invoices by their ids whose sums do not fit their payments: the search showed them as they were."""
        stale = {invoices[0].id: key for key in keys if (invoices := found.invoices[key]) and invoices[0].is_stale}
        for invoice_id, answer in self._ask(self._client.read_invoice, list(stale), proved=True).items():
            key = stale[invoice_id]
            if not isinstance(answer, Rejection | Outage):
                found.invoices[key] = [replace(answer, payments=found.invoices[key][0].payments)]

    def _log_refusal(self, event: Event, refusal: Rejection | Outage, **keys: object) -> None:
        self._log.warning(event, reason=str(refusal), request_id=refusal.request_id, **keys)


def _is_about_all(fault: Rejection | Outage) -> bool:
    return isinstance(fault, Outage) and fault.scope is Scope.LINE


def _not_shown(invoice_id: int, refusal: Rejection) -> Outage:
    # A number of digits cannot be at fault, so the refusal is about the query itself.
    trouble = Unreachable(f"ConnectWise does not look up invoice id {invoice_id}: {refusal}", refusal.request_id)
    trouble.scope = Scope.REFUSED
    return trouble
