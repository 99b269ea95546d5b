"""One document, outside of any folder: the job that ``payment-watcher apply`` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from watcher.claim import Claim
from watcher.connectwise.workers import Workers
from watcher.documents.reading import read
from watcher.errors import Outage, Stopping
from watcher.journal.ledger import Journal
from watcher.payments.demands import demands_of
from watcher.payments.model import Plan, Record, Rules
from watcher.payments.outcomes import Result
from watcher.processing.rounds import Client, Rounds

# The journal of a single document lives in memory: a repeated apply looks everything up again.
_IN_MEMORY = "sqlite://"
_CLAIM = Claim("00010101T000000Z_00000000", "input")


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a document.

    Attributes:
        results: one for each record, in order; None where it has no outcome yet.
        held_up_by: what kept the others from one; None when all have one.
    """

    results: tuple[Result | None, ...]
    held_up_by: Outage | Stopping | None

    @property
    def known(self) -> list[Result]:
        """The results there are."""
        return [result for result in self.results if result is not None]


def apply(
    data: bytes,
    client: Client,
    workers: Workers,
    rules: Rules,
    begun: Callable[[int], None] = lambda _count: None,
    advanced: Callable[[], None] = lambda: None,
) -> Applied:
    """Set the payments of one document.

    Args:
        data: the document.
        client: ConnectWise.
        workers: make the calls.
        rules: the operator's choices.
        begun: called with the number of records before the first call.
        advanced: called with each result.

    Returns:
        What became of it.

    Raises:
        DocumentError: it cannot be read; no call was made.
    """
    records = read(data)
    begun(len(records))
    held_up_by: Outage | Stopping | None = None
    with closing(Journal(_IN_MEMORY)) as journal:
        journal.begin(_CLAIM, "", records)
        rounds = Rounds(client, journal, rules, workers, lambda _claim_id, _result: advanced())
        try:
            demands, rejected = demands_of(_CLAIM.id, rounds.numbered(records), rules)
            journal.record([(_CLAIM.id, result) for result in rejected])
            for _ in rejected:
                advanced()
            for _ in rounds.settle(demands, {}):
                pass
        except (Outage, Stopping) as error:
            held_up_by = error
        known = {result.position: result for result in journal.results(_CLAIM.id)}
    return Applied(tuple(known.get(record.position) for record in records), held_up_by)


def preview(
    data: bytes, client: Client, workers: Workers, rules: Rules
) -> tuple[Sequence[Record], list[Result], list[Plan]]:
    """Plan one document and call nothing that writes.

    Returns:
        Its records, the results of those that are rejected before any call, and the plans of the others.

    Raises:
        DocumentError: it cannot be read.
        Outage: ConnectWise cannot be asked.
    """
    records = read(data)
    with closing(Journal(_IN_MEMORY)) as journal:
        rounds = Rounds(client, journal, rules, workers, lambda _claim_id, _result: None)
        demands, rejected = demands_of(_CLAIM.id, rounds.numbered(records), rules)
        return records, rejected, list(rounds.preview(demands))
