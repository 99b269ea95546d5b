"""Kills the installed program from outside, at every system call that changes something, and cuts its power there.

For each scene ``payment-watcher run --once`` is run once under strace, which lists the calls that change a file, a
folder or ConnectWise: the kill points. Then, for each of them, it is run in a folder and with books of its own, killed
on entering that call, and started again; with ``--recovery-kills K`` the recovery of every K-th is killed, too, once
or twice, somewhere at random. In the end the laws of ``scenes`` hold, the books and published files are those of a run
that nobody killed, and the journal knows every file as finished.

strace counts the calls of each kind and of each thread by itself, and so does a kill point: ``fsync:3`` is where a
thread first comes to its third fsync. A call is killed on entering: what comes before it is done, it is not. Of the
calls that open files only those count that may create one.

With ``--power-cut`` all folders lie on a file system in an image. What the image holds at the moment of the kill,
copied while it is mounted, is what a disk holds after a power cut there; the program is then started on the copy. What
anybody could see in success, fail and archive before must be found there afterwards, the same bytes. Each scene is run
twice: with all on one disk, and with each folder and the journal on one of its own, but for inbox and work. Since ext4
writes changes of folders in order, any sync takes all earlier ones on the same disk with it, and hides that they had
none of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from support.program import configure, environment, until
from support.scenes import (
    CLAIM,
    LARGEST,
    MIXED,
    NAMES,
    SINGLE,
    THREE,
    UNUSABLE,
    Scene,
    books,
    broken_laws,
    lay_out,
    nameless,
    published,
    visible,
)

from watcher.folders.spool import Folders
from watcher.journal.ledger import Journal
from watcher.sandbox import Sandbox

# Each with the number of its workers: with one, every call to ConnectWise is a kill point; with more, they overlap.
SCENES = {"single": (SINGLE, 1), "mixed": (MIXED, 1), "unusable": (UNUSABLE, 1), "three": (THREE, 4)}
_OPENING = ("open", "openat", "creat")
_CALLS = (
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("mkdir", "mkdirat", "rmdir", "write", "writev", "pwrite64", "pwritev", "pwritev2", "sendfile", "copy_file_range"),
    *("truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "sync_file_range", "connect", "sendto", "sendmsg"),
    *("recvfrom", *_OPENING),
)
# A line of strace's log at the entry of a call: the thread, the call, the rest.
_ENTRY = re.compile(r"(\d+) +(\w+)\((.*)")
_MAY_CREATE = re.compile("O_CREAT|O_TRUNC")
# Where there is memory to hold files, that is used: what a kill leaves does not hang on a disk, whose syncs take long.
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
# No run takes this long, however busy the machine, seconds.
_PATIENCE = 60
# Runs that end in order: all well, some payments failed, a file refused.
_IN_ORDER = (0, 1, 2)
_PUBLISHED = ("success", "fail", "archive")
# Ext4 in an image of this many bytes; nothing gets to the disk but what is synced (ext4(5)).
_IMAGE_BYTES = 8 << 20
_MOUNT_OPTIONS = "loop,commit=300,noauto_da_alloc"


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


@dataclass(frozen=True)
class Attempt:
    """What killing at a point came to.

    Attributes:
        point: the point.
        killed: how many runs were killed, the first and recoveries.
        runs: how many runs there were.
        reached: the first run came to the point.
        broken: what was not as it should be.
    """

    point: Point
    killed: int
    runs: int
    reached: bool
    broken: list[str]


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
        """Run once to the end; give the points to kill at, in order of time."""
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
            if call not in _OPENING or _MAY_CREATE.search(rest):
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
        """Give what every run must come to, whatever happened to it."""
        return published(self.base), books(self.sandbox)

    def broken(self, expected: object) -> Iterator[str]:
        """Say what is not as it should be in the end."""
        broken = list(broken_laws(self._scene, self.base, self.sandbox))
        yield from broken
        if not broken and self.outcome() != expected:
            yield f"the outcome is not that of an untouched run: {self.outcome()}"
        yield from self._not_finished()

    def _not_finished(self) -> Iterator[str]:
        claims = {found.group().decode() for path in visible(self.base) if (found := CLAIM.search(os.fsencode(path)))}
        with closing(Journal(f"{self._journal.replace('///', '///file:')}?mode=ro&uri=true")) as journal:
            files = journal.last_files(100)
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
    """Say whether nothing of a group of processes runs any more; what only waits to be reaped holds nothing."""
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
    """Give what a run said that is no line of its log, or tells of an error."""
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
        tempfile.TemporaryDirectory(prefix="killing-", dir=_MEMORY) as made,
        Sandbox(invoices=scene.invoices) as sandbox,
    ):
        base = Path(made, "scene")
        yield Place(scene, workers, base, sandbox, base / "journal.db")


# --- disks that lose their power --------------------------------------------------------------------------------------


class Disk:
    """A file system in an image that is mounted at a folder."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._image = image
        self._folder = folder
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(_IMAGE_BYTES)
        _tool("mkfs.ext4", "-q", "-F", str(image))
        self._mount()

    def sync(self) -> None:
        """Get everything so far to the disk."""
        _tool("sync", "--file-system", str(self._folder))

    def save(self) -> None:
        """Keep what the disk holds at this moment, and nothing that is only in the system's memory."""
        shutil.copyfile(self._image, self._image.with_suffix(".cut"))

    def restore(self) -> None:
        """Make the disk hold what was kept."""
        self.unmount()
        self._image.with_suffix(".cut").replace(self._image)
        self._mount()

    def unmount(self) -> None:
        # A process that another attempt is just starting may hold this one's open files until it is the new program.
        tried = ["umount", str(self._folder)]
        until(lambda: subprocess.run(tried, capture_output=True, check=False).returncode == 0)

    def _mount(self) -> None:
        _tool("mount", "-o", _MOUNT_OPTIONS, str(self._image), str(self._folder))


