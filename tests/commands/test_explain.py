"""The explain command: why a file is not processed now, or where it went."""

from __future__ import annotations

import json
import os
import time

import pytest
from support.documents import document, drop, files, leave_socket, one
from support.program import Daemon, command, configure, until

GOOD = document(("CW-1", "100.00"))


def explained(config, name, code=0):
    """Return the answer about a name, on one line."""
    done = command("explain", name, "--config", config)
    assert done.code == code, done.err
    return " ".join(done.out.split())


def _age(path, seconds=3600):
    """Set back the time a file was modified; no program can set its change time."""
    os.utime(path, (time.time() - seconds,) * 2)
    return path


ENTRIES = {
    "just written": ("a.xml", lambda path: path.write_bytes(GOOD), "its last change was "),
    "just copied with an old time": ("a.xml", lambda path: _age(drop_whole(path)), "its last change was "),
    "a temporary name": (".a.xml", lambda path: path.write_bytes(GOOD), "a temporary or system file by its name"),
    "no XML by its name": ("a.txt", lambda path: path.write_bytes(GOOD), "its name is not that of a payment file"),
    "a link": ("a.xml", lambda path: path.symlink_to("/etc/hostname"), "a symbolic link is not followed"),
    "a link to nowhere": ("a.xml", lambda path: path.symlink_to("nowhere"), "a symbolic link is not followed"),
    "a folder": ("a.xml", lambda path: path.mkdir(), "a folder; only files directly in the inbox are taken"),
    "a pipe": ("a.xml", os.mkfifo, "a named pipe, not a file"),
    "a socket": ("a.xml", leave_socket, "a device or socket, not a file"),
    "two names": ("a.xml", lambda path: path.hardlink_to(drop_whole(path.with_name("b.tmp"))), "more than one name"),
}


def drop_whole(path):
    """Write a whole payment file."""
    path.write_bytes(GOOD)
    return path


@pytest.mark.parametrize(("name", "make", "said"), ENTRIES.values(), ids=ENTRIES.keys())
def test_an_entry_that_is_not_taken_is_explained(folders, sandbox, name, make, said):
    """For every kind of entry in the inbox the answer names the reason why it is not taken, and nothing hangs."""
    make(folders.inbox / name)
    config = configure(folders, sandbox.url, inbox={"settle_seconds": 60})
    told = explained(config, name)
    assert told.startswith(f"{name} lies in the inbox.")
    assert said in told


CONTENTS = {
    "no closing tag": (GOOD[:-20], "It is not whole yet: "),
    "empty": (b"", "It is not whole yet: "),
    "whole": (GOOD, "It is ready to be taken. The daemon is not running."),
    "no XML at all": (b"Dear Sir or Madam", "It is ready to be taken."),
}


@pytest.mark.parametrize(("content", "said"), CONTENTS.values(), ids=CONTENTS.keys())
def test_a_quiet_file_is_explained_by_its_content(folders, sandbox, content, said):
    """A file that does not change any more is ready, or the answer names what it misses."""
    (folders.inbox / "a.xml").write_bytes(content)
    config = configure(folders, sandbox.url, inbox={"settle_seconds": 0})
    assert said in explained(config, "a.xml")


def test_a_table_that_waits_for_its_end_is_explained(folders, sandbox):
    """A last line without a line break may still be written; the answer names the setting that takes it as it is."""
    (folders.inbox / "a.csv").write_bytes(b"Invoice,Paid,Date\nCW-1,100.00,2016-09-22")
    section = {"number": "Invoice", "amount": "Paid", "date": "Date"}
    inbox = {"settle_seconds": 0, "transform": "csv"}
    told = explained(configure(folders, sandbox.url, inbox=inbox, csv=section), "a.csv")
    assert "It is not whole yet: its last line has no line break at its end" in told
    assert "csv.open_end = true" in told
    config = configure(folders, sandbox.url, inbox=inbox, csv=section | {"open_end": True})
    assert "It is ready to be taken." in explained(config, "a.csv")


