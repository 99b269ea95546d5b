"""Proxies: their passwords are in no message, whatever their addresses look like."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from support.connectwise import account
from support.line import Hurried

from watcher.assembly.connectwise import secrets_of
from watcher.config.settings import Settings
from watcher.connectwise import proxies
from watcher.connectwise.http import Gateway
from watcher.connectwise.pace import Pace
from watcher.errors import AnswerLost, ConnectWiseError, Outage, SignInRefused
from watcher.events.redaction import redactor
from watcher.sandbox import SignIn

SITE = "https://connectwise.invalid"
PASSWORD = "Winter2026"
UNREADABLE = {
    "# in the password": f"http://svc:{PASSWORD}#@127.0.0.1:9",
    "# in the middle": f"http://svc:{PASSWORD}#Summer99@127.0.0.1:9",
    "# behind digits": "http://svc:2026#Winter2026@127.0.0.1:9",
    "/ in the password": f"http://svc:{PASSWORD}/x@127.0.0.1:9",
    "/ behind digits": "http://svc:20/Winter2026@127.0.0.1:9",
    "? behind digits": "http://svc:20?Winter2026@127.0.0.1:9",
    "a port too large": f"http://svc:{PASSWORD}@127.0.0.1:99999",
    "a port of letters": f"http://svc:{PASSWORD}@127.0.0.1:port",
    "a bracket": f"http://svc:{PASSWORD}[@127.0.0.1:9",
    "no host": f"http://svc:{PASSWORD}@",
    "no scheme": f"svc:{PASSWORD}@127.0.0.1:9",
    "another scheme": f"ftp://svc:{PASSWORD}@127.0.0.1:9",
    "a scheme with a blank": f"ht tp://svc:{PASSWORD}@127.0.0.1:9",
}
READABLE = {
    "plain": f"http://svc:{PASSWORD}@127.0.0.1:9",
    "@ in the password": f"http://svc:{PASSWORD}@x@127.0.0.1:9",
    "per cent": f"http://svc:{PASSWORD}%23%40@127.0.0.1:9",
    "no such name": f"http://svc:{PASSWORD}@proxy.invalid:9",
    "a password alone": f"http://:{PASSWORD}@127.0.0.1:9",
}


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch):
    """Leave no proxy but the test's own."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def said(method, site=SITE):
    """Return the error of a call, and everything that it and the log say."""
    gate = Gateway(account(site, timeout_seconds=2), Pace(60000, Hurried()))
    call = {
        "GET": lambda: gate.get("/system/info"),
        "POST": lambda: gate.once("POST", "/finance/invoices/1/payments", {}),
    }[method]
    with capture_logs() as logs, pytest.raises((Outage, ConnectWiseError)) as caught:
        call()
    return caught.value, f"{caught.value} {getattr(caught.value, 'mend', '')} {logs}"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("address", UNREADABLE.values(), ids=UNREADABLE)
def test_address_that_cannot_be_read_is_the_operators_and_is_not_shown(monkeypatch, name, address, method):
    """Nothing was sent, and what to mend is said without a part of the address."""
    monkeypatch.setenv(name, address)

    error, words = said(method)

    assert type(error) is SignInRefused
    assert "HTTPS_PROXY" in error.mend
    assert "%23" in error.mend
    assert not [part for part in ("Winter", "2026", "Summer", "svc", "127.0.0.1") if part in words]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("address", READABLE.values(), ids=READABLE)
def test_password_of_a_proxy_that_does_not_answer_is_not_shown(monkeypatch, address, method):
    """The call goes to the proxy, and fails there."""
    monkeypatch.setenv("HTTPS_PROXY", address)

    error, words = said(method)

    assert not isinstance(error, SignInRefused | AnswerLost)
    assert PASSWORD not in words


@pytest.mark.parametrize("address", [*UNREADABLE.values(), *READABLE.values()])
def test_log_never_shows_the_password(monkeypatch, address):
    """Whatever a library writes of an address, its password is taken out of the finished text."""
    monkeypatch.setenv("https_proxy", address)
    monkeypatch.setenv("HTTP_PROXY", f"http://other:Spring!{PASSWORD}@10.0.0.1")
    sign_in = SignIn()
    keys = {key: getattr(sign_in, key) for key in ("company", "client_id", "public_key", "private_key")}
    settings = Settings.model_validate({"connectwise": {"site": "api-na.myconnectwise.net", **keys}})

    redacted = redactor(secrets_of(settings))

    login = address.partition("://")[2].rpartition("@")[0] or address.rpartition("@")[0]
    password = login.partition(":")[2]
    for text in (address, f"login {login} failed", f"Failed to parse: 'svc:{PASSWORD}' is not a host", password):
        assert PASSWORD not in redacted(text)
    assert redacted("Starting new HTTPS connection (1): 127.0.0.1:9 as svc") == (
        "Starting new HTTPS connection (1): 127.0.0.1:9 as svc"
    )


def test_proxy_without_a_password_has_no_secret(monkeypatch):
    """Its address may be shown."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    monkeypatch.setenv("NO_PROXY", "a@b")
    assert proxies.secrets() == ()


def test_loopback_goes_through_no_proxy(monkeypatch, start_sandbox):
    """An address that cannot be read does not matter where no proxy is used."""
    monkeypatch.setenv("HTTP_PROXY", UNREADABLE["# in the password"])
    gate = Gateway(account(start_sandbox().url), Pace(60000, Hurried()))
    assert gate.once("GET", "/system/info")["version"]
