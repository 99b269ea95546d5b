"""What people get a message about, made from the log's events. Pure: events and times come in, notices go out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from watcher.claim import Claim
from watcher.events.catalogue import Event

# An outage that lasts is reported again after so long (seconds).
_DAY = 86400.0
# The most payments that are named of those that failed in a file.
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that a person should know.

    Attributes:
        title: in a few words.
        body: what, why, and what to do.
    """

    title: str
    body: str


@dataclass(slots=True)
class _Outage:
    since: float
    reason: str
    mend: str
    reported: float | None = None


@dataclass(slots=True)
class Reporter:
    """Follows the events of one daemon, and finds what a person should know.

    Attributes:
        fail: the fail outbox.
        patience: an outage that is over sooner is not reported (seconds).
    """

    fail: Path
    patience: float
    _failed: dict[str, list[str]] = field(default_factory=dict)
    _outage: _Outage | None = None

    def hear(self, event: str, keys: Mapping[str, Any], now: float) -> Notice | None:
        """Take in an event.

        Args:
            event: its name.
            keys: what it brings.
            now: monotonic seconds.

        Returns:
            What a person should know of it, if anything.
        """
        match event:
            case Event.PAYMENT if keys["outcome"] == "rejected":
                line = f"{keys['invoice_number'] or 'no number'}, {keys['asked']}: {keys['message']}"
                self._failed.setdefault(keys["claim"], []).append(line)
            case Event.FILE_FINISHED:
                return self._finished(keys)
            case Event.FILE_REFUSED:
                self._failed.pop(keys["claim"], None)
                place = self._fail_file(keys)
                mend = f"It lies in {place}. Correct it, or export it again, and put it into the inbox."
                return Notice(f"{keys['file']} could not be read; nothing in it was paid", f"{keys['reason']}\n{mend}")
            case Event.LINE_WAITING:
                return self._waiting(keys, now)
            case Event.LINE_MOVING:
                return self._moving(now)
            case Event.DISK_LOW:
                left = f"{keys['folder']} has {keys['free_bytes'] // 1048576} MiB left."
                return Notice("A disk is nearly full", f"{left} Make room: once it is full, payments wait.")
        return None

    def due(self, now: float) -> Notice | None:
        """Return what a person should know by now though nothing has happened: an outage that lasts."""
        outage = self._outage
        if outage is None or now - outage.since < self.patience:
            return None
        if outage.reported is not None and now - outage.reported < _DAY:
            return None
        lasting = "still wait" if outage.reported is not None else "wait"
        outage.reported = now
        nothing = "Nothing is lost and nothing fails for it; the work goes on by itself once it is over."
        return Notice(
            f"Payments {lasting}: {outage.reason}", f"Since {_span(now - outage.since)}. {outage.mend}.\n{nothing}"
        )

    def _fail_file(self, keys: Mapping[str, Any]) -> Path:
        return self.fail / Claim(keys["claim"], keys["file"]).published_name

    def _finished(self, keys: Mapping[str, Any]) -> Notice | None:
        failed = self._failed.pop(keys["claim"], [])
        if not keys["rejected"]:
            return None
        count = "1 payment" if keys["rejected"] == 1 else f"{keys['rejected']} payments"
        named = failed[:_MOST_NAMED]
        if len(named) < keys["rejected"]:
            named.append(f"... and {keys['rejected'] - len(named)} more, each with its reason in the file.")
        place = self._fail_file(keys)
        named.append(f"Correct them in {place} and put that file into the inbox.")
        title = f"{keys['file']}: {count} of {keys['records']} failed ({keys['failed']} of {keys['asked']})"
        return Notice(title, "\n".join(named))

    def _waiting(self, keys: Mapping[str, Any], now: float) -> Notice | None:
        reason, mend = str(keys["reason"]), str(keys["mend"])
        if self._outage is None:
            self._outage = _Outage(now, reason, mend)
        elif self._outage.mend != mend:
            # Another trouble than before, which another person may have to mend.
            self._outage = _Outage(self._outage.since, reason, mend)
        return self.due(now)

    def _moving(self, now: float) -> Notice | None:
        outage, self._outage = self._outage, None
        if outage is None or outage.reported is None:
            return None
        return Notice("Payments go on", f"After {_span(now - outage.since)}: {outage.reason}. It is over.")


def digest(notices: list[Notice]) -> Notice:
    """Put notices into one."""
    if len(notices) == 1:
        return notices[0]
    body = "\n\n".join(f"{notice.title}\n{notice.body}" for notice in notices)
    return Notice(f"{len(notices)} things to know: {notices[0].title}; ...", body)


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"
