"""The sandbox over real HTTP."""

from __future__ import annotations

import http.client
import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import requests
import simplejson

from watcher.sandbox import InvoiceSeed, PaymentSeed, Sandbox, SignIn
from watcher.sandbox.errors import TooManyRequestsError
from watcher.sandbox.gate import RateLimit

API = "/v4_6_release/apis/3.0"
INVOICES = f"{API}/finance/invoices"
SIGN_IN = SignIn()
SEEDS = [
    *(InvoiceSeed(f"CW-{ordinal}", Decimal(ordinal)) for ordinal in range(1, 31)),
    InvoiceSeed("A & B #1", Decimal("346.34"), payments=(PaymentSeed(Decimal("0.10")),)),
]


class Client(requests.Session):
    """A session signed in at a sandbox, taking paths instead of whole addresses."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Sign in with the sandbox's default keys."""
        super().__init__()
        self.trust_env = False
        self.sandbox = sandbox
        self.auth = (f"{SIGN_IN.company}+{SIGN_IN.public_key}", SIGN_IN.private_key)
        self.headers["clientId"] = SIGN_IN.client_id

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Put the sandbox's address before the path."""
        request.url = f"{self.sandbox.url}{request.url}"
        return super().prepare_request(request)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Run a sandbox with 31 invoices, of ids 1001 to 1031."""
    with Sandbox(SEEDS) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    """Sign in at the sandbox."""
    with Client(sandbox) as signed_in:
        yield signed_in


def found(client: Client, **query: str | int) -> list[Any]:
    """Return what GET /finance/invoices answers."""
    response = client.get(INVOICES, params=query)
    assert response.status_code == 200, response.text
    return list(response.json())


def numbers(client: Client, **query: str | int) -> list[str]:
    """Return the invoice numbers GET /finance/invoices answers with."""
    return [invoice["invoiceNumber"] for invoice in found(client, **query)]


def test_invoices_are_found_by_number(client: Client) -> None:
    """A list of numbers is looked up in one call, special characters and all."""
    assert numbers(client, conditions='invoiceNumber in ("CW-2","A & B #1","CW-99")') == ["CW-2", "A & B #1"]


def test_amounts_are_exact_numbers(client: Client) -> None:
    """An amount travels as the digits it is made of."""
    response = client.get(f"{INVOICES}/1031")
    assert '"balance": 346.24' in response.text
    assert simplejson.loads(response.text, use_decimal=True)["payments"] == Decimal("0.10")


def test_fields_cut_the_answer_down(client: Client) -> None:
    """Only listed fields are answered, a reference whole or in part, and _info only when listed."""
    conditions = 'invoiceNumber = "CW-3"'
    assert found(client, conditions=conditions, fields="id, total") == [{"id": 1003, "total": 3}]
    assert found(client, conditions=conditions, fields="status/name,status/id,_info/updatedBy,nothing") == [
        {"status": {"name": "Closed", "id": 3}, "_info": {"updatedBy": "sandbox"}}
    ]
    assert "_info" in found(client, conditions=conditions)[0]
    assert client.get(f"{INVOICES}/1003", params={"fields": "id"}).json() == {"id": 1003}


def test_invoices_are_counted(client: Client) -> None:
    """The count is that of all invoices meeting the conditions, not of a page."""
    assert client.get(f"{INVOICES}/count").json() == {"count": 31}
    assert client.get(f"{INVOICES}/count", params={"conditions": "total <= 3"}).json() == {"count": 3}


def test_invoices_are_ordered(client: Client) -> None:
    """OrderBy sorts by one field or several, upwards unless told."""
    assert numbers(client, orderBy="id desc", pageSize=2) == ["A & B #1", "CW-30"]
    assert numbers(client, orderBy="invoiceNumber", pageSize=2) == ["A & B #1", "CW-1"]
    by_company = found(client, orderBy="company/name asc, total desc", pageSize=1000)
    assert by_company == sorted(by_company, key=lambda one: (one["company"]["name"].lower(), -one["total"]))


def test_pages_are_linked(client: Client) -> None:
    """25 records a page unless told; Link leads to first, prev, next and last, and fits the query."""
    assert len(found(client)) == 25
    first = client.get(INVOICES, params={"pageSize": "20", "conditions": 'invoiceNumber like "CW%"'})
    assert set(first.links) == {"first", "next", "last"}
    rest = first.links["next"]["url"].removeprefix(client.sandbox.url)
    second = client.get(rest)
    assert [invoice["id"] for invoice in second.json()] == list(range(1021, 1031))
    assert set(second.links) == {"first", "prev", "last"}


def test_a_page_past_the_end_is_empty(client: Client) -> None:
    """Past the last page there is an empty list."""
    response = client.get(INVOICES, params={"page": 9, "pageSize": 1000})
    assert (response.status_code, response.json()) == (200, [])


def test_a_large_page_size_is_capped() -> None:
    """At most 1000 records are answered, without a word."""
    with Sandbox([InvoiceSeed("CW-1", Decimal(1))] * 1001) as sandbox, Client(sandbox) as client:
        assert len(found(client, pageSize=5000)) == 1000


@pytest.mark.parametrize(
    "query",
    [
        {"conditions": "invoiceNumber = 5"},
        {"conditions": 'number = "CW-1"'},
        {"conditions": 'invoiceNumber = "CW-1'},
        {"orderBy": "number"},
        {"orderBy": "id up"},
        {"page": 0},
        {"pageSize": "all"},
        {"pageSize": "-1"},
        {"childConditions": "id = 1"},
    ],
)
def test_a_query_that_cannot_be_read_is_refused(client: Client, query: dict[str, str | int]) -> None:
    """A bad parameter is a 400 with a JSON body that says what is wrong."""
    response = client.get(INVOICES, params=query)
    assert response.status_code == 400
    assert set(response.json()) == {"code", "message", "errors"}


def test_a_payment_lives_and_goes(client: Client) -> None:
    """POST, GET, PATCH, PUT and DELETE answer as documented, and the books follow."""
    path = f"{INVOICES}/1005/payments"
    posted = client.post(path, json={"type": "P", "amount": 2.5, "invoice": {"id": 1005}})
    assert (posted.status_code, posted.json()["amount"]) == (201, 2.5)
    row = posted.json()
    assert client.get(path).json() == [row]
    assert client.get(path, params={"fields": "id", "conditions": "credit/id = null"}).json() == [{"id": row["id"]}]
    assert client.get(path, params={"conditions": "amount > 3"}).json() == []
    one = f"{path}/{row['id']}"
    assert client.get(one).json() == row
    patched = client.patch(one, json=[{"op": "replace", "path": "/amount", "value": "5"}])
    assert (patched.status_code, patched.json()["amount"]) == (200, 5)
    put = client.put(one, json={"amount": 4, "paymentDate": "2016-09-22T00:00:00Z"})
    assert (put.status_code, put.json()["paymentDate"]) == (200, "2016-09-22T00:00:00Z")
    deleted = client.delete(one)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert client.get(one).status_code == 404
    assert client.get(f"{INVOICES}/1005").json()["balance"] == 5


def test_a_refused_payment_says_why(client: Client) -> None:
    """A POST against the rules is a 400 of the recorded shape."""
    response = client.post(f"{INVOICES}/1031/payments", json={"amount": 1})
    assert response.status_code == 400
    assert response.json() == {
        "code": "InvalidObject",
        "message": "invoicePayment object is invalid",
        "errors": [
            {
                "code": "ObjectExists",
                "message": "Invoice A & B #1 already has a payment.",
                "resource": "invoicePayment",
                "field": "invoice",
            }
        ],
    }


@pytest.mark.parametrize("path", ["/9", "/1001/payments/9", "/9/payments", "/99999999999999999"])
def test_an_unknown_record_is_a_json_404(client: Client, path: str) -> None:
    """An id that does not exist is not found, in JSON."""
    response = client.get(INVOICES + path)
    assert (response.status_code, response.json()["code"]) == (404, "NotFound")


@pytest.mark.parametrize("path", [f"{API}/finance/payments", f"{API}", "/finance/invoices", f"{INVOICES}/CW-1"])
def test_an_unknown_path_is_an_html_404(client: Client, path: str) -> None:
    """A path that does not exist is answered with a web page, as the product's web server does."""
    response = client.get(path)
    assert response.status_code == 404
    assert response.headers["Content-Type"].startswith("text/html")
    assert "404 - File or directory not found." in response.text
    assert uuid.UUID(response.headers["x-cw-request-id"])


