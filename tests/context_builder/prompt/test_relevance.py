"""What a question says decides which facts are near to it, without a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context_builder.prompt.relevance import folded, keyword_relevance
from context_builder.question.request import Scope
from tests.support.source_results import asked, texts

FACTS = [
    "user_acme spent $0.96 of $1.00",
    "12 requests failed on gpt-4/aws: rate limited",
    "gpt-4o/aws is healthy",
    "requests of tier premium are slower than before",
    "requests of tier budget are as fast as before",
]


@given(texts, st.lists(texts, max_size=8))
def test_it_is_a_share_for_any_text(question: str, facts: list[str]) -> None:
    """From 0 to 1 for any texts, and the same when computed again."""
    read = [folded(fact) for fact in facts]
    close = keyword_relevance(asked(question), read)
    assert len(close) == len(facts)
    assert all(0 <= share <= 1 for share in close)
    assert close == keyword_relevance(asked(question), read)


@pytest.mark.parametrize(
    ("question", "nearest"),
    [
        ("How much has user_acme spent?", 0),
        ("Why do requests fail?", 1),
        ("Is anything wrong with gpt-4/aws?", 1),
        ("Is gpt-4o/aws well?", 2),
        ("WHY ARE PREMIUM REQUESTS SO SLOW", 3),
    ],
)
def test_the_fact_with_the_words_of_the_question_is_the_most_relevant(question: str, nearest: int) -> None:
    """Names match exactly and words in any form; a longer name is a different one."""
    close = keyword_relevance(asked(question), FACTS)
    assert max(range(len(FACTS)), key=close.__getitem__) == nearest
    assert close.count(close[nearest]) == 1


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    """A word that most facts contain counts least."""
    common, rare = keyword_relevance(
        asked("requests premium"), ["requests here", "premium", *["requests"] * 9]
    )[:2]
    assert rare > 2 * common > 0


def test_the_names_in_scope_count_like_words_of_the_question() -> None:
    """A scope given as an argument has the effect of the same name in the question."""
    scoped = asked("Why?", scope=Scope(labels=("deployment gpt-4/aws",)))
    assert (
        keyword_relevance(scoped, FACTS)
        == keyword_relevance(asked("Why gpt-4/aws?"), FACTS)
        != [0.0] * len(FACTS)
    )


def test_stop_words_do_not_count() -> None:
    """Words that occur in questions of any kind add no relevance."""
    assert (
        keyword_relevance(asked("What is it, and which of the deployments did that last week?"), FACTS)
        == [0.0] * 5
    )
