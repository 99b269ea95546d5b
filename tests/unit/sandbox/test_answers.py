"""Payments are written over HTTP, and every refusal has the shape of ConnectWise's."""

from __future__ import annotations

import uuid

import pytest
import requests
from support.sandbox import API, INVOICES, SIGN_IN, Client

from watcher.sandbox import Sandbox, SignIn


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


@pytest.mark.parametrize("path", [f"{API}/finance/payments", f"{API}", f"{INVOICES}/CW-1"])
def test_an_unknown_endpoint_is_a_json_404(client: Client, path: str) -> None:
    """A path below the API's address that does not exist is answered in the API's words."""
    response = client.get(path)
    assert (response.status_code, response.json()["message"]) == (404, "The endpoint does not exist.")


@pytest.mark.parametrize("path", ["/finance/invoices", "/v4_6_release", "/v4_6_release/apis/2.0/finance/invoices"])
def test_an_unknown_path_is_an_html_404(client: Client, path: str) -> None:
    """A path outside the API that does not exist is answered with a web page, as the product's web server does."""
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
    """Right keys with a missing or wrong clientId are a 403 in ConnectWise's words, and the cause stands below."""
    response = client.get(INVOICES, headers={"clientId": client_id})
    assert (response.status_code, response.json()["code"]) == (403, "Security")
    assert response.json()["message"] == "You do not have security permission to perform this action."
    assert "clientId" in response.json()["errors"][0]["message"]


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
