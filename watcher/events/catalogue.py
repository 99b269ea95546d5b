"""The log events: dotted names that mean the same everywhere. README lists them with their keys."""

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

    STARTED = "service.started", "the daemon starts", "version inbox site proved"
    WATCHING = "inbox.watching", "how the inbox is watched from now on, and why so", "mode reason"
    NOT_LOCKED = (
        "inbox.not_locked",
        "the inbox's file system has no locks: make sure that no other machine works on this inbox",
        "inbox",
    )
    WATCH_LOST = (
        "inbox.watch_lost",
        "the observer died or the folder was replaced; a new one starts, and scans go on",
        "",
    )
    ENTRY_IGNORED = "inbox.ignored", "an entry is no payment file and is left alone; logged once", "file reason"
    FILE_WAITING = (
        "file.waiting",
        "a file waits by itself: it is not whole yet, cannot be read or moved, holds a payment that ConnectWise does "
        "not take, or its results cannot be published; logged once for each reason",
        "file claim reason mend",
    )
    FILE_OVERDUE = (
        "file.overdue",
        "a file has waited by itself for longer than `stalled_after_seconds`; logged once",
        "file claim reason mend since",
    )
    FILE_CLAIMED = "file.claimed", "a file was taken from the inbox", "file claim bytes"
    FILE_RETURNED = (
        "file.returned",
        "a file changed or vanished while it was taken, so it is not processed",
        "file reason",
    )
    FILE_CHANGED = (
        "file.changed",
        "a writer went on writing to a file after it was taken; what it wrote was not processed and is kept",
        "file claim kept",
    )
    FILE_RESUMED = "file.resumed", "a file that an earlier run claimed is finished first", "file claim bytes"
    FILE_FINISHED = (
        "file.finished",
        "one line for each file",
        "file claim outcome records succeeded rejected asked applied unchanged discarded failed unreadable_amounts "
        "warnings duration_ms",
    )
    FILE_REFUSED = (
        "file.refused",
        "one line for each file that is no payment document, or was withdrawn before it was read",
        "file claim reason duration_ms",
    )
    FILE_WITHDRAWN = (
        "file.withdrawn",
        "a person took a file out of work; `records` of its payments had no outcome yet, and ConnectWise may have "
        "made `in_doubt` of them",
        "file claim reason records in_doubt",
    )
    PAYMENT = (
        "payment.finished",
        "one line for each payment",
        "file claim record invoice_number outcome asked asked_as_written applied message invoice_id payment_id",
    )
    PAYMENT_UNKNOWN = (
        "payment.unknown",
        "the answer to a payment was lost; the payments are read back before anything else",
        "claim invoice_number reason request_id",
    )
    PAYMENT_HELD = (
        "payment.held",
        "a second POST waits until the first, whose answer was lost, can no longer be carried out; others go on",
        "claim invoice_number wait_seconds",
    )
    PAYMENT_CORRECTED = (
        "payment.corrected",
        "minutes after an answer was lost, the invoice was not as it had been reported; the reason says what was done",
        "invoice_number invoice_id corrected reason",
    )
    PAYMENT_REFUSED = (
        "payment.refused",
        "ConnectWise refused a call; the invoice is looked up once more before that counts. After a 500, a 403 "
        "or a page the payment is tried again for a minute or more, and other payments go on",
        "claim invoice_number reason request_id",
    )
    LINE_WAITING = (
        "line.waiting",
        "an outage began, changed, or has lasted another hour; no payment fails for it",
        "reason mend request_id retry_in_seconds next_try_at since invoice_number file claim line",
    )
    LINE_MOVING = "line.moving", "the outage is over", "waited_seconds"
    CONNECTWISE_RETRY = (
        "connectwise.retry",
        "a call that is safe to repeat is repeated, whole or in parts",
        "reason request_id attempt",
    )
    CONNECTWISE_DISTRUSTED = (
        "connectwise.distrusted",
        "the balance in ConnectWise's answer to a payment did not fit the payments on the invoice: from now on they "
        "are listed after each new payment",
        "reason invoice_id",
    )
    CONNECTWISE_OTHER_VERSION = (
        "connectwise.other_version",
        "ConnectWise has another version than the one that `prove` proved: run it again",
        "proved version",
    )
    CONNECTWISE_SLOWED = (
        "connectwise.slowed",
        "ConnectWise answered 429: all calls stop for a while and then go on more slowly",
        "retry_after_seconds requests_per_minute request_id",
    )
    CONNECTWISE_REQUEST = (
        "connectwise.request",
        "at debug level: a call was made; it has no status if no answer came",
        "method status duration_ms request_id",
    )
    SCANNED = "inbox.scanned", "at debug level: the inbox was looked through", "files oldest_changed_at overdue"
    DISK_LOW = "disk.low", "a folder's disk has less than 5 % and 1 GiB left; logged once a day", "folder free_bytes"
    PRUNED = "retention.pruned", "files and rows older than `[retention]` says were removed", "files journal_files"
    NOTICE_SENT = "notify.sent", "a service of `[notify]` took a message", "service notices"
    NOTICE_FAILED = (
        "notify.failed",
        "a service of `[notify]` did not take a message; it gets it again every 5 minutes, until it is given up",
        "service reason notices",
    )
    HEARTBEAT_FAILED = (
        "heartbeat.failed",
        "`notify.heartbeat_url` did not take a heartbeat; logged once, until it takes one again",
        "reason",
    )
    HEARTBEAT_SENT = "heartbeat.sent", "`notify.heartbeat_url` takes heartbeats again", ""
    RELOADED = (
        "service.reloaded",
        "the daemon has read its configuration anew and works by it",
        "version inbox site proved",
    )
    NOT_RELOADED = (
        "service.not_reloaded",
        "the configuration was to be read anew and cannot be used; the daemon goes on with the one before",
        "reason",
    )
    LOG_DROPPED = (
        "log.dropped",
        "nobody read standard error for a while, so lines of the log were dropped; payments went on",
        "lines",
    )
    STOPPING = "service.stopping", "the daemon was asked to end", "signal"
    STOPPED = "service.stopped", "the daemon ended", ""
    CRASHED = "service.crashed", "a fault of this program itself", "exception"

    def __new__(cls, name: str, when: str, keys: str) -> Event:  # noqa: D102  (Enum's own hook)
        event = str.__new__(cls, name)
        event._value_ = name
        event.when = when
        event.keys = keys
        return event
