"""The gateway over real HTTP: what it sends, what it repeats, whose fault a failed call is, and what a 429 does."""

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
from support.connectwise import account, invoice
from support.line import Hurried
from support.network import (
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
    BrokenOff,
    Delivery,
    Fault,
    Halved,
    Page,
    Strike,
    Unreliable,
    impatience,
    page,
    too_many,
)

from watcher.connectwise.http import Gateway
from watcher.connectwise.pace import Pace
from watcher.errors import (
    AnswerLost,
    ConnectWiseError,
    Missing,
    Rejection,
    SignInRefused,
    Slowed,
    Stopping,
    Unreachable,
)
from watcher.lifetime import Lifetime
from watcher.sandbox import SignIn

INFO = "/system/info"
PAYMENTS = "/finance/invoices/1001/payments"
CERTIFICATE = Path(__file__).parents[2] / "data" / "untrusted-certificate.pem"
TRIES = 3


@pytest.fixture
def sandbox(start_sandbox):
    """A sandbox with one open invoice, of id 1001."""
    return start_sandbox(invoice("CW-1", "346.34"))


def gateway(url, lifetime=None, **changes):
    """Return a gateway whose waits take no time."""
    return Gateway(account(url, **changes), Pace(60000, lifetime or Hurried()))


def pay(gate, amount="346.34"):
    """Post a payment."""
    return gate.once("POST", PAYMENTS, {"type": "P", "amount": Decimal(amount), "invoice": {"id": 1001}})


def raised(call, *arguments):
    """Return the error that a call raises."""
    with pytest.raises((ConnectWiseError, Unreachable, SignInRefused)) as caught:
        call(*arguments)
    return caught.value


# --- what is sent --------------------------------------------------------------------------------------------------


def test_every_call_signs_in_and_names_client_and_version(sandbox):
    """Company, keys, client id and the pinned model version stand in the headers of every call."""
    sign_in = SignIn()
    with Unreliable(sandbox.url) as network:
        gate = gateway(network.url, api_version="2025.1")
        gate.get(INFO)
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
    assert gate.get("/finance/invoices?pageSize=1&fields=id") == [{"id": 1001}]


def test_repr_of_an_account_shows_no_key():
    """An account in a log or a traceback gives nothing away."""
    shown = repr(account("http://127.0.0.1:1"))
    assert not [secret for secret in (SignIn().public_key, SignIn().private_key, SignIn().client_id) if secret in shown]


def test_secrets_that_a_server_repeats_are_not_shown(sandbox):
    """A server that says what it was sent brings no key into messages and files."""
    mine = account("http://127.0.0.1:1")
    body = simplejson.dumps({"message": f"no right for {mine.login}, client {mine.client_id}"})
    with Unreliable(sandbox.url, Strike(page(400, body))) as network:
        said = str(raised(pay, gateway(network.url)))
    assert said == "no right for ***, client ***"


@pytest.mark.parametrize("amount", ["346.34", "0.10", "500", "500.00", "9999999999999.99", "0.01"])
def test_amount_is_sent_as_the_digits_it_is_made_of(sandbox, amount):
    """No binary float touches an amount on its way out."""
    with Unreliable(sandbox.url, Strike(page(201, '{"id": 1}'), "POST")) as network:
        pay(gateway(network.url), amount)
    (request,) = network.requests
    assert f'"amount": {amount},'.encode() in request.body
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("written", ["0.1", "12345678901234567.89", "0.30000000000000004", "1e2"])
def test_amount_is_read_as_the_digits_it_is_made_of(sandbox, written):
    """No binary float touches an amount on its way in."""
    with Unreliable(sandbox.url, Strike(page(200, f'{{"amount": {written}}}'))) as network:
        amount = gateway(network.url).get(INFO)["amount"]
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


def test_connection_that_the_server_ended_is_made_anew(sandbox):
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


