"""A prefix is marked for the cache only where it is certain to be cached."""

from __future__ import annotations

import pytest
from hypothesis import given

from context_builder.prompt.prompt import Prompt
from context_builder.prompt.prompt_cache import CacheBreakpoint, cache_breakpoint, min_tokens
from context_builder.prompt.render import SYSTEM
from context_builder.prompt.tokens import TokenBound
from tests.support.source_results import texts


@given(texts)
def test_the_lower_bound_is_below_the_upper_one(text: str) -> None:
    """For any text, the lower bound does not exceed the upper bound."""
    assert min_tokens(text) <= TokenBound(1.0).of(text)


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("", 0),
        ("don't stop", 2),
        ("20261120", 3),
        ("(aws):", 1),
        ("日本", 1),
        ("naïve Größe", 2),
        ("größer_als", 2),
        ("a-b", 2),
    ],
)
def test_only_what_no_tokenizer_joins_is_counted(text: str, least: int) -> None:
    """Words count one each and digits one per three; punctuation may be part of a word's token."""
    assert min_tokens(text) == least


def test_it_is_not_far_below() -> None:
    """For the rules, which are plain English, it is at least half of the upper bound."""
    assert min_tokens(SYSTEM) > TokenBound(1.0).of(SYSTEM) / 2


def test_the_breakpoint_ends_the_longest_stable_prefix() -> None:
    """A prefix of exactly the minimum is marked; volatile text never counts."""
    both = Prompt("one two", "never " * 999, "three four")
    assert cache_breakpoint(both, 4) is CacheBreakpoint.STABLE
    assert cache_breakpoint(both, 5) is None
    assert cache_breakpoint(Prompt("one two", "never " * 999), 2) is CacheBreakpoint.SYSTEM
    assert cache_breakpoint(Prompt("one two", "never " * 999), 3) is None
