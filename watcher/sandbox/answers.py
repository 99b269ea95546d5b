"""Requests and answers without sockets, and the pages of a listing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from urllib.parse import quote, urlencode

import simplejson

from watcher.sandbox.errors import Record, RequestError, invalid_request

API_TYPE = "application/vnd.connectwise.com+json; version=2025.1"
"""The content type of everything the API says in JSON (OpenAPI 2025.1)."""

_VERSION = re.compile(r"application/vnd\.connectwise\.com\+json\s*;\s*version=([0-9.]{1,12})", re.IGNORECASE)

_DEFAULT_PAGE_SIZE = 25
_LARGEST_PAGE_SIZE = 1000


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

    def asked(self, name: str) -> str:
        """Return a parameter, whose name may be in any letter case; empty if it is not there."""
        return next((value for each, value in self.query.items() if each.lower() == name.lower()), "")

    @property
    def content_type(self) -> str:
        """The type of an answer in JSON: it names the version that was asked for."""
        found = _VERSION.search(self.headers.get("Accept", ""))
        return API_TYPE if found is None else API_TYPE.replace("2025.1", found[1])


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


def page_of(records: Sequence[Record], request: Request) -> tuple[Sequence[Record], Mapping[str, str]]:
    """Return the page a request asks for, and the header that leads to the others.

    ConnectWise developer guide: 25 records a page unless told, at most 1000; a ``Link`` header (RFC 5988)
    with first, prev, next and last, of which prev and next are absent at the ends. A larger pageSize is
    capped without a word, and a page past the end is empty.

    Args:
        records: all the records.
        request: whose parameters page and pageSize count.

    Raises:
        RequestError: 400, page or pageSize is no whole number from 1 up.
    """
    size = min(_count(request, "pageSize", _DEFAULT_PAGE_SIZE), _LARGEST_PAGE_SIZE)
    page = _count(request, "page", 1)
    last = max(1, -(-len(records) // size))
    targets = {"first": 1, "prev": page - 1, "next": page + 1, "last": last}
    links = ", ".join(
        f'<{_page_address(request, target)}>; rel="{name}"' for name, target in targets.items() if 1 <= target <= last
    )
    return records[(page - 1) * size : page * size], {"Link": links}


def _count(request: Request, name: str, default: int) -> int:
    text = request.asked(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise invalid_request(f"{name} {text!r} is not a whole number from 1 up.")
    return int(text)


def _page_address(request: Request, page: int) -> str:
    """Return the address of a page; ``page`` stands last, where published clients look for it."""
    others = {name: value for name, value in request.query.items() if name.lower() != "page"}
    return f"{request.address}?{urlencode({**others, 'page': page}, quote_via=quote)}"
