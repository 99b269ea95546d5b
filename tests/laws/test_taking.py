"""Files are taken once, at whatever step the program ends, and whatever happens to the folders until its next start."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from support.claims import leave_strays, ready, scanned
from support.connectwise import invoice
from support.documents import document, drop, files, leave_socket
from support.line import Line, stepping
from support.network import Fault, Strike, Unreliable
from support.program import command, configure, until
from support.steps import Interrupted, interrupted_at, listening

from watcher.errors import FolderTrouble
from watcher.folders.layout import Folders

NOWHERE = "http://127.0.0.1:9"
# Nothing here takes more steps.
MOST_STEPS = 150


def _nothing(folders: Folders) -> None:
    """Leave everything as it is."""


def _replaced(folders: Folders) -> None:
    # The name may be free: then this is another file that was dropped.
    ready(folders.inbox, "a.xml", b"<replaced/>")


def _removed(folders: Folders) -> None:
    (folders.inbox / "a.xml").unlink(missing_ok=True)


def _emptied(folders: Folders) -> None:
    for path in folders.work.iterdir():
        shutil.rmtree(path)


def _exchanged_for_a_link(folders: Folders) -> None:
    elsewhere = folders.work.with_name("elsewhere")
    shutil.rmtree(folders.work)
    elsewhere.mkdir()
    folders.work.symlink_to(elsewhere)


def _filled_with_forged_folders(folders: Folders) -> None:
    for place in folders.work.iterdir():
        leave_strays(place)
        (place / "0.xml").mkdir()
    for number, make in enumerate((os.mkfifo, leave_socket, Path.mkdir, lambda path: path.symlink_to("/etc/passwd"))):
        place = folders.work / f"20200101T000000Z_{number:08x}"
        place.mkdir()
        make(place / "forged.xml")
    (folders.work / "20200101T000000Z_0000000a").symlink_to(folders.inbox)
    (folders.work / "20200101T000000Z_0000000b").write_bytes(b"no place")
    (folders.work / "99999999T999999Z_0000000c").mkdir()
    (folders.work / "99999999T999999Z_0000000c" / "forged.xml").write_bytes(b"<forged/>")


MEANWHILE = [_nothing, _replaced, _removed, _emptied, _exchanged_for_a_link, _filled_with_forged_folders]
CONTENTS = {"a.xml": b"<first/>", "b.xml": b"<second/>", "c.xml": b"<third/>"}


class World:
    """Folders with three files, of which the last one changes just as it is moved."""

    def __init__(self, base: Path) -> None:
        self.folders = Folders(*(base / name for name in ("inbox", ".work", "success", "fail", "archive")))
        for folder in (self.folders.inbox, self.folders.work, self.folders.success, self.folders.fail):
            folder.mkdir(parents=True)
        self.folders.archive.mkdir()
        self.files = [ready(self.folders.inbox, name, content) for name, content in CONTENTS.items()]

    def take(self, line: Line, step: int) -> list[str]:
        """Take the files, and end before a step; return the steps."""

        def change(event: str, args: tuple[object, ...]) -> None:
            path = self.folders.inbox / "c.xml"
            if event == "os.rename" and str(args[0]) == str(path):
                os.truncate(path, len(b"<third"))

        with listening(change), interrupted_at(step) as steps, suppress(Interrupted):
            stepping(line).take(self.files)
        return steps

    def lies(self) -> list[bytes]:
        """Return what lies in the inbox."""
        return [path.read_bytes() for path in sorted(self.folders.inbox.iterdir())]

    def check(self, line: Line, steps: list[str], without: Iterable[str] = ()) -> None:
        """Make sure that each content is claimed once or lies in the inbox, and not both.

        Args:
            line: the program, after its next start.
            steps: where it ended; said if something is wrong.
            without: files that people took away.
        """
        if self.folders.work.is_symlink():
            # It may be refused until a person mends it.
            with suppress(FolderTrouble):
                line.again().taker.resume()
            self.folders.work.unlink()
            self.folders.work.mkdir()
        claims = line.taker.resume()
        claimed = [line.claims.copy(claim.id).content for claim in claims]
        found = Counter([*claimed, *self.lies()])
        for name, content in CONTENTS.items():
            versions = found[content] + (found[b"<third"] if name == "c.xml" else 0)
            assert versions == 1 or (versions == 0 and name in without), f"{name}: {found} after {steps[-1:]}"
        assert max(found.values()) == 1, f"{found} after {steps[-1:]}"
        assert b"<forged/>" not in found
        # None is claimed again, and what is left is taken now.
        assert line.again().taker.resume() == claims
        taken = line.taker.take(scanned(self.folders.inbox))
        assert (taken.returned, taken.held_back) == ({}, {})
        assert self.lies() == []
        everything = [line.claims.copy(file.claim.id).content for file in line.claims.unfinished()]
        assert Counter(everything) == found


@pytest.mark.parametrize("meanwhile", MEANWHILE, ids=lambda act: act.__name__.strip("_"))
def test_taking_can_be_ended_at_any_step(worlds, meanwhile):
    """Ended at any step, and with the folders meddled with before the next start: no file is lost or taken twice."""
    for step in range(1, MOST_STEPS):
        world = World(worlds / str(step))
        with closing(Line(world.folders, NOWHERE)) as line:
            steps = world.take(line, step)
            in_inbox = (world.folders.inbox / "a.xml").exists()
            meanwhile(world.folders)
            # A person who takes a file out of the inbox, or puts another one in its place, wants just that.
            without = ["a.xml"] if in_inbox and meanwhile in (_replaced, _removed) else []
            world.check(line.again(), steps, without)
        if len(steps) < step:
            assert step > 30
            return
    pytest.fail("taking has more steps than this test goes through")


@pytest.mark.parametrize("meanwhile", MEANWHILE, ids=lambda act: act.__name__.strip("_"))
@pytest.mark.parametrize("moment", ["after Claims.add", "after Work.set_aside", "before Claims.take"])
def test_the_start_after_that_can_be_ended_at_any_step(worlds, moment, meanwhile):
    """Ended once more at any step of the next start, it is the same."""
    rehearsal = World(worlds / "rehearsal")
    with closing(Line(rehearsal.folders, NOWHERE)) as line:
        first = next(number for number, name in enumerate(rehearsal.take(line, 10**6), 1) if moment in name)
    for step in range(1, MOST_STEPS):
        world = World(worlds / str(step))
        with closing(Line(world.folders, NOWHERE)) as line:
            world.take(line, first)
            in_inbox = (world.folders.inbox / "a.xml").exists()
            meanwhile(world.folders)
            with interrupted_at(step) as steps, suppress(Interrupted, FolderTrouble):
                stepping(line).resume()
            without = ["a.xml"] if in_inbox and meanwhile in (_replaced, _removed) else []
            world.check(line.again(), steps, without)
        if len(steps) < step:
            return
    pytest.fail("a start has more steps than this test goes through")


def test_the_next_files_are_claimed_while_connectwise_answers_about_these(folders, start_sandbox):
    """A share that is slow holds up nobody then; all are paid once, in order of arrival, and told of once."""
    names = [f"{number:03}" for number in range(130)]
    for name in names:
        drop(folders.inbox, f"{name}.xml", document((f"CW-{name}", "100.00")))
    sandbox = start_sandbox(*(invoice(f"CW-{name}", "100.00") for name in names))
    claimed = Fault(meanwhile=lambda: until(lambda: not files(folders.inbox)))
    with Unreliable(sandbox.url, Strike(claimed, "POST", nth=60)) as network:
        config = configure(folders, network.url, inbox={"settle_seconds": 0.2})
        ended = command("run", "--once", "--config", config)
        paid = [request.path for request in network.requests if request.method == "POST"]
    assert ended.code == 0
    assert len(paid) == len(set(paid)) == len(names)
    assert sorted(path.name[:3] for path in files(folders.success)) == names
    assert list(folders.work.iterdir()) == []
