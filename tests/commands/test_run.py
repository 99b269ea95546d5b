"""``run`` as it is typed: the configuration it uses, and how it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.connectwise import invoice, payments_of
from support.documents import document, drop, files, numbers
from support.needs import needs
from support.program import PATIENCE, command, configure, environment, program
from support.results import FAIL, SUCCESS

GOOD = document(("CW-1", "100.00"))


def test_configuration_of_the_working_directory_is_used(settings, sandbox, folders):
    """Without --config, payment-watcher.toml of the working directory counts."""
    drop(folders.inbox, "a.xml", GOOD)
    assert settings.parent == Path.cwd()
    assert command("run", "--once").code == 0
    assert len(files(folders.success)) == len(payments_of(sandbox, "CW-1")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("arguments", [("apply", "many.xml"), ("run", "--once")], ids=" ".join)
def test_interrupted_command_says_so_and_can_be_given_again(folders, start_sandbox, tmp_path, arguments, number):
    """SIGTERM or Ctrl-C in the middle ends with 130, not as if all were done; the same again sets the rest once."""
    invoices = [f"CW-{number:02}" for number in range(24)]
    sandbox = start_sandbox(*(invoice(number, "100.00") for number in invoices), latency=0.1)
    settings = configure(folders, sandbox.url)
    content = document(*((number, "100.00") for number in invoices))
    (tmp_path / "many.xml").write_bytes(content)
    drop(folders.inbox, "many.xml", content)
    ended = program(
        *arguments,
        "--config",
        settings,
        folder=tmp_path,
        stop_when=lambda: len(sandbox.books()["writes"]) >= 3,
        stop_with=number,
    )
    written = len(sandbox.books()["writes"])
    assert 3 <= written < len(invoices)
    assert ended.code == 130
    if arguments[0] == "apply":
        assert len(numbers(tmp_path / SUCCESS)) == written
        assert numbers(tmp_path / FAIL) == []
        assert f"{len(invoices) - written} waiting" in ended.err
    assert command(*arguments, "--config", settings).code == 0
    assert [len(payments_of(sandbox, number)) for number in invoices] == [1] * len(invoices)
    assert len(sandbox.books()["writes"]) == len(invoices)


@pytest.mark.parametrize(("error", "ends"), [("EIO", 0), ("EACCES", 78)], ids=["passes by itself", "stays"])
def test_the_journals_lock_that_cannot_be_opened_at_the_start(settings, sandbox, folders, tmp_path, error, ends):
    """A disk that fails for a moment is waited out, and the log says so. What a person has to mend ends the program."""
    drop(folders.inbox, "a.xml", GOOD)
    assert command("run", "--once", "--config", settings).code == 0
    drop(folders.inbox, "b.xml", document(("CW-2", "100.00")))
    (lock,) = settings.parent.rglob("journal.db.lock")
    struck = [needs("strace"), "-f", "-qq", "-o", str(tmp_path / "trace"), "-P", str(lock), "-e", "trace=openat"]
    struck += ["-e", f"inject=openat:error={error}:when={'1..2' if ends == 0 else '1+'}"]
    daemon = [sys.executable, "-m", "watcher", "run", "--once", "--config", str(settings)]
    done = subprocess.run([*struck, *daemon], env=environment(tmp_path), capture_output=True, text=True, check=False)
    if "PTRACE" in done.stderr:
        pytest.skip(f"strace does not work here: {done.stderr.strip()}")
    assert done.returncode == ends
    assert done.stderr.count("line.waiting") == (ends == 0)
    assert str(lock) in done.stderr
    assert len(payments_of(sandbox, "CW-2")) == (ends == 0)


def test_a_daemon_that_waits_for_its_journals_disk_can_be_ended(settings, tmp_path, folders, sandbox):
    """SIGTERM ends it in order, with 0, although it has not started."""
    assert command("run", "--once", "--config", settings).code == 0
    (lock,) = settings.parent.rglob("journal.db.lock")
    struck = [needs("strace"), "-f", "-qq", "-o", str(tmp_path / "trace"), "-P", str(lock), "-e", "trace=openat"]
    daemon = [sys.executable, "-m", "watcher", "run", "--config", str(settings)]
    with subprocess.Popen(
        [*struck, "-e", "inject=openat:error=EIO", *daemon],
        env=environment(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        if "line.waiting" not in (said := process.stderr.readline()):
            pytest.skip(f"strace does not work here: {said.strip()}")
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
