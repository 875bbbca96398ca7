"""Topics are found by the words of a question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context_builder.question.request import Topic
from context_builder.question.topics import DEFAULT_TOPICS, dimensions_of, topics_of


@pytest.mark.parametrize(
    ("question", "topics"),
    [
        ("Which deployments are unhealthy?", "health incidents"),
        ("Why are premium users SLOW?", "changes latency"),
        ("Requests by tier this week?", "volume"),
        ("Who is over budget, or over $5?", "cost"),
        ("How many calls timed out, and are 5xx rising?", "errors volume"),
        ("What capacity risks are we taking?", "risk volume"),
        ("Has this happened before?", "history incidents"),
        ("Did quality drop?", "quality"),
        ("p95 of gpt-4?", "latency"),
    ],
)
def test_words_name_topics(question: str, topics: str) -> None:
    """In any case, as whole words, several at once."""
    assert " ".join(sorted(topics_of(question))) == topics


@pytest.mark.parametrize(
    "question", ["Hello?", "Tell me about gpt-4/aws", "¿Qué pasa?", "uphold downtown scoreless", "健康吗"]
)
def test_a_question_without_topic_words_has_the_default_topics(question: str) -> None:
    """Is anything wrong right now?"""
    assert topics_of(question) == DEFAULT_TOPICS


@given(st.text())
def test_every_question_has_a_topic(question: str) -> None:
    """No text raises or has no topic."""
    found = topics_of(question)
    assert found
    assert found <= frozenset(Topic)


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("Which tiers fail most?", {"tier"}),
        ("errors by Model and BACKEND", {"model", "backend"}),
        ("every deployment, whatever its models do", {"deployment", "model"}),
        ("is remodelling a frontier?", set()),
    ],
)
def test_dimensions_are_named_by_their_words(question: str, named: set[str]) -> None:
    """In singular or plural and any case, as words of their own."""
    assert dimensions_of(question) == named
