"""Whatever a file is called, it is paid; and what is no file of its own is left alone."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pytest
from support.connectwise import invoice, payments_of
from support.documents import document, drop, files, leave_socket
from support.producers import QUIET_EVENTS, asked
from support.program import Daemon, command, configure

A_CLAIM = "20260101T000000Z_0123abcd"
NAMES = {
    "as long as can be": "n" * 251 + ".xml",
    "as long as can be, of wide letters": "共" * 83 + "ab.xml",
    "as long as can be, no UTF-8": os.fsdecode(b"Zahlungen M\xe4rz " + b"n" * 235 + b".xml"),
    "no UTF-8": os.fsdecode(b"M\xe4rz.xml"),
    "no UTF-8 at all": os.fsdecode(b"\xff\xfe\x80.xml"),
    "composed": "M\u00e4rz.xml",
    "decomposed": "Ma\u0308rz.xml",
    "capitals": "A.XML",
    "no capitals": "a.xml",
    "mixed": "a.Xml",
    "line break": "two\nlines.xml",
    "carriage return": "over\rwritten.xml",
    "tabulator": "a\tb.xml",
    "escape sequence": "\x1b[31mred\x1b[0m.xml",
    "blanks": "  pay  .xml",
    "leading dash": "-rf.xml",
    "two leading dashes": "--config.xml",
    "device of another system": "CON.xml",
    "what another system forbids": 'a:b*c?"<>|\\.xml',
    "emoji": "💶👨‍👩‍👧.xml",
    "from right to left": "\u202elmx.xml",
    "percent and braces": "%s{0}%00.xml",
    "quotes and markup": "'; DROP TABLE--<b>&amp;[red].xml",
    "shell": "$(reboot)`id`;&.xml",
    "ending twice": "pay.xml.xml",
    "a claim's name": f"pay__{A_CLAIM}.xml",
}


def test_a_file_is_paid_whatever_it_is_called(folders, start_sandbox):
    """Every name that a file system allows is paid; its results bear it, cut where too long, and the log shows it."""
    sandbox = start_sandbox(*(invoice(f"CW-{file}", "500.00") for file in range(len(NAMES))))
    config = configure(folders, sandbox.url)
    contents = {name: document((f"CW-{file}", f"{100 + file}.00")) for file, name in enumerate(NAMES.values())}
    with Daemon(config) as daemon:
        daemon.tells("READY=1")
        for name, content in contents.items():
            (folders.inbox / name).write_bytes(content)
        for name in contents:
            assert daemon.event("file.finished", file=name)["outcome"] == "succeeded"
        assert daemon.end() == 0
    assert not [line for line in daemon.log if "text" in line], "the log is not JSON"
    assert {line["event"] for line in daemon.log} <= QUIET_EVENTS
    assert files(folders.inbox, "") == list(folders.work.iterdir()) == files(folders.fail, "") == []
    assert len(files(folders.success, "")) == len(contents)
    for file, (name, content) in enumerate(contents.items()):
        (row,) = payments_of(sandbox, f"CW-{file}")
        assert row["amount"] == Decimal(f"{100 + file}.00")
        (claimed,) = daemon.events("file.claimed", file=name)
        (archived,) = (
            path for path in folders.archive.rglob("*") if path.name.endswith(f"__{claimed['claim']}{name[-4:]}")
        )
        assert archived.read_bytes() == content
        assert asked(folders.success / archived.name) == asked(content)
        assert_named_after(archived.name, name, claimed["claim"])


def assert_named_after(result: str, name: str, claim: str) -> None:
    """Make sure that a result bears a file's name, or as much of it as there is room for."""
    stem, dot, ending = name.rpartition(".")
    before = stem.removesuffix(f"__{A_CLAIM}")
    given, tail = os.fsencode(before), os.fsencode(f"__{claim}{dot}{ending}")
    kept = os.fsencode(result).removesuffix(tail)
    # Where a name is cut, a letter of several bytes is left out as a whole.
    shortest = min(len(given), 255 - len(tail) - 3)
    assert given.startswith(kept), f"{result!r} for {name!r}"
    assert len(kept) >= shortest, f"{result!r} for {name!r}"


