"""What is told of the gateway: what is material, within the budget, and nothing of it twice (C20)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.conversation.gateway_state import (
    Block,
    GatewayFact,
    GatewayState,
    Stated,
    merged,
    state_of,
    what_is_new,
)
from context_builder.prompt.manifest import Detail, FactEntry
from context_builder.prompt.tokens import TokenBound
from context_builder.source import Headline, Role
from tests.support.gateway import NOON

BOUND = TokenBound()


def entry(
    text: str, *, source: str = "health", alarm: bool | None = True, at: datetime | None = None
) -> FactEntry:
    headline = Headline(text=text, role=Role.STATE, alarm=alarm, at=at)
    return FactEntry("H1", source, True, Detail.FULL, 5, "", text, 0.5, headline=headline)  # noqa: FBT003


def state(*entries: FactEntry, read: tuple[str, ...] = ("health", "incidents")) -> GatewayState:
    """The state that a manifest with these facts states."""

    class _Manifest:
        facts = entries
        sources = ()
        as_of = NOON

    return replace(state_of(_Manifest()), read=frozenset(read))  # type: ignore[arg-type]


def news(
    now: GatewayState, told: tuple[Stated, ...] = (), *, budget: int = 600, only_alarms: bool = True
) -> Block | None:
    return what_is_new(now, told, only_alarms=only_alarms, budget=budget, bound=BOUND)


def told(now: GatewayState) -> tuple[Stated, ...]:
    block = news(now, only_alarms=False)
    assert block is not None
    return block.stated


SAME = [
    (
        "gpt-4/aws is DOWN since 2026-03-10 11:59 (59 min)",
        "gpt-4/aws is DOWN since 2026-03-10 11:59 (1 h 7 min)",
    ),
    (
        "user_a (premium): $4.50 of $5 spent today (90%), $0.50 remaining",
        "user_a (premium): $4.75 of $5 spent today (95%), $0.25 remaining",
    ),
    ("gpt-4/aws is DEGRADED; reported 1 min ago", "gpt-4/aws is DEGRADED; STALE, last reported 31 min ago"),
]
OTHER = [
    ("gpt-4/aws is DOWN", "gpt-4/azure is DOWN"),
    ("gpt-4/aws is DOWN", "gpt-4/aws is DEGRADED"),
    ("gpt-4/aws is DOWN", "gpt-3/aws is DOWN"),
    ("llama-70b/k8s is DOWN", "llama-8b/k8s is DOWN"),
    ("user_a: $4 of $5 spent today, $1 remaining", "user_a: $6 of $5 spent today, OVER by $1"),
]


@pytest.mark.parametrize(("before", "after"), SAME)
def test_passing_time_and_moving_figures_are_no_news(before: str, after: str) -> None:
    """A statement whose figures have changed has been told."""
    assert news(state(entry(after)), told(state(entry(before)))) is None


@pytest.mark.parametrize(("before", "after"), OTHER)
def test_another_subject_or_state_is_news(before: str, after: str) -> None:
    """Digits in names are parts of names; what was told before and is not true any more is told as well."""
    block = news(state(entry(after)), told(state(entry(before))))
    assert block is not None
    assert f"- health: {after}" in block.text
    assert "no longer reported" in block.text


def test_a_new_onset_is_news() -> None:
    """Down, up and down again is another outage, though the words are the same."""
    first = state(entry("gpt-4/aws is DOWN since 11:59", at=NOON))
    again = state(entry("gpt-4/aws is DOWN since 12:40", at=NOON.replace(minute=40)))
    assert news(again, told(first)) is not None


def test_only_alarms_end() -> None:
    """What is merely not listed any more was no trouble, and its end is none either."""
    before = state(entry("inc_1 resolved yesterday", source="incidents", alarm=False))
    assert news(state(), told(before), only_alarms=False) is None


def test_a_narrow_question_ends_nothing() -> None:
    """Asked about one deployment, the gateway says nothing of the others; that is not their recovery."""
    general = state(entry("gpt-4/aws is DOWN"))
    narrow = state(entry("gpt-4/azure is healthy", alarm=False))
    both = merged(general, narrow)
    assert news(both, told(general)) is None
    asked = news(both, told(general), only_alarms=False)
    assert asked is not None
    assert "gpt-4/azure is healthy" in asked.text
    assert "no longer reported" not in asked.text
    assert merged(general, None) == general


@settings(deadline=None)
@given(st.lists(st.text(max_size=200), max_size=12), st.integers(150, 900))
def test_no_block_exceeds_its_budget_or_leaves_its_fence(texts: list[str], budget: int) -> None:
    """Whatever logs and titles say: one line each, two fences, and at most the budget."""
    now = state(*(entry(f"fact {number} {text}") for number, text in enumerate(texts)))
    block = news(now, budget=budget)
    if block is None:
        return
    assert block.tokens == BOUND.of(block.text) <= budget
    fence = block.text.split()[3]
    assert block.text.count(fence) == 2
    lines = block.text.split("\n")
    assert len(lines) == 3 + len(block.kinds)
    assert block == news(now, budget=budget)


def test_a_kind_that_replies_use_comes_first() -> None:
    """Weights decide where room is short; alarms stay before everything else."""
    facts = [GatewayFact(Stated("s", f"{kind} {n}", ""), kind, f"{kind} {n} " + "x " * 60, False, 0.5)  # noqa: FBT003
             for kind in ("a", "b") for n in range(3)]  # fmt: skip
    now = GatewayState(NOON, tuple(facts), frozenset())
    for weights, first in (({"a": 1.5}, "a"), ({"a": 0.5}, "b")):
        block = what_is_new(now, (), only_alarms=False, budget=420, bound=BOUND, weights=weights)
        assert block is not None
        assert set(block.kinds[:2]) == {first}
