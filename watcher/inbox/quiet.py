"""Which files have been quiet for long enough to be read. Pure: times and facts of files are passed in.

A file is quiet if its size, modification time and inode have not changed between two scans that are at least
``settle_seconds`` apart on our own monotonic clock. The file's own time stamps never count as an age: a copy keeps old
ones, and the clock of a file server may differ from ours.

Some mounts give a file another inode number at every look. There the number says nothing, and the times decide: a file
that takes the place of another one has another time of change, even if it was given the other's modification time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Sighting:
    """A payment file as one scan saw it.

    Attributes:
        name: its name.
        size: its size (bytes).
        modified_ns: its modification time (nanoseconds); a copy may have kept an old one.
        inode: its inode number.
        changed_ns: when its file system last changed anything about it (nanoseconds); no program can set this time.
            A file stays quiet when only its rights or owner change, and this time with them.
    """

    name: str
    size: int
    modified_ns: int
    inode: int
    changed_ns: int = field(default=0, compare=False)

    def same_as(self, other: Sighting) -> bool:
        """Return True if a file of the same name has not been written to or replaced between two sightings."""
        if (self.size, self.modified_ns) != (other.size, other.modified_ns):
            return False
        return self.inode == other.inode or (self.changed_ns == other.changed_ns != 0)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A payment file over several scans.

    Attributes:
        sighting: the latest one.
        arrival: its rank among all files that this process ever saw. Files are taken in this order.
        quiet_since: the time of the first scan that saw the file as it is now (monotonic seconds).
        missing: what its content still misses, in words; None if the file was not read since its last change.
        seen_since: the time of the first scan that saw a file of this name (monotonic seconds).
        digest: SHA-256 of its content, hex, if that was read since its last change and the file is ready.
        flickers: True if only its inode number and its time of change differed at the last change.
        tried: when it was last tried and could not be taken (monotonic seconds); None if it was not.
    """

    sighting: Sighting
    arrival: int
    quiet_since: float
    missing: str | None = None
    seen_since: float = field(default=0.0, compare=False)
    digest: str | None = None
    flickers: bool = field(default=False, compare=False)
    tried: float | None = field(default=None, compare=False)


def observe(
    before: Mapping[str, Waiting], sightings: Iterable[Sighting], now: float, next_arrival: int
) -> dict[str, Waiting]:
    """Return what is known of the waiting files after a scan.

    Args:
        before: what was known, by name.
        sightings: what this scan saw. A file that is not among them is gone.
        now: the time of the scan (monotonic seconds).
        next_arrival: the rank of the first new file. New files of one scan rank by modification time, then by name.

    Returns:
        What is known now, by name, in the order of arrival.
    """
    seen = {sighting.name: sighting for sighting in sightings}
    after = {}
    for name, waiting in before.items():
        sighting = seen.pop(name, None)
        if sighting is None:
            continue
        if sighting.same_as(waiting.sighting):
            touched = sighting.changed_ns != waiting.sighting.changed_ns
            after[name] = replace(waiting, sighting=sighting, missing=None, digest=None) if touched else waiting
        else:
            known = waiting.sighting
            flickers = (sighting.size, sighting.modified_ns) == (known.size, known.modified_ns)
            after[name] = replace(
                waiting, sighting=sighting, quiet_since=now, missing=None, digest=None, flickers=flickers
            )
    arrived = sorted(seen.values(), key=lambda sighting: (sighting.modified_ns, sighting.name))
    for rank, sighting in enumerate(arrived, next_arrival):
        after[sighting.name] = Waiting(sighting, rank, now, seen_since=now)
    return after


def quiet(waiting: Waiting, now: float, settle_seconds: float) -> bool:
    """Return True if a file has not changed for the settle period."""
    return now - waiting.quiet_since >= settle_seconds


def next_due(waiting: Iterable[Waiting], now: float, settle_seconds: float) -> float | None:
    """Return the time until the next unread file is quiet (seconds); None if every file has been read."""
    due = [file.quiet_since + settle_seconds - now for file in waiting if file.missing is None]
    return max(0.0, min(due)) if due else None
