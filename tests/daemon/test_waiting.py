"""Files that wait by themselves, for a name or for a right: all others go on, and people learn which and why."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from support.connectwise import payments_of
from support.documents import document, drop, files, numbers, one
from support.network import Fault, Strike, Unreliable, free_port
from support.posts import web
from support.program import PATIENCE, Daemon, Started, command, configure, environment, until
from support.rights import UNPRIVILEGED, as_user, need_unprivileged
from support.users import place_for_all

from watcher.folders.layout import Folders

# Tried soon, and too late soon.
HASTY = {"scan_seconds": 1, "settle_seconds": 0, "stalled_after_seconds": 1}
FOREIGN = b"<somebody-elses/>"
MANY = 150


def status(config: Path) -> dict[str, list[dict[str, str]]]:
    """Return what status --json says."""
    return json.loads(command("status", "--json", "--config", config).out)


def said(*arguments: str | Path) -> str:
    """Return what a command says, on one line."""
    return " ".join(command(*arguments).out.split())


def served(listen: str, path: str) -> str:
    """Return what the daemon serves, which must count as good."""
    with urllib.request.urlopen(f"http://{listen}{path}", timeout=PATIENCE) as answer:
        return answer.read().decode()


def link_elsewhere(path: Path) -> None:
    """Put a link there, to a file that must not be touched."""
    outside = path.parent.parent / "outside.txt"
    outside.write_bytes(FOREIGN)
    path.symlink_to(outside)


IN_THE_WAY: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "is a named pipe"),
    "a link": (link_elsewhere, "is a link"),
    "a folder": (Path.mkdir, "is a folder"),
    "a file": (lambda path: path.write_bytes(FOREIGN), "is there already with other content"),
}


@pytest.mark.parametrize(("take", "reason"), IN_THE_WAY.values(), ids=IN_THE_WAY.keys())
def test_whatever_has_a_results_name_holds_up_that_file_alone(folders, sandbox, take, reason):
    """Files beside and after it are published, people hear of it, and its payment is never made again."""
    blocked: list[Path] = []

    def take_the_name() -> None:
        claim = one(folders.work.glob("*/CW-1.xml")).parent.name
        blocked.append(folders.success / f"CW-1__{claim}.xml")
        take(blocked[0])

    listen = f"127.0.0.1:{free_port()}"
    with Unreliable(sandbox.url) as network, web() as (address, posts):
        network.strike(Strike(Fault(meanwhile=take_the_name), "POST", nth=1))
        config = configure(folders, network.url, inbox=HASTY, notify={"urls": [address]}, status={"listen": listen})
        for number in ("CW-1", "CW-2"):
            drop(folders.inbox, f"{number}.xml", document((number, "100.00")))
        with Daemon(config) as daemon:
            daemon.event("file.finished", file="CW-2.xml")
            drop(folders.inbox, "CW-3.xml", document(("CW-3", "100.00")))
            daemon.event("file.finished", file="CW-3.xml")
            told = daemon.event("file.waiting", file="CW-1.xml")
            assert str(blocked[0]) in told["reason"]
            assert reason in told["reason"]
            assert told["mend"].startswith("Move that ")
            late = daemon.event("file.overdue", file="CW-1.xml")
            assert (late["reason"], late["mend"], late["claim"]) == (told["reason"], told["mend"], told["claim"])
            post = posts.get(timeout=PATIENCE)
            assert post["title"] == "CW-1.xml waits for too long"
            assert str(blocked[0]) in post["message"]
            daemon.tells(f"STATUS=Watching {folders.inbox}; 1 file held up in work.")
            healthy = "ok; 1 file waits for too long (payment-watcher status says which, and why)\n"
            until(lambda: served(listen, "/healthz") == healthy)
            assert "payment_watcher_overdue_files 1.0" in served(listen, "/metrics")
            (held,) = status(config)["held"]
            assert held == {
                "file": "CW-1.xml", "claim": told["claim"], "since": late["since"], "reason": told["reason"],
                "mend": told["mend"], "overdue": True,
            }  # fmt: skip
            shown = said("status", "--config", config)
            assert "Held up by themselves" in shown
            assert "too long" in shown
            explained = said("explain", "CW-1.xml", "--config", config)
            assert "1 of its 1 records are decided. It has waited by itself since " in explained
            assert explained.endswith(f"{told['reason']}. {told['mend']}.")
            assert daemon.end() == 0
        calls = len(network.seen())
        assert said("explain", "CW-1.xml", "--config", config).endswith("The daemon is not running.")
        with Daemon(config) as daemon:
            # It waits since the same time as before.
            assert daemon.event("file.overdue", file="CW-1.xml")["since"] == late["since"]
            assert daemon.events("file.finished") == []
            away(blocked[0])
            assert daemon.event("file.finished", file="CW-1.xml")["outcome"] == "succeeded"
            until(lambda: status(config)["held"] == [])
            assert len(daemon.events("file.waiting")) == len(daemon.events("file.overdue")) == 1
            assert daemon.events("line.waiting") == daemon.events("payment.finished") == []
            assert daemon.end() == 0
        # The look at the start, and nothing about a payment.
        assert [request.path.endswith("fields=id") for request in network.seen()[calls:]] == [True]
    assert numbers(blocked[0]) == ["CW-1"]
    assert [len(payments_of(sandbox, number)) for number in ("CW-1", "CW-2", "CW-3")] == [1, 1, 1]
    assert list(folders.work.iterdir()) == []


def away(path: Path) -> None:
    """Move what has a result's name away; it is what it was."""
    if path.is_symlink():
        assert path.read_bytes() == FOREIGN
    path.rename(path.parent.parent / "moved")


