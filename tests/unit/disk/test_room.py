"""What a folder's disk has to offer: rights, free space, and the kind of its file system."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from support.mounts import Mounts
from support.needs import needs
from support.rights import no_special_rights
from support.steps import interrupted_at

from watcher.disk import room
from watcher.disk.hanging import FolderCalls
from watcher.disk.room import file_system, nearly_full, nearly_full_disks, probe, probe_move
from watcher.errors import FolderTrouble

# --- probes -----------------------------------------------------------------------------------------------------------


def test_probe_leaves_nothing_behind(tmp_path):
    """Probing a folder creates, renames and deletes a file there, and it is as empty as before."""
    with interrupted_at(0) as steps:
        probe(tmp_path)
    assert [step.split()[0] for step in steps][:3] == ["open", "os.rename", "os.remove"]
    assert list(tmp_path.iterdir()) == []


def test_probe_fails_where_work_would(tmp_path: Path, mounts: Mounts):
    """Probing a folder that is missing or read-only is the system's own error."""
    with pytest.raises(FileNotFoundError):
        probe(tmp_path / "nowhere")
    with pytest.raises(OSError, match="Read-only"):
        probe(mounts.mount(tmp_path, "ro,size=64k"))


def test_probe_is_what_publishing_does(tmp_path):
    """Where neither a rename that replaces nothing nor a link works, publishing does, and so does the probe."""
    strace = needs("strace")
    probing = "import sys; from pathlib import Path; from watcher.disk.room import probe; probe(Path(sys.argv[1]))"
    refused = ("-e", "inject=renameat2:error=EINVAL", "-e", "inject=link,linkat:error=EIO")
    traced = [strace, "-f", "-o", "/dev/null", *refused, sys.executable, "-c", probing, tmp_path]
    tried = subprocess.run(traced, capture_output=True, text=True, check=False)
    if "ptrace" in tried.stderr:
        pytest.skip(f"no program can be traced here: {tried.stderr.strip()}")
    assert tried.returncode == 0, tried.stderr
    assert list(tmp_path.iterdir()) == []
    failing = [strace, "-f", "-o", "/dev/null", "-e", "inject=fsync:error=EIO", *traced[8:]]
    tried = subprocess.run(failing, capture_output=True, text=True, check=False)
    assert "Input/output error" in tried.stderr
    assert list(tmp_path.iterdir()) == []


