"""HTTP to ConnectWise: signed in, paced, repeated where that is safe, every fault translated to its owner.

The only user of ``requests``. What is safe to repeat is decided by method: GET, PATCH of an absolute amount and DELETE
are; ConnectWise has no idempotency key, so a POST whose answer is lost is ``AnswerLost`` and never repeated here.
"""

from __future__ import annotations

import base64
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests
import simplejson
import structlog
import tenacity
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from watcher.connectwise.pace import Pace
from watcher.errors import AnswerLost, Missing, Rejection, SignInRefused, Unreachable
from watcher.events.catalogue import Event
from watcher.events.redaction import redactor

# Without a Retry-After ConnectWise's own text says thirty seconds.
_RETRY_AFTER = 30.0
_LONGEST_RETRY_AFTER = 600.0
# A Retry-After of nothing is no wait at all; some gateways give parts of a second.
_SHORTEST_RETRY_AFTER = 0.1
# How often a call that is safe to repeat is tried before the whole line waits instead.
_TRIES = 3
_MEND_SIGN_IN = (
    "Check connectwise.site, company, codebase, public_key, private_key and client_id, and that the API member's "
    "security role may inquire, add and edit in Finance > Invoicing and Finance > Accounting Interface"
)


@dataclass(frozen=True, slots=True)
class Account:
    """Where ConnectWise is and who asks.

    Attributes:
        url: ``https://host/codebase/apis/3.0``.
        company: the login company.
        public_key, private_key: of the API member.
        client_id: the integration's id, a header of every call.
        api_version: the model version asked for, ``2025.1``.
        ca_bundle: a file of certificates to trust instead of the usual ones, or None.
        timeout_seconds: for connecting, and between two pieces of an answer.
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
    def secrets(self) -> tuple[str, ...]:
        """Every text of it that must never be shown."""
        login = f"{self.company}+{self.public_key}:{self.private_key}"
        return (login, self.private_key, self.public_key, self.client_id)

    def __repr__(self) -> str:
        return f"Account(url={self.url!r}, company={self.company!r})"


class _OneHost(HTTPAdapter):
    """Finds the way once: every call goes to one host, by the same proxies, with the same certificates.

    To look for it anew would be a tenth of the processor time of a call.
    """

    _pool: urllib3.connectionpool.ConnectionPool | None = None

    def get_connection_with_tls_context(self, *arguments: Any, **named: Any) -> urllib3.connectionpool.ConnectionPool:
        """Give the pool of the first call."""
        if self._pool is None:
            self._pool = super().get_connection_with_tls_context(*arguments, **named)
        return self._pool

    def request_url(self, request: requests.PreparedRequest, proxies: Mapping[str, str] | None) -> str:
        """Give what stands in the request line: below the host, unless a proxy is asked."""
        if proxies or request.url is None:
            return super().request_url(request, proxies)
        return request.url[request.url.index("/", len("https://")) :]


Sound = Callable[[Any], bool]


def anything(_content: Any) -> bool:
    """Accept any JSON."""
    return True


class Gateway:
    """Makes calls for any number of threads; each keeps its own connection alive.

    Attributes:
        answered_at: when ConnectWise last gave a good answer, aware; None before the first.
    """

    def __init__(self, account: Account, pace: Pace) -> None:
        """Make no call yet.

        Args:
            account: where and who.
            pace: the turns to call, shared by all threads.
        """
        self._account = account
        self._pace = pace
        # A server that repeats what it was sent must not bring the keys into messages and files.
        self._redacted = redactor(account.secrets)
        self._mine = threading.local()
        login = f"{account.company}+{account.public_key}:{account.private_key}".encode()
        self._headers = {
            "Accept": f"application/vnd.connectwise.com+json; version={account.api_version}",
            "Authorization": f"Basic {base64.b64encode(login).decode()}",
            "clientId": account.client_id,
            "User-Agent": "payment-watcher",
        }
        # Proxies and certificates as the environment names them (HTTPS_PROXY, REQUESTS_CA_BUNDLE, ...).
        environment = requests.Session().merge_environment_settings(account.url, {}, None, None, None)
        self._verify: bool | str = account.ca_bundle or environment["verify"] or True
        # This machine is not reached through a proxy, whatever no_proxy leaves out.
        loopback = urlsplit(account.url).hostname in ("localhost", "127.0.0.1", "::1")
        self._proxies = {} if loopback else environment["proxies"]
        self.answered_at: datetime | None = None
        self._log = structlog.get_logger()

    def url(self, path: str) -> str:
        """Give the whole URL of a path of the API, which is quoted already."""
        return f"{self._account.url}{path}"

    def repeatedly(self, method: str, path: str, body: Any = None, *, sound: Sound = anything) -> Any:
        """Make a call that is safe to repeat, a few times if need be.

        Args:
            method: GET, PATCH or DELETE.
            path: below the API's root, with its query, quoted.
            body: what is sent as JSON; amounts Decimal.
            sound: says whether the JSON of an answer is of the kind that was asked for.

        Returns:
            The JSON of the answer, numbers with a point as Decimal; None for 204.

        Raises:
            Rejection: ConnectWise refuses this record; Missing where it is not there.
            Unreachable, SignInRefused: the line waits.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((Unreachable, AnswerLost)),
            stop=tenacity.stop_after_attempt(_TRIES),
            wait=tenacity.wait_exponential_jitter(multiplier=0.5, max=5),
            sleep=self._pace.sleep,
            before_sleep=self._tell_retry,
            reraise=True,
        )
        try:
            return retrying(self.once, method, path, body, sound=sound)
        except AnswerLost as error:
            raise Unreachable(str(error), error.request_id) from error

    def _tell_retry(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._log.info(
            Event.CONNECTWISE_RETRY,
            reason=str(error),
            request_id=getattr(error, "request_id", None),
            attempt=state.attempt_number,
        )

    def once(self, method: str, path: str, body: Any = None, *, sound: Sound = anything) -> Any:
        """Make one call; only a 429, which was not carried out, is waited out and asked again.

        Raises:
            AnswerLost: a POST may or may not have been carried out.
            Rejection, Unreachable, SignInRefused: as for ``repeatedly``.
        """
        while True:
            self._pace.turn()
            answer = self._timed(method, self.url(path), body)
            if answer.status_code != requests.codes.too_many_requests:
                return self._judge(answer, sound)
            seconds = _retry_after(answer)
            self._pace.hold(seconds)
            self._log.warning(
                Event.CONNECTWISE_SLOWED,
                retry_after_seconds=seconds,
                requests_per_minute=round(self._pace.requests_per_minute),
                request_id=_request_id(answer),
            )

    def _timed(self, method: str, url: str, body: Any) -> requests.Response:
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
                request_id=None if answer is None else _request_id(answer),
            )

    def _judge(self, answer: requests.Response, sound: Sound) -> Any:
        """Give an answer's JSON, or raise what its status and body mean, with the owner of the fault."""
        status, request_id = answer.status_code, _request_id(answer)
        if status == requests.codes.no_content:
            self.answered_at = datetime.now(UTC)
            return None
        content = _json(answer)
        if answer.ok and content is not None and not answer.is_redirect and sound(content):
            self.answered_at = datetime.now(UTC)
            return content
        said = self._redacted(_words(answer, content))
        if status in (requests.codes.unauthorized, requests.codes.forbidden):
            raise SignInRefused(f"ConnectWise refused the sign-in ({status}): {said}", _MEND_SIGN_IN, request_id)
        if answer.is_redirect or status == requests.codes.method_not_allowed:
            raise SignInRefused(f"this is not the ConnectWise API ({status}): {said}", _MEND_SIGN_IN, request_id)
        if content is None and 400 <= status < 500:
            # Plain text "Cannot route", or the HTML 404 that the cloud gives for wrong keys: the gateway, not the API.
            raise SignInRefused(f"ConnectWise's gateway does not know us ({status}): {said}", _MEND_SIGN_IN, request_id)
        if status == requests.codes.not_found:
            raise Missing(said, request_id)
        if 400 <= status < 500:
            raise Rejection(said, request_id)
        reason = f"ConnectWise answered {status}: {said}"
        if answer.request.method == "POST":
            raise AnswerLost(reason, request_id)
        raise Unreachable(reason, request_id)

    def _send(self, method: str, url: str, body: Any) -> requests.Response:
        data = None if body is None else simplejson.dumps(body, use_decimal=True).encode()
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        # The URL comes quoted and the headers are ours: to have both taken apart and put together again
        # would be a sixth of what a call costs.
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url, prepared.headers = method, url, CaseInsensitiveDict(headers)
        prepared.prepare_body(data, None)
        try:
            answer = self._adapter().send(
                prepared,
                timeout=self._account.timeout_seconds,
                verify=self._verify,
                proxies=self._proxies,
            )
            # Read here, where a connection that breaks off in the middle is told from an answer.
            _ = answer.content
        except OSError as error:
            # Every error of requests is one; so is a certificate file that is not there.
            if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
                raise SignInRefused(
                    f"the certificate of {self._host()} is not trusted: {_innermost(error)}",
                    "Check connectwise.site and the clock; name your own certificates in connectwise.ca_bundle",
                ) from error
            reason = f"{self._host()} {_trouble(error)}"
            if method == "POST" and _may_have_arrived(error):
                raise AnswerLost(reason) from error
            raise Unreachable(reason) from error
        return answer

    def _adapter(self) -> HTTPAdapter:
        """Give this thread's own connection, kept alive between calls.

        A Session would merge settings and look after redirects and cookies for each call, which nothing here needs.
        """
        adapter: HTTPAdapter | None = getattr(self._mine, "adapter", None)
        if adapter is None:
            adapter = self._mine.adapter = _OneHost(pool_connections=1, pool_maxsize=1)
        return adapter

    def _host(self) -> str:
        return urlsplit(self._account.url).netloc