def test_the_commands_tell_of_a_file_whatever_it_is_called(folders, start_sandbox):
    """Status and explanation of files with odd names can be printed, and change nothing on a terminal."""
    sandbox = start_sandbox(*(invoice(f"CW-{file}", "500.00") for file in range(len(NAMES))))
    config = configure(folders, sandbox.url)
    for file, name in enumerate(NAMES.values()):
        (folders.inbox / name).write_bytes(document((f"CW-{file}", "100.00")))
    assert command("run", "--once", "--config", config).code == 0
    for question in (["status"], ["status", "--json"], *(["explain", "--", name] for name in NAMES.values())):
        ended = command(question[0], "--config", config, *question[1:])
        # No daemon runs any more.
        assert (ended.code, ended.err) == (2 if question[0] == "status" else 0, ""), question
        assert not set(ended.out) & {"\x1b", "\r", "\u202e"}, question


# --- what is no file -------------------------------------------------------------------------------------------


def fill_a_folder(path: Path) -> None:
    """Make a folder with a payment file in it."""
    path.mkdir()
    (path / "inside.xml").write_bytes(document(("CW-1", "100.00")))


ENTRIES = {
    "link-to-a-secret.xml": lambda path: path.symlink_to("../secret.xml"),
    "link-to-nothing.xml": lambda path: path.symlink_to("nothing.xml"),
    "link-to-itself.xml": lambda path: path.symlink_to(path.name),
    "link-to-a-folder.xml": lambda path: path.symlink_to(".."),
    "link-to-a-pipe.xml": lambda path: path.symlink_to("pipe.xml"),
    "pipe.xml": os.mkfifo,
    "socket.xml": leave_socket,
    "folder.xml": fill_a_folder,
}


@pytest.mark.parametrize("observer", ["native", "polling"])
def test_what_is_no_file_of_its_own_is_left_alone(folders, start_sandbox, tmp_path, observer):
    """Links, pipes, sockets and folders hang nothing and stay as they are; the log names each of them once."""
    sandbox = start_sandbox(invoice("CW-1", "500.00"), invoice("CW-2", "500.00"), invoice("CW-3", "500.00"))
    secret = document(("CW-1", "100.00"))
    (tmp_path / "secret.xml").write_bytes(secret)
    with Daemon(configure(folders, sandbox.url, inbox={"observer": observer})) as daemon:
        daemon.tells("READY=1")
        for name, make in ENTRIES.items():
            make(folders.inbox / name)
        before = {path.name: path.lstat() for path in folders.inbox.iterdir()}
        for name in ENTRIES:
            assert daemon.event("inbox.ignored", file=name)["reason"]
        for number in (2, 3):
            drop(folders.inbox, f"pay-{number}.xml", document((f"CW-{number}", "100.00")))
            assert daemon.event("file.finished", file=f"pay-{number}.xml")["outcome"] == "succeeded"
        assert daemon.end() == 0
    assert sorted(line["file"] for line in daemon.events("inbox.ignored")) == sorted(ENTRIES)
    after = {path.name: path.lstat() for path in folders.inbox.iterdir()}
    assert {name: (facts.st_ino, facts.st_mode) for name, facts in after.items()} == {
        name: (facts.st_ino, facts.st_mode) for name, facts in before.items()
    }
    assert (tmp_path / "secret.xml").read_bytes() == secret
    assert [len(payments_of(sandbox, f"CW-{number}")) for number in (1, 2, 3)] == [0, 1, 1]
    assert len(files(folders.archive)) == len(files(folders.success)) == 2
    assert files(folders.fail, "") == list(folders.work.iterdir()) == []