@pytest.mark.parametrize("prefix", ["/v2017_3/apis/3.0", API + API])
def test_a_wrong_codebase_cannot_be_routed(client: Client, prefix: str) -> None:
    """A codebase that is wrong, or stands twice in the path, is refused in plain text."""
    response = client.get(f"{prefix}/finance/invoices")
    assert (response.status_code, response.text) == (400, "Cannot route. Codebase/company is invalid")
    assert response.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("method", "path"), [("PATCH", "/1001"), ("DELETE", ""), ("POST", "/1001/payments/1"), ("HEAD", "/1001")]
)
def test_a_wrong_method_is_refused(client: Client, method: str, path: str) -> None:
    """A method a path does not know is a 405 that names those it knows."""
    response = client.request(method, INVOICES + path)
    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("text/xml", "<a/>", 415),
        (None, '{"amount": 1}', 415),
        ("application/json", '{"amount": 1', 400),
        ("application/json", '{"amount": NaN}', 400),
        ("application/json", "[" * 100_000, 400),
        ("application/json", b"\xff", 400),
        ("application/json; charset=utf-8", "", 400),
    ],
)
def test_an_unreadable_body_is_refused(
    client: Client, content_type: str | None, body: str | bytes, status: int
) -> None:
    """A body of a wrong type or that is not JSON is refused, and stands in the journal all the same."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = client.post(f"{INVOICES}/1001/payments", data=body, headers=headers)
    assert (response.status_code, set(response.json())) == (status, {"code", "message", "errors"})
    (write,) = client.get("/books").json()["writes"]
    assert (write["invoiceNumber"], write["status"]) == ("CW-1", status)


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("sandbox", SIGN_IN.private_key),
        (f"other+{SIGN_IN.public_key}", SIGN_IN.private_key),
        (f"sandbox+{SIGN_IN.public_key}", "guess"),
    ],
)
def test_wrong_keys_are_refused(client: Client, user: str, password: str) -> None:
    """Anything but company+public key and private key is a 401 in JSON."""
    client.auth = (user, password)
    response = client.get(INVOICES)
    assert (response.status_code, response.json()["code"]) == (401, "Unauthorized")


def test_no_keys_at_all_are_refused(client: Client) -> None:
    """A request without sign-in is a 401, and a write among them reaches no journal."""
    client.auth = None
    assert client.post(f"{INVOICES}/1001/payments", json={"amount": 1}).status_code == 401
    assert client.sandbox.books()["writes"] == []


@pytest.mark.parametrize("client_id", [None, "guess"])
def test_a_client_id_is_required(client: Client, client_id: str | None) -> None:
    """Right keys with a missing or wrong clientId are a 403 in JSON."""
    response = client.get(INVOICES, headers={"clientId": client_id})
    assert (response.status_code, response.json()["code"]) == (403, "Forbidden")


def test_the_keys_can_be_chosen() -> None:
    """A sandbox asks for the sign-in it was given."""
    chosen = SignIn(company="acme", public_key="a", private_key="b", client_id="c")
    with Sandbox([], sign_in=chosen) as sandbox, Client(sandbox) as client:
        assert client.get(INVOICES).status_code == 401
        client.auth = ("acme+a", "b")
        assert client.get(INVOICES, headers={"clientId": "c"}).json() == []
        assert client.get("/login/companyinfo/acme").json()["CompanyID"] == "acme"


def test_the_company_look_up_needs_no_sign_in(sandbox: Sandbox) -> None:
    """It gives the codebase with its trailing slash, and null for an unknown company."""
    known = requests.get(f"{sandbox.url}/login/companyinfo/Sandbox", timeout=5)
    assert known.json()["Codebase"] == "v4_6_release/"
    unknown = requests.get(f"{sandbox.url}/login/companyinfo/nobody", timeout=5)
    assert (unknown.status_code, unknown.json()) == (200, None)


def test_the_system_describes_itself(client: Client) -> None:
    """GET /system/info gives version and time zone."""
    info = client.get(f"{API}/system/info").json()
    assert (info["serverTimeZone"], info["isCloud"]) == ("Eastern Standard Time", False)


def test_every_answer_can_be_traced(client: Client) -> None:
    """Good and bad answers carry a request id of their own, the server's name and the version."""
    answers = [
        client.get(INVOICES),
        client.get(f"{INVOICES}/9"),
        client.delete(f"{INVOICES}/1031/payments/500001"),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 204]
    assert len({uuid.UUID(answer.headers["x-cw-request-id"]) for answer in answers}) == 3
    assert {answer.headers["x-server-name"] for answer in answers} == {"SANDBOX"}
    assert {answer.headers["api-current-version"] for answer in answers} == {"2025.1"}
    assert answers[0].headers["Content-Type"] == "application/vnd.connectwise.com+json; version=2025.1"


