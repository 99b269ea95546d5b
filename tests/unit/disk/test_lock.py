"""Lock files: who holds one, and what others may put in its place."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.documents import leave_socket
from support.rights import as_user

from watcher.disk.lock import holder, holding
from watcher.errors import FolderTrouble, InboxHeld, Occupied

OTHER = 65534
BOTH = pytest.mark.parametrize("own", [False, True], ids=["in a private folder", "in a folder of others"])

_HOLD = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDONLY | os.O_CREAT, 0o666)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_another(file: Path, *before: str) -> Iterator[None]:
    """Hold a lock file in another process."""
    with subprocess.Popen(
        [*before, sys.executable, "-c", _HOLD, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        yield
        process.communicate()


@BOTH
def test_lock_is_held_and_let_go(tmp_path, own):
    """While it is held it names its holder; afterwards it can be held again, and its file stays."""
    file = tmp_path / "lock"
    for _ in range(2):
        with holding(file, own=own) as hold:
            assert hold
            assert hold.lasts()
            assert (holder(file) or "").startswith(f"process {os.getpid()} on ")
        assert holder(file) is None
    if own:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@BOTH
def test_lock_that_another_process_of_this_user_holds_is_occupied(tmp_path, own):
    """Its holder is named, in printable letters and no more than a line of them."""
    file = tmp_path / "lock"
    file.write_bytes(b"process 1 on host\n\x1b[31m" + b"x" * 5000)
    with held_by_another(file), pytest.raises(Occupied, match="process 1 on host") as occupied, holding(file, own=own):
        pass
    assert "\x1b" not in str(occupied.value)
    assert len(str(occupied.value)) < 1000
    outage = InboxHeld.by(occupied.value)
    assert isinstance(outage, FolderTrouble)
    assert str(file) in str(outage)
    with holding(file, own=own) as hold:
        assert hold


def test_lock_file_of_another_user_does_not_count(public):
    """Whoever takes our lock file away and holds one of their own keeps nobody out; ours takes its place."""
    before, file = as_user(OTHER, OTHER), public / "lock"
    file.touch()
    os.chown(file, OTHER, OTHER)
    file.chmod(0o666)
    with held_by_another(file, *before), holding(file, own=True) as hold:
        assert hold
        assert hold.lasts()
        facts = file.stat()
        assert (facts.st_uid, stat.S_IMODE(facts.st_mode)) == (0, 0o600)
        file.unlink()
        file.touch()
        os.chown(file, OTHER, OTHER)
        assert not hold.lasts()
    assert [path.name for path in public.iterdir()] == ["lock"]


def test_nobody_else_can_hold_our_lock_file(public):
    """The lock file is open to this user alone, even one that an earlier version made for all to read."""
    before, file = as_user(OTHER, OTHER), public / "lock"
    file.touch(0o644)
    with holding(file, own=True):
        pass
    with subprocess.Popen(
        [*before, sys.executable, "-c", _HOLD, file], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        said, complained = process.communicate()
    assert not said
    assert b"PermissionError" in complained


FOREIGN = {
    "a pipe": os.mkfifo,
    "a link": lambda path: path.symlink_to(path.parent / "victim"),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a socket": leave_socket,
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_lock_file_is_replaced(tmp_path, make):
    """A pipe is not waited for, and nothing is written through a link."""
    victim, file = tmp_path / "victim", tmp_path / "lock"
    victim.write_bytes(b"kept")
    make(file)
    assert holder(file) is None
    with holding(file, own=True) as hold:
        assert hold
        assert file.is_file()
        assert not file.is_symlink()
    assert victim.read_bytes() == b"kept"


def test_folder_under_its_name_is_trouble(tmp_path):
    """It cannot be replaced, so a person has to remove it."""
    (tmp_path / "lock").mkdir()
    with (
        pytest.raises(FolderTrouble, match=re.escape(f"{tmp_path / 'lock'} is a folder")),
        holding(tmp_path / "lock", own=True),
    ):
        pass


@BOTH
def test_missing_folder_is_trouble_and_is_not_made(tmp_path, own):
    """A share that is not mounted has no lock file."""
    with pytest.raises(FolderTrouble, match="nowhere"), holding(tmp_path / "nowhere/lock", own=own):
        pass
    assert list(tmp_path.iterdir()) == []


def test_lock_lasts_where_inode_numbers_do_not(tmp_path):
    """Another file with what we wrote in it is our lock file at another look; with other words in it, it is not."""
    file = tmp_path / "lock"
    with holding(file, own=True) as hold:
        content = file.read_bytes()
        file.rename(tmp_path / "aside")
        assert not hold.lasts()
        file.write_bytes(content)
        assert hold.lasts()
        file.write_bytes(b"process 1 on host\n")
        assert not hold.lasts()


def test_lock_is_free_once_its_holder_was_killed(tmp_path):
    """The lock ends with the process."""
    file = tmp_path / "lock"
    with held_by_another(file):
        descriptor = os.open(file, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
    with holding(file) as hold:
        assert hold
