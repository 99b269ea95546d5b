"""While the daemon runs: has ConnectWise another version than the one that was proved? Holds up nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from watcher.errors import PaymentWatcherError
from watcher.events.catalogue import Event
from watcher.proving import proved


class VersionLook:
    """Asks for the version once, in a thread of its own, after the daemon has begun to watch the inbox."""

    def __init__(self, folder: Path, version: Callable[[], str]) -> None:
        """Ask nothing yet.

        Args:
            folder: the state folder. If nothing was proved, nothing is asked.
            version: asks ConnectWise for its version.
        """
        self._folder = folder
        self._version = version
        self._begun = False

    def hear(self, name: str, _event: Mapping[str, Any]) -> None:
        """Hear an event of the daemon."""
        if name == Event.WATCHING and not self._begun and proved.remembered(self._folder) is not None:
            self._begun = True
            threading.Thread(target=self._compare, name="version", daemon=True).start()

    def _compare(self) -> None:
        try:
            now = proved.compare(self._folder, self._version())
        except PaymentWatcherError:
            # ConnectWise cannot be asked now, which others tell. The next start asks again.
            return
        if now is not None and now.is_old:
            structlog.get_logger().warning(Event.CONNECTWISE_OTHER_VERSION, proved=now.version, version=now.seen)
