"""This process among others: alone on an inbox and a journal, and in touch with systemd."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, TypeVar

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


def leave(code: int) -> NoReturn:
    """End the process at once, from any thread, with what was logged and printed.

    Threads that still wait for an answer, of ConnectWise or of a folder, are not waited for: what they were doing is
    written down as planned, and looked up at the next start. The interpreter's own way out would abort if one of them
    were writing to the log.

    Args:
        code: the exit code; 1 instead of 0 where nobody takes what was printed.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # The reader went away, as `head` does; nothing is left to be told.
            code = code or 1
    os._exit(code)


Found = TypeVar("Found")


def within(seconds: float, look: Callable[[], Found]) -> Found:
    """Look at something that may never answer, as a folder on a dead share.

    Args:
        seconds: how long to wait.
        look: called in a thread of its own, which is left to itself when the time is up.

    Raises:
        TimeoutError: the time is up.
        Exception: whatever the look raised.
    """
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(look).result(seconds)
    finally:
        pool.shutdown(wait=False)


def on_signal(act: Callable[[str], None]) -> None:
    """Act on SIGTERM and SIGINT, whenever they come; for the main thread, before it has started others.

    Both are blocked in every thread but one of their own, which waits for them (sigwait(3)). A handler would run in the
    main thread: in the middle of whatever it does, so that setting an Event whose lock it holds would never end; and
    not at all while it is in a call on a folder that does not answer.

    Args:
        act: called with the signal's name, in that thread.
    """
    awaited = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)

    def wait() -> None:
        while True:
            act(signal.Signals(signal.sigwait(awaited)).name)

    threading.Thread(target=wait, name="signals", daemon=True).start()


# What a file system says that knows no locks, as a share without a lock manager (flock(2), nfs(5)).
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)


@contextmanager
def holding(file: Path) -> Iterator[bool]:
    """Hold a lock file for this process alone; a lock of a process that ended, however it ended, holds nobody up.

    Args:
        file: the lock file; made if missing, in a folder that exists.

    Yields:
        False where the file system knows no locks, and nothing is held.

    Raises:
        Occupied: another process holds it.
        FolderTrouble: it cannot be made.
    """
    try:
        # FileLock would make the folder, and a folder that is missing is a share that is not mounted.
        file.parent.stat()
    except OSError as error:
        raise FolderTrouble.at(file.parent, error) from error
    lock = FileLock(file, blocking=False, fallback_to_soft=False, on_acquired=_sign)
    try:
        lock.acquire()
    except Timeout as error:
        raise Occupied(file, _signature(file)) from error
    except (OSError, NotImplementedError) as error:
        number = error.errno if isinstance(error, OSError) else errno.ENOSYS
        if number not in _NO_LOCKS:
            raise FolderTrouble.at(file, OSError(number, "")) from error
    try:
        yield lock.is_locked
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
        # Held, or this user may not try: whoever signed it last is the best answer.
        return _signature(file)


def _signature(file: Path) -> str:
    """Give what the holder wrote into its lock file."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip() or "a process that left no name"
    except OSError:
        return "a process that left no name"


def _sign(descriptor: int) -> None:
    """Write into a lock who holds it; on a full disk it is held without a name."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {now}\n".encode(), 0)


def lock_file(path: Path) -> Path:
    """Give the lock file of the inbox's marker or of a journal: beside it, with ``.lock`` added to its name."""
    return path.with_name(f"{path.name}.lock")
