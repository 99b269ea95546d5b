"""A network that does not keep its promises: an HTTP proxy before a sandbox that breaks where a test says so.

A test gives *strikes*: which requests are struck (method, path, which of them), and by what *fault*. A fault has two
sides that are told apart everywhere here, because all care in payments comes from their difference: whether the
request is *delivered* to ConnectWise, and what *reply* the client gets::

    with Unreliable(sandbox.url, Strike(RESET_AFTER, "POST", nth=1)) as network:
        ...  # the first payment is made, and nobody is told

Everything that came is in ``requests``, so that a test can count, order and time it. Faults that are known from the
field have names; ``NOBODYS`` holds those that are no one's to mend, ``THE_OPERATORS`` those that someone must mend.
"""

from __future__ import annotations

import http.client
import random
import re
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from email.message import Message
from enum import Enum
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

import simplejson

from watcher.sandbox.loopback import HOST, LoopbackServer

_PATIENCE = 10.0


class Delivery(Enum):
    """Whether and when a request reaches ConnectWise."""

    NEVER = "never"
    NOW = "now"
    LATE = "just before the next request of the same method and path"
    TOLD = "when the test says so"


@dataclass(frozen=True, slots=True)
class Faithful:
    """The client gets ConnectWise's own answer."""


@dataclass(frozen=True, slots=True)
class Page:
    """The client gets this answer, whoever wrote it."""

    status: int
    body: str = ""
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Halved:
    """The client gets a whole HTTP answer with half of ConnectWise's body."""


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """The client gets ConnectWise's head and half of the body that it announces; then the connection ends."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The client's connection is reset before a byte of an answer."""


@dataclass(frozen=True, slots=True)
class Silence:
    """The client gets nothing until it gives up by itself."""


@dataclass(frozen=True, slots=True)
class Altered:
    """The client gets ConnectWise's answer with another body.

    Attributes:
        alter: gets the JSON of the body and returns what stands in its place; None for an empty body.
    """

    alter: Callable[[Any], Any]


Reply = Faithful | Altered | Page | Halved | BrokenOff | Reset | Silence


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        delivery: whether ConnectWise gets it.
        reply: what the client gets.
        meanwhile: done first, while the request is on its way: another user's work, a signal, a wait.
    """

    delivery: Delivery = Delivery.NOW
    reply: Reply = field(default_factory=Faithful)
    meanwhile: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class Strike:
    """Which requests meet a fault.

    Attributes:
        fault: the fault.
        method: the only method that is struck; empty for any.
        path: a regular expression that is searched for in path and query; empty for any.
        nth: which of the requests that fit, from 1; none for every one.
    """

    fault: Fault
    method: str = ""
    path: str = ""
    nth: int | tuple[int, ...] = ()

    def fits(self, method: str, path: str) -> bool:
        """True if a request is of this kind."""
        return self.method in ("", method) and re.search(self.path, path) is not None

    def hits(self, count: int) -> bool:
        """True if the request is struck that fits as the given one, counted from 1."""
        nth = (self.nth,) if isinstance(self.nth, int) else self.nth
        return not nth or count in nth


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came.

    Attributes:
        method: the method.
        path: path and query as on the wire.
        headers: the header fields, found whatever the letter case.
        body: the bytes of the body.
        at: when it had come, monotonic seconds.
        connection: which TCP connection it came over, from 1.
        under_way: how many requests were being answered, this one included.
        fault: what struck it, or None.
    """

    method: str
    path: str
    headers: Message
    body: bytes
    at: float
    connection: int
    under_way: int
    fault: Fault | None


# --- faults known from the field: named for what the client sees and for whether ConnectWise acted ---------------

HTML = "text/html; charset=utf-8"


def page(status: int, body: str, content_type: str = "application/json; charset=utf-8", **headers: str) -> Fault:
    """Return the fault that a request is answered with a page instead of being delivered."""
    named = {"x-cw-request-id": f"request-{status}", **{name.replace("_", "-"): text for name, text in headers.items()}}
    return Fault(Delivery.NEVER, Page(status, body, content_type, named))


def after(fault: Fault) -> Fault:
    """Return the fault that looks the same to the client although ConnectWise acted."""
    return Fault(Delivery.NOW, fault.reply, fault.meanwhile)


def altered(alter: Callable[[Any], Any]) -> Fault:
    """Return the fault that ConnectWise acts, and the client gets another body than it sent."""
    return Fault(Delivery.NOW, Altered(alter))


