"""What befalls the inbox and its watching: the daemon tells of it, loses nothing, and goes on by itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from support.connectwise import invoice, payments_of
from support.documents import document, drop, files
from support.mounts import Mounts
from support.network import Hurry
from support.program import PATIENCE, Daemon, alone, command, configure, until

from watcher.daemon.service import Service
from watcher.folders.spool import Spool
from watcher.inbox.observer import Observer
from watcher.inbox.scan import MARKER, Inbox
from watcher.journal.ledger import Journal
from watcher.lifetime import Systemd
from watcher.processing.batch import Tally
from watcher.sandbox import Sandbox

NAMES = ("CW-1", "CW-2", "CW-3", "CW-4")
# A watched inbox that is looked through so seldom takes what its observer reports, and nothing else.
SELDOM = {"observer": "native", "scan_seconds": 3600}
OFTEN = {"observer": "native", "scan_seconds": 1}
# An outage of a folder that is over at once costs no more than the first pause, 2 s, and then the daemon its work.
SOON = 6.0


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    alone(monkeypatch, tmp_path)


@pytest.fixture
def sandbox(start_sandbox):
    """A ConnectWise with some open invoices."""
    return start_sandbox(*(invoice(name, "100.00") for name in NAMES))


class Started(Daemon):
    """A daemon that another program starts."""

    def __init__(self, config: Path, *starter: str | Path) -> None:
        super().__init__(config)
        self._arguments = [*map(str, starter), *self._arguments]


def pay(daemon: Daemon, inbox: Path, sandbox: Sandbox, name: str, within: float = PATIENCE) -> None:
    """Write a file that pays an invoice, and make sure that it does so soon, once."""
    (inbox / f"{name}.xml").write_bytes(document((name, "100.00")))
    assert_pays(daemon, sandbox, name, within)


def assert_pays(daemon: Daemon, sandbox: Sandbox, name: str, within: float = PATIENCE) -> None:
    """Make sure that the file which pays an invoice comes to its end, and pays it once."""
    assert daemon.event("file.finished", within=within, file=f"{name}.xml")["outcome"] == "succeeded"
    assert len(payments_of(sandbox, name)) == 1


def outages(daemon: Daemon) -> list[str]:
    """Give what the log has said of outages: the reason of each, and where the line moved again."""
    told = (line for line in daemon.log if line.get("event") in ("line.waiting", "line.moving"))
    return [line.get("reason", "moving") for line in told]


def watched(daemon: Daemon) -> list[str]:
    """Give what the log has said of watching: how, and where it was lost."""
    told = (line for line in daemon.log if line.get("event") in ("inbox.watching", "inbox.watch_lost"))
    return [line.get("mode", "lost") for line in told]


def waits_again(daemon: Daemon, outage: int) -> dict[str, str]:
    """Wait for the line to be told of as waiting for the first, second, … time."""
    return until(lambda: daemon.events("line.waiting")[outage - 1 :])[0]


def do_as_told(mend: str) -> None:
    """Run the command that a mend ends with."""
    subprocess.run(["sh", "-c", mend.partition("put the marker back: ")[2]], check=True)


# --- a share that others write to, and that hangs --------------------------------------------------------------


@contextmanager
def bound(under: Path, place: Path) -> Iterator[subprocess.Popen[str]]:
    """Mount a folder on another by a program, whose death or rest is the share's; skips where that cannot be."""
    if shutil.which("bindfs") is None:
        pytest.skip("bindfs is not here")
    with subprocess.Popen(["bindfs", "-f", under, place], stderr=subprocess.PIPE, encoding="utf-8") as process:
        try:
            until(lambda: process.poll() is not None or place.is_mount())
            if process.poll() is not None:
                pytest.skip(f"bindfs cannot mount here: {process.communicate()[1].strip()}")
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)


