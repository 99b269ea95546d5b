"""Files that arrive at the daemon, and what its log says of them."""

from __future__ import annotations

import threading
import time

import pytest
from support.connectwise import payments_of
from support.documents import document, drop, files
from support.program import Daemon, at, command, configure

from watcher.events.catalogue import Event


@pytest.mark.parametrize(
    ("observer", "scan_seconds"),
    [
        pytest.param("native", 3600, id="woken by the observer alone"),
        pytest.param("off", 0.2, id="found by the scan alone"),
    ],
)
def test_a_file_is_picked_up_however_it_arrives(folders, sandbox, tmp_path, observer, scan_seconds):
    """A file written straight into the inbox, renamed within it, or moved in from outside is worked through."""
    config = configure(folders, sandbox.url, inbox={"observer": observer, "scan_seconds": scan_seconds})
    with Daemon(config) as daemon:
        assert daemon.event("inbox.watching")["mode"] == observer
        daemon.tells("READY=1")
        (folders.inbox / "written.xml").write_bytes(document(("CW-1", "100.00")))
        (folders.inbox / ".half.tmp").write_bytes(document(("CW-2", "100.00")))
        (folders.inbox / ".half.tmp").rename(folders.inbox / "renamed.xml")
        drop(folders.inbox, "moved.xml", document(("CW-3", "100.00")))
        for name in ("written.xml", "renamed.xml", "moved.xml"):
            assert daemon.event("file.finished", file=name)["outcome"] == "succeeded"
    assert [len(payments_of(sandbox, f"CW-{number}")) for number in (1, 2, 3)] == [1, 1, 1]
    assert [path.name.partition("__")[0] for path in files(folders.success)] == ["moved", "renamed", "written"]
    assert list(folders.work.iterdir()) == files(folders.inbox) == files(folders.fail) == []


def test_a_file_that_is_written_slowly_is_taken_soon_after_its_last_byte(folders, sandbox):
    """The observer hears of every write, so the time that a file must be quiet counts from the last one."""
    content = document(("CW-1", "100.00"))
    config = configure(folders, sandbox.url, inbox={"observer": "native", "scan_seconds": 3600, "settle_seconds": 1})
    with Daemon(config) as daemon:
        daemon.tells("READY=1")
        with (folders.inbox / "slow.xml").open("wb", buffering=0) as file:
            pause = threading.Event()
            for start in range(0, len(content), 60):
                pause.wait(0.3)
                before = time.time()
                file.write(content[start : start + 60])
            after = time.time()
            claimed = at(daemon.event("file.claimed"))
        daemon.event("file.finished", outcome="succeeded")
    assert before + 1 <= claimed <= after + 1 + 9


def test_each_event_brings_the_keys_it_is_described_with(folders, sandbox):
    """Every line that a run logs is JSON, and every event has the keys its description names, and no others."""
    (folders.inbox / "folder").mkdir()
    (folders.inbox / "half.xml").write_bytes(document(("CW-1", "100.00"))[:-20])
    drop(folders.inbox, "good.xml", document(("CW-1", "100.00"), ("CW-404", "1.00")))
    drop(folders.inbox, "bad.xml", b"<Orders/>")
    ended = command("run", "--once", "--config", configure(folders, sandbox.url))
    assert len(ended.log) == len(ended.err.splitlines())
    for line in ended.log:
        assert set(line) == {"event", "level", "timestamp", *Event(line["event"]).keys.split()}, line
    assert {line["event"] for line in ended.log} == {
        Event.STARTED,
        Event.WATCHING,
        Event.ENTRY_IGNORED,
        Event.FILE_WAITING,
        Event.FILE_CLAIMED,
        Event.PAYMENT,
        Event.FILE_FINISHED,
        Event.FILE_REFUSED,
        Event.STOPPED,
    }
