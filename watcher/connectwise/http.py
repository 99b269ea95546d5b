"""HTTP to ConnectWise: one call, signed in, paced, and repeated where that is safe.

Only a GET is repeated here. ConnectWise has no idempotency key, so a write whose answer is lost raises ``AnswerLost``:
the payments are read back before anything else is done.
"""

from __future__ import annotations

import base64
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import simplejson
import structlog
import tenacity
import urllib3
from requests.structures import CaseInsensitiveDict

from watcher.connectwise import faults, proxies
from watcher.connectwise.connection import Connection
from watcher.connectwise.pace import Pace
from watcher.connectwise.rows import NotUnderstood
from watcher.errors import Slowed, Unreachable
from watcher.events.catalogue import Event
from watcher.events.redaction import redactor

# How often a call that is safe to repeat is tried before it is an outage.
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Account:
    """Where ConnectWise is and who calls it.

    Attributes:
        url: ``https://host/codebase/apis/3.0``.
        company: the login company.
        public_key, private_key: of the API member.
        client_id: the integration's id, a header of every call.
        api_version: the version of the model, a header of every call: ``2025.1``.
        ca_bundle: a file of certificates to trust in place of the usual ones, or None.
        timeout_seconds: the longest wait for a connection, and then for the whole answer (seconds).
    """

    url: str
    company: str
    public_key: str
    private_key: str
    client_id: str
    api_version: str = "2025.1"
    ca_bundle: str | None = None
    timeout_seconds: float = 30

    @property
    def login(self) -> str:
        """The user and password of HTTP's basic authentication."""
        return f"{self.company}+{self.public_key}:{self.private_key}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text of this account that must never be shown."""
        return (self.login, self.private_key, self.public_key, self.client_id)

    def __repr__(self) -> str:
        return f"Account(url={self.url!r}, company={self.company!r})"


Read = TypeVar("Read")
# Returns what the JSON of an answer holds, None for an answer without content; raises NotUnderstood if it does not hold
# what was asked for.
Reads = Callable[[Any], Read]


def _may_pass(error: BaseException) -> bool:
    """Return True if a call that failed so is worth another try at once."""
    return isinstance(error, Unreachable) and not isinstance(error, Slowed)


def anything(content: Any) -> Any:
    """Accept any JSON."""
    return content


