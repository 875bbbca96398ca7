"""Words, tiers and ids are read in any spelling, but never out of ordinary sentences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context_builder.question.names import candidate_ids, find_tiers, normalize_name, words_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Is gpt-4/aws down?", ["Is", "gpt-4/aws", "down"]),
        (
            "(user_acme), req_3f8a… and alice@example.com.",
            ["user_acme", "req_3f8a", "and", "alice@example.com"],
        ),
        ("gpt-4's or gpt-4’s", ["gpt-4", "s", "or", "gpt-4", "s"]),
        ("Überall: 東京 —", ["Überall", "東京"]),
        ("... -- ??", []),
    ],
)
def test_words_keep_inner_punctuation(text: str, expected: list[str]) -> None:
    """Punctuation inside a name is kept, at its end it is dropped."""
    assert words_of(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gpt-4", "GPT 4"), ("gpt-4", "gpt4"), ("llama-70b", "Llama 70B"), ("k8s", "Kubernetes"),
        ("on-prem", "on premises"), ("aws-bedrock", "amazon bedrock"), ("café", "cafe\u0301"),
        ("gpt-4", "ＧＰＴ－４"), ("gpt-4/aws", "gpt 4 (aws)"),
    ],
)  # fmt: skip
def test_spellings_of_one_name_are_equal(one: str, other: str) -> None:
    """Case, punctuation, Unicode forms and common aliases make no difference."""
    assert normalize_name(one) == normalize_name(other)


@given(st.text(), st.text())
def test_different_letters_are_different_names(one: str, other: str) -> None:
    """Only punctuation is ignored; normalizing is idempotent and leaves no separator."""
    assert normalize_name(normalize_name(one)) == normalize_name(one)
    assert not set(normalize_name(one + other)) & set("-_/. ")


@pytest.mark.parametrize(
    ("text", "tiers"),
    [
        ("Why are premium users slow?", "premium"),
        ("Budget customers and standard traffic", "standard budget"),
        ("premium vs budget", "premium budget"),
        ("premium, standard and budget latency", "premium standard budget"),
        ("from premium to budget; premium/standard", "premium standard budget"),
        ("tier budget", "budget"),
        ("tier: 'standard'", "standard"),
        ("the budget tier, budget-tier", "budget"),
        ("premium-only", "premium"),
        ("PREMIUM", "premium"),
        ("who is over budget? acme's budget, her budget, daily budget", ""),
        ("over budget users, over-budget users, users under budget", ""),
        ("acme's budget plan, error budget requests, their budget accounts", ""),
        ("standard deviation, non-standard traffic, the standard error", ""),
        ("premium users and budget overruns", "premium"),
        ("", ""),
    ],
)
def test_a_tier_is_named_only_where_one_is_meant(text: str, tiers: str) -> None:
    """`budget` and `standard` are also ordinary words."""
    assert " ".join(find_tiers(text)) == tiers


def test_ids_are_not_read_out_of_ordinary_words_and_numbers() -> None:
    """Ordinary words are no user ids; a number is an id only after its kind."""
    found = candidate_ids(
        "Why is acme slow in the last 24 hours? See incident 42, request 7 and Req_aB3, 5 users."
    )
    assert {"acme", "42", "7", "Req_aB3"} <= found
    assert not {"24", "5", "is", "in", "the", "users", "premium", "Why"} & found


@pytest.mark.parametrize(
    "text", ["premium " * 600, "premium, " * 500, "a-" * 2000, "tier " * 800, "budget and " * 400]
)
def test_the_longest_question_is_read_in_one_pass(text: str) -> None:
    """4,000 characters of near-tiers terminate."""
    assert len(find_tiers(text)) <= 3
    assert len(candidate_ids(text)) <= 3
