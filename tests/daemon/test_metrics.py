"""Figures for Prometheus and the health check, from a running daemon over real HTTP."""

from __future__ import annotations

import resource
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.documents import document, drop
from support.network import Strike, Unreliable, free_port, page, too_many
from support.program import Daemon, command, configure, opened, until

import watcher
from watcher.cli.commands import CONFIGURATION
from watcher.events.metrics import Metrics


@pytest.fixture
def listen():
    """An address that is free."""
    return f"127.0.0.1:{free_port()}"


def get(listen, path):
    """Return status and body of an answer."""
    try:
        with urllib.request.urlopen(f"http://{listen}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def figures(listen):
    """Return every sample: its name and labels to its value."""
    families = text_string_to_metric_families(get(listen, "/metrics")[1])
    return {(row.name, *row.labels.values()): row.value for family in families for row in family.samples}


def test_what_was_done_is_counted(folders, sandbox, listen):
    """Payments, amounts, files, calls and what waits are there under names with units, and agree with the files."""
    config = configure(folders, sandbox.url, status={"listen": listen})
    with Daemon(config) as daemon:
        drop(folders.inbox, "pay.xml", document(("CW-1", "120.00"), ("CW-404", "5.00")))
        daemon.event("file.finished")
        drop(folders.inbox, "half.xml", b"<ArrayOfUpdateInvoicePayment>")
        said = until(lambda: (found := figures(listen))[("payment_watcher_waiting_files",)] and found)
        assert get(listen, "/healthz") == (200, "ok\n")
        assert get(listen, "/")[0] == 404
    name = "payment_watcher"
    assert said[(f"{name}_payments_total", "applied")] == said[(f"{name}_payments_total", "rejected")] == 1
    assert said[(f"{name}_amount_total", "asked")] == 125
    assert said[(f"{name}_amount_total", "discarded")] == 20
    assert said[(f"{name}_files_total", "partly failed")] == 1
    assert said[(f"{name}_connectwise_requests_total", "POST", "201")] == 1
    assert said[(f"{name}_connectwise_request_duration_seconds_count",)] >= 2
    assert said[(f"{name}_build_info", watcher.__version__)] == 1
    assert said[(f"{name}_oldest_waiting_file_age_seconds",)] < 60
    assert not any(line.get("event") == "connectwise.request" for line in daemon.log)


def test_an_outage_is_no_health(folders, sandbox, listen):
    """While payments wait, the check fails and says why and what to do."""
    config = configure(folders, sandbox.url, status={"listen": listen}, connectwise={"private_key": "wrong"})
    with Daemon(config) as daemon:
        drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
        daemon.event("line.waiting")
        _code, said = until(lambda: (found := get(listen, "/healthz"))[0] == 503 and found)
        assert "401" in said
        assert "private_key" in said
        assert figures(listen)[("payment_watcher_line_waiting",)] == 1


def test_nothing_but_429_is_no_health(folders, sandbox, listen):
    """Once it has lasted as long as an outage that people are told of; other answers end it."""
    with Unreliable(sandbox.url, Strike(too_many("0.3"))) as network:
        config = configure(folders, network.url, status={"listen": listen}, notify={"outage_seconds": 2})
        with Daemon(config) as daemon:
            daemon.event("inbox.watching")
            until(lambda: get(listen, "/healthz") == (200, "ok\n"))
            drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
            daemon.event("connectwise.slowed")
            assert get(listen, "/healthz")[0] == 200
            _code, said = until(lambda: (found := get(listen, "/healthz"))[0] == 503 and found)
            assert "429" in said
            assert "connectwise.requests_per_minute" in said
            assert figures(listen)[("payment_watcher_line_waiting",)] == 1
            network.strike()
            assert daemon.event("file.finished")["outcome"] == "succeeded"
            assert get(listen, "/healthz") == (200, "ok\n")
            assert figures(listen)[("payment_watcher_line_waiting",)] == 0


def test_connectwise_s_words_forge_nothing(folders, sandbox, listen):
    """Line feeds, escapes and half characters of an answer are one line of text to the health check and to systemd."""
    odd = '{"code":"Unauthorized","message":"no\\nMAINPID=1\\u001b[31m\\u009b\\u202e\\u2028\\ud800"}'
    with Unreliable(sandbox.url, Strike(page(401, odd))) as network:
        config = configure(folders, network.url, status={"listen": listen}, logging={"format": "console"})
        drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
        with Daemon(config) as daemon:
            told = daemon.tells("STATUS=Waiting")[1]
            _code, said = until(lambda: (found := get(listen, "/healthz"))[0] == 503 and found)
            assert daemon.end() == 0
    for text in (told, said.removesuffix("\n"), *(line["text"].removesuffix("\n") for line in daemon.log)):
        assert text.isprintable(), text
    assert r"no MAINPID=1\x1b[31m\x9b\u202e \ud800" in told
    assert r"no MAINPID=1\x1b[31m\x9b\u202e \ud800" in said
    assert not [message for _at, message in daemon.told if message.startswith("MAINPID")]


# --- clients that mean harm, or are broken -----------------------------------------------------------------------


@contextmanager
def crowd(listen, size, send=b""):
    """Connect so many times, send the same each time and leave it at that; yields the connections."""
    host, _, port = listen.rpartition(":")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < size + 500:
        pytest.skip(f"needs {size + 500} file descriptors")
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], size + 500), before[1]))
        clients = [stack.enter_context(socket.socket()) for _ in range(size)]
        for client in clients:
            client.settimeout(5)
            client.connect((host, int(port)))
            try:
                client.sendall(send)
            except OSError:
                # It was closed before.
                continue
        yield clients


