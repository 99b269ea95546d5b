"""File systems of a test's own, small enough to be filled, which may be mounted read-only and are nobody else's affair.

They are mounted in a namespace that needs no rights and vanishes with its process (user_namespaces(7)). Everybody else
gets there through that process: ``/proc/<pid>/root``.
"""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from support.needs import needs

_FILLER = "filler"


class Mounts:
    """A mount namespace; skips the test where none can be made."""

    def __enter__(self) -> Self:
        needs("unshare", "nsenter", "mount")
        tried = subprocess.run(["unshare", "-rm", "true"], capture_output=True, text=True, check=False)
        if tried.returncode:
            pytest.skip(f"this system lets nobody make a mount namespace: {tried.stderr.strip()}")
        self._shell = subprocess.Popen(
            ["unshare", "-rm", "sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shell.communicate()

    def mount(self, folder: Path, options: str) -> Path:
        """Mount an empty tmpfs on a folder, and return the path by which everybody gets there."""
        self._do("mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "tmpfs", folder)
        return Path(f"/proc/{self._shell.pid}/root{folder}")

    def remount(self, place: Path, options: str) -> None:
        """Mount otherwise what is mounted on a place that ``mount`` gave."""
        # With its kind and source named, mount(8) does not repeat the options it has, some of which only root may give.
        self._do("mount", "-t", "tmpfs", "-o", f"remount,{options}", "tmpfs", place)

    @property
    def enter(self) -> tuple[str, ...]:
        """What starts a program in the namespace, where the mounted folders have their own paths."""
        return ("nsenter", f"--target={self._shell.pid}", "--user", "--mount", "--preserve-credentials", "--")

    def _do(self, *command: str | Path) -> None:
        assert self._shell.stdin
        assert self._shell.stdout
        self._shell.stdin.write(f"{shlex.join(map(str, command))}; echo; echo ended $?\n")
        self._shell.stdin.flush()
        said = []
        while not (line := self._shell.stdout.readline()).startswith("ended"):
            assert line, "the shell in the namespace has ended"
            said.append(line)
        assert line == "ended 0\n", "".join(said)


def fill(folder: Path, pages_left: int = 0) -> None:
    """Fill a folder's file system but for some pages of memory."""
    descriptor = os.open(folder / _FILLER, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            facts = os.statvfs(folder)
            try:
                os.posix_fallocate(descriptor, 0, (facts.f_bavail - pages_left) * facts.f_frsize)
            except OSError as error:
                # The daemon has taken some of it since the look.
                if error.errno != errno.ENOSPC:
                    raise
            else:
                return
    finally:
        os.close(descriptor)


def use_up_names(folder: Path) -> None:
    """Make files on a folder's file system until it takes no more."""
    number = 0
    try:
        while True:
            (folder / f"{_FILLER}{number}").touch()
            number += 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def make_room(folder: Path) -> None:
    """Take away what was filled in."""
    for path in folder.glob(f"{_FILLER}*"):
        path.unlink()
