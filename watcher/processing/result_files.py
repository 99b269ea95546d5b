"""Everything that is published of a file: its receipt, its note or result files, and its original in the archive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from watcher.claim import Claim
from watcher.disk.durable import Made
from watcher.disk.side_by_side import side_by_side
from watcher.documents.formats import result_file
from watcher.errors import FileTrouble, FolderTrouble, Stopping
from watcher.folders.outboxes import Outboxes
from watcher.folders.work import Work
from watcher.journal.claims import Copy
from watcher.journal.ledger import Ledger
from watcher.lifetime import Lifetime
from watcher.payments.outcomes import Result
from watcher.payments.page import page
from watcher.payments.receipt import receipt, refusal_note
from watcher.processing.claimed import Decided


@dataclass(slots=True)
class Outgoing:
    """A file that is being published.

    Attributes:
        file: the file.
        copy: our copy of it.
        original: the content of its original; None if that is gone.
    """

    file: Decided
    copy: Copy
    original: bytes | BinaryIO | None = None


class ResultFiles:
    """Puts files into the outboxes and the archive, from our copies and what the journal says of them."""

    def __init__(self, work: Work, outboxes: Outboxes, ledger: Ledger, lifetime: Lifetime) -> None:
        """Take where everything comes from and goes to.

        Args:
            work: the originals that are too large for a copy.
            outboxes: where everything is published.
            ledger: what became of the records of large files.
            lifetime: of this process.
        """
        self._work = work
        self._outboxes = outboxes
        self._ledger = ledger
        self._lifetime = lifetime

    def put_out_alone(self, one: Outgoing) -> dict[Claim, FileTrouble]:
        """Put out a file as ``put_out`` does. Of one that is too large for a copy, the original in work is read."""
        try:
            with self._original(one.file.claim, one.copy) as one.original:
                return self.put_out([one])
        except FileTrouble as trouble:
            return {one.file.claim: trouble}

    def put_out(self, outgoing: Sequence[Outgoing]) -> dict[Claim, FileTrouble]:
        """Put out files, each step for all of them before the next one.

        Only the thread that writes the journal may put out a large file, whose outcomes are read from there.

        Returns:
            What single files have to wait for.

        Raises:
            FolderTrouble: a step is not possible now, for no file.
            Stopping: the process is asked to end.
        """
        troubles: dict[Claim, FileTrouble] = {}
        with self._outboxes.stage():
            # Receipts first, so that they can say what became of the files if the journal is lost before the end.
            for step in (self._put_out_receipt, self._put_out_results):
                going = [one for one in outgoing if one.file.claim not in troubles]
                came = side_by_side(step, going, self._lifetime.alive)
                self._outboxes.sync()
                troubles |= {one.file.claim: trouble for one, trouble in zip(going, came, strict=True) if trouble}
        return troubles

    def _put_out_receipt(self, one: Outgoing) -> FileTrouble | None:
        """Put a file's receipt into the archive, and the note beside a refused file into the outbox."""
        file = one.file

        def receipt_of() -> Iterator[bytes]:
            results = self._results_of(file)
            return receipt(file.claim, file.digest, file.decided_at, file.totals, results, file.refusal)

        self._go_on()
        try:
            self._outboxes.publish_receipt(file.claim, Made(receipt_of))
            if file.refusal is not None:
                # The same words whatever became of the original: an earlier attempt may have published them.
                note = refusal_note(file.claim, file.claim.published_name, file.refusal)
                self._outboxes.publish_note(file.claim, note)
        except FileTrouble as trouble:
            return trouble
        return None

    def _put_out_results(self, one: Outgoing) -> FileTrouble | None:
        """Put everything else of a file into the outboxes and the archive."""
        claim, totals = one.file.claim, one.file.totals
        self._go_on()
        try:
            if one.file.refusal is not None:
                if one.original is not None:
                    self._outboxes.publish_fail(claim, one.original)
            else:
                if totals.succeeded:
                    self._outboxes.publish_success(claim, self._result_file(one, rejected=False))
                if totals.rejected:
                    self._outboxes.publish_fail(claim, self._result_file(one, rejected=True))
                self._put_out_pages(one.file)
            self._outboxes.archive(claim, one.original)
        except FileTrouble as trouble:
            return trouble
        return None

    def _put_out_pages(self, file: Decided) -> None:
        """Put a page beside the fail file, and one beside a success file with warnings."""

        def page_of(*, rejected: bool) -> Made:
            return Made(
                lambda: page(file.claim, file.decided_at, file.totals, self._results_of(file), rejected=rejected)
            )

        if not self._outboxes.pages:
            return
        if file.totals.rejected:
            self._outboxes.publish_page(file.claim, page_of(rejected=True), rejected=True)
        if file.totals.warned:
            self._outboxes.publish_page(file.claim, page_of(rejected=False), rejected=False)

    def _result_file(self, one: Outgoing, *, rejected: bool) -> Made:
        document = one.copy.document or one.copy.content or b""
        return Made(lambda: result_file(document, self._results_of(one.file), rejected=rejected))

    def _results_of(self, file: Decided) -> Iterable[Result]:
        return self.results(file.claim) if file.results is None else file.results

    def results(self, claim: Claim) -> Iterator[Result]:
        """Yield the outcomes of a large file's records from the journal, with signs of life."""
        return self._lifetime.through(self._ledger.results(claim.id))

    def _go_on(self) -> None:
        """Raise Stopping if the process is asked to end: what is not published yet is published by the next start."""
        if self._lifetime.ending:
            raise Stopping("asked to end while files were published")

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
