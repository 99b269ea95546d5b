"""Times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def moment(time: datetime | None) -> str:
    """Return a time as the machine's clock shows it, with UTC beside it: ``2026-11-28 10:47:58 (09:47 UTC)``.

    Names of files and the log have UTC.

    Args:
        time: aware; None is shown as nothing.
    """
    if time is None:
        return ""
    there, here = time.astimezone(UTC), time.astimezone()
    if here.utcoffset() == timedelta(0):
        return f"{there:%Y-%m-%d %H:%M:%S} UTC"
    day = "" if there.date() == here.date() else f"{there:%Y-%m-%d} "
    return f"{here:%Y-%m-%d %H:%M:%S} ({day}{there:%H:%M} UTC)"


def span(seconds: float) -> str:
    """Return how long something lasts, in the unit that is best to read: ``90 seconds``, ``72 hours``."""
    whole = max(0, int(seconds))
    for unit, length in (("hour", 3600), ("minute", 60)):
        if whole >= 2 * length:
            return f"{whole // length} {unit}s"
    return f"{whole} second{'' if whole == 1 else 's'}"
