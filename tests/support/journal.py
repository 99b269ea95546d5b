"""Claims, records and results to be written into a journal."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from watcher.claim import Claim
from watcher.payments.model import Demand, Payment
from watcher.payments.outcomes import Outcome, Result

FIRST = Claim("20250101T000000Z_00000001", "first.xml")
SECOND = Claim("20250101T000000Z_00000002", "second.xml")
THIRD = Claim("20250101T000000Z_00000003", "third.xml")
DAY = date(2016, 9, 22)


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
