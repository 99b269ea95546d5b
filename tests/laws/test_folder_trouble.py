"""Folders that fail the running daemon: it waits and says for what, nothing fails, and once mended it goes on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.connectwise import invoice, payments_of
from support.documents import document, files, numbers, one
from support.mounts import Mounts, fill, make_room, use_up_names
from support.needs import needs
from support.network import Fault, Strike, Unreliable
from support.program import END_SECONDS, Started, command, configure, environment, until
from support.rights import UNPRIVILEGED, need_unprivileged

from watcher.folders.layout import Folders
from watcher.sandbox import Sandbox

NAME = "pay.xml"
# Larger than what a nearly full disk still takes, so that a file breaks off in its middle.
MEMO = b"<Memo>" + b"m" * 20_000 + b"</Memo>"
CONTENT = document(("CW-1", "100.00"), ("CW-404", "1.00")).replace(b"</DatePaid>", b"</DatePaid>" + MEMO)
FOREIGN = b"<somebody-elses/>"
# One file system by nature: a file is claimed by a rename.
SHARED = ("inbox", "work")
# Told this often in a file's life, whatever happens to it.
TOLD = {"file.claimed": 1, "file.resumed": 0, "payment.finished": 2, "file.finished": 1}


def nothing(_scene: Scene) -> None:
    """Do nothing: it happens by itself."""


@dataclass(frozen=True)
class Trouble:
    """What happens to a folder, and how it is mended.

    Attributes:
        folder: which one; its path, or the one that ``cause`` gives, must be named as the reason.
        mend: words that must stand in the mend.
        cause: brings the trouble about.
        cure: mends it.
        moment: when it comes: before the ``start``, while a file is ``dropped``, or during the first request of a
            method.
        mounted: the options of a file system of its own for the folder; empty for none. The inbox and work share one.
        starter: what starts the daemon.
        alone: it holds up the one file, and not the line.
        several: calls of other threads may fail in the same way.
    """

    folder: str
    mend: str
    cause: Callable[[Scene], Path | None] = nothing
    cure: Callable[[Scene], object] = nothing
    moment: str = "dropped"
    mounted: str = ""
    starter: tuple[str, ...] = ()
    alone: bool = False
    several: bool = False


class Scene:
    """A daemon with folders and a ConnectWise of its own, one file for it, and one trouble that it meets.

    Attributes:
        places: the path of each folder, that of the journal among them.
        mounted: where the file system of the trouble is.
        named: the path that must be named as the reason.
    """

    def __init__(self, base: Path, trouble: Trouble, mounts: Mounts | None = None) -> None:
        self._base = base
        self._trouble = trouble
        self._starter = trouble.starter
        self._mounts = mounts
        self.mounted = base
        self.places = {name: base / name for name in (*SHARED, "success", "fail", "archive", "journal")}
        for place in self.places.values():
            place.mkdir(parents=True)
        if trouble.mounted and mounts:
            self._place_apart(mounts)
        self.named = self.places[trouble.folder]

    def _place_apart(self, mounts: Mounts) -> None:
        folder, options = self._trouble.folder, self._trouble.mounted
        if folder == "journal":
            # SQLite resolves the link by which others get into the namespace, so its users have to be there.
            self._starter = mounts.enter
            self.mounted = mounts.mount(self.places[folder], options)
        elif folder in SHARED:
            (self._base / "share").mkdir()
            self.mounted = mounts.mount(self._base / "share", options)
            for name in SHARED:
                self.places[name] = self.mounted / name
                self.places[name].mkdir()
        else:
            self.places[folder] = self.mounted = mounts.mount(self.places[folder], options)

    def remount(self, options: str) -> None:
        """Mount the file system of the trouble otherwise."""
        assert self._mounts
        self._mounts.remount(self.mounted, options)

    # --- what happens ------------------------------------------------------------------------------------------

    def story(self) -> Iterator[None]:
        """Go through the trouble, and make sure of everything on the way; yields where the daemon takes its time."""
        with ExitStack() as stack:
            self._begin(stack)
            yield
            self._go_on()
            yield
            alone = self._trouble.alone
            (self._assert_alone if alone else self._assert_waiting)()
            self._trouble.cure(self)
            yield
            self.daemon.event("file.finished" if alone else "line.moving")
            self._assert_done()
            self.daemon.process.terminate()
            yield
            assert self.daemon.process.wait(END_SECONDS) == 0

    def untroubled(self) -> None:
        """Let the daemon work on a file that it finds at its start, with nothing in its way."""
        with ExitStack() as stack:
            self._begin(stack)
            self.daemon.event("file.finished")
            assert self.daemon.end() == 0

    def _begin(self, stack: ExitStack) -> None:
        self._sandbox = stack.enter_context(Sandbox(invoices=[invoice("CW-1", "100.00")]))
        self._network = stack.enter_context(Unreliable(self._sandbox.url))
        places = {name: str(place) for name, place in self.places.items() if name != "journal"}
        journal = {"url": f"sqlite:///{self.places['journal'] / 'journal.db'}"}
        self._config = configure(
            Folders(*(self._base / name for name in places)), self._network.url, folders=places, journal=journal
        )
        if self._trouble.moment == "start":
            self._drop()
            self._strike()
        starter = tuple(word.format(base=self._base) for word in self._starter)
        self.daemon = stack.enter_context(Started(self._config, *starter))

    def _go_on(self) -> None:
        moment = self._trouble.moment
        if moment == "start":
            return
        self.daemon.tells("READY=1")
        if moment == "dropped":
            self._drop(self._strike)
        else:
            self._network.strike(Strike(Fault(meanwhile=self._strike), moment, nth=1))
            self._drop()

    def _strike(self) -> None:
        self.named = self._trouble.cause(self) or self.named

    def _drop(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Write a file into the inbox, as a writer that takes its time, in the room and with the rights it has."""
        with (self.places["inbox"] / NAME).open("wb", buffering=0) as file:
            file.write(CONTENT[:-2])
            meanwhile()
            file.write(CONTENT[-2:])

    # --- what must be true -------------------------------------------------------------------------------------

    def _assert_waiting(self) -> None:
        """The log, systemd and the status command say the same; nothing failed, nothing is lost."""
        named = str(self.named)
        if self._trouble.several:
            waits = until(lambda: [one for one in self.daemon.events("line.waiting") if named in one["reason"]])
            line = waits[0]
        else:
            line = self.daemon.event("line.waiting")
            _, told = self.daemon.tells("STATUS=Waiting since ")
            assert f": {line['reason']}. {line['mend']}. Next try: 20" in told
        assert named in line["reason"]
        assert self._trouble.mend in line["mend"]
        # What is over by itself may be over before the command has looked.
        if self._trouble.cure is not nothing and self._trouble.folder != "journal":
            until(lambda: self.status() == {"state": "waiting", "reason": line["reason"], "mend": line["mend"]})
        self._seen = self._published()
        if os.access(self.places["inbox"], os.R_OK):
            originals = [path for name in (*SHARED, "archive") for path in self.places[name].rglob("*.xml")]
            assert CONTENT in [path.read_bytes() for path in originals]
        assert len(payments_of(self._sandbox, "CW-1")) <= 1
        assert not self.daemon.events("file.refused")

    def _assert_alone(self) -> None:
        """The log, systemd and the status command tell of the file; the line does not wait."""
        told = self.daemon.event("file.waiting", file=NAME)
        assert str(self.named) in told["reason"]
        assert self._trouble.mend in told["mend"]
        self.daemon.tells(f"STATUS=Watching {self.places['inbox']}; 1 file held up in work.")
        (held,) = self.whole_status()["held"]
        assert {key: held[key] for key in ("file", "claim", "reason", "mend")} == {
            key: told[key] for key in ("file", "claim", "reason", "mend")
        }
        self._seen = self._published()
        assert len(payments_of(self._sandbox, "CW-1")) == 1

    def status(self) -> dict[str, str]:
        """Give what the status command says of the line."""
        line = self.whole_status()["line"] or {}
        return {key: line.get(key, "") for key in ("state", "reason", "mend")}

    def whole_status(self) -> dict[str, Any]:
        """Give all that the status command says."""
        asked = ("status", "--json", "--config", str(self._config))
        if self._trouble.folder == "journal":
            program = (*self._starter, sys.executable, "-m", "watcher", *asked)
            said = subprocess.run(program, env=environment(self._base), stdout=subprocess.PIPE, check=False).stdout
        else:
            said = command(*asked).out
        return json.loads(said)

    def _published(self) -> dict[Path, bytes]:
        """Give every file that people see, but for what others have put there."""
        visible = [path for name in ("success", "fail", "archive") for path in files(self.places[name], "__*")]
        return {path: content for path in visible if (content := path.read_bytes()) != FOREIGN}

    def _assert_done(self) -> None:
        """The file has come to its end as if nothing had happened, and what had a name before is what it was."""
        finished = self.daemon.event("file.finished")
        assert (finished["file"], finished["outcome"]) == (NAME, "partly failed")
        assert [row["amount"] for row in payments_of(self._sandbox, "CW-1")] == [Decimal("100.00")]
        assert numbers(one(files(self.places["success"]))) == ["CW-1"]
        assert numbers(one(path for path in files(self.places["fail"], "") if path.suffix != ".html")) == ["CW-404"]
        assert one(files(self.places["archive"])).read_bytes() == CONTENT
        receipt = json.loads(one(files(self.places["archive"], ".receipt.json")).read_bytes())
        assert [row["outcome"] for row in receipt["records"]] == ["applied", "rejected"]
        assert self._seen.items() <= self._published().items()
        # The original is deleted after the file is finished.
        until(lambda: not list(self.places["work"].iterdir()))
        assert files(self.places["inbox"]) == []
        assert [path for place in self.places.values() for path in place.rglob("*.tmp")] == []
        line, file = (0, 1) if self._trouble.alone else (1, 0)
        if self._trouble.several:
            line = len(self.daemon.events("line.waiting"))
        expected = TOLD | {"line.waiting": line, "line.moving": line, "file.waiting": file}
        until(lambda: {name: len(self.daemon.events(name)) for name in expected} == expected)


