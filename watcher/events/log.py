"""Structured logs on standard error: JSON, or lines for people on a terminal; no secret ever in them.

Everything goes one way. This program's events, other libraries' log records and uncaught errors are rendered alike.
The finished text passes the redaction last, so that it covers a traceback or a library's debug line as well.
"""

from __future__ import annotations

import functools
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog

from watcher.events.catalogue import Event
from watcher.events.redaction import redactor
from watcher.events.stderr import Outlet, StandardError, is_journal
from watcher.plain import plain, plain_lines

# How large a log file gets before it is moved aside (bytes), and how many of them are kept.
_FILE_BYTES = 10_000_000
_FILES_KEPT = 10

# The file descriptor of standard error.
_STDERR = 2

Hears = Callable[[str, Mapping[str, Any]], None]
_Processors = list[structlog.typing.Processor]


def set_up(
    level: str = "info",
    style: Literal["auto", "json", "console"] = "auto",
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
    file: Path | None = None,
    hears: Sequence[Hears] = (),
) -> None:
    """Send all logs of this process to one place in one form. May be called again; the last call holds.

    Args:
        level: the lowest level shown: debug, info, warning, error.
        style: ``auto`` is lines for people on a terminal and JSON anywhere else.
        secrets: texts that must never appear, in any encoding the program sends them in.
        stream: where to write; standard error if None.
        file: a file that also gets the lines, as JSON. It is moved aside before it passes ten megabytes, and the ten
            latest ones are kept.
        hears: each is called with every event and its keys, whatever the level.

    Raises:
        OSError: the file cannot be written.
    """
    redacted = redactor(secrets)
    root = logging.getLogger()
    root.handlers[:] = [
        _to_stream(stream or sys.stderr, style, redacted),
        *([_to_file(file, redacted)] if file is not None else []),
    ]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[
            _Tap(hears),
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        # Who hears the events hears those below the level as well.
        wrapper_class=structlog.make_filtering_bound_logger("debug" if hears else level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    _catch_the_rest()


def _to_stream(stream: TextIO, style: str, redacted: Callable[[str], str]) -> logging.Handler:
    handler = _handler_of(stream)
    if style == "console" or (style == "auto" and stream.isatty()):
        plainly = _Plainly(redacted)
        renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plainly.write_traceback)
        handler.setFormatter(_Redacting([plainly, renderer], redacted))
    else:
        handler.setFormatter(_Redacting(_as_json(), redacted))
    return handler


def _handler_of(stream: TextIO) -> logging.Handler:
    try:
        is_stderr = stream.fileno() == _STDERR
    except (OSError, ValueError):
        # It is a text in memory.
        is_stderr = False
    return StandardError(_outlet(), journal=is_journal(_STDERR)) if is_stderr else logging.StreamHandler(stream)


@functools.cache
def _outlet() -> Outlet:
    """Return the one outlet of this process: what waits in it keeps its place when the log is set up anew."""
    return Outlet(_STDERR)


def _to_file(file: Path, redacted: Callable[[str], str]) -> logging.Handler:
    # Late: few write a file, and it would take pickle and more along.
    from logging.handlers import RotatingFileHandler

    handler = RotatingFileHandler(file, maxBytes=_FILE_BYTES, backupCount=_FILES_KEPT, encoding="utf-8")
    handler.setFormatter(_Redacting(_as_json(), redacted))
    return handler


def _as_json() -> _Processors:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]


def _shared() -> _Processors:
    """Return what every line goes through, this program's own and those of libraries."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _what_first,
    ]


def _catch_the_rest() -> None:
    """Log warnings, and errors that nobody catches."""
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


class _Tap:
    """Lets others hear the events. An error of theirs is logged, and stops no payment."""

    def __init__(self, hears: Sequence[Hears]) -> None:
        self._hears = hears

    def __call__(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        for hear in self._hears:
            try:
                hear(str(event["event"]), event)
            except Exception:
                logging.getLogger(__name__).exception("an event could not be counted or reported")
        return event


class _Plainly:
    """Makes untrusted text in a line for people safe to show; in JSON it is.

    Secrets go first: of a secret that is cut or escaped the rest would not be known any more.
    """

    def __init__(self, redacted: Callable[[str], str]) -> None:
        self._redacted = redacted

    def __call__(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {key: value if key == "exc_info" else self._value(value) for key, value in event.items()}

    def write_traceback(self, to: TextIO, error: structlog.typing.ExcInfo) -> None:
        """Write a traceback, whose last line holds what an error says."""
        traceback = io.StringIO()
        structlog.dev.plain_traceback(traceback, error)
        to.write(plain_lines(self._redacted(traceback.getvalue())))

    def _value(self, value: object) -> object:
        if isinstance(value, str):
            return plain(self._redacted(value))
        # As the line will hold it.
        shown = self._redacted(repr(value))
        safe = plain(shown)
        return value if safe == shown else safe


def _what_first(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Put what happened before its details, for people who read JSON."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return {**first, **event}


def _log_uncaught(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    structlog.get_logger().critical(Event.CRASHED, exc_info=(kind, error, traceback))


class _Redacting(logging.Formatter):
    """Renders records, and takes the secrets out of the finished text."""

    def __init__(self, renderers: _Processors, redacted: Callable[[str], str]) -> None:
        super().__init__()
        self._formatter = structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
        self._redacted = redacted

    def format(self, record: logging.LogRecord) -> str:
        """Render a record with ``***`` in place of every secret."""
        return self._redacted(self._formatter.format(record))
