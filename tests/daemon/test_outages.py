"""The daemon waits while ConnectWise or a folder is away, and nothing fails for it."""

from __future__ import annotations

import errno
import fcntl
import os
import time

import pytest
from support.connectwise import payments_of
from support.documents import document, drop, files
from support.program import Daemon, at, command, configure

from watcher.inbox.marker import NAME as MARKER


def test_connectwise_may_come_later(folders, sandbox):
    """With ConnectWise down the daemon is ready all the same, the file waits, and goes through once it is up."""
    sandbox.stop()
    drop(folders.inbox, "patient.xml", document(("CW-1", "100.00")))
    with Daemon(configure(folders, sandbox.url)) as daemon:
        daemon.tells("READY=1")
        waiting = daemon.event("line.waiting")
        assert waiting["mend"]
        assert waiting["retry_in_seconds"] > 0
        assert files(folders.fail, "") == files(folders.success, "") == []
        told = daemon.tells("STATUS=Waiting since ")[1].partition(" Next try: ")[0]
        assert told.endswith(f"{waiting['reason']}. {waiting['mend']}.")
        sandbox.start()
        assert daemon.event("file.finished")["outcome"] == "succeeded"
        assert daemon.event("line.moving")["waited_seconds"] > 0
    assert len(payments_of(sandbox, "CW-1")) == 1
    assert files(folders.fail, "") == []


def test_a_refused_sign_in_names_what_to_mend(folders, sandbox):
    """With a wrong key nothing fails; the line waits and names the settings and rights to look at."""
    drop(folders.inbox, "waits.xml", document(("CW-1", "100.00")))
    config = configure(folders, sandbox.url, connectwise={"private_key": "not-the-private-key"})
    with Daemon(config) as daemon:
        waiting = daemon.event("line.waiting")
        assert "401" in waiting["reason"]
        for named in ("private_key", "public_key", "company", "client_id", "security role"):
            assert named in waiting["mend"]
        assert waiting["request_id"]
        assert daemon.end() == 0
    assert files(folders.fail, "") == files(folders.success, "") == []
    assert payments_of(sandbox, "CW-1") == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP], ids=errno.errorcode.get)
def test_a_file_system_without_locks_is_told_of_and_used(folders, sandbox, monkeypatch, number):
    """Files on a share without a lock manager are paid, and the log says that nobody is kept off it."""

    def refuse(_descriptor, _how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
    done = command("run", "--once", "--config", configure(folders, sandbox.url))
    assert done.code == 0, done.err
    assert [line["inbox"] for line in done.log if line["event"] == "inbox.not_locked"] == [str(folders.inbox)]
    assert len(payments_of(sandbox, "CW-1")) == 1


def test_an_inbox_without_its_marker_is_left_alone(folders, sandbox):
    """Where the marker is missing nothing is claimed and the line waits; with the marker back it goes on."""
    with Daemon(configure(folders, sandbox.url, inbox={"observer": "native", "scan_seconds": 3600})) as daemon:
        daemon.tells("READY=1")
        marker = (folders.inbox / MARKER).read_bytes()
        (folders.inbox / MARKER).unlink()
        # The file wakes the daemon, which looks for the marker first.
        dropped = drop(folders.inbox, "waits.xml", document(("CW-1", "100.00")))
        waiting = daemon.event("line.waiting")
        assert str(folders.inbox) in waiting["reason"]
        assert marker.decode().strip() in waiting["mend"]
        assert dropped.exists()
        restored_at = time.time()
        (folders.inbox / MARKER).write_bytes(marker)
        assert daemon.event("file.finished")["outcome"] == "succeeded"
        assert at(daemon.event("file.claimed")) > restored_at
        assert len(daemon.events("line.waiting")) == 1