class DiskPlace(Place):
    """A place on disks whose power can be cut."""

    def __init__(
        self, scene: Scene, workers: int, made: Path, sandbox: Sandbox, disks: Sequence[Disk], *, apart: bool
    ) -> None:
        base = made / "files/scene"
        super().__init__(scene, workers, base, sandbox, (made / "journal" if apart else base) / "journal.db")
        for name in _PUBLISHED if apart else ():
            (base / name).rmdir()
            (made / name / name).mkdir()
            (base / name).symlink_to(made / name / name)
        self._disks = disks
        self._seen: dict[Path, bytes] = {}
        for disk in disks:
            disk.sync()

    def cut(self) -> None:
        """Cut the power of all disks and switch it on again."""
        for disk in self._disks:
            disk.save()
        self._seen |= {path: content for path, content in visible(self.base).items() if path.suffix != ".tmp"}
        for disk in self._disks:
            disk.restore()

    def broken(self, expected: object) -> Iterator[str]:
        """Say what is not as it should be in the end."""
        yield from super().broken(expected)
        found = visible(self.base)
        for path, content in self._seen.items():
            if found.get(path) != content:
                yield f"{path.name} was seen before the power cut and is {'other' if path in found else 'gone'} now"


def disks(*, apart: bool) -> Stage:
    """Give a stage on one disk, or on several."""

    @contextmanager
    def stage(scene: Scene, workers: int) -> Iterator[Place]:
        with tempfile.TemporaryDirectory(prefix="power-", dir=_MEMORY) as made, ExitStack() as stack:
            sandbox = stack.enter_context(Sandbox(invoices=scene.invoices))
            mounted = []
            for name in ("files", *_PUBLISHED, "journal") if apart else ("files",):
                mounted.append(Disk(Path(made, f"{name}.img"), Path(made, name)))
                stack.callback(mounted[-1].unmount)
            yield DiskPlace(scene, workers, Path(made), sandbox, mounted, apart=apart)

    return stage


