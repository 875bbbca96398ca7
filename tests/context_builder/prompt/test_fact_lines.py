"""What is computed of a result is shared by all its questions, and ends with it."""

from __future__ import annotations

import gc
import weakref

from context_builder.prompt.fact_lines import lines_of
from context_builder.prompt.tokens import TokenBound
from context_builder.source import Fact
from tests.support.source_results import LINE, asked, packed, reading

BOUND = TokenBound()


def test_two_questions_have_the_same_lines() -> None:
    """Lines depend on neither question nor budget; another bound counts them again."""
    result = reading("health", Fact(LINE, "gpt-4/aws is DOWN"))
    assert packed(asked("Why?"), [result]) != packed(asked("What failed?"), [result])
    (line,) = lines_of(result, BOUND)
    assert lines_of(result, TokenBound()) == (line,)
    (other,) = lines_of(result, BOUND.with_factor(2.0))
    assert other.full == line.full
    assert other.full_tokens > line.full_tokens > line.short_tokens


def test_nothing_is_kept_of_a_result_that_is_gone() -> None:
    """A service lives longer than any tick, so what belongs to one must not outlive it."""
    result = reading("health", Fact(LINE))
    packed(asked("Why?"), [result])
    (line,) = map(weakref.ref, lines_of(result, BOUND))
    assert line() is not None
    del result
    gc.collect()
    assert line() is None
