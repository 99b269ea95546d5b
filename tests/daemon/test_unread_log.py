"""A daemon whose log nobody reads."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys

from support.connectwise import invoice, payments_of
from support.documents import document, drop, files
from support.program import END_SECONDS, configure, environment, until


def test_a_log_that_nobody_reads_holds_up_no_payment(folders, start_sandbox):
    """All payments are made, the daemon ends in order, and whoever reads in the end finds what was logged."""
    numbers = [f"LOG-{number}" for number in range(120)]
    sandbox = start_sandbox(*(invoice(number, "5.00") for number in numbers))
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    config = configure(folders, sandbox.url)
    daemon = subprocess.Popen(
        [sys.executable, "-m", "watcher", "run", "--config", str(config)],
        env=environment(folders.inbox.parent),
        stderr=writer,
    )
    os.close(writer)
    try:
        drop(folders.inbox, "pay.xml", document(*((number, "1.00") for number in numbers)))
        until(lambda: files(folders.archive))
        assert all(payments_of(sandbox, number) for number in numbers)
        with os.fdopen(reader, encoding="utf-8") as log:
            until(lambda: json.loads(log.readline())["event"] == "file.finished")
            daemon.terminate()
            events = [json.loads(line)["event"] for line in log]
        assert events[-1] == "service.stopped"
    finally:
        daemon.kill()
        daemon.wait(END_SECONDS)


def test_a_daemon_whose_log_nobody_reads_ends_in_time(folders, sandbox):
    """The lines that wait are given up."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    # No room is left from the beginning.
    os.write(writer, b"x" * 4096)
    daemon = subprocess.Popen(
        [sys.executable, "-m", "watcher", "run", "--config", str(configure(folders, sandbox.url))],
        env=environment(folders.inbox.parent),
        stderr=writer,
    )
    try:
        drop(folders.inbox, "pay.xml", document(("CW-1", "1.00")))
        until(lambda: files(folders.archive))
        daemon.terminate()
        assert daemon.wait(END_SECONDS) == 0
    finally:
        daemon.kill()
        daemon.wait(END_SECONDS)
        os.close(reader)
        os.close(writer)
