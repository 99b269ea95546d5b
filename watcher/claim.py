"""A file that is ready and a file that is taken. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """A file taken from the inbox for work.

    Attributes:
        id: ``<UTC yyyymmddThhmmssZ>_<8 hex>``; sorts in the order of claiming.
        name: the file's name in the inbox.
    """

    id: str
    name: str

    @property
    def claimed_at(self) -> datetime:
        """The second of the claim, aware, in UTC."""
        return datetime.strptime(self.id.partition("_")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ReadyFile:
    """A file of the inbox that is whole and quiet.

    Attributes:
        name: its name.
        size: bytes.
        modified_ns: its modification time, nanoseconds.
        inode: its inode number.
        digest: SHA-256 of its content, hex; None where it is too large to be read.
    """

    name: str
    size: int
    modified_ns: int
    inode: int
    digest: str | None = field(default=None)
