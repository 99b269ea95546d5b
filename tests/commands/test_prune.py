"""Retention: what is removed once it is old, and what stays however old it is."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing

import pytest
from support.connectwise import invoice
from support.documents import document, drop, files
from support.program import Daemon, command, configure

from watcher.cli.commands import CONFIGURATION

DAYS = {"archive_days": 30, "success_days": 30, "fail_days": 30, "journal_days": 30}


@pytest.fixture
def config(folders, start_sandbox):
    """Three files of months ago: one succeeded, one failed in part, one was refused."""
    sandbox = start_sandbox(invoice("CW-1", "10.00"), invoice("CW-2", "20.00"))
    config = configure(folders, sandbox.url, retention=DAYS)
    for name, content in {
        "good.xml": document(("CW-1", "10.00")),
        "bad.xml": document(("CW-2", "oops")),
        "odd.xml": b"<Orders/>",
    }.items():
        drop(folders.inbox, name, content)
        command("run", "--once", "--config", config)
    age(config)
    return config


def age(config):
    """Let every file have been finished long ago; the journal's time counts, not that of the file on disk."""
    with closing(sqlite3.connect(config.parent / "journal.db")) as journal, journal:
        journal.execute("UPDATE files SET finished_at = '2020-01-01T00:00:00.000+00:00'")


def stems(folder):
    """Return the names as they were in the inbox."""
    return sorted({path.name.partition("__")[0] for path in folder.rglob("*__*")})


def prune(config, *options):
    """Prune and return what was printed."""
    done = command("prune", *options, "--config", config)
    assert done.code == 0, done.err
    return done.out


def test_a_resolved_file_goes_and_an_unresolved_one_stays(config, folders):
    """The good file leaves archive, outbox and journal. The failed and the refused one stay everywhere."""
    assert "3 files" in prune(config)
    assert stems(folders.archive) == stems(folders.fail) == ["bad", "odd"]
    assert stems(folders.success) == []
    assert command("history", "good.xml", "--config", config).code != 0
    assert command("history", "bad.xml", "--config", config).code == 0


def test_a_failure_that_was_mended_is_resolved(config, folders):
    """Once a later file has set the invoice, the file that failed goes, too."""
    drop(folders.inbox, "mended.xml", document(("CW-2", "20.00")))
    assert command("run", "--once", "--config", config).code == 0
    prune(config)
    assert stems(folders.fail) == ["odd"]
    assert stems(folders.success) == ["mended"]


def test_a_fail_file_that_was_dropped_in_again_is_resolved_under_any_number(config, folders):
    """The new attempt stands for it, even if the invoice number had to be corrected."""
    (failed,) = (path for path in files(folders.fail) if path.name.startswith("bad"))
    failed.unlink()
    drop(folders.inbox, failed.name, document(("CW-1", "10.00")))
    assert command("run", "--once", "--config", config).code == 0
    assert json.loads(command("status", "--json", "--config", config).out)["unpaid"] == []
    prune(config)
    assert "bad" in stems(folders.success)
    assert len([path for path in files(folders.archive) if path.name.startswith("bad")]) == 1


def test_a_dry_run_removes_nothing_and_lists_what_would_go(config, folders):
    """An operator can look first."""
    before = sorted(path.name for path in folders.archive.rglob("*"))
    said = prune(config, "--dry-run")
    assert "good__" in said
    assert "would go" in said
    assert sorted(path.name for path in folders.archive.rglob("*")) == before


def test_a_young_file_stays(config, folders, start_sandbox):
    """Thirty days are not over."""
    drop(folders.inbox, "young.xml", document(("CW-1", "10.00")))
    command("run", "--once", "--config", config)
    prune(config)
    assert stems(folders.success) == ["young"]


def test_nothing_goes_without_a_setting(config, folders):
    """Without [retention] everything is kept for ever."""
    config.write_text(config.read_text(encoding="utf-8").partition("[retention]")[0], encoding="utf-8")
    assert "0 files" in prune(config)


def test_files_of_others_are_not_touched(config, folders):
    """The program removes only files that bear a claim the journal knows."""
    strange = [folders.success / "notes.txt", folders.success / "x__20200101T000000Z_00000000.xml"]
    for path in strange:
        path.write_bytes(b"mine")
        os.utime(path, (0, 0))
    prune(config)
    assert all(path.exists() for path in strange)


def test_less_than_thirty_days_is_refused(config, folders, start_sandbox):
    """The lower limit keeps a typing error from removing the files of last week."""
    config.write_text(config.read_text(encoding="utf-8").replace("archive_days = 30", "archive_days = 29"), "utf-8")
    done = command("prune", "--config", config)
    assert done.code == CONFIGURATION
    assert "retention.archive_days" in done.err


def test_the_daemon_prunes_by_itself(config, folders):
    """It prunes when it has nothing else to do. The command is refused meanwhile."""
    with Daemon(config) as daemon:
        gone = daemon.event("retention.pruned")
        assert command("prune", "--config", config).code == CONFIGURATION
    assert (gone["files"], gone["journal_files"]) == (3, 1)
    assert stems(folders.success) == []


def test_the_journal_gives_room_back(config, folders):
    """Its file becomes smaller once most of it is empty."""
    long_ago = "2020-01-01T00:00:00.000+00:00"
    rows = ((f"20200101T000000Z_{file:08x}", long_ago, long_ago, 100 + file) for file in range(2000))
    with closing(sqlite3.connect(config.parent / "journal.db")) as journal, journal:
        journal.executemany(
            "INSERT INTO files (claim, begun_at, finished_at, sequence, name, digest) VALUES (?, ?, ?, ?, 'a.xml', '')",
            rows,
        )

    def size():
        return sum(path.stat().st_size for path in config.parent.glob("journal.db*"))

    before = size()
    prune(config)
    assert size() < before / 2
