"""The log events: dotted names that mean the same everywhere. The README lists them with their keys."""

from __future__ import annotations

from enum import StrEnum


class Event(StrEnum):
    """Every event this program logs.

    Attributes:
        when: when it is logged.
        keys: the keys it brings, beside ``event``, ``level`` and ``timestamp``.
    """

    when: str
    keys: str

    STARTED = "service.started", "the daemon begins", "version inbox site"
    WATCHING = "inbox.watching", "the inbox is watched from now on, and how", "mode reason"
    NOT_LOCKED = (
        "inbox.not_locked",
        "the inbox's file system knows no locks: see to it that no other machine works on this inbox",
        "inbox",
    )
    WATCH_LOST = "inbox.watch_lost", "the observer died or the folder was replaced; it is built anew, scans go on", ""
    ENTRY_IGNORED = "inbox.ignored", "an entry that is no payment file is left alone; said once", "file reason"
    FILE_WAITING = "file.waiting", "a quiet file that is not whole yet waits; said once", "file reason"
    FILE_CLAIMED = "file.claimed", "a file was taken from the inbox", "file claim bytes"
    FILE_RETURNED = "file.returned", "a file changed or vanished while it was taken; it is not worked on", "file reason"
    FILE_RESUMED = "file.resumed", "a file claimed by an earlier run is finished first", "file claim bytes"
    FILE_FINISHED = (
        "file.finished",
        "one line a file",
        "file claim outcome records succeeded rejected asked applied unchanged discarded failed duration_ms",
    )
    FILE_REFUSED = "file.refused", "one line a file that is no payment document", "file claim reason duration_ms"
    PAYMENT = (
        "payment.finished",
        "one line a payment",
        "file claim record invoice_number outcome asked applied message invoice_id payment_id",
    )
    PAYMENT_UNKNOWN = (
        "payment.unknown",
        "the answer to a payment was lost; it is read back before anything else",
        "claim invoice_number reason request_id",
    )
    PAYMENT_REFUSED = (
        "payment.refused",
        "ConnectWise refused a call; the invoice is looked at once more before its word counts",
        "claim invoice_number reason request_id",
    )
    LINE_WAITING = (
        "line.waiting",
        "an outage began, is another one now, or lasts another hour; nothing fails for it",
        "reason mend request_id retry_in_seconds since",
    )
    LINE_MOVING = "line.moving", "the outage is over", "waited_seconds"
    CONNECTWISE_RETRY = (
        "connectwise.retry",
        "a call that is safe to repeat is repeated, or in parts",
        "reason request_id attempt",
    )
    CONNECTWISE_SLOWED = (
        "connectwise.slowed",
        "ConnectWise answered 429: all calls stop for a while and go on more slowly",
        "retry_after_seconds requests_per_minute request_id",
    )
    CONNECTWISE_REQUEST = (
        "connectwise.request",
        "at debug level: a call was made; without a status no answer came",
        "method status duration_ms request_id",
    )
    SCANNED = "inbox.scanned", "at debug level: the inbox was looked through", "files oldest_changed_at"
    DISK_LOW = "disk.low", "a folder's disk has less than 5 % and 1 GiB left; said once a day", "folder free_bytes"
    PRUNED = "retention.pruned", "what `[retention]` says is old enough was removed", "files journal_files"
    NOTICE_SENT = "notify.sent", "a service of `[notify]` has taken a message", "service notices"
    NOTICE_FAILED = (
        "notify.failed",
        "a service of `[notify]` has not taken a message; it is tried again every 5 minutes",
        "service reason notices",
    )
    STOPPING = "service.stopping", "the daemon was asked to end", "signal"
    STOPPED = "service.stopped", "the daemon ended", ""
    CRASHED = "service.crashed", "a fault of this program's own", "exception"

    def __new__(cls, name: str, when: str, keys: str) -> Event:  # noqa: D102  (Enum's own hook)
        event = str.__new__(cls, name)
        event._value_ = name
        event.when = when
        event.keys = keys
        return event
