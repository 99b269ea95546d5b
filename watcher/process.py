"""This process among others: alone on an inbox and a journal, and in touch with systemd."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from watcher.errors import FolderTrouble, Occupied


class Systemd:
    """Speaks sd_notify(3) where systemd listens (``$NOTIFY_SOCKET``), and is silent elsewhere."""

    def __init__(self) -> None:
        """Find the socket."""
        address = os.environ.get("NOTIFY_SOCKET", "")
        # A leading @ is a socket in the abstract namespace (sd_notify(3)).
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._status = ""

    def tell(self, message: str) -> None:
        """Send one message, such as ``READY=1``."""
        if self._address:
            # If nobody listens any more, that stops no payment.
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
                notify.sendto(message.encode(), self._address)

    def status(self, sentence: str) -> None:
        """Say in a plain sentence what is going on; shown by ``systemctl status``."""
        if sentence != self._status:
            self._status = sentence
            self.tell(f"STATUS={sentence}")

    def alive(self) -> None:
        """Feed the watchdog: work has advanced, or a wait is a wait on purpose."""
        self.tell("WATCHDOG=1")


def on_signal(act: Callable[[str], None]) -> None:
    """Act on SIGTERM and SIGINT, whenever they come; for the main thread.

    The interpreter writes each signal into a socket (signal.set_wakeup_fd), and a thread of its own reads it there. A
    handler would run in the middle of whatever the main thread does, and where that holds the lock of an Event,
    setting the Event would never end.

    Args:
        act: called with the signal's name, in that thread.
    """
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.fileno())
    awaited = {signal.SIGTERM, signal.SIGINT}
    for number in awaited:
        signal.signal(number, lambda _number, _frame: None)

    def wait() -> None:
        # The thread keeps the writing end open as well.
        with reading, writing:
            while came := reading.recv(1):
                if came[0] in awaited:
                    act(signal.Signals(came[0]).name)

    threading.Thread(target=wait, name="signals", daemon=True).start()


@contextmanager
def holding(file: Path) -> Iterator[None]:
    """Hold a lock file for this process alone; a lock of a process that ended, however it ended, holds nobody up.

    Args:
        file: the lock file; made if missing, in a folder that exists.

    Raises:
        Occupied: another process holds it.
        FolderTrouble: it cannot be made.
    """
    if not file.parent.is_dir():
        # FileLock would make the folder, and a folder that is missing is a share that is not mounted.
        raise FolderTrouble(f"{file.parent} is not there", "Mount the share it is on, or make the folder")
    lock = FileLock(file, blocking=False, fallback_to_soft=False, on_acquired=_sign)
    try:
        lock.acquire()
    except Timeout as error:
        holder = file.read_text(encoding="utf-8", errors="replace").strip()
        raise Occupied(file, holder) from error
    except OSError as error:
        mend = "Check that the folder is there and that the service's user may write to it"
        raise FolderTrouble(f"{file}: {os.strerror(error.errno or 0)}", mend) from error
    try:
        yield
    finally:
        lock.release()


def holder(file: Path) -> str | None:
    """Say who holds a lock file; None if nobody does."""
    if not file.is_file():
        return None
    try:
        with FileLock(file, blocking=False, fallback_to_soft=False):
            return None
    except (Timeout, OSError):
        return file.read_text(encoding="utf-8", errors="replace").strip() or "a process that left no name"


def _sign(descriptor: int) -> None:
    """Write into a lock who holds it."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {now}\n".encode(), 0)


def lock_file(path: Path) -> Path:
    """Give the lock file of the inbox's marker or of a journal: beside it, with ``.lock`` added to its name."""
    return path.with_name(f"{path.name}.lock")
