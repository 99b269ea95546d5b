"""A scene's folders and books, and the program that works on them."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from soak.calls import Point, Stroke, points_in
from soak.scenes import Staged
from soak.starts import Ended, counted, plain, struck
from support.laws import broken_laws
from support.program import configure
from support.scenes import (
    LARGEST,
    NAMES,
    books,
    drop_files,
    make_folders,
    nameless,
    published,
    visible,
)

from watcher.claim import claim_in, without_claim
from watcher.folders.layout import Folders
from watcher.journal.database import opened
from watcher.journal.history import History
from watcher.journal.sums import Sums
from watcher.sandbox import Sandbox

# Where there is memory to hold files, that is used: what a kill leaves does not hang on a disk, whose syncs take long.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
_ONCE = ("run", "--once")
OUTBOXES = ("success", "fail", "archive")


class Place:
    """A scene's folders and books, and the program that works on them.

    Args:
        staged: the scene, and what happens in it.
        base: the folders are in it.
        sandbox: holds the books.
        journal: the journal's file.
        elsewhere: folders that lie somewhere else, by name.

    Attributes:
        scene: what must be true in the end. What happens beside a run may change that.
        folders: the folders, as the program knows them.
        earlier: what was published before the scene began, and must stay.
        strays: what lies in work and is nobody's business.
        leaving: what was published before the scene began, and is put back or removed in it.
        kept: what those who act in the scene have to remember.
    """

    def __init__(
        self,
        staged: Staged,
        base: Path,
        sandbox: Sandbox,
        journal: Path,
        elsewhere: Mapping[str, Path] | None = None,
    ) -> None:
        self.base = base
        self.sandbox = sandbox
        self.scene = staged.scene
        self.journal = journal
        self.earlier: dict[Path, bytes] = {}
        self.strays: dict[Path, bytes] = {}
        self.leaving: set[Path] = set()
        self.kept: dict[str, Any] = {}
        self._staged = staged
        self._idle = staged.command == ("run",)
        base.mkdir(parents=True)
        # People look through a link; the program, which follows none, is given the folder itself.
        for name, folder in (elsewhere or {}).items():
            (base / name).symlink_to(folder)
        make_folders(base)
        self.folders = Folders(*((elsewhere or {}).get(name, base / name) for name in NAMES))
        (base / "scene.xsl").write_bytes(staged.stylesheet)
        settings = {
            "connectwise": {"concurrency": staged.workers, "timeout_seconds": 1},
            "inbox": {"settle_seconds": 0, "max_file_bytes": LARGEST},
            "journal": {"url": self.journal_url},
        }
        for section, changes in staged.settings.items():
            settings[section] = {**settings.get(section, {}), **changes}
        configure(self.folders, sandbox.url, **settings)
        staged.before(self)
        drop_files(staged.scene, base)
        if staged.asked is not None:
            _when_asked(sandbox, lambda: staged.asked and staged.asked(self))

    @property
    def journal_url(self) -> str:
        """The journal's URL."""
        return f"sqlite:///{self.journal}"

    def count(self) -> list[Point]:
        """Run once to the end, and return the points to strike at, in order of time."""
        log = self.base.with_name("counted.log")
        ended = [counted(self.base, self._staged.command, log, idle=self._idle)]
        points = points_in(log, lambda rest: nameless(rest.replace(str(self.base), "")).decode())
        log.unlink()
        ended += [plain(self.base, command) for command in self._staged.then]
        if faults := [fault for each in ended for fault in each.faults]:
            raise RuntimeError(f"an untouched run went wrong: {faults}")
        return points

    def strike(self, point: Point, stroke: Stroke) -> Ended:
        """Run until it is struck."""
        return struck(self.base, self._staged.command, point, stroke, idle=self._idle)

    def between(self) -> None:
        """Let those act who do so between two starts."""
        self._staged.between(self)

    def finish(self) -> list[Ended]:
        """Start again, and let everything come to its end."""
        commands = [self._staged.command] if self._staged.repeats(self) else []
        return [self.start(*command) for command in (*commands, *self._staged.then)]

    def start(self, *arguments: str) -> Ended:
        """Run a command to its end."""
        return plain(self.base, arguments or _ONCE, idle=arguments == ("run",))

    def cut(self) -> None:
        """Cut the power, where that is to be done."""

    def outcome(self) -> tuple[object, object]:
        """Return what every run must come to, whatever happened to it."""
        return published(self.base, self.earlier), books(self.sandbox)

    def broken(self, expected: object | None) -> Iterator[str]:
        """Yield what is not as it should be in the end.

        Args:
            expected: what an untouched run came to; None if that is not known.
        """
        broken = list(broken_laws(self.scene, self.base, self.sandbox, self.earlier, self.strays))
        yield from broken
        if not broken and expected is not None and self._staged.same and self.outcome() != expected:
            yield f"the outcome is not that of an untouched run: {self.outcome()}"
        yield from self._not_finished()

    def _not_finished(self) -> Iterator[str]:
        claims = {claim for path in visible(self.base) if (claim := claim_in(path.name))}
        with opened(self.journal_url) as database:
            files = History(database).last_files(100) if database else []
            broken = list(_broken_sums(self.scene.sums, Sums(database))) if database else []
        yield from broken
        known = {file.claim for file in files}
        if not known <= claims or (self._staged.remembers and known != claims):
            yield f"the journal has finished {files}, but the claims published are {claims}"
        for file in files:
            if file.claim in {claim_in(path.name) for path in self.earlier}:
                continue
            name = without_claim(file.name)
            succeeded, failed = self.scene.succeeded.get(name, []), self.scene.failed.get(name, [])
            if (file.succeeded, file.rejected) != (len(succeeded), len(failed)):
                yield f"the journal has {file}, which came to {len(succeeded)} successes and {len(failed)} failures"


def _broken_sums(expected: Mapping[str, str], sums: Sums) -> Iterator[str]:
    """Yield which sums of the journal, and which payments in them, do not come to what they should."""
    for number, amount in expected.items():
        known = sums.before(sums.invoice_ids([number.casefold()]), ()).sums.values()
        kept = sum((one.total for one in known), Decimal())
        listed = sum((one.amount for one in sums.made_of(number)), Decimal())
        if not kept == listed == Decimal(amount):
            yield f"the sum of {number} is {kept}, made of payments that come to {listed}, not {amount}"


def _when_asked(sandbox: Sandbox, act: Callable[[], object]) -> None:
    """Act once, in the middle of the first request that ConnectWise gets."""
    answer, lock, acted = sandbox._site.answer, threading.Lock(), threading.Event()

    def acting(*request: Any) -> Any:
        with lock:
            if not acted.is_set():
                acted.set()
                act()
        return answer(*request)

    sandbox._site.answer = acting


Stage = Callable[[Staged], Any]


@contextmanager
def folder(staged: Staged) -> Iterator[Place]:
    """Set a scene up in a folder of its own; its outboxes are on another disk if it wants that, and there is one."""
    with ExitStack() as stack:
        made = stack.enter_context(tempfile.TemporaryDirectory(prefix="killing-", dir=MEMORY))
        sandbox = stack.enter_context(Sandbox(invoices=staged.scene.invoices))
        elsewhere = {}
        if staged.elsewhere:
            disk = stack.enter_context(tempfile.TemporaryDirectory(prefix="killing-"))
            for name in OUTBOXES:
                elsewhere[name] = Path(disk, name)
                elsewhere[name].mkdir()
        base = Path(made, "scene")
        yield Place(staged, base, sandbox, base / "journal.db", elsewhere)