def _tool(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def no_power_cut() -> str | None:
    """Say why power cuts cannot be made here; None where they can."""
    if os.geteuid() != 0:
        return "mounting needs root"
    for tool in ("mkfs.ext4", "mount", "umount"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    try:
        with disks(apart=True)(SINGLE, 1) as place:
            place.cut()
    except (subprocess.CalledProcessError, OSError) as error:
        return f"no disk in an image can be mounted: {getattr(error, 'stderr', None) or error}".strip()
    return None


def no_strace() -> str | None:
    """Say why strace cannot be used here; None where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed (apt-get install strace)"
    tried = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=write", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if tried.returncode == 0 else f"strace cannot trace: {tried.stderr.strip()}"


# --- attempts ---------------------------------------------------------------------------------------------------------


class Killing:
    """Kills one scene's runs.

    Attributes:
        points: where, in order of time.
    """

    def __init__(self, scene: Scene, workers: int, stage: Stage) -> None:
        self._scene = scene
        self._workers = workers
        self._stage = stage
        with stage(scene, workers) as place:
            self.points = place.count()
            self._expected = place.outcome()
            if broken := list(place.broken(self._expected)):
                raise RuntimeError("\n".join(["an untouched run broke the laws", *broken]))

    def attempt(self, point: Point, *, again: bool = False) -> Attempt:
        """Kill at a point, perhaps the recovery somewhere else, too, and start again; then all must have been done.

        The power is cut at the last kill, and at earlier ones as chance has it: what a recovery found may have got no
        further than the system's memory before.
        """
        chance = random.Random(f"{sorted(self._scene.files)} {point.call} {point.number}")
        points = [point, *(chance.choices(self.points, k=chance.choice((1, 2))) if again else ())]
        with self._stage(self._scene, self._workers) as place:
            ends = []
            for kill in points:
                ends.append(place.run(kill))
                if kill is points[-1] or chance.random() < 0.5:
                    place.cut()
            ends.append(place.run())
            broken = [fault for end in ends for fault in end.faults]
            try:
                broken += place.broken(self._expected)
            except Exception as error:  # noqa: BLE001  (half a file can break whatever reads it)
                broken.append(f"what is there cannot be read: {error!r}")
        if broken and again:
            broken.append("the recovery was to be killed at " + ", then ".join(map(str, points[1:])))
        return Attempt(point, sum(end.killed for end in ends), len(ends), ends[0].killed, broken)

    def beyond(self, call: str) -> list[Attempt]:
        """Kill at the calls of a kind that come after those of the counted run, until a run comes to its end."""
        attempts: list[Attempt] = []
        number = max(point.number for point in self.points if point.call == call)
        while not attempts or attempts[-1].reached:
            number += 1
            attempts.append(self.attempt(Point(call, number)))
        return attempts


def kill(name: str, stage: Stage, title: str, options: argparse.Namespace, console: Console) -> bool:
    """Kill one scene at all its points; tell what it came to, and whether all was well."""
    began = time.monotonic()
    killing = Killing(*SCENES[name], stage)
    chosen = killing.points[:: options.every]
    calls = sorted({point.call for point in killing.points} - {*_OPENING})
    if options.at:
        call, _, number = options.at.partition(":")
        chosen, calls = [Point(call, int(number))], []
    attempts: list[Attempt] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        waiting: list[Future[list[Attempt]]] = []
        for order, point in enumerate(chosen):
            again = bool(options.recovery_kills) and order % options.recovery_kills == 0
            waiting.append(pool.submit(lambda point, again: [killing.attempt(point, again=again)], point, again))
        waiting += [pool.submit(killing.beyond, call) for call in calls]
        try:
            for done in as_completed(waiting):
                attempts += done.result()
                for attempt in done.result():
                    if attempt.broken:
                        console.print(f"FAILED {name}, {title}, killed at {attempt.point}")
                        for fault in attempt.broken:
                            console.print(f"    {fault}")
        except BaseException:
            # What is under way takes its folders and disks down; nothing else is begun.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    missed = sum(attempt.point in chosen and not attempt.reached for attempt in attempts)
    failed = sum(bool(attempt.broken) for attempt in attempts)
    console.print(
        f"{name}, {title}: {len(chosen)} of {len(killing.points)} kill points, {missed} of them not reached, "
        f"{sum(attempt.runs for attempt in attempts)} runs, {sum(attempt.killed for attempt in attempts)} killed, "
        f"{failed} failed, {time.monotonic() - began:.0f} s"
    )
    # Threads differ from run to run in how they share their work, and in nothing else.
    if missed > len(chosen) / 10:
        console.print(f"FAILED {name}, {title}: strace did not kill where it was told to")
        return False
    return not failed


def main() -> int:
    """Run what the command line asks for; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scene", choices=SCENES, action="append", help="only this one; may be repeated")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="only each K-th kill point")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="how many at once")
    parser.add_argument(
        "--recovery-kills",
        type=int,
        default=3,
        metavar="K",
        help="kill the recovery, too, at each K-th point; 0: never",
    )
    parser.add_argument("--power-cut", action="store_true", help="cut the power instead of killing only")
    parser.add_argument("--at", metavar="CALL:NUMBER", help="only this kill point")
    options = parser.parse_args()
    # Asked to end, it takes everything down first.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    console = Console(soft_wrap=True, highlight=False, markup=False)
    stages: dict[str, Stage] = {"killed": folder}
    reason = no_strace()
    if options.power_cut:
        stages = {"power cut, on one disk": disks(apart=False), "power cut, on several disks": disks(apart=True)}
        reason = reason or no_power_cut()
    if reason:
        console.print(f"skipped: {reason}")
        return 0
    fine = [
        kill(name, stage, title, options, console)
        for name in options.scene or SCENES
        for title, stage in stages.items()
    ]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
