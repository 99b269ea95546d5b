"""The pipeline: a batch of claimed files, from bytes to published results.

It does not ask whether a file was claimed a moment ago or before a crash: what the journal knows is not done again, and
everything else is. That makes recovery the ordinary way.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from watcher.claim import Claim
from watcher.connectwise.workers import Workers
from watcher.documents.reading import read
from watcher.documents.writing import write_results
from watcher.errors import DocumentError, FolderTrouble
from watcher.events.catalogue import Event
from watcher.folders.spool import Spool
from watcher.journal.ledger import Journal
from watcher.payments.demands import demands_of, unrepeated
from watcher.payments.model import Demand, Intent, Payment, Record, Rules, money
from watcher.payments.outcomes import Result, total
from watcher.payments.receipt import Decided, read_receipt, receipt, refusal_note
from watcher.processing.rounds import Client, Rounds


@dataclass(slots=True)
class _File:
    """A claimed file in work.

    Attributes:
        claim: the claim.
        digest: SHA-256 of its content, hex.
        records: its records; none if it is refused.
        refusal: why it is refused, or None.
        begun: when its turn began, monotonic seconds.
        undecided: how many of its records have no outcome yet.
        results: the outcomes, as its receipt has them; None before there is one.
    """

    claim: Claim
    digest: str
    records: tuple[Record, ...]
    refusal: str | None
    begun: float
    undecided: int = 0
    results: list[Result] | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """What a batch came to."""

    files: int = 0
    refused: int = 0
    rejected: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.files + other.files, self.refused + other.refused, self.rejected + other.rejected)


class Pipeline:
    """Takes claimed files to their end.

    Attributes:
        advanced: how many records have been decided and files published so far, which tells a line that moves.
    """

    def __init__(
        self,
        spool: Spool,
        journal: Journal,
        client: Client,
        workers: Workers,
        rules: Rules,
        *,
        max_file_bytes: int,
        transform: Callable[[bytes], bytes] | None = None,
        prevent_reprocessing: bool = False,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """Do nothing yet.

        Args:
            spool: the folders.
            journal: the record of what was planned and done.
            client: ConnectWise.
            workers: make the calls.
            rules: the operator's choices about money.
            max_file_bytes: larger files are refused unread.
            transform: makes payment documents of others, and gives payment documents back as they are.
            prevent_reprocessing: refuse a file whose content, and a payment whose externalId, has been processed
                before.
            alive: called with every file that has advanced.
        """
        self._spool = spool
        self._journal = journal
        self._rules = rules
        self._max_file_bytes = max_file_bytes
        self._transform = transform
        self._prevent_reprocessing = prevent_reprocessing
        self._alive = alive
        self._rounds = Rounds(client, journal, rules, workers, self._tell_payment)
        self._files: dict[str, _File] = {}
        self.advanced = 0
        # Archived files whose place could not be cleared yet, and of which nothing has been told.
        self._untold: dict[str, tuple[_File, list[Result]]] = {}
        self._log = structlog.get_logger()

    def settle(self, claims: Sequence[Claim]) -> Tally:
        """Take a batch of claimed files to its end; each file is published as soon as all its records are decided.

        Args:
            claims: in the order of claiming.

        Returns:
            What the batch came to.

        Raises:
            Outage: the line waits; call again with what is still claimed.
            Stopping: the program ends.
            ConfigurationError: the journal cannot be used.
        """
        self._files = {claim.id: self._open(claim) for claim in claims}
        demands: list[Demand] = []
        intents: dict[tuple[str, int], Intent] = {}
        for file in self._files.values():
            wanted, planned = self._undecided(file)
            demands += wanted
            intents |= planned
        tally = self._publish_decided()
        for _ in self._rounds.settle(demands, intents):
            tally += self._publish_decided()
        return tally

    def clear_emptied(self) -> Tally:
        """Finish what a crash or a folder trouble left of claims whose original was archived already."""
        tally = Tally()
        for claim_id in self._spool.emptied():
            decided = self._decided(claim_id)
            if decided is not None:
                file = _File(Claim(claim_id, decided.name), decided.digest, (), decided.refusal, time.monotonic())
                self._untold.setdefault(claim_id, (file, decided.results))
            untold = self._untold.get(claim_id)
            if untold is not None:
                self._conclude(*untold)
                tally += _count(*untold)
            else:
                # All was done and told of but for the empty place.
                self._journal.finish(claim_id)
                self._spool.clear(claim_id)
        return tally

    def _decided(self, claim_id: str) -> Decided | None:
        """Read the receipt of a claim in work, which counts more than the journal; None if it has none yet."""
        content = self._spool.decided(claim_id)
        if content is None:
            return None
        decided = read_receipt(claim_id, content)
        self._journal.adopt(Claim(claim_id, decided.name), decided.digest, decided.results, decided.refusal)
        return decided

    def _open(self, claim: Claim) -> _File:
        """Read a claimed file and write down what it asks; of one that is decided, read its receipt instead."""
        begun = time.monotonic()
        decided = self._decided(claim.id)
        if decided is not None:
            return _File(claim, decided.digest, (), decided.refusal, begun, results=decided.results)
        # What a file was judged to be stays, whatever settings a restart brought.
        judged = self._journal.judgement(claim.id)
        refusal = judged.refusal if judged else None
        content = None if refusal else self._spool.read(claim, None if judged else self._max_file_bytes)
        digest = self._spool.digest(claim) if content is None else _digest(content)
        if judged and judged.digest != digest:
            raise _changed(claim)
        records: tuple[Record, ...] = ()
        if refusal is None:
            try:
                if not judged:
                    self._check_acceptable(claim, content, digest)
                records = self._rounds.numbered(read(self._payments(claim, content or b"", fresh=not judged)))
                if self._prevent_reprocessing:
                    records = unrepeated(records, self._journal.earlier_payments(_external_ids(records), claim))
            except DocumentError as error:
                refusal = str(error)
        self._journal.begin(claim, digest, records, refusal)
        return _File(claim, digest, records, refusal, begun)

    def _payments(self, claim: Claim, content: bytes, *, fresh: bool) -> bytes:
        """Give a claimed file's payment document: made by the stylesheet, and kept since, or the file itself."""
        kept = self._spool.document(claim.id)
        if kept is not None:
            return kept
        if not fresh or self._transform is None:
            return content
        made = self._transform(content)
        if made is not content:
            # A stylesheet may be changed, or tell the time: whatever follows is about what it made now.
            self._spool.keep_document(claim, made)
        return made

    def _check_acceptable(self, claim: Claim, content: bytes | None, digest: str) -> None:
        if content is None:
            raise DocumentError(f"The file is larger than {self._max_file_bytes} bytes (inbox.max_file_bytes).")
        earlier = self._journal.earlier(digest, claim) if self._prevent_reprocessing else None
        if earlier is not None:
            raise DocumentError(
                f"The same content was processed already, as {earlier.name} taken on "
                f"{earlier.claimed_at:%Y-%m-%d at %H:%M} UTC (claim {earlier.id}), "
                "and payments.prevent_reprocessing is set."
            )

    def _undecided(self, file: _File) -> tuple[list[Demand], dict[tuple[str, int], Intent]]:
        """Give a file's demands without an outcome and what was planned for them; write rejections down."""
        if file.results is not None:
            return [], {}
        claim_id = file.claim.id
        decided = {result.position for result in self._journal.results(claim_id)}
        file.undecided = len(file.records) - len(decided)
        wanted, rejected = demands_of(claim_id, file.records, self._rules)
        fresh = [result for result in rejected if result.position not in decided]
        self._journal.record([(claim_id, result) for result in fresh])
        for result in fresh:
            self._tell_payment(claim_id, result)
        planned = {(claim_id, position): intent for position, intent in self._journal.intents(claim_id).items()}
        return [demand for demand in wanted if demand.parts[0].position not in decided], planned

    def _publish_decided(self) -> Tally:
        """Publish, in order of claiming, every file whose records are all decided; the others stay."""
        tally = Tally()
        for claim_id, file in list(self._files.items()):
            if file.undecided:
                continue
            if file.results is None:
                file.results = self._decide(file)
            self._publish(file, file.results)
            del self._files[claim_id]
            self.advanced += 1
            self._alive()
            tally += _count(file, file.results)
        return tally

    def _decide(self, file: _File) -> list[Result]:
        """Write the receipt of a file whose records are all decided; from now on it counts more than the journal."""
        results = self._journal.results(file.claim.id)
        finished_at = self._journal.decided_at(file.claim.id)
        self._spool.decide(file.claim, receipt(file.claim, file.digest, finished_at, results, file.refusal))
        return results

    def _publish(self, file: _File, results: list[Result]) -> None:
        """Publish, archive, write down, clear: each step can be repeated and relies on the ones before."""
        claim, sums = file.claim, total(results)
        if file.refusal is not None:
            note = refusal_note(claim, self._spool.published_name(claim), file.refusal)
            self._spool.publish_refusal(claim, note)
        elif results:
            content = self._spool.read(claim) or b""
            if _digest(content) != file.digest:
                raise _changed(claim)
            success, fail = write_results(self._payments(claim, content, fresh=False), results)
            if sums.succeeded:
                self._spool.publish_success(claim, success)
            if sums.rejected:
                self._spool.publish_fail(claim, fail)
        self._spool.archive(claim)
        self._conclude(file, results)

    def _conclude(self, file: _File, results: list[Result]) -> None:
        """Write down that everything of an archived claim lies where it belongs, clear its place, and tell of it."""
        self._untold[file.claim.id] = (file, results)
        self._journal.finish(file.claim.id)
        self._spool.clear(file.claim.id)
        self._tell_file(file, results)
        del self._untold[file.claim.id]

    def _tell_file(self, file: _File, results: list[Result]) -> None:
        duration = round((time.monotonic() - file.begun) * 1000)
        where = {"file": file.claim.name, "claim": file.claim.id, "duration_ms": duration}
        if file.refusal is not None:
            self._log.warning(Event.FILE_REFUSED, reason=file.refusal, **where)
            return
        sums = total(results)
        if not results:
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
            **where,
        )

    def _tell_payment(self, claim_id: str, result: Result) -> None:
        file = self._files[claim_id]
        file.undecided -= 1
        self.advanced += 1
        self._log.info(
            Event.PAYMENT,
            file=file.claim.name,
            claim=claim_id,
            record=result.position + 1,
            invoice_number=result.invoice_number,
            outcome=result.outcome.value,
            asked=money(result.asked),
            applied=money(result.applied),
            message=result.message or result.warning,
            invoice_id=result.invoice_id,
            payment_id=result.payment_id,
        )


def _count(file: _File, results: list[Result]) -> Tally:
    return Tally(1, int(file.refusal is not None), total(results).rejected)


def _external_ids(records: Sequence[Record]) -> list[str]:
    return [record.external_id for record in records if isinstance(record, Payment) and record.external_id]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _changed(claim: Claim) -> FolderTrouble:
    return FolderTrouble(
        f"{claim.name} (claim {claim.id}) was changed by its writer after it was taken and read",
        "Move it from its folder in work to somewhere else, and drop the right file into the inbox",
    )