def test_a_url_may_have_2000_characters(client: Client) -> None:
    """The whole URL counts, from the scheme on: 2000 characters pass, one more is a 414."""
    start = f"{client.sandbox.url}{INVOICES}?fields="
    query = "i" * (2000 - len(start))
    assert client.get(f"{INVOICES}?fields={query}").status_code == 200
    assert client.get(f"{INVOICES}?fields={query}i").status_code == 414
    assert client.get(f"{INVOICES}?fields={query * 50}").status_code == 414


def test_too_many_requests_are_turned_away() -> None:
    """Over the limit there is a 429 with Retry-After, whose body names its code error."""
    with Sandbox(SEEDS, requests_per_minute=2) as sandbox, Client(sandbox) as client:
        responses = [client.get(INVOICES) for _ in range(3)]
        assert [response.status_code for response in responses] == [200, 200, 429]
        seconds = responses[2].headers["Retry-After"]
        assert 1 <= int(seconds) <= 30
        message = f"Too many requests. Please try again in {seconds} seconds."
        assert responses[2].json() == {"error": "ConnectWiseAPI", "message": message}
        assert client.get("/books").status_code == 200


def test_the_rate_limit_refills_evenly() -> None:
    """After the seconds it names a client is let in once, after a minute as often as at first."""
    now = [0.0]
    limit = RateLimit(30, clock=lambda: now[0])
    for _ in range(30):
        limit.admit()
    with pytest.raises(TooManyRequestsError) as caught:
        limit.admit()
    assert caught.value.headers == {"Retry-After": "2"}
    now[0] += 2
    limit.admit()
    with pytest.raises(TooManyRequestsError):
        limit.admit()
    now[0] += 600
    for _ in range(30):
        limit.admit()
    with pytest.raises(TooManyRequestsError):
        limit.admit()


