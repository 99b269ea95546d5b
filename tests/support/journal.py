"""Claims, records and results to be written into a journal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from watcher.claim import Claim
from watcher.journal.claims import Claims, NewClaim
from watcher.journal.database import Database
from watcher.journal.ledger import Ledger
from watcher.payments.model import Demand, Payment, Record
from watcher.payments.outcomes import Outcome, Result

FIRST = Claim("20250101T000000Z_00000001", "first.xml")
SECOND = Claim("20250101T000000Z_00000002", "second.xml")
THIRD = Claim("20250101T000000Z_00000003", "third.xml")
DAY = date(2016, 9, 22)
# Three claims in the order of claiming: as the clock has it, and with a clock that was set back or ahead in between.
CLOCKS = {
    "right": (FIRST, SECOND, THIRD),
    "set back": (THIRD, SECOND, FIRST),
    "set back for a while": (SECOND, FIRST, THIRD),
    "ahead for a while": (FIRST, THIRD, SECOND),
}


def claimed(database: Database, *claims: Claim, digest: str = "digest", content: bytes | None = b"<x/>") -> None:
    """Claim files of one content, in this order. It is sure that they have left the inbox."""
    Claims(database).add([NewClaim(claim, digest, content) for claim in claims], taken=True)


def begin(database: Database, claim: Claim, digest: str, records: Sequence[Record], refusal: str | None = None) -> None:
    """Claim a file and open it."""
    claimed(database, claim, digest=digest)
    Ledger(database).open(claim.id, records, refusal)


def payment(position: int, amount: str = "10.00", number: str = "") -> Payment:
    """Return a record; without a number it is of an invoice of its own."""
    return Payment(position, 3 + position, number or f"CW-{position}", Decimal(amount), DAY)


def demand(claim: Claim, *positions: int) -> Demand:
    """Return the demand of some records."""
    return Demand(claim.id, f"CW-{positions[0]}", tuple(payment(position) for position in positions))


def applied(position: int, amount: str = "10.00", number: str = "") -> Result:
    """Return the result of a record that was applied."""
    number = number or f"CW-{position}"
    return Result(position, 3 + position, number, Outcome.APPLIED, Decimal(amount), Decimal(amount))


def rejected(position: int, number: str = "") -> Result:
    """Return the result of a record that was rejected."""
    number = number or f"CW-{position}"
    return Result(position, 3 + position, number, Outcome.REJECTED, Decimal("10.00"), message="no")


def results_of(ledger: Ledger, claim: Claim) -> list[Result]:
    """Return the results of a claim that was opened."""
    return list(ledger.results(claim.id))


def environment() -> dict[str, str]:
    """Return the environment of another Python process that imports this module and the program."""
    tests = Path(__file__).parents[1]
    return {**os.environ, "PYTHONPATH": f"{tests}:{tests.parent}"}


def decided_at(ledger: Ledger, claim: Claim) -> datetime:
    """Return when the last record of a file got its outcome; when it was opened if none has one (aware)."""
    return ledger.decisions([claim.id])[claim.id].decided_at
