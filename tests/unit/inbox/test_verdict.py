"""The verdict on one file, for the person who asks why it is not taken."""

from __future__ import annotations

import os
import re
import time

import pytest
from support.documents import document
from support.rights import no_special_rights

from watcher.disk.hanging import FolderCalls
from watcher.errors import FolderTrouble
from watcher.inbox.scan import Inbox, Terms
from watcher.inbox.verdict import Verdict, judge

WHOLE = document(("CW-34251", "346.34"))


def verdict(folder, name="pay.xml", *, age=60.0, **terms):
    """Judge an entry of an inbox so many seconds after it was made."""
    return judge(Inbox(folder, Terms(**terms), FolderCalls()), name, time.time() + age)


def test_whole_and_quiet_file_is_ready(folder):
    """The next scan takes it; a moment before it was quiet, none does."""
    (folder / "pay.xml").write_bytes(WHOLE)
    assert verdict(folder) == Verdict("It is ready to be taken.", ready=True)
    assert verdict(folder, age=2) == Verdict("It may still be written to: its last change was 2 s ago.")
    assert verdict(folder, age=2, settle_seconds=1).ready


def test_file_from_the_future_is_not_judged_by_a_negative_age(folder):
    """A file server's clock may run ahead."""
    (folder / "pay.xml").write_bytes(WHOLE)
    assert verdict(folder, age=-3600) == Verdict("It may still be written to: its last change was 0 s ago.")


def test_missing_file_has_no_verdict(folder):
    """There is nothing to be said of it."""
    assert verdict(folder) is None


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("pay.xml.tmp", lambda path: path.write_bytes(WHOLE), "a temporary or system file by its name"),
        ("pay.txt", lambda path: path.write_bytes(WHOLE), "its name is not that of a payment file"),
        ("pay.xml", lambda path: path.symlink_to("elsewhere"), "a symbolic link is not followed"),
        ("pay.xml", lambda path: path.mkdir(), "a folder; only files directly in the inbox are taken"),
        ("pay.xml", os.mkfifo, "a named pipe, not a file"),
    ],
    ids=["junk", "pattern", "link", "folder", "pipe"],
)
def test_entry_that_is_left_alone_gets_the_reason(folder, name, make, reason):
    """The reason is that of the scan's remark."""
    make(folder / name)
    assert verdict(folder, name) == Verdict(f"It is left alone: {reason}.")


def test_unfinished_file_waits(folder):
    """What is missing is said, and when it is given up."""
    (folder / "pay.xml").write_bytes(WHOLE[:100])
    assert verdict(folder, stalled_after_seconds=1200) == Verdict(
        "It is not whole yet: no closing </ArrayOfUpdateInvoicePayment> yet. Its last change was 60 s ago. "
        "It goes to the fail outbox once the daemon has seen no change of it for 20 minutes."
    )


def test_oversize_file_is_ready_unread(folder):
    """It is taken to be refused, whatever it holds."""
    (folder / "pay.xml").write_bytes(WHOLE[:100])
    assert verdict(folder, max_file_bytes=99).ready


def test_unreadable_file_waits(folder):
    """The system's reason is said."""
    (folder / "pay.xml").write_bytes(WHOLE)
    (folder / "pay.xml").chmod(0)
    with no_special_rights():
        assert verdict(folder) == Verdict("It waits: it cannot be read yet: Permission denied.")


def test_inbox_in_trouble_is_an_outage(folder):
    """A folder that cannot be looked into is not one without that file."""
    (folder / "pay.xml").write_bytes(WHOLE)
    folder.chmod(0)
    with no_special_rights(), pytest.raises(FolderTrouble, match=re.escape(str(folder))):
        verdict(folder)
    folder.chmod(0o700)