def too_many(retry_after: str | None = None) -> Fault:
    """Return ConnectWise's 429, with or without a Retry-After."""
    body = '{"error":"ConnectWiseAPI","message":"Too many requests. Please try again in 30 seconds."}'
    return page(429, body, **({} if retry_after is None else {"Retry_After": retry_after}))


RESET_BEFORE = Fault(Delivery.NEVER, Reset())
RESET_AFTER = after(RESET_BEFORE)
SILENT_BEFORE = Fault(Delivery.NEVER, Silence())
SILENT_AFTER = after(SILENT_BEFORE)
RESET_AND_LATE = Fault(Delivery.LATE, Reset())
RESET_AND_LATER = Fault(Delivery.TOLD, Reset())
BROKEN_OFF = Fault(Delivery.NOW, BrokenOff())
HALVED = Fault(Delivery.NOW, Halved())
TIMED_OUT_500 = page(500, '{"code":"ConnectWiseApi","message":"A timeout has occured. Please try again."}')
BAD_GATEWAY_502 = page(502, "<html><head><title>502</title></head><body><h1>Bad Gateway</h1></body></html>", HTML)
UNAVAILABLE_503 = page(503, "Service Unavailable", "text/plain")
GATEWAY_TIMEOUT_504 = page(504, "<html><body><h1>504 Gateway Time-out</h1></body></html>", HTML)
CONVERTING_500 = page(
    500, '{"code":"ConnectWiseApi","message":"Error converting value {null} to type. Path \'amount\', line 1."}'
)
UNAVAILABLE_503_LATER = page(503, "Service Unavailable", "text/plain", Retry_After="7")
WELCOME_PAGE = page(200, "<!doctype html><html><body>Down for maintenance</body></html>", HTML)
OTHER_JSON_200 = page(200, '{"status":"maintenance"}')

NOBODYS: Mapping[str, Fault] = {
    "reset before ConnectWise acted": RESET_BEFORE,
    "reset after ConnectWise acted": RESET_AFTER,
    "no answer, ConnectWise did not act": SILENT_BEFORE,
    "no answer, ConnectWise acted": SILENT_AFTER,
    "broken off within the answer": BROKEN_OFF,
    "JSON cut in half": HALVED,
    "500 JSON before": TIMED_OUT_500,
    "500 JSON after": after(TIMED_OUT_500),
    "502 HTML before": BAD_GATEWAY_502,
    "502 HTML after": after(BAD_GATEWAY_502),
    "503 text": UNAVAILABLE_503,
    "504 HTML after": after(GATEWAY_TIMEOUT_504),
    "200 HTML before": WELCOME_PAGE,
    "200 HTML after": after(WELCOME_PAGE),
}
"""What the network or ConnectWise's own trouble does; nobody has to mend anything."""

WRONG_KEYS_401 = page(401, '{"code":"Unauthorized","message":"ConnectWiseApi: UserNotAuthenticated","errors":null}')
WEAK_ROLE_403 = page(403, '{"code":"Forbidden","message":"The security role is too weak.","errors":null}')
CLOUD_404 = page(404, "<html><body><h2>404 - File or directory not found.</h2></body></html>", HTML)
WRONG_CODEBASE_400 = page(400, "Cannot route. Codebase/company is invalid", "text/plain")
OTHER_SITE_302 = page(302, "", HTML, Location="https://www.example.com/login")

THE_OPERATORS: Mapping[str, Fault] = {
    "401": WRONG_KEYS_401,
    "403": WEAK_ROLE_403,
    "404 HTML of the cloud": CLOUD_404,
    "400 Cannot route": WRONG_CODEBASE_400,
    "302 to a login page": OTHER_SITE_302,
}
"""What only someone who knows keys, role, site and codebase can mend; ConnectWise has not acted."""

INVALID_400 = page(
    400,
    '{"code":"InvalidObject","message":"invoicePayment object is invalid","errors":[{"code":"InvalidField",'
    '"message":"The accounting period is closed.","resource":"invoicePayment","field":"paymentDate"}]}',
)
GONE_404 = page(404, '{"code":"NotFound","message":"Invoice 1001 was not found.","errors":null}')
CONFLICT_409 = page(409, '{"code":"Conflict","message":"The record is in use.","errors":null}')


