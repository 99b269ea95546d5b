"""What comes in: files are found, claimed, and waited for; what a person withdraws goes out again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import structlog

from watcher.claim import Claim, ReadyFile
from watcher.errors import JournalTrouble
from watcher.events.catalogue import Event
from watcher.inbox.observer import Observer
from watcher.inbox.scan import Inbox
from watcher.lifetime import Lifetime
from watcher.processing.claimed import Tally
from watcher.processing.taking import Taker
from watcher.processing.withdrawing import Withdrawer

# After an event the scan waits this long (seconds), and in a large inbox ten times as long as a scan takes. So a burst
# of events, or a file that is written to for minutes, costs few scans.
_GATHER_SECONDS = 0.2
_GATHER_SCANS = 10
# watchdog holds events back for half a second after a file leaves, to pair the two halves of a move. So we scan once
# more a moment after claiming (seconds).
_AFTERMATH_SECONDS = 0.25
# The longest time between two signs of life (seconds).
_BREATH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Measures:
    """How often the inbox is looked through, and how much is taken from it at once.

    Attributes:
        scan_seconds: the longest time between two scans.
        files: the most files of a batch; they share look-ups.
        bytes: a batch ends with the file that goes beyond this size.
    """

    scan_seconds: float
    files: int
    bytes: int


class Arrivals:
    """Finds files in the inbox, claims them, and waits for more.

    Attributes:
        measures: how often, and how much at once.
        waiting: the files that wait by themselves.
    """

    def __init__(
        self,
        inbox: Inbox,
        observer: Observer,
        taker: Taker,
        withdrawer: Withdrawer,
        lifetime: Lifetime,
        measures: Measures,
    ) -> None:
        self.waiting = taker.waiting
        self._inbox = inbox
        self._observer = observer
        self._taker = taker
        self._withdrawer = withdrawer
        self._lifetime = lifetime
        self.measures = measures
        self._scan_took = 0.0
        # Claims that were logged already: one that waits out an outage is seen again and again.
        self._logged: set[Claim] = set()
        self._log = structlog.get_logger()

    def summary(self, left: Collection[str]) -> str:
        """Return what waits in the inbox and in work, in a sentence.

        Args:
            left: the ids of claims with a payment that is tried again later.
        """
        counts = {
            "not ready yet": self._inbox.waiting,
            "waiting for ConnectWise": len(left),
            "held up in work": self.waiting.in_work(left),
        }
        said = [f"{count} file{'s' if count != 1 else ''} {what}" for what, count in counts.items() if count]
        return f"Watching {self._inbox.folder}; {', '.join(said) or 'nothing to do'}."

    @property
    def settling(self) -> float | None:
        """How long until the next file can be ready (seconds); None if every file has been looked at."""
        return 0.0 if self._taker.put_back else self._inbox.seconds_to_next(self._lifetime.now())

    def scan(self) -> list[ReadyFile]:
        """Look through the inbox once; return the files that are ready, up to a batch.

        Raises:
            FolderTrouble: the inbox cannot be read.
        """
        began = self._lifetime.now()
        self._taker.put_back = False
        ready = self._inbox.scan(self.measures.files, began)
        self._scan_took = self._lifetime.now() - began
        self._lifetime.alive()
        for remark in self._inbox.remarks():
            if not remark.waits:
                self._log.info(Event.ENTRY_IGNORED, file=remark.name, reason=remark.reason)
        oldest = self._inbox.oldest_changed_at
        self._log.debug(
            Event.SCANNED,
            files=self._inbox.waiting,
            oldest_changed_at=oldest and oldest.isoformat(timespec="seconds"),
            overdue=self.waiting.look(self._inbox.waits()),
        )
        return ready

    def resumed(self) -> list[Claim]:
        """Return the files that are claimed already, in the order of claiming; not those that wait by themselves.

        Raises:
            FolderTrouble: the inbox or work cannot be used.
        """
        claims = self._taker.resume()
        for claim, size in claims.items():
            if claim not in self._logged:
                # A claim of this run that a folder trouble interrupted has not been logged yet.
                self._log_claim(Event.FILE_CLAIMED if claim.id in self._taker.made else Event.FILE_RESUMED, claim, size)
        return list(claims)

    def claim(self, ready: Sequence[ReadyFile]) -> list[Claim]:
        """Claim the first of the ready files, up to a batch.

        Raises:
            FolderTrouble: the inbox or work cannot be used; what is claimed by then is resumed later.
        """
        self.begin(ready)
        return self.claimed()

    def begin(self, ready: Sequence[ReadyFile]) -> None:
        """Begin to claim files as ``claim`` does, while the caller goes on; ``claimed`` ends it."""
        self._taker.begin(self._batch(ready))

    @property
    def is_claiming(self) -> bool:
        """True if files are being claimed."""
        return self._taker.is_under_way

    def claimed(self) -> list[Claim]:
        """Wait for the files that are being claimed, if any, and return those that are claimed."""
        taken = self._taker.end()
        for name, reason in taken.returned.items():
            self._log.info(Event.FILE_RETURNED, file=name, reason=reason)
            self._inbox.taken(name)
        for name, reason in taken.held_back.items():
            self._inbox.hold_back(name, reason)
        for claim, size in taken.claims.items():
            self._inbox.taken(claim.name)
            self._log_claim(Event.FILE_CLAIMED, claim, size)
        return list(taken.claims)

    def _batch(self, ready: Sequence[ReadyFile]) -> list[ReadyFile]:
        """Return the first files in their order, and of those that could not be taken the ones tried longest ago.

        Neither takes the place of the other.
        """
        again = sorted((file for file in ready if file.tried is not None), key=lambda file: file.tried or 0.0)
        chosen = self._share(again) | self._share([file for file in ready if file.tried is None])
        return [file for file in ready if file.name in chosen]

    def _share(self, files: Sequence[ReadyFile]) -> set[str]:
        """Return the names of the first files, up to the number of a batch and to the one that goes beyond its size."""
        names: set[str] = set()
        size = 0
        for file in files[: self.measures.files]:
            if size >= self.measures.bytes:
                break
            names.add(file.name)
            size += file.size
        return names

    def withdraw(self) -> dict[Claim, Tally]:
        """Take out of work what people want out of it.

        Returns:
            The files that are finished by that, and what each came to.

        Raises:
            JournalTrouble: the journal cannot be used.
        """
        if self._taker.is_under_way:
            # The next time, when it is sure which files are in work.
            return {}
        gone = self._withdrawer.carry_out()
        self.finished(list(gone))
        return gone

    def withdrawal_asked(self) -> bool:
        """Return True if a person has asked to withdraw a file since the last look."""
        try:
            return self._withdrawer.asked_anew()
        except JournalTrouble:
            # The next turn meets it, too, and says so.
            return False

    def finished(self, claims: Sequence[Claim]) -> None:
        """Forget claims that have come to their end."""
        self._logged.difference_update(claims)
        self._taker.made.difference_update(claim.id for claim in claims)

    def wait(self, *, took_files: bool, at_most: float | None = None) -> None:
        """Wait for an event, for a file to be quiet, or for the next scan.

        Args:
            took_files: files were claimed since the last wait.
            at_most: the longest wait (seconds), if something else is due.
        """
        waits = [self.measures.scan_seconds]
        if at_most is not None:
            waits.append(at_most)
        if (settling := self.settling) is not None:
            waits.append(settling)
        if took_files:
            waits.append(_AFTERMATH_SECONDS)
        until = self._lifetime.now() + min(waits)
        while not (self._lifetime.ending or self._lifetime.reloading) and (left := until - self._lifetime.now()) > 0:
            if self._lifetime.listen(self._observer.wait, min(left, _BREATH_SECONDS)):
                gather = max(_GATHER_SECONDS, _GATHER_SCANS * self._scan_took)
                self._lifetime.pause(min(self.measures.scan_seconds, gather))
                return

    def _log_claim(self, event: Event, claim: Claim, size: int | None) -> None:
        self._log.info(event, file=claim.name, claim=claim.id, bytes=size)
        self._logged.add(claim)
