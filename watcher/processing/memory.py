"""What is written down while payments are made: plans before their calls, and outcomes, compared with earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from watcher.journal.earlier import Earlier
from watcher.journal.ledger import Ledger
from watcher.payments.model import Demand, Intent
from watcher.payments.outcomes import Result
from watcher.payments.repeated import warning_of
from watcher.processing.news import Outcomes


class Memory:
    """Writes plans and outcomes down."""

    def __init__(self, ledger: Ledger, earlier: Earlier) -> None:
        self._ledger = ledger
        self._earlier = earlier

    def intend(self, intents: Sequence[tuple[Demand, Intent | None]]) -> None:
        """Write down calls before they are made, as the ledger does."""
        self._ledger.intend(intents)

    def record(self, known: Outcomes) -> list[tuple[str, Result]]:
        """Write down outcomes, on disk before anybody hears of them.

        Returns:
            The results as they are written down. A payment of an amount that its invoice held before by another record
            has a warning.
        """
        asked = [(claim_id, each.invoice_number) for claim_id, each in known.results if each.repeat is not None]
        earlier = self._earlier.asked(asked) if asked else {}
        results = [
            (claim_id, _warned(each, warning_of(each.repeat, earlier.get((claim_id, each.invoice_number), ()))))
            if each.repeat is not None
            else (claim_id, each)
            for claim_id, each in known.results
        ]
        self._ledger.record(results, known.doubts, additions=known.additions)
        return results


def _warned(result: Result, warning: str | None) -> Result:
    return replace(result, warning="; ".join(filter(None, (result.warning, warning)))) if warning else result
