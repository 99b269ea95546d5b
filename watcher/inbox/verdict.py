"""Why one entry of the inbox is not taken, for the person who asks."""

from __future__ import annotations

from dataclasses import dataclass, field

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
        name: the entry's name.
    """

    sentence: str
    ready: bool = False
    name: str = field(default="", compare=False)


def judge(inbox: Inbox, name: str, now: float) -> Verdict | None:
    """Look at one entry by itself, apart from all scans.

    Args:
        inbox: the inbox and its terms.
        name: the entry's name. If there is no such entry, letter case is ignored.
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
            names = sorted(other for other in folder.names() if other.casefold() == name.casefold())
            if not names:
                return None
            name, facts = names[0], folder.facts(names[0])
        unfit = unfit_name(name, name_pattern(terms.pattern)) or unfit_kind(facts)
        if unfit is not None:
            return Verdict(f"It is left alone: {unfit}.", name=name)
        age = max(0.0, now - max(facts.st_mtime, facts.st_ctime))
        if age < terms.settle_seconds:
            return Verdict(f"It may still be written to: its last change was {age:.0f} s ago.", name=name)
        if facts.st_size <= terms.max_file_bytes:
            try:
                found = folder.read(name, terms.max_file_bytes)
            except OSError as error:
                return Verdict(f"It waits: {unreadable(error)}.", name=name)
            content = None if found is None else found[1]
            if content is None:
                return Verdict("It may still be written to: it changed during this look.", name=name)
    if content is not None:
        missing = unfinished(content, terms.table)
        if missing is not None:
            minutes = terms.stalled_after_seconds / 60
            return Verdict(
                f"It is not whole yet: {missing}. Its last change was {age:.0f} s ago. It goes to the fail outbox "
                f"once the daemon has seen no change of it for {minutes:.0f} minutes.",
                name=name,
            )
    return Verdict("It is ready to be taken.", ready=True, name=name)
