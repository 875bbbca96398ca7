"""Parses Accept headers."""

from __future__ import annotations


def prefers(accept: str, media_type: str) -> bool:
    """Return whether the header names a media type, with no lower quality than JSON."""
    qualities = dict(_quality(part) for part in accept.lower().split(","))
    wanted = qualities.get(media_type, 0.0)
    return wanted > 0 and wanted >= qualities.get("application/json", 0.0)


def wants_events(accept: str) -> bool:
    """Return whether the header names event streams, with no lower quality than JSON."""
    return prefers(accept, "text/event-stream")


def _quality(media_range: str) -> tuple[str, float]:
    media_type, *parameters = (part.strip() for part in media_range.split(";"))
    weight = next((value[2:] for value in parameters if value.startswith("q=")), "1")
    try:
        return media_type, float(weight)
    except ValueError:
        return media_type, 0.0
