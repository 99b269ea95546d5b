"""Decided files published: result files, archive, journal, work cleared. Every step can be repeated."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import structlog

from watcher.events.catalogue import Event
from watcher.folders.outboxes import Outboxes
from watcher.folders.work import Work
from watcher.journal.ledger import Ledger
from watcher.payments.model import money
from watcher.payments.outcomes import total
from watcher.payments.receipt import receipt, refusal_note
from watcher.processing.claimed import Asking, Decided, Tally, by_receipt, changed


class Publisher:
    """Takes decided files out of work."""

    def __init__(self, work: Work, outboxes: Outboxes, ledger: Ledger) -> None:
        self._work = work
        self._outboxes = outboxes
        self._ledger = ledger
        # Archived files whose place in work could not be cleared yet, and which have not been logged yet.
        self._unfinished: dict[str, Decided] = {}
        self._log = structlog.get_logger()

    def check(self) -> None:
        """Make sure that the folders are there.

        Raises:
            FolderTrouble: one is missing.
        """
        self._outboxes.check()

    def decide(self, file: Asking) -> Decided:
        """Write the receipt of a file whose records all have an outcome.

        From now on the receipt counts more than the journal.

        Raises:
            FolderTrouble: the receipt cannot be written.
        """
        known = self._ledger.known(file.claim.id)
        assert known is not None
        content = receipt(file.claim, file.digest, known.decided_at, known.results, file.refusal)
        self._work.keep_receipt(file.claim, content)
        return Decided(file.claim, file.digest, file.begun, file.refusal, known.results)

    def publish(self, file: Decided) -> None:
        """Publish, archive, write down, clear: each step can be repeated and relies on those before.

        Raises:
            FolderTrouble: a step is not possible now.
        """
        claim, sums = file.claim, total(file.results)
        if file.refusal is not None:
            self._outboxes.publish_refusal(claim, refusal_note(claim, claim.published_name, file.refusal))
        elif file.results:
            # Late, as in documents.formats.
            from watcher.documents.writing import write_results

            content = self._work.read(claim) or b""
            if hashlib.sha256(content).hexdigest() != file.digest:
                raise changed(claim)
            document = self._work.document(claim.id)
            success, fail = write_results(content if document is None else document, file.results)
            if sums.succeeded:
                self._outboxes.publish_success(claim, success)
            if sums.rejected:
                self._outboxes.publish_fail(claim, fail)
        self._outboxes.archive(claim)
        self._conclude(file)

    def finish_emptied(self) -> Iterator[Tally]:
        """Finish the claims whose original is archived already: a crash or a folder trouble came before the rest.

        Yields:
            What each file came to.

        Raises:
            FolderTrouble: a step is not possible now.
        """
        for claim_id in self._work.emptied():
            decided = by_receipt(claim_id, self._work, self._ledger)
            if decided is not None:
                self._unfinished.setdefault(claim_id, decided)
            file = self._unfinished.get(claim_id)
            if file is not None:
                self._conclude(file)
                yield file.tally
            else:
                # Everything was done and logged. Only the empty place is left.
                self._ledger.finish(claim_id)
                self._work.clear(claim_id)

    def _conclude(self, file: Decided) -> None:
        """Write down that everything of an archived claim lies where it belongs, clear its place, and log it."""
        self._unfinished[file.claim.id] = file
        self._ledger.finish(file.claim.id)
        self._work.clear(file.claim.id)
        self._log_file(file)
        del self._unfinished[file.claim.id]

    def _log_file(self, file: Decided) -> None:
        duration = round((time.monotonic() - file.begun) * 1000)
        keys = {"file": file.claim.name, "claim": file.claim.id, "duration_ms": duration}
        if file.refusal is not None:
            self._log.warning(Event.FILE_REFUSED, reason=file.refusal, **keys)
            return
        sums = total(file.results)
        if not file.results:
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
