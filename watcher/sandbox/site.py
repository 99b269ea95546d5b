"""What is at the sandbox's address: the API behind its gate, the company look-up, and the pages to read."""

from __future__ import annotations

import re
import threading
from collections import Counter

from watcher.sandbox.answers import Answer, Request, json_answer, refusal, served
from watcher.sandbox.api import CODEBASE, VERSION, find_route
from watcher.sandbox.books import Books
from watcher.sandbox.errors import Record, RequestError, no_endpoint
from watcher.sandbox.gate import RateLimit, SignIn
from watcher.sandbox.late import LateWrites

LONGEST_URL = 2000
"""How long a URL may be in all; the developer guide only advises it, here it is enforced."""

PAGES = frozenset(("/", "/books"))
"""The paths for people: no sign-in, no limit, no latency."""

_API_PATH = re.compile(r"/([^/]+)/apis/3\.0(/.*)?", re.IGNORECASE)
_COMPANY_PATH = re.compile(r"/login/companyinfo/([^/]+)/?", re.IGNORECASE)
_HTML_TYPE = "text/html; charset=utf-8"
_JSON_TYPE = "application/json; charset=utf-8"
_WELCOME = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>ConnectWise sandbox</title>
<h1>ConnectWise sandbox</h1>
<p>A stand-in for the ConnectWise PSA REST API: finance invoices and their payments, held in memory.
Nothing here is real, and everything is forgotten when it stops.</p>
<p>The API is at <code>/%s/apis/3.0</code>. <a href="/books">The books</a> show every invoice, every payment
row, and every write in the order it came.</p>
</html>
""".replace("%s", CODEBASE).encode()
_NO_SUCH_PAGE = b"""<!doctype html>
<html>
<head><title>404 - File or directory not found.</title></head>
<body><h1>Server Error</h1><h2>404 - File or directory not found.</h2>
<p>There is nothing at this address.</p></body>
</html>
"""
_LOST = {
    "closed": None,
    "504": Answer(504, b"<html><head><title>504 Gateway Time-out</title></head></html>", _HTML_TYPE),
}


class Site:
    """Answers requests.

    Args:
        books: what the API works on.
        sign_in: what the API asks of a client.
        rate_limit: how often the API may be called, None for as often as one likes.
    """

    def __init__(self, books: Books, sign_in: SignIn, rate_limit: RateLimit | None) -> None:
        """Start with no requests counted."""
        self._books = books
        self._sign_in = sign_in
        self._rate_limit = rate_limit
        self._late = LateWrites(books.clock, books.rules.late_seconds)
        self._counts: Counter[str] = Counter()
        self._counts_lock = threading.Lock()

    def answer(self, request: Request, url_length: int) -> Answer | None:
        """Return the answer to a request, None where the connection is closed without one.

        Args:
            request: the request.
            url_length: how many characters its whole URL has.
        """
        self._late.carry_out()
        if request.path in PAGES:
            return self._page(request)
        if url_length > LONGEST_URL:
            self._count(request, "(URL too long)")
            message = f"The URL has {url_length} characters, more than {LONGEST_URL}."
            return refusal(RequestError(414, "RequestUriTooLong", message))
        if (found := _COMPANY_PATH.fullmatch(request.path)) is not None:
            return self._company(request, found.group(1))
        if (found := _API_PATH.fullmatch(request.path)) is not None:
            answer = self._api(request, found.group(1), found.group(2) or "/")
            return answer and served(answer, request.headers.get("Accept"))
        return self._no_such_page(request)

    def books(self) -> dict[str, object]:
        """Return the books, the journal of writes, and the counts of requests by method and path template."""
        self._late.carry_out()
        with self._counts_lock:
            counts: Record = dict(sorted(self._counts.items()))
        return {**self._books.snapshot(), "requests": counts}

    def _page(self, request: Request) -> Answer:
        if request.method != "GET":
            return refusal(RequestError(405, "MethodNotAllowed", "Only GET.", headers={"Allow": "GET"}))
        if request.path == "/":
            return Answer(200, _WELCOME, _HTML_TYPE)
        return json_answer(200, self.books(), content_type=_JSON_TYPE)

    def _company(self, request: Request, company: str) -> Answer:
        """Answer the look-up that tells a client its codebase.

        ConnectWise developer guide: the fields, the slash behind the codebase, and a string for IsCloud.
        Seen by clients: an unknown company is ``null`` with status 200.
        """
        self._count(request, "/login/companyinfo/{company}")
        if request.method != "GET":
            return refusal(RequestError(405, "MethodNotAllowed", "Only GET.", headers={"Allow": "GET"}))
        known: Record | None = None
        if company.casefold() == self._sign_in.company.casefold():
            known = {
                "CompanyName": "Sandbox",
                "Codebase": f"{CODEBASE}/",
                "VersionCode": f"v{VERSION}",
                "VersionNumber": "v4.6.100000",
                "CompanyID": self._sign_in.company,
                "IsCloud": "False",
                "SiteUrl": request.headers.get("Host", ""),
            }
        return json_answer(200, known, content_type=_JSON_TYPE)

    def _api(self, request: Request, codebase: str, path: str) -> Answer | None:
        # Seen live: a codebase that is doubled in the URL is refused by the gateway as an unknown one.
        if codebase.casefold() != CODEBASE or _API_PATH.fullmatch(path) is not None:
            self._count(request, "(unknown codebase)")
            return Answer(400, b"Cannot route. Codebase/company is invalid", "text/plain; charset=utf-8")
        found = find_route(path)
        if found is None:
            self._count(request, "(unknown path)")
            return refusal(no_endpoint())
        route, numbers = found
        self._count(request, route.template)
        try:
            if self._rate_limit is not None:
                self._rate_limit.admit()
            self._sign_in.check(request.headers.get("Authorization"), request.headers.get("clientId"))
            if self._late.offered and request.method != "GET" and request.method in route.methods:
                self._late.put_off(lambda: route.perform(self._books, request, numbers))
                return _LOST[self._books.rules.late_answer]
            return route.perform(self._books, request, numbers)
        except RequestError as error:
            return refusal(error)

    def _no_such_page(self, request: Request) -> Answer:
        self._count(request, "(unknown path)")
        return Answer(404, _NO_SUCH_PAGE, _HTML_TYPE)

    def _count(self, request: Request, template: str) -> None:
        with self._counts_lock:
            self._counts[f"{request.method} {template}"] += 1
