"""What the daemon tells systemd, and how it ends when it is asked to."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from support.connectwise import invoice, payments_of
from support.documents import document, drop, files, numbers, one
from support.network import (
    SILENT_AFTER,
    SILENT_BEFORE,
    UNAVAILABLE_503,
    WRONG_KEYS_401,
    Strike,
    Unreliable,
    too_many,
)
from support.program import END_SECONDS, PATIENCE, Daemon, at, command, configure, environment, until

from watcher.inbox.marker import NAME as MARKER

SLOW = 0.1


def test_systemd_is_told_how_things_are(folders, sandbox):
    """Ready comes after watch and scan, sentences say what goes on, the watchdog is fed, and stopping is announced."""
    config = configure(folders, sandbox.url)
    for number in range(50):
        (folders.inbox / f"folder {number}").mkdir()
    with Daemon(config) as daemon:
        ready_at, _ = daemon.tells("READY=1")
        assert at(daemon.event("inbox.watching")) < ready_at
        assert at(daemon.event("inbox.ignored", file="folder 49")) < ready_at
        assert daemon.tells("STATUS=")[1] == f"STATUS=Watching {folders.inbox}; nothing to do."
        fed = len([message for _, message in daemon.told if message == "WATCHDOG=1"])
        until(lambda: len([message for _, message in daemon.told if message == "WATCHDOG=1"]) > fed + 1)
        (folders.inbox / "half.xml").write_bytes(document(("CW-1", "100.00"))[:-20])
        daemon.tells(f"STATUS=Watching {folders.inbox}; 1 file not ready yet.")
        drop(folders.inbox, "whole.xml", document(("CW-1", "100.00")))
        daemon.tells("STATUS=Working on 1 file.")
        daemon.event("file.finished")
        assert not [message for _, message in daemon.told if message == "STOPPING=1"]
        assert daemon.end() == 0
        daemon.tells("STOPPING=1")
    assert [line["signal"] for line in daemon.events("service.stopping")] == ["SIGTERM"]
    assert daemon.log[-1]["event"] == "service.stopped"
    assert [message for _, message in daemon.told].count("READY=1") == 1


# Sends SIGTERM at each line that Python executes in the wait of an idle daemon, and must come to its end all the same.
_STOPPED_ANYWHERE = """
import os, signal, sys, threading
from pathlib import Path
from watcher.inbox.observer import Observer
from watcher.lifetime import Lifetime

lifetime, observer = Lifetime(), Observer(Path("."), "off")
waking = lifetime.waking(observer.wake)
waking.__enter__()
lifetime.catch_signals()
sent = 0

def trace(frame, kind, argument):
    global sent
    if frame.f_code.co_filename != threading.__file__:
        return trace if frame.f_code.co_name == "wait" else None
    if kind == "line":
        sent += 1
        os.kill(os.getpid(), signal.SIGTERM)
    return trace

sys.settrace(trace)
observer.wait(0.01)
sys.settrace(None)
assert sent > 5, sent
assert lifetime.until_ending(5)
print("ended")
"""


def test_sigterm_may_come_at_any_moment_of_a_wait(tmp_path):
    """A signal is taken at whatever line of its wait the daemon is, without a deadlock."""
    ended = subprocess.run(
        [sys.executable, "-c", _STOPPED_ANYWHERE],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "ended" in ended.stdout.splitlines()


def test_a_missing_inbox_holds_up_no_boot(folders, sandbox):
    """While it is missing, the daemon is ready, waits and makes no folder; it goes on once there is one."""
    config = configure(folders, sandbox.url)
    folders.inbox.rmdir()
    with Daemon(config) as daemon:
        waiting = daemon.event("line.waiting")
        assert str(folders.inbox) in waiting["reason"]
        assert waiting["mend"]
        daemon.tells("READY=1")
        assert not folders.inbox.exists()
        folders.inbox.mkdir()
        daemon.event("line.moving")
        assert (folders.inbox / MARKER).is_file()


def test_a_stop_in_the_middle_loses_and_doubles_nothing(folders, start_sandbox):
    """SIGTERM during a file of many payments ends the daemon in time; the next run finishes each payment once."""
    names = [f"CW-{number:03}" for number in range(60)]
    sandbox = start_sandbox(*(invoice(name, "100.00") for name in names), latency=SLOW)
    config = configure(folders, sandbox.url)
    drop(folders.inbox, "many.xml", document(*((name, "100.00") for name in names)))
    with Daemon(config) as daemon:
        until(lambda: len(sandbox.books()["writes"]) >= 5)
        assert daemon.end() == 0
    assert 5 <= len(sandbox.books()["writes"]) < len(names)
    assert files(folders.success) == files(folders.fail) == files(folders.archive) == []
    finished = command("run", "--once", "--config", config)
    assert finished.code == 0
    assert [line["file"] for line in finished.log if line["event"] == "file.resumed"] == ["many.xml"]
    assert [len(payments_of(sandbox, name)) for name in names] == [1] * len(names)
    assert len(sandbox.books()["writes"]) == len(names)
    assert numbers(one(files(folders.success))) == names
    assert list(folders.work.iterdir()) == files(folders.fail) == []
    (totals,) = [line for line in finished.log if line["event"] == "file.finished"]
    assert (totals["applied"], totals["unchanged"], totals["failed"]) == ("6000.00", "0.00", "0.00")


@pytest.mark.parametrize(
    ("fault", "method", "seen"),
    [
        pytest.param(SILENT_BEFORE, "GET", "", id="a look-up without an answer"),
        pytest.param(SILENT_AFTER, "POST", "", id="a POST without an answer"),
        pytest.param(too_many("600"), "GET", "connectwise.slowed", id="ten minutes asked for by a 429"),
        pytest.param(UNAVAILABLE_503, "GET", "connectwise.retry", id="the pause before a retry"),
        pytest.param(WRONG_KEYS_401, "GET", "line.waiting", id="the back-off of an outage"),
    ],
)
def test_sigterm_ends_any_wait_for_connectwise(folders, sandbox, fault, method, seen):
    """Whatever the daemon waits for, it ends in time with 0, and the next one finishes what is claimed, once."""
    drop(folders.inbox, "pay.xml", document(("CW-1", "100.00"), ("CW-2", "50.00")))
    with Unreliable(sandbox.url, Strike(fault, method)) as network:
        config = configure(folders, network.url, connectwise={"timeout_seconds": 60})
        with Daemon(config) as daemon:
            network.wait_for(1, method)
            if seen:
                daemon.event(seen)
            asked = time.monotonic()
            assert daemon.end() == 0
            assert time.monotonic() - asked < END_SECONDS
            assert daemon.event("service.stopped")
        network.strike()
        assert command("run", "--once", "--config", config).code == 0
    assert [len(payments_of(sandbox, number)) for number in ("CW-1", "CW-2")] == [1, 1]
    assert numbers(one(files(folders.success))) == ["CW-1", "CW-2"]
    assert list(folders.work.iterdir()) == []
