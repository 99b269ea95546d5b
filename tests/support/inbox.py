"""What befalls an inbox, and what the log of a daemon that works on it has said of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.connectwise import payments_of
from support.documents import document
from support.program import PATIENCE, Daemon, until

from watcher.sandbox import Sandbox

# The invoices of the sandbox that tests share.
NAMES = ("CW-1", "CW-2", "CW-3", "CW-4")
# A watched inbox that is looked through so seldom takes what its observer reports, and nothing else.
SELDOM = {"observer": "native", "scan_seconds": 3600}
OFTEN = {"observer": "native", "scan_seconds": 1}
# An outage that is over at once costs one of the first pauses (2 or 4 s), and then the daemon its work (seconds).
SOON = 15.0


def pay(daemon: Daemon, inbox: Path, sandbox: Sandbox, name: str, within: float = PATIENCE) -> None:
    """Write a file that pays an invoice, and make sure that it does so soon, once."""
    (inbox / f"{name}.xml").write_bytes(document((name, "100.00")))
    assert_pays(daemon, sandbox, name, within)


def assert_pays(daemon: Daemon, sandbox: Sandbox, name: str, within: float = PATIENCE) -> None:
    """Make sure that the file which pays an invoice comes to its end, and pays it once."""
    assert daemon.event("file.finished", within=within, file=f"{name}.xml")["outcome"] == "succeeded"
    assert len(payments_of(sandbox, name)) == 1


def outages(daemon: Daemon) -> list[str]:
    """Return what the log has said of outages: the reason of each, and where the line moved again."""
    told = (line for line in daemon.log if line.get("event") in ("line.waiting", "line.moving"))
    return [line.get("reason", "moving") for line in told]


def watched(daemon: Daemon) -> list[str]:
    """Return what the log has said of watching: how, and where it was lost."""
    told = (line for line in daemon.log if line.get("event") in ("inbox.watching", "inbox.watch_lost"))
    return [line.get("mode", "lost") for line in told]


def waits_again(daemon: Daemon, outage: int) -> dict[str, str]:
    """Wait until the log says for the first, second, … time that the line waits."""
    return until(lambda: daemon.events("line.waiting")[outage - 1 :])[0]


def do_as_told(mend: str) -> None:
    """Run the command that a mend ends with."""
    subprocess.run(["sh", "-c", mend.partition("put the marker back: ")[2]], check=True)
