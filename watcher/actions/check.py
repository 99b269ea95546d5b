"""Check an installation: folders, journal, sign-in and rights. Every fault is found at once, each with its mend."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from watcher.connectwise.client import ConnectWise
from watcher.disk.hanging import FolderCalls, within
from watcher.disk.lock import holder, lock_file
from watcher.disk.room import probe, probe_move
from watcher.errors import (
    ConfigurationError,
    Fault,
    FolderTrouble,
    JournalTrouble,
    Outage,
    PaymentWatcherError,
    SignInRefused,
)
from watcher.folders.layout import Folders
from watcher.folders.rights import refusals
from watcher.inbox.marker import Marker
from watcher.journal.database import file_of, readable
from watcher.journal.inboxes import Inboxes
from watcher.proving import proved

if TYPE_CHECKING:
    from watcher.events.courier import Send
    from watcher.events.heartbeat import Beat


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: the thing.
        good: what was found; empty if there is a fault.
        fault: what is wrong; None if nothing is.
        cause: the error behind a fault in reaching ConnectWise.
        hangs: it is a folder that does not answer.
    """

    what: str
    good: str = ""
    fault: Fault | None = None
    cause: PaymentWatcherError | None = None
    hangs: bool = False


# How long a folder may take to answer (seconds).
_ANSWER_SECONDS = 5.0


def check_folders(folders: Folders, url: str, *, default_journal: bool) -> Iterator[Finding]:
    """Try in each folder what the daemon does there: write aside, sync, rename, delete; and move from inbox to work.

    Args:
        folders: the five folders.
        url: the journal's. It is opened as it is, and its folder is tried.
        default_journal: the configuration does not say where the journal is.
    """
    found = []
    for name, folder in folders.named():
        found.append(_check_folder(f"folders.{name}", folder))
        yield found[-1]
        if found[-1].hangs:
            # All that follows would hang as well.
            return
    journal = file_of(url)
    if journal is not None:
        yield _check_journal_folder(journal, default_journal=default_journal)
        yield _daemon(journal)
    yield from _check_journal(url, folders.inbox)
    faults = folder_faults(folders)
    yield from (Finding(fault.key, fault=fault) for fault in faults)
    if all(finding.fault is None for finding in found) and not any(fault.key == "folders.work" for fault in faults):
        yield from _check_taking(folders)


def folder_faults(folders: Folders) -> list[Fault]:
    """Find what only the file systems know: the same folder twice, one that cannot be trusted, claims across two disks.

    A folder that is missing or does not answer is no fault here: the line waits for it.
    """
    faults: list[Fault] = []
    seen: dict[tuple[int, int], str] = {}
    disks: dict[str, int] = {}
    for name, folder in folders.named():
        try:
            facts = folder.stat()
        except OSError:
            continue
        disks[name] = facts.st_dev
        other = seen.setdefault((facts.st_dev, facts.st_ino), name)
        if other != name:
            problem = f"{folder} is the same folder as {other}"
            faults.append(Fault(f"folders.{name}", problem, "Give each a folder of its own."))
    if disks.get("work", disks.get("inbox")) != disks.get("inbox", disks.get("work")):
        faults.append(
            Fault(
                "folders.work",
                f"{folders.work} is on another file system than the inbox, and a file cannot be claimed across two",
                "Choose a folder on the same disk or share as the inbox; .work beside it is the default.",
            )
        )
    faults += [Fault(f"folders.{each.name}", each.problem, f"{each.mend}.") for each in refusals(folders)]
    return faults


def _check_taking(folders: Folders) -> Iterator[Finding]:
    """Move a file from the inbox to work: between two mounts of one disk that fails, too."""
    try:
        probe_move(folders.inbox, folders.work)
    except OSError as error:
        trouble = FolderTrouble.at(folders.work, error)
        problem = f"no file can be moved to it from the inbox: {trouble}"
        yield Finding("folders.work", fault=Fault("folders.work", problem, f"{trouble.mend}."))


def _check_folder(key: str, folder: Path, *, follow: bool = False) -> Finding:
    try:
        within(_ANSWER_SECONDS, lambda: probe(folder, follow=follow))
    except TimeoutError:
        problem = f"{folder} does not answer within {_ANSWER_SECONDS:.0f} seconds"
        return Finding(key, fault=Fault(key, problem, "Check the share and its server."), hangs=True)
    except FileNotFoundError:
        mend = "Make it (payment-watcher init DIR makes a whole set), or mount the share it is on."
        return Finding(key, fault=Fault(key, f"{folder} is not there", mend))
    except OSError as error:
        trouble = FolderTrouble.at(folder, error)
        return Finding(key, fault=Fault(key, str(trouble), f"{trouble.mend}."))
    return Finding(key, good=f"{folder}: files can be created, renamed and deleted")


def _daemon(journal: Path) -> Finding:
    """Say if a daemon runs. Neither is a fault."""
    running = holder(lock_file(journal))
    return Finding("daemon", good=f"is running ({running})" if running else "is not running")


