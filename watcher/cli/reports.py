"""What ``status`` and ``history`` show: lists, each entry on lines of its own, so that nothing is cut off.

Plain lines are printed. A file may have thirty thousand payments, and Rich would take half a minute for them.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from watcher.payments.model import money
from watcher.payments.outcomes import in_none_of_the_sums
from watcher.plain import plain
from watcher.times import moment, span

if TYPE_CHECKING:
    # What is shown, and nothing of what finds it out.
    from watcher.actions.history import InSum
    from watcher.actions.status import Status
    from watcher.journal.attempts import Attempt
    from watcher.journal.history import FinishedFile

# The most payments that are shown of those that are still unpaid.
_MOST_UNPAID = 50
_INDENT = "    "


def show_status(status: Status) -> None:
    """Print how things are."""
    line = status.line
    _say(status.sentence)
    running = f"is running ({status.running})" if status.running else "is not running"
    moved = f" Its last sign of life: {moment(status.moved_at)}." if status.moved_at else ""
    _say(f"The daemon {running}.{moved}")
    if line is not None:
        ended = not status.running and line.state != "stopped"
        last = "It ended without a word. What it said last: " if ended else ""
        _say(f"{last}{line.state.capitalize()} since {moment(line.since)}: {line.reason}")
        if line.mend:
            _say(f"{line.mend}.", _INDENT)
        if line.next_try_at:
            _say(_next_try(line.next_try_at), _INDENT)
        if line.watch:
            _say(f"Inbox: {line.watch}")
    answered = f"; last good answer {moment(line.answered_at)}" if line and line.answered_at else ""
    _say(f"ConnectWise: {status.connectwise}{answered}")
    _say(f"Assumptions: {status.proved}")
    for trouble in status.troubles:
        _say(trouble)
    _list(
        "In the inbox",
        ((f"{file.name}, {file.bytes:,} bytes, unchanged for {_age(file.changed_at)}", "") for file in status.waiting),
    )
    _list(
        "In work",
        (
            (f"{file.name}, {file.decided:,} of {file.records:,} payments decided", f"Taken {moment(file.claimed_at)}.")
            for file in status.claimed
        ),
    )
    if status.held:
        _list(
            "Held up by themselves",
            (
                (
                    f"{wait.file}, in {'work' if wait.claim else 'the inbox'}",
                    f"It has waited since {moment(wait.since)}{', too long' if wait.overdue else ''}: {wait.sentence}",
                )
                for wait in status.held
            ),
        )
    _list("Finished last", ((f"{file.name}, {moment(file.finished_at)}", _came_to(file)) for file in status.finished))
    if status.unpaid:
        _list("Failed and still unpaid", ((_asked(one), _reason(one)) for one in status.unpaid[-_MOST_UNPAID:]))
        if len(status.unpaid) > _MOST_UNPAID:
            _say(f"... and {len(status.unpaid) - _MOST_UNPAID:,} earlier ones (--json lists all).")


def _next_try(at: datetime) -> str:
    if at <= datetime.now(UTC):
        return f"The next try is under way, since {moment(at)}."
    return f"Next try: {moment(at)}. payment-watcher retry makes it now."


def show_attempts(attempts: Sequence[Attempt]) -> None:
    """Print what happened to an invoice or a file: an entry for each attempt, the earliest first."""
    _list("History", ((_asked(attempt), _became(attempt)) for attempt in attempts))
    for claim, name in dict.fromkeys((attempt.claim, attempt.file) for attempt in attempts):
        _say(f"{name} was claim {claim}")


def show_sum(sums: Sequence[InSum]) -> None:
    """Print how the sum of an invoice came together: an entry for each payment that was accepted."""
    if not sums:
        return
    _list(
        "Sum of the accepted payments",
        (
            (
                f"{one.accepted.invoice_number}: {money(one.accepted.amount)} of {one.accepted.date_paid}, "
                f"sum {money(one.total)}",
                f"externalId {one.accepted.external_id}, accepted {moment(one.accepted.accepted_at)} "
                f"with {one.accepted.file}",
            )
            for one in sums
        ),
    )


def show_dismissed(attempts: Sequence[Attempt]) -> None:
    """Print the payments that were dismissed."""
    _list("Dismissed", ((_asked(attempt), _reason(attempt)) for attempt in attempts))


def _list(title: str, entries: Iterable[tuple[str, str]]) -> None:
    """Print a title, and under it each entry: what it is, and further in what there is to say of it."""
    shown = [*_entries(entries)]
    sys.stdout.write("\n".join([f"{title}:", *shown, ""] if shown else [f"{title}: nothing.", ""]))


def _entries(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    width = _width()
    for head, note in entries:
        yield from _wrapped(head, "  ", width)
        if note:
            yield from _wrapped(note, f"  {_INDENT}", width)


def _say(text: str, indent: str = "") -> None:
    sys.stdout.write("".join(f"{line}\n" for line in _wrapped(text, indent, _width())))


def _width() -> int | None:
    """Return how wide a terminal is (columns); None if nobody reads on one, so that lines stay whole for `grep`."""
    return max(40, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None


def _wrapped(text: str, indent: str, width: int | None) -> Sequence[str]:
    line = f"{indent}{plain(text)}"
    if width is None or len(line) <= width:
        return (line,)
    # A name is never broken: it is to be copied.
    further = f"{indent}  "
    return textwrap.wrap(
        line, width, subsequent_indent=further, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )


def _came_to(file: FinishedFile) -> str:
    """Return what a finished file came to."""
    if file.refusal:
        return f"Refused: {file.refusal}"
    warned = f" ({file.warned:,} with a warning)" if file.warned else ""
    done = f"{file.succeeded:,} succeeded{warned}, {file.rejected:,} rejected"
    lacking = f" {in_none_of_the_sums(file.unreadable)}" if file.unreadable else ""
    return f"{done}. Asked {money(file.asked)}, failed {money(file.failed)}.{lacking}"


def _asked(attempt: Attempt) -> str:
    """Return which payment an attempt is about, and when it was made."""
    number = attempt.invoice_number or ("no number" if attempt.line else "")
    amount = _amount(attempt.asked, attempt.asked_as_written)
    what = f"{number} {amount}".strip()
    place = f"{attempt.file} line {attempt.line}" if attempt.line else attempt.file
    return ", ".join(filter(None, (what, place, moment(attempt.decided_at or attempt.begun_at))))


def _became(attempt: Attempt) -> str:
    """Return what became of an attempt."""
    row = f" (payment {attempt.payment_id})" if attempt.payment_id else ""
    held = f"; ConnectWise holds {_amount(attempt.held)} of it{row}" if attempt.held else row
    why = f": {attempt.message}" if attempt.message else ""
    because = f": {attempt.dismissed_because}" if attempt.dismissed_because else ""
    gone = f". Dismissed {moment(attempt.dismissed_at)}{because}" if attempt.dismissed_at else ""
    return f"{attempt.outcome}{held}{why}{gone}"


def _reason(attempt: Attempt) -> str:
    return attempt.message or ""


def _age(time: datetime) -> str:
    return span((datetime.now(UTC) - time).total_seconds())


def _amount(amount: Decimal | None, as_written: str = "") -> str:
    return as_written if amount is None else money(amount)
