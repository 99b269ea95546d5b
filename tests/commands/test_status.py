"""The status command: how things are, whether or not the daemon runs."""

from __future__ import annotations

import json
import os
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from support.documents import document, drop, one
from support.program import PATIENCE, Daemon, command, configure

from watcher.actions.status import Level
from watcher.disk.lock import lock_file


def status(config):
    """Return what status --json says. Its exit code says how well things are."""
    ended = command("status", "--json", "--config", config)
    said = json.loads(ended.out)
    assert ended.code == Level[said["level"].upper()]
    return said


def test_looking_before_the_first_start_makes_nothing(folders, sandbox):
    """No daemon runs and no file is done. Looking makes no journal and no marker."""
    config = configure(folders, sandbox.url)
    said = status(config)
    assert (said["running"], said["line"], said["waiting"], said["finished"]) == (None, None, [], [])
    assert list(folders.inbox.iterdir()) == []


def test_finished_and_waiting_files_are_shown(folders, sandbox):
    """The table and the JSON show what a file came to, and what still lies in the inbox."""
    config = configure(folders, sandbox.url)
    drop(folders.inbox, "done.xml", document(("CW-1", "100.00"), ("CW-404", "5.00")))
    drop(folders.inbox, "half.xml", b"<ArrayOfUpdateInvoicePayment>")
    assert command("run", "--once", "--config", config).code == 1
    said = status(config)
    (finished,) = said["finished"]
    assert (finished["name"], finished["succeeded"], finished["rejected"]) == ("done.xml", 1, 1)
    assert (finished["asked"], finished["failed"]) == ("105.00", "5.00")
    assert [file["name"] for file in said["waiting"]] == ["half.xml"]
    assert said["line"]["state"] == "stopped"
    shown = command("status", "--config", config).out
    assert "not running" in shown
    assert shown.startswith("Down: no daemon runs")
    assert all(text in shown for text in ("done.xml", "half.xml", "105.00", "5.00"))


def test_exit_code_is_for_monitoring(folders, sandbox):
    """0 while a daemon runs and nothing needs attention; 1 for a payment that failed and is unpaid; 2 without one."""
    config = configure(folders, sandbox.url)
    with Daemon(config) as daemon:
        daemon.event("inbox.watching")
        said = status(config)
        assert (said["level"], said["sentence"]) == ("well", "Well: nothing needs attention.")
        assert datetime.now(UTC) - datetime.fromisoformat(said["moved_at"]) < timedelta(minutes=1)
        drop(folders.inbox, "a.xml", document(("CW-404", "5.00")))
        daemon.event("file.finished")
        said = status(config)
        assert (said["level"], said["sentence"]) == (
            "attention",
            "Needs attention: 1 payment failed and is still unpaid.",
        )
        os.utime(lock_file(folders.inbox.parent / "journal.db"), (0, 0))
        assert status(config)["sentence"].startswith("Down: the daemon is there, but has given no sign of life for ")
    assert status(config)["level"] == "down"


def test_amounts_that_cannot_be_read_are_shown_as_they_stand(folders, sandbox):
    """No view counts them as 0.00: the sums say how many they lack, also after the daemon has ended."""
    config = configure(folders, sandbox.url)
    drop(folders.inbox, "wrong.xml", document(("CW-1", "1,346.34"), ("CW-2", "£5")))
    ended = command("run", "--once", "--config", config)
    (line,) = [line for line in map(json.loads, ended.err.splitlines()) if line["event"] == "file.finished"]
    assert (line["asked"], line["unreadable_amounts"]) == ("0.00", 2)
    said = status(config)
    assert [(file["asked"], file["unreadable"]) for file in said["finished"]] == [("0.00", 2)]
    assert [(one["asked"], one["asked_as_written"]) for one in said["unpaid"]] == [(None, "1,346.34"), (None, "£5")]
    shown = " ".join(command("status", "--config", config).out.split())
    assert "1,346.34" in shown
    assert "2 amounts" in shown
    assert "1,346.34" in command("history", "CW-1", "--json", "--config", config).out
    receipt = json.loads(one(folders.archive.rglob("*.receipt.json")).read_bytes())
    assert receipt["totals"]["unreadable_amounts"] == 2


def test_an_outage_is_shown_with_its_time_reason_and_mend(folders, sandbox):
    """While the daemon waits and holds the journal, status shows why, and what is in work."""
    config = configure(folders, sandbox.url, connectwise={"private_key": "refused"})
    drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
    with Daemon(config) as daemon:
        daemon.event("line.waiting")
        said = status(config)
        assert f"process {daemon.process.pid} " in said["running"]
    line = said["line"]
    assert line["state"] == "waiting"
    assert "401" in line["reason"]
    assert "private_key" in line["mend"]
    assert datetime.now(UTC) - datetime.fromisoformat(line["since"]) < timedelta(minutes=1)
    (claimed,) = said["claimed"]
    assert (claimed["name"], claimed["records"], claimed["decided"]) == ("pay.xml", 1, 0)


@pytest.fixture
def in_calcutta(monkeypatch):
    """Let the clocks of this machine be five and a half hours ahead of UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_calcutta")
def test_the_next_try_of_an_outage_is_shown_in_utc_and_local_time(folders, sandbox):
    """Log, JSON and text name the same moment; a daemon that was killed tries nothing any more."""
    config = configure(folders, sandbox.url, connectwise={"private_key": "refused"})
    drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
    with Daemon(config, TZ="Asia/Kolkata") as daemon:
        logged = datetime.fromisoformat(daemon.event("line.waiting")["next_try_at"])
        said, shown = status(config), command("status", "--config", config).out
        _, told = daemon.tells("STATUS=Waiting since")
        daemon.process.kill()
        daemon.process.wait()
    assert status(config)["line"]["next_try_at"] is None
    following = datetime.fromisoformat(said["line"]["next_try_at"])
    assert timedelta() <= following - logged < timedelta(seconds=PATIENCE)
    ((local, utc),) = re.findall(r"[Nn]ext try.*?(\S+ \S+) \((.*) UTC\)", shown)
    assert (datetime.fromisoformat(local) - timedelta(hours=5, minutes=30)).strftime("%H:%M") == utc.split()[-1]
    assert told.endswith(" UTC).")


def test_a_folder_that_cannot_be_looked_at_is_a_trouble(folders, sandbox):
    """If the inbox is missing, status says so with a mend and shows everything else."""
    config = configure(folders, sandbox.url)
    folders.inbox.rmdir()
    assert str(folders.inbox) in status(config)["troubles"][0]
    assert "Make it, or mount the share" in " ".join(command("status", "--config", config).out.split())
