"""The time of the sandbox."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Clock:
    """The machine's time, which can be put forward.

    Args:
        source: gives the machine's time.
    """

    def __init__(self, source: Callable[[], datetime] = _utc_now) -> None:
        """Show the machine's time."""
        self._source = source
        self._ahead = timedelta()
        self._thread = threading.local()

    def now(self) -> datetime:
        """Return the time it is."""
        fixed: datetime | None = getattr(self._thread, "fixed", None)
        return self._source() + self._ahead if fixed is None else fixed

    def forward(self, seconds: float) -> None:
        """Put the clock forward.

        Args:
            seconds: how far; 0 or more.

        Raises:
            ValueError: they are negative.
        """
        if seconds < 0:
            raise ValueError(f"a clock cannot be put forward by {seconds} seconds")
        self._ahead += timedelta(seconds=seconds)

    @contextmanager
    def at(self, moment: datetime) -> Iterator[None]:
        """Show this thread one moment for the length of a block."""
        self._thread.fixed = moment
        try:
            yield
        finally:
            self._thread.fixed = None
