"""Makes the headlines of facts safe to store and to show. Pure."""

from __future__ import annotations

from dataclasses import replace

from context_builder.source import Headline
from context_builder.text.sanitize import single_line

MAX_HEADLINE = 300
"""Characters that are stored; a brief shows less."""


def safe_headline(headline: Headline | None) -> Headline | None:
    """Return a headline whose text is one safe line."""
    if headline is None:
        return None
    text = single_line(headline.text, limit=MAX_HEADLINE)
    return headline if text == headline.text else replace(headline, text=text)
