"""Heartbeats: when they are sent, what becomes of the answer, and that nobody waits for it or learns the address."""

from __future__ import annotations

import queue
import socket
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from structlog.testing import capture_logs
from support.documents import document, drop
from support.network import free_port
from support.program import PATIENCE, Daemon, command, configure, until

from watcher.events import heartbeat
from watcher.events.catalogue import Event
from watcher.events.heartbeat import Heartbeat, beat_of

PATH = "/api/push/4Gdp9cHeNu7MHZ6P6RPiiVbHgSdEHJz7?status=up&msg=OK&ping="


@contextmanager
def service(status=200, **headers):
    """Receive heartbeats; yields the address up to its path, the queue of paths, and the headers of the last one."""
    came, last = queue.Queue(), {}

    class Receiver(BaseHTTPRequestHandler):
        def do_GET(self):
            last.update(self.headers)
            came.put(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", came, last
        finally:
            server.shutdown()


def test_the_address_is_asked_for_as_it_is_written():
    """Its query stays, as Uptime Kuma wants it; nothing of the daemon's is told but its name."""
    with service() as (address, came, headers):
        assert beat_of(f"{address}{PATH}")() is None
        assert came.get(timeout=PATIENCE) == PATH
    assert headers["User-Agent"] == "payment-watcher"
    assert set(headers) <= {"User-Agent", "Host", "Connection", "Accept-Encoding"}


@pytest.mark.parametrize("status", [204, 299])
def test_any_good_answer_counts(status):
    """Services differ in what they answer."""
    with service(status) as (address, _, _):
        assert beat_of(address)() is None


@pytest.mark.parametrize(("status", "said"), [(404, "it answered 404"), (500, "it answered 500")])
def test_any_other_answer_does_not(status, said):
    """A check that was removed is answered with 404."""
    with service(status) as (address, _, _):
        assert beat_of(f"{address}/ping")() == said


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(status):
    """It might lead to an address that is asked without encryption, or to a file of this machine."""
    with service() as (elsewhere, came, _), service(status, Location=f"{elsewhere}/secret") as (address, _, _):
        said = beat_of(f"{address}/ping")()
    assert said.startswith(f"it answered {status}: it is at another address")
    assert "secret" not in said
    assert came.empty()


def test_a_service_that_is_away_is_named_without_its_address():
    """Words of the system are passed on, and nothing that holds the address."""
    assert beat_of(f"http://127.0.0.1:{free_port()}/secret-path")() == "it could not be reached: Connection refused"


def test_words_that_may_hold_a_password_are_not_passed_on(monkeypatch):
    """A proxy's address may be one that nobody can read."""
    monkeypatch.setenv("http_proxy", "http://svc:Winter2026#@proxy.invalid:99999")
    said = beat_of("http://example.invalid/secret-path")()
    assert said
    assert "Winter2026" not in said
    assert "secret" not in said


class Beats:
    """Notes heartbeats, and answers them by turns."""

    def __init__(self, *answers):
        self.sent = queue.Queue()
        self._answers = iter(answers)

    def __call__(self):
        self.sent.put(None)
        return next(self._answers, None)


def drained(sent):
    """Return the heartbeats of the last moment."""
    threading.Event().wait(0.1)
    return [sent.get() for _ in range(sent.qsize())]


def test_nothing_is_sent_before_the_first_scan_nor_after_the_end():
    """A daemon that cannot look through its inbox is not well."""
    beats = Beats()
    with closing(Heartbeat(beats, 0.01, 10)) as beating:
        beating.hear(Event.STARTED, {})
        with pytest.raises(queue.Empty):
            beats.sent.get(timeout=0.1)
        beating.hear(Event.SCANNED, {})
        for _ in range(3):
            beats.sent.get(timeout=PATIENCE)
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "heartbeat"])


def test_nothing_is_sent_once_the_scans_have_stopped(monkeypatch):
    """As when the inbox is away for long, or the daemon hangs; with the next scan it goes on."""
    monkeypatch.setattr(heartbeat, "_LONGEST_SILENCE", 0.05)
    beats = Beats()
    with closing(Heartbeat(beats, 0.01, 0.01)) as beating:
        beating.hear(Event.SCANNED, {})
        beats.sent.get(timeout=PATIENCE)
        # The first scan counts for a while, and for no longer.
        until(lambda: not drained(beats.sent))
        beating.hear(Event.SCANNED, {})
        beats.sent.get(timeout=PATIENCE)