def test_a_share_is_polled_and_one_that_hangs_holds_up_nothing_but_itself(folders, sandbox, tmp_path):
    """What others write unseen is taken; a hang is told of, the watchdog is fed, and work goes on once it is over."""
    under, place = tmp_path / "under", tmp_path / "mounted"
    for folder in (under, place, under / "inbox", under / "work"):
        folder.mkdir()
    on_share = replace(folders, inbox=place / "inbox", work=place / "work")
    journal = {"url": f"sqlite:///{tmp_path / 'journal.db'}"}
    config = configure(on_share, sandbox.url, inbox={"observer": "auto", "scan_seconds": 0.5}, journal=journal)
    config = config.rename(tmp_path / "watcher.toml")
    with ExitStack() as stack:
        share = stack.enter_context(bound(under, place))
        daemon = stack.enter_context(Daemon(config))
        # A process with a call on a share that rests cannot end, not even killed.
        stack.callback(share.send_signal, signal.SIGCONT)
        watching = daemon.event("inbox.watching")
        assert watching["mode"] == "polling"
        assert "fuse" in watching["reason"]
        daemon.tells("READY=1")
        pay(daemon, under / "inbox", sandbox, "CW-1")

        share.send_signal(signal.SIGSTOP)
        hung_at = time.time()
        waiting = daemon.event("line.waiting", within=20)
        assert str(place) in waiting["reason"]
        assert "does not answer" in waiting["reason"]
        fed = len(life(daemon))
        until(lambda: len(life(daemon)) > fed + 1)
        drop(under / "inbox", "CW-2.xml", document(("CW-2", "100.00")))
        share.send_signal(signal.SIGCONT)
        moving = daemon.event("line.moving")
        assert abs(datetime.fromisoformat(waiting["since"]).timestamp() - hung_at) < 3
        assert moving["waited_seconds"] > 10
        assert_pays(daemon, sandbox, "CW-2")
        assert outages(daemon) == [waiting["reason"], "moving"]
        assert daemon.end() == 0
    assert files(folders.fail, "") == []


def life(daemon: Daemon) -> list[str]:
    """Give the signs of life that systemd has got so far."""
    return [message for _, message in daemon.told if message == "WATCHDOG=1"]


# --- the folder ------------------------------------------------------------------------------------------------


def delete_and_make(daemon: Daemon, inbox: Path) -> None:
    """Delete the inbox, make it again as the log asks for, and let the line move."""
    shutil.rmtree(inbox)
    daemon.event("line.waiting")
    inbox.mkdir()
    do_as_told(waits_again(daemon, 2)["mend"])
    daemon.event("line.moving")


def test_an_inbox_that_was_deleted_is_used_again_once_it_is_made_and_marked(folders, sandbox):
    """Deletion is an outage; the folder made again is none of ours until it is marked, and watched from then on."""
    with Daemon(configure(folders, sandbox.url, inbox=OFTEN)) as daemon:
        daemon.tells("READY=1")
        shutil.rmtree(folders.inbox)
        gone = daemon.event("line.waiting")
        assert "is not there" in gone["reason"]
        assert not folders.inbox.exists()
        folders.inbox.mkdir()
        dropped = drop(folders.inbox, "CW-1.xml", document(("CW-1", "100.00")))
        unmarked = waits_again(daemon, 2)
        assert str(folders.inbox) in gone["reason"]
        assert str(folders.inbox) in unmarked["reason"]
        assert list(folders.inbox.iterdir()) == [dropped]
        do_as_told(unmarked["mend"])
        assert_pays(daemon, sandbox, "CW-1")
        pay(daemon, folders.inbox, sandbox, "CW-2", SOON)
        assert outages(daemon) == [gone["reason"], unmarked["reason"], "moving"]
        assert watched(daemon) == ["native", "lost", "native"]
        assert daemon.end() == 0
    assert files(folders.fail, "") == []


def test_an_inbox_in_the_place_of_another_is_left_alone_until_the_first_is_back(folders, sandbox):
    """A folder that took the inbox's name gets nothing and gives nothing; what lies in the first waits for it."""
    away = folders.inbox.with_name("away")
    with Daemon(configure(folders, sandbox.url, inbox=OFTEN)) as daemon:
        daemon.tells("READY=1")
        folders.inbox.rename(away)
        folders.inbox.mkdir()
        foreign = drop(folders.inbox, "CW-1.xml", document(("CW-1", "100.00")))
        waiting = daemon.event("line.waiting")
        assert "no marker" in waiting["reason"]
        drop(away, "CW-2.xml", document(("CW-2", "100.00")))
        assert list(folders.inbox.iterdir()) == [foreign]
        folders.inbox.rename(folders.inbox.with_name("foreign"))
        away.rename(folders.inbox)
        assert_pays(daemon, sandbox, "CW-2", SOON)
        pay(daemon, folders.inbox, sandbox, "CW-3", SOON)
        assert outages(daemon) == [waiting["reason"], "moving"]
        assert daemon.end() == 0
    assert payments_of(sandbox, "CW-1") == files(folders.fail, "") == []


