"""Root's right to read and write everything, laid down where a test is about rights (capabilities(7))."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.needs import needs

# Starts a program that has no more rights than the modes of files give it.
UNPRIVILEGED = () if os.geteuid() else ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")


def need_unprivileged() -> None:
    """Skip the test where no program can be started without root's rights."""
    if not UNPRIVILEGED:
        return
    needs("setpriv")
    tried = subprocess.run([*UNPRIVILEGED, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"root cannot go without its rights here: {tried.stderr.strip()}")


def as_user(user: int, group: int) -> tuple[str, ...]:
    """Return what starts a program as another user; skip the test where none can run this Python."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to act as another user")
    before = (needs("setpriv"), f"--reuid={user}", f"--regid={group}", "--clear-groups", "--")
    tried = subprocess.run([*before, sys.executable, "-c", ""], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"other users cannot run {sys.executable} here: {tried.stderr.strip()}")
    return before


@contextmanager
def no_special_rights() -> Iterator[None]:
    """Let the modes of files count for this thread, even if it is root's."""
    # capabilities(7): bits 1 and 2 are CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH; capset(2) is about one thread.
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets):
        pytest.skip("root cannot go without its rights here")
    before = sets[0]
    sets[0] = before & ~0b110
    if libc.capset(header, sets):
        pytest.skip("root cannot go without its rights here")
    try:
        yield
    finally:
        sets[0] = before
        libc.capset(header, sets)
