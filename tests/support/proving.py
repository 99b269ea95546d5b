"""Runs ``prove`` against a sandbox, behind an unreliable network, in no time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.line import Hurried
from support.network import Strike, Unreliable
from support.program import Finished, command, configure, environment

from watcher.cli import prove as cli
from watcher.folders.layout import Folders
from watcher.sandbox import Sandbox

_CHILD = """
import sys
from pathlib import Path
from watcher.lifetime import Lifetime

class Hasty(Lifetime):
    passed = 0.0
    def now(self):
        return self.passed
    def pause(self, seconds):
        self.passed += seconds

from watcher.cli import prove
from watcher.cli.exits import exit_code
from watcher.errors import PaymentWatcherError
try:
    sys.exit(prove.prove(Path(sys.argv[1]), "TEST-1", None, yes=sys.argv[2] == "yes", new_lifetime=Hasty))
except PaymentWatcherError as error:
    print(error)
    sys.exit(exit_code(error))
"""


class Prove:
    """Proves one ConnectWise.

    Attributes:
        sandbox: the ConnectWise.
        network: what lies between.
        config: the configuration file.
        waits: called whenever a wait lets time pass.
        last: what the last proof said.
    """

    def __init__(self, folders: Folders, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sandbox = sandbox
        self.network = Unreliable(sandbox.url)
        self.folders = folders
        self.waits: Callable[[], object] = lambda: None
        self.settings: dict[str, dict[str, object]] = {}
        self.lifetimes: list[Hurried] = []
        self.last: Finished | None = None
        self._monkeypatch = monkeypatch

    def _lifetime(self) -> Hurried:
        outer = self

        class Passing(Hurried):
            """Lets time pass in the sandbox, too."""

            def pause(self, seconds: float) -> None:
                super().pause(seconds)
                outer.sandbox.pass_time(seconds)
                outer.waits()

        lifetime = Passing()
        self.lifetimes.append(lifetime)
        return lifetime

    @property
    def state(self) -> Path:
        """The notes of a proof under way."""
        return self.config_folder / "prove.state"

    def __call__(self, *arguments: str | Path, strikes: tuple[Strike, ...] = (), stdin: bytes = b"") -> Finished:
        """Prove, and return what was said."""
        self.network.strike(*strikes)
        # Time passes for this ConnectWise, and not for the one that was proved last.
        self._monkeypatch.setitem(cli.prove.__kwdefaults__, "new_lifetime", self._lifetime)
        self.last = command("prove", *arguments, "--config", self.configured(), stdin=stdin)
        return self.last

    def configured(self) -> Path:
        """Write the configuration file."""
        return configure(self.folders, self.network.url, **self.settings)

    def apart(self, *, stdin: int = subprocess.DEVNULL, yes: bool = True) -> subprocess.Popen[str]:
        """Prove in a process of its own, which waits for nothing either."""
        return subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(self.configured()), "yes" if yes else "ask"],
            cwd=self.config_folder,
            env=environment(self.config_folder, PYTHONPATH=os.pathsep.join(sys.path)),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def config_folder(self) -> Path:
        """Where the configuration and the notes lie."""
        return self.folders.inbox.parent

    def report(self, *arguments: str | Path, **more: Any) -> dict[str, Any]:
        """Prove with a report as JSON, and return it."""
        file = self.config_folder / "report.json"
        self(*arguments, "--json", file, **more)
        return dict(json.loads(file.read_bytes()))
