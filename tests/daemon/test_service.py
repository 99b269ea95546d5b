"""The daemon as its users meet it: files that arrive, signals, systemd, outages, a second daemon."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.connectwise import invoice, payments_of
from support.documents import document, drop, files, numbers, one
from support.network import (
    SILENT_AFTER,
    SILENT_BEFORE,
    UNAVAILABLE_503,
    WRONG_KEYS_401,
    Hurry,
    Strike,
    Unreliable,
    too_many,
)
from support.program import END_SECONDS, PATIENCE, Daemon, alone, command, configure, environment, program, until

from watcher.daemon.service import Service
from watcher.errors import Unreachable
from watcher.events.catalogue import Event
from watcher.folders.spool import Spool
from watcher.inbox.observer import Observer
from watcher.inbox.scan import MARKER, Inbox
from watcher.journal.ledger import Journal
from watcher.lifetime import Systemd

SLOW = 0.1


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    alone(monkeypatch, tmp_path)


@pytest.fixture
def sandbox(start_sandbox):
    """A ConnectWise with three open invoices."""
    return start_sandbox(*(invoice(f"CW-{number}", "100.00") for number in (1, 2, 3)))


def at(line):
    """Give the time of a log line in Unix seconds."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


# --- files that arrive -----------------------------------------------------------------------------------------


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
                file.write(content[start : start + 60])
            written = time.time()
            claimed = at(daemon.event("file.claimed"))
        daemon.event("file.finished", outcome="succeeded")
    assert written + 0.9 <= claimed <= written + 1 + 2


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


# --- systemd and signals ---------------------------------------------------------------------------------------


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
import structlog
from watcher.inbox.observer import Observer
from watcher.daemon.service import Service, Systemd

structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
stop = threading.Event()
observer = Observer(Path("."), "off")
service = Service(
    None, observer, None, None, None, stop=stop, systemd=Systemd(), scan_seconds=1, batch_bytes=1
)
service.catch_signals()
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
assert stop.wait(5)
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
        timeout=END_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "ended" in ended.stdout.splitlines()


def test_ready_waits_for_the_inbox(folders, sandbox):
    """While the inbox is missing, the daemon waits, is not ready and makes no folder; it goes on once there is one."""
    config = configure(folders, sandbox.url)
    folders.inbox.rmdir()
    with Daemon(config) as daemon:
        waiting = daemon.event("line.waiting")
        assert str(folders.inbox) in waiting["reason"]
        assert waiting["mend"]
        assert "READY=1" not in [message for _, message in daemon.told]
        assert not folders.inbox.exists()
        folders.inbox.mkdir()
        daemon.tells("READY=1")
        daemon.event("line.moving")
        assert (folders.inbox / MARKER).is_file()


def test_a_stop_in_the_middle_loses_and_doubles_nothing(folders, start_sandbox):
    """SIGTERM during a file of many payments ends the daemon in time; the next run finishes each payment once."""
    names = [f"CW-{number:03}" for number in range(24)]
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
    assert (totals["applied"], totals["unchanged"], totals["failed"]) == ("2400.00", "0.00", "0.00")


