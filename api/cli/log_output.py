"""Configures logging of commands: off by default, since answers name what failed."""

from __future__ import annotations

import logging

import structlog

from api.log_setup import configure_logging

_OURS = ("models", "memory", "context_builder", "api")


def configure_logs(*, verbose: bool) -> None:
    """Show warnings on standard error, or nothing."""
    configure_logging("console")
    # The service configures logging again, which a cached logger would not notice.
    structlog.configure(cache_logger_on_first_use=False)
    for name in ("", *_OURS):
        logging.getLogger(name).setLevel(logging.WARNING if verbose else logging.CRITICAL + 1)
    logging.captureWarnings(capture=True)
