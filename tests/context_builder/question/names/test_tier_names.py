"""Tiers are found where one is meant, each at its place."""

from __future__ import annotations

import pytest

from context_builder.question.names.tier_names import find_tier_names
from models import Tier


def named(text: str) -> str:
    """Return the tiers that a text names, in the order of tiers."""
    names = {name for mention in find_tier_names(text) for name in mention.names}
    return " ".join(tier for tier in Tier if tier in names)


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
    assert named(text) == tiers


@pytest.mark.parametrize(
    "text", ["premium " * 600, "premium, " * 500, "a-" * 2000, "tier " * 800, "budget and " * 400]
)
def test_the_longest_question_is_read_in_one_pass(text: str) -> None:
    """4,000 characters of near-tiers terminate."""
    assert len(find_tier_names(text)) <= 1_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("premium or standard: who is slower?", ["premium", "standard"]),
        ("is standard slower than premium?", ["standard", "premium"]),
        ("premium users against budget, and premium again", ["premium", "budget", "premium"]),
        ("all users except budget; everyone but standard", ["budget", "standard"]),
        (
            "non-premium users, non budget, non-standard users",
            ["!non-premium", "!non budget", "!non-standard"],
        ),
        ("standard: errors?", ["standard"]),
        ("spend vs budget: is premium within budget?", ["premium"]),
    ],
)
def test_every_tier_has_its_place(text: str, expected: list[str]) -> None:
    """One mention for each word, so that what stands between them can be applied; `!` marks a negation."""
    found = [
        "!" * mention.is_negated + text[mention.spans[0].start : mention.spans[0].end]
        for mention in find_tier_names(text)
    ]
    assert found == expected