# --- outages ---------------------------------------------------------------------------------------------------


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
        assert daemon.tells("STATUS=Waiting since ")[1].endswith(f"{waiting['reason']}. {waiting['mend']}.")
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
    """A share without a lock manager does not keep its files from being paid; that nobody is kept off it is said."""

    def refuse(_descriptor, _how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
    done = command("run", "--once", "--config", configure(folders, sandbox.url))
    assert done.code == 0, done.err
    assert [line["inbox"] for line in done.log if line["event"] == "inbox.not_locked"] == [str(folders.inbox)]
    assert len(payments_of(sandbox, "CW-1")) == 1


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


class Clock(Hurry):
    """The time of a loop's waits, and the pauses between its looks at ConnectWise."""

    def __init__(self, until):
        super().__init__()
        self._until = until

    def wait(self, timeout=None):
        """Let the time pass, and end the loop after so many seconds."""
        super().wait(timeout)
        if self.now > self._until:
            self.set()
        return self.is_set()


class Failing:
    """A pipeline that meets an outage in every turn, after it has decided some records.

    Args:
        clock: the time of the loop.
        decides: how many records each turn decides, by its ordinal.
    """

    def __init__(self, clock, decides=lambda turn: 0):
        self.advanced = 0
        self.turns = []
        self._clock = clock
        self._decides = decides

    def clear_emptied(self):
        """Meet the outage."""
        self.turns.append(self._clock.now)
        self.advanced += self._decides(len(self.turns))
        raise Unreachable("ConnectWise is away", "request-1")


def waiting_line(folders, tmp_path, seconds, **failing):
    """Let a loop meet nothing but outages for some seconds; give when it tried, and what it logged."""
    clock = Clock(seconds)
    pipeline = Failing(clock, **failing)
    journal = Journal(f"sqlite:///{tmp_path / 'journal.db'}")
    service = Service(
        Inbox(folders.inbox, unfinished=lambda _content: None),
        Observer(folders.inbox, "off"),
        Spool(folders),
        journal,
        pipeline,
        stop=clock,
        systemd=Systemd(),
        scan_seconds=1,
        batch_bytes=1,
        clock=clock.clock,
    )
    with closing(journal), capture_logs() as logs:
        service.run()
    return pipeline.turns, logs


def test_the_pauses_of_an_outage_grow_to_five_minutes_and_it_is_told_of_now_and_then(folders, tmp_path):
    """Pauses double with chance in them, none is longer than five minutes; the log is reminded about every hour."""
    turns, logs = waiting_line(folders, tmp_path, 4 * 3600)
    pauses = [after - before for before, after in pairwise(turns)]
    for ordinal, pause in enumerate(pauses):
        longest = min(300, 2 * 2**ordinal)
        assert longest / 2 <= pause <= longest
    assert len(set(pauses[10:])) > 10, "there is no chance in the pauses"
    told = [line for line in logs if line["event"] == "line.waiting"]
    assert len(told) == 4
    assert {(line["reason"], line["request_id"]) for line in told} == {("ConnectWise is away", "request-1")}
    assert not [line for line in logs if line["event"] == "line.moving"]


def test_a_line_that_moves_between_two_outages_begins_again_with_a_short_pause(folders, tmp_path):
    """Payments that went through ended the outage before; what comes after them is another one."""
    turns, logs = waiting_line(folders, tmp_path, 600, decides=lambda turn: turn == 6)
    pauses = [after - before for before, after in pairwise(turns)]
    assert 16 <= pauses[4] <= 32
    assert 1 <= pauses[5] <= 2
    told = [line["event"] for line in logs if line["event"].startswith("line.")]
    assert told == ["line.waiting", "line.moving", "line.waiting"]


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


# --- a second daemon -------------------------------------------------------------------------------------------


def test_a_second_daemon_refuses_and_names_the_holder(folders, sandbox, tmp_path):
    """On the same inbox or journal a second daemon ends with 78 and names the first's process, until that is gone."""
    (tmp_path / "inbox2").mkdir()
    with Daemon(configure(folders, sandbox.url)) as daemon:
        daemon.tells("READY=1")
        other = configure(folders, sandbox.url, journal={"url": f"sqlite:///{tmp_path / 'other.db'}"})
        same_inbox = command("run", "--config", other)
        other = configure(folders, sandbox.url, folders={"inbox": str(tmp_path / "inbox2")})
        same_journal = command("run", "--once", "--config", other)
        for refused, held in ((same_inbox, folders.inbox), (same_journal, "journal.db")):
            assert refused.code == 78
            assert f"process {daemon.pid} " in refused.err
            assert str(held) in refused.err
        drop(folders.inbox, "still.xml", document(("CW-1", "100.00")))
        assert daemon.event("file.finished")["file"] == "still.xml"
        daemon.process.kill()
        daemon.process.wait(PATIENCE)
    assert command("run", "--once", "--config", configure(folders, sandbox.url)).code == 0


# --- run --once ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dropped", "code"),
    [
        pytest.param({}, 0, id="an empty inbox"),
        pytest.param({"a.xml": document(("CW-1", "100.00")), "b.xml": document(("CW-2", "1.00"))}, 0, id="all good"),
        pytest.param({"a.xml": document(("CW-1", "1.00"), ("CW-404", "1.00"))}, 1, id="a payment failed"),
        pytest.param({"a.xml": b"<Orders/>"}, 2, id="an unusable file"),
        pytest.param({"a.xml": b"<Orders/>", "b.xml": document(("CW-404", "1.00"))}, 1, id="both"),
    ],
)
def test_run_once_ends_with_what_became_of_the_files(folders, sandbox, dropped, code):
    """A single run handles every file in the inbox and ends with the exit code of apply."""
    for name, content in dropped.items():
        drop(folders.inbox, name, content)
    assert command("run", "--once", "--config", configure(folders, sandbox.url)).code == code
    assert files(folders.inbox) == list(folders.work.iterdir()) == []
    assert len(files(folders.archive)) == len(dropped)