class Gateway:
    """Makes calls for any number of threads. Each thread keeps its own connection alive.

    Attributes:
        answered_at: when ConnectWise last gave a good answer, aware; None before the first.
    """

    def __init__(self, account: Account, pace: Pace) -> None:
        """Make no call yet.

        Args:
            account: where ConnectWise is and who calls it.
            pace: the turns to call; all threads share them.
        """
        self.answered_at: datetime | None = None
        self._account = account
        self._pace = pace
        # A server that repeats what it was sent must not bring the keys into messages and files.
        self._redacted = redactor((*account.secrets, *proxies.secrets()))
        self._local = threading.local()
        self._headers = {
            "Accept": f"application/vnd.connectwise.com+json; version={account.api_version}",
            "Authorization": f"Basic {base64.b64encode(account.login.encode()).decode()}",
            "clientId": account.client_id,
            "User-Agent": "payment-watcher",
        }
        # Proxies and certificates as the environment names them (HTTPS_PROXY, REQUESTS_CA_BUNDLE, ...).
        environment = requests.Session().merge_environment_settings(account.url, {}, None, None, None)
        self._verify: bool | str = account.ca_bundle or environment["verify"] or True
        # No proxy leads to this machine, whatever no_proxy leaves out.
        loopback = urlsplit(account.url).hostname in ("localhost", "127.0.0.1", "::1")
        self._proxies = {} if loopback else environment["proxies"]
        self._reachable = proxies.is_usable(account.url, self._proxies)
        self._log = structlog.get_logger()

    @property
    def timeout_seconds(self) -> float:
        """How long one call may take."""
        return self._account.timeout_seconds

    def url(self, path: str) -> str:
        """Return the whole URL of a path of the API, which is quoted already."""
        return f"{self._account.url}{path}"

    def get(self, path: str, *, reads: Reads[Read] = anything, hurried: bool = False) -> Read:
        """Make a GET, a few times if need be: it is safe to repeat.

        Args:
            path: below the API's root, with its query, quoted.
            reads: gets the JSON of the answer, numbers with a point as Decimal; None for 204 or an empty body.
            hurried: do not repeat a call that hung until its timeout.

        Returns:
            What ``reads`` returns.

        Raises:
            Rejection: ConnectWise refuses this record; ``Missing`` if it is not there.
            Unreachable, SignInRefused: the line waits.
        """
        longest = self.timeout_seconds if hurried else math.inf
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            stop=tenacity.stop_after_attempt(_TRIES) | tenacity.stop_after_delay(longest),
            wait=tenacity.wait_exponential_jitter(multiplier=0.5, max=5),
            sleep=self._pace.sleep,
            before_sleep=self._log_retry,
            reraise=True,
        )
        answer: Read = retrying(self.once, "GET", path, reads=reads)
        return answer

    def once(self, method: str, path: str, body: Any = None, *, reads: Reads[Read] = anything) -> Read:
        """Make one call. Only a 429, which was not carried out, is waited out and the call made again.

        Args:
            method: GET, POST, PATCH or DELETE.
            path: as for ``get``.
            body: what is sent as JSON, amounts as Decimal.
            reads: as for ``get``.

        Raises:
            AnswerLost: a write may or may not have been carried out, and may be carried out later.
            Rejection, Unreachable, SignInRefused: as for ``get``. Nothing but 429 for a minute is Unreachable, too.
        """
        while True:
            self._pace.turn()
            answer = self.exchange(method, self.url(path), body)
            if answer.status_code != requests.codes.too_many_requests:
                self._pace.answered()
                return self._content(answer, reads)
            seconds = faults.retry_after(answer)
            is_outage = self._pace.hold(seconds)
            self._log.warning(
                Event.CONNECTWISE_SLOWED,
                retry_after_seconds=seconds,
                requests_per_minute=round(self._pace.requests_per_minute),
                request_id=faults.request_id(answer),
            )
            if is_outage:
                raise Slowed(
                    "ConnectWise has answered nothing but 429 (too many requests) for a minute or more",
                    faults.request_id(answer),
                )

    def _log_retry(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._log.info(
            Event.CONNECTWISE_RETRY,
            reason=str(error),
            request_id=getattr(error, "request_id", None),
            attempt=state.attempt_number,
        )

    def _content(self, answer: requests.Response, reads: Reads[Read]) -> Read:
        """Return what an answer holds, or raise what it means if it is not the one that was asked for."""
        content = None
        good = 200 <= answer.status_code < 300
        # A good answer without a body is one to a single call, as 204 is. What is missing in it, "reads" says.
        if answer.status_code != requests.codes.no_content and (answer.content or not good):
            content = faults.content(answer)
            if content is None or not good:
                raise faults.of_answer(answer, faults.words(answer, self._redacted))
        try:
            read = reads(content)
        except NotUnderstood as error:
            raise faults.not_understood(answer, error, self._redacted) from error
        self.answered_at = datetime.now(UTC)
        return read

    def exchange(self, method: str, url: str, body: Any) -> requests.Response:
        """Send one request and return its answer, whatever that is.

        Raises:
            Unreachable, AnswerLost, SignInRefused: there is none.
        """
        begun = time.monotonic()
        answer: requests.Response | None = None
        try:
            answer = self._send(method, url, body)
            return answer
        finally:
            self._log.debug(
                Event.CONNECTWISE_REQUEST,
                method=method,
                status=None if answer is None else answer.status_code,
                duration_ms=round((time.monotonic() - begun) * 1000),
                request_id=None if answer is None else faults.request_id(answer),
            )

    def _send(self, method: str, url: str, body: Any) -> requests.Response:
        if not self._reachable:
            raise faults.of_proxy()
        data = None if body is None else simplejson.dumps(body, use_decimal=True).encode()
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        # The URL is quoted already and the headers are ours. To let the library take both apart and put them together
        # again would be a sixth of the processor time of a call.
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url, prepared.headers = method, url, CaseInsensitiveDict(headers)
        prepared.prepare_body(data, None)
        try:
            return self._connected().fetch(prepared, self._verify, self._proxies)
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise faults.of_error(error, method, urlsplit(self._account.url).netloc, self._redacted) from error

    def _connected(self) -> Connection:
        """Return this thread's own connection, kept alive between calls.

        A Session would merge settings and look after redirects and cookies for each call. Nothing here needs that.
        """
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = Connection(self._account.timeout_seconds)
        return connection
