"""The system calls that change something, found in strace's log, and what can strike the program at one of them.

strace counts the calls of each kind and of each thread by itself, and so does a point: ``fsync:3`` is where a thread
first comes to its third fsync.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from support.needs import missing

OPENING = ("open", "openat", "creat")
_ON_DISK = (
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("mkdir", "mkdirat", "rmdir", "write", "writev", "pwrite64", "pwritev", "pwritev2", "sendfile", "copy_file_range"),
    *("truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "sync_file_range", *OPENING),
)
_CALLS = (*_ON_DISK, "connect", "sendto", "sendmsg", "recvfrom")
# A line of strace's log at the entry of a call: the thread, the call, the rest.
_ENTRY = re.compile(r"(\d+) +(\w+)\((.*)")
_MAY_CREATE = re.compile("O_CREAT|O_TRUNC")
# What is said on standard output, standard error, or to another process. No disk has a part in it.
_SAID = re.compile(r"[12]<|\d+<(pipe|socket):")
# What strace logs when its signal has stopped the program, and when it has made a call fail.
STOPPED, FAILED = "stopped by SIGSTOP", "(INJECTED)"


class Stroke(Enum):
    """What strikes the program as it enters a call: the value is what strace is to inject, at a number."""

    # The call is not made.
    KILL = "signal=SIGKILL:when={}"
    # It is stopped there, asked to end as systemd does it, and goes on.
    TERM = "signal=SIGSTOP:when={}"
    # The call fails once, and those after it do not.
    ENOSPC = "error=ENOSPC:when={}"
    EIO = "error=EIO:when={}"
    # The disk is full: all calls of that kind fail from there on, until the next start.
    FULL = "error=ENOSPC:when={}+"

    @property
    def fails(self) -> bool:
        """True if the call fails, and the program lives."""
        return self.value.startswith("error")


@dataclass(frozen=True)
class Point:
    """Where to strike: where a thread first comes to a certain call of a kind.

    Attributes:
        call: the system call.
        number: the how-many-th of the thread, from 1.
        what: its arguments in the counted run.
        reads: another thread opens a file only to read it where it comes there.
    """

    call: str
    number: int
    what: str = "beyond those of the counted run"
    reads: bool = False

    def __str__(self) -> str:
        return f"{self.call}:{self.number} ({self.what})"

    def takes(self, stroke: Stroke) -> bool:
        """True if a stroke can come there: a disk fails only where something is done to a disk.

        Where the journal's lock cannot be had, the daemon ends: nobody can say that it waits. On a full disk files can
        still be opened to be read, which strace cannot tell apart.
        """
        if stroke is Stroke.FULL and self.call in OPENING:
            return False
        if stroke.fails and self.reads:
            return False
        return not stroke.fails or (
            self.call in _ON_DISK and not _SAID.match(self.what) and "journal.db.lock" not in self.what
        )


def counting(log: Path) -> list[str]:
    """Return strace's options for a run whose calls are to be found by ``points_in``."""
    calls = ",".join(f"?{call}" for call in _CALLS)
    return ["--seccomp-bpf", "-y", "-s", "20", "-o", str(log), "-e", f"trace={calls}"]


def points_in(log: Path, told: Callable[[str], str]) -> list[Point]:
    """Return the points of a counted run in order of time.

    Args:
        log: what strace wrote.
        told: takes out of the arguments what differs from run to run.
    """
    points: dict[tuple[str, int], Point] = {}
    counts: dict[tuple[str, str], int] = {}
    reading: set[tuple[str, int]] = set()
    for line in log.read_text(errors="replace").splitlines():
        if (entry := _ENTRY.match(line)) is None:
            continue
        thread, call, rest = entry.groups()
        number = counts[thread, call] = counts.get((thread, call), 0) + 1
        if call not in OPENING or _MAY_CREATE.search(rest):
            points.setdefault((call, number), Point(call, number, told(rest)[:100]))
        else:
            reading.add((call, number))
    return [replace(point, reads=place in reading) for place, point in points.items()]


def striking(point: Point, stroke: Stroke, log: Path) -> list[str]:
    """Return strace's options for a run that is struck at a point."""
    # Without any notice nothing is injected into a call that is not traced, nor with --seccomp-bpf (strace 6.1).
    injected = f"inject={point.call}:{stroke.value.format(point.number)}"
    return ["-o", str(log), "-e", f"trace={point.call}", "-e", injected]


def no_strace() -> str | None:
    """Return why strace cannot be used here; None where it can."""
    if reason := missing("strace"):
        return reason
    tried = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=write", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if tried.returncode == 0 else f"strace cannot trace: {tried.stderr.strip()}"
