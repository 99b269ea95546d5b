"""The gateway over real HTTP: what it sends, what it repeats, and whose fault a fault is."""

from __future__ import annotations

import base64
import socket
import threading
import time
from decimal import Decimal
from pathlib import Path

import certifi
import pytest
import simplejson
from structlog.testing import capture_logs
from support.connectwise import account, invoice, payments_of
from support.network import (
    BAD_GATEWAY_502,
    CLOUD_404,
    CONFLICT_409,
    GONE_404,
    INVALID_400,
    NOBODYS,
    RESET_BEFORE,
    SILENT_BEFORE,
    THE_OPERATORS,
    TIMED_OUT_500,
    WEAK_ROLE_403,
    Delivery,
    Fault,
    Hurry,
    Page,
    Silence,
    Strike,
    Unreliable,
    page,
    too_many,
)

from watcher.connectwise.http import Gateway
from watcher.connectwise.pace import Pace
from watcher.errors import AnswerLost, ConnectWiseError, Missing, Rejection, SignInRefused, Stopping, Unreachable
from watcher.sandbox import SignIn

INFO = "/system/info"
PAYMENTS = "/finance/invoices/1001/payments"
CERTIFICATE = Path(__file__).parents[2] / "data" / "untrusted-certificate.pem"
TRIES = 3


@pytest.fixture
def sandbox(start_sandbox):
    """A sandbox with one open invoice, of id 1001."""
    return start_sandbox(invoice("CW-1", "346.34"))


def gateway(url, hurry=None, **changes):
    """Give a gateway whose waits take no time."""
    hurry = hurry or Hurry()
    return Gateway(account(url, **changes), Pace(60000, hurry, clock=hurry.clock))


def pay(gate, amount="346.34"):
    """Post a payment."""
    return gate.once("POST", PAYMENTS, {"type": "P", "amount": Decimal(amount), "invoice": {"id": 1001}})


def raised(call, *arguments):
    """Give the error that a call raises."""
    with pytest.raises((ConnectWiseError, Unreachable, SignInRefused)) as caught:
        call(*arguments)
    return caught.value


# --- what is sent --------------------------------------------------------------------------------------------------


def test_every_call_signs_in_and_names_client_and_version(sandbox):
    """Company, keys, client id and the pinned model version stand in the headers of every call."""
    sign_in = SignIn()
    with Unreliable(sandbox.url) as network:
        gate = gateway(network.url, api_version="2025.1")
        gate.repeatedly("GET", INFO)
        pay(gate)
    for request in network.requests:
        scheme, _, sent = request.headers["Authorization"].partition(" ")
        user = f"{sign_in.company}+{sign_in.public_key}:{sign_in.private_key}"
        assert (scheme, base64.b64decode(sent).decode()) == ("Basic", user)
        assert request.headers["clientId"] == sign_in.client_id
        assert request.headers["Accept"] == "application/vnd.connectwise.com+json; version=2025.1"
    assert len(network.requests) == 2


def test_keys_of_any_characters_are_sent_as_utf_8(start_sandbox):
    """A key or company name beyond ASCII signs in."""
    mine = SignIn(company="Müller", private_key="pässwört€:/+")
    sandbox = start_sandbox(invoice("CW-1", "1.00"), sign_in=mine)
    gate = gateway(sandbox.url, company=mine.company, private_key=mine.private_key)
    assert gate.repeatedly("GET", "/finance/invoices?pageSize=1&fields=id") == [{"id": 1001}]


def test_the_repr_of_an_account_tells_no_key():
    """An account in a log or a traceback gives nothing away."""
    shown = repr(account("http://127.0.0.1:1"))
    assert not [secret for secret in (SignIn().public_key, SignIn().private_key, SignIn().client_id) if secret in shown]


@pytest.mark.parametrize("amount", ["346.34", "0.10", "500", "500.00", "9999999999999.99", "0.01"])
def test_an_amount_is_sent_as_the_digits_it_is_made_of(sandbox, amount):
    """No binary float touches an amount on its way out."""
    with Unreliable(sandbox.url, Strike(page(201, '{"id": 1}'), "POST")) as network:
        pay(gateway(network.url), amount)
    (request,) = network.requests
    assert f'"amount": {amount},'.encode() in request.body
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("written", ["0.1", "12345678901234567.89", "0.30000000000000004", "1e2"])
def test_an_amount_is_read_as_the_digits_it_is_made_of(sandbox, written):
    """No binary float touches an amount on its way in."""
    with Unreliable(sandbox.url, Strike(page(200, f'{{"amount": {written}}}'))) as network:
        amount = gateway(network.url).repeatedly("GET", INFO)["amount"]
    assert isinstance(amount, Decimal)
    assert amount == Decimal(written)


