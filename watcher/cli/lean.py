"""Libraries without what they import by themselves and nobody uses here."""

from __future__ import annotations

import importlib
import sys
import warnings

# structlog would draw tracebacks with Rich; requests would guess encodings, which XML and JSON declare. Both do without
# where it is not installed. Together they are 6 MB of the daemon and 0.1 s of every start.
_NOT_NEEDED = {"structlog": "rich", "requests": "charset_normalizer"}


def import_lean() -> None:
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