@pytest.fixture
def tell(tmp_path) -> Callable[..., None]:
    """Go through troubles, each in a scene of its own, side by side, so that the pauses of their outages overlap."""

    def go_through(troubles: Mapping[str, Trouble]) -> None:
        faults = []
        with ExitStack() as stack:
            mounts = stack.enter_context(Mounts()) if any(one.mounted for one in troubles.values()) else None
            stories = {
                name: Scene(tmp_path / str(number), trouble, mounts).story()
                for number, (name, trouble) in enumerate(troubles.items())
            }
            while stories:
                for name, story in list(stories.items()):
                    try:
                        next(story)
                    except StopIteration:
                        del stories[name]
                    except (AssertionError, ValueError, OSError, subprocess.SubprocessError) as fault:
                        fault.add_note(f"the trouble: {name}")
                        faults.append(fault)
                        del stories[name]
        if faults:
            raise ExceptionGroup("not all troubles were mastered", faults)

    return go_through


# --- no room ---------------------------------------------------------------------------------------------------


def full(folder: str, pages_left: int = 0, **more: str) -> Trouble:
    """A disk that takes a few pages more and nothing after them, until there is room."""
    return Trouble(
        folder,
        "ake room",
        cause=lambda scene: fill(scene.mounted, pages_left),
        cure=lambda scene: make_room(scene.mounted),
        mounted="size=1m",
        **more,
    )


