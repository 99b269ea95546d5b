"""What is known of a payment's date. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Dated:
    """A date that is known; where it is not, None stands in place of this.

    Attributes:
        on: the calendar day; None for a payment without a date.
    """

    on: date | None

    def __str__(self) -> str:
        return "no date" if self.on is None else f"the date {self.on}"
