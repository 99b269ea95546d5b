"""Public clients of ConnectWise work against the sandbox unchanged; they speak TLS, so a proxy stands in front."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.needs import needs
from support.network import Unreliable
from support.sandbox import SIGN_IN

from watcher.sandbox import Rules, Sandbox, numbered_invoices

TESTS = Path(__file__).parents[1]
CLIENTS = TESTS / "support" / "clients"
CERTIFICATE = TESTS / "data" / "untrusted-certificate.pem"
CONNECTWISE_REST = "connectwise-rest@1.3.0"
INVOICES = numbered_invoices(66)
# The registry may be slow, or it may not answer at all.
INSTALL_SECONDS = 60
CLIENT_SECONDS = 50


@pytest.fixture
def proxy() -> Iterator[Unreliable]:
    """Run a sandbox with 67 invoices behind TLS; nobody may pay CW-00002."""
    sandbox = Sandbox(INVOICES, rules=Rules(refuses=("CW-00002",)))
    with sandbox, Unreliable(sandbox.url, certificate=CERTIFICATE) as network:
        yield network


def told_by(proxy: Unreliable, *program: str | Path, **env: str) -> dict[str, Any]:
    """Return what a client prints that knows the sandbox's account and trusts the proxy."""
    host = proxy.url.removeprefix("https://")
    account = (host, SIGN_IN.company, SIGN_IN.client_id, SIGN_IN.public_key, SIGN_IN.private_key)
    trusted = {"REQUESTS_CA_BUNDLE": str(CERTIFICATE), "NODE_EXTRA_CA_CERTS": str(CERTIFICATE), "NO_PROXY": "*"}
    ended = subprocess.run(
        [*program, *account],
        env={**os.environ, **trusted, **env},
        capture_output=True,
        encoding="utf-8",
        timeout=CLIENT_SECONDS,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def check(told: dict[str, Any], **more: object) -> None:
    """Check what a client says: it paged, found, made, changed and removed, and understood three refusals.

    Names of parameters have any letter case, a path may have a slash, and what is empty is left out.
    """
    assert (
        told
        == {
            "paged": [invoice.number for invoice in INVOICES],
            "counted": 67,
            "total": 346.34,
            "made": 12.5,
            "changed": [346.34, "2016-09-22"],
            "listed": [346.34],
            "slashed": 300.0,
            "put": [299.5, True],
            "lower": [1067, 1066, 1065],
            "at_location": 67,
            "left_out": [True, True],
            "unknown_name": [400, "invoiceDate is not a recognized name."],
            "left": 0,
            "missing": [404, "Invoice 9 was not found."],
            "forbidden": [403, "You do not have security permission to perform this action."],
        }
        | more
    )


def test_pyconnectwise_works(proxy: Unreliable) -> None:
    """The Python client pages through 67 invoices, finds one, sets a payment on it, and understands 404 and 403."""
    if importlib.util.find_spec("pyconnectwise") is None:
        pytest.skip("needs pyconnectwise, which tests/requirements.lock pins")
    check(told_by(proxy, sys.executable, CLIENTS / "with_pyconnectwise.py"))


@pytest.mark.timeout(INSTALL_SECONDS + CLIENT_SECONDS + 10)
def test_connectwise_rest_works(proxy: Unreliable, tmp_path: Path) -> None:
    """The Node client does the same."""
    node, npm = needs("node"), needs("npm")
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0")
    command = [npm, "install", *quiet, "--prefix", tmp_path, CONNECTWISE_REST]
    try:
        subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=INSTALL_SECONDS, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip(f"needs {CONNECTWISE_REST} of the npm registry, which could not be installed")
    modules = str(tmp_path / "node_modules")
    # The other one takes no invoice that is an id alone.
    check(told_by(proxy, node, CLIENTS / "with_connectwise_rest.js", NODE_PATH=modules), starred=[1001, 1002])
