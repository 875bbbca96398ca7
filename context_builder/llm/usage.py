"""What one model call consumed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as billed, in whole tokens."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        """All input, cached or not: what the token bound is held against."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens
