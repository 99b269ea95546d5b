"""What commands print of names and of documents steers no terminal."""

from __future__ import annotations

import json
import os

import pytest
from support.documents import document, drop, files, one
from support.program import command, configure

from watcher.cli.commands import SOME_FAILED

# Of a document: XML has no C0, but it has the rest.
ODD_NUMBER = "CW\u009b31m\u202e\u2028\u200b1"
ODD_NAME = os.fsdecode(b"a\n\x1b[31m\x07\xc2\x9b\xe2\x80\xae\xfc.xml")


@pytest.fixture
def config(folders, sandbox):
    """The configuration, with one odd file that failed."""
    config = configure(folders, sandbox.url)
    drop(folders.inbox, ODD_NAME, document((ODD_NUMBER, "5.00"), ("CW-404", "1.00")))
    assert command("run", "--once", "--config", config).code == SOME_FAILED
    return config


def safe(*texts):
    """Return True if texts have lines of plain text only."""
    return all(line.isprintable() for text in texts for line in text.split("\n"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("status", "--json"),
        ("explain", "--", ODD_NAME),
        ("explain", "--", f"not there {ODD_NAME}"),
        ("history", "--", ODD_NAME),
        ("history", ODD_NUMBER),
        ("history", ODD_NUMBER, "--json"),
        ("requeue", "--", f"not there {ODD_NAME}"),
        ("requeue", "--", ODD_NAME),
        ("prune", "--dry-run"),
    ],
    ids=" ".join,
)
def test_no_command_prints_what_steers_a_terminal(config, arguments):
    """Whatever a file is called and holds."""
    ended = command(arguments[0], "--config", config, *arguments[1:])
    assert ended.out + ended.err
    assert safe(ended.out, ended.err), ended


@pytest.mark.parametrize("option", ["--dry-run", "--json"])
def test_apply_prints_nothing_that_steers_a_terminal(folders, sandbox, tmp_path, option):
    """Neither the plan, nor the sums, nor the log."""
    config = configure(folders, sandbox.url, logging={"format": "console"})
    (tmp_path / "in.xml").write_bytes(document((ODD_NUMBER, "5.00"), ("CW-1", ODD_NUMBER)))
    ended = command("apply", "in.xml", option, "--config", config)
    assert safe(ended.out, ended.err), ended
    if option == "--json":
        assert json.loads(ended.out)["records"][0]["invoice_number"] == r"CW\x9b31m\u202e\u2028\u200b1"
    else:
        assert r"\u202e" in ended.out


def test_requeue_prints_where_the_file_is(config, folders):
    """With its name as the other commands show it."""
    ended = command("requeue", "--config", config, "--", one(files(folders.fail)).name)
    assert ended.code == 0, ended
    assert r"a\n\x1b[31m\x07\x9b\u202e\udcfc" in ended.out
