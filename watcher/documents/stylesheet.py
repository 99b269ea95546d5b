"""Turns the accounting system's own XML into payment documents, with the operator's stylesheet.

Each file gets a process of its own, ``stylesheet_process``, which has a time limit and a memory limit.
"""

from __future__ import annotations

import hashlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from watcher.documents import sheets, stylesheet_process
from watcher.documents.unfinished import real_fault
from watcher.errors import ConfigurationError, DocumentError, Fault, Outage, Stopping
from watcher.lifetime import Lifetime
from watcher.plain import plain

# What one file may take. It may last longer than its processor time, since the machine may be busy.
_PROCESSOR_SECONDS = 30
_SECONDS = 60
_MEMORY_BYTES = 2**30
# How many times a file is tried whose process is ended from outside, such as by the kernel for lack of memory.
_TRIES = 3
# What ends a process by its own doing: it crashed with this file.
_CRASHES = (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV)
# How often a wait for the process looks whether the daemon is asked to end (seconds).
_LOOK_SECONDS = 0.2
# How much is written to or read from the process at once (bytes).
_PIECE = 65536
# What a process that never began says about it, such as the end of a traceback (bytes).
_LAST_WORDS = 4096
_MEND = "Install this program anew, or make room in memory; the work then goes on by itself"
_MEND_MACHINE = f"Look whether the machine lacks memory or is too busy. The file is tried {_TRIES} times, then refused"


class _EndedFromOutside(Exception):
    """The process did not come to its end, and nothing shows that it was this file's doing."""


