"""Libraries without what they import by themselves and nobody uses here."""

from __future__ import annotations

import gc
import importlib
import inspect
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# structlog would draw tracebacks with Rich; requests would guess encodings, which XML and JSON declare. Both do without
# where it is not installed. Together they are 6 MB of the daemon and 0.1 s of every start.
_NOT_NEEDED = {"structlog": "rich", "requests": "charset_normalizer"}


class _Later(types.ModuleType):
    """Stands for a module that is imported when something of it is used for the first time."""

    def __getattr__(self, name: str) -> Any:
        """Return what the module itself has."""
        if name.startswith("__") or sys.modules.get(self.__name__) is self:
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def importing() -> Iterator[None]:
    """Import the program without what nobody uses here, and without a search for garbage: what is imported stays.

    The searches would be a tenth of a start.
    """
    gc.disable()
    try:
        with _asyncio_later():
            _import_lean()
            yield
    finally:
        gc.enable()


@contextmanager
def _asyncio_later() -> Iterator[None]:
    """Import libraries without asyncio: it comes when it is first used.

    structlog, SQLAlchemy, filelock and tenacity import it for their asynchronous halves, which nobody uses here. It is
    3 MB of the daemon.
    """
    name = "asyncio"
    if name in sys.modules:
        yield
        return
    later = _Later(name)
    # The only thing of it that one of them wants at once.
    later.iscoroutine = inspect.iscoroutine  # type: ignore[attr-defined]
    sys.modules[name] = later
    try:
        yield
    finally:
        del sys.modules[name]


def _import_lean() -> None:
    """Import structlog and requests as if what they do not need were not installed.

    Call it before anything else imports them. What is left out can still be imported afterwards.
    """
    for library, part in _NOT_NEEDED.items():
        if library in sys.modules or part in sys.modules:
            continue
        # The documented way to say that a module is not there.
        sys.modules[part] = None  # type: ignore[assignment]
        try:
            with warnings.catch_warnings(action="ignore"):
                importlib.import_module(library)
        finally:
            del sys.modules[part]
