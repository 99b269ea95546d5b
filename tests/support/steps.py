"""What happens between two steps: Python's own audit events, which are raised before the system is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

Listener = Callable[[str, tuple[object, ...]], None]

_listeners: list[Listener] = []
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_STEPS = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}


def _audit(event: str, args: tuple[object, ...]) -> None:
    for listener in _listeners:
        listener(event, args)


@cache
def _hook_in() -> None:
    """Add the only audit hook. A hook stays for good, so this one hands on to the listeners of the moment."""
    sys.addaudithook(_audit)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let a function see every audit event. It may act, or raise in place of the call."""
    _hook_in()
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


class Interrupted(Exception):
    """The program came to its end here."""


@contextmanager
def interrupted_at(step: int) -> Iterator[list[str]]:
    """End the program before the given one of the steps that change a folder; yield the steps so far."""
    seen: list[str] = []

    def listener(event: str, args: tuple[object, ...]) -> None:
        if event in _STEPS or (event == "open" and isinstance(args[2], int) and args[2] & _WRITING):
            seen.append(f"{event} {args[0]}")
            if len(seen) == step:
                raise Interrupted

    with listening(listener):
        yield seen