def without_names(folder: str) -> Trouble:
    """A disk that takes no files more, whatever their size, until some are deleted."""
    return Trouble(
        folder,
        "Make room",
        cause=lambda scene: use_up_names(scene.mounted),
        cure=lambda scene: make_room(scene.mounted),
        mounted="size=1m,nr_inodes=40",
    )


FULL = {
    "success: the result": full("success", 2),
    "fail: the result": full("fail", 2),
    "archive: the receipt": full("archive"),
    "archive: the original": full("archive", 3),
    "archive: the folder of the day, for want of inodes": without_names("archive"),
    "work: the claim, for want of inodes": without_names("work"),
    "inbox: the marker": full("inbox", moment="start"),
}


def test_a_full_disk_holds_up_the_line_until_there_is_room(tell):
    """Whatever there is no room for, nothing fails and nothing half-written gets a name; with room it is done."""
    tell(FULL)


FULL_JOURNAL = {
    "its tables, at the start": full("journal", moment="start"),
    "what a file asks": full("journal"),
    "what is planned": full("journal", moment="GET"),
    "what came of it": full("journal", moment="POST"),
}


def test_a_full_disk_under_the_journal_holds_up_the_line_until_there_is_room(tell):
    """What cannot be written down is not done, and what was done without being written down is not done again."""
    tell(FULL_JOURNAL)


def test_the_status_command_tells_of_a_journal_that_cannot_be_written(tmp_path):
    """Where the daemon cannot write down that it waits, the status command says why not."""
    with Mounts() as mounts:
        scene = Scene(tmp_path / "scene", full("journal"), mounts)
        story = scene.story()
        for _ in range(2):
            next(story)
        scene.daemon.event("line.waiting")
        (trouble,) = scene.whole_status()["troubles"]
        assert "disk of the journal" in trouble
        assert "Make room on that disk" in trouble
        story.close()


