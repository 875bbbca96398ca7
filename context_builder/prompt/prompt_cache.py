"""Chooses the cache breakpoint of a prompt. Pure.

The API silently ignores a prefix below the model's minimum. A prefix is therefore marked only if even a lower
bound of its tokens reaches the minimum, so that a mark without cache tokens in the usage indicates a fault.
"""

from __future__ import annotations

import re
from enum import Enum

from context_builder.prompt.prompt import Prompt

_WORDS = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|[0-9]{1,3}")
"""Units that no tokenizer joins, each at least one token; punctuation may be part of a word's token."""


class CacheBreakpoint(Enum):
    """The end of the cached prefix."""

    SYSTEM = "system"
    STABLE = "stable"


def min_tokens(text: str) -> int:
    """Return a lower bound of the tokens in a text."""
    return sum(1 for _ in _WORDS.finditer(text))


def cache_breakpoint(prompt: Prompt, minimum: int) -> CacheBreakpoint | None:
    """Return the end of the longest unchanging prefix; None if it may be too short to be cached."""
    if min_tokens(prompt.system) + min_tokens(prompt.stable) < minimum:
        return None
    return CacheBreakpoint.STABLE if prompt.stable else CacheBreakpoint.SYSTEM
