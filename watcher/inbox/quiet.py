"""Which observed files are quiet enough to be looked at. Pure: times and file facts are passed in.

Quiet means that size, modification time and inode have not changed between two looks at least ``settle_seconds`` apart
on our own monotonic clock. The file's own time stamps never count as an age: copies keep old ones, and a file
server's clock may differ from ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Sighting:
    """A candidate file as one scan saw it.

    Attributes:
        name: its name.
        size: bytes.
        modified_ns: its modification time, nanoseconds; a copy may have kept an old one.
        inode: its inode number.
        changed_ns: when its file system last changed anything about it, nanoseconds; no program can set it. A touch of
            its rights or owner makes no file unquiet.
    """

    name: str
    size: int
    modified_ns: int
    inode: int
    changed_ns: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A candidate file over several scans.

    Attributes:
        sighting: the latest one.
        arrival: its rank among all files ever seen by this process; the order in which files are taken.
        quiet_since: monotonic seconds of the first scan that saw it as it is now.
        missing: what its content still misses, in words, if it was looked at as it is now; None before that.
    """

    sighting: Sighting
    arrival: int
    quiet_since: float
    missing: str | None = None


def observe(
    before: Mapping[str, Waiting], sightings: Iterable[Sighting], now: float, next_arrival: int
) -> dict[str, Waiting]:
    """Bring what is known of the waiting files up to date with a scan.

    Args:
        before: what was known, by name.
        sightings: the candidates this scan saw; a name that is not among them is gone.
        now: monotonic seconds.
        next_arrival: the rank of the first new file; new files of one scan rank by modification time, then name.

    Returns:
        What is known now, by name, in the order of arrival.
    """
    seen = {sighting.name: sighting for sighting in sightings}
    after = {}
    for name, waiting in before.items():
        sighting = seen.pop(name, None)
        if sighting == waiting.sighting:
            touched = sighting.changed_ns != waiting.sighting.changed_ns
            after[name] = replace(waiting, sighting=sighting, missing=None) if touched else waiting
        elif sighting is not None:
            after[name] = replace(waiting, sighting=sighting, quiet_since=now, missing=None)
    arrived = sorted(seen.values(), key=lambda sighting: (sighting.modified_ns, sighting.name))
    for rank, sighting in enumerate(arrived, next_arrival):
        after[sighting.name] = Waiting(sighting, rank, now)
    return after


def quiet(waiting: Waiting, now: float, settle_seconds: float) -> bool:
    """Say whether a file has not changed for the settle period."""
    return now - waiting.quiet_since >= settle_seconds


def next_due(waiting: Iterable[Waiting], now: float, settle_seconds: float) -> float | None:
    """Seconds until the next file that has not been looked at is quiet; None when every file has been."""
    due = [file.quiet_since + settle_seconds - now for file in waiting if file.missing is None]
    return max(0.0, min(due)) if due else None
