"""What people are told without asking: by real mail, over real HTTP, and what is left unsaid."""

from __future__ import annotations

import json
import queue
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from support.documents import document, drop, files, one
from support.network import free_port
from support.program import PATIENCE, Daemon, command, configure

from watcher.cli.commands import CONFIGURATION, SOME_FAILED
from watcher.events.catalogue import Event
from watcher.events.notices import Notice, Reporter, digest


@contextmanager
def web():
    """Receive JSON posts; yields an Apprise address and the queue of what came."""
    came = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            came.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"json://127.0.0.1:{server.server_port}", came
        finally:
            server.shutdown()


@contextmanager
def mail():
    """Receive mail; yields an Apprise address and the queue of what came."""
    came = queue.Queue()

    class Handler:
        async def handle_DATA(self, _server, _session, envelope):  # noqa: N802  (aiosmtpd fixes the name)
            came.put(envelope.content.decode())
            return "250 taken"

    port = free_port()
    controller = Controller(Handler(), hostname="127.0.0.1", port=port, ready_timeout=PATIENCE)
    controller.start()
    try:
        yield f"mailto://127.0.0.1:{port}?from=watcher@example.com&to=books@example.com&mode=insecure", came
    finally:
        controller.stop()


def test_a_file_with_failures_is_told_of_by_mail_and_web(folders, sandbox):
    """One message a file: which invoices, why, and where the fail file lies; none for a file that succeeded."""
    with web() as (address, posts), mail() as (postbox, mails):
        config = configure(folders, sandbox.url, notify={"urls": [address, postbox]})
        drop(folders.inbox, "good.xml", document(("CW-1", "10.00")))
        assert command("run", "--once", "--config", config).code == 0
        drop(folders.inbox, "pay.xml", document(("CW-1", "100.00"), ("CW-404", "5.00"), ("CW-405", "x")))
        assert command("run", "--once", "--config", config).code == SOME_FAILED
        post, letter = posts.get(timeout=PATIENCE), mails.get(timeout=PATIENCE)
    assert post["title"] == "pay.xml: 2 payments of 3 failed (5.00 of 105.00)"
    assert "CW-404, 5.00: Cannot find Invoice Number CW-404" in post["message"]
    assert str(one(files(folders.fail))) in post["message"]
    assert "pay.xml" in letter
    assert "CW-404" in letter
    assert posts.empty()


def test_a_refused_file_is_told_of_with_its_reason(folders, sandbox):
    """What is no payment document needs a person as well."""
    with web() as (address, posts):
        config = configure(folders, sandbox.url, notify={"urls": [address]})
        drop(folders.inbox, "odd.xml", b"<Orders/>")
        command("run", "--once", "--config", config)
        post = posts.get(timeout=PATIENCE)
    assert "odd.xml could not be read" in post["title"]
    assert "Orders" in post["message"]


def test_an_outage_is_told_of_when_it_begins(folders, sandbox):
    """Keys that are refused hold up the line: one message says so, with what to do, while the daemon goes on."""
    with web() as (address, posts):
        config = configure(
            folders, sandbox.url, connectwise={"private_key": "wrong"}, notify={"urls": [address], "outage_seconds": 0}
        )
        drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
        with Daemon(config) as daemon:
            daemon.event("notify.sent")
            post = posts.get(timeout=PATIENCE)
            assert daemon.end() == 0
    assert post["title"].startswith("Payments wait: ")
    assert "private_key" in post["message"]


def test_a_service_that_does_not_answer_delays_nothing(folders, sandbox):
    """Payments go on, other services get their message, the fault is logged without a password, the end is in time."""
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, web() as (address, posts):
        deaf = f"json://user:secretpassword@127.0.0.1:{silent.getsockname()[1]}"
        config = configure(folders, sandbox.url, notify={"urls": [deaf, "json://127.0.0.1:9", address]})
        drop(folders.inbox, "pay.xml", document(("CW-404", "5.00")))
        with Daemon(config) as daemon:
            daemon.event("file.finished")
            assert "pay.xml" in posts.get(timeout=PATIENCE)["title"]
            daemon.event("notify.failed")
            drop(folders.inbox, "next.xml", document(("CW-1", "100.00")))
            daemon.event("file.finished", file="next.xml")
            assert daemon.end() == 0
    assert "secretpassword" not in json.dumps(daemon.log)