def _json(answer: requests.Response) -> Any:
    """Parse a JSON body with exact numbers; None where it is none (a gateway's page, half a body)."""
    try:
        return simplejson.loads(answer.content, use_decimal=True)
    except ValueError:
        return None


def _words(answer: requests.Response, content: Any) -> str:
    """Give what ConnectWise said, in its own words."""
    if isinstance(content, dict):
        said = [str(content.get("message") or content.get("code") or "")]
        errors = content.get("errors")
        for error in errors if isinstance(errors, list) else ():
            if isinstance(error, dict) and error.get("message"):
                field = f" ({error['field']})" if error.get("field") else ""
                said.append(f"{error['message']}{field}")
        return ": ".join(filter(None, said)) or "no reason given"
    text = re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", answer.text, flags=re.DOTALL | re.IGNORECASE)
    return " ".join(text.split())[:200] or "an empty answer"


def _retry_after(answer: requests.Response) -> float:
    try:
        seconds = float(answer.headers.get("Retry-After", _RETRY_AFTER))
    except ValueError:
        return _RETRY_AFTER
    if not seconds >= 0:
        return _RETRY_AFTER
    return min(max(seconds, _SHORTEST_RETRY_AFTER), _LONGEST_RETRY_AFTER)


def _request_id(answer: requests.Response) -> str | None:
    return answer.headers.get("x-cw-request-id")


def _may_have_arrived(error: OSError) -> bool:
    """Say whether a failed request can have reached the server; only a failed connection proves that it did not."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return False
    return not any(isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in _causes(error))


def _trouble(error: OSError) -> str:
    causes = list(_causes(error))
    if any(isinstance(cause, urllib3.exceptions.NameResolutionError) for cause in causes):
        return "has no address: its name could not be resolved"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "could not be connected to in time"
    if isinstance(error, requests.exceptions.Timeout):
        return "did not answer in time"
    return f"could not be reached: {_innermost(error)}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it wraps; urllib3 keeps the last fault of a connection in ``reason``."""
    seen: set[int] = set()
    left: list[Any] = [error]
    while left:
        cause = left.pop()
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            left += [*cause.args, cause.__cause__, cause.__context__, getattr(cause, "reason", None)]


def _innermost(error: BaseException) -> str:
    *_, last = _causes(error)
    return str(getattr(last, "strerror", None) or last)
