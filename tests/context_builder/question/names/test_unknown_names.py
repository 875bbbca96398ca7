"""Unknown names are reported with similar known ones, and ordinary words never."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.question.names.unknown_names import MAX_UNKNOWN_NAMES, find_unknown, looks_like_id
from context_builder.question.names.words import words_in

KNOWN = ["gpt-4/aws", "gpt-4", "aws", "llama-70b/k8s", "llama-70b", "k8s", "claude/gcp", "claude", "gcp"]
IDS = ["user_acme", "user_globex", "inc_0042", "inc_0043"]


def unknown(text: str, *, understood: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """Return the unknown names of a text with similar known ones."""
    taken = [word.span for word in words_in(text) if word.text in understood]
    found = find_unknown(text, taken, (), KNOWN, IDS)
    assert [text[each.span.start : each.span.end] for each in found] == [each.unknown.name for each in found]
    return {each.unknown.name: each.unknown.near for each in found}


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("gpt-5", "gpt-4"), ("gpt5", "gpt-4"), ("GPT-4-turbo", "gpt-4"), ("llama-13b", "llama-70b"),
        ("gpt-4/azure", "gpt-4/aws"), ("claude/aws", "claude/gcp"), ("gemini-2/k8s", None),
        ("qwen-72b", None), ("aws2", "aws"),
        ("user_acmee", "user_acme"), ("inc_0099", "inc_0043"), ("INC-0044", "inc_0043"),
        ("inc_9999", None), ("req_3f8a", None),
    ],
)  # fmt: skip
def test_an_unknown_name_is_reported(word: str, near: str | None) -> None:
    """Ids by form, models by family, others by resemblance, each with similar known names."""
    found = unknown(f"Why is {word} slow?")
    assert list(found) == [word]
    assert near is None or near in found[word]


@pytest.mark.parametrize(
    "text",
    [
        "p95, p99.9, p50/p95, 5xx, 4xx/5xx, HTTP/2, v2.4.0, 24h, 10x, 95%, 12,850 ms, $0.96",
        "and/or, read/write, I/O, 24/7, 3/4, km/h, us-east-1, eu-west-1, top-10, error-500, http-503, Q3",
        "user-facing, request-level, user_id, request_ids, latency_ms, sha-256, utf-8, ipv4, x86_64, tier-1",
        "https://gpt-4.example/llama-13b, 2026-11-20, 14:00, 10.0.0.1, 3f8a1c9e, e.g., o'clock, first-class",
        "Is gpt-4/aws or GPT-4 on AWS slow for user_acme since inc_0042?",
        "",
    ],
)
def test_ordinary_words_are_never_reported(text: str) -> None:
    """Measures, versions, regions, dates, columns, addresses and known names are not reported."""
    assert unknown(text) == {}


def test_matched_words_are_not_reported() -> None:
    """`gpt5` may be a spelling of a deployment that was found."""
    assert unknown("gpt5 is slow", understood=("gpt5",)) == {}


def test_only_ids_are_compared_with_ids() -> None:
    """Models resemble models, users users; known names come first, at most three."""
    assert all(not near.startswith(("user_", "inc_")) for near in unknown("gpt-5")["gpt-5"])
    assert len(unknown("user_acm")["user_acm"]) <= 3


@settings(max_examples=200, deadline=None)
@given(st.text() | st.lists(st.sampled_from([*KNOWN, *IDS, "gpt-5", "a/1", "x_1", "req-1"])).map(" ".join))
def test_any_text(text: str) -> None:
    """What is reported occurs in the text, is unknown, and is limited in number."""
    found = unknown(text)
    assert found.keys() <= {word.text for word in words_in(text)}
    assert not {name.casefold() for name in found} & {name.casefold() for name in [*KNOWN, *IDS]}
    assert len(found) <= MAX_UNKNOWN_NAMES


@pytest.mark.long
def test_the_number_of_comparisons_is_limited() -> None:
    """Of hundreds of look-alikes against ten thousand ids only the first few are compared."""
    ids = [f"user_{number:05}" for number in range(10_000)]
    words = " ".join(f"user_x{number}" for number in range(400))
    assert len(find_unknown(words, (), (), KNOWN, ids)) == MAX_UNKNOWN_NAMES


@pytest.mark.parametrize(
    ("word", "is_id"), [("user_a", True), ("inc-7", True), ("user-made", False), ("user_id", False)]
)
def test_the_form_of_an_id(word: str, is_id: bool) -> None:
    """An id has a prefix with an underscore, or with a hyphen and a digit."""
    assert looks_like_id(word) is is_id