def test_run_once_leaves_an_incomplete_file_where_it_is(folders, sandbox):
    """A file that is not whole yet stays in the inbox for the next run, and fails nothing."""
    half = folders.inbox / "half.xml"
    half.write_bytes(document(("CW-1", "100.00"))[:-20])
    drop(folders.inbox, "whole.xml", document(("CW-2", "100.00")))
    ended = command("run", "--once", "--config", configure(folders, sandbox.url))
    assert ended.code == 0
    assert files(folders.inbox) == [half]
    assert [line["file"] for line in ended.log if line["event"] == "file.waiting"] == ["half.xml"]
    assert [len(files(folder)) for folder in (folders.success, folders.fail, folders.archive)] == [1, 0, 1]


@pytest.mark.parametrize(
    ("fault", "code"), [("down", 69), ("wrong key", 77), ("no work folder", 78), ("no marker", 78)]
)
def test_run_once_ends_where_the_daemon_would_wait(folders, sandbox, fault, code):
    """An outage ends run --once with the code of its owner; no file fails for it, and the next run finishes it."""
    config = configure(folders, sandbox.url)
    assert command("run", "--once", "--config", config).code == 0
    marker = (folders.inbox / MARKER).read_bytes()
    drop(folders.inbox, "waits.xml", document(("CW-1", "100.00")))
    if fault == "down":
        sandbox.stop()
    elif fault == "wrong key":
        configure(folders, sandbox.url, connectwise={"private_key": "not-the-private-key"})
    elif fault == "no work folder":
        folders.work.rmdir()
    else:
        (folders.inbox / MARKER).unlink()
    ended = command("run", "--once", "--config", config)
    assert ended.code == code
    assert ended.err
    assert files(folders.fail, "") == files(folders.success, "") == []
    sandbox.start()
    folders.work.mkdir(exist_ok=True)
    (folders.inbox / MARKER).write_bytes(marker)
    assert command("run", "--once", "--config", configure(folders, sandbox.url)).code == 0
    assert len(payments_of(sandbox, "CW-1")) == len(files(folders.success)) == 1


def test_a_missing_journal_folder_is_made(folders, sandbox, tmp_path):
    """The journal's folder is the program's own: run makes it where it is missing."""
    url = f"sqlite:///{tmp_path / 'state' / 'deep' / 'journal.db'}"
    assert command("run", "--once", "--config", configure(folders, sandbox.url, journal={"url": url})).code == 0
    assert Path(tmp_path, "state", "deep", "journal.db").is_file()


def test_a_damaged_journal_ends_the_daemon_and_without_it_the_work_goes_on(folders, sandbox, tmp_path):
    """Damage ends the daemon with 78, which systemd does not restart; the journal moved away, all is done, once."""
    config = configure(folders, sandbox.url)
    drop(folders.inbox, "first.xml", document(("CW-1", "100.00")))
    assert program("run", "--once", "--config", config, folder=tmp_path).code == 0
    journal = tmp_path / "journal.db"
    with closing(sqlite3.connect(journal)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = journal.read_bytes()
    journal.write_bytes(content[:4096] + b"\x5a" * (len(content) - 4096))
    drop(folders.inbox, "second.xml", document(("CW-1", "100.00"), ("CW-2", "50.00")))
    refused = command("run", "--once", "--config", config)
    assert refused.code == 78
    for said in (str(journal), "malformed", "move a damaged journal away", "nothing is paid twice"):
        assert said in refused.err
    assert files(folders.inbox) == [folders.inbox / "second.xml"]
    journal.rename(tmp_path / "damaged.db")
    assert command("run", "--once", "--config", config).code == 0
    assert [len(payments_of(sandbox, number)) for number in ("CW-1", "CW-2")] == [1, 1]
    assert len(files(folders.success)) == 2


def test_a_journal_that_cannot_be_opened_is_a_fault_of_the_configuration(folders, sandbox, tmp_path):
    """A journal below what is no folder ends with exit code 78 and names the setting, not with a traceback."""
    (tmp_path / "file").write_text("no folder")
    url = f"sqlite:///{tmp_path / 'file' / 'journal.db'}"
    ended = command("run", "--once", "--config", configure(folders, sandbox.url, journal={"url": url}))
    assert ended.code == 78
    assert "journal" in ended.err
