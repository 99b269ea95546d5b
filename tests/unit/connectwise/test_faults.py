"""Whose fault a failed call is, and what ConnectWise said: answers and errors come in, no call is made."""

from __future__ import annotations

import base64
import errno
import http.client
import json
import os
import ssl
import urllib.parse

import pytest
import requests
import urllib3
from requests.utils import get_encoding_from_headers
from support.effort import effort
from support.network import INVALID_400

from watcher.connectwise import faults
from watcher.errors import AnswerLost, Missing, Rejection, SignInRefused, Unreachable
from watcher.events.redaction import redactor

JSON = "application/json; charset=utf-8"
HOST = "api-na.myconnectwise.net"
REFUSED = '{"code":"InvalidObject","message":"It is invalid"}'
POOL = urllib3.HTTPSConnectionPool(HOST)


def answer(status, body="", content_type=JSON, method="GET", **headers):
    """Return an answer as the HTTP library would."""
    made = requests.Response()
    made.status_code = status
    made.headers.update(
        {"Content-Type": content_type, **{name.replace("_", "-"): text for name, text in headers.items()}}
    )
    made.encoding = get_encoding_from_headers(made.headers)
    made.request = requests.Request(method, f"https://{HOST}/").prepare()
    made._content = body.encode()
    return made


def fault_of(status, body="", **more):
    """Return the error that an answer stands for."""
    made = answer(status, body, **more)
    return faults.of_answer(made, faults.words(made, str))


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "more", "owner", "owner_of_a_write"),
    [
        (400, REFUSED, {}, Rejection, Rejection),
        (409, REFUSED, {}, Rejection, Rejection),
        (404, REFUSED, {}, Missing, Missing),
        (400, "Cannot route", {"content_type": "text/plain"}, SignInRefused, SignInRefused),
        (404, "<html>404</html>", {"content_type": "text/html"}, SignInRefused, SignInRefused),
        (401, REFUSED, {}, SignInRefused, SignInRefused),
        (403, REFUSED, {}, SignInRefused, SignInRefused),
        (405, REFUSED, {}, SignInRefused, SignInRefused),
        (302, "", {"Location": f"https://{HOST}/login"}, SignInRefused, SignInRefused),
        (500, REFUSED, {}, Unreachable, AnswerLost),
        (502, "<html>Bad gateway</html>", {"content_type": "text/html"}, Unreachable, AnswerLost),
        (503, "", {}, Unreachable, AnswerLost),
        (200, "half of a JS", {}, Unreachable, AnswerLost),
        (200, '{"unsound": true}', {}, Unreachable, AnswerLost),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else None,
)
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE", "POST"])
def test_fault_of_an_answer_has_an_owner(status, body, more, owner, owner_of_a_write, method):
    """The record's, the operator's or nobody's; of a write that may have been carried out it is not known."""
    fault = fault_of(status, body, method=method, x_cw_request_id="request-7", **more)
    assert type(fault) is (owner if method == "GET" else owner_of_a_write)
    assert fault.request_id == "request-7"


@pytest.mark.parametrize("status", [401, 404, 405], ids=["keys", "site", "codebase"])
def test_operators_fault_says_what_to_mend(status):
    """Whoever can mend it is told which settings to check."""
    fault = fault_of(status, "<html>no</html>", content_type="text/html")
    assert "connectwise.site" in fault.mend
    assert f"({status})" in str(fault)


def test_fault_of_an_answer_holds_the_words_it_is_given():
    """The words come in without secrets, and nothing else of the answer is shown."""
    fault = faults.of_answer(answer(500, '{"message":"key s3cret"}'), "key ***")
    assert str(fault) == "ConnectWise answered 500: key ***"


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
        ('{"message":"half \\ud800 a letter"}', r"half \ud800 a letter"),
        ("{}", "no reason given"),
    ],
    ids=["message and errors", "errors null", "code only", "odd errors", "beyond ASCII", "half a letter", "nothing"],
)
def test_rejection_holds_connectwises_own_words(body, words):
    """What ConnectWise says is passed on: its message, and each error with its field."""
    fault = fault_of(400, body, method="POST")
    assert type(fault) is Rejection
    assert words in str(fault)


def test_page_is_reported_as_its_text():
    """What a gateway's page says can be read without its tags and styles."""
    html = "<html><head><style>body {color: red}</style></head><body><h1>Server&nbsp;Error</h1>\n<p>404 - no</p></body>"
    said = str(fault_of(404, html, content_type="text/html"))
    assert "404 - no" in said
    assert not any(part in said for part in ("<", "color"))


@pytest.mark.parametrize(
    ("body", "words"), [("", "an empty answer"), ("x" * 5000, f"{'x' * 199}…")], ids=["empty", "long"]
)
def test_words_of_a_page_are_some_and_not_too_many(body, words):
    """There is always something to read, and a whole page is never logged."""
    assert faults.words(answer(502, body, content_type="text/html"), str) == words


# --- 429 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("17", 17),
        ("0.4", 0.4),
        (None, 30),
        ("soon", 30),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 30),
        ("", 30),
        ("0", 0.1),
        ("-5", 30),
        ("nan", 30),
        ("inf", 600),
        ("86400", 600),
    ],
)
def test_wait_of_a_429_is_kept_within_reason(retry_after, seconds):
    """Without a usable Retry-After it is thirty seconds; it is never none, and never more than ten minutes."""
    headers = {} if retry_after is None else {"Retry_After": retry_after}
    assert faults.retry_after(answer(429, "", **headers)) == seconds


# --- errors ----------------------------------------------------------------------------------------------------------


def wrapped(reason):
    """Return an error of the HTTP library for what happened to a connection."""
    return requests.exceptions.ConnectionError(urllib3.exceptions.MaxRetryError(POOL, "/", reason))


