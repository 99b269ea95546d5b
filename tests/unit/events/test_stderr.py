"""Standard error that nobody reads, or that is systemd's journal."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress

import pytest
from support.program import environment, restored

from watcher.events import log as logs
from watcher.events import stderr
from watcher.events.stderr import Outlet, StandardError

# What a program logs below, by a script of its own: its standard error is a pipe or a socket of the test's.
ALL_LEVELS = """
import structlog
from watcher.events import log
log.set_up("debug", "{style}")
for level in ("debug", "info", "warning", "error", "critical"):
    getattr(structlog.get_logger(), level)("line.waiting", reason="a reason")
raise ValueError("an error that nobody catches")
"""


@pytest.fixture
def pipe():
    """A pipe of one page: its two ends."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


@pytest.fixture
def logger():
    """Log to an outlet through the whole way of the log."""
    with restored():

        def start(outlet):
            logs.set_up("debug", "json")
            root = logging.getLogger()
            handler = StandardError(outlet, journal=False)
            handler.setFormatter(root.handlers[0].formatter)
            root.handlers[:] = [handler]
            return root

        yield start


def read_all(descriptor, ended):
    """Read lines from a descriptor until one satisfies a condition."""
    content = b""
    while not ended(content):
        content += os.read(descriptor, 65536)
    return content.splitlines()


def test_lines_are_written_at_once_and_in_order_while_somebody_reads(pipe):
    """Nothing waits, and no thread is started."""
    before = threading.active_count()
    outlet = Outlet(pipe[1])
    for number in range(100):
        outlet.write(b"%d\n" % number)
    assert threading.active_count() == before
    assert os.read(pipe[0], 65536).split() == [b"%d" % number for number in range(100)]


def test_lines_that_nobody_reads_wait_and_come_in_order(pipe):
    """No call waits for the reader; once it reads, every line is there, whole and in its place."""
    outlet = Outlet(pipe[1])
    sent = [b"%06d %s" % (number, b"x" * (number % 9000)) for number in range(150)]
    begun = time.monotonic()
    for line in sent:
        outlet.write(line + b"\n")
    assert time.monotonic() - begun < 1
    assert read_all(pipe[0], lambda content: content.count(b"\n") == len(sent)) == sent


def test_lines_that_are_too_much_are_dropped_and_counted(pipe, logger, monkeypatch):
    """What comes is the beginning, whole; then how many are missing; then what is logged from then on."""
    monkeypatch.setattr(stderr, "_MOST_WAITING", 100_000)
    root = logger(Outlet(pipe[1]))
    for number in range(2000):
        root.info("%d %s", number, "x" * 200)
    lines = [json.loads(line) for line in read_all(pipe[0], lambda content: b"log.dropped" in content)]
    root.info("afterwards")
    told = lines.pop()
    assert [line["event"].split()[0] for line in lines] == [str(number) for number in range(len(lines))]
    assert (told["event"], told["level"], told["lines"]) == ("log.dropped", "warning", 2000 - len(lines))
    assert b"afterwards" in os.read(pipe[0], 65536)


def test_the_rest_of_a_line_that_is_begun_is_never_dropped(pipe, monkeypatch):
    """A line longer than the pipe and than the memory comes whole: half of it would spoil the next one."""
    monkeypatch.setattr(stderr, "_MOST_WAITING", 1000)
    outlet = Outlet(pipe[1])
    outlet.write(b"x" * 200_000 + b"\n")
    assert read_all(pipe[0], lambda content: content.endswith(b"\n")) == [b"x" * 200_000]


def test_a_reader_that_is_gone_and_another_that_comes_lose_nothing(tmp_path, monkeypatch):
    """A named pipe is read by another program after a while."""
    monkeypatch.setattr(stderr, "_AGAIN_SECONDS", 0.01)
    place = tmp_path / "pipe"
    os.mkfifo(place)
    reader = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(place, os.O_WRONLY)
    outlet = Outlet(writer)
    os.close(reader)
    outlet.write(b"one\n")
    outlet.write(b"two\n")
    reader = os.open(place, os.O_RDONLY)
    assert read_all(reader, lambda content: content.count(b"\n") == 2) == [b"one", b"two"]
    os.close(writer)
    os.close(reader)


def test_a_reader_that_is_gone_costs_next_to_nothing(pipe):
    """What waits is tried again now and then, and not without end."""
    os.close(pipe[0])
    outlet = Outlet(pipe[1])
    outlet.write(b"lost\n")
    begun = time.process_time()
    outlet.flush(0.3)
    assert time.process_time() - begun < 0.1
    # Its thread must not write to what gets the descriptor next.
    outlet._waiting.clear()


def test_the_end_of_the_process_waits_for_the_last_lines_and_not_for_ever(pipe):
    """A reader that is slow gets them; one that hangs holds up the end for half a second."""
    outlet = Outlet(pipe[1])
    for _ in range(20):
        outlet.write(b"x" * 8000 + b"\n")
    begun = time.monotonic()
    outlet.flush()
    assert 0.4 < time.monotonic() - begun < 2
    slow = threading.Timer(0.05, lambda: read_all(pipe[0], lambda content: content.count(b"\n") == 20))
    slow.start()
    outlet.flush(5)
    assert not outlet._waiting
    slow.join()


def test_an_error_that_nobody_catches_still_appears(tmp_path):
    """The last line of a program that crashes is there, though it ends at once."""
    ran = run(ALL_LEVELS.format(style="json"), tmp_path, stderr=subprocess.PIPE)
    last = json.loads(ran.stderr.splitlines()[-1])
    assert last["event"] == "service.crashed"
    assert "ValueError: an error that nobody catches" in last["exception"]


@pytest.mark.parametrize("style", ["json", "console"])
def test_in_the_journal_each_line_has_its_priority(tmp_path, style):
    """The marks are those of sd-daemon(3), on every line of a traceback too."""
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        facts = os.fstat(theirs.fileno())
        run(ALL_LEVELS.format(style=style), tmp_path, stderr=theirs, JOURNAL_STREAM=f"{facts.st_dev}:{facts.st_ino}")
        theirs.shutdown(socket.SHUT_WR)
        lines = ours.makefile(encoding="utf-8").read().splitlines()
    assert [line[:3] for line in lines[:5]] == ["<7>", "<6>", "<4>", "<3>", "<2>"]
    assert {line[:3] for line in lines[5:]} == {"<2>"}
    assert (len(lines) == 6) == (style == "json")


def test_elsewhere_no_line_has_a_priority(tmp_path):
    """$JOURNAL_STREAM is inherited by programs whose standard error leads somewhere else."""
    ran = run(ALL_LEVELS.format(style="json"), tmp_path, stderr=subprocess.PIPE, JOURNAL_STREAM="1:2")
    assert {line[:1] for line in ran.stderr.decode().splitlines()} == {"{"}


def run(script, folder, **options):
    """Run a script with a standard error of the test's."""
    env = environment(folder, **{name: options.pop(name) for name in list(options) if name.isupper()})
    return subprocess.run([sys.executable, "-c", script], check=False, env=env, **options)
