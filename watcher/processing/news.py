"""What rounds have to say: it has to be written down before they go on."""

from __future__ import annotations

from dataclasses import dataclass, field

from watcher.payments.doubts import InDoubt
from watcher.payments.model import Demand, Intent
from watcher.payments.outcomes import Result
from watcher.payments.sums import Addition


@dataclass(frozen=True, slots=True)
class Planned:
    """What is planned from now on. Calls are made as soon as the next news is asked for: they have to be on disk then.

    Attributes:
        intents: each demand's call that may have been made by then; None if none may.
    """

    intents: list[tuple[Demand, Intent | None]]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Results that are known now.

    Attributes:
        results: each with the id of its claim.
        doubts: the invoices among theirs on which a call of ours may still be carried out.
        additions: what they add to the sums of invoices.
    """

    results: list[tuple[str, Result]]
    doubts: list[InDoubt] = field(default_factory=list)
    additions: list[Addition] = field(default_factory=list)


News = Planned | Outcomes
