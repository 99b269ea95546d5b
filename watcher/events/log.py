"""Structured logs on standard error: JSON, or lines for people on a terminal; no secret ever in them.

Everything goes one way: this program's events, other libraries' log records and uncaught errors are rendered by the
same formatter, and the finished text passes the redaction last, so that a traceback or a library's debug line is
covered as well.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog

from watcher.events.catalogue import Event
from watcher.events.redaction import redactor

# A log file's size before it is moved aside, bytes, and how many of them are kept.
_FILE_BYTES = 10_000_000
_FILES_KEPT = 10

Hears = Callable[[str, Mapping[str, Any]], None]


def set_up(
    level: str = "info",
    style: Literal["auto", "json", "console"] = "auto",
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
    file: Path | None = None,
    hears: Sequence[Hears] | None = None,
) -> None:
    """Send all logs of this process to one place in one form. May be called again; the last call holds.

    Args:
        level: the lowest level shown: debug, info, warning, error.
        style: ``auto`` is console lines on a terminal and JSON anywhere else.
        secrets: texts that must never appear, in any encoding the program sends them in.
        stream: where to write; standard error if None.
        file: a file that gets the lines as JSON, too; it is moved aside before it passes ten megabytes, and the ten
            latest ones are kept.
        hears: each is called with every event and its keys, whatever the level; the list may grow later.

    Raises:
        OSError: the file cannot be written.
    """
    stream = stream or sys.stderr
    console = style == "console" or (style == "auto" and stream.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _what_first,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer(default=str)
    )
    exceptions: list[structlog.typing.Processor] = [] if console else [structlog.processors.format_exc_info]
    handlers: list[logging.Handler] = [logging.StreamHandler(stream)]
    handlers[0].setFormatter(_formatter([*exceptions, renderer], shared, secrets))
    if file is not None:
        handlers.append(RotatingFileHandler(file, maxBytes=_FILE_BYTES, backupCount=_FILES_KEPT, encoding="utf-8"))
        json: list[structlog.typing.Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ]
        handlers[1].setFormatter(_formatter(json, shared, secrets))
    root = logging.getLogger()
    root.handlers[:] = handlers
    root.setLevel(level.upper())
    structlog.configure(
        processors=[
            _Tap(hears if hears is not None else ()),
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger("debug" if hears is not None else level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


class _Tap:
    """Lets others hear the events. What goes wrong there is logged, and stops no payment."""

    def __init__(self, hears: Sequence[Hears]) -> None:
        self._hears = hears

    def __call__(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        for hear in self._hears:
            try:
                hear(str(event["event"]), event)
            except Exception:
                logging.getLogger(__name__).exception("an event could not be counted or told of")
        return event


def _formatter(
    processors: list[structlog.typing.Processor], shared: list[structlog.typing.Processor], secrets: Iterable[str]
) -> logging.Formatter:
    first = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return _Redacting(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[first, *processors]), secrets
    )


def _what_first(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Put what happened before its details, for those who read JSON with their eyes."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return {**first, **event}


def _log_uncaught(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    structlog.get_logger().critical(Event.CRASHED, exc_info=(kind, error, traceback))


class _Redacting(logging.Formatter):
    """Takes the secrets out of what another formatter has finished."""

    def __init__(self, formatter: logging.Formatter, secrets: Iterable[str]) -> None:
        super().__init__()
        self._formatter = formatter
        self._redacted = redactor(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Render a record with every secret replaced by ``***``."""
        return self._redacted(self._formatter.format(record))
