"""The daemon: the loop, its signals and its waits.

One turn of the loop finishes what is claimed, or claims what is ready, or waits. Whatever holds up the line is waited
out, with growing pauses, for as long as it takes.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from watcher.actions.prune import Ages, old, remove
from watcher.claim import Claim, ReadyFile
from watcher.disk.hanging import Pulse
from watcher.errors import FolderTrouble, Outage, Stopping
from watcher.events.catalogue import Event
from watcher.folders.spool import Changed, Spool
from watcher.inbox.observer import Observer, Watching
from watcher.inbox.scan import MARKER, Inbox
from watcher.journal.ledger import Journal, Line
from watcher.lifetime import Systemd, holding, leave, lock_file, on_signal
from watcher.processing.batch import Pipeline, Tally

# Files of one batch: their look-ups are shared.
_BATCH_FILES = 100
# Pauses of an outage, seconds: from the first to the longest, doubling, with chance in them.
_FIRST_PAUSE = 2.0
_LONGEST_PAUSE = 300.0
# How often an outage that lasts is logged again, seconds.
_REMIND_SECONDS = 3600.0
_DAY_SECONDS = 86400.0
# After an event the scan waits this long, and in a large inbox for so many times as long as a scan takes, so that a
# burst of events, or a file that is written to for minutes, costs few scans.
_GATHER_SECONDS = 0.2
_GATHER_SCANS = 10
# What happens within half a second of a file's leaving the inbox, watchdog tells only then: it waits for the other half
# of a move. A scan this long after we took files makes up for it.
_AFTERMATH_SECONDS = 0.25
# A wait never keeps the process from saying that it is alive for longer than this, seconds.
_BREATH_SECONDS = 5.0


class Service:
    """The loop over one inbox."""

    def __init__(
        self,
        inbox: Inbox,
        observer: Observer,
        spool: Spool,
        journal: Journal,
        pipeline: Pipeline,
        *,
        stop: threading.Event,
        systemd: Systemd,
        scan_seconds: float,
        batch_bytes: int,
        pulse: Pulse | None = None,
        answered_at: Callable[[], datetime | None] = lambda: None,
        ages: Ages | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Do nothing yet.

        Args:
            inbox: where files come from.
            observer: wakes the loop.
            spool: claims files.
            journal: knows the inbox's marker.
            pipeline: takes claimed files to their end.
            stop: set when the program is to end.
            systemd: is told how things are.
            scan_seconds: the longest time between two scans.
            batch_bytes: a batch ends with the file that goes beyond this.
            pulse: notices folders that do not answer; without one they hold up everything.
            answered_at: says when ConnectWise last gave a good answer.
            ages: after how long published files and the journal's rows go.
            clock: monotonic seconds.
        """
        self._inbox = inbox
        self._observer = observer
        self._spool = spool
        self._journal = journal
        self._pipeline = pipeline
        self._stop = stop
        self._systemd = systemd
        self._scan_seconds = scan_seconds
        self._batch_bytes = batch_bytes
        self._pulse = pulse
        self._answered_at = answered_at
        self._ages = ages or Ages()
        self._pruned: float | None = None
        self._clock = clock
        self._log = structlog.get_logger()
        self._ready = False
        self._scan_took = 0.0
        self._watching: Watching | None = None
        # Device and inode of the lock file that is held.
        self._held: tuple[int, int] | None = None
        self._asked_by = ""
        self._said: Line | None = None
        # Claimed files that the log knows of already, as one that waits out an outage does.
        self._known: set[Claim] = set()
        self._locks = ExitStack()
        self._advanced = 0
        self._outage_since: float | None = None
        self._outage_told = 0.0
        self._outage_kind: tuple[type[Outage], str] | None = None
        self._pause = _FIRST_PAUSE
        self._room_told: float | None = None

    def catch_signals(self) -> None:
        """End in order on SIGTERM and SIGINT."""

        def asked(name: str) -> None:
            self._asked_by = name
            self._stop.set()
            self._observer.wake()

        on_signal(asked)

    def run(self) -> None:
        """Work until asked to stop.

        Raises:
            Occupied: another process holds the inbox.
        """
        self._start_pulse()
        try:
            while not self._stop.is_set():
                try:
                    tally = self._turn()
                    self._moving()
                    self._prune()
                    self._wait(took_files=tally.files > 0)
                except Outage as outage:
                    self._hold(outage)
        except Stopping:
            pass
        finally:
            self._end()

    def run_once(self) -> Tally:
        """Handle what is claimed and what lies in the inbox now; files that are not whole yet are left there.

        Raises:
            Outage: something holds up the line; what is claimed stays claimed and is finished by the next run.
            Occupied: another process holds the inbox.
            Stopping: the program was asked to end; what is claimed stays claimed.
        """
        tally = Tally()
        self._start_pulse()
        try:
            tally += self._turn()
            while not self._stop.is_set() and self._inbox.seconds_to_next() is not None:
                self._observer.wait(max(0.01, self._inbox.seconds_to_next() or 0))
                tally += self._turn()
        finally:
            self._end()
        if self._stop.is_set():
            raise Stopping("asked to end before everything was handled; the next run finishes it")
        return tally

    # --- one turn ----------------------------------------------------------------------------------------------

    def _turn(self) -> Tally:
        """Finish what is claimed; then scan, claim and settle, batch by batch, until nothing is ready."""
        self._check_inbox()
        ready = self._scan()
        self._spool.check()
        self._check_room()
        tally = self._pipeline.clear_emptied()
        claims = self._spool.claimed()
        for claim in claims:
            if claim not in self._known:
                # One of this process whose taking was interrupted by a folder trouble has not been told of yet.
                event = Event.FILE_CLAIMED if claim.id in self._spool.made else Event.FILE_RESUMED
                self._tell_claim(event, claim)
        self._known.update(claims)
        while True:
            if claims:
                self._say("working", f"Working on {len(claims)} file{'s' if len(claims) != 1 else ''}.")
                for start in range(0, len(claims), _BATCH_FILES):
                    tally += self._pipeline.settle(claims[start : start + _BATCH_FILES])
                self._known.difference_update(claims)
                ready = self._scan()
            if not ready or self._stop.is_set():
                return tally
            claims = self._claim(ready)

    def _check_inbox(self) -> None:
        """Make sure the inbox is ours alone and the one it was; mark it at the first start; keep it watched."""
        place = str(self._inbox.folder)
        expected = self._journal.marker(place)
        if expected is not None:
            self._inbox.check_marker(expected)
        # Not before the marker is seen: a lock on the bare mount point of a share would keep nobody off the share.
        with self._pulse.touching(self._inbox.folder) if self._pulse else nullcontext():
            lock = lock_file(self._inbox.folder / MARKER)
            if self._held is None or self._held != _identity(lock):
                # Where the inbox was made anew, or mounted again, the lock that is held lies in what was there before.
                self._locks.close()
                if not self._locks.enter_context(holding(lock)):
                    self._log.warning(Event.NOT_LOCKED, inbox=place)
                self._held = _identity(lock)
            if expected is None:
                self._journal.remember_marker(place, self._inbox.keep_marker())
            self._watch()

    def _prune(self) -> None:
        """Once a day, when there is nothing else to do, remove what is old enough."""
        if self._pruned is not None and self._clock() - self._pruned < _DAY_SECONDS:
            return
        self._pruned = self._clock()
        what = old(self._ages, self._spool, self._journal, datetime.now(UTC))
        remove(what, self._spool, self._journal)
        if what.paths or what.claims:
            self._log.info(Event.PRUNED, files=len(what.paths), journal_files=len(what.claims))

    def _check_room(self) -> None:
        """Say of each disk that is nearly full, once a day."""
        if self._room_told is not None and self._clock() - self._room_told < _DAY_SECONDS:
            return
        for folder, left in self._spool.nearly_full():
            self._room_told = self._clock()
            self._log.warning(Event.DISK_LOW, folder=str(folder), free_bytes=left)

    def _watch(self) -> None:
        """Keep the inbox watched; where that fails, try again at every scan and say it once."""
        if self._observer.healthy():
            return
        lost = self._observer.watches
        watching = self._observer.start()
        if lost:
            self._log.warning(Event.WATCH_LOST)
        if lost or watching != self._watching:
            self._log.info(Event.WATCHING, mode=watching.mode, reason=watching.reason)
        self._watching = watching

    def _scan(self) -> list[ReadyFile]:
        began = self._clock()
        ready = self._inbox.scan(_BATCH_FILES)
        self._scan_took = self._clock() - began
        self._systemd.alive()
        oldest = self._inbox.oldest_changed_at
        self._log.debug(
            Event.SCANNED,
            files=self._inbox.waiting,
            oldest_changed_at=oldest and oldest.isoformat(timespec="seconds"),
        )
        for notice in self._inbox.notices():
            event = Event.FILE_WAITING if notice.waits else Event.ENTRY_IGNORED
            self._log.info(event, file=notice.name, reason=notice.reason)
        if not self._ready:
            self._ready = True
            self._systemd.tell("READY=1")
        return ready

    def _claim(self, ready: list[ReadyFile]) -> list[Claim]:
        """Take the first files, up to a batch."""
        claims: list[Claim] = []
        size = 0
        for file in ready:
            try:
                claim = self._spool.claim(file, datetime.now(UTC))
            except Changed as changed:
                self._log.info(Event.FILE_RETURNED, file=file.name, reason=str(changed))
                self._inbox.taken(file.name)
                continue
            self._inbox.taken(file.name)
            self._tell_claim(Event.FILE_CLAIMED, claim)
            claims.append(claim)
            self._known.add(claim)
            size += file.size
            if size >= self._batch_bytes:
                break
        return claims

    def _tell_claim(self, event: Event, claim: Claim) -> None:
        self._log.info(event, file=claim.name, claim=claim.id, bytes=self._spool.size(claim))

    # --- waiting -----------------------------------------------------------------------------------------------

    def _wait(self, *, took_files: bool) -> None:
        """Wait for an event, for a file to be quiet, or for the next scan."""
        waiting = self._inbox.waiting
        self._say(
            "watching",
            f"Watching {self._inbox.folder}; {waiting} file{'s' if waiting != 1 else ''} not ready yet."
            if waiting
            else f"Watching {self._inbox.folder}; nothing to do.",
        )
        waits = [self._scan_seconds]
        if (next_due := self._inbox.seconds_to_next()) is not None:
            waits.append(next_due)
        if took_files:
            waits.append(_AFTERMATH_SECONDS)
        until = self._clock() + min(waits)
        while not self._stop.is_set() and (left := until - self._clock()) > 0:
            if self._observer.wait(min(left, _BREATH_SECONDS)):
                self._stop.wait(min(self._scan_seconds, max(_GATHER_SECONDS, _GATHER_SCANS * self._scan_took)))
                return
            self._systemd.alive()

    def _hold(self, outage: Outage) -> None:
        """Wait out an outage for one pause; the pauses grow."""
        now = self._clock()
        if self._pipeline.advanced != self._advanced:
            # Payments have gone through since the last pause: that outage was over, and this is another one.
            self._advanced = self._pipeline.advanced
            self._moving()
        if self._outage_since is None:
            self._outage_since, self._outage_told, self._pause = now, now - _REMIND_SECONDS, _FIRST_PAUSE
        pause = random.uniform(0.5, 1.0) * self._pause  # noqa: S311  (jitter, not a secret)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        if isinstance(outage, FolderTrouble):
            pause = min(pause, max(self._scan_seconds, _FIRST_PAUSE))
        # Two folders, or two files in the way, are two outages; a sign-in that is refused in other words is not.
        kind = (type(outage), str(outage) if isinstance(outage, FolderTrouble) else outage.mend)
        tell = now - self._outage_told >= _REMIND_SECONDS or kind != self._outage_kind
        if tell:
            self._outage_told, self._outage_kind = now, kind
        self._tell_outage(outage, now - self._outage_since, pause if tell else None)
        until = now + pause
        while not self._stop.is_set() and (left := until - self._clock()) > 0:
            self._stop.wait(min(left, _BREATH_SECONDS))
            self._systemd.alive()

    def _tell_outage(self, outage: Outage, seconds: float, pause: float | None) -> None:
        """Say what holds up the line since so many seconds; in the log, too, where the next attempt is named."""
        since = datetime.fromtimestamp(time.time() - seconds, UTC)
        if pause is not None:
            self._log.error(
                Event.LINE_WAITING,
                reason=str(outage),
                mend=outage.mend,
                request_id=outage.request_id,
                retry_in_seconds=round(pause, 1),
                since=since.isoformat(timespec="seconds"),
            )
        self._systemd.status(f"Waiting since {since:%Y-%m-%d %H:%M} UTC: {outage}. {outage.mend}.")
        self._note(Line("waiting", since, str(outage), outage.mend, type(outage).__name__))

    # --- folders that do not answer ----------------------------------------------------------------------------

    def _start_pulse(self) -> None:
        if self._pulse:
            self._pulse.start(self._systemd.alive, self._hangs, self._answers, self._give_up)

    def _hangs(self, path: Path, seconds: float) -> None:
        mend = "Check the share and its server; the work goes on by itself once the call comes back"
        self._tell_outage(FolderTrouble(f"{path} does not answer", mend), seconds, 0)

    def _answers(self, seconds: float) -> None:
        self._log.info(Event.LINE_MOVING, waited_seconds=round(seconds, 1))

    def _give_up(self) -> None:
        """End although a call hangs: what it was doing is repeated at the next start."""
        self._systemd.tell("STOPPING=1")
        self._log.info(Event.STOPPING, signal=self._asked_by)
        self._log.info(Event.STOPPED)
        leave(0)

    def _say(self, state: str, sentence: str) -> None:
        self._systemd.status(sentence)
        if self._said is None or (self._said.state, self._said.reason) != (state, sentence):
            self._note(Line(state, datetime.now(UTC), sentence, ""))

    def _note(self, line: Line) -> None:
        """Write down for the status command how things are; that the journal cannot be written stops nothing here."""
        self._said = line
        watch = f"{self._watching.mode}: {self._watching.reason}" if self._watching else ""
        with suppress(FolderTrouble):
            self._journal.note_line(replace(line, watch=watch, answered_at=self._answered_at()))

    def _moving(self) -> None:
        if self._outage_since is not None:
            self._log.info(Event.LINE_MOVING, waited_seconds=round(self._clock() - self._outage_since, 1))
            self._outage_since = None

    def _end(self) -> None:
        self._systemd.tell("STOPPING=1")
        if self._asked_by:
            self._log.info(Event.STOPPING, signal=self._asked_by)
        self._observer.stop()
        if self._said is not None:
            self._note(Line("stopped", datetime.now(UTC), "The daemon ended.", ""))
        self._locks.close()
        self._log.info(Event.STOPPED)


def _identity(file: Path) -> tuple[int, int] | None:
    """Tell a file from another of its name; None where there is none."""
    try:
        facts = file.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
