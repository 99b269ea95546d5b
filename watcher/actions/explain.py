"""Why a file is not processed now, or where it went: everything that is known of one name. Changes nothing."""

from __future__ import annotations

import time
from pathlib import Path

from watcher.actions.status import answer
from watcher.claim import Claim
from watcher.disk.lock import holder
from watcher.folders.layout import Folders
from watcher.inbox.scan import Inbox
from watcher.inbox.verdict import Verdict, judge
from watcher.journal.bulletins import Bulletin, Bulletins
from watcher.journal.database import opened
from watcher.journal.history import FinishedFile, History, InWork
from watcher.journal.waits import Wait, Waits
from watcher.journal.withdrawals import Request, Withdrawals
from watcher.times import moment

# How many earlier files of the name are explained.
_LATEST = 3


def explain(name: str, inbox: Inbox, folders: Folders, journal: str, lock: Path) -> list[str]:
    """Explain in sentences where a file is and why, whether or not the daemon runs.

    Args:
        name: its name in the inbox, or in an outbox or the archive.
        inbox: the inbox.
        folders: where the files of finished claims lie.
        journal: the journal's URL.
        lock: the journal's lock file.

    Returns:
        One or more sentences for each place it is in; none if it is not known.

    Raises:
        FolderTrouble: a folder cannot be read, or does not answer.
        ConfigurationError: the journal cannot be used.
    """

    def called(*names: str) -> bool:
        return any(name.casefold() == each.casefold() for each in names)

    verdict = answer(inbox, lambda: judge(inbox, name, time.time()))
    bulletin: Bulletin | None = None
    finished: list[FinishedFile] = []
    in_work: list[InWork] = []
    requests: list[Request] = []
    waits: list[Wait] = []
    with opened(journal) as database:
        if database is not None:
            history = History(database)
            bulletin, finished = Bulletins(database).latest(), history.files_of(name, _LATEST)
            in_work = [file for file in history.in_work() if called(file.claim.name, file.claim.id)]
            requests = Withdrawals(database).asked()
            waits = [wait for wait in Waits(database).all() if called(wait.file, wait.claim)]
    running = holder(lock)
    held_up = _held_up(bulletin if running else None)
    partly = bulletin if running and bulletin is not None and bulletin.state == "partly waiting" else None
    some = "" if partly is None else f"Some payments have waited since {moment(partly.since)}: {_why(partly)}"
    sentences = []
    if verdict is not None:
        # What a daemon that has ended said of the inbox is out of date.
        wait = next((wait for wait in waits if running and not wait.claim), None)
        sentences.append(f"{verdict.name} lies in the inbox. {verdict.sentence}{_next(verdict, wait, held_up)}")
    claimed = {wait.claim: wait for wait in waits if wait.claim}
    for file in in_work:
        done = f"{file.decided} of its {file.records} records are decided" if file.records else "it is not read yet"
        alone = claimed.pop(file.claim.id, None)
        asked = "".join(_asked(each) for each in requests if each.claim == file.claim)
        said = (alone and _alone(alone), held_up or some)
        now = " ".join(each for each in said if each) or "It is being worked on."
        sentences.append(f"{file.claim.name} was taken at {moment(file.claim.claimed_at)}; {done}. {asked}{now}")
    # What is left of a finished file, or was found in work and cannot be read.
    sentences += [f"{wait.file} lies in work (claim {wait.claim}). {_alone(wait)}" for wait in claimed.values()]
    return sentences + [where(file, folders) for file in finished]


def _held_up(bulletin: Bulletin | None) -> str:
    """Return what keeps ready files waiting; nothing if they are worked on."""
    if bulletin is None:
        return "The daemon is not running."
    if bulletin.state == "waiting":
        return f"Payments have waited since {moment(bulletin.since)}: {_why(bulletin)}"
    return ""


def _why(bulletin: Bulletin) -> str:
    mend = f" {bulletin.mend}." if bulletin.mend else ""
    return f"{bulletin.reason}.{mend}"


def _next(verdict: Verdict, wait: Wait | None, held_up: str) -> str:
    """Return what keeps a file in the inbox, beside what can be seen of the file itself."""
    said = ""
    if wait is not None:
        why = "" if wait.reason in verdict.sentence else f": {wait.reason}"
        said = f" It has waited since {moment(wait.since)}{why}."
    if held_up:
        return f"{said} {held_up}"
    return " The next scan takes it." if verdict.ready and not said else said


def _alone(wait: Wait) -> str:
    """Return why a file waits by itself, and what to do."""
    return f"It has waited by itself since {moment(wait.since)}, and other files go on: {wait.sentence}"


def _asked(request: Request) -> str:
    held_up = f" {request.held_up_by}" if request.held_up_by else ""
    return f"A person asked at {moment(request.wanted.asked_at)} to withdraw it.{held_up} "


def where(file: FinishedFile, folders: Folders) -> str:
    """Return in a sentence what a finished file came to, and where its results lie."""
    claim = Claim(file.claim, file.name)
    done = f"{file.name}, taken at {moment(claim.claimed_at)}, is done: "
    if file.refusal is not None:
        how = "it was withdrawn" if file.taken_out else "it was refused"
        return f"{done}{how}. {file.refusal} See {folders.fail_file(claim)} and the note beside it."
    places = [str(folders.success_file(claim))] * bool(file.succeeded)
    places += [str(folders.fail_file(claim))] * bool(file.rejected)
    places.append(f"{folders.archived(claim)} with its receipt")
    withdrawn = f" ({file.withdrawn} of them withdrawn by a person)" if file.withdrawn else ""
    return f"{done}{file.succeeded} succeeded, {file.rejected} rejected{withdrawn}. See {', '.join(places)}."
