"""What a folder's disk has to offer: the right to write, free space, and the kind of its file system."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from watcher.disk.durable import put_new
from watcher.disk.hanging import FolderCalls
from watcher.disk.opened import aside_name, opened

# A disk is nearly full when less than this is free, and less than this share of its size (bytes).
_LITTLE_BYTES = 1 << 30
_LITTLE_SHARE = 0.05


def probe(folder: Path, *, follow: bool = False) -> None:
    """Do in a folder what the daemon does there: write a file aside, sync it, give it its name, delete it.

    Args:
        folder: the folder.
        follow: it may be a link to a folder.

    Raises:
        OSError: one of these is not possible.
    """
    name = aside_name()
    with opened(folder, follow=follow) as there:
        try:
            put_new(there, name, b"probe")
            there.sync()
        finally:
            there.unlink(name)


def probe_move(folder: Path, target: Path) -> None:
    """Move a file from one folder to another, as the daemon does with a file that it takes, and delete it.

    Raises:
        OSError: that is not possible.
    """
    name = aside_name()
    with opened(folder) as source, opened(target) as there:
        try:
            put_new(source, name, b"probe")
            os.rename(name, name, src_dir_fd=source.descriptor, dst_dir_fd=there.descriptor)
        finally:
            there.unlink(name)
            source.unlink(name)


def nearly_full(folder: Path) -> int | None:
    """Return how much is free on a folder's disk if that disk is nearly full (bytes); None if it is not.

    Raises:
        OSError: the folder cannot be looked at.
    """
    space = shutil.disk_usage(folder)
    return space.free if space.free < min(_LITTLE_BYTES, space.total * _LITTLE_SHARE) else None


def nearly_full_disks(folders: Iterable[Path], calls: FolderCalls) -> Iterator[tuple[Path, int]]:
    """Yield the first folder of each disk that is nearly full, with what is free there (bytes).

    Args:
        folders: any number of them may lie on one disk.
        calls: the calls on the folders are made through them.

    Raises:
        FolderTrouble: a folder cannot be looked at.
    """
    seen = set()
    for folder in folders:
        with calls.at(folder):
            disk = folder.stat().st_dev
            left = nearly_full(folder)
        if disk not in seen and left is not None:
            yield folder, left
        seen.add(disk)


def file_system(folder: Path) -> str:
    """Return the type of the file system that a folder is on, such as ``ext4``; empty if the system does not say."""
    # Late, since only observer = "auto" asks.
    import psutil

    try:
        mounts = psutil.disk_partitions(all=True)
    except OSError:
        return ""
    path = folder.resolve()
    longest, kind = -1, ""
    for mount in mounts:
        place = Path(mount.mountpoint)
        # The longest place is the nearest mount. Of two mounts on one place, the later one is on top.
        if path.is_relative_to(place) and len(place.parts) >= longest:
            longest, kind = len(place.parts), mount.fstype
    return kind
