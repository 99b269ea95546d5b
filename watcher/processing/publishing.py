"""Decided files published: result files, archive, journal, work cleared. Every step can be repeated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from watcher.claim import Claim
from watcher.disk.lane import Lane
from watcher.errors import FileTrouble
from watcher.folders.outboxes import Outboxes
from watcher.folders.work import Work
from watcher.journal.claims import Claims
from watcher.journal.ledger import Decision, Ledger
from watcher.lifetime import Lifetime
from watcher.payments.outcomes import total
from watcher.payments.receipt import read_receipt
from watcher.processing.claimed import Asking, Decided
from watcher.processing.letting_go import LettingGo
from watcher.processing.result_files import Outgoing, ResultFiles
from watcher.processing.telling import log_file
from watcher.processing.waiting import WaitingFiles


class Publisher:
    """Takes decided files to their end: all that is published is made from the journal.

    Attributes:
        held: the decided files that cannot be published now. They wait by themselves.
    """

    def __init__(
        self,
        work: Work,
        outboxes: Outboxes,
        claims: Claims,
        ledger: Ledger,
        waiting: WaitingFiles,
        lifetime: Lifetime,
    ) -> None:
        """Publish nothing yet.

        Args:
            work: the originals.
            outboxes: where everything is published.
            claims: our copies of the files.
            ledger: what became of their records.
            waiting: the files that wait by themselves.
            lifetime: of this process.
        """
        self.held: dict[Claim, Decided] = {}
        self._outboxes = outboxes
        self._claims = claims
        self._ledger = ledger
        self.waiting = waiting
        self._files = ResultFiles(work, outboxes, ledger, lifetime)
        self._leaving = LettingGo(work, outboxes, waiting, lifetime)
        # What is published while the work goes on.
        self._lane: Lane[Sequence[Outgoing], dict[Claim, FileTrouble]] = Lane("publishing")
        # The files that are published and were not returned yet, and what others have to wait for.
        self._ended: list[Decided] = []
        self._troubles: dict[Claim, FileTrouble] = {}

    def check(self) -> None:
        """Make sure that the folders are there.

        Raises:
            FolderTrouble: one is missing.
        """
        self._outboxes.check()

    def sweep(self, claims: Iterable[Claim]) -> None:
        """Remove what earlier processes were writing when they were killed, with some claims under way.

        Raises:
            FolderTrouble: a folder cannot be used.
        """
        self._outboxes.sweep(claims)

    def adopt(self, claim: Claim, digest: str) -> None:
        """Take over what a receipt in the archive says of a claim that this journal has not seen to its end.

        The journal is a new one then, or an older copy.

        Args:
            claim: the claim.
            digest: SHA-256 of its file, hex.

        Raises:
            FolderTrouble: the archive cannot be read.
        """
        content = self._outboxes.receipt(claim)
        found = None if content is None else read_receipt(content)
        if found is not None and found.digest == digest:
            self._ledger.adopt(claim.id, found.results, found.refusal, found.finished_at)

    def is_archived(self, claim: Claim, digest: str) -> bool:
        """Return True if the archive has a claim's original, as ``Outboxes`` says it."""
        return self._outboxes.is_archived(claim, digest)

    def decide(self, files: Sequence[Asking]) -> list[Decided]:
        """Return files whose records all have an outcome, with these outcomes."""
        decisions = self._ledger.decisions([file.claim.id for file in files])
        return [self._decided(file, decisions[file.claim.id]) for file in files]

    def begin(self, files: Sequence[Decided]) -> None:
        """Begin to publish files, archive them, write that down and let go of them; ``published`` ends it.

        Each step can be repeated and relies on those before. Small files are taken through each step together, while
        the caller goes on.

        Raises:
            FolderTrouble: a step is not possible now, for no file.
        """
        copies = self._claims.small_copies([file.claim.id for file in files if file.results is not None])
        together = [Outgoing(file, copies[file.claim.id]) for file in files if file.claim.id in copies]
        if together:
            for one in together:
                one.original = one.copy.content
            self._lane.begin(self._files.put_out, together)
        for file in files:
            if file.claim.id not in copies:
                self._drain()
                self._publish_alone(Outgoing(file, self._claims.copy(file.claim.id)))

    def published(self) -> list[Decided]:
        """Write down which files are published by now, and return those that were not returned before.

        A file that cannot be published now waits by itself; ``tidy`` tries it again, and other files go on meanwhile.

        Raises:
            FolderTrouble: a step is not possible now, for no file.
        """
        while self._lane.is_next_done():
            self._end(*self._lane.take_back())
        self._leaving.take_in()
        return self._take_ended()

    def settle(self) -> list[Decided]:
        """Wait for what is under way; else as ``published``.

        Raises:
            Stopping: the process is asked to end.
        """
        self._drain()
        return self._take_ended()

    def _drain(self) -> None:
        """Wait for what is under way."""
        while self._lane.pieces:
            self._end(*self._lane.take_back())
        self._leaving.take_in(wait=True)

    def _take_ended(self) -> list[Decided]:
        ended, self._ended = self._ended, []
        return ended

    @property
    def under_way(self) -> int:
        """How many files are being published."""
        return sum(len(piece) for piece in self._lane.pieces)

    @property
    def busy(self) -> set[Claim]:
        """The claims that are being published, or that wait by themselves to be published."""
        return {one.file.claim for piece in self._lane.pieces for one in piece} | self.held.keys()

    def publish(self, files: Sequence[Decided]) -> dict[Claim, FileTrouble]:
        """Publish files, and wait until they are; return what single ones have to wait for.

        Raises:
            FolderTrouble: as ``begin``.
        """
        self._drain()
        self.begin(files)
        self._drain()
        return {file.claim: self._troubles[file.claim] for file in files if file.claim in self._troubles}

    def _decided(self, file: Asking, decision: Decision) -> Decided:
        results = self._files.results(file.claim) if decision.results is None else decision.results
        decided_at, totals = decision.decided_at, total(results)
        return Decided(file.claim, file.digest, file.begun, file.refusal, totals, decided_at, decision.results)

    def _publish_alone(self, one: Outgoing) -> None:
        """Publish a large file in this thread, which alone may read its parts from the journal."""
        self._end([one], self._files.put_out_alone(one))

    def _end(self, outgoing: Sequence[Outgoing], troubles: dict[Claim, FileTrouble]) -> None:
        """Write down which files are published, and begin to let go of them."""
        done = [one.file for one in outgoing if one.file.claim not in troubles]
        self._troubles |= troubles
        for one in outgoing:
            claim = one.file.claim
            if (trouble := troubles.get(claim)) is not None:
                self.held[claim] = one.file
                self.waiting.hold_up(claim, str(trouble), trouble.mend)
        self._claims.finish(*(file.claim.id for file in done))
        for file in done:
            self.held.pop(file.claim, None)
            self._troubles.pop(file.claim, None)
            self.waiting.go_on(file.claim)
            log_file(file)
        self._ended += done
        self._leaving.begin([(file.claim, file.digest) for file in done])

    def tidy(self) -> list[Decided]:
        """Let go of the originals that could not be deleted so far, and try again what could not be published.

        Returns:
            The files that are published now.

        Raises:
            FolderTrouble: no file can be.
        """
        self._drain()
        self._leaving.tidy()
        if self.held:
            self.begin(list(self.held.values()))
        return self.settle()

    def let_go(self, claim: Claim, digest: str) -> None:
        """Delete the original of a finished file; if its writer went on writing, keep it in the fail outbox and say so.

        Args:
            claim: the claim.
            digest: SHA-256 of what was processed of it, hex.

        Raises:
            FolderTrouble: that is not possible now. ``tidy`` tries it again.
        """
        self._leaving.begin([(claim, digest)])
        self._drain()
