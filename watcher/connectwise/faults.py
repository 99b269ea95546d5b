"""Whose fault it is that a call failed: the record's, the operator's or nobody's.

Nothing here makes a call or holds a connection. An answer or an error comes in, and the error to raise comes out.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from typing import Any

import requests
import simplejson
import urllib3

from watcher.errors import AnswerLost, ConnectWiseError, Missing, Outage, Rejection, SignInRefused, Unreachable

# The wait where a 429 has no usable Retry-After: ConnectWise's own text says thirty seconds.
_RETRY_AFTER = 30.0
_LONGEST_RETRY_AFTER = 600.0
# A Retry-After of 0 would be no wait at all. Some gateways ask for parts of a second.
_SHORTEST_RETRY_AFTER = 0.1
_LONGEST_PAGE_TEXT = 200
_MEND_SIGN_IN = (
    "Check connectwise.site, company, codebase, public_key, private_key and client_id, and that the API member's "
    "security role may inquire, add and edit in Finance > Invoicing and Finance > Accounting Interface"
)
_MEND_CERTIFICATE = "Check connectwise.site and the clock; name your own certificates in connectwise.ca_bundle"

_CODES = requests.codes


def of_answer(answer: requests.Response, said: str) -> ConnectWiseError | Outage:
    """Return the error that an answer stands for. The answer is not the one that was asked for.

    Args:
        answer: any but a 429.
        said: its ``words``, without secrets.
    """
    status, number = answer.status_code, request_id(answer)
    if status in (_CODES.unauthorized, _CODES.forbidden):
        return SignInRefused(f"ConnectWise refused the sign-in ({status}): {said}", _MEND_SIGN_IN, number)
    if answer.is_redirect or status == _CODES.method_not_allowed:
        return SignInRefused(f"this is not the ConnectWise API ({status}): {said}", _MEND_SIGN_IN, number)
    if 400 <= status < 500:
        if content(answer) is None:
            # The gateway answers in the API's place: "Cannot route" in plain text, or the cloud's HTML for wrong keys.
            return SignInRefused(f"ConnectWise's gateway does not know us ({status}): {said}", _MEND_SIGN_IN, number)
        return Missing(said, number) if status == _CODES.not_found else Rejection(said, number)
    reason = f"ConnectWise answered {status}: {said}"
    # A POST is not safe to repeat, and this one may have been carried out.
    return AnswerLost(reason, number) if answer.request.method == "POST" else Unreachable(reason, number)


def of_error(error: OSError, method: str, host: str) -> ConnectWiseError | Outage:
    """Return the error that a call without an answer stands for.

    Args:
        error: what ``requests`` raised. All its errors are OSErrors, and so is a certificate file that is not there.
        method: of the call.
        host: who was called.
    """
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
        return SignInRefused(f"the certificate of {host} is not trusted: {_innermost(error)}", _MEND_CERTIFICATE)
    reason = f"{host} {_trouble(error)}"
    return AnswerLost(reason) if method == "POST" and _may_have_arrived(error) else Unreachable(reason)


def content(answer: requests.Response) -> Any:
    """Return the JSON of an answer, numbers with a point as Decimal; None if it is no JSON (a page, half a body)."""
    try:
        return simplejson.loads(answer.content, use_decimal=True)
    except ValueError:
        return None


def words(answer: requests.Response) -> str:
    """Return what ConnectWise said, in its own words."""
    found = content(answer)
    if isinstance(found, dict):
        said = [str(found.get("message") or found.get("code") or "")]
        errors = found.get("errors")
        for error in errors if isinstance(errors, list) else ():
            if isinstance(error, dict) and error.get("message"):
                field = f" ({error['field']})" if error.get("field") else ""
                said.append(f"{error['message']}{field}")
        # JSON may hold half characters, which no file and no terminal takes.
        return ": ".join(filter(None, said)).encode(errors="backslashreplace").decode() or "no reason given"
    text = re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", answer.text, flags=re.DOTALL | re.IGNORECASE)
    return " ".join(text.split())[:_LONGEST_PAGE_TEXT] or "an empty answer"


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
    return answer.headers.get("x-cw-request-id")


def _may_have_arrived(error: OSError) -> bool:
    """Return True if a failed call can have reached the server. Only a failed connection proves that it has not."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return False
    return not any(isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in _causes(error))


def _trouble(error: OSError) -> str:
    if any(isinstance(cause, urllib3.exceptions.NameResolutionError) for cause in _causes(error)):
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
