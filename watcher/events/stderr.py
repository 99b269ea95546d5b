"""Log lines on the standard error of this process, whose reader may hang or be gone: the work never waits for it.

A line is written at once if there is room for it. If there is not, it waits in memory, and a thread writes it once
there is room again. What is too much for the memory is dropped and counted, and the log says so afterwards.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import deque

import structlog

from watcher.events.catalogue import Event

# A pipe that has room takes at least so many bytes without a wait (pipe(7), PIPE_BUF); other kinds take more.
_PIECE = select.PIPE_BUF
# The most that waits in memory (bytes).
_MOST_WAITING = 1 << 20
# A reader that is gone may come back, as that of a named pipe: it is tried again after so long (seconds).
_AGAIN_SECONDS = 1.0
# How long the lines that wait may take when the process ends (seconds).
_LAST_SECONDS = 0.5
_JOURNAL = ((logging.CRITICAL, b"<2>"), (logging.ERROR, b"<3>"), (logging.WARNING, b"<4>"), (logging.INFO, b"<6>"))
_JOURNAL_LEAST = b"<7>"


class Outlet:
    """Writes lines to a file descriptor in their order, and never waits for whoever reads them.

    The descriptor stays as it is: to make it non-blocking would do that to every process that has it, too.
    """

    def __init__(self, descriptor: int) -> None:
        """Write nothing yet.

        Args:
            descriptor: where to.
        """
        self._descriptor = descriptor
        self._way = select.poll()
        self._way.register(descriptor, select.POLLOUT)
        # What the poll says if there is room, and somebody to read.
        self._room = [(descriptor, select.POLLOUT)]
        self._lock = threading.Lock()
        self._empty = threading.Condition(self._lock)
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0

    def write(self, line: bytes) -> None:
        """Write a line now, or later, or never if there is no room for it."""
        with self._lock:
            if self._waiting:
                self._keep(line)
            elif left := self._written(line):
                self._keep(left, begun=len(left) < len(line))
                threading.Thread(target=self._run, name="standard error", daemon=True).start()

    def flush(self, seconds: float = _LAST_SECONDS) -> None:
        """Wait until all lines are written, at most so long."""
        with self._empty:
            self._empty.wait_for(lambda: not self._waiting, seconds)

    def _keep(self, line: bytes, *, begun: bool = False) -> None:
        """Keep a line for later. The rest of one that is begun is kept in any case: it would spoil the next one."""
        if begun or self._bytes + len(line) <= _MOST_WAITING:
            self._waiting.append(line)
            self._bytes += len(line)
        else:
            self._dropped += 1

    def _written(self, line: bytes) -> bytes:
        """Write as much of a line as there is room for; return the rest."""
        try:
            while line and self._way.poll(0) == self._room:
                line = line[os.write(self._descriptor, line[:_PIECE]) :]
        except OSError:
            # Its reader is gone, or its disk is full.
            return line
        return line

    def _run(self) -> None:
        """Write what waits, until nothing does."""
        ready = False
        while (written := self._write_waiting()) is not None:
            if ready and not written:
                # The reader is gone, or the disk is full. Without a pause it would be tried without end.
                time.sleep(_AGAIN_SECONDS)
            ready = bool(self._way.poll(_AGAIN_SECONDS * 1000))

    def _write_waiting(self) -> int | None:
        """Write what there is room for; return how much that was (bytes), or None once nothing waits any more."""
        with self._lock:
            before = self._bytes
            while self._waiting:
                line = self._waiting[0]
                left = self._written(line)
                self._bytes -= len(line) - len(left)
                if left:
                    self._waiting[0] = left
                    return before - self._bytes
                self._waiting.popleft()
            dropped, self._dropped = self._dropped, 0
            self._empty.notify_all()
        if dropped:
            structlog.get_logger().warning(Event.LOG_DROPPED, lines=dropped)
        return None


class StandardError(logging.Handler):
    """Sends formatted records to an outlet; for systemd's journal each line begins with its priority (sd-daemon(3))."""

    def __init__(self, outlet: Outlet, *, journal: bool) -> None:
        super().__init__()
        self._outlet = outlet
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            text = f"{self.format(record)}\n".encode(errors="backslashreplace")
        except Exception:  # noqa: BLE001  (as every handler does: a record that cannot be written stops nothing)
            self.handleError(record)
            return
        if self._journal:
            priority = next((mark for least, mark in _JOURNAL if record.levelno >= least), _JOURNAL_LEAST)
            text = b"".join(priority + line for line in text.splitlines(keepends=True))
        self._outlet.write(text)

    def flush(self) -> None:
        """Give the lines that wait a moment to be written."""
        self._outlet.flush()


def is_journal(descriptor: int) -> bool:
    """Return True if a descriptor leads to systemd's journal (systemd.exec(5), $JOURNAL_STREAM)."""
    facts = os.fstat(descriptor)
    return os.environ.get("JOURNAL_STREAM", "") == f"{facts.st_dev}:{facts.st_ino}"
