"""Law 1: the prompt's bound never passes the budget, and what is shown is the best that fits."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from context_builder.manifest import Detail, Manifest
from context_builder.packing import (
    MOST_GAPS,
    MOST_LABELS,
    MOST_UNKNOWN_NAMES,
    SHORT_BELOW,
    BudgetTooSmall,
    prompt_bound,
)
from context_builder.render import fact_line, render
from context_builder.request import ContextRequest, Scope, Topic, UnknownName
from context_builder.source import Fact, Reading, Status
from context_builder.tokens import TokenBound
from readings import AMPLE, any_request, asked, many_readings, packed, reading

BOUND = TokenBound()
DETAILS = [Detail.CUT, Detail.SHORT, Detail.FULL]
SENTENCE = "gpt-4/aws is DOWN since 2026-11-20 07:10 (1 h 20 min): upstream timeouts, reported 2 min ago"


def smallest_budget(error: BudgetTooSmall) -> int:
    """The budget that the message says would do."""
    return int(str(error).rpartition(" ")[2].replace(",", ""))


def packed_at_any_price(request: ContextRequest, readings: list[Reading]) -> Manifest:
    """The manifest at the budget asked for or, where that is too small, at the one that the error names."""
    try:
        return packed(request, readings)
    except BudgetTooSmall as error:
        enough = smallest_budget(error)
        assert enough > request.token_budget
        return packed(asked(budget=enough, **_all_but_budget(request)), readings)


def _all_but_budget(request: ContextRequest) -> dict[str, object]:
    names = ("question", "live", "window", "topics", "scope", "unknown_names")
    return {name: getattr(request, name) for name in names}


@settings(max_examples=100, deadline=None)
@given(any_request(), many_readings())
def test_the_bound_never_passes_the_budget(request: ContextRequest, readings: list[Reading]) -> None:
    """Law 1: for any readings and any budget; the recorded bound is that of the rendered prompt."""
    manifest = packed_at_any_price(request, readings)
    assert manifest.token_bound <= manifest.token_budget
    assert manifest.token_bound == prompt_bound(manifest, BOUND)
    prompt = render(manifest)
    assert len((prompt.system + prompt.user).encode()) + 32 >= manifest.token_bound


@settings(max_examples=100, deadline=None)
@given(any_request(), many_readings())
def test_every_fact_is_accounted_for(request: ContextRequest, readings: list[Reading]) -> None:
    """Law 1: each fact is kept or cut exactly once, with a reason; each source has its summary line."""
    manifest = packed_at_any_price(request, readings)
    said = {
        f"{reading.source.prefix}{number}"
        for reading in readings
        for number in range(1, len(reading.section.facts) + 1)
    }
    assert len(manifest.facts) == len(said)
    assert {fact.ref for fact in manifest.facts} == said
    assert all(fact.reason for fact in manifest.facts)
    lines = Counter(render(manifest).user.splitlines())
    shown = [fact for fact in manifest.facts if fact.detail is not Detail.CUT]
    kept = Counter(fact.source for fact in shown)
    assert all(lines[fact_line(fact.ref, fact.text)] == 1 for fact in shown)
    for source in manifest.sources:
        facts = next(r.section.facts for r in readings if r.source.name == source.name)
        assert lines[fact_line(source.ref, source.text)] == 1
        assert (source.kept, source.cut) == (kept[source.name], len(facts) - kept[source.name])


@settings(max_examples=50, deadline=None)
@given(any_request(), many_readings(), st.randoms())
def test_the_order_of_readings_does_not_matter(
    request: ContextRequest, readings: list[Reading], chance: random.Random
) -> None:
    """Law 6: whichever source was read first, the prompt is the same."""
    shuffled = readings.copy()
    chance.shuffle(shuffled)
    assert render(packed_at_any_price(request, readings)) == render(packed_at_any_price(request, shuffled))


@settings(max_examples=60, deadline=None)
@example(flooding=10_000, importance=0.01, topics=Topic.COST, budget=1_300)
@given(
    flooding=st.integers(1, 300),
    importance=st.floats(0.01, 1),
    topics=st.sampled_from([Topic.HEALTH, Topic.COST]),
    budget=st.integers(1_300, 6_000),
)
def test_a_flood_never_evicts_the_best_fact_of_another_source(
    flooding: int, importance: float, topics: Topic, budget: int
) -> None:
    """Law 1: what a source has to say first is shown, however much another says and however well."""
    flood = [Fact(f"{SENTENCE} ({number})", SENTENCE, 1.0) for number in range(flooding)]
    best = Fact("user_acme spent $0.96 of $1.00", "user_acme: 96 %", importance, frozenset({topics}))
    manifest = packed(asked(budget=budget), [reading("health", *flood), reading("budgets", best)])
    (fact,) = (fact for fact in manifest.facts if fact.source == "budgets")
    assert fact.detail is not Detail.CUT


facts_with_room_to_shrink = st.lists(
    st.builds(
        lambda words, short, importance: Fact(f"{SENTENCE} " * words, SENTENCE[: short * 9], importance),
        st.integers(1, 6),
        st.integers(0, 9),
        st.floats(SHORT_BELOW, 1),
    ),
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(facts_with_room_to_shrink, facts_with_room_to_shrink, st.integers(0, 1_500), st.integers(1, 300))
def test_more_budget_is_spent_on_the_best(one: list[Fact], other: list[Fact], spare: int, more: int) -> None:
    """Law 1: by usefulness, the first fact that a larger budget treats otherwise is shown better.

    Behind it facts may change either way: what the better one takes, others no longer have.
    """
    readings = [reading("health", *one), reading("incidents", *other)]
    ample = packed(asked(), readings)
    fixed = ample.token_bound - sum(fact.tokens for fact in ample.facts)
    small, large = (packed(asked(budget=fixed + 8 + extra), readings) for extra in (spare, spare + more))
    in_order = sorted(ample.facts, key=lambda fact: not _is_best(fact.ref, ample))
    for fact in in_order:
        if fact.tokens and not _falls_short(fact.ref, readings):
            before, after = (DETAILS.index(detail_of(manifest, fact.ref)) for manifest in (small, large))
            if before != after:
                assert after > before
                break


def _is_best(ref: str, manifest: Manifest) -> bool:
    """Whether the fact is the most useful of its source."""
    first = {fact.source: fact.ref for fact in reversed(manifest.facts)}
    return ref in first.values()


def _falls_short(ref: str, readings: list[Reading]) -> bool:
    """Whether crowding takes the fact below SHORT_BELOW, so that it is completed in a second round."""
    facts = next(reading.section.facts for reading in readings if reading.source.prefix == ref[0])
    rank = int(ref[1:]) - 1
    return facts[rank].importance / (1 + rank / 8) < SHORT_BELOW


def detail_of(manifest: Manifest, ref: str) -> Detail:
    """How much of a fact is shown."""
    return next(fact.detail for fact in manifest.facts if fact.ref == ref)


def test_with_room_for_all_everything_is_shown_in_full() -> None:
    """Facts of little use are completed last, but they are."""
    dull = [Fact(f"{SENTENCE} {number}", "short", 0.05) for number in range(30)]
    manifest = packed(asked(), [reading("health", *dull)])
    assert {fact.detail for fact in manifest.facts} == {Detail.FULL}
    assert manifest.sources[0].cut == 0


def test_little_room_goes_to_many_short_facts_before_long_ones_of_little_use() -> None:
    """A dull fact is first shown short, so that the others fit."""
    dull = [Fact(f"{SENTENCE * 3} {number}", f"number {number}", 0.1) for number in range(20)]
    manifest = packed(asked(budget=1_400), [reading("health", *dull)])
    details = Counter(fact.detail for fact in manifest.facts)
    assert details[Detail.SHORT] > 10 > details[Detail.FULL]


@pytest.mark.parametrize("importance", [float("nan"), float("inf"), -5.0, 7.0])
def test_an_importance_out_of_range_wins_nothing(importance: float) -> None:
    """A source cannot push itself ahead with a number that has no meaning."""
    loud = Fact("loud", importance=importance)
    manifest = packed(asked(), [reading("health", Fact("calm", importance=1.0)), reading("volume", loud)])
    assert [fact.text for fact in manifest.facts] in (["calm", "loud"], ["loud", "calm"])
    assert {fact.detail for fact in manifest.facts} == {Detail.FULL}
    assert json.dumps(manifest.to_json(), allow_nan=False)


def test_a_budget_below_the_fixed_parts_names_one_that_works() -> None:
    """Law 10: the error says what would be accepted, and that is so."""
    request = asked("why? " * 700, budget=500)
    with pytest.raises(
        BudgetTooSmall, match=r"a token budget of 500 cannot hold .* give at least [\d,]+"
    ) as caught:
        packed(request, [reading("health", Fact(SENTENCE))])
    enough = smallest_budget(caught.value)
    assert packed(asked(request.question, budget=enough), [reading("health", Fact(SENTENCE))])
    assert "\n" not in str(caught.value)


def test_the_fixed_parts_stay_small_whatever_is_named() -> None:
    """Hundreds of names in scope, unknown names and gaps leave room for facts; the rest is counted."""
    request = asked(
        scope=Scope(labels=tuple(f"deployment model-{n}/backend" for n in range(500))),
        unknown_names=tuple(UnknownName(f"gpt-{n}", ("gpt-4",) * 3) for n in range(300)),
        budget=4_000,
    )
    gaps = tuple(f"what happened on day {n}" for n in range(200))
    manifest = packed(request, [reading("health", Fact(SENTENCE), gaps=gaps)])
    assert manifest.facts[0].detail is Detail.FULL
    assert manifest.scope[-1] == f"and {500 - MOST_LABELS} more"
    assert manifest.sources[0].gaps[-1] == f"and {200 - MOST_GAPS} more"
    assert len(manifest.unknown_names) == MOST_UNKNOWN_NAMES


def test_sources_that_failed_are_named_in_the_prompt() -> None:
    """Law 2: a source that was not read has its line, with its status and the reason."""
    readings = [
        reading("health", header="", status=Status.TIMEOUT, error="gave no answer within 2 s"),
        reading("latency", header="", status=Status.ERROR, error="the disk is on fire"),
        reading("volume", header="no requests in the window", status=Status.EMPTY),
    ]
    user = render(packed(asked(), readings)).user
    assert "[H0] health (timeout): gave no answer within 2 s\n" in user
    assert "[L0] latency (error): the disk is on fire\n" in user
    assert "[V0] volume (empty): no requests in the window\n" in user


def test_on_topic_facts_come_before_others() -> None:
    """A question about cost shows the budgets first, whatever else is going on."""
    readings = [
        reading("health", Fact("all is well", importance=0.9)),
        reading("budgets", Fact("user_acme is near", importance=0.5), topics=(Topic.COST,)),
    ]
    manifest = packed(asked(topics=frozenset({Topic.COST}), budget=AMPLE), readings)
    assert [fact.source for fact in manifest.facts] == ["budgets", "health"]
    assert [fact.on_topic for fact in manifest.facts] == [True, False]
    assert [source.name for source in manifest.sources] == ["budgets", "health"]