def threads(daemon):
    """Return how many threads a daemon has."""
    return len(list(Path(f"/proc/{daemon.pid}/task").iterdir()))


class FewFiles(Daemon):
    """A daemon that may open as few files as most systems allow by default."""

    def __init__(self, config):
        super().__init__(config)
        self._arguments = ["sh", "-c", 'ulimit -n 1024; exec "$@"', "sh", *self._arguments]


@pytest.mark.parametrize(
    "send", [b"", b"G", b"GET /metrics HTTP/1.1\r\nHost: here\r\n", b"x" * 100_000], ids=["silent", "G", "half", "long"]
)
def test_two_thousand_silent_connections_hold_up_nothing(folders, sandbox, listen, send):
    """Health and figures are answered, the daemon pays, and it has hardly a thread or a descriptor more."""
    with FewFiles(configure(folders, sandbox.url, status={"listen": listen})) as daemon:
        daemon.event("inbox.watching")
        until(lambda: get(listen, "/healthz")[0] == 200)
        before = len(opened(daemon.pid)), threads(daemon)
        with crowd(listen, 2000, send):
            took = []
            for number in range(1, 5):
                drop(folders.inbox, f"pay-{number}.xml", document((f"CW-{number}", "100.00")))
                began = time.monotonic()
                assert get(listen, "/healthz") == (200, "ok\n")
                assert ("payment_watcher_waiting_files",) in figures(listen)
                took.append(time.monotonic() - began)
            for number in range(1, 5):
                assert daemon.event("file.finished", file=f"pay-{number}.xml")["outcome"] == "succeeded"
            assert max(took) < 3
            assert len(opened(daemon.pid)) <= before[0] + 150
            # The pool of those who make calls is there by now.
            assert threads(daemon) <= before[1] + 10
        assert daemon.end() == 0


def test_a_crowd_that_keeps_coming_keeps_nobody_out(folders, sandbox, listen):
    """While silent connections are made without end, every request is answered."""
    host, _, port = listen.rpartition(":")
    with Daemon(configure(folders, sandbox.url, status={"listen": listen})) as daemon:
        daemon.event("inbox.watching")
        until(lambda: get(listen, "/healthz")[0] == 200)
        over, made = threading.Event(), []

        def come():
            held = []
            while not over.is_set():
                held.append(socket.create_connection((host, int(port)), timeout=5))
                made.append(1)
                # The crowd must leave the one who asks some time of this process.
                over.wait(0.001)
                for old in held[:-100]:
                    old.close()
                del held[:-100]
            for each in held:
                each.close()

        comers = [threading.Thread(target=come) for _ in range(2)]
        for comer in comers:
            comer.start()
        try:
            asked = 0
            while asked < 20 or len(made) < 500:
                assert get(listen, "/healthz") == (200, "ok\n")
                asked += 1
        finally:
            over.set()
            for comer in comers:
                comer.join()
        assert daemon.end() == 0


