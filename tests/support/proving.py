"""Runs ``prove`` against a sandbox, behind an unreliable network, in no time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.line import Hurried
from support.network import Strike, Unreliable
from support.program import Finished, command, configure

from watcher.cli import prove as cli
from watcher.folders.layout import Folders
from watcher.sandbox import Sandbox


class Prove:
    """Proves one ConnectWise.

    Attributes:
        sandbox: the ConnectWise.
        network: what lies between.
        config: the configuration file.
        waits: called whenever a wait lets time pass.
    """

    def __init__(self, folders: Folders, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sandbox = sandbox
        self.network: Unreliable | None = None
        self.folders = folders
        self.waits: Callable[[], object] = lambda: None
        self.settings: dict[str, dict[str, object]] = {}
        self.lifetimes: list[Hurried] = []
        monkeypatch.setitem(cli.prove.__kwdefaults__, "new_lifetime", self._lifetime)

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
        return self.folders.inbox.parent / "prove.state"

    def __call__(self, *arguments: str | Path, strikes: tuple[Strike, ...] = (), stdin: bytes = b"") -> Finished:
        """Prove, and return what was said."""
        with Unreliable(self.sandbox.url, *strikes) as network:
            self.network = network
            config = configure(self.folders, network.url, **self.settings)
            return command("prove", *arguments, "--config", config, stdin=stdin)

    def report(self, *arguments: str | Path, **more: Any) -> dict[str, Any]:
        """Prove with a report as JSON, and return it."""
        file = self.folders.inbox.parent / "report.json"
        self(*arguments, "--json", file, **more)
        return dict(json.loads(file.read_bytes()))