# What seeds the other source of chance is the same in every test process.
_CHANCE = random.SystemRandom()


def free_port() -> int:
    """Return a port that nothing listens on.

    The system gives it to no connection of its own accord (ip(7), ip_local_port_range), so it is still free when a
    server is started on it later.
    """
    while True:
        port = _CHANCE.randrange(20_000, 32_000)
        with socket.socket() as tried:
            # As servers do: connections that have ended do not count.
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((HOST, port))
            except OSError:
                continue
        return port


def impatience(fault: Fault) -> float:
    """Return the client's timeout in seconds: short only where a test waits for it to pass."""
    return 0.2 if isinstance(fault.reply, Silence) else _PATIENCE


class Unreliable:
    """The proxy, on 127.0.0.1; runs within a ``with`` block.

    Args:
        target: the sandbox's address.
        strikes: which requests meet which fault; the first strike that hits counts.
        certificate: a PEM file with key and certificate; makes it HTTPS.
    """

    def __init__(self, target: str, *strikes: Strike, certificate: Path | None = None) -> None:
        self._target = urlsplit(target)
        self._certificate = certificate
        self._changed = threading.Condition()
        self.strike(*strikes)
        self._requests: list[Request] = []
        self._late: list[tuple[str, str, Message, bytes]] = []
        self._told: list[tuple[str, str, Message, bytes]] = []
        self._under_way = 0
        self._connections = 0
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._server = _Server(self, self._certificate)
        self._thread = threading.Thread(target=self._server.serve, name="network", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.end()
        self._thread.join()

    @property
    def url(self) -> str:
        """Its address, to be used in place of the sandbox's."""
        assert self._server is not None
        return f"http{'s' if self._certificate else ''}://{HOST}:{self._server.server_port}"

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in the order in which they came."""
        with self._changed:
            return list(self._requests)

    @property
    def connections(self) -> int:
        """How many TCP connections were made."""
        with self._changed:
            return self._connections

    def seen(self, method: str = "", path: str = "") -> list[Request]:
        """Return the requests of a method whose path and query hold a regular expression."""
        kind = Strike(Fault(), method, path)
        return [request for request in self.requests if kind.fits(request.method, request.path)]

    def strike(self, *strikes: Strike) -> None:
        """Let these faults rule from now on, and no other."""
        with self._changed:
            self._strikes = strikes
            self._fitting = [0] * len(strikes)

    def wait_for(self, count: int, method: str = "", path: str = "", seconds: float = _PATIENCE) -> None:
        """Wait until so many requests of a kind have come.

        Raises:
            TimeoutError: they did not.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.seen(method, path)) >= count, seconds):
                raise TimeoutError(f"{len(self.seen(method, path))} instead of {count} requests {method} {path} came")

    # --- for the handler --------------------------------------------------------------------------------------

    def connected(self) -> int:
        """Count a connection and give its number."""
        with self._changed:
            self._connections += 1
            return self._connections

    def enter(self, method: str, path: str, headers: Message, body: bytes, connection: int) -> Fault:
        """Write a request down and say what happens to it."""
        with self._changed:
            struck = None
            for index, strike in enumerate(self._strikes):
                if strike.fits(method, path):
                    self._fitting[index] += 1
                    if struck is None and strike.hits(self._fitting[index]):
                        struck = strike.fault
            self._under_way += 1
            self._requests.append(
                Request(method, path, headers, body, time.monotonic(), connection, self._under_way, struck)
            )
            self._changed.notify_all()
            return struck or Fault()

    def leave(self) -> None:
        """Count a request as answered."""
        with self._changed:
            self._under_way -= 1

    def put_off(self, delivery: Delivery, method: str, path: str, headers: Message, body: bytes) -> None:
        """Keep a request for later."""
        with self._changed:
            (self._told if delivery is Delivery.TOLD else self._late).append((method, path, headers, body))

    def overdue(self, method: str, path: str) -> list[tuple[str, str, Message, bytes]]:
        """Take the requests that are to be delivered before one of this method and path."""
        with self._changed:
            due = [late for late in self._late if late[:2] == (method, path)]
            self._late = [late for late in self._late if late not in due]
            return due

    def deliver(self) -> None:
        """Deliver what was put off until the test says so; ConnectWise's answers go nowhere."""
        with self._changed:
            late, self._told = self._told, []
        with closing(self.upstream()) as upstream:
            for request in late:
                _pass_on(upstream, *request)

    def upstream(self) -> http.client.HTTPConnection:
        """Return a connection to the sandbox."""
        assert self._target.hostname is not None
        return http.client.HTTPConnection(self._target.hostname, self._target.port, timeout=_PATIENCE)


