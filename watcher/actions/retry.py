"""Asks the daemon that runs to try ConnectWise now, by a signal. Changes nothing else."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from pathlib import Path

from watcher.disk.lock import holder

_SIGNAL = signal.SIGUSR1


def ask(lock: Path) -> tuple[str, bool]:
    """Ask the daemon to try now what it would try later.

    Args:
        lock: the journal's lock file.

    Returns:
        What was done, in sentences, and True if the daemon tries now.
    """
    held_by = holder(lock)
    if held_by is None:
        return (
            "No daemon runs, so nothing is tried. Start the service, or process what is in the inbox once: "
            "payment-watcher run --once."
        ), False
    named = re.match(r"process (\d+) ", held_by)
    process = int(named[1]) if named else 0
    if not process or not _holds(process, lock):
        return (
            f"{lock} is held, but not by a process that this user may ask on this machine ({held_by}). "
            "Call this as root, or as the service's user, where the daemon runs."
        ), False
    if not _expects(process):
        return f"Process {process} holds the journal, and is no daemon that waits: it ends by itself.", False
    try:
        os.kill(process, _SIGNAL)
    except OSError as error:
        return f"The daemon (process {process}) cannot be asked: {os.strerror(error.errno or 0)}.", False
    return f"The daemon (process {process}) tries now. payment-watcher status says what came of it.", True


def _holds(process: int, lock: Path) -> bool:
    """Return True if a process has the lock file open: its number may be another process's by now, or elsewhere."""
    with suppress(OSError):
        wanted = lock.stat()
        for link in Path(f"/proc/{process}/fd").iterdir():
            # It may be closed by now.
            with suppress(OSError):
                facts = link.stat()
                if (facts.st_dev, facts.st_ino) == (wanted.st_dev, wanted.st_ino):
                    return True
    return False


def _expects(process: int) -> bool:
    """Return True if a process waits for the signal (proc(5), SigBlk): it would end any other one."""
    with suppress(OSError):
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
        found = re.search(r"^SigBlk:\s*([0-9a-f]+)$", status, re.MULTILINE)
        return bool(found and int(found[1], 16) & 1 << (_SIGNAL - 1))
    return False