def test_connections_are_kept_alive_one_a_thread(sandbox):
    """Twenty calls of each of two threads use two connections."""
    with Unreliable(sandbox.url) as network:
        gate = gateway(network.url)
        threads = [threading.Thread(target=lambda: [gate.once("GET", INFO) for _ in range(20)]) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert len(network.requests) == 40
    assert network.connections == 2


def test_a_connection_that_the_server_ended_is_made_anew(sandbox):
    """A server that comes back at the same address is called again without a lost answer."""
    gate = gateway(sandbox.url)
    gate.once("GET", INFO)
    sandbox.stop()
    sandbox.start()
    assert pay(gate)["amount"] == Decimal("346.34")


# --- whose fault a fault is ------------------------------------------------------------------------------------------

OWNERS = [
    *(pytest.param(fault, Unreachable, AnswerLost, TRIES, id=name) for name, fault in NOBODYS.items()),
    *(pytest.param(fault, SignInRefused, SignInRefused, 1, id=name) for name, fault in THE_OPERATORS.items()),
    pytest.param(INVALID_400, Rejection, Rejection, 1, id="400 with errors"),
    pytest.param(CONFLICT_409, Rejection, Rejection, 1, id="409"),
    pytest.param(GONE_404, Missing, Missing, 1, id="404 JSON"),
    pytest.param(page(405, '{"code":"MethodNotAllowed"}'), SignInRefused, SignInRefused, 1, id="405"),
]


def impatience(fault):
    """Give the client's timeout: short only where a test waits for it to pass."""
    return 0.1 if isinstance(fault.reply, Silence) else 10


@pytest.mark.parametrize(("fault", "owner", "owner_of_a_post", "tries"), OWNERS)
def test_faults_of_a_get(sandbox, fault, owner, owner_of_a_post, tries):
    """Nobody's fault is tried a few times; the operator's and the record's are said at once."""
    with Unreliable(sandbox.url, Strike(fault)) as network:
        error = raised(gateway(network.url, timeout_seconds=impatience(fault)).repeatedly, "GET", PAYMENTS)
        assert type(error) is owner
        assert len(network.requests) == tries


@pytest.mark.parametrize(
    ("method", "body"), [("PATCH", [{"op": "replace", "path": "amount", "value": "1.00"}]), ("DELETE", None)]
)
@pytest.mark.parametrize(
    ("fault", "owner", "tries"),
    [(RESET_BEFORE, Unreachable, TRIES), (BAD_GATEWAY_502, Unreachable, TRIES), (INVALID_400, Rejection, 1)],
    ids=["reset", "502", "400"],
)
def test_faults_of_writes_that_are_safe_to_repeat(sandbox, method, body, fault, owner, tries):
    """A change to an absolute amount and a removal are repeated as a look-up is."""
    row = f"{PAYMENTS}/{pay(gateway(sandbox.url))['id']}"
    with Unreliable(sandbox.url, Strike(fault)) as network:
        assert type(raised(gateway(network.url).repeatedly, method, row, body)) is owner
        assert len(network.requests) == tries
        network.strike(Strike(fault, nth=1)) if owner is Unreachable else network.strike()
        gateway(network.url).repeatedly(method, row, body)
    assert [str(row["amount"]) for row in payments_of(sandbox, "CW-1")] == (["1.00"] if method == "PATCH" else [])


@pytest.mark.parametrize(("fault", "owner", "owner_of_a_post", "tries"), OWNERS)
def test_faults_of_a_post(sandbox, fault, owner, owner_of_a_post, tries):
    """A POST is sent once; whatever leaves open whether it was carried out says so."""
    with Unreliable(sandbox.url, Strike(fault)) as network:
        error = raised(pay, gateway(network.url, timeout_seconds=impatience(fault)))
        assert type(error) is owner_of_a_post
        assert len(network.requests) == 1
    assert len(sandbox.books()["writes"]) == (fault.delivery is Delivery.NOW)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_connection_proves_that_nothing_was_done(method):
    """Where nobody listens a POST is not unknown: the line waits, and the reason can be read."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        gate = gateway(f"http://127.0.0.1:{closed.getsockname()[1]}")
        error = raised(gate.repeatedly, "GET", INFO) if method == "GET" else raised(pay, gate)
    assert type(error) is Unreachable
    assert "refused" in str(error)


@pytest.mark.parametrize("fault", [TIMED_OUT_500, RESET_BEFORE, SILENT_BEFORE], ids=["500", "reset", "silence"])
@pytest.mark.parametrize("failures", [1, TRIES - 1])
def test_a_trouble_that_passes_is_not_noticed(sandbox, fault, failures):
    """A call that is safe to repeat is answered as soon as one try succeeds; each repetition is logged."""
    with Unreliable(sandbox.url, Strike(fault, nth=tuple(range(1, failures + 1)))) as network, capture_logs() as logs:
        gate = gateway(network.url, timeout_seconds=impatience(fault))
        assert gate.repeatedly("GET", PAYMENTS) == []
    assert len(network.requests) == failures + 1
    assert [entry["attempt"] for entry in logs if entry["event"] == "connectwise.retry"] == [*range(1, failures + 1)]


def test_repetitions_pause_and_the_pauses_grow(sandbox):
    """Between the tries there is half a second at least, and more after each."""
    hurry = Hurry()
    with Unreliable(sandbox.url, Strike(TIMED_OUT_500)) as network:
        raised(gateway(network.url, hurry).repeatedly, "GET", INFO)
    assert 1.5 <= hurry.now <= 5


def test_a_certificate_nobody_trusts_is_the_operators(sandbox):
    """A wrong certificate is not repeated, not waited out in silence, and says what to mend."""
    with Unreliable(sandbox.url, certificate=CERTIFICATE) as network:
        error = raised(gateway(network.url).repeatedly, "GET", INFO)
    assert type(error) is SignInRefused
    assert "certificate" in str(error)
    assert "connectwise.ca_bundle" in error.mend
    assert network.connections == 1
    assert network.requests == []


@pytest.mark.parametrize("elsewhere", [False, True], ids=["no environment", "REQUESTS_CA_BUNDLE of another authority"])
def test_the_authority_of_the_configuration_is_trusted(sandbox, monkeypatch, tmp_path, elsewhere):
    """connectwise.ca_bundle is what is trusted, whatever the environment says."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    if elsewhere:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    with Unreliable(sandbox.url, certificate=CERTIFICATE) as network:
        assert gateway(network.url, ca_bundle=str(CERTIFICATE)).repeatedly("GET", PAYMENTS) == []


def test_the_authority_of_the_environment_is_trusted(sandbox, monkeypatch):
    """REQUESTS_CA_BUNDLE is honoured where the configuration says nothing."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with Unreliable(sandbox.url, certificate=CERTIFICATE) as network:
        assert gateway(network.url).repeatedly("GET", PAYMENTS) == []


# --- what ConnectWise said -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (INVALID_400.reply.body, "invoicePayment object is invalid: The accounting period is closed. (paymentDate)"),
        ('{"code":"InvalidObject","message":"It is invalid","errors":null}', "It is invalid"),
        ('{"code":"InvalidObject"}', "InvalidObject"),
        (
            '{"message":"Bad","errors":[{"message":"first"},{"code":"x"},null,{"message":"second","field":"amount"}]}',
            "Bad: first: second (amount)",
        ),
        ('{"message":"Größer als erlaubt","errors":"?"}', "Größer als erlaubt"),
        ("{}", "no reason given"),
    ],
    ids=["message and errors", "errors null", "code only", "odd errors", "beyond ASCII", "nothing"],
)
def test_a_rejection_holds_connectwises_own_words(sandbox, body, words):
    """What ConnectWise says is passed on: its message, and each error with its field."""
    with Unreliable(sandbox.url, Strike(page(400, body))) as network:
        error = raised(pay, gateway(network.url))
    assert type(error) is Rejection
    assert words in str(error)


def test_a_page_is_told_as_its_text(sandbox):
    """What a gateway's page says can be read without its tags and styles."""
    html = "<html><head><style>body {color: red}</style></head><body><h1>Server&nbsp;Error</h1>\n<p>404 - no</p></body>"
    with Unreliable(sandbox.url, Strike(page(404, html, "text/html"))) as network:
        said = str(raised(gateway(network.url).repeatedly, "GET", INFO))
    assert "404 - no" in said
    assert not any(part in said for part in ("<", "color"))


@pytest.mark.parametrize(
    "fault",
    [INVALID_400, GONE_404, TIMED_OUT_500, WEAK_ROLE_403, CLOUD_404, page(200, "not JSON")],
    ids=["400", "404", "500", "403", "404 HTML", "200 unreadable"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_fault_that_was_answered_carries_the_request_id(sandbox, fault, method):
    """ConnectWise's support asks for x-cw-request-id, so each error has it."""
    with Unreliable(sandbox.url, Strike(fault)) as network:
        gate = gateway(network.url)
        error = raised(gate.repeatedly, "GET", INFO) if method == "GET" else raised(pay, gate)
    assert error.request_id == f"request-{fault.reply.status}"


def test_a_repetition_is_logged_with_its_request_id(sandbox):
    """Of a call that was repeated and then answered the log keeps what support would ask for."""
    with Unreliable(sandbox.url, Strike(TIMED_OUT_500, nth=1)) as network, capture_logs() as logs:
        gateway(network.url).repeatedly("GET", INFO)
    (entry,) = [entry for entry in logs if entry["event"] == "connectwise.retry"]
    assert entry["request_id"] == "request-500"
    assert "A timeout has occured" in entry["reason"]


# --- too many requests ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("17", 17), ("1", 1), ("0.4", 0.4), (None, 30), ("soon", 30), ("0", 0.1), ("-5", 30), ("nan", 30), ("86400", 600)],
)
def test_a_429_is_waited_out_for_as_long_as_it_says(sandbox, retry_after, seconds):
    """Retry-After is kept; without a usable one thirty seconds are; never none, or more than ten minutes."""
    hurry = Hurry()
    with Unreliable(sandbox.url, Strike(too_many(retry_after), nth=1)) as network, capture_logs() as logs:
        assert gateway(network.url, hurry).repeatedly("GET", PAYMENTS) == []
    assert seconds <= hurry.now <= seconds + 0.1
    (entry,) = [entry for entry in logs if entry["event"] == "connectwise.slowed"]
    assert entry["retry_after_seconds"] == seconds
    assert entry["request_id"] == "request-429"
    assert entry["requests_per_minute"] < 60000


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_429s_are_waited_out_however_many_there_are(sandbox, method):
    """A 429 was not carried out: it is no failed try, and the one call that may be repeated even as a POST."""
    with Unreliable(sandbox.url, Strike(too_many("1"), nth=tuple(range(1, 8)))) as network:
        gate = gateway(network.url)
        answer = gate.repeatedly("GET", PAYMENTS) if method == "GET" else pay(gate)
    assert answer == [] if method == "GET" else answer["id"]
    assert len(network.requests) == 8
    assert len(sandbox.books()["writes"]) == (method == "POST")


def test_a_429_page_that_is_no_json_is_waited_out_as_well(sandbox):
    """What counts is the status, whoever wrote the page."""
    with Unreliable(sandbox.url, Strike(page(429, "<h1>Slow down</h1>", "text/html"), nth=1)) as network:
        assert gateway(network.url).repeatedly("GET", PAYMENTS) == []


# --- the end of the program ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [too_many("60"), TIMED_OUT_500], ids=["429", "between two tries"])
def test_a_wait_ends_at_once_when_asked_to_stop(sandbox, fault):
    """Neither a Retry-After of a minute nor a pause before a repetition holds up the end."""
    stop = threading.Event()
    # The request to end comes while the first answer is under way, so that the first wait meets it.
    struck = Fault(fault.delivery, fault.reply, stop.set)
    with Unreliable(sandbox.url, Strike(struck)) as network:
        gate = Gateway(account(network.url), Pace(60000, stop))
        began = time.monotonic()
        with pytest.raises(Stopping):
            gate.repeatedly("GET", INFO)
    assert time.monotonic() - began < 1
    assert len(network.requests) == 1


def test_bodies_are_json_whatever_they_hold(sandbox):
    """Text beyond ASCII, quotes and null go through unchanged."""
    body = {"text": 'a "b" \\ ü € \u2028', "nothing": None, "flag": True, "list": [1, Decimal("2.50")]}
    with Unreliable(sandbox.url, Strike(Fault(Delivery.NEVER, Page(200, "{}")))) as network:
        gateway(network.url).once("POST", PAYMENTS, body)
    (request,) = network.requests
    assert simplejson.loads(request.body, use_decimal=True) == body
