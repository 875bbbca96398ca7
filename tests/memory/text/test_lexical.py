"""The lexical score: the share of a query's wording that a text explains."""

from __future__ import annotations

from functools import partial
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.text import lexical
from memory.text.lexical import lexical_scores, wording, wording_scores

texts = st.text(max_size=60)


@given(texts, st.lists(texts, max_size=6))
def test_every_score_is_a_share(query: str, others: list[str]) -> None:
    """For any text, in any script, a score is from 0 to below 1, and there is one per text."""
    scores = lexical_scores(query, others)
    of_wording = wording_scores(wording(query), others)
    assert len(scores) == len(of_wording) == len(others)
    assert all(0 <= score < 1 for score in [*scores, *of_wording])


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
def test_of_a_huge_text_only_the_beginning_is_read(text: str) -> None:
    """The work on one text is bounded, however long it is: what comes after is not looked at."""
    beginning = text[:10_000]
    assert lexical_scores(text, [text, "other"]) == lexical_scores(beginning, [beginning, "other"])
    assert lexical_scores("rate_limit_exceeded", [text + " rate_limit_exceeded"]) == [0]


@pytest.mark.parametrize(
    "identifier", ["user_3fa2c1", "1f0c-22e4", "v3.14.2", "edge-07", "rate_limit_exceeded", "ключ_9"]
)
def test_an_identifier_decides_and_counts_as_a_whole(identifier: str) -> None:
    """Of texts that are alike the one that holds what the question names wins, not one with its parts."""
    parts = " ".join(identifier.replace("_", " ").replace("-", " ").replace(".", " ").split()[::-1])
    around = "requests of {} failed and nobody knew why until somebody looked"
    question = wording(f"What do we know about {identifier}?")
    assert question.identifiers == (identifier,)
    holding, scattered, longer, without = wording_scores(
        question, [around.format(name) for name in (identifier.upper(), parts, identifier + "x", "none")]
    )
    assert holding > 2 * max(scattered, longer, without)


def test_words_of_the_target_and_of_any_question_are_not_looked_for() -> None:
    """What else befell a target is not alike for that; of nothing but such words some are kept."""
    asked = wording("Has gpt-4/aws ever had its pool exhausted before?", "gpt-4/aws")
    assert asked.words == ("pool", "exhausted")
    assert asked.identifiers == ()
    assert wording("has it been so before?").words == ("has", "it", "been", "so", "before")
    assert wording("").words == ()


def test_in_a_small_memory_words_tell_too() -> None:
    """Where all texts are the same incident again, sharing its words is still a sign of likeness."""
    text = "connection pool exhausted in the router, requests wait in line"
    same, other = (wording_scores(wording(query), [text] * 3)[0] for query in (text, "bread with rye flour"))
    assert same > 0.2
    assert other == 0


@given(texts, st.lists(texts, max_size=6))
def test_what_is_remembered_of_a_text_changes_no_score(query: str, others: list[str]) -> None:
    """Read before or read again, in whatever order, a text gets the same score to the last bit."""
    asked = wording(query)
    fresh = patch.object(lexical, "_read", lexical._read.__wrapped__)
    for scores in (partial(wording_scores, asked), partial(lexical_scores, query)):
        remembered = scores(others)
        scores(others[::-1])
        with fresh:
            assert scores(others) == remembered == scores(list(others))


def test_memory_of_texts_is_bounded() -> None:
    """Only so many texts are remembered, and of a huge one only the beginning that is read."""
    limit = lexical._read.cache_info().maxsize
    assert limit is not None
    lexical_scores("word", [f"text {number}" for number in range(limit + 10)])
    assert lexical._read.cache_info().currsize == limit
    lexical_scores("word", ["x" * 50_000])
    hits = lexical._read.cache_info().hits
    lexical_scores("word", ["x" * 50_000 + " and another end"])
    assert lexical._read.cache_info().hits == hits + 1
