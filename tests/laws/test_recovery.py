"""Recovery: the program is killed before each of its durable steps, started again, and the laws of payments hold.

Run as a script this file is a launching site: it imports the program once and forks a child for every run, which kills
itself where it is told to. That makes a run cost a few hundredths of a second.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
import structlog
from soak.acts import nothing
from soak.scenes import MORE
from support.documents import document
from support.laws import check_laws
from support.program import configure
from support.scenes import LARGEST, MIXED, NAMES, SHARED, UNUSABLE, Scene, books, lay_out, published

from watcher.assembly.daemon import service_of
from watcher.config.load import load
from watcher.folders.layout import Folders
from watcher.journal.database import Database
from watcher.lifetime import Lifetime
from watcher.sandbox import Sandbox

# --- the child: one run of the program -------------------------------------------------------------------------------

CONFIG = "payment-watcher.toml"
_CHANGING = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "http.client.send"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Steps:
    """Reports every durable step before it is made, by Python's audit events and commits; kills this process at one.

    Args:
        base: where the journal is.
        kill_at: the step before which the process is killed, from 1.
        copy_at: the step before which the journal is copied into the folder ``older``.
        report: a descriptor.
    """

    def __init__(self, base: Path, kill_at: int, copy_at: int, report: int) -> None:
        self._base = base
        self._kill_at = kill_at
        self._copy_at = copy_at
        self._report = report
        self._count = 0
        self._counting = threading.RLock()
        self._copying = False
        self._dirty = False
        sys.addaudithook(self._audit)
        sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", self._statement)
        sqlalchemy.event.listen(sqlalchemy.Engine, "commit", self._commit)

    def _step(self, name: str) -> None:
        with self._counting:
            if self._copying:
                return
            self._count += 1
            os.write(self._report, f"{name}\n".encode())
            if self._count == self._copy_at:
                self._copying = True
                shutil.copytree(self._base, self._base / "older", ignore=_all_but_the_journal)
                self._copying = False
            if self._count == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event in _CHANGING:
            self._step(event if event.startswith("http") else f"{event} {Path(os.fsdecode(args[0])).name!r}")
        elif event == "open" and isinstance(args[2], int) and args[2] & _WRITING:
            self._step(f"write {Path(str(args[0])).name!r}")

    def _statement(self, _connection: object, _cursor: object, sql: str, *_rest: object) -> None:
        self._dirty = self._dirty or not sql.lstrip().upper().startswith(("SELECT", "PRAGMA"))

    def _commit(self, _connection: object) -> None:
        if self._dirty:
            self._dirty = False
            self._step("commit")


def journal_files(names: Iterable[str]) -> set[str]:
    """Give the names of the journal's files among some."""
    return {name for name in names if name.startswith("journal.db") and not name.endswith(".lock")}


def _all_but_the_journal(_folder: str, names: Iterable[str]) -> set[str]:
    return set(names) - journal_files(names)


def run(base: Path) -> None:
    """Do what ``payment-watcher run --once`` does."""
    with service_of(load(base / CONFIG, folders=True), Lifetime()) as service:
        service.run_once()


