"""What makes a change outlive a power cut: a file's content by its own sync, its name by its folder's (fsync(2))."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def sync_file(path: Path) -> None:
    """Return once a file's content is on disk; OSError where it cannot be brought there."""
    _sync(path, os.O_RDONLY)


def sync_folder(folder: Path) -> None:
    """Return once the names in a folder are on disk as they are now; OSError where they cannot be brought there.

    Network and FUSE file systems may not know the call; there is then nothing more to be had.
    """
    try:
        _sync(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