def _check_journal(url: str, inbox: Path) -> Iterator[Finding]:
    """Open the journal as the daemon does, and look whether the inbox is the one that it knows.

    One of an older version is no fault: the daemon brings it up to date.
    """
    try:
        marker = None
        with readable(url) as database:
            if database is None:
                return
            marker = Inboxes(database).marker(str(inbox))
        yield Finding("journal", good="it can be opened, and is whole")
        if marker is not None:
            within(_ANSWER_SECONDS, lambda: Marker(inbox, FolderCalls()).check(marker))
            yield Finding("inbox", good="it is the one of the first start")
    except ConfigurationError as error:
        yield from (Finding(fault.key, fault=fault) for fault in error.faults)
    except JournalTrouble as trouble:
        yield Finding("journal.url", fault=Fault("journal.url", str(trouble), f"{trouble.mend}."))
    except FolderTrouble as trouble:
        yield Finding("folders.inbox", fault=Fault("folders.inbox", str(trouble), f"{trouble.mend}."))
    except TimeoutError:
        yield Finding(
            "folders.inbox", fault=Fault("folders.inbox", f"{inbox} does not answer", "Check the share and its server.")
        )


def _check_journal_folder(journal: Path, *, default_journal: bool) -> Finding:
    """Try the journal's folder, or the first of its parents that exists: the daemon makes the others."""
    folder = journal.parent
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    # Under systemd, a state folder may be a link (DynamicUser=).
    finding = _check_folder("journal.url", folder, follow=True)
    if finding.fault is not None and default_journal:
        good = f"{journal} cannot be made by this user; under systemd the journal is in the unit's StateDirectory"
        return Finding("journal.url", good=good)
    return finding


def check_connectwise(client: ConnectWise, state: Path) -> Iterator[Finding]:
    """Try the way to ConnectWise, the sign-in and the rights that reading proves.

    The right to add and change payments shows only when a payment is written. A check writes none.

    Args:
        client: the way to ConnectWise.
        state: the folder with what was proved of this ConnectWise; the version that it has now is noted there.
    """
    try:
        version = client.version()
        yield Finding("connectwise.site", good=f"ConnectWise {version} answers")
        told = str(proved.compare(state, version) or f"{proved.NOT_PROVED}; payment-watcher prove tries them")
        yield Finding("connectwise assumptions", good=told)
    except SignInRefused:
        # Some versions of ConnectWise answer this only to those signed in. The next look reports the same, and more.
        pass
    except Outage as outage:
        yield _outage("connectwise.site", outage)
        return
    except PaymentWatcherError as error:
        yield Finding("connectwise.site", fault=Fault("connectwise.site", str(error), "Check site and codebase."))
    try:
        invoice_id = client.any_invoice_id()
        yield Finding("connectwise sign-in", good="the keys are accepted and invoices can be read")
        if invoice_id is not None:
            client.list_payments(invoice_id)
            yield Finding(
                "connectwise rights",
                good="payments can be read; the right to write shows at the first payment",
            )
    except Outage as outage:
        yield _outage("connectwise sign-in", outage)
    except PaymentWatcherError as error:
        mend = "Give the API member's role Inquire on Finance > Invoicing."
        yield Finding("connectwise rights", fault=Fault("connectwise rights", str(error), mend), cause=error)


def check_heartbeat(beat: Beat, seconds: float, *, send: bool) -> Iterator[Finding]:
    """Say how often heartbeats are sent.

    Args:
        beat: sends one.
        seconds: the time from one to the next.
        send: send one now.
    """
    key, often = "notify.heartbeat_url", f"a heartbeat is sent every {seconds:g} seconds while the daemon runs"
    if not send:
        yield Finding(key, good=f"{often}; check --notify sends one now")
    elif (fault := beat()) is None:
        yield Finding(key, good=f"{often}; one was sent now, and it was taken")
    else:
        mend = "Compare the address with the one that the monitoring service shows."
        yield Finding(key, fault=Fault(key, f"a heartbeat was not taken: {fault}", mend))


def check_services(senders: Sequence[tuple[str, Send]]) -> Iterator[Finding]:
    """Send a test message to each service of ``[notify]``."""
    # Late: the daemon checks its folders with this module, and may send no message.
    from watcher.events.notices import Notice

    if not senders:
        mend = "Name one in notify.urls."
        yield Finding("notify.urls", fault=Fault("notify.urls", "there is no service to send a test message to", mend))
    for name, send in senders:
        body = "This is what payment-watcher's messages look like. Nothing is wrong."
        fault = send(Notice("A test of payment-watcher", body))
        if fault is None:
            yield Finding("notify.urls", good=f"{name} has taken a test message")
        else:
            mend = "Check its address in notify.urls, with user, password and server."
            yield Finding("notify.urls", fault=Fault("notify.urls", f"{name}: {fault}", mend))


def _outage(what: str, outage: Outage) -> Finding:
    return Finding(what, fault=Fault(what, str(outage), f"{outage.mend}."), cause=outage)
