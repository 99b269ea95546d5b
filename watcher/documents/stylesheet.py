"""Turns the accounting system's own XML into payment documents, with the operator's stylesheet.

Each file gets a process of its own, ``stylesheet_process``, which has a time limit and a memory limit.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from watcher.documents import stylesheet_process
from watcher.documents.unfinished import cut_off
from watcher.errors import ConfigurationError, DocumentError, Fault

# What one file may take. It may last longer than its processor time, since the machine may be busy.
_PROCESSOR_SECONDS = 30
_SECONDS = 60
_MEMORY_BYTES = 2**30


class Stylesheet:
    """The operator's stylesheet (``inbox.transform``)."""

    def __init__(self, path: Path, largest: int) -> None:
        """Read and check a stylesheet.

        Args:
            path: the file.
            largest: the most that a payment document made by it may hold (bytes).

        Raises:
            ConfigurationError: the file cannot be read, is no stylesheet, or uses something that is not allowed.
        """
        self._name = path.name
        self._largest = largest
        try:
            self._source = path.read_bytes()
            stylesheet_process.compiled(self._source)
        except OSError as error:
            raise _unusable(f"{path} cannot be read: {error.strerror}") from error
        except DocumentError as error:
            raise _unusable(f"{path}: {error}") from error

    def transform(self, data: bytes) -> bytes:
        """Turn a file into a payment document.

        Args:
            data: the file's bytes, which are no payment document yet.

        Returns:
            The payment document. Each of its records keeps its line in the file, if that is known.

        Raises:
            DocumentError: the file is not well-formed, or the stylesheet makes no payment document of it.
        """
        head = {
            "name": self._name,
            "largest": self._largest,
            "stylesheet": len(self._source),
            "seconds": _PROCESSOR_SECONDS,
            "memory": _MEMORY_BYTES,
        }
        command = [sys.executable, "-I", "-X", "utf8", "-m", stylesheet_process.__name__]
        try:
            done = subprocess.run(  # noqa: S603  (our own interpreter and module)
                command,
                input=json.dumps(head).encode() + b"\n" + self._source + data,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
                env={},
            )
        except subprocess.TimeoutExpired as error:
            raise self._stopped() from error
        if done.returncode != 0:
            raise self._stopped()
        kind, answer = done.stdout[:1], done.stdout[1:]
        if kind == b"+":
            return answer
        fault = json.loads(answer)
        raise cut_off(data, DocumentError(fault["problem"], fault["line"]))

    def _stopped(self) -> DocumentError:
        return DocumentError(
            f"The stylesheet {self._name} (inbox.transform) did not come to an end with this file. It may take "
            f"{_PROCESSOR_SECONDS} seconds and {_MEMORY_BYTES // 2**20} MiB of memory."
        )


def _unusable(problem: str) -> ConfigurationError:
    mend = "Name one stylesheet of XSLT 1.0 that needs no other file."
    return ConfigurationError((Fault("inbox.transform", problem.rstrip("."), mend),))
