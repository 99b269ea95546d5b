"""Files that change or go away just as the daemon takes them: it does not loop or flood its log, and pays others."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.connectwise import payments_of
from support.documents import document, files
from support.program import Daemon, configure, until

from watcher.folders.layout import Folders
from watcher.sandbox import Sandbox

# Runs in the daemon before anything else, and acts on a file just before it is moved out of the inbox.
MEDDLING = """
import os, sys, time

def meddle(event, args):
    if event == "os.rename" and os.path.basename(os.fspath(args[0])).startswith("moving") and args[2] != -1:
        path = os.path.join(os.readlink(f"/proc/self/fd/{args[2]}"), args[0])
        %s

sys.addaudithook(meddle)
"""
REMOVES = "if os.path.exists(path): os.remove(path)"
APPENDS = """
        with open(path, "ab") as file:
            file.write(b" ")
"""
REPLACES = """
        aside = os.path.join(os.path.dirname(path), ".aside")
        with open(aside, "wb") as file:
            file.write(b"<another x='%d'/>" % time.monotonic_ns())
        os.replace(aside, path)
"""
BECOMES_A_LINK = """
        os.remove(path)
        os.symlink("nothing", path)
"""
MANY = 5


def meddler(folder: Path, act: str) -> dict[str, str]:
    """Return the variables with which a daemon is started that meddles with its own files."""
    place = folder / "meddling"
    place.mkdir()
    (place / "sitecustomize.py").write_text(MEDDLING % act.strip("\n").removeprefix("        "))
    return {"PYTHONPATH": str(place)}


def check_others_are_paid(daemon: Daemon, folders: Folders, sandbox: Sandbox, *numbers: str) -> None:
    """Drop files that nobody meddles with, one after the other, and make sure that each is paid once."""
    for number in numbers:
        (folders.inbox / f"{number}.xml").write_bytes(document((number, "100.00")))
        assert daemon.event("file.finished", file=f"{number}.xml")["outcome"] == "succeeded"
        assert len(payments_of(sandbox, number)) == 1


@pytest.mark.parametrize("act", [REMOVES, BECOMES_A_LINK], ids=["removed", "made a link"])
def test_files_that_go_away_as_they_are_taken_are_returned_once(folders, sandbox, tmp_path, act):
    """Each of them is reported once, even if all that is ready goes; work and journal hold nothing of them."""
    config = configure(folders, sandbox.url)
    for number in range(MANY):
        (folders.inbox / f"moving{number}.xml").write_bytes(document(("CW-4", "1.00")))
    with Daemon(config, **meddler(tmp_path, act)) as daemon:
        until(lambda: len(daemon.events("file.returned")) >= MANY)
        check_others_are_paid(daemon, folders, sandbox, "CW-1", "CW-2")
        assert sorted(line["file"] for line in daemon.events("file.returned")) == [
            f"moving{number}.xml" for number in range(MANY)
        ]
        assert daemon.events("line.waiting") == []
        assert daemon.end() == 0
    assert payments_of(sandbox, "CW-4") == []
    assert list(folders.work.iterdir()) == files(folders.fail) == []


@pytest.mark.parametrize("act", [APPENDS, REPLACES], ids=["appended to", "replaced"])
def test_files_that_change_whenever_they_are_taken_are_returned_once_a_scan(folders, sandbox, tmp_path, act):
    """A file that is never the same at two looks has to be quiet again each time; meanwhile others are paid."""
    config = configure(folders, sandbox.url, inbox={"stalled_after_seconds": 3600, "settle_seconds": 0.5})
    for number in range(MANY):
        (folders.inbox / f"moving{number}.xml").write_bytes(document(("CW-4", "1.00")))
    with Daemon(config, **meddler(tmp_path, act)) as daemon:
        until(lambda: len(daemon.events("file.returned")) >= MANY)
        check_others_are_paid(daemon, folders, sandbox, "CW-1", "CW-2", "CW-3")
        assert daemon.events("line.waiting") == []
        assert daemon.end() == 0
    by_file: dict[str, list[str]] = {}
    for line in daemon.events("file.returned"):
        by_file.setdefault(line["file"], []).append(line["timestamp"])
    assert len(by_file) == MANY
    seconds = (daemon.told[-1][0] - daemon.told[0][0]) + 1
    assert max(map(len, by_file.values())) <= 1 + seconds / 0.5
    assert payments_of(sandbox, "CW-4") == []
    assert sorted(path.name for path in folders.inbox.glob("moving*.xml")) == sorted(by_file)
    assert list(folders.work.iterdir()) == []


@pytest.mark.parametrize("act", ["removed", "appended to"])
def test_large_file_that_changes_while_it_is_looked_at(folders, sandbox, act):
    """Thirty megabytes that are removed, or appended to, while the daemon reads them hold up nothing."""
    config = configure(folders, sandbox.url)
    # It is refused: no payment is that large.
    large = document(("CW-4", "1.00")).rstrip() + b" " * 30_000_000
    target = folders.inbox / "large.xml"
    with Daemon(config) as daemon:
        daemon.tells("READY=1")
        target.write_bytes(large)
        links = Path(f"/proc/{daemon.pid}/fd")

        def is_open() -> bool:
            try:
                return any(link.readlink() == target for link in links.iterdir())
            except FileNotFoundError:
                return False

        until(is_open)
        if act == "removed":
            target.unlink()
        else:
            with target.open("ab") as file:
                file.write(b" ")
        check_others_are_paid(daemon, folders, sandbox, "CW-1", "CW-2")
        if act == "appended to":
            daemon.event("file.refused", file="large.xml")
        assert len(daemon.events("file.returned")) <= 1
        assert daemon.end() == 0
    assert list(folders.work.iterdir()) == files(folders.inbox) == []