def test_redirection_is_no_answer_whatever_it_holds(sandbox):
    """Another site's sign-in page may come as JSON, too, and nothing is concluded from it."""
    elsewhere = page(302, "[]", Location="http://127.0.0.1:1/login")
    with Unreliable(sandbox.url, Strike(elsewhere)) as network:
        assert type(raised(gateway(network.url).get, PAYMENTS)) is SignInRefused


@pytest.mark.parametrize(("fault", "owner", "owner_of_a_write", "tries"), OWNERS)
def test_faults_of_a_get(sandbox, fault, owner, owner_of_a_write, tries):
    """After a fault that is nobody's the call is tried a few times; the operator's and the record's end it at once."""
    with Unreliable(sandbox.url, Strike(fault)) as network:
        error = raised(gateway(network.url, timeout_seconds=impatience(fault)).get, PAYMENTS)
        assert type(error) is owner
        assert len(network.requests) == tries


CHANGE = [{"op": "replace", "path": "amount", "value": "1.00"}]


@pytest.mark.parametrize(
    ("method", "body", "fault", "owner_of_a_write"),
    [
        pytest.param(method, body, one.values[0], one.values[2], id=f"{method}, {one.id}")
        for method, body in (("PATCH", CHANGE), ("DELETE", None))
        for one in OWNERS
        # The answer to a DELETE has no body that could be cut.
        if body or not isinstance(one.values[0].reply, Halved | BrokenOff)
    ],
)
def test_faults_of_a_patch_and_of_a_delete(sandbox, method, body, fault, owner_of_a_write):
    """Neither is sent twice without a look in between. The error says so if it may have been carried out."""
    row = f"{PAYMENTS}/{pay(gateway(sandbox.url))['id']}"
    with Unreliable(sandbox.url, Strike(fault)) as network:
        gate = gateway(network.url, timeout_seconds=impatience(fault))
        assert type(raised(gate.once, method, row, body)) is owner_of_a_write
        assert len(network.requests) == 1
    assert len(sandbox.books()["writes"]) == 1 + (fault.delivery is Delivery.NOW)


@pytest.mark.parametrize(("fault", "owner", "owner_of_a_write", "tries"), OWNERS)
def test_faults_of_a_post(sandbox, fault, owner, owner_of_a_write, tries):
    """A POST is sent once. The error says so if the POST may have been carried out."""
    with Unreliable(sandbox.url, Strike(fault)) as network:
        error = raised(pay, gateway(network.url, timeout_seconds=impatience(fault)))
        assert type(error) is owner_of_a_write
        assert len(network.requests) == 1
    assert len(sandbox.books()["writes"]) == (fault.delivery is Delivery.NOW)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_refused_connection_proves_that_nothing_was_done(method):
    """If nobody listens, a POST is known not to be carried out: the line waits, and the reason can be read."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        gate = gateway(f"http://127.0.0.1:{closed.getsockname()[1]}")
        error = raised(gate.get, INFO) if method == "GET" else raised(pay, gate)
    assert type(error) is Unreachable
    assert "refused" in str(error)


@pytest.mark.parametrize("fault", [TIMED_OUT_500, RESET_BEFORE, SILENT_BEFORE], ids=["500", "reset", "silence"])
@pytest.mark.parametrize("failures", [1, TRIES - 1])
def test_trouble_that_passes_is_not_noticed(sandbox, fault, failures):
    """A call that is safe to repeat is answered as soon as one try succeeds; each repetition is logged."""
    with Unreliable(sandbox.url, Strike(fault, nth=tuple(range(1, failures + 1)))) as network, capture_logs() as logs:
        gate = gateway(network.url, timeout_seconds=impatience(fault))
        assert gate.get(PAYMENTS) == []
    assert len(network.requests) == failures + 1
    assert [entry["attempt"] for entry in logs if entry["event"] == "connectwise.retry"] == [*range(1, failures + 1)]


@pytest.mark.parametrize(("fault", "tries"), [(SILENT_BEFORE, 1), (TIMED_OUT_500, TRIES)], ids=["silence", "500"])
def test_call_that_others_wait_for_hangs_once(sandbox, fault, tries):
    """If it hung until its timeout, it is not repeated at once; any other trouble takes no time."""
    with Unreliable(sandbox.url, Strike(fault)) as network:
        gate = gateway(network.url, timeout_seconds=impatience(fault))
        with pytest.raises(Unreachable):
            gate.get(PAYMENTS, hurried=True)
        assert len(network.requests) == tries


def test_repetitions_pause_and_the_pauses_grow(sandbox):
    """The first pause is at least half a second, and each pause is longer than the one before."""
    lifetime = Hurried()
    with Unreliable(sandbox.url, Strike(TIMED_OUT_500)) as network:
        raised(gateway(network.url, lifetime).get, INFO)
    assert 1.5 <= lifetime.now() <= 5


def test_certificate_nobody_trusts_is_the_operators(sandbox):
    """After a wrong certificate the call is not repeated, and the error says what to mend."""
    with Unreliable(sandbox.url, certificate=CERTIFICATE) as network:
        error = raised(gateway(network.url).get, INFO)
    assert type(error) is SignInRefused
    assert "certificate" in str(error)
    assert "connectwise.ca_bundle" in error.mend
    assert network.connections == 1
    assert network.requests == []


@pytest.mark.parametrize("elsewhere", [False, True], ids=["no environment", "REQUESTS_CA_BUNDLE of another authority"])
def test_authority_of_the_configuration_is_trusted(sandbox, monkeypatch, tmp_path, elsewhere):
    """The program trusts connectwise.ca_bundle, whatever the environment says."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    if elsewhere:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    with Unreliable(sandbox.url, certificate=CERTIFICATE) as network:
        assert gateway(network.url, ca_bundle=str(CERTIFICATE)).get(PAYMENTS) == []


