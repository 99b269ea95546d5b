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
from watcher.payments.demands import demands_of, lacks_number, numbered, timely
from watcher.payments.model import Plan, Record, Rules
from watcher.payments.outcomes import Outcome, Result
from watcher.processing.claimed import Unnumbered
from watcher.processing.left import unnumbered
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
        open_ones, waiting = _numbered(records, look_up)
        demands, rejected = demands_of(_NO_CLAIM, open_ones, rules)
        known.update({result.position: result for result in rejected})
        rounds = Rounds(client, workers, look_up, rules, sums=sums)
        if waiting is not None:
            rounds.leave_unnumbered({_NO_CLAIM: waiting})
        with closing(rounds.run(demands, {})) as advances:
            for news in advances:
                if sums is not None:
                    _write_down(news, sums, source)
                if isinstance(news, Outcomes):
                    known.update({result.position: result for _, result in news.results})
                    yield so_far()
    except (Outage, Stopping) as error:
        yield so_far(error)
    else:
        yield so_far(waiting.outage if waiting else None)


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
    open_ones, waiting = _numbered(records, look_up)
    if waiting is not None:
        raise waiting.outage
    demands, rejected = demands_of(_NO_CLAIM, open_ones, rules)
    return records, rejected, list(Rounds(client, workers, look_up, rules, sums=sums).preview(demands))


def _numbered(records: Sequence[Record], look_up: LookUp) -> tuple[list[Record], Unnumbered | None]:
    """Look up the invoice numbers of payments that give an invoice's id alone, and refuse days too far ahead.

    Returns:
        The records, without those whose invoices cannot be looked up now; and what is known of these, if there are any.
    """
    numbers, troubles = look_up.by_id({record.invoice_id or 0 for record in records if lacks_number(record)})
    all_records = timely(numbered(records, numbers, troubles.keys()), datetime.now(UTC).date())
    stuck = [record for record in all_records if lacks_number(record)]
    waiting = unnumbered(_NO_CLAIM, stuck, troubles) if stuck else None
    return [record for record in all_records if not lacks_number(record)], waiting
