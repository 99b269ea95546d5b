"""A claimed file as a value, in one of two states: it asks, or it is decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from watcher.claim import Claim
from watcher.errors import Outage
from watcher.payments.model import Intent, Record
from watcher.payments.outcomes import Result, Totals


@dataclass(frozen=True, slots=True)
class Asking:
    """A claimed file that is written down, some of whose records may have no outcome yet.

    Attributes:
        claim: the claim.
        digest: SHA-256 of its content, hex.
        begun: when its turn began (monotonic seconds).
        records: its records; none if it is refused.
        refusal: why it cannot be read as a payment document; None if it can.
        outcomes: the positions of the records that have an outcome already.
        intents: the calls that were planned for its other records, by position.
        adds: True if each record is a payment that is added up.
    """

    claim: Claim
    digest: str
    begun: float
    records: tuple[Record, ...] = ()
    refusal: str | None = None
    outcomes: frozenset[int] = frozenset()
    intents: dict[int, Intent] = field(default_factory=dict)
    adds: bool = False


@dataclass(frozen=True, slots=True)
class Unnumbered:
    """Payments of a claimed file that give an invoice's id alone, and whose invoices cannot be looked up now.

    Attributes:
        outage: why, with these payments.
        invoice_ids: ConnectWise's ids of their invoices.
    """

    outage: Outage
    invoice_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Decided:
    """A claimed file all of whose records have an outcome.

    Attributes:
        claim: the claim.
        digest: SHA-256 of its content, hex.
        begun: when its turn began (monotonic seconds).
        refusal: why it could not be read as a payment document; None if it could.
        totals: what the results of its records add up to.
        decided_at: when the last of them got its outcome, aware.
        results: the outcomes, in order; None if they are too many to be held.
    """

    claim: Claim
    digest: str
    begun: float
    refusal: str | None
    totals: Totals
    decided_at: datetime
    results: tuple[Result, ...] | None = None

    @property
    def tally(self) -> Tally:
        """What this file adds to the tally."""
        return Tally(1, int(self.refusal is not None), self.totals.rejected)


@dataclass(frozen=True, slots=True)
class Tally:
    """What some files came to: how many were finished, how many refused, and how many payments were rejected."""

    files: int = 0
    refused: int = 0
    rejected: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.files + other.files, self.refused + other.refused, self.rejected + other.rejected)
