"""The table of the bench."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A line of the table; a target that nobody has set is none."""

    name: str
    measured: float
    digits: int = 2
    unit: str = ""
    target: float | None = None
    at_least: bool = False

    @property
    def cells(self) -> tuple[str, str, str, str]:
        measured = f"{self.measured:,.{self.digits}f}{self.unit}"
        if self.target is None:
            return self.name, measured, "", ""
        met = self.measured >= self.target if self.at_least else self.measured <= self.target
        words = "at least" if self.at_least else "at most"
        return self.name, measured, f"{words} {self.target:g}{self.unit}", "ok" if met else "MISS"
