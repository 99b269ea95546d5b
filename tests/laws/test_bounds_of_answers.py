"""Answers without bounds: none takes more memory than a large one, nor more time than ``timeout_seconds``."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
from contextlib import contextmanager, suppress

import pytest
import simplejson
from support.connectwise import account
from support.effort import effort
from support.line import Hurried

from watcher.connectwise import faults
from watcher.connectwise.http import Gateway
from watcher.connectwise.pace import Pace
from watcher.errors import AnswerLost, Unreachable

INFO = "/system/info"
PAYMENTS = "/finance/invoices/1001/payments"
MEGABYTE = 2**20
GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def server(answer):
    """Listen, and hand each connection that has sent a request to a function; yield the URL."""

    def serve(connection):
        with connection, suppress(OSError):
            while connection.recv(65536):
                answer(connection)

    def accept():
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def gateway(url, seconds):
    """Return a gateway whose waits take no time, but whose calls do."""
    return Gateway(account(url, timeout_seconds=seconds), Pace(60000, Hurried()))


def slowly(connection, content):
    """Send a byte each fortieth of a second."""
    for byte in content:
        connection.sendall(bytes((byte,)))
        time.sleep(0.025)


SLOW = {
    "head": lambda connection: slowly(connection, GOOD + b"X-Filler: " + b"x" * 1000),
    "body": lambda connection: (
        connection.sendall(GOOD + b"Content-Length: 1000\r\n\r\n"),
        slowly(connection, b" " * 1000),
    ),
    "chunks": lambda connection: (
        connection.sendall(GOOD + b"Transfer-Encoding: chunked\r\n\r\n"),
        slowly(connection, b"1\r\n \r\n" * 200),
    ),
    "100 Continue": lambda connection: slowly(connection, b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
    "nothing": lambda _: time.sleep(5),
}


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_answer_that_comes_byte_by_byte_is_waited_for_as_long_as_any_other(answer, method):
    """The time of a whole answer is bounded, not the time between two of its bytes."""
    with server(answer) as url:
        began = time.monotonic()
        with pytest.raises((Unreachable, AnswerLost), match="did not answer in time") as caught:
            gateway(url, seconds=0.4).once(method, PAYMENTS, {} if method == "POST" else None)
        assert 0.35 < time.monotonic() - began < 2
    assert type(caught.value) is (AnswerLost if method == "POST" else Unreachable)


def test_answer_that_takes_its_time_within_the_limit_is_good():
    """Slow is not broken."""
    with server(lambda connection: slowly(connection, GOOD + b"Content-Length: 2\r\n\r\n{}")) as url:
        assert gateway(url, seconds=20).once("GET", INFO) == {}


def test_each_call_has_the_whole_time():
    """What one call took is not taken from the next one over the same connection."""

    def answer(connection):
        time.sleep(0.25)
        connection.sendall(GOOD + b"Content-Length: 2\r\n\r\n{}")

    with server(answer) as url:
        gate = gateway(url, seconds=0.6)
        assert [gate.once("GET", INFO) for _ in range(3)] == [{}, {}, {}]


def endless(connection):
    """Send chunks until nobody reads them."""
    connection.sendall(GOOD + b"Transfer-Encoding: chunked\r\n\r\n")
    chunk = b"100000\r\n" + b" " * MEGABYTE + b"\r\n"
    while True:
        connection.sendall(chunk)


def announced(connection):
    """Send as much as is announced: too much."""
    connection.sendall(GOOD + b"Content-Length: 300000000\r\n\r\n")
    for _ in range(300):
        connection.sendall(b" " * 1_000_000)


def bomb(*encodings, chunked):
    """Return what sends two gigabytes, packed into two megabytes or, packed twice, into a few kilobytes."""
    packed = gzip.compress(b" " * MEGABYTE, 9) * 2000
    if len(encodings) > 1:
        packed = gzip.compress(packed, 9)

    def send(connection):
        head = GOOD + b"Content-Encoding: " + ", ".join(encodings).encode() + b"\r\n"
        if chunked:
            connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + f"{len(packed):x}\r\n".encode() + packed)
            connection.sendall(b"\r\n0\r\n\r\n")
        else:
            connection.sendall(head + f"Content-Length: {len(packed)}\r\n\r\n".encode() + packed)

    return send


LARGE = {
    "endless chunks": endless,
    "announced": announced,
    "gzip": bomb("gzip", chunked=False),
    "gzip in chunks": bomb("gzip", chunked=True),
    "gzip twice": bomb("gzip", "gzip", chunked=False),
}


@pytest.mark.parametrize("answer", LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_answer_that_is_too_large_is_not_read_to_its_end(answer, method):
    """No answer takes more than a few times the largest that is read."""
    with server(answer) as url:
        gate = gateway(url, seconds=30)
        tracemalloc.start()
        with pytest.raises((Unreachable, AnswerLost), match="answered more than 16 MiB"):
            gate.once(method, PAYMENTS, {} if method == "POST" else None)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 64 * MEGABYTE


def test_connection_of_an_answer_that_was_too_large_is_not_used_again():
    """What is left of it would be taken for the next answer."""
    answers = [endless, lambda connection: connection.sendall(GOOD + b"Content-Length: 2\r\n\r\n{}")]
    with server(lambda connection: answers.pop(0)(connection)) as url:
        gate = gateway(url, seconds=30)
        with pytest.raises(Unreachable):
            gate.once("GET", INFO)
        assert gate.once("GET", INFO) == {}


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_large_answer_is_read(encoding):
    """A full page is far from the bound, packed or not."""
    page = simplejson.dumps([{"id": number, "text": "x" * 1000} for number in range(1000)]).encode()
    body = gzip.compress(page) if encoding == "gzip" else page
    head = GOOD + f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with server(lambda connection: connection.sendall(head + body)) as url:
        assert len(gateway(url, seconds=30).once("GET", INFO)) == 1000


def test_small_values_without_number_are_no_answer():
    """A million empty objects would take hundreds of megabytes."""
    body = b"[" + b"{}," * (5 * MEGABYTE) + b"{}]"
    head = GOOD + f"Content-Length: {len(body)}\r\n\r\n".encode()
    with server(lambda connection: connection.sendall(head + body)) as url:
        gate = gateway(url, seconds=30)
        tracemalloc.start()
        with pytest.raises(Unreachable):
            gate.once("GET", INFO)
        assert tracemalloc.get_traced_memory()[1] < 100 * MEGABYTE
        tracemalloc.stop()


PAGES = {
    "open tags": b"<",
    "names without an end": b"<a",
    "styles without an end": b"<style ",
    "scripts without an end": b"<script>",
    "one long tag": b"< ",
    "ends": b"</style",
    "text": b"x",
}


@pytest.mark.parametrize("piece", PAGES.values(), ids=PAGES)
def test_words_of_a_page_are_found_in_linear_time(piece):
    """Whatever a gateway's page looks like, its text is found in a moment."""
    body = b"<html>" + piece * (15 * MEGABYTE // len(piece))
    head = f"HTTP/1.1 502 Bad Gateway\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with server(lambda connection: connection.sendall(head + body)) as url:
        with effort() as spent, pytest.raises(Unreachable) as caught:
            gateway(url, seconds=30).once("GET", INFO)
        assert spent.pieces < 225
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("piece", PAGES.values(), ids=PAGES)
def test_tags_are_found_in_linear_time(piece):
    """Twice as much of it takes about twice as long."""
    with effort() as spent:
        faults._without_tags((piece * (MEGABYTE // len(piece))).decode())
    assert spent.pieces < 225


def test_hosts_own_trouble_with_a_proxy_is_bounded_in_time(monkeypatch):
    """A proxy's answer to CONNECT counts as any other answer."""
    with server(lambda connection: slowly(connection, b"HTTP/1.1 200 OK\r\n" + b"X-Filler: x\r\n" * 100)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        began = time.monotonic()
        with pytest.raises(Unreachable, match="did not answer in time"):
            gateway("https://connectwise.invalid", seconds=0.4).once("GET", INFO)
        assert time.monotonic() - began < 3