def test_check_sends_a_test_message(folders, sandbox):
    """Check --notify tells of each service whether it took a message."""
    with web() as (address, posts):
        good = command("check", "--notify", "--config", configure(folders, sandbox.url, notify={"urls": [address]}))
        assert good.code == 0, good.out
        assert "test" in posts.get(timeout=PATIENCE)["title"]
    config = configure(folders, sandbox.url, notify={"urls": ["json://127.0.0.1:9"]})
    bad = command("check", "--notify", "--config", config)
    assert bad.code == CONFIGURATION
    assert "FAULT notify.urls" in bad.out


def test_an_address_nobody_knows_is_a_fault_of_the_configuration(folders, sandbox):
    """The fault names the key before anything runs. It does not repeat the address, which may hold a password."""
    done = command("check", "--config", configure(folders, sandbox.url, notify={"urls": ["nonsense://a:pass@b"]}))
    assert done.code == CONFIGURATION
    assert "notify.urls" in done.err
    assert "pass@" not in done.err


# --- what is worth telling, and when ---------------------------------------------------------------------------

WAITING = {"reason": "ConnectWise did not answer", "mend": "Nothing is lost", "since": "2026-09-22T09:00:00+00:00"}


@pytest.fixture
def reporter():
    """One that is patient for a minute."""
    return Reporter(Path("/fail"), 60)


def test_a_short_outage_is_nobody_s_business(reporter):
    """Nobody gets a message about an outage that is over within the minute."""
    assert reporter.hear(Event.LINE_WAITING, WAITING, 0) is None
    assert reporter.due(59) is None
    assert reporter.hear(Event.LINE_MOVING, {"waited_seconds": 59}, 59) is None
    assert reporter.due(1000) is None


def test_a_long_outage_is_told_of_once_a_day_and_at_its_end(reporter):
    """However often the log tells of it."""
    reporter.hear(Event.LINE_WAITING, WAITING, 0)
    told = [now for now in range(0, 3 * 86400, 60) if reporter.due(now)]
    hourly = [reporter.hear(Event.LINE_WAITING, WAITING, 3 * 86400 - 30 + n) for n in range(3)]
    assert told == [60, 60 + 86400, 60 + 2 * 86400]
    assert hourly == [None] * 3
    ended = reporter.hear(Event.LINE_MOVING, {}, 3 * 86400)
    assert ended == Notice("Payments go on", "After 72 hours: ConnectWise did not answer. It is over.")


def test_another_trouble_during_an_outage_is_told_of(reporter):
    """The person who mends the network is not the one who mends the keys."""
    reporter.hear(Event.LINE_WAITING, WAITING, 0)
    assert reporter.due(60)
    other = {**WAITING, "reason": "ConnectWise refused the sign-in", "mend": "Check the keys"}
    assert "refused the sign-in" in reporter.hear(Event.LINE_WAITING, other, 90).title


def test_of_many_failures_the_first_are_named(reporter):
    """A message stays readable: twenty invoices, the number of the others, and where the file lies."""
    for number in range(1000):
        keys = {"claim": "c", "outcome": "rejected", "invoice_number": f"CW-{number}", "asked": "1.00", "message": "no"}
        reporter.hear(Event.PAYMENT, keys, 0)
    done = {"claim": "c", "file": "a.xml", "rejected": 1000, "records": 1000, "failed": "1000.00", "asked": "1000.00"}
    lines = reporter.hear(Event.FILE_FINISHED, done, 0).body.splitlines()
    assert lines[19].startswith("CW-19,")
    assert lines[20] == "... and 980 more, each with its reason in the file."
    assert len(lines) == 22


def test_what_gathers_becomes_one_message():
    """Many notices are one message that names them all."""
    message = digest([Notice(f"title {number}", f"body {number}") for number in range(3)])
    assert message.title == "3 things to know: title 0; ..."
    assert all(f"body {number}" in message.body for number in range(3))
