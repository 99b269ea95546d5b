"""A single run, ``run --once``, and a second daemon beside the first."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.connectwise import payments_of
from support.documents import document, drop, files
from support.program import PATIENCE, Daemon, command, configure, program

from watcher.inbox.marker import NAME as MARKER


def test_a_second_daemon_refuses_and_names_the_holder(folders, sandbox, tmp_path):
    """On the same inbox or journal a second daemon ends with 78 and names the first's process, until that is gone."""
    (tmp_path / "inbox2").mkdir()
    with Daemon(configure(folders, sandbox.url)) as daemon:
        daemon.tells("READY=1")
        other = configure(folders, sandbox.url, journal={"url": f"sqlite:///{tmp_path / 'other.db'}"})
        same_inbox = command("run", "--config", other)
        other = configure(folders, sandbox.url, folders={"inbox": str(tmp_path / "inbox2")})
        same_journal = command("run", "--once", "--config", other)
        for refused, held in ((same_inbox, folders.inbox), (same_journal, "journal.db")):
            assert refused.code == 78
            assert f"process {daemon.pid} " in refused.err
            assert str(held) in refused.err
        drop(folders.inbox, "still.xml", document(("CW-1", "100.00")))
        assert daemon.event("file.finished")["file"] == "still.xml"
        daemon.process.kill()
        daemon.process.wait(PATIENCE)
    assert command("run", "--once", "--config", configure(folders, sandbox.url)).code == 0


# --- run --once ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dropped", "code"),
    [
        pytest.param({}, 0, id="an empty inbox"),
        pytest.param({"a.xml": document(("CW-1", "100.00")), "b.xml": document(("CW-2", "1.00"))}, 0, id="all good"),
        pytest.param({"a.xml": document(("CW-1", "1.00"), ("CW-404", "1.00"))}, 1, id="a payment failed"),
        pytest.param({"a.xml": b"<Orders/>"}, 2, id="an unusable file"),
        pytest.param({"a.xml": b"<Orders/>", "b.xml": document(("CW-404", "1.00"))}, 1, id="both"),
    ],
)
def test_run_once_ends_with_what_became_of_the_files(folders, sandbox, dropped, code):
    """A single run handles every file in the inbox and ends with the exit code of apply."""
    for name, content in dropped.items():
        drop(folders.inbox, name, content)
    assert command("run", "--once", "--config", configure(folders, sandbox.url)).code == code
    assert files(folders.inbox) == list(folders.work.iterdir()) == []
    assert len(files(folders.archive)) == len(dropped)


def test_run_once_leaves_an_incomplete_file_where_it_is(folders, sandbox):
    """A file that is not whole yet stays in the inbox for the next run, and fails nothing."""
    half = folders.inbox / "half.xml"
    half.write_bytes(document(("CW-1", "100.00"))[:-20])
    drop(folders.inbox, "whole.xml", document(("CW-2", "100.00")))
    ended = command("run", "--once", "--config", configure(folders, sandbox.url))
    assert ended.code == 0
    assert files(folders.inbox) == [half]
    assert [line["file"] for line in ended.log if line["event"] == "file.waiting"] == ["half.xml"]
    assert [len(files(folder)) for folder in (folders.success, folders.fail, folders.archive)] == [1, 0, 1]


@pytest.mark.parametrize(
    ("fault", "code"), [("down", 69), ("wrong key", 77), ("no work folder", 78), ("no marker", 78)]
)
def test_run_once_ends_where_the_daemon_would_wait(folders, sandbox, fault, code):
    """An outage ends run --once with the code of its owner; no file fails for it, and the next run finishes it."""
    config = configure(folders, sandbox.url)
    assert command("run", "--once", "--config", config).code == 0
    marker = (folders.inbox / MARKER).read_bytes()
    drop(folders.inbox, "waits.xml", document(("CW-1", "100.00")))
    if fault == "down":
        sandbox.stop()
    elif fault == "wrong key":
        configure(folders, sandbox.url, connectwise={"private_key": "not-the-private-key"})
    elif fault == "no work folder":
        folders.work.rmdir()
    else:
        (folders.inbox / MARKER).unlink()
    ended = command("run", "--once", "--config", config)
    assert ended.code == code
    assert ended.err
    assert files(folders.fail, "") == files(folders.success, "") == []
    sandbox.start()
    folders.work.mkdir(exist_ok=True)
    (folders.inbox / MARKER).write_bytes(marker)
    assert command("run", "--once", "--config", configure(folders, sandbox.url)).code == 0
    assert len(payments_of(sandbox, "CW-1")) == len(files(folders.success)) == 1


def test_a_missing_journal_folder_is_made(folders, sandbox, tmp_path):
    """The journal's folder is the program's own: run makes it where it is missing."""
    url = f"sqlite:///{tmp_path / 'state' / 'deep' / 'journal.db'}"
    assert command("run", "--once", "--config", configure(folders, sandbox.url, journal={"url": url})).code == 0
    assert Path(tmp_path, "state", "deep", "journal.db").is_file()


def test_a_damaged_journal_ends_the_daemon_and_without_it_the_work_goes_on(folders, sandbox, tmp_path):
    """Damage ends the daemon with 78, which systemd does not restart; the journal moved away, all is done, once."""
    config = configure(folders, sandbox.url)
    drop(folders.inbox, "first.xml", document(("CW-1", "100.00")))
    assert program("run", "--once", "--config", config, folder=tmp_path).code == 0
    journal = tmp_path / "journal.db"
    with closing(sqlite3.connect(journal)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = journal.read_bytes()
    journal.write_bytes(content[:4096] + b"\x5a" * (len(content) - 4096))
    drop(folders.inbox, "second.xml", document(("CW-1", "100.00"), ("CW-2", "50.00")))
    refused = command("run", "--once", "--config", config)
    assert refused.code == 78
    for said in (str(journal), "malformed", "Move a damaged journal away", "nothing is paid twice"):
        assert said in refused.err
    assert files(folders.inbox) == [folders.inbox / "second.xml"]
    journal.rename(tmp_path / "damaged.db")
    assert command("run", "--once", "--config", config).code == 0
    assert [len(payments_of(sandbox, number)) for number in ("CW-1", "CW-2")] == [1, 1]
    assert len(files(folders.success)) == 2


def test_a_journal_that_cannot_be_opened_is_a_fault_of_the_configuration(folders, sandbox, tmp_path):
    """A journal below what is no folder ends with exit code 78 and names the setting, not with a traceback."""
    (tmp_path / "file").write_text("no folder")
    url = f"sqlite:///{tmp_path / 'file' / 'journal.db'}"
    ended = command("run", "--once", "--config", configure(folders, sandbox.url, journal={"url": url}))
    assert ended.code == 78
    assert "journal" in ended.err
