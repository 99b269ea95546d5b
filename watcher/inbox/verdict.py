"""Why one entry of the inbox is not taken, for the person who asks."""

from __future__ import annotations

from dataclasses import dataclass

from watcher.disk.opened import opened
from watcher.documents.formats import unfinished
from watcher.inbox.entries import name_pattern, unfit_kind, unfit_name, unreadable
from watcher.inbox.scan import Inbox


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of an entry of the inbox.

    Attributes:
        sentence: for a person.
        ready: True if the next scan takes it.
    """

    sentence: str
    ready: bool = False


def judge(inbox: Inbox, name: str, now: float) -> Verdict | None:
    """Look at one entry by itself, apart from all scans.

    Args:
        inbox: the inbox and its terms.
        name: the entry's name.
        now: the time (Unix seconds). There are no earlier scans to compare with, so the file's own times have to do.

    Returns:
        The verdict; None if there is no such entry.

    Raises:
        FolderTrouble: the inbox cannot be read.
    """
    terms = inbox.terms
    content: bytes | None = None
    with inbox.calls.at(inbox.folder), opened(inbox.folder) as folder:
        try:
            facts = folder.facts(name)
        except FileNotFoundError:
            return None
        unfit = unfit_name(name, name_pattern(terms.pattern)) or unfit_kind(facts)
        if unfit is not None:
            return Verdict(f"It is left alone: {unfit}.")
        age = max(0.0, now - max(facts.st_mtime, facts.st_ctime))
        if age < terms.settle_seconds:
            return Verdict(f"It may still be written to: its last change was {age:.0f} s ago.")
        if facts.st_size <= terms.max_file_bytes:
            try:
                found = folder.read(name, terms.max_file_bytes)
            except OSError as error:
                return Verdict(f"It waits: {unreadable(error)}.")
            content = None if found is None else found[1]
            if content is None:
                return Verdict("It may still be written to: it changed during this look.")
    if content is not None:
        missing = unfinished(content, terms.table)
        if missing is not None:
            minutes = terms.stalled_after_seconds / 60
            return Verdict(
                f"It is not whole yet: {missing}. Its last change was {age:.0f} s ago; after {minutes:.0f} minutes "
                "without one it goes to the fail outbox."
            )
    return Verdict("It is ready to be taken.", ready=True)