def connections(daemon, listen):
    """Give the connections to an address that a daemon has open. Its other descriptors come and go."""
    held = psutil.Process(daemon.pid).net_connections("tcp")
    return [each for each in held if each.raddr and each.laddr.port == int(listen.rpartition(":")[2])]


def test_a_connection_ends_in_time_whatever_comes_over_it(folders, sandbox, listen):
    """One that is silent, one that sends a byte now and then, and one that does not read what it asked for."""
    host, _, port = listen.rpartition(":")
    with Daemon(configure(folders, sandbox.url, status={"listen": listen})) as daemon, ExitStack() as stack:
        daemon.event("inbox.watching")
        until(lambda: get(listen, "/healthz")[0] == 200)
        silent, slow, deaf = (stack.enter_context(socket.socket()) for _ in range(3))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        for client in (silent, slow, deaf):
            client.connect((host, int(port)))
        deaf.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        began = time.monotonic()
        until(lambda: len(connections(daemon, listen)) >= 2)

        def all_closed():
            try:
                slow.sendall(b"G")
            except OSError:
                return not connections(daemon, listen)
            time.sleep(0.3)
            return False

        until(all_closed)
        assert time.monotonic() - began < 8
        assert daemon.end() == 0


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n", b"200 OK"),
        (b"GET /metrics HTTP/1.1\n\n", b"200 OK"),
        (b"GET /metrics?name[]=none HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n", b"200 OK"),
        (b"GET /healthz HTTP/1.0\r\n\r\n", b"503 Service Unavailable"),
        (b"POST /healthz HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"503 Service Unavailable"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"405 Method Not Allowed"),
        (b"GET /nothing HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"nonsense\r\n\r\n", b"Error code: 400"),
        (b"\x16\x03\x01\r\n\r\n", b"Error code: 400"),
        (b"GET /healthz HTTP/9.9\r\n\r\n", b"Error code: 505"),
        (b"GET /healthz HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"Error code: 431"),
    ],
)
def test_any_request_is_answered_and_the_connection_closed(serving, request_, status):
    """Whether it comes at once or byte by byte."""
    for pieces in ([request_], [request_[at : at + 1] for at in range(len(request_))]):
        with socket.create_connection(serving, timeout=5) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                client.sendall(piece)
            said = b"".join(iter(lambda client=client: client.recv(65536), b""))
        assert status in said


@pytest.fixture
def serving():
    """The address of figures without a daemon."""
    port = free_port()
    stop = Metrics("1", silence_seconds=60, outage_seconds=60).serve("127.0.0.1", port)
    yield "127.0.0.1", port
    stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_ipv6_is_served():
    """As settings allow."""
    if not socket.has_ipv6:
        pytest.skip("needs IPv6")
    port = free_port()
    try:
        stop = Metrics("1", silence_seconds=60, outage_seconds=60).serve("::1", port)
    except OSError as error:
        pytest.skip(f"needs IPv6: {error}")
    assert get(f"[::1]:{port}", "/metrics")[0] == 200
    stop()


def test_an_address_that_is_taken_is_said(folders, sandbox):
    """The daemon does not run without the figures that were asked for; it says which address and why."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = command("run", "--once", "--config", configure(folders, sandbox.url, status={"listen": listen}))
    assert done.code == CONFIGURATION
    assert f"status.listen: {listen}" in done.err


@pytest.mark.parametrize("listen", ["9464", ":9464", "localhost:http", "localhost:99999"])
def test_what_is_no_address_is_said(folders, sandbox, listen):
    """Host and port are both named."""
    done = command("check", "--config", configure(folders, sandbox.url, status={"listen": listen}))
    assert done.code == CONFIGURATION
    assert "status.listen" in done.err