# --- no writing ------------------------------------------------------------------------------------------------


def read_only(folder: str, moment: str, mend: str = "Mount it for writing") -> Trouble:
    """A file system that is mounted read-only, and then for writing again."""
    return Trouble(
        folder,
        mend,
        cause=lambda scene: scene.remount("ro"),
        cure=lambda scene: scene.remount("rw"),
        moment=moment,
        mounted="size=1m",
    )


# The inbox cannot be remounted under a daemon, which keeps its lock there open.
READ_ONLY = {
    "the inbox and work, from the start": read_only("inbox", "start"),
    "success, from the start": read_only("success", "start"),
    "fail, all of a sudden": read_only("fail", "POST"),
    "archive, all of a sudden": read_only("archive", "POST"),
}


def test_a_read_only_folder_holds_up_the_line_until_it_can_be_written(tell):
    """From the start or in the middle of the work, the line waits until the folder is mounted for writing again."""
    tell(READ_ONLY)


def without_rights(folder: str, mode: int = 0o500, moment: str = "dropped", mend: str = "right to create") -> Trouble:
    """A folder that its owner may not write to, or not even look into, and then may again."""
    return Trouble(
        folder,
        mend,
        cause=lambda scene: scene.places[folder].chmod(mode),
        cure=lambda scene: scene.places[folder].chmod(0o700),
        moment=moment,
        starter=UNPRIVILEGED,
    )


def someone_elses_day() -> Trouble:
    """A folder of the day that another user has made in the archive."""

    def make(scene: Scene) -> Path:
        day = scene.places["archive"] / day_of(scene)
        day.mkdir(mode=0o500, parents=True)
        return day

    return replace(without_rights("archive", moment="POST"), cause=make, cure=lambda scene: scene.named.chmod(0o700))


def closed_way() -> Trouble:
    """A share that the first start finds closed: nobody gets to the inbox on it."""
    return Trouble(
        "inbox",
        "",
        cause=lambda scene: scene.mounted.chmod(0o000),
        cure=lambda scene: scene.mounted.chmod(0o700),
        moment="start",
        mounted="size=1m",
        starter=UNPRIVILEGED,
    )


def day_of(scene: Scene) -> str:
    """Give where in the archive the file in work belongs."""
    claim = one(scene.places["work"].iterdir()).name
    return f"{claim[:4]}/{claim[4:6]}/{claim[6:8]}"


RIGHTS = {
    "inbox: nothing can be taken": without_rights("inbox"),
    "inbox: nobody gets there, from the start": closed_way(),
    "inbox: nothing can be seen": without_rights("inbox", 0o000),
    "work": without_rights("work"),
    "success": without_rights("success"),
    "fail": without_rights("fail", moment="POST"),
    "archive: the folder of the day": someone_elses_day(),
}


def test_a_folder_without_rights_holds_up_the_line_until_they_are_given(tell):
    """Where the daemon may not read or write any more, the line waits until it may."""
    need_unprivileged()
    tell(RIGHTS)


# --- no folder -------------------------------------------------------------------------------------------------


def gone(folder: str, moment: str) -> Trouble:
    """A folder that is deleted, and made again."""
    return Trouble(
        folder,
        "Make it, or mount the share it is on",
        cause=lambda scene: scene.places[folder].rmdir(),
        cure=lambda scene: scene.places[folder].mkdir(),
        moment=moment,
    )


GONE = {
    "work, before there is a file": gone("work", "dropped"),
    "success, before there is a file": gone("success", "dropped"),
    "fail, before it is needed": gone("fail", "POST"),
    "archive, before it is needed": gone("archive", "POST"),
}


def test_a_deleted_folder_holds_up_the_line_until_it_is_made_again(tell):
    """A folder that is deleted is never made by the daemon; once somebody makes it, the work is done."""
    tell(GONE)


# --- no name ---------------------------------------------------------------------------------------------------


def foreign_file(scene: Scene, folder: str, ending: str = ".xml") -> Path:
    """Put somebody else's file where one of the file in work belongs."""
    claim = one(scene.places["work"].iterdir()).name
    path = scene.places[folder] / (day_of(scene) if folder == "archive" else "") / f"pay__{claim}{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(FOREIGN)
    return path


