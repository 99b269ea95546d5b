"""This process among others: alone on an inbox and a journal, and in touch with systemd."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import structlog
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
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                try:
                    notify.sendto(message.encode(), self._address)
                except OSError as error:
                    structlog.get_logger().debug("systemd.unreachable", reason=str(error))

    def status(self, sentence: str) -> None:
        """Say in a plain sentence what is going on; shown by ``systemctl status``."""
        if sentence != self._status:
            self._status = sentence
            self.tell(f"STATUS={sentence}")

    def alive(self) -> None:
        """Feed the watchdog: work has advanced, or a wait is a wait on purpose."""
        self.tell("WATCHDOG=1")


@contextmanager
def holding(file: Path) -> Iterator[None]:
    """Hold a lock file for this process alone; a lock of a process that ended, however it ended, holds nobody up.

    Args:
        file: the lock file; made if missing, in a folder that exists.

    Raises:
        Occupied: another process holds it.
        FolderTrouble: it cannot be made.
    """
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


def _sign(descriptor: int) -> None:
    """Write into a lock who holds it."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {now}\n".encode(), 0)


def lock_file(path: Path) -> Path:
    """Give the lock file of the inbox's marker or of a journal: beside it, with ``.lock`` added to its name."""
    return path.with_name(f"{path.name}.lock")
