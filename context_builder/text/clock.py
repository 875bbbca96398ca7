"""The product's only clock; tests pass their own."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the current wall-clock time in UTC."""
    return datetime.now(UTC)
