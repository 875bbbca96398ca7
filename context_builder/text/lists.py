"""Counted and shortened lists as facts write them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def rank_counts(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return names with their counts, highest first; ties by name, so that the order is always the same."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def format_items(items: Sequence[str], most: int) -> str:
    """Join the first `most` items and count the rest: `a, b and 3 more`."""
    rest = f" and {len(items) - most:,} more" if len(items) > most else ""
    return f"{', '.join(items[:most])}{rest}"
