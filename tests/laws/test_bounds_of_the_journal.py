"""What the copies in the journal may cost: the largest content, in memory, in the journal and beside it."""

from __future__ import annotations

import hashlib
import subprocess
import sys

from support.journal import FIRST, SECOND, claimed, environment

from watcher.claim import Claim
from watcher.journal.claims import Claims, NewClaim, Unfinished

MIB = 1024 * 1024


def test_a_content_of_64_mib_is_kept(reopen):
    """The largest file that is read, as the settings have it, comes back byte for byte after a start."""
    content = bytes(range(256)) * (64 * MIB // 256)
    claimed(reopen(), FIRST, content=content)
    claims = Claims(reopen())
    claims.keep_document(FIRST.id, content[1:])
    claims = Claims(reopen())
    assert claims.unfinished() == [Unfinished(FIRST, "digest", taken=True, kept=True, size=64 * MIB)]
    copy = claims.copy(FIRST.id)
    assert hashlib.sha256(copy.content).digest() == hashlib.sha256(content).digest()
    assert hashlib.sha256(copy.document).digest() == hashlib.sha256(content[1:]).digest()
    claims.finish(FIRST.id)
    assert claims.unfinished() == []


def test_the_room_of_a_finished_file_is_used_again(reopen, file):
    """The journal is not larger after twenty files than after two: contents do not pile up."""

    def work(*numbers):
        database = reopen()
        for number in numbers:
            claim = Claim(f"20250101T000000Z_{number:08x}", "pay.xml")
            claimed(database, claim, content=b"x" * MIB)
            Claims(database).keep_document(claim.id, b"y" * MIB)
            Claims(database).finish(claim.id)
        database.close()
        return file.stat().st_size

    size = work(1, 2)
    assert size >= 2 * MIB
    assert work(*range(3, 21)) <= size + 16 * 4096


def test_the_room_of_a_claim_that_was_undone_is_used_again(reopen, file):
    """A file that changes each time it is taken does not fill the disk."""
    sizes = []
    for _ in range(5):
        claims = Claims(database := reopen())
        claims.add([NewClaim(FIRST, "digest", b"x" * MIB)])
        claims.undo([FIRST.id])
        database.close()
        sizes.append(file.stat().st_size)
    assert sizes == [sizes[0]] * 5


def test_a_large_file_leaves_no_large_log_beside_the_journal(database, claims, file):
    """The write-ahead log shrinks again while the daemon runs: its room on the disk is free for others."""
    log = file.with_name("journal.db-wal")
    claimed(database, FIRST, content=b"x" * 16 * MIB)
    assert log.stat().st_size > 16 * MIB
    claims.finish(FIRST.id)
    claimed(database, SECOND)
    assert log.stat().st_size <= 4 * MIB


def test_a_large_file_is_not_in_memory_several_times(url):
    """A content of 64 MiB costs little more than itself and one copy; asking which files are in work costs nothing."""
    act = """
import sys
from support.journal import FIRST, claimed
from watcher.journal.claims import Claims
from watcher.journal.database import Database

def peak(act):
    open("/proc/self/clear_refs", "w").write("5")
    before = at_most()
    act()
    return (at_most() - before) // 1024

def at_most():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

database = Database(sys.argv[1])
claims, content = Claims(database), b"x" * 64 * 1024 * 1024
claims.unfinished()
print(peak(lambda: claimed(database, FIRST, content=content)))
print(peak(lambda: claims.keep_document(FIRST.id, content)))
print(peak(claims.unfinished))
print(peak(lambda: claims.copy(FIRST.id)))
database.close()
"""
    ended = subprocess.run(
        [sys.executable, "-c", act, url], env=environment(), capture_output=True, text=True, check=True
    ).stdout
    add, keep_document, unfinished, copy = (int(line) for line in ended.split())
    assert add < 160
    assert keep_document < 160
    assert unfinished < 8
    assert copy < 224
