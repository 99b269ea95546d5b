"""An inbox on a share that others write to, that hangs, is covered or not mounted."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from support.documents import document, drop, files
from support.inbox import OFTEN, assert_pays, outages, pay, waits_again
from support.mounts import Mounts
from support.needs import needs
from support.program import PATIENCE, Daemon, Started, configure, until

from watcher.inbox.marker import NAME as MARKER


@contextmanager
def bound(under: Path, place: Path) -> Iterator[subprocess.Popen[str]]:
    """Mount a folder on another by a program, whose death or rest is the share's; skips where that cannot be."""
    needs("bindfs", "fusermount3")
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
    """What others write unseen is taken. A hang is logged, the watchdog is fed, and work goes on after it."""
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
        waiting = daemon.event("line.waiting")
        assert str(place) in waiting["reason"]
        assert "does not answer" in waiting["reason"]
        fed = len(life(daemon))
        until(lambda: len(life(daemon)) > fed + 1)
        drop(under / "inbox", "CW-2.xml", document(("CW-2", "100.00")))
        share.send_signal(signal.SIGCONT)
        moving = daemon.event("line.moving")
        assert abs(datetime.fromisoformat(waiting["since"]).timestamp() - hung_at) < 5
        assert moving["waited_seconds"] > 10
        assert_pays(daemon, sandbox, "CW-2")
        assert outages(daemon) == [waiting["reason"], "moving"]
        assert daemon.end() == 0
    assert files(folders.fail, "") == []


def life(daemon: Daemon) -> list[str]:
    """Return the signs of life that systemd has got so far."""
    return [message for _, message in daemon.told if message == "WATCHDOG=1"]


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
