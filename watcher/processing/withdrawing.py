"""Files taken out of work because a person wants it: what has no outcome is rejected, and the rest goes its usual way.

ConnectWise is not asked, and the file is not read: everything comes from the journal. So a file can be withdrawn while
nothing else can go on.
"""

from __future__ import annotations

import time

import structlog

from watcher.claim import Claim
from watcher.errors import FileTrouble, FolderTrouble
from watcher.events.catalogue import Event
from watcher.journal.ledger import Ledger
from watcher.journal.withdrawals import Request, Withdrawals
from watcher.payments.doubts import InDoubt, late_call
from watcher.payments.outcomes import Outcome, Result
from watcher.payments.withdrawal import is_withdrawal
from watcher.processing.claimed import Asking, Tally
from watcher.processing.publishing import Publisher
from watcher.processing.telling import log_payment


class Withdrawer:
    """Carries out the requests of people. Every step can be repeated, and a request stays until its file is finished.

    Its calls come between two batches: no call to ConnectWise is under way then.
    """

    def __init__(self, withdrawals: Withdrawals, ledger: Ledger, publisher: Publisher) -> None:
        self._withdrawals = withdrawals
        self._ledger = ledger
        self._publisher = publisher
        # The claims whose requests were seen, and those whose withdrawal was logged.
        self._seen: set[str] = set()
        self._logged: set[str] = set()
        self._log = structlog.get_logger()

    def asked_anew(self) -> bool:
        """Return True if there is a request that was not there at the last look.

        Raises:
            JournalTrouble: the journal cannot be read.
        """
        asked = {request.claim.id for request in self._withdrawals.asked()}
        new = asked - self._seen
        self._seen = asked
        return bool(new)

    def carry_out(self) -> dict[Claim, Tally]:
        """Carry out all requests. One that a folder holds up stays, and the others are carried out.

        Returns:
            The files that are finished now, and what each came to.

        Raises:
            JournalTrouble: the journal cannot be used.
        """
        finished = {}
        for request in self._withdrawals.asked():
            claim = request.claim
            self._seen.add(claim.id)
            file = self._decide(request)
            (decided,) = self._publisher.decide([file])
            try:
                trouble: FolderTrouble | None = self._publisher.publish([decided]).get(claim)
            except FolderTrouble as error:
                trouble = error
            if trouble is not None:
                reason = f"{trouble}. {trouble.mend}."
                if reason != request.held_up_by:
                    self._withdrawals.hold_up(claim.id, reason)
                    if not isinstance(trouble, FileTrouble):
                        told = f"it is withdrawn, and cannot leave work yet: {trouble}"
                        keys = {"file": claim.name, "claim": claim.id, "reason": told, "mend": trouble.mend}
                        self._log.warning(Event.FILE_WAITING, **keys)
                if not self._is_finished(claim):
                    continue
            finished[claim] = decided.tally
            self._logged.discard(claim.id)
        return finished

    def _is_finished(self, claim: Claim) -> bool:
        """Return True if the request went with the end of its claim: only the original could not be let go of."""
        return all(request.claim != claim for request in self._withdrawals.asked())

    def _decide(self, request: Request) -> Asking:
        """Give every record an outcome, on disk before anybody hears of it; return the file."""
        claim, begun = request.claim, time.monotonic()
        known = self._ledger.known(claim.id)
        if known is None:
            refusal: str | None = request.wanted.of_file()
            self._ledger.open(claim.id, (), refusal)
        else:
            refusal = known.refusal
        results = self._reject(request)
        if (results or is_withdrawal(refusal)) and claim.id not in self._logged:
            self._logged.add(claim.id)
            self._log.warning(
                Event.FILE_WITHDRAWN,
                file=claim.name,
                claim=claim.id,
                reason=request.wanted.reason,
                records=len(results),
                in_doubt=sum(in_doubt for _, in_doubt in results),
            )
        for result, _ in results:
            log_payment(claim, result)
        return Asking(claim, request.digest, begun, refusal=refusal)

    def _reject(self, request: Request) -> list[tuple[Result, bool]]:
        """Reject the records that have no outcome; return the results, each with True if it is in doubt."""
        results = []
        doubts = {}
        for record in self._withdrawals.undecided(request.claim.id):
            intent = record.intent
            invoice_id = intent.invoice_id if intent else None
            message = request.wanted.of_record(record.invoice_number, in_doubt=intent is not None)
            result = Result(
                record.position,
                record.line,
                record.invoice_number,
                Outcome.REJECTED,
                record.asked,
                message=message,
                invoice_id=invoice_id,
                asked_as_written=record.asked_as_written,
            )
            results.append((result, intent is not None))
            if intent is not None and invoice_id is not None:
                # The audit looks at it: the call may have been carried out, or still be under way.
                doubts[invoice_id] = InDoubt(invoice_id, record.invoice_number, frozenset({late_call(intent)}))
        self._ledger.record([(request.claim.id, result) for result, _ in results], list(doubts.values()))
        return results
