"""A small HTTP server: one thread, a few connections, and each of them bounded in size and time.

It listens where any user of the machine may connect. A client that says nothing, that sends or reads slowly, or that
comes a thousand times over costs no thread and no more than a fixed number of file descriptors. It keeps nobody else
waiting either: where there are too many connections, the oldest is closed, and a request is answered as soon as it is
there.
"""

from __future__ import annotations

import io
import logging
import selectors
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler
from wsgiref.types import WSGIApplication

# The most connections at a time, and how many are taken between two looks at those that are there.
_MOST_CONNECTIONS = 128
_AT_ONCE = 8
# How long a connection may last, from its beginning to its end (seconds).
_CONNECTION_SECONDS = 5.0
# The longest request, without a body (bytes).
_MOST_BYTES = 16384
# The pause where the process has no file descriptor left for another connection (seconds).
_PAUSE_SECONDS = 0.1


@dataclass(slots=True, eq=False)
class _Connection:
    """One client.

    Attributes:
        socket: leads to it; non-blocking.
        until: when the connection ends at the latest (monotonic seconds).
        request: what came so far.
        answered: True once the request was answered, if only in part.
        unsent: what is left to send of the answer.
    """

    socket: socket.socket
    until: float
    request: bytes = b""
    answered: bool = False
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))


class Server:
    """Answers requests by a WSGI application, in a thread of its own."""

    def __init__(self, application: WSGIApplication, host: str, port: int) -> None:
        """Listen.

        Args:
            application: is called in the server's thread, for one request at a time.
            host: a name or address of this machine.
            port: to listen on.

        Raises:
            OSError: the address cannot be listened on.
        """
        kind, flags = socket.SOCK_STREAM, socket.AI_PASSIVE
        family, _, _, _, address = socket.getaddrinfo(host, port, type=kind, flags=flags)[0]
        self._listener = socket.create_server(address[:2], family=family)
        self._listener.setblocking(False)
        self._wake, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        # In the order of their beginning, and so of their latest end.
        self._connections: dict[_Connection, None] = {}
        self._application = application
        self._address = (host, port)
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop, and close all connections."""
        self._wake.send(b".")
        self._thread.join()
        for each in (self._wake, self._woken, self._listener, self._selector):
            each.close()

    def _run(self) -> None:
        while True:
            until = next((each.until for each in self._connections), None)
            ready = self._selector.select(None if until is None else max(0.0, until - time.monotonic()))
            for key, _ in ready:
                if key.data is not None:
                    self._advance(key.data)
            self._close_overdue()
            # Requests that are there are answered before others come in.
            sources = [key.fileobj for key, _ in ready]
            if self._woken in sources:
                break
            if self._listener in sources:
                self._accept()
        for connection in list(self._connections):
            self._close(connection)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                client, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                # There is no file descriptor left, or the client has gone again.
                self._make_room(0)
                time.sleep(_PAUSE_SECONDS)
                return
            self._make_room(_MOST_CONNECTIONS - 1)
            client.setblocking(False)
            connection = _Connection(client, time.monotonic() + _CONNECTION_SECONDS)
            self._connections[connection] = None
            self._selector.register(client, selectors.EVENT_READ, connection)
            # The request is there already, as a rule.
            self._advance(connection)

    def _make_room(self, most: int) -> None:
        """Close the oldest connections, until at most so many are left."""
        for connection in list(self._connections)[: max(0, len(self._connections) - most)]:
            self._close(connection)

    def _close_overdue(self) -> None:
        now = time.monotonic()
        for connection in [each for each in self._connections if each.until <= now]:
            self._close(connection)

    def _close(self, connection: _Connection) -> None:
        del self._connections[connection]
        self._selector.unregister(connection.socket)
        connection.socket.close()

    def _advance(self, connection: _Connection) -> None:
        """Read or write what is possible now."""
        try:
            goes_on = self._send(connection) if connection.unsent else self._receive(connection)
        except BlockingIOError:
            return
        except OSError:
            goes_on = False
        if not goes_on:
            self._close(connection)

    def _receive(self, connection: _Connection) -> bool:
        """Read a piece of a request, and answer the request once it is whole; return True if the connection goes on."""
        piece = connection.socket.recv(_MOST_BYTES)
        if not piece:
            return False
        if connection.answered:
            # Read and ignored: to close with something unread would take the answer from the client.
            return True
        connection.request += piece
        if b"\r\n\r\n" in connection.request or b"\n\n" in connection.request:
            connection.answered = True
            connection.unsent = memoryview(self._answer(connection.request))
            return self._send(connection)
        return len(connection.request) < _MOST_BYTES

    def _send(self, connection: _Connection) -> bool:
        """Send a piece of an answer; return True if the connection goes on."""
        with suppress(BlockingIOError):
            connection.unsent = connection.unsent[connection.socket.send(connection.unsent) :]
        if connection.unsent:
            self._selector.modify(connection.socket, selectors.EVENT_WRITE, connection)
        else:
            # The client sees the end, and closes.
            connection.socket.shutdown(socket.SHUT_WR)
            self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
        return True

    def _answer(self, request: bytes) -> bytes:
        handler = _Handler(request, self._address, self._application)
        if handler.faults.getvalue():
            logging.getLogger(__name__).error("a request was not answered: %s", handler.faults.getvalue())
        return handler.wfile.getvalue()


class _Handler(WSGIRequestHandler):
    """Answers one request that is there whole.

    Attributes:
        wfile: gets the answer.
        faults: gets what went wrong in the application.
    """

    wfile: io.BytesIO

    def __init__(self, request: bytes, address: tuple[str, int], application: WSGIApplication) -> None:
        self.faults = io.StringIO()
        host, port = address
        environ = {"SERVER_NAME": host, "SERVER_PORT": str(port), "GATEWAY_INTERFACE": "CGI/1.1", "SCRIPT_NAME": ""}
        # All that the standard library's handler asks of its server.
        server: Any = SimpleNamespace(base_environ=environ, get_app=lambda: application)
        super().__init__(request, ("", 0), server)  # type: ignore[arg-type]  # what comes in place of a socket

    def setup(self) -> None:
        """Read from what came, and keep what is sent."""
        self.rfile = io.BufferedReader(io.BytesIO(self.request))
        self.wfile = io.BytesIO()

    def finish(self) -> None:
        """Keep what is sent."""

    def get_stderr(self) -> io.StringIO:
        """Return what gets the faults of the application."""
        return self.faults

    def log_message(self, *_arguments: object) -> None:
        """Log no request."""