def test_a_table_that_is_done_is_found(folders, sandbox):
    """By its name in the inbox, and by the names of its results."""
    section = {"number": "Invoice", "amount": "Paid", "date": "Date"}
    config = configure(folders, sandbox.url, inbox={"transform": "csv"}, csv=section)
    drop(folders.inbox, "mixed.csv", b"Invoice,Paid,Date\nCW-1,100.00,2016-09-22\nCW-9,1.00,2016-09-22\n")
    assert command("run", "--once", "--config", config).code == 1
    success = one(files(folders.success, ".csv"))
    for name in ("mixed.csv", success.name, success.name.replace(".csv", ".receipt.json")):
        told = explained(config, name)
        assert "is done: 1 succeeded, 1 rejected." in told
        assert str(folders.fail / success.name) in told
    history = command("history", "mixed.csv", "--json", "--config", config)
    assert [attempt["line"] for attempt in json.loads(history.out)] == [2, 3]


def test_a_file_that_waits_for_connectwise_is_explained_by_the_outage(folders, sandbox):
    """The answer says how far a claimed file is, that one in the inbox is ready, and what both wait for."""
    config = configure(folders, sandbox.url, connectwise={"private_key": "refused"})
    with Daemon(config) as daemon:
        drop(folders.inbox, "first.xml", GOOD)
        waiting = daemon.event("line.waiting")
        told = until(lambda: "0 of its 1 records are decided" in (said := explained(config, "first.xml")) and said)
        assert told.startswith("first.xml was taken at ")
        assert f"Payments have waited since {waiting['since'][:10]}" in told
        assert "401" in told
        assert "connectwise.site" in told
        drop(folders.inbox, "second.xml", GOOD)
        later = until(lambda: "ready to be taken" in (said := explained(config, "second.xml")) and said)
        assert "Payments have waited since" in later


def test_a_file_that_is_done_is_found(folders, sandbox):
    """Each of its names leads to its counts, its result files and the archive. A refused file has a reason."""
    config = configure(folders, sandbox.url)
    drop(folders.inbox, "mixed.xml", document(("CW-1", "100.00"), ("CW-9", "1.00")))
    drop(folders.inbox, "broken.xml", b"Dear Sir or Madam")
    assert command("run", "--once", "--config", config).code == 1
    success = one(files(folders.success))
    for name in ("mixed.xml", success.name, success.name.replace(".xml", ".receipt.json"), str(success)):
        told = explained(config, name)
        assert "is done: 1 succeeded, 1 rejected." in told
        for path in (success, folders.fail / success.name, one(files(folders.archive, f"{success.stem}.xml"))):
            assert str(path) in told
    assert "it was refused. " in (told := explained(config, "broken.xml"))
    assert str(one(files(folders.fail, "broken__*.xml"))) in told


def test_a_name_that_is_known_twice_is_explained_twice(folders, sandbox):
    """A new file of the name lies in the inbox, and an earlier one is done: the answer names both."""
    config = configure(folders, sandbox.url)
    drop(folders.inbox, "pay.xml", GOOD)
    assert command("run", "--once", "--config", config).code == 0
    drop(folders.inbox, "pay.xml", GOOD)
    told = explained(config, "pay.xml")
    assert "pay.xml lies in the inbox." in told
    assert "is done: 1 succeeded, 0 rejected." in told


def test_an_unknown_name_has_an_answer_too(folders, sandbox):
    """The answer names the places where it was looked for, and scripts see it by the exit code."""
    assert "not in the inbox, not in work, and not in the journal" in explained(
        configure(folders, sandbox.url), "nowhere.xml", code=1
    )


@pytest.mark.parametrize(
    "name", [b"\xff\xfe.xml", b"a\x1b[31m.xml", b"two\nlines.xml", b"-x.xml", "\U0001f4b6.xml".encode()]
)
def test_a_name_of_any_bytes_is_shown_without_harm(folders, sandbox, name):
    """Names that are no text, or would steer a terminal, are shown as escapes."""
    name = os.fsdecode(name)
    (folders.inbox / name).write_bytes(GOOD)
    config = configure(folders, sandbox.url, inbox={"settle_seconds": 0})
    done = command("explain", "--config", config, "--", name)
    assert done.code == 0
    assert "is ready to be taken" in done.out
    assert "\x1b" not in done.out
    assert len(done.out.splitlines()) == 1
