"""Time zones as a mapping names them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from api.ingest.errors import MappingError, shown


def parse_zone(name: str) -> tzinfo:
    """The zone called `UTC`, `Europe/Paris` or `+02:00`. Raises MappingError."""
    if name.upper() in ("UTC", "Z"):
        return UTC
    if name.startswith(("+", "-")):
        try:
            offset = datetime.strptime(name, "%z").tzinfo
        except ValueError:
            offset = None
        if offset is not None:
            return offset
    try:
        return ZoneInfo(name)
    # The name is used as a path below the zone database: it can be too long, or a folder.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise MappingError(
            f"unknown time zone {shown(name)}; expected a name like UTC or Europe/Paris, or +02:00"
        ) from None
