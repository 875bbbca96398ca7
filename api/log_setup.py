"""Configures logging: one line per event on standard error, for people or as JSON."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import Processor

LogFormat = Literal["console", "json"]

_LIBRARIES_FROM = logging.WARNING
"""Minimum level of messages from libraries; ours are logged from INFO on."""


def configure_logging(log_format: LogFormat) -> None:
    """Send our messages and those of libraries to standard error, in the given format."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
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
                *_rendering(log_format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LIBRARIES_FROM)
    for package in ("models", "memory", "context_builder", "api"):
        logging.getLogger(package).setLevel(logging.INFO)
    # It repeats tracebacks that the exception handler has already logged with the request's id.
    logging.getLogger("uvicorn.error").addFilter(_is_not_repeated)


def _rendering(log_format: LogFormat) -> list[Processor]:
    # Plain tracebacks: others show local variables, which can contain secrets.
    if log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _is_not_repeated(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Exception in ASGI application")
