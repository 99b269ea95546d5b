"""``run`` as it is typed: the configuration it uses, and how it is interrupted."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from support.connectwise import invoice, payments_of
from support.documents import document, drop, files, numbers
from support.program import command, configure, program
from support.results import FAIL, SUCCESS

GOOD = document(("CW-1", "100.00"))


def test_configuration_of_the_working_directory_is_used(settings, sandbox, folders):
    """Without --config, payment-watcher.toml of the working directory counts."""
    drop(folders.inbox, "a.xml", GOOD)
    assert settings.parent == Path.cwd()
    assert command("run", "--once").code == 0
    assert len(files(folders.success)) == len(payments_of(sandbox, "CW-1")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("arguments", [("apply", "many.xml"), ("run", "--once")], ids=" ".join)
def test_interrupted_command_says_so_and_can_be_given_again(folders, start_sandbox, tmp_path, arguments, number):
    """SIGTERM or Ctrl-C in the middle ends with 130, not as if all were done; the same again sets the rest once."""
    invoices = [f"CW-{number:02}" for number in range(24)]
    sandbox = start_sandbox(*(invoice(number, "100.00") for number in invoices), latency=0.1)
    settings = configure(folders, sandbox.url)
    content = document(*((number, "100.00") for number in invoices))
    (tmp_path / "many.xml").write_bytes(content)
    drop(folders.inbox, "many.xml", content)
    ended = program(
        *arguments,
        "--config",
        settings,
        folder=tmp_path,
        stop_when=lambda: len(sandbox.books()["writes"]) >= 3,
        stop_with=number,
    )
    written = len(sandbox.books()["writes"])
    assert 3 <= written < len(invoices)
    assert ended.code == 130
    if arguments[0] == "apply":
        assert len(numbers(tmp_path / SUCCESS)) == written
        assert numbers(tmp_path / FAIL) == []
        assert f"{len(invoices) - written} waiting" in ended.err
    assert command(*arguments, "--config", settings).code == 0
    assert [len(payments_of(sandbox, number)) for number in invoices] == [1] * len(invoices)
    assert len(sandbox.books()["writes"]) == len(invoices)