def test_a_single_run_says_what_it_could_not_publish(folders, sandbox):
    """It takes the other files to their end, and ends with the reason and the code of a folder's trouble."""
    taken: list[Path] = []

    def take_the_name() -> None:
        claim = one(folders.work.glob("*/CW-1.xml")).parent.name
        taken.append(folders.success / f"CW-1__{claim}.xml")
        taken[0].mkdir()

    with Unreliable(sandbox.url) as network:
        network.strike(Strike(Fault(meanwhile=take_the_name), "POST", nth=1))
        config = configure(folders, network.url)
        for number in ("CW-1", "CW-2"):
            drop(folders.inbox, f"{number}.xml", document((number, "100.00")))
        ended = command("run", "--once", "--config", config)
    assert ended.code == 78
    assert str(taken[0]) in ended.err
    assert [numbers(path) for path in files(folders.success) if path.is_file()] == [["CW-2"]]
    taken[0].rmdir()
    assert command("run", "--once", "--config", config).code == 0
    assert len(files(folders.success)) == 2


def test_an_unreadable_file_in_the_inbox_is_told_of(folders, sandbox):
    """Status, explain, log and a message give the reason, once it has waited for too long; others go on."""
    need_unprivileged()
    with web() as (address, posts):
        config = configure(folders, sandbox.url, inbox=HASTY, notify={"urls": [address]})
        locked = drop(folders.inbox, "CW-1.xml", document(("CW-1", "100.00")))
        locked.chmod(0)
        drop(folders.inbox, "CW-2.xml", document(("CW-2", "100.00")))
        with Started(config, *UNPRIVILEGED) as daemon:
            daemon.event("file.finished", file="CW-2.xml")
            late = daemon.event("file.overdue", file="CW-1.xml")
            assert late["reason"] == "it cannot be read yet: Permission denied"
            post = posts.get(timeout=PATIENCE)
            assert post["title"] == "CW-1.xml waits for too long"
            assert "in the inbox" in post["message"]
            assert "Permission denied" in post["message"]
            (held,) = status(config)["held"]
            assert (held["file"], held["claim"], held["overdue"]) == ("CW-1.xml", "", True)
            assert held["reason"] == late["reason"]
            assert "It has waited since " in said("explain", "CW-1.xml", "--config", config)
            locked.chmod(0o600)
            daemon.event("file.finished", file="CW-1.xml")
            until(lambda: status(config)["held"] == [])
            assert [len(daemon.events(name)) for name in ("file.waiting", "file.overdue")] == [1, 1]
            assert daemon.events("line.waiting") == []
            assert daemon.end() == 0


