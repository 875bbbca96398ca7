"""Where a prompt is marked for the API's cache. Pure.

A prefix below the model's minimum is not cached, and the API does not say so. So one is marked only where
even a lower bound of its tokens reaches the minimum; what the bill says of the cache can then be relied on.
"""

from __future__ import annotations

import re
from enum import Enum

from context_builder.prompt.prompt import Prompt

_WORDS = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|[0-9]{1,3}")
"""What no tokenizer joins: each costs a token at least, where a word takes the marks around it along."""


class CacheBreakpoint(Enum):
    """The end of the cached prefix."""

    SYSTEM = "system"
    STABLE = "stable"


def min_tokens(text: str) -> int:
    """A lower bound of the tokens in a text."""
    return sum(1 for _ in _WORDS.finditer(text))


def cache_breakpoint(prompt: Prompt, minimum: int) -> CacheBreakpoint | None:
    """The end of the longest prefix that stays the same, if it is long enough to be cached."""
    if min_tokens(prompt.system) + min_tokens(prompt.stable) < minimum:
        return None
    return CacheBreakpoint.STABLE if prompt.stable else CacheBreakpoint.SYSTEM