def test_authority_of_the_environment_is_trusted(sandbox, monkeypatch):
    """The program trusts REQUESTS_CA_BUNDLE if the configuration names no authority."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with Unreliable(sandbox.url, certificate=CERTIFICATE) as network:
        assert gateway(network.url).get(PAYMENTS) == []


# --- the request id --------------------------------------------------------------------------------------------------


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
        error = raised(gate.get, INFO) if method == "GET" else raised(pay, gate)
    assert error.request_id == f"request-{fault.reply.status}"


def test_repetition_is_logged_with_its_request_id(sandbox):
    """The log keeps what support would ask for, although the call succeeded in the end."""
    with Unreliable(sandbox.url, Strike(TIMED_OUT_500, nth=1)) as network, capture_logs() as logs:
        gateway(network.url).get(INFO)
    (entry,) = [entry for entry in logs if entry["event"] == "connectwise.retry"]
    assert entry["request_id"] == "request-500"
    assert "A timeout has occured" in entry["reason"]


# --- too many requests ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("17", 17), ("1", 1), ("0.4", 0.4), (None, 30), ("soon", 30), ("0", 0.1), ("-5", 30), ("nan", 30), ("80", 80)],
)
def test_429_is_waited_out_for_as_long_as_it_says(sandbox, retry_after, seconds):
    """The wait is the Retry-After, or thirty seconds without a usable one; never under 0.1 seconds."""
    lifetime = Hurried()
    with Unreliable(sandbox.url, Strike(too_many(retry_after), nth=1)) as network, capture_logs() as logs:
        assert gateway(network.url, lifetime).get(PAYMENTS) == []
    assert seconds <= lifetime.now() <= seconds + 0.1
    (entry,) = [entry for entry in logs if entry["event"] == "connectwise.slowed"]
    assert entry["retry_after_seconds"] == seconds
    assert entry["request_id"] == "request-429"
    assert entry["requests_per_minute"] < 60000


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_429s_are_waited_out_however_many_there_are(sandbox, method):
    """A call that met a 429 was not carried out. So it is no failed try, and even a POST is repeated."""
    with Unreliable(sandbox.url, Strike(too_many("1"), nth=tuple(range(1, 8)))) as network:
        gate = gateway(network.url)
        answer = gate.get(PAYMENTS) if method == "GET" else pay(gate)
    assert answer == [] if method == "GET" else answer["id"]
    assert len(network.requests) == 8
    assert len(sandbox.books()["writes"]) == (method == "POST")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_but_429_for_a_minute_is_an_outage(sandbox, method):
    """So it is told. The call was not carried out, and the next one waits as long as the last 429 says."""
    lifetime = Hurried()
    with Unreliable(sandbox.url, Strike(too_many("20"))) as network:
        gate = gateway(network.url, lifetime)
        with pytest.raises(Slowed, match="nothing but 429") as caught:
            gate.get(PAYMENTS) if method == "GET" else pay(gate)
        assert 60 <= lifetime.now() < 62
        network.strike()
        assert gate.get(PAYMENTS) == []
        assert 80 <= lifetime.now() < 82
    assert caught.value.request_id == "request-429"
    assert sandbox.books()["writes"] == []


@pytest.mark.parametrize(("retry_after", "seconds"), [("120", 120), ("86400", 600)])
def test_429_that_asks_for_a_long_wait_is_an_outage_after_a_minute(sandbox, retry_after, seconds):
    """So it is told while no call is made; the wait is never over 600 seconds, and then the call goes through."""
    lifetime = Hurried()
    with Unreliable(sandbox.url, Strike(too_many(retry_after), nth=1)) as network:
        gate = gateway(network.url, lifetime)
        with pytest.raises(Slowed, match="no call may be made for"):
            gate.get(PAYMENTS)
        assert 60 <= lifetime.now() < 62
        assert len(network.requests) == 1
        lifetime.sleep(seconds - 80)
        assert gate.get(PAYMENTS) == []
        assert seconds <= lifetime.now() < seconds + 1


def test_429s_with_good_answers_between_them_are_no_outage(sandbox):
    """They are only slow."""
    lifetime = Hurried()
    with Unreliable(sandbox.url, Strike(too_many("50"), nth=(1, 3, 5))) as network:
        gate = gateway(network.url, lifetime)
        assert [gate.get(PAYMENTS) for _ in range(3)] == [[]] * 3
    assert lifetime.now() >= 150


def test_429_page_that_is_no_json_is_waited_out_as_well(sandbox):
    """Only the status counts, whoever wrote the page."""
    with Unreliable(sandbox.url, Strike(page(429, "<h1>Slow down</h1>", "text/html"), nth=1)) as network:
        assert gateway(network.url).get(PAYMENTS) == []


# --- the end of the program ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [too_many("60"), TIMED_OUT_500], ids=["429", "between two tries"])
def test_wait_ends_at_once_when_asked_to_stop(sandbox, fault):
    """Neither a Retry-After of a minute nor a pause before a repetition holds up the end."""
    lifetime = Lifetime()
    # The request to end comes while the first answer is under way, so that the first wait meets it.
    struck = Fault(fault.delivery, fault.reply, lifetime.end)
    with Unreliable(sandbox.url, Strike(struck)) as network:
        gate = Gateway(account(network.url), Pace(60000, lifetime))
        began = time.monotonic()
        with pytest.raises(Stopping):
            gate.get(INFO)
    assert time.monotonic() - began < 10
    assert len(network.requests) == 1


def test_bodies_are_json_whatever_they_hold(sandbox):
    """Text beyond ASCII, quotes and null go through unchanged."""
    body = {"text": 'a "b" \\ ü € \u2028', "nothing": None, "flag": True, "list": [1, Decimal("2.50")]}
    with Unreliable(sandbox.url, Strike(Fault(Delivery.NEVER, Page(200, "{}")))) as network:
        gateway(network.url).once("POST", PAYMENTS, body)
    (request,) = network.requests
    assert simplejson.loads(request.body, use_decimal=True) == body
