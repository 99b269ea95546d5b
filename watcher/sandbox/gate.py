"""Who is let in, and how often: the sign-in and the rate limit of the API."""

from __future__ import annotations

import math
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field

from watcher.sandbox.errors import RequestError, TooManyRequestsError, no_permission


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a client must present; the defaults are plainly no real keys.

    Attributes:
        company: the login company.
        public_key: the public key of the API member.
        private_key: the private key that goes with it.
        client_id: the identity of the integration.
    """

    company: str = "sandbox"
    public_key: str = "sandbox-public-key"
    private_key: str = field(default="sandbox-private-key", repr=False)
    client_id: str = field(default="00000000-0000-4000-8000-000000000000", repr=False)

    def check(self, authorization: str | None, client_id: str | None) -> None:
        """Let a request in, or refuse it.

        ConnectWise developer guide: Basic sign-in as ``company+publicKey`` with the private key, and a
        ``clientId`` header on every call. The 403 for a missing one was seen on self-hosted servers.

        Args:
            authorization: the header of that name.
            client_id: the clientId header.

        Raises:
            RequestError: 401 for wrong keys, 403 for a missing or wrong client id.
        """
        scheme, _, sent = (authorization or "").partition(" ")
        user = f"{self.company}+{self.public_key}:{self.private_key}"
        if scheme.lower() != "basic" or sent.strip() != b64encode(user.encode()).decode():
            raise RequestError(401, "Unauthorized", "The company, public key or private key is wrong.")
        if (client_id or "").lower() != self.client_id.lower():
            raise no_permission("The clientId header is missing or not known.")


class RateLimit:
    """A token bucket: one minute's worth at the start, refilled evenly.

    Whoever keeps to the limit in every minute is never refused; whoever is refused can go on after a
    second or so, where a window over the last minute could keep them waiting for most of a minute.

    Args:
        requests_per_minute: what is let through in the long run.
        clock: monotonic seconds.

    Raises:
        ValueError: the limit lets nothing through.
    """

    def __init__(self, requests_per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Fill the bucket."""
        if requests_per_minute < 1:
            raise ValueError(f"requests_per_minute is {requests_per_minute}, not at least 1")
        self._capacity = float(requests_per_minute)
        self._per_second = requests_per_minute / 60
        self._tokens = self._capacity
        self._clock = clock
        self._filled = clock()
        self._lock = threading.Lock()

    def admit(self) -> None:
        """Take a token.

        Raises:
            TooManyRequestsError: there is none; it says in how many seconds there will be.
        """
        with self._lock:
            now = self._clock()
            self._tokens = min(self._capacity, self._tokens + (now - self._filled) * self._per_second)
            self._filled = now
            if self._tokens < 1:
                raise TooManyRequestsError(math.ceil((1 - self._tokens) / self._per_second))
            self._tokens -= 1
