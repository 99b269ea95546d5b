"""The retry command: a person lets the daemon try ConnectWise now."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.connectwise import payments_of
from support.documents import document, drop
from support.program import Daemon, command, configure

from watcher.actions import retry as action
from watcher.cli.commands import CONFIGURATION, SOME_FAILED

# Holds the lock that its argument names, as a command does that works in the daemon's place, and says so.
HOLDS = """
import pathlib, sys
from watcher.disk.lock import holding
with holding(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_pause_of_an_outage_ends(folders, sandbox):
    """The file that waits is paid at once, and the command names the process that it asked."""
    config = configure(folders, sandbox.url)
    sandbox.stop()
    drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
    with Daemon(config) as daemon:
        daemon.event("line.waiting")
        sandbox.start()
        said = command("retry", "--config", config)
        assert (said.code, said.err) == (0, "")
        assert f"The daemon (process {daemon.pid}) tries now." in " ".join(said.out.split())
        assert daemon.event("file.finished")["outcome"] == "succeeded"
        assert daemon.end() == 0
    assert len(payments_of(sandbox, "CW-1")) == 1


def test_no_daemon_is_asked_if_none_runs(folders, sandbox):
    """The command says so, before the first start as well as after an end."""
    config = configure(folders, sandbox.url)
    for _ in range(2):
        said = command("retry", "--config", config)
        assert said.code == SOME_FAILED
        assert said.out.startswith("No daemon runs")
        command("run", "--once", "--config", config)


def test_a_configuration_that_cannot_be_used_is_reported(tmp_path):
    """The exit code is that of every command."""
    assert command("retry", "--config", tmp_path / "gone.toml").code == CONFIGURATION


@pytest.fixture
def lock(tmp_path):
    """A lock file of a journal."""
    return tmp_path / "journal.db.lock"


def test_a_process_that_does_not_expect_it_is_left_alone(lock):
    """The signal would end a command that works in the daemon's place."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stdout.readline() == "held\n"
        said, tries = action.ask(lock)
        assert not tries
        assert said.startswith(f"Process {process.pid} holds the journal, and is no daemon")
        process.stdin.close()
        assert process.wait() == 0


def test_a_process_that_only_has_the_number_is_left_alone(lock):
    """The holder may be on another machine, or in a container: its number is another process's here."""
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other,
        subprocess.Popen(
            [sys.executable, "-c", HOLDS, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        ) as process,
    ):
        process.stdout.readline()
        lock.write_text(f"process {other.pid} on elsewhere since 2026-09-01T09:00:00+00:00\n", encoding="ascii")
        said, tries = action.ask(lock)
        assert not tries
        assert f"process {other.pid} on elsewhere" in said
        other.communicate(b"\n")
        assert other.returncode == 0
        process.stdin.close()
