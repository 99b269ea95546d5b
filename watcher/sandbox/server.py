"""The sandbox as a running HTTP server on this machine."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Self, cast
from urllib.parse import parse_qsl, unquote

from watcher.sandbox.answers import Answer, Request, refusal
from watcher.sandbox.api import VERSION
from watcher.sandbox.books import Books
from watcher.sandbox.clock import Clock
from watcher.sandbox.errors import RequestError
from watcher.sandbox.gate import RateLimit, SignIn
from watcher.sandbox.loopback import HOST, LoopbackServer
from watcher.sandbox.rules import Rules
from watcher.sandbox.seeds import InvoiceSeed, numbered_invoices
from watcher.sandbox.site import PAGES, Site

_LARGEST_BODY = 1_048_576
_DEFAULT_INVOICES = 100


class Sandbox:
    """An embedded stand-in for the ConnectWise PSA REST API, on 127.0.0.1.

    It runs from ``start`` to ``stop``, or within a ``with`` block. Stopping breaks every connection and keeps
    the books; starting again takes the same port, as a server does that was away for a while.

    Args:
        invoices: what the books start with; a hundred numbered invoices unless told.
        sign_in: the keys a client must present.
        port: the port to listen on; 0 takes any free one.
        latency: seconds between the work of an API request and its answer.
        requests_per_minute: the rate limit of the API; None for none.
        rules: how the ConnectWise behaves that it plays; a plain one unless told.

    Raises:
        ValueError: the latency is negative, or the rate limit lets nothing through.
    """

    def __init__(
        self,
        invoices: Iterable[InvoiceSeed] | None = None,
        sign_in: SignIn | None = None,
        port: int = 0,
        latency: float = 0.0,
        requests_per_minute: int | None = None,
        rules: Rules | None = None,
    ) -> None:
        """Enter the invoices; nothing listens yet."""
        if latency < 0:
            raise ValueError(f"latency is {latency}, not 0 or more seconds")
        seeds = numbered_invoices(_DEFAULT_INVOICES) if invoices is None else invoices
        limit = None if requests_per_minute is None else RateLimit(requests_per_minute)
        self._clock = Clock()
        self._site = Site(Books(seeds, self._clock, rules), sign_in or SignIn(), limit)
        self._port = port
        self._latency = latency
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address, such as ``http://127.0.0.1:8080``.

        Raises:
            RuntimeError: it is still to be chosen, at the first start.
        """
        if self._port == 0:
            raise RuntimeError("the sandbox has not been started yet")
        return f"http://{HOST}:{self._port}"

    def start(self) -> None:
        """Listen and answer; nothing happens if it does already.

        Raises:
            OSError: the port is taken.
        """
        if self._server is not None:
            return
        self._server = _Server(self._port, self._site, self._latency)
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve, name="sandbox", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and break every connection; nothing happens if it is not running."""
        if self._server is None or self._thread is None:
            return
        self._server.end()
        self._thread.join()
        self._server = self._thread = None

    def books(self) -> dict[str, object]:
        """Return what ``GET /books`` shows, amounts being Decimal.

        Returns:
            ``invoices``: each with its rows under ``paymentRows``; ``writes``: every write in order, refused
            ones too, an entry being sequence, time, method, invoiceId, invoiceNumber, paymentId, body
            and status; ``requests``: how many came, by method and path template.
        """
        return self._site.books()

    def pass_time(self, seconds: float) -> None:
        """Put the sandbox's clock forward, for rules that need time: a search that lags, writes that come late.

        Args:
            seconds: how far; 0 or more.

        Raises:
            ValueError: they are negative.
        """
        self._clock.forward(seconds)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()


class _Server(LoopbackServer):
    """Answers for one site, after a latency."""

    def __init__(self, port: int, site: Site, latency: float) -> None:
        self.site = site
        self.latency = latency
        super().__init__(port, _Handler)


class _Handler(BaseHTTPRequestHandler):
    """Reads requests from one connection and writes each answer in one piece."""

    protocol_version = "HTTP/1.1"
    server_version = "ConnectWise-sandbox"
    # Waiting to fill a packet would add tens of milliseconds to an answer.
    disable_nagle_algorithm = True

    def answer(self) -> None:
        """Answer one request."""
        server = cast(_Server, self.server)
        target, _, query = self.path.partition("?")
        try:
            body = self._read_body()
        except RequestError as error:
            # What follows on the connection cannot be told from the body.
            self.close_connection = True
            self._send(refusal(error))
            return
        # Clients follow links, and those that speak TLS have something in front of this.
        scheme = "https" if self.headers.get("X-Forwarded-Proto", "").lower() == "https" else "http"
        address = f"{scheme}://{self.headers.get('Host', HOST)}{target}"
        request = Request(
            method=self.command,
            path=unquote(target),
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers=self.headers,
            body=body,
            address=address,
        )
        found = server.site.answer(request, len(address) + len(query) + (1 if query else 0))
        if server.latency and request.path not in PAGES and server.ending.wait(server.latency):
            # The connection is about to be broken; the answer must not get out before that.
            self.close_connection = True
            return
        if found is None:
            self.close_connection = True
            return
        self._send(found)

    # The names http.server looks for.
    do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no HTTP request at all, in the way of all refusals here."""
        self.close_connection = True
        reason = message or HTTPStatus(code).phrase
        self._send(refusal(RequestError(code, "InvalidRequest", explain or reason)))

    def _read_body(self) -> bytes:
        if "Transfer-Encoding" in self.headers:
            raise RequestError(411, "LengthRequired", "A body is taken with Content-Length only.")
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit() and len(length) < 10):
            raise RequestError(400, "InvalidRequest", f"Content-Length {length!r} is not a length.")
        if int(length) > _LARGEST_BODY:
            raise RequestError(413, "RequestEntityTooLarge", f"The body is over {_LARGEST_BODY} bytes.")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionAbortedError("the client went away within its body")
        return body

    def _send(self, answer: Answer) -> None:
        fields = {
            "Server": self.server_version,
            "Date": self.date_time_string(),
            "x-cw-request-id": str(uuid.uuid4()),
            "x-server-name": "SANDBOX",
            "api-current-version": VERSION,
            **answer.headers,
        }
        if answer.content_type is not None:
            fields["Content-Type"] = answer.content_type
            fields["Content-Length"] = str(len(answer.body))
        if self.close_connection:
            fields["Connection"] = "close"
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        head = "\r\n".join((*lines, "", "")).encode("latin-1", "replace")
        self.wfile.write(head if self.command == "HEAD" else head + answer.body)