def test_a_rate_limit_lets_something_through() -> None:
    """A limit of nothing is no limit anyone could want."""
    with pytest.raises(ValueError, match="requests_per_minute"):
        Sandbox([], requests_per_minute=0)


def test_the_books_are_open_to_all(client: Client) -> None:
    """GET /books shows invoices, rows, writes and counts without sign-in, and is not counted itself."""
    client.post(f"{INVOICES}/1001/payments", json={"amount": "0.10"})
    client.get(f"{INVOICES}/1001")
    client.get(f"{INVOICES}/1002")
    response = requests.get(f"{client.sandbox.url}/books", timeout=5)
    books = simplejson.loads(response.text, use_decimal=True)
    assert response.headers["Content-Type"].startswith("application/json")
    assert len(books["invoices"]) == 31
    (row,) = books["invoices"][0]["paymentRows"]
    assert (row["amount"], books["invoices"][0]["payments"]) == (Decimal("0.10"), Decimal("0.10"))
    assert [write["invoiceNumber"] for write in books["writes"]] == ["CW-1"]
    assert books["requests"] == {
        "GET /finance/invoices/{id}": 2,
        "POST /finance/invoices/{parentId}/payments": 1,
    }
    assert client.sandbox.books() == books


def test_the_front_page_leads_to_the_books(sandbox: Sandbox) -> None:
    """GET / explains what this is and links to the books."""
    response = requests.get(f"{sandbox.url}/", timeout=5)
    assert response.headers["Content-Type"].startswith("text/html")
    assert 'href="/books"' in response.text
    assert requests.post(f"{sandbox.url}/books", timeout=5).status_code == 405


