"""One document that lies in no folder: the job that ``payment-watcher apply`` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from watcher.connectwise.client import ConnectWise
from watcher.connectwise.workers import Workers
from watcher.documents.formats import read
from watcher.errors import Outage, Stopping
from watcher.payments.demands import demands_of, numbered, timely
from watcher.payments.model import Payment, Plan, Record, Rules
from watcher.payments.outcomes import Outcome, Result
from watcher.processing.left import not_found
from watcher.processing.look_up import LookUp
from watcher.processing.news import News, Outcomes, Planned
from watcher.processing.rounds import Rounds

if TYPE_CHECKING:
    from watcher.journal.sums import Sums

# No claim: a document that is applied again is looked up in ConnectWise again.
_NO_CLAIM = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """What has become of a document so far.

    Attributes:
        results: one for each record, in order; None for a record without an outcome.
        held_up_by: what keeps the others from an outcome; None if nothing does.
    """

    results: tuple[Result | None, ...]
    held_up_by: Outage | Stopping | None = None

    @property
    def known(self) -> list[Result]:
        """The results so far."""
        return [result for result in self.results if result is not None]


def apply(
    data: bytes, client: ConnectWise, workers: Workers, rules: Rules, sums: Sums | None = None, source: str = ""
) -> Iterator[Applied]:
    """Set the payments of one document.

    Args:
        data: the document.
        client: ConnectWise.
        workers: make the calls.
        rules: the operator's choices.
        sums: what was accepted before, where payments are added up. What is accepted now is written down there.
        source: the document's name, for that.

    Yields:
        What has become of it so far: before the first call, and then whenever something has advanced. The last one is
        the end.

    Raises:
        DocumentError: it cannot be read; no call was made.
    """
    records = read(data, signed=rules.add_up)
    known: dict[int, Result] = {}

    def so_far(held_up_by: Outage | Stopping | None = None) -> Applied:
        return Applied(tuple(known.get(record.position) for record in records), held_up_by)

    yield so_far()
    look_up = LookUp(client, workers)
    try:
        demands, rejected = demands_of(_NO_CLAIM, _numbered(records, look_up), rules)
        known.update({result.position: result for result in rejected})
        with closing(Rounds(client, workers, look_up, rules, sums=sums).run(demands, {})) as rounds:
            for news in rounds:
                if sums is not None:
                    _write_down(news, sums, source)
                if isinstance(news, Outcomes):
                    known.update({result.position: result for _, result in news.results})
                    yield so_far()
    except (Outage, Stopping) as error:
        yield so_far(error)
    else:
        yield so_far()


def _write_down(news: News, sums: Sums, source: str) -> None:
    """Write down what is about to be set, before the calls, and what is accepted then."""
    if isinstance(news, Planned):
        sums.intend(
            [
                (intent.invoice_id, demand.invoice_number, intent.amount)
                for demand, intent in news.intents
                if intent is not None and intent.invoice_id is not None
            ]
        )
        return
    doubted = {doubt.invoice_id for doubt in news.doubts}
    rejected = {
        result.invoice_id
        for _, result in news.results
        if result.outcome is Outcome.REJECTED and result.invoice_id is not None
    }
    sums.accept(news.additions, rejected - doubted, source)


def preview(
    data: bytes, client: ConnectWise, workers: Workers, rules: Rules, sums: Sums | None = None
) -> tuple[Sequence[Record], list[Result], list[Plan]]:
    """Plan one document without any call that writes; the arguments are as those of ``apply``.

    Returns:
        Its records, the results of those that are rejected before any call, and the plans of the others.

    Raises:
        DocumentError: it cannot be read.
        Outage: ConnectWise cannot be asked.
    """
    records = read(data, signed=rules.add_up)
    look_up = LookUp(client, workers)
    demands, rejected = demands_of(_NO_CLAIM, _numbered(records, look_up), rules)
    return records, rejected, list(Rounds(client, workers, look_up, rules, sums=sums).preview(demands))


def _numbered(records: Sequence[Record], look_up: LookUp) -> tuple[Record, ...]:
    """Look up the invoice numbers of payments that give an invoice's id alone, and refuse days too far ahead."""
    numberless = [record for record in records if isinstance(record, Payment) and not record.invoice_number]
    ids = [record.invoice_id for record in numberless if record.invoice_id is not None]
    numbers, troubles = look_up.by_id(ids)
    if troubles:
        stuck = [payment for payment in numberless if payment.invoice_id in troubles]
        raise not_found(troubles[stuck[0].invoice_id or 0], [(_NO_CLAIM, payment) for payment in stuck])
    return timely(numbered(records, numbers), datetime.now(UTC).date())
