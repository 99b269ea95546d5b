"""A file that is ready, a file that is claimed, and every name that bears a claim. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

_TIME = "%Y%m%dT%H%M%SZ"
_ID = r"\d{8}T\d{6}Z_[0-9a-f]{8}"
_IS_ID = re.compile(_ID)
_BORNE = re.compile(rf"__({_ID})")
# In a published name the claim stands before the ending, or last.
_PUBLISHED = re.compile(rf"__({_ID})(?:\.|$)")
_BEFORE_SUFFIX = re.compile(rf"__{_ID}(?=\.[^.]*$|$)")
_AT_END = re.compile(rf"__{_ID}$")
# The limit of a file name on every file system that matters here (bytes; Linux NAME_MAX).
_LONGEST_NAME = 255
# A longer suffix is no file type but a dot somewhere in a name (bytes).
_LONGEST_SUFFIX = 20


@dataclass(frozen=True, slots=True)
class ReadyFile:
    """A file of the inbox that is whole and quiet.

    Attributes:
        name: its name.
        size: its size (bytes).
        digest: SHA-256 of its content, hex; None if it is too large to be read.
        tried: when it was last tried and could not be taken (monotonic seconds); None if it was not.
        content: its content as it was read; None if it is not kept until the file is claimed.
    """

    name: str
    size: int
    digest: str | None = field(default=None)
    tried: float | None = field(default=None, compare=False)
    content: bytes | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """A file taken from the inbox for work.

    Attributes:
        id: ``<UTC yyyymmddThhmmssZ>_<8 hex>``; sorts by time. Only the journal knows the order of claiming, since
            clocks are set back.
        name: the file's name in the inbox.
    """

    id: str
    name: str

    @property
    def claimed_at(self) -> datetime:
        """The second of the claim, aware, in UTC."""
        return datetime.strptime(self.id.partition("_")[0], _TIME).replace(tzinfo=UTC)

    @property
    def published_name(self) -> str:
        """The name of its files in the outboxes and the archive: ``name__<claim>.xml`` for ``name.xml``."""
        return self._named(None)

    @property
    def receipt_name(self) -> str:
        """The name of its receipt in the archive: ``name__<claim>.receipt.json``."""
        return self._named(".receipt.json")

    @property
    def note_name(self) -> str:
        """The name of the note beside a refused file: ``name__<claim>.error.txt``."""
        return self._named(".error.txt")

    @property
    def page_name(self) -> str:
        """The name of the page beside a result file: ``name__<claim>.report.html``."""
        return self._named(".report.html")

    def _named(self, ending: str | None) -> str:
        """Return the file's name with this claim in it.

        A name that bears an earlier claim, as that of a fail file dropped in again, bears this one instead. The end of
        a stem is cut off where the name would be too long; the claim keeps the name unique.
        """
        stem, suffix = _parts(self.name)
        if len(_bytes(suffix)) > _LONGEST_SUFFIX:
            stem, suffix = self.name, ""
        stem = _AT_END.sub("", stem)
        tail = f"__{self.id}{suffix if ending is None else ending}"
        room = _LONGEST_NAME - len(_bytes(tail))
        kept = _bytes(stem)[:room].decode("utf-8", "surrogateescape")
        while not stem.startswith(kept):
            # A letter of several bytes was cut in its middle.
            kept = kept[:-1]
        return kept + tail


def next_id(now: datetime, latest: str, chance: int) -> str:
    """Return an id for a new claim that sorts after every claim so far, even if the clock was set back.

    Args:
        now: aware.
        latest: the id of the latest claim that is known; empty without one.
        chance: a random number below 4,096, which tells the ids of two processes apart.
    """
    now = now.astimezone(UTC)
    # Microseconds in five hex digits, three digits of chance: the ids of one second sort by time.
    fresh = f"{now:{_TIME}}_{now.microsecond:05x}{chance:03x}"
    stamp, _, counter = latest.partition("_")
    # The last id that a second has may come from a damaged journal: none follows it.
    if fresh > latest or counter == "ffffffff":
        return fresh
    return f"{stamp}_{int(counter, 16) + 1:08x}"


def is_claim_id(text: str) -> bool:
    """Return True if a text is the id of a claim."""
    return _IS_ID.fullmatch(text) is not None and _is_time(text)


def claim_in(name: str) -> str | None:
    """Return the id of the claim that a published file's name bears; None if it bears none."""
    found = _PUBLISHED.search(name)
    return found[1] if found and _is_time(found[1]) else None


def claims_in(name: str) -> list[str]:
    """Return the ids of all claims that a name bears."""
    return _BORNE.findall(name)


def claimless(text: str) -> str:
    """Return a text without the ids of claims: what is said of two claims may be the same otherwise."""
    return _IS_ID.sub("", text)


def without_claim(name: str) -> str:
    """Return a published file's name as it was in the inbox."""
    return _BEFORE_SUFFIX.sub("", name)


def _is_time(claim_id: str) -> bool:
    """Return True if the digits of an id are a time."""
    try:
        datetime.strptime(claim_id.partition("_")[0], _TIME)  # noqa: DTZ007  (UTC by its form)
    except ValueError:
        return False
    return True


def _parts(name: str) -> tuple[str, str]:
    """Split a name before its last dot; leading dots belong to the stem (os.path.splitext)."""
    leading = len(name) - len(name.lstrip("."))
    stem, dot, suffix = name[leading:].rpartition(".")
    return (name[:leading] + stem, dot + suffix) if dot else (name, "")


def _bytes(text: str) -> bytes:
    """Return a name's bytes on disk: file names that are no UTF-8 are surrogate-escaped in Python."""
    return text.encode("utf-8", "surrogateescape")