def _pass_on(upstream: http.client.HTTPConnection, method: str, path: str, headers: Message, body: bytes) -> Page:
    """Deliver a request; return ConnectWise's answer."""
    upstream.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        upstream.putheader(name, value)
    upstream.endheaders(body or None)
    answer = upstream.getresponse()
    content = answer.read().decode()
    mine = {name: value for name, value in answer.getheaders() if name not in ("Content-Length", "Content-Type")}
    return Page(answer.status, content, answer.getheader("Content-Type", ""), mine)


class _Server(LoopbackServer):
    """Ends connections as a test asks for: in order, or by a reset."""

    poll_seconds = 0.002

    def __init__(self, network: Unreliable, certificate: Path | None) -> None:
        self.network = network
        self.resets: set[socket.socket] = set()
        super().__init__(0, _Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # The handshake is left to the handler's thread: a client that refuses must not hold up the others.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        if request in self.resets:
            # Closing with a linger of zero sends a reset instead of an end.
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def close_request(self, request: socket.socket) -> None:  # type: ignore[override]
        self.resets.discard(request)
        super().close_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        # A client that goes away, or that does not trust us, is its own affair.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Takes the requests of one connection, each to its fate."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.network = cast(_Server, self.server).network
        self.number = self.network.connected()
        self.upstream = self.network.upstream()

    def finish(self) -> None:
        self.upstream.close()
        super().finish()

    def answer(self) -> None:
        """Answer one request, or do not."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if isinstance(self.connection, ssl.SSLSocket):
            self.headers["X-Forwarded-Proto"] = "https"
        sent = (self.command, self.path, self.headers, body)
        fault = self.network.enter(*sent, self.number)
        try:
            if fault.meanwhile is not None:
                fault.meanwhile()
            answered: Page | None = None
            if fault.delivery in (Delivery.LATE, Delivery.TOLD):
                self.network.put_off(fault.delivery, *sent)
            elif fault.delivery is Delivery.NOW:
                for late in self.network.overdue(self.command, self.path):
                    self._deliver(*late)
                answered = self._deliver(*sent)
        except (OSError, http.client.HTTPException):
            # ConnectWise itself is away: so it is for the client.
            self._reset()
            return
        finally:
            # Before the reply: whoever has it may send the next request at once.
            self.network.leave()
        self._reply(fault.reply, answered)

    # The names http.server looks for.
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _deliver(self, method: str, path: str, headers: Message, body: bytes) -> Page:
        return _pass_on(self.upstream, method, path, headers, body)

    def _reply(self, reply: Reply, answered: Page | None) -> None:
        match reply:
            case Page():
                self._write(reply, reply.body)
            case Reset():
                self._reset()
            case Silence():
                # Over when the client goes away, or the proxy ends.
                self.close_connection = True
                self.rfile.read(1)
            case Altered():
                assert answered is not None, "there is no answer to alter"
                content = reply.alter(simplejson.loads(answered.body, use_decimal=True) if answered.body else None)
                self._write(answered, "" if content is None else simplejson.dumps(content, use_decimal=True))
            case Faithful() | Halved() | BrokenOff():
                assert answered is not None, "there is no answer to pass on"
                whole = answered.body
                half = whole[: len(whole) // 2]
                if isinstance(reply, BrokenOff):
                    self.close_connection = True
                    self._write(answered, half, said_length=len(whole.encode()))
                else:
                    self._write(answered, whole if isinstance(reply, Faithful) else half)

    def _reset(self) -> None:
        self.close_connection = True
        cast(_Server, self.server).resets.add(self.connection)

    def _write(self, head: Page, body: str, said_length: int | None = None) -> None:
        content = body.encode()
        lines = [f"HTTP/1.1 {head.status} {http.client.responses.get(head.status, '')}"]
        lines += [f"{name}: {value}" for name, value in head.headers.items()]
        if head.status != http.client.NO_CONTENT:
            length = len(content) if said_length is None else said_length
            lines += [f"Content-Type: {head.content_type}", f"Content-Length: {length}"]
        self.wfile.write("\r\n".join((*lines, "", "")).encode() + content)
