"""What happens between two steps: Python's own audit events, which are raised before the system is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

Listener = Callable[[str, tuple[object, ...]], None]

_listeners: list[Listener] = []
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_STEP = "payment-watcher.step"
_STEPS = {_STEP, "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}


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


@contextmanager
def instead(event: str, path: Path, act: Callable[[Path], None]) -> Iterator[None]:
    """Act just before one call on a path is made: change what it meets, or raise in place of the call.

    The call may name the path, or only the name in a folder that is open.
    """
    acted: list[str] = []

    def listener(seen: str, args: tuple[object, ...]) -> None:
        if seen == event and not acted and args and str(args[0]) in (str(path), path.name):
            acted.append(seen)
            act(path)

    with listening(listener):
        yield
    assert acted, f"no {event} of {path}"


class Stepping:
    """Stands for a part of the program. Each call of it is two steps more: just before it, and just after it."""

    def __init__(self, part: object) -> None:
        self._part = part

    def __getattr__(self, name: str) -> Callable[..., object]:
        act, label = getattr(self._part, name), f"{type(self._part).__name__}.{name}"

        def call(*args: object, **named: object) -> object:
            sys.audit(_STEP, f"before {label}")
            answer = act(*args, **named)
            sys.audit(_STEP, f"after {label}")
            return answer

        return call


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
