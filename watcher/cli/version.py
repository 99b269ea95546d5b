"""``--version``: all that a bug report needs."""

from __future__ import annotations

import platform
import re
import sqlite3
from collections.abc import Iterator
from importlib import metadata

import watcher


def lines() -> Iterator[str]:
    """Yield this program's version, then those of Python, the machine and SQLite, then one line for each library."""
    yield f"payment-watcher {watcher.__version__}"
    yield f"Python {platform.python_version()}, {platform.platform()}, SQLite {sqlite3.sqlite_version}"
    for requirement in sorted(metadata.requires("connectwise-payment-watcher") or ()):
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        yield f"{name} {metadata.version(name)}"
