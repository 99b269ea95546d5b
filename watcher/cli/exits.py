"""The exit codes, and which one an error has."""

from __future__ import annotations

from watcher.errors import (
    ConfigurationError,
    FolderTrouble,
    JournalTrouble,
    Occupied,
    PaymentWatcherError,
    SignInRefused,
    Stopping,
    Unreachable,
)

# Exit codes beside 0 and what sysexits.h names; the README lists them.
SOME_FAILED, UNUSABLE, UNREACHABLE, SIGN_IN_REFUSED, CONFIGURATION, INTERRUPTED = 1, 2, 69, 77, 78, 130


def exit_code(error: PaymentWatcherError) -> int:
    """Return the exit code of an error."""
    match error:
        case ConfigurationError() | Occupied() | FolderTrouble() | JournalTrouble():
            return CONFIGURATION
        case SignInRefused():
            return SIGN_IN_REFUSED
        case Unreachable():
            return UNREACHABLE
        case Stopping():
            return INTERRUPTED
        case _:
            return UNUSABLE