def test_trouble_is_logged_once_until_it_is_over():
    """Three that are not taken are one line."""
    beats = Beats("it answered 500", "it answered 500", "it answered 502", None, None, "it answered 500")
    with capture_logs() as logs, closing(Heartbeat(beats, 0.01, 10)) as beating:
        beating.hear(Event.SCANNED, {})
        until(lambda: len(logs) >= 3)
    assert [(line["event"], line.get("reason")) for line in logs[:3]] == [
        ("heartbeat.failed", "it answered 500"),
        ("heartbeat.sent", None),
        ("heartbeat.failed", "it answered 500"),
    ]


def test_one_that_takes_too_long_is_left_alone_and_no_second_one_joins_it():
    """A service that never answers costs one thread, and is tried again once that has ended."""
    answer, calls = threading.Event(), []

    def hang():
        calls.append(None)
        answer.wait(PATIENCE)

    with capture_logs() as logs, closing(Heartbeat(hang, 0.01, 10, whole_seconds=0.02)) as beating:
        beating.hear(Event.SCANNED, {})
        until(lambda: logs)
        with pytest.raises(AssertionError):
            until(lambda: len(calls) > 1, within=0.2)
        answer.set()
        until(lambda: len(calls) > 1)
    assert logs[0]["reason"] == "it did not answer in time"


def test_the_daemon_is_heard_of_and_pays_though_the_service_hangs(folders, sandbox):
    """Payments are made and the end is in order while a heartbeat waits for its answer; no log shows the address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}{PATH}"
        config = configure(folders, sandbox.url, notify={"heartbeat_url": url}, logging={"level": "debug"})
        with Daemon(config) as daemon:
            silent.settimeout(PATIENCE)
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(65536).startswith(f"GET {PATH} HTTP/1.1\r\n".encode())
                drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
                assert daemon.event("file.finished")["outcome"] == "succeeded"
                assert daemon.end() == 0
        assert "4Gdp9cHeNu7" not in str(daemon.log)


def test_a_run_of_a_single_time_sends_one(folders, sandbox):
    """Whoever lets cron call the program learns that it was not called."""
    with service() as (address, came, _):
        config = configure(folders, sandbox.url, notify={"heartbeat_url": f"{address}{PATH}"})
        assert command("run", "--once", "--config", config).code == 0
        assert came.qsize() == 1


def test_it_is_sent_in_an_outage_of_connectwise_too(folders, sandbox):
    """It says that the daemon lives; messages tell of the outage."""
    with service() as (address, came, _):
        config = configure(
            folders, sandbox.url, connectwise={"private_key": "wrong"}, notify={"heartbeat_url": f"{address}{PATH}"}
        )
        with Daemon(config) as daemon:
            daemon.event("line.waiting")
            assert came.get(timeout=PATIENCE) == PATH


@pytest.mark.parametrize(
    ("status", "options", "code", "said"),
    [
        (200, (), 0, "a heartbeat is sent every 300 seconds while the daemon runs; check --notify sends one now"),
        (200, ("--notify",), 0, "one was sent now, and it was taken"),
        (404, ("--notify",), 78, "a heartbeat was not taken: it answered 404"),
    ],
    ids=["without", "taken", "not taken"],
)
def test_check_says_how_it_is(folders, sandbox, status, options, code, said):
    """One is sent only if that is asked for: it would tell the service that the daemon lives."""
    with service(status) as (address, came, _):
        config = configure(folders, sandbox.url, notify={"heartbeat_url": f"{address}{PATH}"})
        checked = command("check", *options, "--config", config)
    assert said in " ".join(checked.out.split())
    assert checked.code == code
    assert came.qsize() == len(options)
    assert "4Gdp9cHeNu7" not in checked.out + checked.err


def test_the_address_is_taken_out_of_every_text():
    """Whole, and as libraries write it at debug level."""
    whole = f"https://kuma.example.com{PATH}"
    assert heartbeat.secrets(whole) == (whole, PATH, PATH.partition("?")[0])
    assert heartbeat.secrets("https://example.com/") == ("https://example.com/",)
