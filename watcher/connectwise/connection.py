"""A connection to one host whose answers are bounded: in size, and in time as a whole.

A time limit for each piece would not do: a server that sends a byte each second would be waited for without end.
"""

from __future__ import annotations

import io
import math
import socket
import time
from collections.abc import Mapping
from http.client import HTTPResponse
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

# The largest answer that is read (bytes, after it was unpacked). A full page of ConnectWise has one or two million.
MOST_BYTES = 16 * 2**20
# How much of an answer is unpacked at once (bytes).
_PIECE = 65536


class TooLarge(OSError):
    """An answer is larger than any that was asked for."""


class Connection(HTTPAdapter):
    """A connection that is kept alive between calls; for one thread.

    Every call goes to one host, through the same proxies, with the same certificates, so the connection is found once.
    To find it for each call would be a tenth of the processor time of a call.
    """

    def __init__(self, seconds: float) -> None:
        """Connect with the first call.

        Args:
            seconds: how long it may take to connect, and then until the whole answer has come.
        """
        super().__init__(pool_connections=1, pool_maxsize=1)
        self._seconds = seconds
        self._deadline = _Deadline()
        self._pool: urllib3.connectionpool.ConnectionPool | None = None

    def fetch(
        self, request: requests.PreparedRequest, verify: bool | str, proxies: Mapping[str, str]
    ) -> requests.Response:
        """Send a request; return its answer, whole.

        Raises:
            OSError: there is no whole answer; ``TooLarge`` if there is too much of it.
        """
        self._deadline.at = time.monotonic() + self._seconds
        answer = self.send(request, stream=True, timeout=self._seconds, verify=verify, proxies=proxies)
        content = bytearray()
        # To read it here makes a connection that breaks off in the middle no answer.
        for piece in answer.iter_content(_PIECE):
            content += piece
            if len(content) > MOST_BYTES:
                # The rest of it is not read, so this connection is of no more use.
                answer.close()
                raise TooLarge
        answer._content = bytes(content)
        return answer

    def get_connection_with_tls_context(self, *arguments: Any, **named: Any) -> urllib3.connectionpool.ConnectionPool:
        """Return the pool of the first call."""
        if self._pool is None:
            pool = super().get_connection_with_tls_context(*arguments, **named)
            assert isinstance(pool, urllib3.connectionpool.HTTPConnectionPool)
            pool.ConnectionCls = _timely(pool.ConnectionCls, self._deadline)
            self._pool = pool
        return self._pool

    def request_url(self, request: requests.PreparedRequest, proxies: Mapping[str, str] | None) -> str:
        """Return what stands in the request line: the part below the host, unless the call goes through a proxy."""
        if proxies or request.url is None:
            return super().request_url(request, proxies)
        return request.url[request.url.index("/", len("https://")) :]


class _Deadline:
    """When the whole answer to the call under way has to be there (monotonic seconds)."""

    def __init__(self) -> None:
        self.at = math.inf


def _timely(connection: type[Any], deadline: _Deadline) -> type[Any]:
    """Return a class of connections whose answers, a proxy's among them, have come by a deadline."""

    class Timely(connection):  # type: ignore[misc]
        def response_class(self, sock: socket.socket, *arguments: Any, **named: Any) -> HTTPResponse:
            answer = HTTPResponse(sock, *arguments, **named)
            answer.fp = io.BufferedReader(_Reader(sock, answer.fp.detach(), deadline))
            return answer

    return Timely


class _Reader(io.RawIOBase):
    """Reads from a socket until a deadline."""

    def __init__(self, sock: socket.socket, stream: io.RawIOBase, deadline: _Deadline) -> None:
        super().__init__()
        self._sock = sock
        self._stream = stream
        self._deadline = deadline

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what has come, or wait for it until the deadline.

        Raises:
            TimeoutError: nothing came until then.
        """
        left = self._deadline.at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer is not complete in time")
        self._sock.settimeout(left)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        """Close the stream; the socket lives on for the next call."""
        if not self.closed:
            self._stream.close()
        super().close()