def test_an_inbox_that_was_made_again_is_still_nobody_elses(folders, sandbox, tmp_path):
    """The daemon that works on a new inbox keeps others off it, as it did with the one before."""
    with Daemon(configure(folders, sandbox.url, inbox=OFTEN)) as daemon:
        daemon.tells("READY=1")
        delete_and_make(daemon, folders.inbox)
        pay(daemon, folders.inbox, sandbox, "CW-1")
        other = configure(folders, sandbox.url, journal={"url": f"sqlite:///{tmp_path / 'other.db'}"})
        refused = command("run", "--once", "--config", other)
        assert (refused.code, str(daemon.pid) in refused.err) == (78, True)


def test_a_share_that_is_covered_or_not_mounted_is_an_outage(folders, sandbox, tmp_path):
    """An empty mount point, and what is mounted over the inbox, are no inbox; after each the line moves by itself."""
    share = tmp_path / "share"
    bare = [share / name for name in ("inbox", "work")]
    for place in bare:
        place.mkdir(parents=True)
    with Mounts() as mounts:
        place = mounts.mount(share, "size=8m")
        for name in ("inbox", "work"):
            (place / name).mkdir()
        inbox = place / "inbox"
        journal = {"url": f"sqlite:///{tmp_path / 'journal.db'}"}
        config = configure(replace(folders, inbox=bare[0], work=bare[1]), sandbox.url, inbox=OFTEN, journal=journal)
        config = config.rename(tmp_path / "watcher.toml")
        with Started(config, *mounts.enter) as daemon:
            daemon.tells("READY=1")
            marker = (inbox / MARKER).read_bytes()
            pay(daemon, inbox, sandbox, "CW-1")

            mounts.mount(bare[0], "size=1m")
            covered = daemon.event("line.waiting")
            assert list(inbox.iterdir()) == []
            subprocess.run([*mounts.enter, "umount", bare[0]], check=True)
            pay(daemon, inbox, sandbox, "CW-2")

            # The daemon keeps its lock open, so that the share is let go of in its absence (umount(8), lazy).
            subprocess.run([*mounts.enter, "umount", "--lazy", share], check=True)
            assert waits_again(daemon, 2)["reason"] == covered["reason"]
            assert sorted(share.rglob("*")) == bare
            mounts.mount(share, "size=8m")
            for name in ("work", "inbox"):
                (place / name).mkdir()
            (inbox / MARKER).write_bytes(marker)
            pay(daemon, inbox, sandbox, "CW-3")
            assert outages(daemon) == [covered["reason"], "moving"] * 2
            assert str(bare[0]) in covered["reason"]
            assert not daemon.events("file.refused")
            assert daemon.end() == 0
    assert sorted(share.rglob("*")) == bare
    assert files(folders.fail, "") == []


# Root may do anything by two capabilities, which it can go without (capabilities(7)).
UNPRIVILEGED = () if os.geteuid() else ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")


