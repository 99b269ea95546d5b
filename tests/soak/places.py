"""A scene's folders and books, the program that works on them, and the system calls at which it can be killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.needs import missing
from support.program import configure, environment, until
from support.scenes import CLAIM, LARGEST, NAMES, Scene, books, broken_laws, lay_out, nameless, published, visible

from watcher.folders.layout import Folders
from watcher.journal.database import opened
from watcher.journal.history import History
from watcher.sandbox import Sandbox

OPENING = ("open", "openat", "creat")
_CALLS = (
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("mkdir", "mkdirat", "rmdir", "write", "writev", "pwrite64", "pwritev", "pwritev2", "sendfile", "copy_file_range"),
    *("truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "sync_file_range", "connect", "sendto", "sendmsg"),
    *("recvfrom", *OPENING),
)
# A line of strace's log at the entry of a call: the thread, the call, the rest.
_ENTRY = re.compile(r"(\d+) +(\w+)\((.*)")
_MAY_CREATE = re.compile("O_CREAT|O_TRUNC")
# Where there is memory to hold files, that is used: what a kill leaves does not hang on a disk, whose syncs take long.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
# No run takes this long, however busy the machine, seconds.
_PATIENCE = 60
# Runs that end in order: all well, some payments failed, a file refused.
_IN_ORDER = (0, 1, 2)


@dataclass(frozen=True)
class Point:
    """Where to kill: where a thread first comes to a certain call of a kind.

    Attributes:
        call: the system call.
        number: the how-many-th of the thread, from 1.
        what: its arguments in the counted run.
    """

    call: str
    number: int
    what: str = "beyond those of the counted run"

    def __str__(self) -> str:
        return f"{self.call}:{self.number} ({self.what})"


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        killed: at its kill point.
        faults: what it should not have said or done.
    """

    killed: bool
    faults: list[str]


class Place:
    """A scene's folders and books, and the program that works on them.

    Attributes:
        base: the folders are in it.
        sandbox: holds the books.
    """

    def __init__(self, scene: Scene, workers: int, base: Path, sandbox: Sandbox, journal: Path) -> None:
        self.base = base
        self.sandbox = sandbox
        self._scene = scene
        self._journal = f"sqlite:///{journal}"
        lay_out(scene, base)
        self._config = configure(
            Folders(*(base / name for name in NAMES)),
            sandbox.url,
            connectwise={"concurrency": workers},
            inbox={"settle_seconds": 0, "max_file_bytes": LARGEST},
            journal={"url": self._journal},
        )

    def count(self) -> list[Point]:
        """Run once to the end, and return the points to kill at, in order of time."""
        log = self.base.with_name("strace.log")
        calls = ",".join(f"?{call}" for call in _CALLS)
        ended = self._start("--seccomp-bpf", "-y", "-s", "20", "-o", str(log), "-e", f"trace={calls}")
        if ended.killed or ended.faults:
            raise RuntimeError(f"an untouched run went wrong: {ended.faults}")
        points: dict[tuple[str, int], Point] = {}
        counts: dict[tuple[str, str], int] = {}
        for line in log.read_text(errors="replace").splitlines():
            if (entry := _ENTRY.match(line)) is None:
                continue
            thread, call, rest = entry.groups()
            number = counts[thread, call] = counts.get((thread, call), 0) + 1
            if call not in OPENING or _MAY_CREATE.search(rest):
                what = nameless(rest.replace(str(self.base), "")).decode()[:100]
                points.setdefault((call, number), Point(call, number, what))
        log.unlink()
        return list(points.values())

    def run(self, point: Point | None = None) -> Ended:
        """Run once, to the end or to a point."""
        if point is None:
            return self._start()
        injected = f"inject={point.call}:signal=SIGKILL:when={point.number}"
        # Without any notice nothing is injected into a call that is not traced, nor with --seccomp-bpf (strace 6.1).
        return self._start("-o", "/dev/null", "-e", f"trace={point.call}", "-e", injected)

    def cut(self) -> None:
        """Cut the power, where that is to be done."""

    def outcome(self) -> tuple[object, object]:
        """Return what every run must come to, whatever happened to it."""
        return published(self.base), books(self.sandbox)

    def broken(self, expected: object) -> Iterator[str]:
        """Yield what is not as it should be in the end."""
        broken = list(broken_laws(self._scene, self.base, self.sandbox))
        yield from broken
        if not broken and self.outcome() != expected:
            yield f"the outcome is not that of an untouched run: {self.outcome()}"
        yield from self._not_finished()

    def _not_finished(self) -> Iterator[str]:
        claims = {found.group().decode() for path in visible(self.base) if (found := CLAIM.search(os.fsencode(path)))}
        with opened(self._journal) as database:
            files = History(database).last_files(100) if database else []
        if {file.claim for file in files} != claims:
            yield f"the journal has finished {files}, but the claims published are {claims}"
        for file in files:
            succeeded, failed = self._scene.succeeded.get(file.name, []), self._scene.failed.get(file.name, [])
            if (file.succeeded, file.rejected) != (len(succeeded), len(failed)):
                yield f"the journal has {file}, which came to {len(succeeded)} successes and {len(failed)} failures"

    def _start(self, *tracing: str) -> Ended:
        command = [sys.executable, "-m", "watcher", "run", "--once", "--config", str(self._config)]
        if tracing:
            command = ["strace", "-f", "-qq", *tracing, *command]
        with subprocess.Popen(
            command,
            cwd=self.base,
            env=environment(self.base, PYTHONDONTWRITEBYTECODE="1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                _, said = process.communicate(timeout=_PATIENCE)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                if isinstance(error, subprocess.TimeoutExpired):
                    return Ended(killed=False, faults=[f"it did not end within {_PATIENCE} seconds"])
                raise
        # strace ends itself by the signal that ended the program, whose threads may take a moment longer.
        until(lambda: _ended(process.pid), _PATIENCE)
        killed = bool(tracing) and process.returncode == -signal.SIGKILL
        faults = list(_not_log(said.decode(errors="replace")))
        if not killed and process.returncode not in _IN_ORDER:
            faults.append(f"it ended with code {process.returncode}")
        return Ended(killed, faults)


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


def _not_log(said: str) -> Iterator[str]:
    """Yield what a run said that is no line of its log, or that is an error."""
    for line in said.splitlines():
        try:
            if json.loads(line)["level"] not in ("error", "critical"):
                continue
        except (ValueError, KeyError, TypeError):
            pass
        yield f"it said: {line}"


Stage = Callable[[Scene, int], Any]


@contextmanager
def folder(scene: Scene, workers: int) -> Iterator[Place]:
    """Set a scene up in a folder of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="killing-", dir=MEMORY) as made,
        Sandbox(invoices=scene.invoices) as sandbox,
    ):
        base = Path(made, "scene")
        yield Place(scene, workers, base, sandbox, base / "journal.db")


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
