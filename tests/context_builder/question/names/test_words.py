"""Words keep their places, and spellings of one name are equal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context_builder.question.names.words import normalize_name, words_in


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
    words = list(words_in(text))
    assert [word.text for word in words] == expected
    assert [text[word.span.start : word.span.end] for word in words] == expected


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
