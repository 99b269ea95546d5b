"""The refusals of the sandbox and the JSON bodies they are answered with.

::

    Exception
    ├── RequestError      a request answered with a status of 400 or more
    │   └── TooManyRequestsError   one that comes too soon; its body has a shape of its own
    └── ValueError
        └── ConditionError   (in ``predicates``) a ``conditions`` text that cannot be read; answered as a 400
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

Record = Mapping[str, object]
"""A JSON object as the API serves it; never changed in place once it has been handed out."""


class RequestError(Exception):
    """A request that is refused; ``body`` is OpenAPI 2025.1's ErrorResponseMessage.

    Args:
        status: the HTTP status of the answer.
        code: the machine-readable code, such as ``InvalidObject``.
        message: the sentence for people.
        errors: one entry for each faulty field (OpenAPI 2025.1 ValidationError), or nothing.
        headers: response headers that belong to the refusal, such as ``Allow``.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        errors: Sequence[Record] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep what the answer is made of."""
        super().__init__(message)
        self.status = status
        self.body: Record = {"code": code, "message": message, "errors": errors}
        self.headers: Mapping[str, str] = headers or {}


class TooManyRequestsError(RequestError):
    """A request over the rate limit.

    ConnectWise developer guide: 429 with a ``Retry-After`` header of seconds; the body names its
    code ``error``, unlike every other.

    Args:
        seconds: how long to wait.
    """

    def __init__(self, seconds: float) -> None:
        """Word the refusal."""
        message = f"Too many requests. Please try again in {seconds} seconds."
        super().__init__(429, "ConnectWiseAPI", message, headers={"Retry-After": str(seconds)})
        self.body = {"error": "ConnectWiseAPI", "message": message}


def invalid_payment(code: str, message: str, field: str) -> RequestError:
    """Return the 400 for a payment that breaks a rule.

    The shape (``InvalidObject`` around one entry with code, resource and field) is that of bodies
    recorded from the live API, for example for MissingRequiredField and ObjectExists.
    """
    entry = {"code": code, "message": message, "resource": "invoicePayment", "field": field}
    return RequestError(400, "InvalidObject", "invoicePayment object is invalid", [entry])


def invalid_request(message: str) -> RequestError:
    """Return the 400 for a query or a body that cannot be understood at all."""
    return RequestError(400, "InvalidRequest", message)


def invalid_condition(message: str) -> RequestError:
    """Return the 400 for ``conditions`` that cannot be understood; the code is that of the live API."""
    return RequestError(400, "ApiFindCondition", message)


def no_permission(reason: str | None = None) -> RequestError:
    """Return the 403 for what one may not do, in the words of the live API.

    Args:
        reason: what is wrong, which the live API does not say; None for no such hint.
    """
    entries = None if reason is None else [{"code": "Security", "message": reason}]
    return RequestError(403, "Security", "You do not have security permission to perform this action.", entries)


def server_fault() -> RequestError:
    """Return the 500 for what goes wrong within ConnectWise, however often it is tried; the words were seen live."""
    return RequestError(500, "ConnectWiseApi", "String was not recognized as a valid DateTime.")


def lasting_fault(status: int) -> RequestError:
    """Return the 403 or the 500 that a call gets again and again."""
    return no_permission() if status == HTTPStatus.FORBIDDEN else server_fault()


def no_endpoint() -> RequestError:
    """Return the 404 for a path of the API that does not exist; the words are those of the live API."""
    return RequestError(404, "NotFound", "The endpoint does not exist.")


def not_found(what: str, number: int) -> RequestError:
    """Return the 404 for a record id that does not exist."""
    return RequestError(404, "NotFound", f"{what} {number} was not found.")
