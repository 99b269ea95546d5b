"""What people get a message about, made from the log's events. Pure: events and times come in, notices go out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from watcher.claim import Claim
from watcher.events import throttling
from watcher.events.catalogue import Event
from watcher.plain import plain
from watcher.times import span

# An outage that lasts is reported again after so long (seconds).
_DAY = 86400.0
# The most payments that are named of those that failed in a file.
_MOST_NAMED = 20
# The most characters of a title, of a file's name in it, of one value in a text, and of all texts in one message.
_LONGEST_TITLE = 200
_LONGEST_NAME = 100
_LONGEST_VALUE = 500
_LONGEST_DIGEST = 30000
_REST = "... The rest is in the log, and payment-watcher status shows it."
# Of these, each event may be worth a message. Of others, some are.
_CONCERNS = frozenset(
    (
        Event.FILE_FINISHED,
        Event.FILE_REFUSED,
        Event.FILE_WITHDRAWN,
        Event.FILE_OVERDUE,
        Event.LINE_WAITING,
        Event.LINE_MOVING,
        Event.DISK_LOW,
        Event.PAYMENT_CORRECTED,
        Event.CONNECTWISE_SLOWED,
    )
)


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
    # True if it is none in the log: ConnectWise answers nothing but 429.
    throttled: bool = False
    reported: float | None = None


@dataclass(slots=True)
class Reporter:
    """Follows the events of one daemon, and finds what a person should know.

    Attributes:
        fail: the fail outbox.
        patience: an outage that is over sooner is not reported (seconds).
        warnings: report payments that succeeded with a warning, too.
    """

    fail: Path
    patience: float
    warnings: bool = True
    _failed: dict[str, list[str]] = field(default_factory=dict)
    _warned: dict[str, list[str]] = field(default_factory=dict)
    _withdrawn: set[str] = field(default_factory=set)
    _outage: _Outage | None = None

    def concerns(self, event: str, keys: Mapping[str, Any]) -> bool:
        """Return True if ``hear`` would make something of an event."""
        said = event == Event.PAYMENT and keys["message"] is not None
        return event in _CONCERNS or said or throttling.is_over(event, keys)

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
            case Event.PAYMENT if keys["message"] is not None:
                self._remember(self._failed if keys["outcome"] == "rejected" else self._warned, keys)
            case Event.FILE_FINISHED:
                return self._finished(keys)
            case Event.FILE_WITHDRAWN:
                self._withdrawn.add(keys["claim"])
            case Event.FILE_REFUSED:
                return self._refused(keys)
            case Event.LINE_WAITING:
                return self._waiting(keys, now)
            case Event.LINE_MOVING:
                return self._moving(now)
            case Event.CONNECTWISE_SLOWED:
                return self._slowed(now)
            case Event.FILE_OVERDUE | Event.DISK_LOW | Event.PAYMENT_CORRECTED:
                return _by_itself(event, keys)
            case _ if self._outage is not None and self._outage.throttled and throttling.is_over(event, keys):
                return self._moving(now)
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
        why = f"For {span(now - outage.since)} now: {outage.reason}. {outage.mend}."
        return _notice(f"Payments {lasting}: {outage.reason}", f"{why}\n{nothing}")

    def _remember(self, kept: dict[str, list[str]], keys: Mapping[str, Any]) -> None:
        """Remember what is to be said of a payment until its file is finished."""
        said = kept.setdefault(keys["claim"], [])
        if len(said) < _MOST_NAMED:
            number = _value(keys["invoice_number"] or "no number")
            amount = keys["asked"] or keys["asked_as_written"]
            said.append(f"{number}{f', {_value(amount)}' if amount else ''}: {_value(keys['message'])}")

    def _fail_file(self, keys: Mapping[str, Any]) -> str:
        """Return where a person finds a file that failed."""
        return plain(str(self.fail / Claim(keys["claim"], keys["file"]).published_name))

    def _refused(self, keys: Mapping[str, Any]) -> Notice:
        self._failed.pop(keys["claim"], None)
        self._warned.pop(keys["claim"], None)
        if keys["claim"] in self._withdrawn:
            self._withdrawn.discard(keys["claim"])
            title = f"{_name(keys)} was withdrawn before its payments were read"
            mend = "If it is to be processed after all, put it into the inbox again."
        else:
            title = f"{_name(keys)} could not be read; nothing in it was paid"
            mend = "Correct it, or export it again, and put it into the inbox."
        return _notice(title, f"{_value(keys['reason'])}\nIt lies in {self._fail_file(keys)}. {mend}")

    def _finished(self, keys: Mapping[str, Any]) -> Notice | None:
        self._withdrawn.discard(keys["claim"])
        failed, warned = self._failed.pop(keys["claim"], []), self._warned.pop(keys["claim"], [])
        warnings = keys["warnings"] if self.warnings else 0
        lines = []
        if keys["rejected"]:
            lines += _named(failed, keys["rejected"])
            lines.append(f"Correct them in {self._fail_file(keys)} and put that file into the inbox.")
        if warnings:
            lines += ["Set, but with a warning:"] if lines else []
            lines += _named(warned, warnings)
        if not lines:
            return None
        done = f"{_payments(keys['rejected'])} of {keys['records']} failed ({_sums(keys)})"
        warning = f"{_payments(warnings)} of {keys['records']} set with a warning"
        return _notice(f"{_name(keys)}: {done if keys['rejected'] else warning}", "\n".join(lines))

    def _waiting(self, keys: Mapping[str, Any], now: float) -> Notice | None:
        reason, mend = _value(keys["reason"]), _value(keys["mend"])
        if self._outage is None:
            self._outage = _Outage(now, reason, mend)
        elif self._outage.mend != mend:
            # Another trouble than before, which another person may have to mend.
            self._outage = _Outage(self._outage.since, reason, mend)
        return self.due(now)

    def _slowed(self, now: float) -> Notice | None:
        if self._outage is None:
            self._outage = _Outage(now, throttling.REASON, throttling.MEND, throttled=True)
        return self.due(now)

    def _moving(self, now: float) -> Notice | None:
        outage, self._outage = self._outage, None
        if outage is None or outage.reported is None:
            return None
        return _notice("Payments go on", f"After {span(now - outage.since)}: {outage.reason}. It is over.")


def digest(notices: Sequence[Notice]) -> Notice:
    """Put notices into one. If they are too long for one message, it says how many are left out."""
    if len(notices) == 1:
        return notices[0]
    texts: list[str] = []
    left = _LONGEST_DIGEST
    for notice in notices:
        text = f"{notice.title}\n{notice.body}"
        left -= len(text)
        if texts and left < 0:
            texts.append(f"... and {len(notices) - len(texts)} more, which are in the log.")
            break
        texts.append(text)
    return _notice(f"{len(notices)} things to know: {plain(notices[0].title, _LONGEST_NAME)}; ...", "\n\n".join(texts))


def fitted(notice: Notice, longest: int) -> Notice:
    """Return a notice, with its end left out if a service takes fewer characters, title and text together."""
    room = longest - len(notice.title) - 2
    if len(notice.body) <= room:
        return notice
    kept = notice.body[: max(0, room - len(_REST) - 1)].rpartition("\n")[0]
    return Notice(notice.title, f"{kept}\n{_REST}".lstrip()[: max(0, room)])


def _payments(count: int) -> str:
    return "1 payment" if count == 1 else f"{count} payments"


def _named(said: list[str], count: int) -> list[str]:
    """Return what is said of the first payments, and how many there are beside these."""
    rest = [f"... and {count - len(said)} more, each with its reason in the file."] if len(said) < count else []
    return said + rest


def _sums(keys: Mapping[str, Any]) -> str:
    """Return how much failed in a file, and how many amounts nobody can count."""
    unreadable, rejected = keys["unreadable_amounts"], keys["rejected"]
    if unreadable == rejected:
        return "its amount cannot be read" if rejected == 1 else "none of their amounts can be read"
    lacking = f"; {unreadable} amount{'s' if unreadable > 1 else ''} cannot be read" if unreadable else ""
    return f"{keys['failed']} of {keys['asked']}{lacking}"


def _by_itself(event: str, keys: Mapping[str, Any]) -> Notice:
    """Return the notice of an event that needs no other one to be understood."""
    if event == Event.FILE_OVERDUE:
        return _overdue(keys)
    return _disk_low(keys) if event == Event.DISK_LOW else _corrected(keys)


def _disk_low(keys: Mapping[str, Any]) -> Notice:
    left = f"{_value(keys['folder'])} has {keys['free_bytes'] // 1048576} MiB left."
    return _notice("A disk is nearly full", f"{left} Make room: once it is full, payments wait.")


def _corrected(keys: Mapping[str, Any]) -> Notice:
    number = _value(keys["invoice_number"])
    done = "It was put right; there is nothing to do." if keys["corrected"] else "Check this invoice in ConnectWise."
    title = f"Invoice {number} was not as it had been reported"
    return _notice(title, f"An answer of ConnectWise about it was lost. {_value(keys['reason'])}. {done}")


def _notice(title: str, body: str) -> Notice:
    return Notice(plain(title, _LONGEST_TITLE), body)


def _overdue(keys: Mapping[str, Any]) -> Notice:
    mend = f" {_value(keys['mend'])}." if keys["mend"] else ""
    where = "in work" if keys["claim"] else "in the inbox"
    why = f"It has waited {where} since {keys['since']}: {_value(keys['reason'])}.{mend}"
    return _notice(f"{_name(keys)} waits for too long", f"{why}\nOther files go on. It is tried again by itself.")


def _name(keys: Mapping[str, Any]) -> str:
    return plain(keys["file"], _LONGEST_NAME)


def _value(text: object) -> str:
    return plain(str(text), _LONGEST_VALUE)