def child(base: Path, kill_at: int, copy_at: int, report: int) -> None:
    """Run once and end without a farewell."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    try:
        Steps(base, kill_at, copy_at, report)
        run(base)
    except BaseException:  # noqa: BLE001  (it must end here, whatever it is)
        # What went wrong is part of the report.
        os.write(report, traceback.format_exc().encode())
        os._exit(1)
    os._exit(0)


def launch() -> None:
    """Fork a child for each line of standard input; answer with how it ended and the steps it came to."""
    # Whatever is only imported or compiled when it is first used is so once, here, and not in every child.
    Database("sqlite://").close()
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            child(Path(order["base"]), order["kill_at"], order["copy_at"], writing)
        os.close(writing)
        with open(reading, encoding="utf-8") as report:  # noqa: PTH123  (a descriptor)
            steps = report.read().splitlines()
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status), "steps": steps}), flush=True)  # noqa: T201


if __name__ == "__main__":
    launch()
    sys.exit(0)


# --- the test --------------------------------------------------------------------------------------------------------

# Each with how many of its steps are tried, evenly spread, so that the tests stay fast.
SCENES = {
    "a mixed file": (MIXED, 14),
    "two files sharing an invoice": (SHARED, 10),
    "files without payments": (UNUSABLE, 5),
}
# What the kill matrix has beside them that needs nobody else: another setting, or more files than a batch has.
SETTINGS = {
    name: (staged, 4)
    for name, staged in MORE.items()
    if staged.before is staged.between is nothing and not staged.quick
}


class Launcher:
    """Runs the program in processes of their own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, base: Path, kill_at: int = 0, copy_at: int = 0, code: int = 0) -> list[str]:
        """Run once, to the end or to a step, before which the program is killed; give the steps it came to.

        Before the step ``copy_at`` the journal as it is then is copied into the folder ``older``.
        """
        assert self._process.stdin
        assert self._process.stdout
        order = {"base": str(base), "kill_at": kill_at, "copy_at": copy_at}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        killed = 0 < kill_at <= len(answer["steps"])
        assert answer["code"] == (-signal.SIGKILL if killed else code), "\n".join(answer["steps"])
        return answer["steps"]


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """The launching site, started once."""
    with subprocess.Popen(
        [sys.executable, "-m", "laws.test_recovery"],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        yield Launcher(process)
        process.communicate()
    assert process.returncode == 0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: what a kill leaves does not hang on a disk, whose syncs take long."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def stage(place: Path, launcher: Launcher) -> Callable[..., Any]:
    """Set scenes up, each in a folder and with books of its own."""

    @contextmanager
    def setting(
        scene: Scene, name: str, settings: Mapping[str, Mapping[str, object]] | None = None
    ) -> Iterator[tuple[Path, Sandbox, Callable[..., list[str]]]]:
        base = place / name
        lay_out(scene, base)
        folders = Folders(*(base / folder for folder in NAMES))
        # Files need not settle.
        inbox = {"settle_seconds": 0, "scan_seconds": 1, "observer": "off", "max_file_bytes": LARGEST}
        with Sandbox(invoices=scene.invoices) as sandbox:
            configure(folders, sandbox.url, connectwise={"concurrency": 1}, inbox=inbox, **(settings or {}))
            yield base, sandbox, partial(launcher, base)

    return setting


def spread(steps: list[str], tries: int) -> list[int]:
    """Choose steps to be killed before, by number from 1: evenly spread, both ends among them, none like the last."""
    telling = [number for number, step in enumerate(steps, 1) if number == 1 or step != steps[number - 2]]
    return sorted({telling[round(place * (len(telling) - 1) / (tries - 1))] for place in range(tries)})


@pytest.mark.parametrize(
    ("scene", "settings", "tries"),
    [
        *(pytest.param(scene, {}, tries, id=name) for name, (scene, tries) in SCENES.items()),
        *(pytest.param(staged.scene, staged.settings, tries, id=name) for name, (staged, tries) in SETTINGS.items()),
    ],
)
def test_killed_before_any_step_and_started_again_all_is_as_if_nothing_had_happened(scene, settings, tries, stage):
    """Wherever it is killed, after the next run books, result files and receipts are those of a run that was not."""
    with stage(scene, "untouched", settings) as (base, sandbox, start):
        steps = start()
        check_laws(scene, base, sandbox)
        expected = published(base), books(sandbox)
    assert {"commit", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "write"} <= {step.split()[0] for step in steps}
    for number in spread(steps, tries):
        with stage(scene, f"killed-{number}", settings) as (base, sandbox, start):
            *_, last = start(kill_at=number)
            try:
                start()
                check_laws(scene, base, sandbox)
                assert (published(base), books(sandbox)) == expected
            except AssertionError as error:
                error.add_note(f"killed before step {number} of {len(steps)}: {last}")
                raise


@pytest.mark.parametrize("scene", [MIXED, SHARED], ids=["a mixed file", "two files sharing an invoice"])
def test_killed_again_and_again_it_still_comes_to_its_end(scene, stage):
    """Killed while it recovers, over and over a few steps on, it still makes each payment once."""
    with stage(scene, "stride") as (base, sandbox, start):
        kill_at = 8
        while len(start(kill_at=kill_at)) == kill_at:
            # A little later every time, since a start does some things before it comes to anything new.
            kill_at += 3
        start()
        check_laws(scene, base, sandbox)


def test_a_file_that_comes_while_the_program_is_down_is_the_later_one(stage):
    """What was claimed before a crash is finished first: a file dropped in after it wins, wherever the crash was."""
    late = document(("CW-1", "70.00"))
    scene = Scene(
        SHARED.invoices,
        SHARED.files | {"b-late.xml": late},
        SHARED.paid | {"CW-1": ("70.00", None)},
        SHARED.succeeded | {"b-late.xml": ["CW-1"]},
    )
    with stage(SHARED, "untouched") as (_, _, start):
        steps = start()
    for number in spread(steps, 4):
        with stage(SHARED, f"killed-{number}") as (base, sandbox, start):
            start(kill_at=number)
            (base / "inbox/b-late.xml").write_bytes(late)
            start()
            check_laws(scene, base, sandbox)


@pytest.mark.parametrize(("scene", "tries"), SCENES.values(), ids=SCENES.keys())
@pytest.mark.parametrize("left", ["none", "older"])
def test_a_journal_that_is_lost_with_a_crash_costs_no_money(scene, tries, left, stage):
    """Wherever it is killed, with no journal or one from any earlier moment each payment is made once all the same."""
    with stage(scene, "untouched") as (_, _, start):
        steps = start()
    chosen = spread(steps, tries)
    for ordinal, kill_at in enumerate(chosen):
        copy_at = chosen[ordinal // 2] if left == "older" else 0
        with stage(scene, f"killed-{kill_at}") as (base, sandbox, start):
            start(kill_at=kill_at, copy_at=copy_at)
            for name in journal_files(path.name for path in base.iterdir()):
                (base / name).unlink()
            if (base / "older").exists():
                shutil.copytree(base / "older", base, dirs_exist_ok=True)
            try:
                start()
                check_laws(scene, base, sandbox)
            except AssertionError as error:
                error.add_note(f"killed before step {kill_at}: {steps[kill_at - 1]}; journal of step {copy_at}")
                raise


def test_a_start_without_the_inbox_waits_for_it_and_makes_none(stage):
    """Started while the share is away, it touches nothing and makes no folder; with the share back all is done."""
    for number, when in enumerate(("at the first start", "after a crash")):
        with stage(MIXED, f"away-{number}") as (base, sandbox, start):
            if when == "after a crash":
                start(kill_at=20)
            before = {
                path for path in base.rglob("*") if "journal" not in path.name and base / "inbox" not in path.parents
            }
            (base / "inbox").rename(base / "share")
            start(code=1)
            after = {
                path for path in base.rglob("*") if "journal" not in path.name and base / "share" not in path.parents
            }
            assert after - {base / "share"} == before - {base / "inbox"}, when
            (base / "share").rename(base / "inbox")
            start()
            check_laws(MIXED, base, sandbox)


def test_a_second_run_finds_nothing_to_do(stage):
    """After a whole run another one makes no call, publishes nothing and changes no file."""
    with stage(MIXED, "twice") as (base, sandbox, start):
        start()
        before = published(base), sandbox.books()["requests"]
        steps = start()
        assert (published(base), sandbox.books()["requests"]) == before
        # The lock is taken every time.
        assert [step for step in steps if "inbox" not in step and ".lock" not in step] == []