def move_away(scene: Scene) -> None:
    """Move somebody else's file to where it does not matter; it is as it was."""
    assert scene.named.read_bytes() == FOREIGN
    scene.named.rename(scene.places["journal"] / scene.named.name)


def taken(folder: str, ending: str = ".xml") -> Trouble:
    """Another file that bears a name before ours does; it is moved away."""
    return Trouble(
        folder,
        "Move that file",
        lambda scene: foreign_file(scene, folder, ending),
        move_away,
        moment="POST",
        alone=True,
    )


TAKEN = {
    "success": taken("success"),
    "archive: the receipt": taken("archive", ".receipt.json"),
    "archive: the original": taken("archive"),
}


def test_a_name_that_is_taken_holds_up_its_file_alone_until_the_other_file_is_moved_away(tell):
    """Another file under the name of a result is named and left as it is; the work is done once it is moved away."""
    tell(TAKEN)


def test_of_two_names_that_are_taken_each_is_told_when_it_is_in_the_way(tmp_path):
    """Whoever moves away the file that the log names, and no other, learns from the log that there is another."""

    def take_both(scene: Scene) -> Path:
        others.append(foreign_file(scene, "archive"))
        return foreign_file(scene, "success")

    others: list[Path] = []
    scene = Scene(tmp_path / "scene", replace(taken("success"), cause=take_both))
    story = scene.story()
    for _ in range(3):
        next(story)
    reasons = until(
        lambda: (
            [line["reason"] for line in scene.daemon.events("file.waiting")][1:]
            and [line["reason"] for line in scene.daemon.events("file.waiting")]
        )
    )
    story.close()
    assert [any(str(path) in reason for reason in reasons) for path in (scene.named, *others)] == [True, True]


# --- a call that fails once --------------------------------------------------------------------------------------

CALLS = "fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir"
TRACED = ("strace", "-D", "-f", "-qq", "-y", "--seccomp-bpf", "-o", "{base}/trace", "-e", f"trace={CALLS}")


@dataclass(frozen=True)
class Call:
    """A call of the system, as strace writes it down.

    Attributes:
        name: its name.
        path: the path it is made on, the first where there are two, from the scene's folder on; claim, day and
            the names of files that are still written left out.
        thread: who made it.
        failed: it was made to fail.
    """

    name: str
    path: str
    thread: str
    failed: bool

    @classmethod
    def of(cls, base: Path) -> list[Call]:
        """Give the traced calls of a scene."""
        calls = []
        for line in (base / "trace").read_text(encoding="utf-8").splitlines():
            made = re.match(rf'(\d+) +(\w+)\(.*?(?:\d<|"){re.escape(str(base))}/([^">]+)(?:>, "([^"]+)")?', line)
            if made:
                # In the inbox and in work, a name in a folder that is open is part of the path.
                path = f"{made[3]}/{made[4]}" if made[4] and made[3].startswith(SHARED) else made[3]
                path = re.sub(r"\d{8}T\d{6}Z_[0-9a-f]{8}", "CLAIM", path)
                path = re.sub(r"archive/\d{4}/\d\d/\d\d", "archive/DAY", path)
                path = re.sub(r"\.payment-watcher-[0-9a-f]{8}\.tmp", "ASIDE", path)
                calls.append(cls(made[2], path, made[1], "(INJECTED)" in line))
        return calls

    @property
    def what(self) -> tuple[str, str]:
        """What it does: its name as of old, and the path."""
        return self.name.removesuffix("2").removesuffix("at"), self.path


@dataclass(frozen=True)
class Blow:
    """A call that fails once, the first of its kind and path unless told.

    Attributes:
        call: its name, and the path it is made on.
        error: the error.
        folder: the folder that must be named as the reason.
        mend: words that must stand in the mend.
        after: another call, after which the first of these is meant.
        before: another call, before which the last of these is meant.
    """

    call: tuple[str, str]
    error: str
    folder: str
    mend: str
    after: tuple[str, str] | None = None
    before: tuple[str, str] | None = None

    def trouble(self, course: list[Call]) -> Trouble:
        """Give the trouble of it, for a daemon that takes a course of calls as an earlier one did."""
        made = [call.what for call in course]
        if self.before:
            end = made.index(self.before)
            place = end - 1 - made[:end][::-1].index(self.call)
        else:
            place = made.index(self.call, made.index(self.after) if self.after else 0)
        meant = course[place]
        # strace counts for each thread and name, so it may strike in several threads.
        nth = sum((call.name, call.thread) == (meant.name, meant.thread) for call in course[: place + 1])
        starter = (*TRACED, "-e", f"inject={meant.name}:error={self.error}:when={nth}")
        return Trouble(self.folder, self.mend, moment="start", starter=starter, several=True)