class Stylesheet:
    """The stylesheet of ``inbox.transform``: the operator's own, or a format of ours."""

    def __init__(
        self, path: Path, largest: int, lifetime: Lifetime, parameters: Mapping[str, str] | None = None
    ) -> None:
        """Read and check a stylesheet.

        Args:
            path: the file, or the name of a format of ``sheets``.
            largest: the most that a payment document made by it may hold (bytes).
            lifetime: gets the signs of life while a file is transformed, and knows whether the program is asked to end.
            parameters: texts for its parameters, by name. ``sheets.AMOUNTS`` may always be given.

        Raises:
            ConfigurationError: the file cannot be read, is no stylesheet, uses something that is not allowed, or takes
                no such parameter.
        """
        self._name = path.name
        self._largest = largest
        self._lifetime = lifetime
        # The file that is tried again (SHA-256), and how many times it was tried.
        self._tried: tuple[bytes, int] = (b"", 0)
        try:
            self._source = sheets.source(path)
            stylesheet_process.compiled(self._source)
            self._parameters = _taken(path, sheets.parameters(self._source), parameters or {})
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
            Stopping: the program is asked to end.
            Outage: the process cannot be started, whatever the file. Or it was ended from outside; the third time, the
                file is refused.
        """
        try:
            made = self._made(data)
        except _EndedFromOutside as error:
            digest = hashlib.sha256(data).digest()
            tries = self._tried[1] + 1 if self._tried[0] == digest else 1
            self._tried = (digest, tries)
            if tries >= _TRIES:
                raise self._stopped(f"it was tried {tries} times, and {error} each time") from error
            what = f"the stylesheet {self._name} (inbox.transform) was not applied to the end: {error}"
            raise Outage(what, _MEND_MACHINE) from error
        self._tried = (b"", 0)
        return made

    def _made(self, data: bytes) -> bytes:
        """Return what the process makes of a file.

        Raises:
            DocumentError, Stopping, Outage: as ``transform`` does.
            _EndedFromOutside: it did not come to its end.
        """
        head = {
            "name": self._name,
            "largest": self._largest,
            "stylesheet": len(self._source),
            "seconds": _PROCESSOR_SECONDS,
            "memory": _MEMORY_BYTES,
            "parameters": self._parameters,
        }
        ended_by, answer, words = self._run(json.dumps(head).encode() + b"\n" + self._source + data)
        if not answer.startswith(stylesheet_process.BEGUN):
            raise _not_started(words or f"it ended with {ended_by}")
        kind, content = answer[1:2], answer[2:]
        if kind == stylesheet_process.SHORT:
            raise _EndedFromOutside("the machine gave its process no more memory")
        if kind == stylesheet_process.MEMORY:
            raise self._stopped(f"{_MEMORY_BYTES // 2**20} MiB of memory were not enough")
        if ended_by == -signal.SIGXCPU:
            raise self._stopped(f"{_PROCESSOR_SECONDS} seconds of processor time were not enough")
        if ended_by < 0 and -ended_by not in _CRASHES:
            raise _EndedFromOutside(f"its process was ended by {signal.Signals(-ended_by).name}")
        if ended_by != 0:
            name = signal.Signals(-ended_by).name if ended_by < 0 else f"exit code {ended_by}"
            raise self._stopped(f"its process ended by {name}")
        if kind == stylesheet_process.MADE:
            return content
        fault = json.loads(content)
        raise real_fault(data, DocumentError(fault["problem"], fault["line"]))

    def _run(self, request: bytes) -> tuple[int, bytes, str]:
        """Send a request to a process; return its exit code (negative: a signal), its answer, and its last words.

        Raises:
            DocumentError: its answer is too large.
            Stopping: the program is asked to end.
            Outage: it cannot be started.
            _EndedFromOutside: it takes too long.
        """
        command = [sys.executable, "-I", "-X", "utf8", "-m", stylesheet_process.__name__]
        pipe = subprocess.PIPE
        try:
            # In a process group of its own: Ctrl-C ends the program, and the program ends this process.
            process = subprocess.Popen(  # noqa: S603  (our own)
                command, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe, env={}, process_group=0
            )
        except OSError as error:
            raise _not_started(os.strerror(error.errno or 0)) from error
        with process:
            try:
                answer, words = self._exchange(process, request)
                return process.wait(), answer, words
            finally:
                # Whatever came up: it does not outlive this call.
                process.kill()

    def _exchange(self, process: subprocess.Popen[bytes], request: bytes) -> tuple[bytes, str]:
        """Write the request and read what comes, until the process ends."""
        assert process.stdin
        assert process.stdout
        assert process.stderr
        # This is real time, even where a test's lifetime only pretends: it is how long a process takes.
        until = time.monotonic() + _SECONDS
        left, answer, words = memoryview(request), bytearray(), b""
        os.set_blocking(process.stdin.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdin, selectors.EVENT_WRITE)
            selector.register(process.stdout, selectors.EVENT_READ)
            selector.register(process.stderr, selectors.EVENT_READ)
            while selector.get_map():
                self._check(until)
                for key, _ in selector.select(_LOOK_SECONDS):
                    if key.fileobj is process.stdin:
                        left = _written(key.fd, left)
                        piece = bytes(left[:1])
                    else:
                        piece = os.read(key.fd, _PIECE)
                    if not piece:
                        selector.unregister(key.fileobj)
                        if key.fileobj is process.stdin:
                            process.stdin.close()
                    elif key.fileobj is process.stdout:
                        answer += piece
                    elif key.fileobj is process.stderr:
                        words = (words + piece)[-_LAST_WORDS:]
                if len(answer) > self._largest + _PIECE:
                    raise DocumentError(stylesheet_process.too_large(self._name, self._largest))
        return bytes(answer), words.decode(errors="replace").strip().rpartition("\n")[2]

    def _check(self, until: float) -> None:
        """Give a sign of life, and look whether there is a reason to wait no longer."""
        self._lifetime.alive()
        if self._lifetime.ending:
            raise Stopping("asked to end while a stylesheet was applied")
        if time.monotonic() > until:
            # It cannot wait for anything. So it did not get the processor time that it may take.
            raise _EndedFromOutside(f"{_SECONDS} seconds were not enough on this busy machine")

    def _stopped(self, reason: str) -> DocumentError:
        return DocumentError(
            f"The stylesheet {self._name} (inbox.transform) did not come to an end with this file: {reason}."
        )


def _written(pipe: int, left: memoryview) -> memoryview:
    """Write some of a request to a pipe; return what is left of it, nothing if nobody reads it."""
    try:
        return left[os.write(pipe, left[:_PIECE]) :]
    except BrokenPipeError:
        return left[len(left) :]


def _taken(path: Path, known: tuple[str, ...], given: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that are given to a stylesheet.

    Raises:
        ConfigurationError: it does not take all of them.
    """
    mend = f"It accepts {', '.join(known)}." if known else "It accepts none: take the key out."
    unknown = [name for name in given if name not in (*known, sheets.AMOUNTS)]
    if unknown:
        raise ConfigurationError(
            tuple(Fault(f"transform.{name}", f"is no parameter of {path.name}", mend) for name in unknown)
        )
    # XSLT ignores a parameter that nobody declares (1.0, 11.4).
    return dict(given)


def _not_started(reason: str) -> Outage:
    return Outage(f"the process of the stylesheet (inbox.transform) does not start: {plain(reason, 300)}", _MEND)


def _unusable(problem: str) -> ConfigurationError:
    mend = "Name one stylesheet of XSLT 1.0 that needs no other file."
    return ConfigurationError((Fault("inbox.transform", problem.rstrip("."), mend),))