NOT_CONNECTED = {
    "refused": wrapped(urllib3.exceptions.NewConnectionError(POOL, os.strerror(errno.ECONNREFUSED))),
    "no address": wrapped(urllib3.exceptions.NameResolutionError(HOST, POOL, OSError("unknown"))),
    "not connected in time": requests.exceptions.ConnectTimeout(),
}
CONNECTED = {
    "reset": requests.exceptions.ConnectionError(
        urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError(errno.ECONNRESET, "reset"))
    ),
    "no answer in time": requests.exceptions.ReadTimeout(),
    "broken off": requests.exceptions.ChunkedEncodingError(),
}


@pytest.mark.parametrize("error", NOT_CONNECTED.values(), ids=NOT_CONNECTED)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_failed_connection_proves_that_nothing_was_done(error, method):
    """Without a connection even a POST is known not to have been carried out."""
    assert type(faults.of_error(error, method, HOST, str)) is Unreachable


@pytest.mark.parametrize("error", CONNECTED.values(), ids=CONNECTED)
@pytest.mark.parametrize(
    ("method", "owner"),
    [("GET", Unreachable), ("PATCH", AnswerLost), ("DELETE", AnswerLost), ("POST", AnswerLost)],
)
def test_broken_connection_leaves_a_write_unknown(error, method, owner):
    """What was sent may have arrived, which matters only if it writes."""
    assert type(faults.of_error(error, method, HOST, str)) is owner


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_certificate_that_is_not_trusted_is_the_operators(method):
    """However deep the library hides it, what to mend is said."""
    error = wrapped(urllib3.exceptions.SSLError(ssl.SSLCertVerificationError(1, "self-signed certificate")))
    fault = faults.of_error(error, method, HOST, str)
    assert type(fault) is SignInRefused
    assert HOST in str(fault)
    assert "self-signed certificate" in str(fault)
    assert "connectwise.ca_bundle" in fault.mend


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NOT_CONNECTED["no address"], "has no address: its name could not be resolved"),
        (NOT_CONNECTED["not connected in time"], "could not be connected to in time"),
        (CONNECTED["no answer in time"], "did not answer in time"),
        (CONNECTED["reset"], "could not be reached: reset"),
        (FileNotFoundError(errno.ENOENT, "No such file", "ca.pem"), "could not be reached: No such file"),
        (
            wrapped(http.client.HTTPException("got more than 100 headers")),
            "gave an answer that cannot be read: got more than 100 headers",
        ),
        (wrapped(http.client.RemoteDisconnected("No answer")), "could not be reached: No answer"),
    ],
    ids=["no address", "not connected", "no answer", "reset", "certificate file", "no sound HTTP", "closed"],
)
def test_error_is_reported_in_plain_words(error, words):
    """The host is named, and what went wrong with it."""
    assert str(faults.of_error(error, "GET", HOST, str)) == f"{HOST} {words}"


def test_errors_that_wrap_each_other_in_a_circle_are_looked_through_once():
    """What a library does to its errors does not hang this program."""
    one, other = OSError("one"), OSError("other")
    one.__cause__, other.__cause__ = other, one
    assert type(faults.of_error(one, "GET", HOST, str)) is Unreachable


# --- bounds ----------------------------------------------------------------------------------------------------------

KEY = "sEcrEt-Key/9+with%40signs"
FORMS = {
    "as it is": KEY,
    "in a URL, in small letters": urllib.parse.quote(KEY, safe="").lower(),
    "in Base64 with blanks": " ".join(base64.b64encode(KEY.encode()).decode()),
}


@pytest.mark.parametrize("written", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("before", [0, 185, 195, 990, 65_500, 65_530])
@pytest.mark.parametrize("kind", ["text", "hidden", "message", "error"])
def test_no_part_of_a_key_is_left_wherever_the_words_are_cut(written, before, kind):
    """A cut through a key would leave a part that nothing recognizes."""
    filler = "é " * (before // 2)
    body = {
        "text": f"{filler}{written}{filler}",
        "hidden": f"<style>{filler}</style>{written} {written}{filler * 3}",
        "message": json.dumps({"message": f"{filler}{written}{filler}"}),
        "error": json.dumps({"message": "No", "errors": [{"message": filler}, {"message": written, "field": filler}]}),
    }[kind]

    said = faults.words(answer(502, body, "text/html"), redactor([KEY]))

    assert len(said) <= 1000
    squeezed = said.replace(" ", "")
    pieces = [written.replace(" ", "")[start : start + 5] for start in range(10)]
    assert not [piece for piece in pieces if piece in squeezed]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"message": "no " * 5_000_000}),
        json.dumps({"message": "no", "errors": [{"message": "no", "field": "x"}] * 200_000}),
        json.dumps({"message": ["no"] * 100_000, "code": {"a": 1}}),
        "no " * 5_000_000,
    ],
    ids=["message", "errors", "odd", "page"],
)
def test_words_are_bounded(body):
    """They stand in the message of each record that they are about."""
    with effort() as spent:
        assert len(faults.words(answer(400, body), redactor([KEY]))) <= 1000
    assert spent.pieces < 375


def test_words_steer_no_terminal_and_forge_no_line():
    """Line feeds become blanks, and what steers a terminal is escaped."""
    said = faults.words(answer(400, json.dumps({"message": "no\r\n\x1b[2J\u202e\x85 at all"})), str)
    assert said == r"no \x1b[2J\u202e at all"
    assert faults.request_id(answer(400, x_cw_request_id="7" * 60_000)) == "7" * 99 + "…"


def test_charset_that_nobody_knows_is_no_error():
    """A page is read all the same."""
    assert faults.words(answer(502, "<p>Bad gateway", "text/html; charset=klingon"), str) == "Bad gateway"
