"""A share whose server is far away: a folder passed through FUSE, where every call takes a fixed time.

``python -m soak.share FOLDER MOUNT MILLISECONDS`` serves it until it is unmounted. The kernel remembers nothing of it,
so that every call of the program that a server has to answer costs its time.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.program import until

TESTS = Path(__file__).parents[1]
# What the kernel may take as known for so long (seconds): the facts of a file, and which file has a name.
# These are not waited for: the kernel tells them later.
_SILENT = ("release",)
_UNKNOWN = {"attr_timeout": 0, "entry_timeout": 0, "negative_timeout": 0}


@contextmanager
def mounted(folder: Path, mount: Path, milliseconds: float) -> Iterator[Path]:
    """Mount a folder so that every call on it takes a fixed time.

    Args:
        folder: what is mounted.
        mount: where; a folder that is there.
        milliseconds: how long each call takes.
    """
    command = [sys.executable, "-m", "soak.share", str(folder), str(mount), str(milliseconds)]
    with subprocess.Popen(command, cwd=TESTS) as server:
        try:
            until(lambda: os.path.ismount(mount) or server.poll() is not None)
            assert server.poll() is None, "the share could not be mounted"
            yield mount
        finally:
            subprocess.run(["fusermount3", "-u", "-z", str(mount)], check=False)
            server.terminate()


def serve(folder: str, mount: str, seconds: float) -> None:
    """Serve a folder until it is unmounted."""
    import mfusepy  # type: ignore[import-untyped]  # only the process that serves needs it

    def after(call: Callable[..., Any]) -> Callable[..., Any]:
        def late(*args: Any) -> Any:
            time.sleep(seconds)
            return call(*args)

        return late

    class Share(mfusepy.Operations):  # type: ignore[misc]  # the library has no types
        """Passes every call through, after a while."""

        use_ns = True

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            facts = os.lstat(folder + path) if fh is None else os.fstat(fh)
            names = ("st_mode", "st_nlink", "st_size", "st_uid", "st_gid", "st_ino")
            times = {f"st_{kind}time": getattr(facts, f"st_{kind}time_ns") for kind in "amc"}
            return {name: getattr(facts, name) for name in names} | times

        def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
            # An entry whose number is zero counts as deleted.
            with os.scandir(folder + path) as entries:
                modes = [(entry, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG) for entry in entries]
                return [(entry.name, {"st_ino": entry.inode(), "st_mode": mode}, 0) for entry, mode in modes]

        def mkdir(self, path: str, mode: int) -> None:
            os.mkdir(folder + path, mode)

        def rmdir(self, path: str) -> None:
            os.rmdir(folder + path)

        def unlink(self, path: str) -> None:
            os.unlink(folder + path)

        def rename(self, old: str, new: str) -> None:
            os.rename(folder + old, folder + new)

        def open(self, path: str, flags: int) -> int:
            return os.open(folder + path, flags & ~os.O_NOFOLLOW)

        def create(self, path: str, mode: int, fi: Any = None) -> int:
            return os.open(folder + path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return os.pread(fh, size, offset)

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            return os.pwrite(fh, data, offset)

        def truncate(self, path: str, length: int, fh: int | None = None) -> None:
            os.truncate(folder + path if fh is None else fh, length)

        def chmod(self, path: str, mode: int) -> None:
            os.chmod(folder + path, mode)

        def chown(self, path: str, uid: int, gid: int) -> None:
            os.chown(folder + path, uid, gid)

        def fsync(self, path: str, datasync: int, fh: int) -> None:
            os.fsync(fh)

        def fsyncdir(self, path: str, datasync: int, fh: int) -> None:
            return None

        def flush(self, path: str, fh: int) -> None:
            return None

        def release(self, path: str, fh: int) -> None:
            os.close(fh)

        def statfs(self, path: str) -> dict[str, int]:
            facts = os.statvfs(folder + path)
            return {name: getattr(facts, name) for name in dir(facts) if name.startswith("f_") and name != "f_fsid"}

    for name, call in list(vars(Share).items()):
        if not name.startswith("_") and callable(call) and name not in _SILENT:
            setattr(Share, name, after(call))
    mfusepy.FUSE(Share(), mount, foreground=True, nothreads=False, use_ino=True)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], float(sys.argv[3]) / 1000)
