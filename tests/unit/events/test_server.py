"""The small HTTP server, with applications of the test's own."""

from __future__ import annotations

import io
import socket
import time
import urllib.request
from contextlib import ExitStack, contextmanager, suppress

import pytest
from support.network import free_port
from support.program import restored, until

from watcher.events import log as logs
from watcher.events import server as servers
from watcher.events.server import Server

LARGE = b"0123456789" * 2_000_000


def application(environ, start):
    """Answer with 20 megabytes, a word, or an error."""
    if environ["PATH_INFO"] == "/error":
        raise ValueError("no answer\x1b")
    start("200 OK", [("Content-Type", "text/plain")])
    return [LARGE if environ["PATH_INFO"] == "/large" else b"word"]


@contextmanager
def serving():
    """Serve the application; yields its address."""
    port = free_port()
    server = Server(application, "127.0.0.1", port)
    try:
        yield "127.0.0.1", port
    finally:
        server.stop()


def get(address, path):
    """Return the body of an answer."""
    with urllib.request.urlopen(f"http://{address[0]}:{address[1]}{path}", timeout=5) as answer:
        return answer.read()


def test_who_reads_slowly_holds_up_nobody():
    """While five clients do not read what they asked for, others are answered; those that read get all of it."""
    with serving() as address, ExitStack() as stack:
        for _ in range(5):
            deaf = stack.enter_context(socket.create_connection(address, timeout=5))
            deaf.sendall(b"GET /large HTTP/1.0\r\n\r\n")
        began = time.monotonic()
        for _ in range(5):
            assert get(address, "/word") == b"word"
        # Sooner than any of them is given up.
        assert time.monotonic() - began < servers._CONNECTION_SECONDS - 1
        assert get(address, "/large") == LARGE


def test_who_does_not_read_is_given_up(monkeypatch):
    """In a time that counts from the beginning of the connection: it gets what the system has buffered by then."""
    monkeypatch.setattr(servers, "_CONNECTION_SECONDS", 0.5)
    with serving() as address, socket.create_connection(address, timeout=5) as deaf:
        deaf.sendall(b"GET /large HTTP/1.0\r\n\r\n")
        assert get(address, "/word") == b"word"
        # Nothing else tells from outside that it is over.
        time.sleep(1.5)
        got = 0
        with suppress(ConnectionResetError):
            while piece := deaf.recv(1_000_000):
                got += len(piece)
        assert 0 < got < len(LARGE)


def test_a_fault_of_the_application_is_logged():
    """The client gets a 500; the server goes on."""
    stream = io.StringIO()
    with restored(), serving() as address:
        logs.set_up("info", "console", (), stream)
        with pytest.raises(urllib.error.HTTPError, match="500"):
            get(address, "/error")
        assert get(address, "/word") == b"word"
        until(lambda: "no answer" in stream.getvalue())
    assert "\x1b" not in stream.getvalue()


def test_a_process_without_descriptors_answers_once_there_are_some(monkeypatch):
    """It does not spin meanwhile, and does not end."""
    refusals = []
    accept = socket.socket.accept

    def scarce(self):
        if len(refusals) < 3:
            refusals.append(time.monotonic())
            raise OSError(24, "Too many open files")
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", scarce)
    with serving() as address:
        assert get(address, "/word") == b"word"
    assert refusals[-1] - refusals[0] > 0.15


def test_stopping_closes_what_is_open():
    """Also connections of which nothing came."""
    with serving() as address:
        client = socket.create_connection(address, timeout=5)
        assert get(address, "/word") == b"word"
    with client:
        assert client.recv(1) == b""
