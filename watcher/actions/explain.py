"""Why a file is not processed now, or where it went: everything that is known of one name. Reads, changes nothing."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

from watcher.claim import Claim
from watcher.errors import FolderTrouble
from watcher.folders.spool import Spool
from watcher.inbox.scan import Inbox, Verdict
from watcher.journal.ledger import FinishedFile, Journal, Line
from watcher.lifetime import holder, within

# A folder that has not answered by then does not, seconds.
_ANSWER_SECONDS = 5.0
# So many earlier files of the name are told of.
_LATEST = 3


def explain(name: str, inbox: Inbox, spool: Spool, journal: Path, lock: Path) -> list[str]:
    """Say in sentences what is known of a file; works whether or not the daemon runs.

    Args:
        name: its name in the inbox, or in an outbox or the archive.
        inbox: the inbox.
        spool: the folders.
        journal: the database file.
        lock: the journal's lock file.

    Returns:
        One sentence or more for each place it is in; none if it is not known.

    Raises:
        FolderTrouble: a folder cannot be read, or does not answer.
    """
    try:
        verdict, claims = within(_ANSWER_SECONDS, lambda: (inbox.judge(name, time.time()), spool.claimed_names()))
    except TimeoutError:
        raise FolderTrouble(
            f"{inbox.folder} or {spool.folders.work} does not answer", "Check the share and its server"
        ) from None
    line, finished, progress = None, [], {}
    if journal.is_file():
        with closing(Journal(f"sqlite:///{journal}", upgrade=False)) as read:
            line, finished = read.line(), read.files_of(name, _LATEST)
            progress = {claim.id: read.progress(claim.id) for claim in claims if claim.name == name}
    held_up = _held_up(line if holder(lock) else None)
    told = []
    if verdict is not None:
        told.append(f"{name} lies in the inbox. {verdict.sentence}{_next(verdict, held_up)}")
    for claim in claims:
        if claim.name == name:
            records, decided = progress.get(claim.id, (0, 0))
            done = f"{decided} of its {records} records are decided" if records else "it is not read yet"
            told.append(f"{name} was taken at {_at(claim)}; {done}. {held_up or 'It is being worked on.'}")
    return told + [_where(file, spool) for file in finished]


def _held_up(line: Line | None) -> str:
    """Say what keeps ready files waiting; nothing if they are worked on."""
    if line is None:
        return "The daemon is not running."
    if line.state == "waiting":
        mend = f" {line.mend}." if line.mend else ""
        return f"The line waits since {line.since:%Y-%m-%d %H:%M} UTC: {line.reason}.{mend}"
    return ""


def _next(verdict: Verdict, held_up: str) -> str:
    if held_up:
        return f" {held_up}"
    return " The next scan takes it." if verdict.ready else ""


def _at(claim: Claim) -> str:
    return f"{claim.claimed_at:%Y-%m-%d %H:%M:%S} UTC"


def _where(file: FinishedFile, spool: Spool) -> str:
    claim = Claim(file.claim, file.name)
    published = spool.published_name(claim)
    folders = spool.folders
    done = f"{file.name}, taken at {_at(claim)}, is done: "
    if file.refusal is not None:
        return f"{done}it was refused. {file.refusal} See {folders.fail / published} and the note beside it."
    places = [folders.success] * bool(file.succeeded) + [folders.fail] * bool(file.rejected)
    seen = [str(folder / published) for folder in places]
    seen.append(f"{folders.archive / f'{claim.claimed_at:%Y/%m/%d}' / published} with its receipt")
    return f"{done}{file.succeeded} succeeded, {file.rejected} rejected. See {', '.join(seen)}."
