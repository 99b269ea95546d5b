"""Users and groups of this machine, made for a test and gone after it: root's tests try what these may do."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.needs import needs

# Other tests may be making a user, too: useradd(8) then says that the list is locked, or could not be written.
_BUSY = (1, 10, 12)
_TRIES = 100


@contextmanager
def made_users(*names: str, group: str | None = None) -> Iterator[list[str]]:
    """Make users, each with a group of its own, and a group that all of them are in.

    Args:
        names: what the names begin with; each gets a few letters more.
        group: what the name of the common group begins with; None for no such group.

    Yields:
        The names of the users, and last the name of the common group.
    """
    if os.geteuid() != 0:
        pytest.skip("making users needs root")
    needs("useradd", "userdel", "groupadd", "groupdel", "setpriv")
    with ExitStack() as stack:
        made = [f"{name}-{secrets.token_hex(4)}" for name in names]
        common = [f"{group}-{secrets.token_hex(4)}"] if group else []
        for name in common:
            _change("groupadd", "--system", name)
            stack.callback(_change, "groupdel", name)
        for name in made:
            groups = [f"--groups={common[0]}"] if common else []
            home = ["--no-create-home", "--home-dir=/nonexistent"]
            _change("useradd", "--system", "--user-group", *home, *groups, name)
            stack.callback(_change, "userdel", name)
        yield [*made, *common]


@contextmanager
def place_for_all() -> Iterator[Path]:
    """Make a folder of root's that every user can enter, which pytest's folders are not."""
    with tempfile.TemporaryDirectory(prefix="payment-watcher-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def as_user(name: str, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a user with all groups of that user, and return what it came to."""
    become = ["setpriv", f"--reuid={name}", f"--regid={name}", "--init-groups", "--"]
    return subprocess.run([*become, *map(str, command)], capture_output=True, encoding="utf-8", check=False, cwd="/")


def _change(*command: str) -> None:
    for _ in range(_TRIES):
        ended = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        if ended.returncode not in _BUSY:
            break
        time.sleep(0.1)
    assert ended.returncode == 0, ended.stderr
