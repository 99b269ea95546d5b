"""``sandbox``: what it serves and prints, and what it explains."""

from __future__ import annotations

import socket
import subprocess
import sys
import tomllib

import pytest
from support.documents import document, numbers
from support.program import END_SECONDS, command, environment, toml
from support.results import SUCCESS


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