def test_probe_does_not_enter_a_link(tmp_path):
    """A folder that is a link is refused, unless it may be one."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(NotADirectoryError):
        probe(tmp_path / "link")
    probe(tmp_path / "link", follow=True)


def test_move_from_folder_to_folder_is_tried(tmp_path, elsewhere):
    """It leaves nothing behind, also where it is not possible."""
    for name in ("inbox", "work"):
        (tmp_path / name).mkdir()
    probe_move(tmp_path / "inbox", tmp_path / "work")
    with pytest.raises(OSError, match="cross-device"):
        probe_move(tmp_path / "inbox", elsewhere)
    (tmp_path / "work").chmod(0o500)
    with no_special_rights(), pytest.raises(PermissionError):
        probe_move(tmp_path / "inbox", tmp_path / "work")
    assert not any([*(tmp_path / "inbox").iterdir(), *(tmp_path / "work").iterdir(), *elsewhere.iterdir()])


# --- free space -------------------------------------------------------------------------------------------------------


def test_disk_that_is_nearly_full_is_named_once(folders, tmp_path, monkeypatch):
    """Folders on one disk are one disk; what is left is given in bytes; a roomy disk is not named."""
    outboxes = (folders.work, folders.success, folders.fail, folders.archive)
    monkeypatch.setattr(room, "_LITTLE_BYTES", 0)
    assert list(nearly_full_disks(outboxes, FolderCalls())) == []
    assert nearly_full(folders.work) is None
    monkeypatch.setattr(room, "_LITTLE_BYTES", 1 << 62)
    monkeypatch.setattr(room, "_LITTLE_SHARE", 1.0)
    ((folder, left),) = nearly_full_disks(outboxes, FolderCalls())
    assert folder == folders.work
    assert 0 < left < shutil.disk_usage(folder).total
    with pytest.raises(FolderTrouble, match="nowhere"):
        list(nearly_full_disks([tmp_path / "nowhere"], FolderCalls()))


def test_disk_of_its_own_is_named_for_itself(folders, mounts: Mounts):
    """A disk is nearly full by its own size and what is left of it."""
    success = mounts.mount(folders.success, "size=1m")
    assert nearly_full(success) is None
    (success / "filler").write_bytes(b"x" * 1_000_000)
    left = nearly_full(success)
    assert left is not None
    assert left < 50_000
    assert (success, left) in nearly_full_disks([folders.work, success], FolderCalls())


# --- the kind of file system ------------------------------------------------------------------------------------------


def test_folder_of_the_proc_file_system_is_told_apart():
    """The mount that a folder is on counts, not the one above it; a path through a link counts where it leads."""
    assert file_system(Path("/proc")) == "proc"
    assert file_system(Path("/proc/self/fd")) == "proc"
    assert file_system(Path("/proc/self/cwd")) == file_system(Path.cwd())


def test_system_without_a_table_of_mounts_says_nothing(tmp_path, monkeypatch):
    """Without /proc the kind is unknown, which is no error."""
    # psutil finds the mounts under this folder; it is there for containers that mount /proc elsewhere.
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path / "nowhere"))
    assert file_system(tmp_path) == ""


# Runs in a mount namespace of its own, where anybody may mount what then nobody else sees (user_namespaces(7)).
_ASK = """
import sys
from pathlib import Path
from watcher.disk.room import file_system
print(file_system(Path(sys.argv[1])))
"""


def alone_with_mounts(*command: str | Path) -> str:
    """Run a command where mounting is allowed and is nobody else's affair; return what it printed."""
    needs("unshare", "mount")
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody make a mount namespace")
    done = subprocess.run(["unshare", "-rm", *command], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    "name",
    [
        *(
            "plain",
            "with blank",
            "back\\slash",
            "tab\there",
            "line\nbreak",
            "Büro",
            "共有",
            "\\040",
            "#share",
            "a" * 200,
        ),
        os.fsdecode(b"\xff"),
    ],
    ids=["plain", "blank", "backslash", "tab", "newline", "umlaut", "wide", "octal", "hash", "long", "no UTF-8"],
)
def test_mount_is_recognised_whatever_its_name(tmp_path, name):
    """The type of a mounted file system is found for folders below it, however the mount table writes its place."""
    place = tmp_path / name
    place.mkdir()
    mount_and_ask = 'mount -t tmpfs none "$1" && mkdir "$1/inbox" && exec "$2" -c "$3" "$1/inbox"'
    assert alone_with_mounts("sh", "-c", mount_and_ask, "sh", place, sys.executable, _ASK) == "tmpfs"


@pytest.mark.parametrize("source", ["#share", "with blank", "//server/" + "x" * 200], ids=repr)
def test_mount_is_recognised_whatever_its_source(tmp_path, source):
    """The type of a mounted file system is found however the mount table writes what is mounted."""
    mount_and_ask = 'mount -t tmpfs "$4" "$1" && exec "$2" -c "$3" "$1"'
    assert alone_with_mounts("sh", "-c", mount_and_ask, "sh", tmp_path, sys.executable, _ASK, source) == "tmpfs"


def test_of_two_mounts_on_one_place_the_later_one_counts(tmp_path):
    """What was mounted over another file system is what a folder is on."""
    both = 'mount -t tmpfs none "$1" && mount -t ramfs none "$1" && exec "$2" -c "$3" "$1"'
    assert alone_with_mounts("sh", "-c", both, "sh", tmp_path, sys.executable, _ASK) == "ramfs"


def test_mount_beside_is_not_the_mount_above(tmp_path):
    """A mount whose name only begins like a folder's path does not count for that folder."""
    (tmp_path / "in").mkdir()
    (tmp_path / "inbox").mkdir()
    beside = 'mount -t ramfs none "$1/in" && exec "$2" -c "$3" "$1/inbox"'
    found = alone_with_mounts("sh", "-c", beside, "sh", tmp_path, sys.executable, _ASK)
    assert found == file_system(tmp_path)
