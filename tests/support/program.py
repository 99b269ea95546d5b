"""Runs the program for tests: the daemon as a process of its own, and single commands in this one or in another."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import structlog

from watcher.cli import commands as cli
from watcher.folders.layout import Folders
from watcher.sandbox import SignIn

# No healthy step takes this long, however busy the machine; what is not there by then does not come.
PATIENCE = 40.0
# The daemon ends within this time of SIGTERM: a promise to whoever stops the machine.
END_SECONDS = 5.0
_OF_THE_MACHINE = (
    "CREDENTIALS_DIRECTORY",
    "STATE_DIRECTORY",
    "NOTIFY_SOCKET",
    "XDG_STATE_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "REQUESTS_CA_BUNDLE",
)


def alone(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Keep the machine's settings out of a test and give it a working directory and a home of its own."""
    for name in list(os.environ):
        if name.startswith("PAYMENT_WATCHER_") or name.upper() in _OF_THE_MACHINE:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)


def until(condition: Callable[[], Any], within: float = PATIENCE) -> Any:
    """Wait for a condition that no event announces, and return its value."""
    deadline = time.monotonic() + within
    pause = threading.Event()
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {within} seconds in vain"
        pause.wait(0.01)
    return found


def configure(folders: Folders, site: str, /, **sections: Mapping[str, object]) -> Path:
    """Write a configuration file beside the inbox that does not keep a test waiting.

    Args:
        folders: the folders, which exist.
        site: the URL of a sandbox, whose keys are given.
        sections: keys that differ, by section.
    """
    sign_in = SignIn()
    settings: dict[str, dict[str, object]] = {
        "connectwise": {
            "site": site,
            "company": sign_in.company,
            "client_id": sign_in.client_id,
            "public_key": sign_in.public_key,
            "private_key": sign_in.private_key,
            "requests_per_minute": 60000,
            "timeout_seconds": 5,
        },
        "folders": {name: str(getattr(folders, name)) for name in ("inbox", "success", "fail", "work", "archive")},
        "inbox": {"settle_seconds": 0.2, "scan_seconds": 0.2, "observer": "off"},
        "journal": {"url": f"sqlite:///{folders.inbox.parent / 'journal.db'}"},
    }
    for section, changes in sections.items():
        settings[section] = {**settings.get(section, {}), **changes}
    file = folders.inbox.parent / "payment-watcher.toml"
    file.write_text(toml(settings), encoding="utf-8")
    return file


def toml(settings: Mapping[str, Mapping[str, object]]) -> str:
    """Write settings as TOML, as the program does."""
    from watcher.config import writing

    return writing.toml(settings)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return everything below a folder: path to content, None for a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def opened(pid: int) -> list[str]:
    """Return what a process has open, as the links in ``/proc/<pid>/fd`` name it."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        # It may be closed by now.
        with suppress(FileNotFoundError):
            found.append(str(link.readlink()))
    return found


def at(line: Mapping[str, Any]) -> float:
    """Return the time of a log line in Unix seconds."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


# --- single commands -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finished:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of standard error that are JSON."""
        return [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]


def command(*arguments: str | Path, stdin: bytes = b"") -> Finished:
    """Run a command in this process, which spares the start of another one, and put back what it changes."""
    out, err, given = (io.TextIOWrapper(io.BytesIO(content), encoding="utf-8") for content in (b"", b"", stdin))
    with (
        restored(),
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["payment-watcher", *map(str, arguments)])
        patch.setattr(sys, "stdin", given)
        with pytest.raises(SystemExit) as end:
            cli.main()
    said = []
    for stream in (out, err):
        stream.flush()
        said.append(stream.buffer.getvalue().decode())
    return Finished(int(end.value.code or 0), *said)


