"""What the daemon says of itself: to systemd, to the log, and to the journal for ``status``."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from watcher.connectwise.client import ConnectWise
from watcher.errors import JournalTrouble, Outage
from watcher.events.catalogue import Event
from watcher.journal.bulletins import Bulletin, Bulletins
from watcher.lifetime import Lifetime
from watcher.times import moment

# A bulletin that says the same is posted again after so long (seconds), with when ConnectWise last answered.
_REPEAT_SECONDS = 60.0
# Two times of the next try are the same if they lie no further apart: each is taken from two clocks (seconds).
_SAME_SECONDS = 1.0


class Speaker:
    """Says how things are; safe to use from several threads.

    Attributes:
        watch: how the inbox is watched, and why so; empty before that is known.
    """

    def __init__(self, bulletins: Bulletins, client: ConnectWise, lifetime: Lifetime) -> None:
        """Say nothing yet.

        Args:
            bulletins: the journal's, on a connection that nobody else uses.
            client: knows when ConnectWise last answered.
            lifetime: knows systemd.
        """
        self.watch = ""
        self._bulletins = bulletins
        self._client = client
        self._lifetime = lifetime
        self._posting = threading.Lock()
        self._latest: Bulletin | None = None
        self._repeated_at = 0.0
        self._log = structlog.get_logger()

    def state(self, state: str, sentence: str) -> None:
        """Say what the daemon does.

        Args:
            state: ``watching`` or ``working``.
            sentence: the same for a person.
        """
        self._lifetime.systemd.status(sentence)
        if self._latest is None or (self._latest.state, self._latest.reason) != (state, sentence):
            self._post(Bulletin(state, datetime.now(UTC), sentence, ""))

    def waiting(self, outage: Outage, lasted: float, *, retry_in: float | None, log: bool = True) -> None:
        """Say what holds up payments.

        Args:
            outage: what it is.
            lasted: since when (seconds).
            retry_in: how long until the next try (seconds); None if no time is set for it.
            log: False keeps it out of the log.
        """
        now = datetime.fromtimestamp(time.time(), UTC)
        since = now - timedelta(seconds=lasted)
        next_try_at = None if retry_in is None else now + timedelta(seconds=retry_in)
        state = "partly waiting" if outage.others_go_on else "waiting"
        bulletin = Bulletin(state, since, str(outage), outage.mend, type(outage).__name__, next_try_at=next_try_at)
        # First, so that whoever hears of it in the log finds it in the journal, too.
        self._repeat(bulletin)
        if log:
            self._log.error(
                Event.LINE_WAITING,
                reason=str(outage),
                mend=outage.mend,
                request_id=outage.request_id,
                retry_in_seconds=retry_in if retry_in is None else round(retry_in, 1),
                next_try_at=next_try_at and next_try_at.isoformat(timespec="seconds"),
                since=since.isoformat(timespec="seconds"),
                **_named(outage),
            )
        self._lifetime.systemd.status(
            f"Waiting since {since:%Y-%m-%d %H:%M} UTC: {outage}. {outage.mend}.{_next_try(next_try_at)}"
        )
        # What holds up payments holds up no boot.
        self._lifetime.systemd.ready()

    def moving(self, lasted: float) -> None:
        """Log that an outage is over, and how long it lasted (seconds)."""
        self._log.info(Event.LINE_MOVING, waited_seconds=round(lasted, 1))

    def stopping(self) -> None:
        """Say that the daemon is about to end."""
        self._lifetime.systemd.tell("STOPPING=1")
        if self._lifetime.asked_by:
            self._log.info(Event.STOPPING, signal=self._lifetime.asked_by)

    def stopped(self) -> None:
        """Say that the daemon has ended its work."""
        if self._latest is not None:
            self._post(Bulletin("stopped", datetime.now(UTC), "The daemon ended.", ""))
        self._bulletins.close()
        self._log.info(Event.STOPPED)

    def _repeat(self, bulletin: Bulletin) -> None:
        """Post a bulletin; one that says the same as the one before only now and then, as it may come at every scan."""
        last, now = self._latest, self._lifetime.now()
        if last is None or not _says_the_same(last, bulletin) or now - self._repeated_at >= _REPEAT_SECONDS:
            self._repeated_at = now
            self._post(bulletin)

    def _post(self, bulletin: Bulletin) -> None:
        """Write a bulletin down for ``status``. A journal that cannot be written stops nothing here."""
        with self._posting:
            self._latest = bulletin
            with suppress(JournalTrouble):
                self._bulletins.post(replace(bulletin, watch=self.watch, answered_at=self._client.answered_at()))


def _says_the_same(one: Bulletin, other: Bulletin) -> bool:
    if (one.state, one.reason, one.mend) != (other.state, other.reason, other.mend):
        return False
    if one.next_try_at is None or other.next_try_at is None:
        return one.next_try_at == other.next_try_at
    return abs((one.next_try_at - other.next_try_at).total_seconds()) <= _SAME_SECONDS


def _next_try(at: datetime | None) -> str:
    return f" Next try: {moment(at)}." if at else ""


def _named(outage: Outage) -> dict[str, object]:
    """Return the keys by which the log names the first payment that an outage holds up; none if it names none."""
    if not outage.stuck:
        return {}
    first = outage.stuck[0]
    return {
        "invoice_number": first.invoice_number,
        "file": first.file,
        "claim": first.claim_id,
        "line": first.line or None,
    }
