"""Whose fault it is that a call failed: the record's, the operator's or nobody's.

Nothing here makes a call or holds a connection. An answer or an error comes in, and the error to raise comes out.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator
from http.client import HTTPException
from typing import Any

import requests
import simplejson
import urllib3

from watcher.connectwise.connection import MOST_BYTES, TooLarge
from watcher.connectwise.rows import NotUnderstood
from watcher.errors import AnswerLost, ConnectWiseError, Missing, Outage, Rejection, Scope, SignInRefused, Unreachable
from watcher.plain import plain

# The wait where a 429 has no usable Retry-After: ConnectWise's own text says thirty seconds.
_RETRY_AFTER = 30.0
_LONGEST_RETRY_AFTER = 600.0
# A Retry-After of 0 would be no wait at all. Some gateways ask for parts of a second.
_SHORTEST_RETRY_AFTER = 0.1
# The most of a page's text, of ConnectWise's words and of an id that is passed on (characters).
_LONGEST_PAGE_TEXT = 200
_LONGEST_WORDS = 1000
_LONGEST_REQUEST_ID = 100
# How much of a page is looked through for its text (bytes), and the longest form of a secret in it (characters).
_LONGEST_PAGE = 65536
_LONGEST_SECRET = 4096
# The most values that an answer may hold. A full page of a thousand rows has some fifty thousand.
_MOST_VALUES = 1_000_000
# Every part of it takes what it can and gives nothing back, so a page of nothing but < is looked through once.
_TAG = re.compile(r"<(?P<end>/?+)(?P<name>\w*+)[^<>]*+>")
_MEND_SIGN_IN = (
    "Check connectwise.site, company, codebase, public_key, private_key and client_id, and that the API member's "
    "security role may inquire, add and edit in Finance > Invoicing and Finance > Accounting Interface"
)
_MEND_CERTIFICATE = "Check connectwise.site and the clock; name your own certificates in connectwise.ca_bundle"

_MEND_PROXY = (
    "Check HTTPS_PROXY and ALL_PROXY in the service's environment; in a user name or password, write # / ? @ : and % "
    "as %23 %2F %3F %40 %3A and %25"
)

_CODES = requests.codes
_GAVE_UP = (_CODES.request_timeout, _CODES.bad_gateway, _CODES.service_unavailable, _CODES.gateway_timeout)
# Takes secrets out of a text.
Redacted = Callable[[str], str]


def of_answer(answer: requests.Response, said: str) -> ConnectWiseError | Outage:
    """Return the error that an answer stands for. The answer is not the one that was asked for.

    Args:
        answer: any but a 429.
        said: its ``words``, without secrets.
    """
    error = _of_answer(answer, said)
    status = answer.status_code
    if status == _CODES.unauthorized or isinstance(error, Rejection):
        return error
    # Each also stands for trouble with one record: data that ConnectWise cannot take, an invoice that the API member
    # may not change, a text that a firewall does not let through. Only a gateway that gave up says nothing of it.
    error.scope = Scope.REFUSED
    if status in _GAVE_UP:
        error.scope = Scope.LOST
    elif answer.ok and not answer.is_redirect:
        error.scope = Scope.ODD
    return error


def _of_answer(answer: requests.Response, said: str) -> ConnectWiseError | Outage:
    status, number = answer.status_code, request_id(answer)
    if status == _CODES.unauthorized:
        return SignInRefused(f"ConnectWise refused the sign-in ({status}): {said}", _MEND_SIGN_IN, number)
    if status == _CODES.forbidden:
        return SignInRefused(f"ConnectWise does not allow this ({status}): {said}", _MEND_SIGN_IN, number)
    if answer.is_redirect or status == _CODES.method_not_allowed:
        return SignInRefused(f"this is not the ConnectWise API ({status}): {said}", _MEND_SIGN_IN, number)
    if 400 <= status < 500:
        if content(answer) is None:
            # The gateway answers in the API's place: "Cannot route" in plain text, or the cloud's HTML for wrong keys.
            return SignInRefused(f"ConnectWise's gateway does not know us ({status}): {said}", _MEND_SIGN_IN, number)
        return Missing(said, number) if status == _CODES.not_found else Rejection(said, number)
    reason = f"ConnectWise answered {status}: {said}"
    # Whether a write was carried out is not known.
    return Unreachable(reason, number) if answer.request.method == "GET" else AnswerLost(reason, number)


def not_understood(answer: requests.Response, error: NotUnderstood, redacted: Redacted) -> AnswerLost | Unreachable:
    """Return the error of an answer that does not hold what was asked for: it is ConnectWise's trouble.

    Args:
        answer: a good one, by its status.
        error: what is odd in it.
        redacted: takes secrets out of a text.
    """
    reason = f"ConnectWise's answer ({answer.status_code}) is not understood: {redacted(str(error))}"
    odd: AnswerLost | Unreachable
    if answer.request.method == "GET":
        odd = Unreachable(reason, request_id(answer))
    else:
        odd = AnswerLost(reason, request_id(answer), error.payment_id)
    odd.scope = Scope.ODD
    return odd


def of_error(error: Exception, method: str, host: str, redacted: Redacted) -> ConnectWiseError | Outage:
    """Return the error that a call without an answer stands for.

    Args:
        error: what ``requests`` raised, or a certificate file that is not there.
        method: of the call.
        host: who was called.
        redacted: takes secrets out of a text.
    """
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
        said = _bounded(redacted(_innermost(error)), _LONGEST_WORDS)
        return SignInRefused(f"the certificate of {host} is not trusted: {said}", _MEND_CERTIFICATE)
    reason = f"{host} {_bounded(redacted(_trouble(error)), _LONGEST_WORDS)}"
    if not _may_have_arrived(error):
        return Unreachable(reason)
    lost = Unreachable(reason) if method == "GET" else AnswerLost(reason)
    lost.scope = Scope.LOST
    return lost


def of_proxy() -> SignInRefused:
    """Return the error of a proxy's address that cannot be read; it is never shown, as it may hold a password."""
    return SignInRefused("the address of the proxy that the environment names cannot be read", _MEND_PROXY)


