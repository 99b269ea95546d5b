"""The log lines of payments and files."""

from __future__ import annotations

import time

import structlog

from watcher.claim import Claim
from watcher.events.catalogue import Event
from watcher.payments.model import money
from watcher.payments.outcomes import Result
from watcher.processing.claimed import Decided


def log_payment(claim: Claim, result: Result) -> None:
    """Log the outcome of a record, once it is written down."""
    structlog.get_logger().info(
        Event.PAYMENT,
        file=claim.name,
        claim=claim.id,
        record=result.position + 1,
        invoice_number=result.invoice_number,
        outcome=result.outcome.value,
        asked=None if result.asked is None else money(result.asked),
        asked_as_written=result.asked_as_written or None,
        applied=money(result.applied),
        message=result.message or result.warning,
        invoice_id=result.invoice_id,
        payment_id=result.payment_id,
    )


def log_file(file: Decided) -> None:
    """Log what a file came to, once it is published."""
    log = structlog.get_logger()
    duration = round((time.monotonic() - file.begun) * 1000)
    keys = {"file": file.claim.name, "claim": file.claim.id, "duration_ms": duration}
    if file.refusal is not None:
        log.warning(Event.FILE_REFUSED, reason=file.refusal, **keys)
        return
    sums = file.totals
    if not sums.records:
        outcome = "empty"
    elif sums.rejected:
        outcome = "partly failed" if sums.succeeded else "failed"
    else:
        outcome = "succeeded with warnings" if sums.warned else "succeeded"
    log.info(
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
        unreadable_amounts=sums.unreadable,
        warnings=sums.warned,
        **keys,
    )