def test_an_inbox_whose_rights_were_taken_away_goes_on_once_they_are_back(folders, sandbox):
    """What may not be looked into is no empty inbox; with the rights given back, what came meanwhile is taken."""
    try:
        subprocess.run([*UNPRIVILEGED, "true"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"root cannot go without its rights here: {error}")
    with Started(configure(folders, sandbox.url, inbox=OFTEN), *UNPRIVILEGED) as daemon:
        daemon.tells("READY=1")
        (folders.inbox / "CW-1.xml").write_bytes(document(("CW-1", "100.00"))[:-2])
        daemon.event("file.waiting")
        folders.inbox.chmod(0)
        waiting = daemon.event("line.waiting")
        assert str(folders.inbox) in waiting["reason"]
        assert "right" in waiting["mend"], waiting
        folders.inbox.chmod(0o700)
        pay(daemon, folders.inbox, sandbox, "CW-1", SOON)
        pay(daemon, folders.inbox, sandbox, "CW-2", SOON)
        assert outages(daemon) == [waiting["reason"], "moving"]
        assert daemon.end() == 0


class Away(Hurry):
    """The time of a loop whose inbox is away for an hour."""

    def __init__(self, come_back: Callable[[], object]) -> None:
        super().__init__()
        self._come_back = come_back
        self.back_at: float | None = None

    def wait(self, timeout: float | None = None) -> bool:
        """Let the time pass; after an hour the inbox is back."""
        super().wait(timeout)
        if self.back_at is None and self.now >= 3600:
            self._come_back()
            self.back_at = self.now
        return self.is_set()


class Taking:
    """A pipeline that notes when it gets the first file, and ends the loop with it."""

    advanced = 0

    def __init__(self, clock: Hurry) -> None:
        self._clock = clock
        self.taken_at: float | None = None

    def clear_emptied(self) -> Tally:
        """There is nothing to clear."""
        return Tally()

    def settle(self, claims: object) -> Tally:
        """Note the time."""
        self.taken_at = self._clock.now
        self._clock.set()
        return Tally()


def test_an_inbox_that_was_away_for_long_is_looked_through_within_one_scan(folders, tmp_path):
    """However long an inbox was gone, a file in it waits no longer than for one scan once it is back."""
    away = folders.inbox.with_name("away")
    clock = Away(lambda: away.rename(folders.inbox))
    pipeline, scan_seconds = Taking(clock), 10
    inbox = Inbox(folders.inbox, unfinished=lambda _content: None, clock=clock.clock, settle_seconds=0)
    drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
    with closing(Journal(f"sqlite:///{tmp_path / 'journal.db'}")) as journal:
        journal.remember_marker(str(folders.inbox), inbox.keep_marker())
        folders.inbox.rename(away)
        Service(
            inbox,
            Observer(folders.inbox, "off"),
            Spool(folders),
            journal,
            pipeline,
            stop=clock,
            systemd=Systemd(),
            scan_seconds=scan_seconds,
            batch_bytes=1,
            clock=clock.clock,
        ).run()
    assert pipeline.taken_at - clock.back_at <= scan_seconds


# --- the watching ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["max_inotify_instances", "max_inotify_watches"])
def test_without_inotify_the_scans_do_the_work_until_there_is_some(folders, sandbox, limit):
    """Where the system gives no more watches, that is said once and the files are taken; once it does, it is used."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is not here")
    none = f'echo 0 > /proc/sys/user/{limit} && exec "$@"'
    starter = ("unshare", "--user", "--map-root-user", "sh", "-c", none, "sh")
    tried = subprocess.run([*starter, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"this system lets nobody limit inotify for itself: {tried.stderr.strip()}")
    config = configure(folders, sandbox.url, inbox={"observer": "native", "scan_seconds": 0.3})
    with Started(config, *starter) as daemon:
        watching = daemon.event("inbox.watching")
        assert watching["mode"] == "off"
        assert "scans alone do the work" in watching["reason"]
        daemon.tells("READY=1")
        for name in NAMES[:3]:
            pay(daemon, folders.inbox, sandbox, name)
        assert watched(daemon) == ["off"]
        assert len(notifiers(daemon.pid)) <= 1, "every attempt leaves something open"
        enter = ("nsenter", f"--target={daemon.pid}", "--user", "--preserve-credentials", "--")
        subprocess.run([*enter, "sh", "-c", f"echo 16 > /proc/sys/user/{limit}"], check=True)
        daemon.event("inbox.watching", mode="native")
        pay(daemon, folders.inbox, sandbox, NAMES[3])
        assert watched(daemon) == ["off", "native"]
        assert daemon.end() == 0
    assert outages(daemon) == []


def notifiers(pid: int) -> list[str]:
    """Give the inotify instances that a process holds."""
    opened = (str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir())
    return [what for what in opened if what == "anon_inode:inotify"]


QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


def test_a_flood_of_events_loses_no_file_and_leaves_the_watching_whole(folders, sandbox):
    """More events than the system keeps: every payment file is taken, and the next one is still heard of."""
    most = int(QUEUE.read_text())
    if most > 20_000:
        pytest.skip(f"this system keeps {most} events, and to bring about more takes too long")
    with Daemon(configure(folders, sandbox.url, inbox=SELDOM)) as daemon:
        daemon.tells("READY=1")
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            # Each is made, written and closed, which are three events.
            for number in range(most // 3 + 500):
                (folders.inbox / f"{number}.tmp").write_bytes(b"-")
            for name in NAMES[:3]:
                (folders.inbox / f"{name}.xml").write_bytes(document((name, "100.00")))
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        for name in NAMES[:3]:
            assert_pays(daemon, sandbox, name)
        assert any("overflow" in str(line.get("event")) for line in daemon.log)
        pay(daemon, folders.inbox, sandbox, "CW-4")
        assert watched(daemon) == ["native"]
        assert daemon.end() == 0
    assert files(folders.inbox) == files(folders.fail, "") == []