ORIGINAL, RECEIPT, JOURNAL = "work/CLAIM/pay.xml", "archive/DAY/ASIDE", "journal/journal.db-wal"
TAKEN_AWAY, LET_GO = ("rename", "inbox/pay.xml"), ("unlink", ORIGINAL)
BLOWS = {
    "the place of the claim": Blow(("mkdir", "work/CLAIM"), "EROFS", "work", "Mount it for writing"),
    "the claim": Blow(TAKEN_AWAY, "ENOSPC", "inbox", "Make room"),
    "the outcome": Blow(("fdatasync", JOURNAL), "EIO", "journal", "", before=("mkdir", "archive")),
    "the receipt": Blow(("fsync", RECEIPT), "EIO", "archive", "Check the disk"),
    "a result": Blow(("fsync", "success/ASIDE"), "EDQUOT", "success", "quota"),
    "the folder of the day": Blow(("mkdir", "archive"), "EDQUOT", "archive", "quota"),
    "the original, to be let go": Blow(LET_GO, "EIO", "work", "Check the disk"),
}


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> list[Call]:
    """The calls of a daemon that works on a file with nothing in its way."""
    base = tmp_path_factory.mktemp("course")
    probe = [*(word.format(base=base) for word in TRACED), "-e", "inject=fsync:error=EIO:when=1", "true"]
    needs("strace")
    tried = subprocess.run(probe, capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"strace does not work here: {tried.stderr.strip()}")
    Scene(base / "scene", Trouble("work", "", moment="start", starter=TRACED)).untroubled()
    return Call.of(base / "scene")


@pytest.fixture
def strike(tell, course, tmp_path) -> Callable[[Mapping[str, Blow]], dict[str, list[Call]]]:
    """Let calls fail once, each in a scene of its own; give the calls that each of the daemons made."""

    def go_through(blows: Mapping[str, Blow]) -> dict[str, list[Call]]:
        tell({name: blow.trouble(course) for name, blow in blows.items()})
        made = {name: Call.of(tmp_path / str(number)) for number, name in enumerate(blows)}
        failed = {name: [call.what for call in made[name] if call.failed] for name in blows}
        assert [name for name, blow in blows.items() if blow.call not in failed[name]] == []
        return made

    return go_through


def test_a_call_that_fails_once_is_made_again(strike):
    """Whichever call the system refuses, the line waits, and it has gone on as soon as the call is not refused."""
    strike(BLOWS)


TOLD_OF = {
    "the file is taken": Blow(("fsync", "inbox"), "EIO", "inbox", "Check the disk", after=TAKEN_AWAY),
    "the file is finished": Blow(("fdatasync", JOURNAL), "EIO", "journal", "", before=LET_GO),
    "the original is gone": Blow(("unlink", "work/CLAIM"), "EIO", "work", "Check the disk", after=LET_GO),
}


def test_a_call_that_fails_once_takes_nothing_from_the_log(strike):
    """A file has its lines in the log even if what they tell of takes another attempt to be whole."""
    strike(TOLD_OF)


SYNCS = {
    "the receipt": Blow(("fsync", "archive/DAY"), "EIO", "archive", "Check the disk"),
    "the success file": Blow(("fsync", "success"), "EIO", "success", "Check the disk"),
    "the fail file": Blow(("fsync", "fail"), "EIO", "fail", "Check the disk"),
    "the day's folder": Blow(("fsync", "archive"), "EIO", "archive", "Check the disk"),
    "the original": Blow(("fsync", "archive/DAY"), "EIO", "archive", "Check the disk", after=("rename", "success")),
}


def test_a_folder_whose_sync_fails_is_synced_again_before_the_original_is_let_go(strike):
    """What has a name that may not be on disk yet is not relied on, even if it is found there at the next attempt."""
    made = {name: [(*call.what, call.failed) for call in calls] for name, calls in strike(SYNCS).items()}
    again = {}
    for name, blow in SYNCS.items():
        failed = made[name].index((*blow.call, True))
        again[name] = (*blow.call, False) in made[name][failed : made[name].index((*LET_GO, False))]
    assert again == dict.fromkeys(SYNCS, True)
