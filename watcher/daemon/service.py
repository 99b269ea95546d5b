"""The daemon's loop.

One turn finishes what is claimed, or claims what is ready, or waits. Whatever holds up payments is waited out, with
growing pauses, for as long as it takes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress

from watcher.claim import Claim, ReadyFile
from watcher.daemon.arrivals import Arrivals
from watcher.daemon.asking import Asking
from watcher.daemon.bulletin import Speaker
from watcher.daemon.outage import Met, OutageState
from watcher.daemon.tenure import Tenure
from watcher.daemon.upkeep import Upkeep
from watcher.errors import FolderTrouble, Outage, Stopping
from watcher.lifetime import Lifetime
from watcher.processing.batch import Batches
from watcher.processing.claimed import Tally

# How often a pause is interrupted to see if a person wants a file out of work (seconds).
_LOOK_SECONDS = 2.0
# How often all folders are looked at (seconds). On a share each look is a dozen round trips. A folder that cannot be
# used is met when it is used, too.
_FOLDERS_SECONDS = 60.0


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
        # The claims that were processed and have not come to their end.
        self._open: set[Claim] = set()
        # When the folders are looked at again though nothing comes (monotonic seconds).
        self._folders_due = -math.inf

    def run(self) -> None:
        """Work until asked to end, or to read the configuration anew.

        Raises:
            Occupied: another process holds the inbox.
        """
        # Being asked to end in the middle of some work is an end in order, too.
        with suppress(Stopping):
            while self._goes_on:
                try:
                    self._hasten()
                    tally = self._turn()
                    self._upkeep.prune()
                    if (cause := self._batches.cause) is not None:
                        raise cause
                    self._ask()
                    if not self._asking.is_in_trouble:
                        self._speaker.state("watching", self._arrivals.summary(self._batches.left.claims))
                    self._arrivals.wait(took_files=tally.files > 0, at_most=self._next_in)
                except Outage as outage:
                    self._folders_due = -math.inf
                    self._settle()
                    self._wait_out(outage)

    def run_once(self) -> Tally:
        """Handle what is claimed and what lies in the inbox now; files that are not whole yet stay there.

        Raises:
            Outage: payments have to wait; what is claimed stays claimed, and the next run finishes it.
            Occupied: another process holds the inbox.
            Stopping: the program was asked to end; what is claimed stays claimed.
        """
        tally = Tally()
        self._batches.nothing_follows()
        tally += self._turn()
        while not self._lifetime.ending and (soon := self._soon) is not None:
            self._lifetime.wait(max(0.01, soon))
            tally += self._turn()
        if self._lifetime.ending:
            raise Stopping("asked to end before everything was handled; the next run finishes it")
        if (cause := self._batches.cause) is not None:
            raise cause
        self._arrivals.waiting.check()
        return tally

    def close(self) -> None:
        """Let go of the inbox, once what is under way on folders is done."""
        ends = not self._lifetime.reloading
        if ends:
            self._speaker.stopping()
        self._settle()
        self._tenure.release()
        if ends:
            self._speaker.stopped()

    @property
    def _goes_on(self) -> bool:
        return not (self._lifetime.ending or self._lifetime.reloading)

    @property
    def _due_in(self) -> float | None:
        """How long until payments that were left have their turn (seconds); None if there are none."""
        due = self._batches.left.due
        return None if due is None else max(0.0, due - self._lifetime.now())

    @property
    def _next_in(self) -> float | None:
        """How long until something is due though nothing comes (seconds); None if nothing is."""
        return min((due for due in (self._due_in, self._asking_in) if due is not None), default=None)

    @property
    def _asking_in(self) -> float | None:
        """How long until ConnectWise is asked (seconds); None if a file is about to be taken: it asks by itself."""
        return None if self._arrivals.settling is not None else self._asking.due_in(self._lifetime.now())

    @property
    def _soon(self) -> float | None:
        """How long until there is more to be done by itself (seconds); None if there is nothing."""
        waits = [self._arrivals.settling, self._due_in if self._batches.left.is_decided_soon else None]
        return min((wait for wait in waits if wait is not None), default=None)

    @property
    def _asking(self) -> Asking:
        return self._upkeep.asking

    def _hasten(self) -> None:
        """Let all that waits for its time have it now, if a person has asked for that."""
        if self._lifetime.retrying:
            self._lifetime.retrying = False
            self._batches.left.hasten()
            self._asking.hasten()

    def _ask(self) -> None:
        """Ask ConnectWise if that is due. If it does not answer well, the line waits, and files are tried as ever."""
        if self._asking_in != 0.0:
            return
        try:
            self._asking.ask()
        except Outage as outage:
            met = self._met(outage)
            self._asking.try_again_in(met.pause, self._lifetime.now())
            self._speaker.waiting(outage, met.lasted, retry_in=met.pause, log=met.log)
        else:
            self._advanced()

    def _turn(self) -> Tally:
        """Finish what is claimed; then scan, claim and process, batch by batch, until nothing is ready."""
        self._tenure.glance()
        self._speaker.watch = self._tenure.watching
        ready = self._scan()
        self._check_folders(wanted=bool(ready))
        tally = self._batches.tidy()
        claims = self._resumed() or self._arrivals.claim(ready)
        while claims:
            tally += self._process(claims)
            # Files may come in without end.
            self._batches.audit()
            if self._batches.is_behind:
                tally += self._batches.settle()
            claims = self._next_claims()
        tally += self._batches.settle()
        self._forget_finished(())
        # A file that waits by itself is in no batch.
        tally += sum(self._arrivals.withdraw().values(), Tally())
        self._batches.audit()
        if self._batches.cause is None:
            self._advanced()
        return tally

    def _next_claims(self) -> list[Claim]:
        """Return the files of the next batch."""
        if not self._arrivals.is_claiming and self._arrivals.settling == 0.0 and self._goes_on:
            ready = self._scan()
            self._check_folders(wanted=bool(ready))
            self._arrivals.begin(ready)
        return self._arrivals.claimed()

    def _prepare(self) -> None:
        """Begin to claim the next batch while ConnectWise answers about this one, if more files are ready."""
        if not self._goes_on or self._arrivals.is_claiming or self._batches.is_behind:
            return
        if self._arrivals.settling != 0.0:
            return
        # What is wrong with a folder, the next turn says.
        with suppress(FolderTrouble):
            ready = self._scan()
            self._check_folders(wanted=bool(ready))
            if ready:
                self._arrivals.begin(ready)

    def _settle(self) -> None:
        """Wait for what is under way on folders, when something else holds up the work."""
        for wait in (self._batches.settle, self._arrivals.claimed):
            # That it does not work either is met once more.
            with suppress(Outage, Stopping):
                wait()

    def _check_folders(self, *, wanted: bool) -> None:
        """Make sure of all folders now and then, and of the lock before files are claimed.

        Raises:
            FolderTrouble: one cannot be used.
        """
        if self._lifetime.now() >= self._folders_due:
            self._folders_due = -math.inf
            self._tenure.check()
            self._batches.check()
            self._upkeep.check_room()
            self._folders_due = self._lifetime.now() + _FOLDERS_SECONDS
        elif wanted:
            self._tenure.keep()

    def _resumed(self) -> list[Claim]:
        """Return the files that are claimed already and whose turn has come."""
        claims = self._arrivals.resumed()
        self._batches.keep_only([claim.id for claim in claims])
        later = set(self._batches.left.later(self._lifetime.now()))
        return [claim for claim in claims if claim.id not in later]

    def _scan(self) -> list[ReadyFile]:
        ready = self._arrivals.scan()
        self._lifetime.systemd.ready()
        return ready

    def _process(self, claims: Sequence[Claim]) -> Tally:
        working = f"Working on {len(claims)} file{'s' if len(claims) != 1 else ''}."
        if not self._outage.lasts:
            self._speaker.state("working", working)
        tally = Tally()
        most = self._arrivals.measures.files
        withdrawn: dict[Claim, Tally] = {}
        for start in range(0, len(claims), most):
            withdrawn |= self._arrivals.withdraw()
            batch = [claim for claim in claims[start : start + most] if claim not in withdrawn]
            tally += self._advance(self._batches.process(batch), working)
        self._forget_finished(claims)
        return sum(withdrawn.values(), tally)

    def _forget_finished(self, claims: Iterable[Claim]) -> None:
        """Forget the claims that have come to their end, among some and those that had not the last time."""
        self._open.update(claims)
        finished = [claim for claim in self._open if not self._batches.is_open(claim)]
        self._arrivals.finished(finished)
        self._open.difference_update(finished)

    def _advance(self, advances: Iterable[Tally], working: str) -> Tally:
        """Let the work go on, and add up what it comes to: each advance is a sign of life and ends an outage.

        Args:
            advances: the work.
            working: what is said once an outage is over. An attempt alone does not end it.
        """
        tally = Tally()
        for advance in advances:
            tally += advance
            self._lifetime.alive()
            if self._advanced():
                self._speaker.state("working", working)
            self._prepare()
        return tally

    def _advanced(self) -> bool:
        """Take in that the work advances; return True if an outage is over by that.

        One that was found by asking ConnectWise is over once ConnectWise has answered.
        """
        if self._asking.is_in_trouble:
            return False
        lasted = self._outage.over(self._lifetime.now())
        if lasted is not None:
            self._speaker.moving(lasted)
        return lasted is not None

    def _wait_out(self, outage: Outage) -> None:
        """Wait out an outage for one pause; the pauses grow. A person who asks for something ends the pause."""
        met = self._met(outage)
        if outage.others_go_on:
            self._speaker.waiting(outage, met.lasted, retry_in=self._due_in, log=met.log)
            self._arrivals.wait(took_files=False, at_most=self._due_in)
            return
        self._speaker.waiting(outage, met.lasted, retry_in=met.pause, log=met.log)
        until = self._lifetime.now() + met.pause
        while self._goes_on and (left := until - self._lifetime.now()) > 0:
            if self._arrivals.withdrawal_asked() or self._lifetime.retrying:
                return
            self._lifetime.wait(min(left, _LOOK_SECONDS))

    def _met(self, outage: Outage) -> Met:
        chance = random.uniform(0.5, 1.0)  # noqa: S311  (spreads attempts, no secret)
        return self._outage.met(outage, self._lifetime.now(), chance)