def content(answer: requests.Response) -> Any:
    """Return the JSON of an answer, numbers with a point as Decimal; None if it is no JSON (a page, half a body).

    What would take too much memory, or is nested too deep, is none either.
    """
    body = answer.content
    if sum(map(body.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        return None
    try:
        return simplejson.loads(body, use_decimal=True)
    except (ValueError, ArithmeticError, RecursionError):
        return None


def words(answer: requests.Response, redacted: Redacted) -> str:
    """Return what ConnectWise said, in its own words: without secrets, on one line, and not too much of it.

    Args:
        answer: any.
        redacted: takes secrets out of a text. It comes before every cut: half a secret is not recognized any more.
    """
    found = content(answer)
    if not isinstance(found, dict):
        return _words_of_page(answer, redacted)
    said = [_text(found.get("message")) or _text(found.get("code"))]
    errors = found.get("errors")
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict) and (message := _text(error.get("message"))):
            field = _text(error.get("field"))
            said.append(f"{message} ({field})" if field else message)
    whole = ": ".join(filter(None, said))
    beginning = redacted(whole[:_LONGEST_PAGE])
    if len(whole) > _LONGEST_PAGE:
        beginning = beginning[:-_LONGEST_SECRET]
    return _bounded(beginning, _LONGEST_WORDS) or "no reason given"


def _words_of_page(answer: requests.Response, redacted: Redacted) -> str:
    """Return the text of a page; its tags, styles and scripts say nothing."""
    beginning = answer.content[:_LONGEST_PAGE]
    try:
        page = beginning.decode(answer.encoding or "utf-8", "replace")
    except LookupError:
        page = beginning.decode("utf-8", "replace")
    page = redacted(page)
    if len(answer.content) > len(beginning):
        # The cut may have taken a secret apart; what is left of it stands at the end.
        page = page[:-_LONGEST_SECRET]
    return _bounded(_without_tags(page), _LONGEST_PAGE_TEXT) or "an empty answer"


def _without_tags(page: str) -> str:
    parts: list[str] = []
    hidden, start = "", 0
    for tag in _TAG.finditer(page):
        name = tag["name"].lower()
        if not hidden:
            parts.append(page[start : tag.start()])
            hidden = name if name in ("style", "script") and not tag["end"] else ""
        elif name == hidden and tag["end"]:
            hidden = ""
        start = tag.end()
    if not hidden:
        parts.append(page[start:])
    return " ".join(parts)


def _bounded(text: str, most: int) -> str:
    """Return a text as one line of at most so many characters, without what could steer a terminal."""
    return plain(" ".join(text.split()), most)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def retry_after(answer: requests.Response) -> float:
    """Return how long a 429 asks to wait (seconds), within reason."""
    try:
        seconds = float(answer.headers.get("Retry-After", _RETRY_AFTER))
    except ValueError:
        return _RETRY_AFTER
    if not seconds >= 0:
        # Less than nothing, or NaN.
        return _RETRY_AFTER
    return min(max(seconds, _SHORTEST_RETRY_AFTER), _LONGEST_RETRY_AFTER)


def request_id(answer: requests.Response) -> str | None:
    """Return the id by which ConnectWise's support finds a call."""
    number = answer.headers.get("x-cw-request-id")
    return None if number is None else plain(number, _LONGEST_REQUEST_ID)


_NEVER_SENT = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.LocationValueError,
    requests.exceptions.InvalidURL,
)


def _may_have_arrived(error: Exception) -> bool:
    """Return True if a failed call can have reached the server. Only a failed connection proves that it has not."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return False
    return not any(isinstance(cause, _NEVER_SENT) for cause in _causes(error))


# What happened, by what stands among the causes of an error; the first one counts.
_TROUBLES: tuple[tuple[str, tuple[type[BaseException], ...]], ...] = (
    ("has no address: its name could not be resolved", (urllib3.exceptions.NameResolutionError,)),
    # The address may be the proxy's, with a password in it.
    (
        "could not be reached: its address, or a proxy's, cannot be read",
        (urllib3.exceptions.LocationValueError, requests.exceptions.InvalidURL),
    ),
    (
        "could not be connected to in time",
        (requests.exceptions.ConnectTimeout,),
    ),
    (
        "did not answer in time",
        (requests.exceptions.Timeout, urllib3.exceptions.ReadTimeoutError, TimeoutError),
    ),
    (f"answered more than {MOST_BYTES // 2**20} MiB", (TooLarge,)),
)


def _trouble(error: Exception) -> str:
    causes = list(_causes(error))
    for words, kinds in _TROUBLES:
        if any(isinstance(cause, kinds) for cause in causes):
            return words
    # A connection that ended before an answer is both.
    broken = any(isinstance(cause, HTTPException) and not isinstance(cause, ConnectionError) for cause in causes)
    words = "gave an answer that cannot be read" if broken else "could not be reached"
    return f"{words}: {_innermost(error)}"


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
