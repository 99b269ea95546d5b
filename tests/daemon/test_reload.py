"""The daemon reads its configuration anew on SIGHUP, and tries ConnectWise now on SIGUSR1."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from support.connectwise import payments_of
from support.documents import document, drop, files
from support.program import Daemon, configure, until


def reload(daemon):
    """Ask the daemon to read its configuration anew."""
    daemon.process.send_signal(signal.SIGHUP)


def threads(daemon):
    """Return how many threads the daemon has."""
    return len(list(Path(f"/proc/{daemon.pid}/task").iterdir()))


def test_a_key_that_was_wrong_is_mended_without_a_restart(folders, sandbox):
    """The file that waited for it is paid by the same process."""
    drop(folders.inbox, "waits.xml", document(("CW-1", "100.00")))
    with Daemon(configure(folders, sandbox.url, connectwise={"private_key": "wrong"})) as daemon:
        daemon.event("line.waiting")
        configure(folders, sandbox.url)
        reload(daemon)
        assert daemon.event("service.reloaded")["inbox"] == str(folders.inbox)
        assert daemon.event("file.finished")["outcome"] == "succeeded"
        assert daemon.end() == 0
    assert len(payments_of(sandbox, "CW-1")) == 1
    assert [len(daemon.events(name)) for name in ("service.started", "service.stopped")] == [1, 1]
    assert [message for _, message in daemon.told].count("READY=1") == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"inbox": {"settle": 1}}, "inbox.settle: ", id="an unknown key"),
        pytest.param({"inbox": {"transform": "gone.xsl"}}, "inbox.transform: ", id="no such stylesheet"),
        pytest.param({"journal": {"url": "sqlite:////tmp/other.db"}}, "journal.url: it cannot change", id="journal"),
    ],
)
def test_a_configuration_that_cannot_be_used_changes_nothing(folders, sandbox, changes, said):
    """The reason is logged, and files are paid as before."""
    with Daemon(configure(folders, sandbox.url)) as daemon:
        daemon.event("inbox.watching")
        configure(folders, sandbox.url, **changes)
        reload(daemon)
        assert said in daemon.event("service.not_reloaded")["reason"]
        drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
        assert daemon.event("file.finished")["outcome"] == "succeeded"
        assert daemon.events("service.reloaded") == []
        assert daemon.end() == 0


def test_another_inbox_is_watched_after_it_is_read_anew(folders, sandbox):
    """What was in the first one is done; what is dropped into the other one is paid."""
    other = folders.inbox.parent / "other"
    other.mkdir()
    config = configure(folders, sandbox.url)
    with Daemon(config) as daemon:
        drop(folders.inbox, "first.xml", document(("CW-1", "100.00")))
        daemon.event("file.finished", file="first.xml")
        config.write_text(config.read_text().replace(str(folders.inbox), str(other)))
        reload(daemon)
        daemon.event("service.reloaded", inbox=str(other))
        drop(other, "second.xml", document(("CW-2", "100.00")))
        assert daemon.event("file.finished", file="second.xml")["outcome"] == "succeeded"
        assert daemon.end() == 0
    assert len(files(folders.success)) == 2


def test_reading_anew_again_and_again_leaves_nothing_behind(folders, sandbox):
    """Threads and open files do not grow in number, and every file is paid once."""
    with Daemon(configure(folders, sandbox.url)) as daemon:
        counts = []
        for number in range(1, 7):
            drop(folders.inbox, f"{number}.xml", document((f"CW-{1 + number % 4}", "100.00")))
            daemon.event("file.finished", file=f"{number}.xml")
            reload(daemon)
            until(lambda number=number: len(daemon.events("service.reloaded")) == number)
            until(lambda number=number: len(daemon.events("inbox.watching")) == number + 1)
            counts.append(len(list(Path(f"/proc/{daemon.pid}/fd").iterdir())))
        until(lambda: threads(daemon) <= 8)
        assert counts[-1] <= counts[0] + 2
        assert daemon.end() == 0
    assert len(files(folders.success)) == 6


def test_connectwise_is_tried_at_once_when_that_is_asked_for(folders, sandbox):
    """A pause of an outage ends with SIGUSR1."""
    sandbox.stop()
    drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
    with Daemon(configure(folders, sandbox.url)) as daemon:
        daemon.event("line.waiting")
        sandbox.start()
        daemon.process.send_signal(signal.SIGUSR1)
        assert daemon.event("file.finished")["outcome"] == "succeeded"
        assert daemon.end() == 0
