"""What befalls the inbox itself: the daemon tells of it, loses nothing, and goes on by itself."""

from __future__ import annotations

import shutil
from pathlib import Path

from support.connectwise import payments_of
from support.documents import document, drop, files
from support.inbox import OFTEN, SOON, assert_pays, do_as_told, outages, pay, waits_again, watched
from support.program import Daemon, Started, command, configure, until
from support.rights import UNPRIVILEGED, need_unprivileged


def delete(inbox: Path) -> None:
    """Delete the inbox at once: nobody sees it without its marker."""
    inbox.rename(inbox.with_name("deleted"))
    shutil.rmtree(inbox.with_name("deleted"))


def delete_and_make(daemon: Daemon, inbox: Path) -> None:
    """Delete the inbox, make it again as the log asks for, and let the line move."""
    delete(inbox)
    daemon.event("line.waiting")
    inbox.mkdir()
    do_as_told(waits_again(daemon, 2)["mend"])
    daemon.event("line.moving")


def test_an_inbox_that_was_deleted_is_used_again_once_it_is_made_and_marked(folders, sandbox):
    """Deletion is an outage; the folder made again is none of ours until it is marked, and watched from then on."""
    with Daemon(configure(folders, sandbox.url, inbox=OFTEN)) as daemon:
        daemon.tells("READY=1")
        delete(folders.inbox)
        gone = daemon.event("line.waiting")
        assert "is not there" in gone["reason"]
        assert not folders.inbox.exists()
        folders.inbox.mkdir()
        dropped = drop(folders.inbox, "CW-1.xml", document(("CW-1", "100.00")))
        unmarked = waits_again(daemon, 2)
        assert str(folders.inbox) in gone["reason"]
        assert str(folders.inbox) in unmarked["reason"]
        assert list(folders.inbox.iterdir()) == [dropped]
        do_as_told(unmarked["mend"])
        assert_pays(daemon, sandbox, "CW-1")
        pay(daemon, folders.inbox, sandbox, "CW-2", SOON)
        assert outages(daemon) == [gone["reason"], unmarked["reason"], "moving"]
        assert watched(daemon) == ["native", "lost", "native"]
        assert daemon.end() == 0
    assert files(folders.fail, "") == []


def test_an_inbox_in_the_place_of_another_is_left_alone_until_the_first_is_back(folders, sandbox):
    """A folder that took the inbox's name gets nothing and gives nothing; what lies in the first waits for it."""
    away = folders.inbox.with_name("away")
    with Daemon(configure(folders, sandbox.url, inbox=OFTEN)) as daemon:
        daemon.tells("READY=1")
        folders.inbox.rename(away)
        folders.inbox.mkdir()
        foreign = drop(folders.inbox, "CW-1.xml", document(("CW-1", "100.00")))
        # It may have been seen before the other one took its place.
        (waiting,) = until(lambda: [one for one in daemon.events("line.waiting") if "no marker" in one["reason"]])
        drop(away, "CW-2.xml", document(("CW-2", "100.00")))
        assert list(folders.inbox.iterdir()) == [foreign]
        folders.inbox.rename(folders.inbox.with_name("foreign"))
        away.rename(folders.inbox)
        assert_pays(daemon, sandbox, "CW-2", SOON)
        pay(daemon, folders.inbox, sandbox, "CW-3", SOON)
        assert outages(daemon)[-2:] == [waiting["reason"], "moving"]
        assert daemon.end() == 0
    assert payments_of(sandbox, "CW-1") == files(folders.fail, "") == []


def test_an_inbox_that_was_made_again_is_still_nobody_elses(folders, sandbox, tmp_path):
    """The daemon that works on a new inbox keeps others off it, as it did with the one before."""
    with Daemon(configure(folders, sandbox.url, inbox=OFTEN)) as daemon:
        daemon.tells("READY=1")
        delete_and_make(daemon, folders.inbox)
        pay(daemon, folders.inbox, sandbox, "CW-1")
        other = configure(folders, sandbox.url, journal={"url": f"sqlite:///{tmp_path / 'other.db'}"})
        refused = command("run", "--once", "--config", other)
        assert (refused.code, str(daemon.pid) in refused.err) == (78, True)


def test_an_inbox_whose_rights_were_taken_away_goes_on_once_they_are_back(folders, sandbox):
    """What may not be looked into is no empty inbox; with the rights given back, what came meanwhile is taken."""
    need_unprivileged()
    with Started(configure(folders, sandbox.url, inbox=OFTEN), *UNPRIVILEGED) as daemon:
        daemon.tells("READY=1")
        (folders.inbox / "CW-1.xml").write_bytes(document(("CW-1", "100.00"))[:-2])
        daemon.event("file.waiting")
        folders.inbox.chmod(0)
        waiting = daemon.event("line.waiting")
        assert str(folders.inbox) in waiting["reason"]
        assert "right" in waiting["mend"], waiting
        folders.inbox.chmod(0o700)
        pay(daemon, folders.inbox, sandbox, "CW-1", SOON)
        pay(daemon, folders.inbox, sandbox, "CW-2", SOON)
        assert outages(daemon) == [waiting["reason"], "moving"]
        assert daemon.end() == 0
