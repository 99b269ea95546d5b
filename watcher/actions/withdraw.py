"""Take a file out of work: find it, write down that a person wants it out, and see what came of that.

The request stands in the journal. The daemon carries it out, or whoever holds the journal while no daemon runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from watcher.actions.explain import where
from watcher.claim import Claim, claim_in
from watcher.errors import PaymentWatcherError
from watcher.folders.layout import Folders
from watcher.journal.bulletins import Bulletins
from watcher.journal.database import opened
from watcher.journal.history import History
from watcher.journal.withdrawals import Withdrawals
from watcher.plain import plain

# How many files in work are named where another name was given.
_MOST_NAMED = 10
# The most characters of a reason that are kept.
_LONGEST_REASON = 300
_OTHERS = (
    '"payment-watcher explain NAME" says where a file is. "payment-watcher requeue NAME" puts a failed or an archived '
    "file back into the inbox. A file that still lies in the inbox can be moved away there."
)


def ask(name: str, reason: str, folders: Folders, journal: str) -> Claim:
    """Write down that a file is to be taken out of work. A request that is there already stays as it is.

    Args:
        name: its name in the inbox, its claim, or a name that bears its claim.
        reason: why, in a person's words; empty if none are given.
        folders: where the files of finished claims lie.
        journal: the journal's URL.

    Returns:
        The file.

    Raises:
        PaymentWatcherError: no file of that name is in work, or several are.
        ConfigurationError: the journal cannot be used.
        JournalTrouble: the journal cannot be written.
    """
    name = Path(name).name
    with opened(journal) as database:
        if database is None:
            raise PaymentWatcherError(f"{name} is not in work: there is no journal yet. {_OTHERS}")
        history = History(database)
        in_work = [file.claim for file in history.in_work()]
        found = [claim for claim in in_work if name in (claim.name, claim.id)]
        found = found or [claim for claim in in_work if claim.id == claim_in(name)]
        if not found:
            finished = "".join(f"\n{where(file, folders)}" for file in history.files_of(name, 1))
            raise PaymentWatcherError(f"{name} is not in work.{finished}\n{_listed(in_work)}\n{_OTHERS}")
        if len(found) > 1:
            claims = "\n".join(f"  {claim.id}" for claim in found)
            raise PaymentWatcherError(f"{name} is in work {len(found)} times. Name one of them by its claim:\n{claims}")
        (claim,) = found
        Withdrawals(database).ask(claim.id, plain(reason.strip(), _LONGEST_REASON))
        return claim


def outcome(claim: Claim, folders: Folders, journal: str) -> str | None:
    """Return what came of a request, in a sentence; None if it is not carried out yet.

    Args:
        claim: the file.
        folders: where the files of finished claims lie.
        journal: the journal's URL.

    Raises:
        PaymentWatcherError: it came to nothing, since the file was finished before, or went back into the inbox.
        ConfigurationError: the journal cannot be used.
    """
    with opened(journal) as database:
        if database is None:
            return None
        history = History(database)
        # In this order: the daemon may finish the file between the two questions.
        if any(file.claim == claim for file in history.in_work()):
            return None
        finished = history.files_of(claim.id, 1)
    if not finished:
        raise PaymentWatcherError(f"{claim.name} was not taken in the end, and is in the inbox. Move it away there.")
    (file,) = finished
    if not file.taken_out:
        raise PaymentWatcherError(f"{claim.name} is finished already: {where(file, folders)}")
    return f"{claim.name} is out of work. {where(file, folders)}"


def held_up(claim: Claim, journal: str) -> str:
    """Return what keeps a request from being carried out, in sentences.

    Args:
        claim: the file.
        journal: the journal's URL.

    Raises:
        ConfigurationError: the journal cannot be used.
    """
    why = ""
    with opened(journal) as database:
        if database is not None:
            line = Bulletins(database).latest()
            why = next((each.held_up_by for each in Withdrawals(database).asked() if each.claim == claim), "")
            if not why and line is not None:
                why = f"The daemon is busy: {line.reason.rstrip('.')}."
    return (
        f"{claim.name} is not out of work yet. {why}\n"
        f'The request stands, and is carried out as soon as that is possible. "payment-watcher explain {claim.id}" '
        "says how far it is."
    )


def _listed(claims: Sequence[Claim]) -> str:
    if not claims:
        return "Nothing is in work."
    lines = [f"  {plain(claim.name)} (claim {claim.id})" for claim in claims[:_MOST_NAMED]]
    if len(claims) > _MOST_NAMED:
        lines.append(f"  ... and {len(claims) - _MOST_NAMED} more")
    return "\n".join(["In work are:", *lines])
