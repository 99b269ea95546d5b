"""An HTTP server on 127.0.0.1 that knows its connections, so that none of them outlives it."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"
_SECONDS_TO_CLOSE = 5.0


class LoopbackServer(ThreadingHTTPServer):
    """Answers each connection in a thread of its own, and breaks all connections when it ends.

    Args:
        port: the port to listen on; 0 takes any free one.
        handler: reads the requests of a connection and answers them.

    Attributes:
        ending: set when the server ends, before it breaks the connections.
    """

    daemon_threads = True
    request_queue_size = 128
    # The wait for a shutdown is polled; the default of half a second would slow every test.
    poll_seconds = 0.02

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self.ending = threading.Event()
        self._connections: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__((HOST, port), handler)

    def serve(self) -> None:
        """Answer until ``end`` is called."""
        self.serve_forever(poll_interval=self.poll_seconds)

    def end(self) -> None:
        """Stop listening and break every connection."""
        self.shutdown()
        self.ending.set()
        with self._changed:
            for connection in self._connections:
                _break(connection)
            self._changed.wait_for(lambda: not self._connections, timeout=_SECONDS_TO_CLOSE)
        self.server_close()

    def server_bind(self) -> None:
        """Bind to the port."""
        # The inherited method asks DNS for the name of the host, which nobody needs and which can hang.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    def process_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:  # type: ignore[override]
        """Start a thread for a connection."""
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def close_request(self, request: socket.socket) -> None:  # type: ignore[override]
        """Close a connection."""
        super().close_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: object, client_address: object) -> None:
        """Report an error, unless the client went away, which is its own affair."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _break(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # It was broken from the other side already.
        return
