"""The daemon's loop.

One turn finishes what is claimed, or claims what is ready, or waits. Whatever holds up payments is waited out, with
growing pauses, for as long as it takes.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from watcher.claim import Claim, ReadyFile
from watcher.daemon.arrivals import Arrivals
from watcher.daemon.bulletin import Speaker
from watcher.daemon.outage import OutageState
from watcher.daemon.tenure import Tenure
from watcher.daemon.upkeep import Upkeep
from watcher.errors import Outage, Stopping
from watcher.lifetime import Lifetime
from watcher.processing.batch import Batches
from watcher.processing.claimed import Tally

# How often a pause is interrupted to see if a person wants a file out of work (seconds).
_LOOK_SECONDS = 2.0


class Service:
    """The loop over one inbox."""

    def __init__(
        self,
        tenure: Tenure,
        arrivals: Arrivals,
        batches: Batches,
        upkeep: Upkeep,
        speaker: Speaker,
        lifetime: Lifetime,
    ) -> None:
        self._tenure = tenure
        self._arrivals = arrivals
        self._batches = batches
        self._upkeep = upkeep
        self._speaker = speaker
        self._lifetime = lifetime
        self._outage = OutageState(arrivals.measures.scan_seconds)
        self._ready = False

    def run(self) -> None:
        """Work until asked to end.

        Raises:
            Occupied: another process holds the inbox.
        """
        try:
            while not self._lifetime.ending:
                try:
                    tally = self._turn()
                    self._upkeep.prune()
                    self._speaker.state("watching", self._arrivals.summary)
                    self._arrivals.wait(took_files=tally.files > 0)
                except Outage as outage:
                    self._wait_out(outage)
        except Stopping:
            pass
        finally:
            self._end()

    def run_once(self) -> Tally:
        """Handle what is claimed and what lies in the inbox now; files that are not whole yet stay there.

        Raises:
            Outage: payments have to wait; what is claimed stays claimed, and the next run finishes it.
            Occupied: another process holds the inbox.
            Stopping: the program was asked to end; what is claimed stays claimed.
        """
        tally = Tally()
        try:
            tally += self._turn()
            while not self._lifetime.ending and (settling := self._arrivals.settling) is not None:
                self._lifetime.pause(max(0.01, settling))
                tally += self._turn()
        finally:
            self._end()
        if self._lifetime.ending:
            raise Stopping("asked to end before everything was handled; the next run finishes it")
        self._arrivals.waiting.check()
        return tally

    def _turn(self) -> Tally:
        """Finish what is claimed; then scan, claim and process, batch by batch, until nothing is ready."""
        self._tenure.check()
        self._speaker.watch = self._tenure.watching
        ready = self._scan()
        self._batches.check()
        self._upkeep.check_room()
        tally = self._batches.tidy()
        claims = self._arrivals.resumed() or self._arrivals.claim(ready)
        while claims:
            tally += self._process(claims)
            # Files may come in without end.
            self._batches.audit()
            ready = [] if self._lifetime.ending else self._scan()
            claims = self._arrivals.claim(ready)
        # A file that waits by itself is in no batch.
        tally += sum(self._arrivals.withdraw().values(), Tally())
        self._batches.audit()
        self._advanced()
        return tally

    def _scan(self) -> list[ReadyFile]:
        ready = self._arrivals.scan()
        if not self._ready:
            self._ready = True
            self._lifetime.systemd.tell("READY=1")
        return ready

    def _process(self, claims: Sequence[Claim]) -> Tally:
        self._speaker.state("working", f"Working on {len(claims)} file{'s' if len(claims) != 1 else ''}.")
        tally = Tally()
        most = self._arrivals.measures.files
        withdrawn: dict[Claim, Tally] = {}
        for start in range(0, len(claims), most):
            withdrawn |= self._arrivals.withdraw()
            batch = [claim for claim in claims[start : start + most] if claim not in withdrawn]
            tally += self._advance(self._batches.process(batch))
        self._arrivals.finished(claims)
        return sum(withdrawn.values(), tally)

    def _advance(self, advances: Iterable[Tally]) -> Tally:
        """Let the work go on, and add up what it comes to: each advance is a sign of life and ends an outage."""
        tally = Tally()
        for advance in advances:
            tally += advance
            self._lifetime.alive()
            self._advanced()
        return tally

    def _advanced(self) -> None:
        lasted = self._outage.over(self._lifetime.now())
        if lasted is not None:
            self._speaker.moving(lasted)

    def _wait_out(self, outage: Outage) -> None:
        """Wait out an outage for one pause; the pauses grow. A person who withdraws a file ends the pause."""
        chance = random.uniform(0.5, 1.0)  # noqa: S311  (spreads attempts, no secret)
        met = self._outage.met(outage, self._lifetime.now(), chance)
        self._speaker.waiting(outage, met.lasted, retry_in=met.pause if met.log else None)
        until = self._lifetime.now() + met.pause
        while not self._lifetime.ending and (left := until - self._lifetime.now()) > 0:
            if self._arrivals.withdrawal_asked():
                return
            self._lifetime.wait(min(left, _LOOK_SECONDS))

    def _end(self) -> None:
        self._speaker.stopping()
        self._tenure.release()
        self._speaker.stopped()
