"""Configures logging: one line per event on standard error, for people or as JSON."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Literal

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor

from context_builder.text.redaction import Redaction

LogFormat = Literal["console", "json"]

_LIBRARIES_FROM = logging.WARNING
"""Minimum level of messages from libraries; ours are logged from INFO on."""


def configure_logging(log_format: LogFormat, redaction: Redaction | None = None) -> None:
    """Send our messages and those of libraries to standard error, in the given format, without secrets."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_trace_id,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _Redactor(redaction or Redaction()),
                _renderer(log_format),
            ],
        )
    )
    handler.addFilter(_is_no_cancelled_reset)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LIBRARIES_FROM)
    for package in ("models", "memory", "context_builder", "api"):
        logging.getLogger(package).setLevel(logging.INFO)
    # It repeats tracebacks that the exception handler has already logged with the request's id.
    logging.getLogger("uvicorn.error").addFilter(_is_not_repeated)


class _Redactor:
    """Redacts every value of an event, the last thing before it is written: nothing is added after it."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        return {name: self._redacted(name, value) for name, value in event.items()}

    def _redacted(self, name: str, value: object) -> object:
        """Return a value as it is written, with its name read as that of an assignment."""
        if value is None or isinstance(value, bool | int | float):
            return value
        text = value if isinstance(value, str) else str(value)
        redacted = self._redaction(f"{name}={text}")
        return redacted.removeprefix(f"{name}=") if redacted != f"{name}={text}" else value


def _add_trace_id(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Name the trace of the span that is current, by which lines and spans find each other."""
    current = trace.get_current_span().get_span_context()
    if current.is_valid:
        event["trace_id"] = trace.format_trace_id(current.trace_id)
    return event


def _renderer(log_format: LogFormat) -> Processor:
    # Plain tracebacks: others show local variables, which can contain secrets.
    if log_format == "json":
        return structlog.processors.JSONRenderer(default=str)
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def _is_no_cancelled_reset(record: logging.LogRecord) -> bool:
    """Return False for a connection that is closed since the task that gave it back was cancelled."""
    error = record.exc_info[1] if record.exc_info else None
    return not (record.name.startswith("sqlalchemy.pool") and isinstance(error, asyncio.CancelledError))


def _is_not_repeated(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Exception in ASGI application")
