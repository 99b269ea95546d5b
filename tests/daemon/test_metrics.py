"""Figures for Prometheus and the health check, from a running daemon over real HTTP."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.documents import document, drop
from support.network import free_port
from support.program import Daemon, command, configure, until

import watcher
from watcher.cli.commands import CONFIGURATION


@pytest.fixture
def listen():
    """An address that is free."""
    return f"127.0.0.1:{free_port()}"


def get(listen, path):
    """Return status and body of an answer."""
    try:
        with urllib.request.urlopen(f"http://{listen}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def figures(listen):
    """Return every sample: its name and labels to its value."""
    families = text_string_to_metric_families(get(listen, "/metrics")[1])
    return {(row.name, *row.labels.values()): row.value for family in families for row in family.samples}


def test_what_was_done_is_counted(folders, sandbox, listen):
    """Payments, amounts, files, calls and what waits are there under names with units, and agree with the files."""
    config = configure(folders, sandbox.url, status={"listen": listen})
    with Daemon(config) as daemon:
        drop(folders.inbox, "pay.xml", document(("CW-1", "120.00"), ("CW-404", "5.00")))
        daemon.event("file.finished")
        drop(folders.inbox, "half.xml", b"<ArrayOfUpdateInvoicePayment>")
        said = until(lambda: (found := figures(listen))[("payment_watcher_waiting_files",)] and found)
        assert get(listen, "/healthz") == (200, "ok\n")
        assert get(listen, "/")[0] == 404
    name = "payment_watcher"
    assert said[(f"{name}_payments_total", "applied")] == said[(f"{name}_payments_total", "rejected")] == 1
    assert said[(f"{name}_amount_total", "asked")] == 125
    assert said[(f"{name}_amount_total", "discarded")] == 20
    assert said[(f"{name}_files_total", "partly failed")] == 1
    assert said[(f"{name}_connectwise_requests_total", "POST", "201")] == 1
    assert said[(f"{name}_connectwise_request_duration_seconds_count",)] >= 2
    assert said[(f"{name}_build_info", watcher.__version__)] == 1
    assert said[(f"{name}_oldest_waiting_file_age_seconds",)] < 60
    assert not any(line.get("event") == "connectwise.request" for line in daemon.log)


def test_an_outage_is_no_health(folders, sandbox, listen):
    """While payments wait, the check fails and says why and what to do."""
    config = configure(folders, sandbox.url, status={"listen": listen}, connectwise={"private_key": "wrong"})
    with Daemon(config) as daemon:
        drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
        daemon.event("line.waiting")
        _code, said = until(lambda: (found := get(listen, "/healthz"))[0] == 503 and found)
        assert "401" in said
        assert "private_key" in said
        assert figures(listen)[("payment_watcher_line_waiting",)] == 1


def test_an_address_that_is_taken_is_said(folders, sandbox):
    """The daemon does not run without the figures that were asked for; it says which address and why."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = command("run", "--once", "--config", configure(folders, sandbox.url, status={"listen": listen}))
    assert done.code == CONFIGURATION
    assert f"status.listen: {listen}" in done.err


@pytest.mark.parametrize("listen", ["9464", ":9464", "localhost:http", "localhost:99999"])
def test_what_is_no_address_is_said(folders, sandbox, listen):
    """Host and port are both named."""
    done = command("check", "--config", configure(folders, sandbox.url, status={"listen": listen}))
    assert done.code == CONFIGURATION
    assert "status.listen" in done.err