def test_what_an_ended_daemon_said_of_the_inbox_is_not_shown(folders, sandbox):
    """Nobody looks at the inbox meanwhile: status and explain say only what they see themselves."""
    config = configure(folders, sandbox.url, inbox=HASTY | {"stalled_after_seconds": 600})
    half = folders.inbox / "half.xml"
    half.write_bytes(document(("CW-1", "100.00"))[:-20])
    with Daemon(config) as daemon:
        daemon.event("file.waiting", file="half.xml")
        (held,) = until(lambda: status(config)["held"])
        assert (held["file"], held["overdue"]) == ("half.xml", False)
        assert daemon.end() == 0
    assert status(config)["held"] == []
    assert "It has waited since" not in said("explain", "half.xml", "--config", config)


def test_files_that_cannot_be_moved_keep_no_other_file_waiting(sandbox):
    """However many lie ahead, and although nobody lets go of them, the one behind them is taken at the first scan."""
    with place_for_all() as place:
        folders = Folders(*(place / name for name in ("inbox", ".work", "success", "fail", "archive")))
        for folder in (folders.inbox, folders.work, folders.success, folders.fail, folders.archive):
            folder.mkdir()
            os.chown(folder, 61001, 61001)
        # Others can write there, and take away only what is their own (unlink(2)).
        os.chown(folders.inbox, 0, 61001)
        folders.inbox.chmod(0o1775)
        os.chown(place, 0, 61001)
        place.chmod(0o775)
        starter = as_user(61001, 61001)
        for number in range(MANY):
            drop(folders.inbox, f"a{number:03}.xml", document(("CW-1", f"{number}.00"))).chmod(0o644)
        good = drop(folders.inbox, "z-good.xml", document(("CW-2", "100.00")))
        os.utime(good, (2**31 - 1,) * 2)
        os.chown(good, 61001, 61001)
        config = configure(folders, sandbox.url, inbox=HASTY | {"scan_seconds": 3600, "observer": "off"})
        os.chown(config, 61001, 61001)
        with Started(config, *starter) as daemon:
            assert daemon.event("file.finished")["file"] == "z-good.xml"
            asked = [*starter, sys.executable, "-m", "watcher", "explain", "a000.xml", "--config", str(config)]

            def explained() -> str:
                answer = subprocess.run(asked, env=environment(place), capture_output=True, text=True, check=True)
                return " ".join(answer.stdout.split())

            # It is written down at the scan after the one that could not move it.
            until(lambda: "cannot be moved now: Operation not permitted" in explained())
            assert daemon.events("line.waiting") == []
            assert daemon.end() == 0
        assert len(files(folders.inbox)) == MANY
        assert payments_of(sandbox, "CW-1") == []


def test_the_original_of_an_older_journal_that_was_changed_waits_alone(folders, sandbox):
    """Others are paid; with the right content back in its place, its payments are made."""
    config = configure(folders, sandbox.url, inbox=HASTY)
    assert command("run", "--once", "--config", config).code == 0
    right, claim = document(("CW-1", "100.00")), "20240101T000000Z_deadbeef"
    with closing(sqlite3.connect(folders.inbox.parent / "journal.db")) as journal, journal:
        journal.execute(
            "INSERT INTO files (claim, name, digest, begun_at, sequence, taken) VALUES (?, ?, ?, ?, 1, 1)",
            (claim, "CW-1.xml", sha256(right).hexdigest(), "2024-01-01T00:00:00+00:00"),
        )
    original = folders.work / claim / "CW-1.xml"
    original.parent.mkdir()
    original.write_bytes(FOREIGN)
    with Daemon(config) as daemon:
        told = daemon.event("file.waiting", file="CW-1.xml")
        assert "was changed" in told["reason"]
        assert str(original) in told["mend"]
        drop(folders.inbox, "CW-2.xml", document(("CW-2", "100.00")))
        daemon.event("file.finished", file="CW-2.xml")
        daemon.event("file.overdue", file="CW-1.xml")
        assert said("explain", "CW-1.xml", "--config", config).endswith(f"{told['mend']}.")
        original.write_bytes(right)
        daemon.event("file.finished", file="CW-1.xml")
        assert len(daemon.events("file.waiting")) == 1
        assert daemon.events("line.waiting") == []
        assert daemon.end() == 0
    assert len(payments_of(sandbox, "CW-1")) == 1
    assert list(folders.work.iterdir()) == []
    assert status(config)["held"] == []
