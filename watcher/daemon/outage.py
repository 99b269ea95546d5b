"""An outage: since when it lasts, how long to pause, and when to log it. Pure: times and chance come in."""

from __future__ import annotations

from dataclasses import dataclass

from watcher.claim import claimless
from watcher.errors import FolderTrouble, JournalTrouble, Outage

# The first pause and the longest one (seconds); each is twice as long as the one before.
_FIRST_PAUSE = 2.0
_LONGEST_PAUSE = 300.0
# An outage that lasts is logged again after this time (seconds).
_REMIND_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Met:
    """What to do about an outage that was met.

    Attributes:
        pause: how long to wait until the next attempt (seconds).
        lasted: since when the outage lasts (seconds).
        log: True if it is to be logged: it is new, another one now, or was not logged for an hour.
    """

    pause: float
    lasted: float
    log: bool


class OutageState:
    """What holds up payments now, if anything does."""

    def __init__(self, scan_seconds: float) -> None:
        """Begin without an outage.

        Args:
            scan_seconds: the longest pause for trouble with a folder: a file waits no longer than one scan.
        """
        self._longest_for_folders = max(scan_seconds, _FIRST_PAUSE)
        self._since: float | None = None
        self._logged_at = 0.0
        self._kind: tuple[type[Outage], str] | None = None
        self._pause = _FIRST_PAUSE

    def met(self, outage: Outage, now: float, chance: float) -> Met:
        """Take in that an attempt met an outage.

        Args:
            outage: what it met.
            now: monotonic seconds.
            chance: from 0.5 to 1; shortens the pause, so that many hosts do not come back at once.
        """
        local = isinstance(outage, FolderTrouble | JournalTrouble)
        # Two folders are two outages. A sign-in refused in other words is the same one, and so is one full disk at the
        # claim of each scan.
        kind = (type(outage), claimless(str(outage)) if local else outage.mend)
        if self._since is None:
            self._since, self._logged_at, self._pause = now, now - _REMIND_SECONDS, _FIRST_PAUSE
        pause = chance * self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        if local:
            pause = min(pause, self._longest_for_folders)
        log = now - self._logged_at >= _REMIND_SECONDS or kind != self._kind
        if log:
            self._logged_at, self._kind = now, kind
        return Met(pause, now - self._since, log)

    @property
    def lasts(self) -> bool:
        """True from the first attempt that met it until the work advances."""
        return self._since is not None

    def over(self, now: float) -> float | None:
        """Take in that the work advances; return how long the outage lasted (seconds), None if there was none."""
        since, self._since = self._since, None
        return None if since is None else now - since
