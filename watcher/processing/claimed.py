"""A claimed file as a value, in one of two states: it asks, or it is decided."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from watcher.claim import Claim
from watcher.errors import FolderTrouble
from watcher.folders.work import Work
from watcher.journal.ledger import Ledger
from watcher.payments.model import Intent, Record
from watcher.payments.outcomes import Result, total
from watcher.payments.receipt import read_receipt


@dataclass(frozen=True, slots=True)
class Asking:
    """A claimed file that is written down and has no receipt yet.

    Attributes:
        claim: the claim.
        digest: SHA-256 of its content, hex.
        begun: when its turn began (monotonic seconds).
        records: its records; none if it is refused.
        refusal: why it cannot be read as a payment document; None if it can.
        outcomes: the positions of the records that have an outcome already.
        intents: the calls that were planned for its other records, by position.
    """

    claim: Claim
    digest: str
    begun: float
    records: tuple[Record, ...] = ()
    refusal: str | None = None
    outcomes: frozenset[int] = frozenset()
    intents: dict[int, Intent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decided:
    """A claimed file all of whose records have an outcome, and whose receipt lies in work.

    Attributes:
        claim: the claim.
        digest: SHA-256 of its content, hex.
        begun: when its turn began (monotonic seconds).
        refusal: why it could not be read as a payment document; None if it could.
        results: one for each record, in order.
    """

    claim: Claim
    digest: str
    begun: float
    refusal: str | None
    results: list[Result]

    @property
    def tally(self) -> Tally:
        """What this file adds to the tally."""
        return Tally(1, int(self.refusal is not None), total(self.results).rejected)


@dataclass(frozen=True, slots=True)
class Tally:
    """What some files came to: how many were finished, how many refused, and how many payments were rejected."""

    files: int = 0
    refused: int = 0
    rejected: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.files + other.files, self.refused + other.refused, self.rejected + other.rejected)


def by_receipt(claim_id: str, work: Work, ledger: Ledger) -> Decided | None:
    """Return a claimed file by its receipt in work, which counts more than the journal; None before it has one.

    Args:
        claim_id: the claim.
        work: holds the receipt.
        ledger: takes over what the receipt says if it does not know it.

    Raises:
        FolderTrouble: the receipt cannot be read, or somebody changed it.
    """
    content = work.receipt(claim_id)
    if content is None:
        return None
    receipt = read_receipt(claim_id, content)
    claim = Claim(claim_id, receipt.name)
    ledger.adopt(claim, receipt.digest, receipt.results, receipt.refusal)
    return Decided(claim, receipt.digest, time.monotonic(), receipt.refusal, receipt.results)


def changed(claim: Claim) -> FolderTrouble:
    """Return the error for a claimed file whose content is no longer what was read."""
    return FolderTrouble(
        f"{claim.name} (claim {claim.id}) was changed by its writer after it was taken and read",
        "Move it from its folder in work to somewhere else, and drop the right file into the inbox",
    )
