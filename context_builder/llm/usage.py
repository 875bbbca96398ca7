"""The token counts of one model call."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Billed tokens."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        """All input tokens, cached or not; comparable to the token bound."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens
