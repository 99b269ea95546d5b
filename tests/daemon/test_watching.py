"""What befalls the watching: the daemon tells of it, loses no file, and watches again once it can."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from support.documents import document, files
from support.inbox import NAMES, SELDOM, assert_pays, outages, pay, watched
from support.needs import needs
from support.program import Daemon, Started, configure, opened


@pytest.mark.parametrize("limit", ["max_inotify_instances", "max_inotify_watches"])
def test_without_inotify_the_scans_do_the_work_until_there_is_some(folders, sandbox, limit):
    """Without watches the daemon logs that once and takes the files all the same; once there are some, it uses them."""
    needs("unshare", "nsenter")
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
        assert opened(daemon.pid).count("anon_inode:inotify") <= 1, "every attempt leaves something open"
        enter = ("nsenter", f"--target={daemon.pid}", "--user", "--preserve-credentials", "--")
        subprocess.run([*enter, "sh", "-c", f"echo 16 > /proc/sys/user/{limit}"], check=True)
        daemon.event("inbox.watching", mode="native")
        pay(daemon, folders.inbox, sandbox, NAMES[3])
        assert watched(daemon) == ["off", "native"]
        assert daemon.end() == 0
    assert outages(daemon) == []


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