@contextmanager
def restored() -> Iterator[None]:
    """Put back the logging, hooks and signal handlers of this process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook
    woken, blocked = signal.set_wakeup_fd(-1), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for handler in root.handlers:
            if handler not in handlers:
                handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
        sys.excepthook, threading.excepthook = hooks
        for number, handler in signals.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(woken)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a process of its own: nothing of this machine's but the path."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **more}


def program(
    *arguments: str | Path,
    folder: Path,
    stdin: bytes = b"",
    stop_when: Callable[[], bool] | None = None,
    stop_with: signal.Signals = signal.SIGTERM,
    **env: str,
) -> Finished:
    """Run ``python -m watcher`` as a process of its own, in a folder, to its end.

    Args:
        arguments: the command and its options.
        folder: the working directory and home.
        stdin: standard input.
        stop_when: when to send a signal.
        stop_with: the signal.
        env: further variables of the environment.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "watcher", *map(str, arguments)],
        cwd=folder,
        env=environment(folder, **env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            if stop_when is not None:
                until(stop_when)
                process.send_signal(stop_with)
            out, err = process.communicate(stdin, PATIENCE * 2)
        except BaseException:
            process.kill()
            raise
    return Finished(process.returncode, out.decode(), err.decode())


# --- the daemon ------------------------------------------------------------------------------------------------


class Daemon:
    """``payment-watcher run`` as a process of its own, with its log and what it tells systemd.

    Attributes:
        log: its log so far, a dict a line; a line that is no JSON stands under ``text``.
        told: what it told systemd so far, as (time of arrival in Unix seconds, message).
    """

    def __init__(self, config: Path, *options: str, **env: str) -> None:
        self._arguments = [sys.executable, "-m", "watcher", "run", "--config", str(config), *options]
        self._folder = config.parent
        self._env = env
        self._changed = threading.Condition()
        self._ended = False
        self.log: list[dict[str, Any]] = []
        self.told: list[tuple[float, str]] = []

    def __enter__(self) -> Self:
        # The path of a socket must be short, which pytest's folders are not.
        self._place = tempfile.TemporaryDirectory(prefix="notify-")
        address = str(Path(self._place.name, "socket"))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._address = address
        self.process = subprocess.Popen(
            self._arguments,
            cwd=self._folder,
            env=environment(self._folder, NOTIFY_SOCKET=address, **self._env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_log, self._read_told)]
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.process.poll() is None:
                self.process.terminate()
            try:
                self.process.wait(END_SECONDS * 2)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                if error is None:
                    raise
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
                own.sendto(b"", self._address)
            for reader in self._readers:
                reader.join()
            self.process.stderr.close()
            self._socket.close()
            self._place.cleanup()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def events(self, name: str, **keys: object) -> list[dict[str, Any]]:
        """Return the log's lines of an event so far, those with given values only."""
        with self._changed:
            return [line for line in self.log if line.get("event") == name and keys.items() <= line.items()]

    def event(self, name: str, within: float = PATIENCE, **keys: object) -> dict[str, Any]:
        """Wait for an event and give its first line."""
        return self._wait(lambda: self.events(name, **keys), within, f"{name} {keys or ''}")[0]

    def tells(self, start: str, within: float = PATIENCE) -> tuple[float, str]:
        """Wait for a message to systemd that begins so, and return the first, with the time of its arrival."""
        return self._wait(
            lambda: [message for message in self.told if message[1].startswith(start)], within, f"message {start}"
        )[0]

    def end(self) -> int:
        """Ask it to end, as systemd does, and return its exit code; it must not take long."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(END_SECONDS)

    def _wait(self, found: Callable[[], list[Any]], within: float, what: str) -> list[Any]:
        with self._changed:
            self._changed.wait_for(lambda: found() or self._ended, within)
            said = [*self.log, *(message for message in self.told if message[1] != "WATCHDOG=1")]
            assert found(), "\n".join([f"no {what} in", *map(str, said)])
            return found()

    def _read_log(self) -> None:
        for line in self.process.stderr:
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"text": line}
            with self._changed:
                self.log.append(entry)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _read_told(self) -> None:
        while message := self._socket.recv(65536):
            now = time.time()
            with self._changed:
                self.told += [(now, line) for line in message.decode().splitlines()]
                self._changed.notify_all()


class Started(Daemon):
    """A daemon that another program starts.

    Args:
        config: the configuration file.
        starter: the other program and its arguments; the daemon's command follows them.
    """

    def __init__(self, config: Path, *starter: str | Path) -> None:
        super().__init__(config)
        self._arguments = [*map(str, starter), *self._arguments]
