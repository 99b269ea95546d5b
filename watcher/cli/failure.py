"""``notify-failure``: what the unit's ``OnFailure=`` calls."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from watcher.actions import failure
from watcher.cli import identity
from watcher.config import load as config


def tell(config_file: Path | None) -> tuple[list[str], bool]:
    """Send a message to each service of ``[notify]`` that the daemon has failed for good.

    Args:
        config_file: the configuration file that was named; None if none was.

    Returns:
        What was done, in sentences, and False if there are services and none took the message.

    Raises:
        ConfigurationError: ``[notify]`` cannot be read.
    """
    path = identity.configuration(config_file)
    urls = config.notify_alone(path).urls
    if not urls:
        return ["Nobody is told: notify.urls names no service."], True
    from watcher.events.messenger import sender

    notice = failure.notice_of(os.environ, path.stem if path else "", socket.gethostname())
    told = list(failure.tell([sender(url.get_secret_value()) for url in urls], notice))
    return list(_sentences(told)), any(fault is None for _, fault in told)


def _sentences(told: list[tuple[str, str | None]]) -> Iterator[str]:
    for name, fault in told:
        yield f"{name} has taken the message." if fault is None else f"{name} has not taken the message: {fault}."
