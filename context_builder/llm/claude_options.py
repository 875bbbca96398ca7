"""The options of a Claude client; this module does not load the SDK."""

from __future__ import annotations

from dataclasses import dataclass, field

from context_builder.llm.pricing import UNKNOWN_CACHE_MINIMUM

API_URL = "https://api.anthropic.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaudeOptions:
    """What both Claude clients, single calls and batches, are configured with."""

    api_key: str = field(repr=False)
    model: str
    max_output_tokens: int
    """Upper limit of billed output, in tokens per reply."""
    deadline_s: float
    """Limit of one call including connection, retries and their waits, in seconds."""
    base_url: str = API_URL
    max_retries: int = 2
    cache_minimum: int = UNKNOWN_CACHE_MINIMUM
    """Length of the shortest prefix that the API caches for the model, in tokens."""
