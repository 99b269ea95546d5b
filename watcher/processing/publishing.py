"""Decided files published: result files, archive, journal, work cleared. Every step can be repeated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

import structlog

from watcher.claim import Claim
from watcher.disk.durable import Made
from watcher.errors import FileTrouble, FolderTrouble
from watcher.events.catalogue import Event
from watcher.folders.outboxes import Outboxes
from watcher.folders.work import Work
from watcher.journal.claims import Claims, Copy
from watcher.journal.ledger import Ledger
from watcher.lifetime import Lifetime
from watcher.payments.model import money
from watcher.payments.outcomes import Result, total
from watcher.payments.receipt import change_note, read_receipt, receipt, refusal_note
from watcher.processing.claimed import Asking, Decided
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
        self._work = work
        self._outboxes = outboxes
        self._claims = claims
        self._ledger = ledger
        self.waiting = waiting
        self._lifetime = lifetime
        # Finished files whose originals could not be deleted yet, each with the digest of its file.
        self._left: dict[Claim, str] = {}
        self._log = structlog.get_logger()

    def check(self) -> None:
        """Make sure that the folders are there.

        Raises:
            FolderTrouble: one is missing.
        """
        self._outboxes.check()

    def sweep(self) -> None:
        """Remove what earlier processes were writing when they were killed.

        Raises:
            FolderTrouble: a folder cannot be used.
        """
        self._outboxes.sweep()

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

    def decide(self, file: Asking) -> Decided:
        """Return a file whose records all have an outcome, with these outcomes."""
        totals = total(self._results(file.claim))
        return Decided(
            file.claim, file.digest, file.begun, file.refusal, totals, self._ledger.decided_at(file.claim.id)
        )

    def publish(self, file: Decided) -> FileTrouble | None:
        """Publish, archive, write down, let go: each step can be repeated and relies on those before.

        Returns:
            What this one file has to wait for; None if it is published. ``tidy`` tries it again, and other files go on
            meanwhile.

        Raises:
            FolderTrouble: a step is not possible now, for no file.
        """
        claim = file.claim
        try:
            self._put_out(file)
        except FileTrouble as trouble:
            self.held[claim] = file
            self.waiting.hold_up(claim, str(trouble), trouble.mend)
            return trouble
        self._claims.finish(claim.id)
        self.held.pop(claim, None)
        self.waiting.go_on(claim)
        self._log_file(file)
        self.let_go(claim, file.digest)
        return None

    def _put_out(self, file: Decided) -> None:
        """Put everything of a file into the outboxes and the archive."""
        claim, totals = file.claim, file.totals
        copy = self._claims.copy(claim.id)

        def receipt_of() -> Iterator[bytes]:
            return receipt(claim, file.digest, file.decided_at, totals, self._results(claim), file.refusal)

        with self._original(claim, copy) as original:
            # First, so that it can say what became of the file if the journal is lost before the end.
            self._outboxes.publish_receipt(claim, Made(receipt_of))
            if file.refusal is not None:
                # The same words whatever became of the original: an earlier attempt may have published them.
                note = refusal_note(claim, claim.published_name, file.refusal)
                self._outboxes.publish_refusal(claim, original, note)
            else:
                document = copy.document or copy.content or b""
                if totals.succeeded:
                    self._outboxes.publish_success(claim, self._result_file(claim, document, rejected=False))
                if totals.rejected:
                    self._outboxes.publish_fail(claim, self._result_file(claim, document, rejected=True))
            self._outboxes.archive(claim, original)

    def _result_file(self, claim: Claim, document: bytes, *, rejected: bool) -> Made:
        # Late, as in documents.formats.
        from watcher.documents.writing import result_file

        return Made(lambda: result_file(document, self._results(claim), rejected=rejected))

    def _results(self, claim: Claim) -> Iterator[Result]:
        """Yield the outcomes of a claim's records, with signs of life."""
        return self._lifetime.through(self._ledger.results(claim.id))

    def tidy(self) -> list[Decided]:
        """Let go of the originals that could not be deleted so far, and try again what could not be published.

        Returns:
            The files that are published now.

        Raises:
            FolderTrouble: no file can be.
        """
        self._let_go_of_the_left()
        return [file for file in list(self.held.values()) if self.publish(file) is None]

    def let_go(self, claim: Claim, digest: str) -> None:
        """Delete the original of a finished file; if its writer went on writing, keep it in the fail outbox and say so.

        An original that cannot be read stays in work. ``tidy`` tries it again, and other files go on meanwhile.

        Args:
            claim: the claim.
            digest: SHA-256 of what was processed of it, hex.

        Raises:
            FolderTrouble: that is not possible now.
        """
        self._left[claim] = digest
        self._let_go_of_the_left()

    def _let_go_of_the_left(self) -> None:
        for claim, digest in list(self._left.items()):
            if self._is_let_go(claim, digest):
                del self._left[claim]
                self.waiting.go_on(claim)

    def _is_let_go(self, claim: Claim, digest: str) -> bool:
        """Return False if an original must stay, since nobody can tell whether its writer went on writing."""
        try:
            changed = self._work.is_still(claim, digest) is False
            found = self._work.read(claim) if changed else None
        except FolderTrouble as trouble:
            reason = f"it is finished, but its original in work cannot be read: {trouble}"
            self.waiting.hold_up(claim, reason, trouble.mend)
            return False
        if found is not None:
            with self._work.opened(claim) as file:
                content = file if found.content is None else found.content
                if content is not None:
                    try:
                        kept = self._outboxes.publish_changed(claim, found.digest, content, change_note(claim))
                    except FileTrouble as trouble:
                        reason = f"it is finished, but its changed original cannot be kept in fail: {trouble}"
                        self.waiting.hold_up(claim, reason, trouble.mend)
                        return False
                    self._log.warning(Event.FILE_CHANGED, file=claim.name, claim=claim.id, kept=str(kept))
        self._work.clear(claim)
        return True

    @contextmanager
    def _original(self, claim: Claim, copy: Copy) -> Iterator[bytes | BinaryIO | None]:
        """Give our copy of a file.

        Of one that is too large for a copy it is the file in work; None if that is gone, or was changed since it was
        taken.
        """
        if copy.content is not None:
            yield copy.content
            return
        with ExitStack() as stack:
            try:
                same = self._work.is_still(claim, copy.digest)
                file = stack.enter_context(self._work.opened(claim))
            except FolderTrouble as trouble:
                raise FileTrouble(f"its original in work cannot be read: {trouble}", trouble.mend) from trouble
            yield file if same else None

    def _log_file(self, file: Decided) -> None:
        duration = round((time.monotonic() - file.begun) * 1000)
        keys = {"file": file.claim.name, "claim": file.claim.id, "duration_ms": duration}
        if file.refusal is not None:
            self._log.warning(Event.FILE_REFUSED, reason=file.refusal, **keys)
            return
        sums = file.totals
        if not sums.records:
            outcome = "empty"
        elif sums.rejected:
            outcome = "partly failed" if sums.succeeded else "failed"
        else:
            outcome = "succeeded"
        self._log.info(
            Event.FILE_FINISHED,
            outcome=outcome,
            records=sums.records,
            succeeded=sums.succeeded,
            rejected=sums.rejected,
            asked=money(sums.asked),
            applied=money(sums.applied),
            unchanged=money(sums.unchanged),
            discarded=money(sums.discarded),
            failed=money(sums.failed),
            **keys,
        )
