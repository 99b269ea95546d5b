"""The server: limits, the open books, connections, start and stop."""

from __future__ import annotations

import http.client
import socket
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import requests
import simplejson
from support.sandbox import INVOICES, SEEDS, Client

from watcher.sandbox import Sandbox
from watcher.sandbox.errors import TooManyRequestsError
from watcher.sandbox.gate import RateLimit


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
