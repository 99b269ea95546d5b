"""One start of the program, traced or not, until it has ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from soak.calls import FAILED, STOPPED, Point, Stroke, counting, striking
from support.program import END_SECONDS, environment, until

# No run takes this long, however busy the machine, seconds.
_PATIENCE = 60
# How long to wait between two looks at a run (seconds).
_LOOK_SECONDS = 0.005
_FAILING = tuple(stroke for stroke in Stroke if stroke.fails)
# Runs that end in order: all well, some payments failed, a file refused.
_IN_ORDER = (0, 1, 2)
# Runs that end in order since they were asked to: the signal came before it was waited for, or was obeyed.
_ASKED = (-signal.SIGTERM, 130)
# Runs of single commands that end in order since a folder or the journal was in trouble. The daemon waits instead.
_IN_TROUBLE = (78,)


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        struck: it was struck at its point.
        faults: what it should not have said or done.
    """

    struck: bool
    faults: list[str]


class Start:
    """A start of the program in a folder.

    Args:
        base: the working folder, which lies in one that is free for this start's own files.
        arguments: the command and its options.
        tracing: strace's options; none to go without it.
        log: where strace writes.
    """

    def __init__(self, base: Path, arguments: Sequence[str], tracing: Sequence[str], log: Path) -> None:
        self._base = base
        self._log = log
        self._said = base.with_name("said.log")
        self._command = [sys.executable, "-m", "watcher", *arguments, "--config", str(base / "payment-watcher.toml")]
        if tracing:
            self._command = ["strace", "-f", "-qq", *tracing, *self._command]

    def end(self, stroke: Stroke | None, *, idle: bool) -> Ended:
        """Run to the end.

        Args:
            stroke: what strikes; None for nothing.
            idle: the program is to be asked to end once it has nothing to do.
        """
        self._log.unlink(missing_ok=True)
        told = self._base.with_name("told")
        told.unlink(missing_ok=True)
        with self._said.open("wb") as said, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            more = {}
            if idle:
                notify.bind(str(told))
                notify.setblocking(False)
                more = {"NOTIFY_SOCKET": str(told)}
            with subprocess.Popen(
                self._command,
                cwd=self._base,
                env=environment(self._base, PYTHONDONTWRITEBYTECODE="1", **more),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            ) as process:
                try:
                    late = self._watch(process, stroke, notify if idle else None)
                except BaseException:
                    os.killpg(process.pid, signal.SIGKILL)
                    raise
        # strace ends itself by the signal that ended the program, whose threads may take a moment longer.
        until(lambda: _ended(process.pid), _PATIENCE)
        allowed = {Stroke.TERM: _ASKED} if idle else {Stroke.TERM: _ASKED, **dict.fromkeys(_FAILING, _IN_TROUBLE)}
        return self._ended(process.returncode, stroke, late, allowed.get(stroke, ()))

    def _watch(self, process: subprocess.Popen[bytes], stroke: Stroke | None, notify: socket.socket | None) -> str:
        """Wait for the end, and ask for it where that is due; return what is wrong with how long it took."""
        began, asked = time.monotonic(), 0.0
        while process.poll() is None:
            now = time.monotonic()
            if now - began > _PATIENCE:
                os.killpg(process.pid, signal.SIGKILL)
                return f"it did not end within {_PATIENCE} seconds"
            if not asked and (self._stopped(stroke) or _is_idle(notify)):
                # As systemd does it: every process of the unit gets the signal. strace is deaf to it.
                os.killpg(process.pid, signal.SIGTERM)
                os.killpg(process.pid, signal.SIGCONT)
                asked = now
            time.sleep(_LOOK_SECONDS)
        took = time.monotonic() - asked
        return f"it took {took:.1f} seconds to end" if asked and took > END_SECONDS else ""

    def _stopped(self, stroke: Stroke | None) -> bool:
        return stroke is Stroke.TERM and self._log.exists() and STOPPED in self._log.read_text(errors="replace")

    def _ended(self, code: int, stroke: Stroke | None, late: str, allowed: Sequence[int]) -> Ended:
        struck = False
        if stroke is Stroke.KILL:
            struck = code == -signal.SIGKILL
        elif stroke is not None and self._log.exists():
            struck = any(sign in self._log.read_text(errors="replace") for sign in (STOPPED, FAILED))
        lenient = struck and stroke is not Stroke.KILL
        faults = [late] if late else []
        faults += _not_log(self._said.read_text(errors="replace"), lenient=lenient)
        killed = struck and stroke is Stroke.KILL
        if not killed and code not in _IN_ORDER and not (struck and code in allowed):
            faults.append(f"it ended with code {code}")
        return Ended(struck, faults)


def plain(base: Path, arguments: Sequence[str], *, idle: bool = False) -> Ended:
    """Run the program to its end, which nothing strikes."""
    return Start(base, arguments, (), base.with_name("strace.log")).end(None, idle=idle)


def counted(base: Path, arguments: Sequence[str], log: Path, *, idle: bool = False) -> Ended:
    """Run the program to its end, and let strace write down its calls."""
    return Start(base, arguments, counting(log), log).end(None, idle=idle)


def struck(base: Path, arguments: Sequence[str], point: Point, stroke: Stroke, *, idle: bool = False) -> Ended:
    """Run the program, and strike it at a point."""
    log = base.with_name("strace.log")
    return Start(base, arguments, striking(point, stroke, log), log).end(stroke, idle=idle)


def _is_idle(notify: socket.socket | None) -> bool:
    """True if the program has told systemd that it has nothing to do since the last look."""
    told = False
    with suppress(BlockingIOError):
        while notify is not None:
            told |= notify.recv(65536).endswith(b"nothing to do.")
    return told


def _ended(group: int) -> bool:
    """True if nothing of a group of processes runs any more; what only waits to be reaped holds nothing."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of, *_ = stat.read_text(errors="replace").rpartition(")")[2].split()
            threads = len(list((stat.parent / "task").iterdir()))
        except OSError:
            continue
        if int(of) == group and (state != "Z" or threads > 1):
            return False
    return True


def _not_log(said: str, *, lenient: bool) -> Iterator[str]:
    """Yield what a run said that is no line of its log, or that is an error.

    Args:
        said: what it said.
        lenient: it may say that it waits, and in words for people why it ends; a traceback is still a fault.
    """
    for line in said.splitlines():
        try:
            entry = json.loads(line)
            if entry["level"] not in ("error", "critical") or (lenient and entry["event"] == "line.waiting"):
                continue
        except (ValueError, KeyError, TypeError):
            if lenient and "Traceback" not in line:
                continue
        yield f"it said: {line}"
