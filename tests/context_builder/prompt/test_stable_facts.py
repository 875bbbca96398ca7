"""The stable part of a prompt is the same bytes whatever is asked, so that it can be cached."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.prompt.manifest import Detail
from context_builder.prompt.packing import prompt_bound
from context_builder.prompt.render import render
from context_builder.prompt.stable_facts import MIN_BUDGET, STABLE_SHARE
from context_builder.prompt.tokens import TokenBound
from context_builder.question.request import ContextRequest, Topic
from context_builder.source import Fact, SourceResult, Status
from tests.support.source_results import any_request, asked, many_readings, packed, reading

BOUND = TokenBound()
HOSTS = tuple(
    Fact(
        f"model-{number} runs on aws (us-east-1, version serve-3.12.0) and on k8s with 6 replicas",
        f"model-{number}: aws, k8s",
        0.9 - number / 100,
        kind="models",
        key=f"model:{number}",
    )
    for number in range(60)
)


def topology(facts: int, **values: Any) -> SourceResult:
    """A stable source."""
    return reading("topology", *HOSTS[:facts], header=f"{facts} models", stable=True, **values)


def live(**values: Any) -> SourceResult:
    """What the question is about."""
    return reading("health", Fact("model-1/aws is DOWN", importance=1.0), **values)


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(any_request(), many_readings(), st.integers(6_000, 11_999), st.integers(0, 60))
def test_it_does_not_depend_on_the_question(
    request: ContextRequest, others: list[SourceResult], budget: int, facts: int
) -> None:
    """Law 6: words, topics, window, other sources and the budget within its class change no byte."""
    quiet = [replace(r, source=replace(r.source, stable=False)) for r in others]
    stable = topology(facts)
    mixed = render(packed(replace(request, token_budget=budget), [*quiet, stable]))
    alone = render(packed(asked(budget=6_000), [stable]))
    assert mixed.stable == alone.stable != ""


@pytest.mark.parametrize("budget", [3_000, 4_000, 5_999, 6_000, 20_000, 200_000])
@pytest.mark.parametrize("facts", [0, 4, 20, 60])
def test_it_keeps_to_its_share_of_the_budget(budget: int, facts: int) -> None:
    """Facts are all in full, or all short, or the first ones short; never above the share."""
    manifest = packed(asked(budget=budget), [topology(facts), live()])
    prompt = render(manifest)
    assert prompt.stable
    assert BOUND.of(prompt.stable) <= STABLE_SHARE * budget
    stable = [fact for fact in manifest.facts if fact.stable]
    assert len({fact.detail for fact in stable}) <= 1
    if len(stable) < facts:
        assert {fact.detail for fact in stable} == {Detail.SHORT}
        assert f"; +{facts - len(stable)} models not shown here" in prompt.stable


def test_a_fact_that_it_omits_competes_like_any_other() -> None:
    """A fact about the named entity is shown below the stable part, under its own reference."""
    named = asked("What is model-57?", budget=3_500, topics=frozenset({Topic.HEALTH}))
    prompt = render(packed(named, [topology(60), live()]))
    assert "model-57" not in prompt.stable
    assert "\n[T58] model-57 runs on aws" in prompt.user
    assert "[T0]" not in prompt.user


def test_there_is_none_where_the_budget_is_small() -> None:
    """Below the smallest class a stable source is treated like the others."""
    manifest = packed(asked(budget=MIN_BUDGET - 1), [topology(2), live()])
    prompt = render(manifest)
    assert prompt.stable == ""
    assert "[T0] topology (ok): 2 models" in prompt.user
    assert not any(source.stable for source in manifest.sources)


@pytest.mark.parametrize("status", [Status.STALE, Status.ERROR, Status.TIMEOUT, Status.EMPTY])
def test_a_stable_source_that_failed_is_shown_with_the_live_ones(status: Status) -> None:
    """Law 2: any status but ok moves a stable source to the live part."""
    manifest = packed(asked(budget=6_000), [topology(0, status=status, error="it broke"), live()])
    assert render(manifest).stable == ""
    assert f"[T0] topology ({status}): it broke" in render(manifest).user


def test_a_live_fact_that_it_states_is_not_shown_again() -> None:
    """The stable part is fixed, so the duplicate in another source is omitted."""
    twin = Fact("model-3 is on aws", importance=1.0, key="model:3")
    manifest = packed(asked(budget=6_000), [topology(5), live(), reading("config", twin)])
    (entry,) = (fact for fact in manifest.facts if fact.source == "config")
    assert (entry.detail, entry.reason, entry.same_as) == (Detail.CUT, "duplicate of T4", "T4")


def test_a_long_question_comes_first() -> None:
    """If both do not fit, the stable part is omitted and the question is answered."""
    readings = [topology(20), live()]
    question = asked("why? " * 1_500, budget=20_000)
    bare = prompt_bound(packed(question, []), BOUND)
    assert bare > MIN_BUDGET
    tight = packed(replace(question, token_budget=bare + 120), readings)
    assert render(packed(question, readings)).stable
    assert render(tight).stable == ""
    assert "[H1] model-1/aws is DOWN" in render(tight).user