def test_a_connection_is_kept(sandbox: Sandbox) -> None:
    """Many requests pass over one connection, refused ones with bodies among them."""
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=5)
    connection.connect()
    local = connection.sock.getsockname()
    for method, path in (
        ("GET", "/"),
        ("POST", f"{INVOICES}/1/payments"),
        ("GET", INVOICES),
        ("GET", "/books"),
    ):
        connection.request(method, path, body="{}" if method == "POST" else None)
        connection.getresponse().read()
        assert connection.sock.getsockname() == local
    connection.close()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("BREW / HTTP/1.1\r\n", 501),
        ("nonsense\r\n", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", 411),
        ("POST / HTTP/1.1\r\nContent-Length: many\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n", 413),
        (f"GET /{'x' * 70_000} HTTP/1.1\r\n", 414),
    ],
)
def test_what_is_no_proper_request_ends_the_connection(sandbox: Sandbox, head: str, status: int) -> None:
    """A request that cannot be read to its end is answered and the connection closed."""
    port = int(sandbox.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(f"{head}\r\n".encode())
        with connection.makefile("rb") as answer:
            assert answer.read().startswith(f"HTTP/1.1 {status} ".encode())
    assert requests.get(sandbox.url, timeout=5).status_code == 200


def test_stopping_breaks_connections_and_starting_again_keeps_the_books(client: Client) -> None:
    """A stopped sandbox answers nobody; started again it has the same address and the same books."""
    sandbox = client.sandbox
    client.post(f"{INVOICES}/1001/payments", json={"amount": 1})
    before, url = sandbox.books(), sandbox.url
    sandbox.stop()
    sandbox.stop()
    with pytest.raises(requests.ConnectionError):
        client.get(INVOICES)
    sandbox.start()
    sandbox.start()
    assert (sandbox.url, sandbox.books()) == (url, before)
    assert client.get(f"{INVOICES}/1001").json()["payments"] == 1


def test_stopping_does_not_wait_for_slow_answers() -> None:
    """A request that is being delayed is broken off; its work is done, only the answer is lost."""
    with Sandbox(SEEDS, latency=60) as sandbox, Client(sandbox) as client, ThreadPoolExecutor(1) as pool:
        lost = pool.submit(client.post, f"{INVOICES}/1001/payments", json={"amount": 1})
        while not sandbox.books()["writes"]:
            assert not lost.done()
        sandbox.stop()
        with pytest.raises(requests.ConnectionError):
            lost.result()


def test_latency_delays_the_api_only() -> None:
    """An answer of the API takes at least the latency; the books are shown at once."""
    with Sandbox(SEEDS, latency=0.05) as sandbox, Client(sandbox) as client:
        assert client.get(INVOICES).elapsed.total_seconds() >= 0.05
    with Sandbox(SEEDS, latency=60) as sandbox:
        assert requests.get(f"{sandbox.url}/books", timeout=5).status_code == 200


def test_an_address_is_known_from_the_first_start() -> None:
    """Before it was ever started, a sandbox on any free port has no address."""
    with pytest.raises(RuntimeError, match="not been started"):
        _ = Sandbox([]).url
    assert Sandbox([], port=8080).url == "http://127.0.0.1:8080"


def test_latency_cannot_be_negative() -> None:
    """Answers do not come before the question."""
    with pytest.raises(ValueError, match="latency"):
        Sandbox([], latency=-1)


def test_many_clients_at_once_lose_nothing(sandbox: Sandbox) -> None:
    """Sixteen clients paying thirty invoices leave one payment on each and all writes in the journal."""

    def pay(ordinal: int) -> int:
        with Client(sandbox) as client:
            path = f"{INVOICES}/{1001 + ordinal % 30}/payments"
            return client.post(path, json={"amount": "0.01"}).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(pay, range(90)))
    assert sorted(statuses) == [201] * 30 + [400] * 60
    books: Any = sandbox.books()
    assert [len(invoice["paymentRows"]) for invoice in books["invoices"][:30]] == [1] * 30
    assert [write["sequence"] for write in books["writes"]] == list(range(1, 91))
