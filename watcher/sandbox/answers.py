"""Requests and answers without sockets, and the pages of a listing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.message import Message
from urllib.parse import quote, urlencode

import simplejson

from watcher.sandbox.errors import Record, RequestError, invalid_request

API_MEDIA_TYPE = "application/vnd.connectwise.com+json"
API_TYPE = f"{API_MEDIA_TYPE}; version=2025.1"
"""The content type of everything the API says in JSON (OpenAPI 2025.1)."""

_DEFAULT_PAGE_SIZE = 25
_LARGEST_PAGE_SIZE = 1000
_VERSION = re.compile(re.escape(API_MEDIA_TYPE) + r"\s*;\s*version=([0-9]{4}\.[0-9]{1,2})(?![0-9.])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was read whole.

    Attributes:
        method: GET, POST and so on.
        path: the path, percent signs decoded.
        query: the parameters behind the question mark, decoded.
        headers: the header fields, found whatever the letter case.
        body: the bytes that came along.
        address: the URL without its query.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Message
    body: bytes
    address: str

    def parameter(self, name: str) -> str | None:
        """Return a parameter behind the question mark, None where there is none.

        Seen by clients: ConnectWise knows the names of parameters in any letter case.
        """
        values = [value for sent, value in self.query.items() if sent.casefold() == name.casefold()]
        return values[-1] if values else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with.

    Attributes:
        status: the HTTP status.
        body: the bytes of the body.
        content_type: their type; None when there is no body.
        headers: further header fields.
    """

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(
    status: int, content: object, headers: Mapping[str, str] | None = None, content_type: str = API_TYPE
) -> Answer:
    """Return an answer in JSON; Decimals become exact JSON numbers."""
    text = simplejson.dumps(content, use_decimal=True)
    return Answer(status, text.encode(), content_type, headers or {})


def refusal(error: RequestError) -> Answer:
    """Return the answer that says why a request is refused."""
    return json_answer(error.status, error.body, error.headers)


def served(answer: Answer, accepted: str | None) -> Answer:
    """Return an answer of the API under the version that the client asked for.

    ConnectWise developer guide: a client asks for ``application/vnd.connectwise.com+json; version=2025.1``. Seen by
    clients: the content type of the answer names the version that was asked for.

    Args:
        answer: what was worked out.
        accepted: the header ``Accept``.
    """
    asked = _VERSION.search(accepted or "")
    if answer.content_type != API_TYPE or asked is None:
        return answer
    return replace(answer, content_type=f"{API_MEDIA_TYPE}; version={asked.group(1)}")


def page_of(
    records: Sequence[Record], request: Request, largest: int = _LARGEST_PAGE_SIZE
) -> tuple[Sequence[Record], Mapping[str, str]]:
    """Return the page a request asks for, and the header that leads to the others.

    ConnectWise developer guide: 25 records a page unless told, at most 1000; a ``Link`` header (RFC 5988)
    with first, prev, next and last, of which prev and next are absent at the ends. A larger pageSize is
    capped without a word, and a page past the end is empty. Seen by clients: ``page`` is the last parameter
    of such a link.

    Args:
        records: all the records.
        request: whose parameters page and pageSize count.
        largest: the most records of a page.

    Raises:
        RequestError: 400, page or pageSize is no whole number from 1 up, or there is a pageId.
    """
    if request.parameter("pageId"):
        raise invalid_request("pageId needs the header pagination-type: forward-only.")
    size = min(_page_size(request), largest)
    page = _count(request, "page", 1)
    last = max(1, -(-len(records) // size))
    targets = {"first": 1, "prev": page - 1, "next": page + 1, "last": last}
    links = ", ".join(_link(request, "page", target, name) for name, target in targets.items() if 1 <= target <= last)
    return records[(page - 1) * size : page * size], {"Link": links}


def page_after(records: Sequence[Record], request: Request) -> tuple[Sequence[Record], Mapping[str, str]]:
    """Return the records after an id, and the header that leads to those after them.

    ConnectWise developer guide, forward-only paging: ``pageId`` asks for the records of higher ids, ``page`` is
    ignored, ``orderBy`` is not allowed, and there always is a ``Link``.

    Args:
        records: all the records.
        request: whose parameters pageId and pageSize count.

    Raises:
        RequestError: 400, pageId or pageSize is no whole number, or there is an orderBy.
    """
    if request.parameter("orderBy"):
        raise invalid_request("orderBy is not allowed with pagination-type: forward-only.")
    after = _count(request, "pageId", 0, least=0)
    ids = sorted((int(str(record["id"])), place) for place, record in enumerate(records))
    page = [(number, records[place]) for number, place in ids if number > after][: _page_size(request)]
    last = page[-1][0] if page else after
    return [record for _, record in page], {"Link": _link(request, "pageId", last, "next")}


def _page_size(request: Request) -> int:
    return min(_count(request, "pageSize", _DEFAULT_PAGE_SIZE), _LARGEST_PAGE_SIZE)


def _count(request: Request, name: str, default: int, least: int = 1) -> int:
    text = request.parameter(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
        raise invalid_request(f"{name} {text!r} is not a whole number from {least} up.")
    return int(text)


def _link(request: Request, name: str, target: int, relation: str) -> str:
    query = {sent: value for sent, value in request.query.items() if sent.casefold() != name.casefold()}
    return f'<{request.address}?{urlencode({**query, name: target}, quote_via=quote)}>; rel="{relation}"'
