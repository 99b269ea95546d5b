"""``sandbox``: what it serves and prints, and what it explains."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tomllib
from dataclasses import fields

import pytest
import requests
from support.documents import document, numbers
from support.program import END_SECONDS, command, environment, toml
from support.results import SUCCESS

from watcher.sandbox import Rules, SignIn


def test_sandbox_serves_and_prints_usable_settings(folders, tmp_path):
    """The settings that the sandbox prints are enough to set a payment in it; SIGTERM ends it with 0."""
    with subprocess.Popen(
        [sys.executable, "-m", "watcher", "sandbox", "--port", "0", "--invoices", "3"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            shown = []
            while not (shown and shown[-1].startswith("Ctrl-C")):
                shown.append(process.stdout.readline())
                assert shown[-1], shown
            begin = shown.index("[connectwise]\n")
            settings = tomllib.loads("".join(shown[begin:-1]))
            settings["folders"] = {name: str(getattr(folders, name)) for name in ("inbox", "success", "fail")}
            (tmp_path / "payment-watcher.toml").write_text(toml(settings))
            assert command("apply", document(("CW-34251", "346.34")).decode()).code == 0
            assert command("check").code == 0
        finally:
            process.terminate()
        assert process.wait(END_SECONDS) == 0
    assert "/books" in shown[0]
    assert numbers(tmp_path / SUCCESS) == ["CW-34251"]


def served(tmp_path, *options):
    """Return what the sandbox prints, and what /system/info answers."""
    with subprocess.Popen(
        [sys.executable, "-m", "watcher", "sandbox", "--port", "0", *options],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            shown = ""
            while "Ctrl-C" not in shown:
                line = process.stdout.readline()
                assert line, shown
                shown += line
            url = re.search(r"http://[0-9.:]+", shown).group()
            info = requests.get(
                f"{url}/v4_6_release/apis/3.0/system/info",
                auth=("sandbox+sandbox-public-key", "sandbox-private-key"),
                headers={"clientId": SignIn().client_id},
                timeout=5,
            )
            return shown, info.json()
        finally:
            process.terminate()


def test_sandbox_plays_what_a_report_tells_and_says_so(tmp_path):
    """--like takes rules and version from a report, --rule counts for more, and what differs is printed."""
    report = {"rules": {"change_fails": True, "fails": ["CW-00001"]}, "version": "v2026.4.1", "steps": []}
    (tmp_path / "report.json").write_text(json.dumps(report))
    shown, info = served(
        tmp_path, "--like", tmp_path / "report.json", "--rule", "change_fails=no", "--rule", "total_without_tax=yes"
    )
    assert info["version"] == "v2026.4.1"
    assert re.findall("Rule: (.*)", shown) == [
        "version=v2026.4.1",
        "total_without_tax=yes",
        "fails=CW-00001",
    ]


@pytest.mark.parametrize("rule", ["change_fails", "change_fails=maybe", "speed=5"])
def test_wrong_rule_is_refused_with_the_list_of_what_there_is(monkeypatch, rule):
    """A name or a value that there is not is a fault of usage, and every rule is listed."""
    monkeypatch.setenv("COLUMNS", "250")
    ended = command("sandbox", "--rule", rule)
    assert ended.code == 2
    assert rule.partition("=")[0] in ended.err
    assert all(name.name in ended.err for name in fields(Rules))


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), ("{", "report.json"), ("{}", "no report"), ('{"rules": {"a": 1}}', "no rule a")],
)
def test_report_that_cannot_be_played_is_a_fault_of_usage(monkeypatch, tmp_path, content, said):
    """A report that is not there, or no such report, is explained, and ends with 2."""
    monkeypatch.setenv("COLUMNS", "250")
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    ended = command("sandbox", "--like", tmp_path / "report.json")
    assert ended.code == 2
    assert said in ended.err


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), ("[]x", ""), ('[{"number": "CW-1"}]', "total")], ids=str
)
def test_invoices_that_cannot_be_read_are_a_fault_of_usage(tmp_path, content, said):
    """A file of invoices that is not there or no such file is explained, and ends with 2."""
    if content is not None:
        (tmp_path / "invoices.json").write_text(content)
    ended = command("sandbox", "--port", "0", "--invoices", tmp_path / "invoices.json")
    assert ended.code == 2
    assert said in ended.err


def test_taken_port_is_explained():
    """Where another program listens already, the sandbox names the port, not a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = command("sandbox", "--port", str(port))
    assert ended.code == 2
    assert str(port) in ended.err
