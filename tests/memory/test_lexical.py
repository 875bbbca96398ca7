"""The lexical score: the share of a query's wording that a text explains."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.lexical import lexical_scores

texts = st.text(max_size=60)


@given(texts, st.lists(texts, max_size=6))
def test_every_score_is_a_share(query: str, others: list[str]) -> None:
    """For any text, in any script, a score is from 0 to below 1, and there is one per text."""
    scores = lexical_scores(query, others)
    assert len(scores) == len(others)
    assert all(0 <= score < 1 for score in scores)


def test_a_rare_word_counts_more_than_common_ones() -> None:
    """The error code that one text has decides over words that all of them have."""
    scores = lexical_scores(
        "requests fail with error E1729",
        ["requests fail with error E1729", "requests fail with error again and again", "nothing of the kind"],
    )
    assert scores[0] > 1.5 * scores[1] > scores[2] == 0


def test_case_and_accents_of_any_script_match() -> None:
    """Words are compared without case."""
    assert lexical_scores("STRASSE ÄRGER СЛОВО", ["straße ärger слово"])[0] > 0.3


@pytest.mark.parametrize("text", ["word " * 1_000_000, "x" * 5_000_000])
def test_a_huge_text_costs_no_more_than_its_beginning(text: str) -> None:
    """The work on one text is bounded, however long it is."""
    started = time.perf_counter()
    lexical_scores(text, [text] * 5)
    assert time.perf_counter() - started < 0.5
