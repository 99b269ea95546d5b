"""Looks at ConnectWise, many at once: what came of each, or why none can be made.

A look that goes wrong says nothing of the others, whatever went wrong. A group of invoices that cannot be looked up is
halved until the one at fault is alone. If nothing can be looked up, the line waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import structlog

from watcher.connectwise.client import ConnectWise
from watcher.connectwise.workers import Workers
from watcher.errors import Outage, PaymentWatcherError, Rejection, Scope, Unreachable
from watcher.events.catalogue import Event
from watcher.payments.attempts import spread
from watcher.payments.invoices import Invoice

# How often everything that is refused is halved before the search itself is in doubt.
_HALVINGS = 2
# So many looks may go wrong, with none that went well, before that is the line's trouble.
_PATIENCE = 8
_MEND_SEARCH = (
    "Nothing is lost, and the payments are tried again. If it lasts, ask ConnectWise's support; "
    '"payment-watcher prove" shows what works'
)

Term = TypeVar("Term", str, int)
Answer = TypeVar("Answer")


@dataclass(slots=True)
class Found(Generic[Term]):
    """What came of a search for some invoices, by what was searched for.

    Attributes:
        found: the invoices; none where there are none.
        refusals: ConnectWise's words where it refused to answer.
        troubles: why nothing is known of others now.
    """

    found: dict[Term, list[Invoice]] = field(default_factory=dict)
    refusals: dict[Term, Rejection] = field(default_factory=dict)
    troubles: dict[Term, Outage] = field(default_factory=dict)


class Looks:
    """Makes looks; used from one thread."""

    def __init__(self, client: ConnectWise, workers: Workers) -> None:
        self._client = client
        self._workers = workers
        self._log = structlog.get_logger()

    def by_number(self, numbers: Sequence[str]) -> Found[str]:
        """Find invoices by their numbers.

        Raises:
            Outage: ConnectWise cannot be asked.
        """
        return self._find(numbers, self._client.look_ups, self._find_by_number)

    def by_id(self, invoice_ids: Sequence[int]) -> Found[int]:
        """Find invoices by ConnectWise's ids.

        Raises:
            Outage: ConnectWise cannot be asked.
        """
        return self._find(invoice_ids, self._client.look_ups_by_id, self._find_by_id)

    def make(
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

    def prove(self, what: str, request_id: str | None = None) -> None:
        """Make sure that the search works at all: it has to find an invoice that is there.

        Args:
            what: what is wrong with its answer.
            request_id: of that answer.

        Raises:
            Unreachable: it does not work, or cannot be asked.
        """
        try:
            works = self._first(self._client.finds_what_is_there) is True
        except Unreachable as outage:
            if _is_about_all(outage):
                raise
            # It is the search's own trouble if other looks go well.
            self._first(self._client.any_invoice_id)
            works = False
        if not works:
            broken = Unreachable(f"ConnectWise's search for invoices does not work: {what}", request_id)
            broken.mend = _MEND_SEARCH
            raise broken

    def _first(self, ask: Callable[[], object]) -> object:
        """Make a look that is about no invoice that was asked for; return what came of it.

        Raises:
            Outage: ConnectWise does not answer it.
        """
        ((_, answer),) = self._workers.each(lambda _: ask(), [None])
        if isinstance(answer, Outage):
            raise answer
        return answer

    def _find_by_number(self, numbers: Sequence[str]) -> dict[str, list[Invoice]]:
        found = self._client.find_invoices(numbers)
        return {number: found.get(number.casefold(), []) for number in numbers}

    def _find_by_id(self, invoice_ids: Sequence[int]) -> dict[int, list[Invoice]]:
        found = self._client.find_by_id(invoice_ids)
        return {each: [found[each]] if each in found else [] for each in invoice_ids}

    def _find(
        self,
        terms: Sequence[Term],
        groups_of: Callable[[Sequence[Term]], Iterable[tuple[Term, ...]]],
        ask: Callable[[tuple[Term, ...]], dict[Term, list[Invoice]]],
    ) -> Found[Term]:
        """Look up invoices. A group that cannot be looked up is halved until the one at fault is alone.

        That nothing can be looked up says nothing about the numbers.

        Raises:
            Outage: it is about all of them.
        """
        search = Found[Term]()
        groups = list(groups_of(terms))
        depth, proved = 0, False
        while groups:
            halves: list[tuple[Term, ...]] = []
            fault: Rejection | Outage | None = None
            answers = self.make(ask, groups, proved=proved)
            for group, answer in answers.items():
                if not isinstance(answer, Rejection | Outage):
                    search.found.update(answer)
                    proved = True
                    continue
                fault = answer
                if len(group) > 1:
                    self._log.warning(
                        Event.CONNECTWISE_RETRY, reason=str(answer), request_id=answer.request_id, attempt=1
                    )
                    middle = len(group) // 2
                    halves += [group[:middle], group[middle:]]
                elif isinstance(answer, Outage):
                    search.troubles[group[0]] = answer
                else:
                    search.refusals[group[0]] = answer
            if fault is not None and not proved:
                alone = isinstance(fault, Outage) and len(terms) == 1
                if not alone and (depth >= _HALVINGS or not halves):
                    self.prove(str(fault), fault.request_id)
                    proved = True
                elif isinstance(fault, Outage):
                    # Whether ConnectWise answers at all is soon known.
                    self._first(self._client.any_invoice_id)
            groups, depth = halves + [group for group in groups if group not in answers], depth + 1
        return search


def _is_about_all(fault: Rejection | Outage) -> bool:
    return isinstance(fault, Outage) and fault.scope is Scope.LINE
