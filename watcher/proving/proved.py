"""``proved.json``: what was proved, when, and against which version of ConnectWise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from watcher.errors import Outage

_NAME = "proved.json"
NOT_PROVED = "not proved yet"
READ_ONLY, WHOLE = "read only", "with a test invoice"


@dataclass(frozen=True, slots=True)
class Proved:
    """What was proved.

    Attributes:
        date: the day, as YYYY-MM-DD.
        version: of ConnectWise.
        mode: ``read only`` or ``with a test invoice``.
        differs: what differed from what the program assumes, in words; what a setting takes care of is not among it.
        seen: the version that ConnectWise had when it was last asked.
    """

    date: str
    version: str
    mode: str
    differs: Sequence[str] = ()
    seen: str = ""

    def __str__(self) -> str:
        said = f"proved on {self.date} against version {self.version}"
        if self.mode == READ_ONLY:
            said += ", read only"
        if self.differs:
            said += f", {len(self.differs)} difference{'' if len(self.differs) == 1 else 's'} left"
        return said + (f"; ConnectWise has version {self.seen} since" if self.is_old else "")

    @property
    def is_old(self) -> bool:
        """True if ConnectWise has another version since."""
        return self.seen not in ("", self.version)


def remembered(folder: Path) -> Proved | None:
    """Return what was proved; None if nothing was, or if nobody can tell.

    Args:
        folder: the state folder.
    """
    try:
        content = json.loads((folder / _NAME).read_text(encoding="utf-8"))
        differs = [str(each) for each in content.get("differs", ())]
        texts = {name: str(content[name]) for name in ("date", "version", "mode")}
        return Proved(**texts, differs=differs, seen=str(content.get("seen", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def sentence(folder: Path) -> str:
    """Return in words what was proved."""
    return str(remembered(folder) or NOT_PROVED)


def remember(folder: Path, proved: Proved) -> None:
    """Remember what was proved. A look alone does not take the place of a whole proof of the same version.

    Args:
        folder: the state folder.
        proved: what was proved.

    Raises:
        FolderTrouble: it cannot be written.
    """
    before = remembered(folder)
    whole_before = before is not None and before.mode == WHOLE and before.version == proved.version
    if before is not None and whole_before and proved.mode == READ_ONLY and not proved.differs:
        proved = replace(before, seen=proved.version)
    _write(folder, proved)


def compare(folder: Path, version: str) -> Proved | None:
    """Note the version that ConnectWise has now; return what was proved, None if nothing was.

    Args:
        folder: the state folder.
        version: as ConnectWise gives it.
    """
    before = remembered(folder)
    if before is None:
        return None
    now = replace(before, seen=version)
    if now != before:
        # Whoever may not write there still sees it.
        with suppress(Outage):
            _write(folder, now)
    return now


def _write(folder: Path, proved: Proved) -> None:
    # Late: the daemon's start only reads.
    from watcher.disk.durable import write_whole

    write_whole(folder / _NAME, (json.dumps(asdict(proved), indent=2) + "\n").encode())
