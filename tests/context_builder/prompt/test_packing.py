"""Law 1: the prompt's bound never exceeds the budget, and the best facts that fit are shown."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings, target
from hypothesis import strategies as st

from context_builder.prompt.manifest import Detail, Manifest
from context_builder.prompt.packing import (
    MAX_LABELS,
    MAX_UNKNOWN_NAMES,
    BudgetTooSmall,
    prompt_bound,
    select_facts,
)
from context_builder.prompt.render import fact_line, render
from context_builder.prompt.selection import MIN_FULL_UTILITY
from context_builder.prompt.summaries import WIDTHS
from context_builder.prompt.tokens import FRAMING_TOKENS, TokenBound
from context_builder.question.request import ContextRequest, Scope, Topic, UnknownName
from context_builder.source import Fact, SourceResult, Status
from tests.support.source_results import (
    AMPLE,
    LINE,
    any_request,
    asked,
    dense_results,
    many_readings,
    packed,
    reading,
    roomy,
)

BOUND = TokenBound()


HEAVY = settings(deadline=None, phases=[phase for phase in Phase if phase is not Phase.shrink])
"""Shrinking a prompt with hundreds of facts takes minutes."""


def fixed_tokens(request: ContextRequest, readings: list[SourceResult]) -> int:
    """Return the size of the parts that are shown at any budget, which the error names."""
    with pytest.raises(BudgetTooSmall) as caught:
        packed(replace(request, token_budget=100), readings)
    return smallest_budget(caught.value) - 200


def smallest_budget(error: BudgetTooSmall) -> int:
    """Return the budget that the message recommends."""
    return int(str(error).rpartition(" ")[2].replace(",", ""))


def with_budget_for(request: ContextRequest, readings: list[SourceResult], share: float) -> ContextRequest:
    """Return the request with room for this share of what all facts in full need."""
    fixed, full = fixed_tokens(request, readings), packed(roomy(request), readings).token_bound
    return replace(request, token_budget=fixed + round(share * max(0, full - fixed)))


SHARES = st.floats(0, 1.1)


@pytest.mark.long
@settings(HEAVY, max_examples=30)
@given(any_request(), dense_results() | many_readings(), SHARES)
def test_the_bound_never_exceeds_the_budget(
    request: ContextRequest, readings: list[SourceResult], share: float
) -> None:
    """Law 1: for any facts and any budget up to what they need; the recorded bound is that of the prompt."""
    manifest = packed(with_budget_for(request, readings, share), readings)
    target(manifest.token_bound / manifest.token_budget)
    assert manifest.token_bound <= manifest.token_budget
    assert manifest.token_bound == prompt_bound(manifest, BOUND)
    assert len(render(manifest).whole.encode()) + FRAMING_TOKENS >= manifest.token_bound


@pytest.mark.long
@settings(HEAVY, max_examples=15)
@given(dense_results(), st.floats(0.2, 0.9))
def test_the_budget_is_used(readings: list[SourceResult], share: float) -> None:
    """If not all facts fit, less than the slack of the summary lines and one short fact stays unused."""
    request = with_budget_for(asked(), readings, share)
    manifest = packed(request, readings)
    shortest = min(BOUND.of(fact_line("XA99", fact.short)) for r in readings for fact in r.section.facts)
    hidden = [fact for fact in manifest.facts if fact.detail in (Detail.COUNTED, Detail.CUT)]
    slack = sum(BOUND.of(source.text) for source in manifest.sources) + shortest
    assert not hidden or request.token_budget - manifest.token_bound <= slack


@pytest.mark.long
@settings(HEAVY, max_examples=25)
@given(any_request(), many_readings(), SHARES)
def test_every_fact_is_accounted_for(
    request: ContextRequest, readings: list[SourceResult], share: float
) -> None:
    """Laws 1 and 2: each fact is shown or omitted exactly once, with a reason; each source is named once."""
    manifest = packed(with_budget_for(request, readings, share), readings)
    said = {
        f"{reading.source.prefix}{number}"
        for reading in readings
        for number in range(1, len(reading.section.facts) + 1)
    }
    assert len(manifest.facts) == len(said)
    assert {fact.ref for fact in manifest.facts} == said
    assert all(fact.reason for fact in manifest.facts)
    lines = Counter(render(manifest).message.splitlines())
    shown = [fact for fact in manifest.facts if fact.is_shown]
    kept = Counter(fact.source for fact in shown)
    assert all(lines[fact_line(fact.ref, fact.text)] == 1 for fact in shown)
    for source in manifest.sources:
        facts = next(r.section.facts for r in readings if r.source.name == source.name)
        assert lines[fact_line(source.ref, source.text)] == (0 if source.folded else 1)
        assert (source.kept, source.cut) == (kept[source.name], len(facts) - kept[source.name])


@pytest.mark.long
@settings(HEAVY, max_examples=25)
@given(any_request(), dense_results() | many_readings(), SHARES, st.randoms())
def test_the_order_of_results_does_not_matter(
    request: ContextRequest, readings: list[SourceResult], share: float, chance: random.Random
) -> None:
    """Law 6: whichever source was read first, the prompt is the same."""
    request = with_budget_for(request, readings, share)
    shuffled = readings.copy()
    chance.shuffle(shuffled)
    assert render(packed(request, readings)) == render(packed(request, shuffled))


@pytest.mark.long
@settings(max_examples=30, deadline=None)
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
    """Law 1: the best fact of a source is shown, however many and however important those of another are."""
    flood = [Fact(f"{LINE} ({number})", LINE, 1.0) for number in range(flooding)]
    best = Fact("user_acme spent $0.96 of $1.00", "user_acme: 96 %", importance, frozenset({topics}))
    manifest = packed(asked(budget=budget), [reading("health", *flood), reading("budgets", best)])
    (fact,) = (fact for fact in manifest.facts if fact.source == "budgets")
    assert fact.is_shown


facts_with_room_to_shrink = st.lists(
    st.builds(
        lambda words, short, importance: Fact(f"{LINE} " * words, LINE[: short * 9], importance),
        st.integers(1, 6),
        st.integers(0, 9),
        st.floats(MIN_FULL_UTILITY, 1),
    ),
    max_size=6,
)


@pytest.mark.long
@settings(max_examples=80, deadline=None)
@given(facts_with_room_to_shrink, facts_with_room_to_shrink, st.integers(0, 1_500), st.integers(1, 300))
def test_more_budget_is_spent_on_the_best(one: list[Fact], other: list[Fact], spare: int, more: int) -> None:
    """Law 1: the first attempt with a different outcome at a larger budget is one that is accepted.

    Behind it facts may change either way: what the better one takes, others no longer have.
    """
    readings = [reading("health", *one), reading("incidents", *other)]
    _check_first_change(asked("Why?"), readings, spare, more)


def _check_first_change(
    request: ContextRequest, readings: list[SourceResult], spare: int, more: int
) -> tuple[Manifest, Manifest]:
    """Assert that the first attempt with a different outcome at a larger budget is accepted."""
    fixed = fixed_tokens(request, readings)
    budgets = [fixed + spare, fixed + spare + more]
    requests = [replace(request, token_budget=budget) for budget in budgets]
    small, large = (select_facts(each, readings, BOUND).accepted for each in requests)
    for before, after in zip_longest(small, large, fillvalue=False):
        if before != after:
            assert after
            break
    return packed(requests[0], readings), packed(requests[1], readings)


def test_with_room_for_all_everything_is_shown_in_full() -> None:
    """Facts of little utility are completed last, but they are completed."""
    dull = [Fact(f"{LINE} {number}", "short", 0.05) for number in range(30)]
    manifest = packed(asked(), [reading("health", *dull)])
    assert {fact.detail for fact in manifest.facts} == {Detail.FULL}
    assert manifest.sources[0].cut == 0


def test_little_room_goes_to_many_short_facts_before_long_ones_of_little_use() -> None:
    """A fact of little utility is shown short first, so that the others fit."""
    dull = [Fact(f"{LINE * 3} {number}", f"number {number}", 0.1) for number in range(20)]
    manifest = packed(asked(budget=1_400), [reading("health", *dull)])
    details = Counter(fact.detail for fact in manifest.facts)
    assert details[Detail.SHORT] > 10 > details[Detail.FULL]


@pytest.mark.parametrize("importance", [float("nan"), float("inf"), -5.0, 7.0])
def test_an_importance_out_of_range_wins_nothing(importance: float) -> None:
    """An invalid importance does not give a source precedence."""
    loud = Fact("loud", importance=importance)
    manifest = packed(asked(), [reading("health", Fact("calm", importance=1.0)), reading("volume", loud)])
    assert [fact.text for fact in manifest.facts] in (["calm", "loud"], ["loud", "calm"])
    assert {fact.detail for fact in manifest.facts} == {Detail.FULL}
    assert json.dumps(manifest.to_json(), allow_nan=False)


def test_a_budget_below_the_fixed_parts_names_one_that_works() -> None:
    """Law 10: the error names a budget, and that budget is accepted."""
    request = asked("why? " * 700, budget=500)
    with pytest.raises(
        BudgetTooSmall, match=r"a token budget of 500 cannot hold .* give at least [\d,]+"
    ) as caught:
        packed(request, [reading("health", Fact(LINE))])
    enough = smallest_budget(caught.value)
    assert packed(asked(request.question, budget=enough), [reading("health", Fact(LINE))])
    assert "\n" not in str(caught.value)


def test_the_fixed_parts_stay_small_whatever_is_named() -> None:
    """Hundreds of scope names, unknown names and gaps leave room for facts; the omitted ones are counted."""
    request = asked(
        scope=Scope(labels=tuple(f"deployment model-{n}/backend" for n in range(500))),
        unknown_names=tuple(UnknownName(f"gpt-{n}", ("gpt-4",) * 3) for n in range(300)),
        budget=4_000,
    )
    gaps = tuple(f"what happened on day {n}" for n in range(200))
    manifest = packed(request, [reading("health", Fact(LINE), gaps=gaps)])
    assert manifest.facts[0].detail is Detail.FULL
    assert manifest.scope[-1] == f"and {500 - MAX_LABELS} more"
    assert manifest.sources[0].gaps[-1] == f"and {200 - WIDTHS[0].gaps} more"
    assert len(manifest.unknown_names) == MAX_UNKNOWN_NAMES


def test_sources_that_failed_are_named_in_the_prompt() -> None:
    """Law 2: a failed source has a line with its status and the reason."""
    readings = [
        reading("health", header="", status=Status.TIMEOUT, error="no response within 2 s"),
        reading("latency", header="", status=Status.ERROR, error="the disk is on fire"),
        reading("volume", header="no requests in the window", status=Status.EMPTY),
    ]
    user = render(packed(asked(), readings)).user
    assert "[H0] health (timeout): no response within 2 s\n" in user
    assert "[L0] latency (error): the disk is on fire\n" in user
    assert "[V0] volume (empty): no requests in the window\n" in user


def test_on_topic_facts_come_before_others() -> None:
    """A question about cost shows the budgets first, even before more important facts off topic."""
    readings = [
        reading("health", Fact("all is well", importance=0.9)),
        reading("budgets", Fact("user_acme is near", importance=0.5), topics=(Topic.COST,)),
    ]
    manifest = packed(asked(topics=frozenset({Topic.COST}), budget=AMPLE), readings)
    assert [fact.source for fact in manifest.facts] == ["budgets", "health"]
    assert [fact.on_topic for fact in manifest.facts] == [True, False]
    assert [source.name for source in manifest.sources] == ["budgets", "health"]


facts_of_any_words = st.lists(
    st.builds(
        lambda words, short, importance: Fact(" ".join(words), short, importance),
        st.lists(st.sampled_from(("gpt-4/aws", "down", "slow", LINE)), min_size=1, max_size=6),
        st.sampled_from(("", "gpt-4/aws: down", "slow")),
        st.floats(0.5, 1),
    ),
    max_size=5,
)


@settings(HEAVY, max_examples=40)
@given(facts_of_any_words, facts_of_any_words, st.integers(0, 900), st.integers(1, 300))
def test_more_budget_is_spent_on_the_best_by_words_too(
    one: list[Fact], other: list[Fact], spare: int, more: int
) -> None:
    """Law 1: the order in which facts are tried depends on question and facts, never on the budget."""
    readings = [reading("health", *one), reading("incidents", *other)]
    small, large = _check_first_change(asked("Is gpt-4/aws down?"), readings, spare, more)
    assert [fact.ref for fact in small.facts] == [fact.ref for fact in large.facts]


def many_sources(count: int, **values: Any) -> list[SourceResult]:
    """Sources with a summary of fifteen words and twelve facts each."""
    header = "12 changes in the window, 3 of them in the hour before the onset, newest 09:12"
    facts = tuple(Fact(f"{LINE} {n}", f"gpt-4/aws DOWN {n}", 0.5, kind="changes") for n in range(12))
    made = []
    for number in range(count):
        one = reading("x", *values.get("facts", facts), **({"header": header} | values.get("section", {})))
        prefix = f"X{chr(ord('A') + number)}"
        source = replace(one.source, name=f"source{number}", prefix=prefix, topics=values["topics"])
        made.append(replace(one, source=source))
    return made


@pytest.mark.parametrize("topics", [frozenset({Topic.COST}), frozenset({Topic.HEALTH})])
def test_many_sources_leave_room_for_facts(topics: frozenset[Topic]) -> None:
    """The fixed cost of 22 sources stays small at a small budget, on topic or not."""
    question = asked("Is gpt-4/aws down?")
    alone = fixed_tokens(question, [])
    assert fixed_tokens(question, many_sources(22, topics=topics)) - alone <= 400
    answer = Fact(LINE, importance=1.0)
    manifest = packed(asked(budget=2_000), [reading("health", answer), *many_sources(22, topics=topics)])
    assert manifest.facts[0].text == LINE
    assert manifest.facts[0].is_shown
    assert len({fact.source for fact in manifest.facts if fact.is_shown}) > 3


@pytest.mark.parametrize("status", [Status.ERROR, Status.TIMEOUT, Status.STALE])
def test_many_failed_sources_are_all_named_in_little_room(status: Status) -> None:
    """Law 2: each has a line with status and the beginning of the reason, and the best fact still fits."""
    values = {"status": status, "header": "late " * 90, "error": "the disk is on fire " * 20}
    failed = many_sources(22, topics=frozenset({Topic.HEALTH}), facts=(), section=values)
    manifest = packed(asked(budget=2_500), [reading("health", Fact(LINE, importance=1.0)), *failed])
    user = render(manifest).user
    tight = asked(budget=fixed_tokens(asked(), failed))
    for text in (user, render(packed(tight, failed)).user):
        assert all(f"[{r.source.prefix}0] {r.source.name} ({status}): the disk" in text for r in failed)
    assert f"[H1] {LINE}" in user


def test_omitted_facts_are_counted_by_kind() -> None:
    """The summary line counts each kind, and facts without a kind together; the entries record it."""
    templates = [Fact(f"{LINE} {n}", importance=0.5, kind="error templates") for n in range(40)]
    others = [Fact(f"{LINE} {n}", importance=0.1, kind=kind) for n, kind in enumerate(["jobs", "jobs", ""])]
    manifest = packed(asked(budget=1_800), [reading("health", *templates, *others)])
    kept = sum(fact.is_shown for fact in manifest.facts)
    counts = f"; +3 other facts, +{40 - kept} error templates, +2 jobs not shown here"
    assert f"[H0] health (ok): fine{counts}".replace("+3 other", "+1 other") in render(manifest).user
    details = Counter(fact.detail for fact in manifest.facts)
    assert (details[Detail.COUNTED], details[Detail.CUT]) == (42 - kept, 1)


def test_what_two_sources_state_is_shown_once() -> None:
    """The more useful one is shown; the other refers to it and is not counted as omitted."""
    readings = [
        reading("health", Fact("job 7 failed on gpt-4/aws", importance=0.9, key="job:7")),
        reading("incidents", Fact("rollout 7 failed", importance=0.4, key="job:7"), Fact("inc_7 is open")),
    ]
    manifest = packed(asked(), readings)
    entries = {fact.ref: fact for fact in manifest.facts}
    assert entries["H1"].is_shown
    assert (entries["I1"].detail, entries["I1"].reason) == (Detail.CUT, "duplicate of H1")
    assert entries["I1"].same_as == "H1"
    assert entries["I2"].is_shown
    assert "not shown" not in render(manifest).user.partition("[H1]")[0]
    assert "rollout 7" not in render(manifest).user


def test_a_fact_that_two_sources_state_has_the_place_of_the_better_one() -> None:
    """A flood in the source that states it does not evict the best fact of the other source."""
    flood = [Fact(f"{LINE} {n}", importance=1.0) for n in range(200)]
    shared = Fact("job 7 failed on gpt-4/aws", importance=0.9, key="job:7")
    rest = replace(shared, text="rollout 7 failed", importance=0.02)
    manifest = packed(asked(budget=1_600), [reading("health", *flood, shared), reading("jobs", rest)])
    assert next(fact for fact in manifest.facts if fact.ref == "H201").is_shown


def test_the_words_of_the_question_decide_between_equal_facts() -> None:
    """Of equally important facts the one that contains the words of the question comes first."""
    facts = [
        Fact(f"{name} answers with errors since 07:10", importance=0.8) for name in ("a/b", "c/d", "e/f")
    ]
    manifest = packed(asked("Why does e/f fail?"), [reading("health", *facts)])
    assert manifest.facts[0].ref == "H3"


def test_words_do_not_lift_a_fact_off_topic_above_one_on_topic() -> None:
    """A fact off topic that repeats the question ranks below a fact on topic."""
    question = "Why is gpt-4/aws down?"
    echo = Fact(f"{question} " * 9, importance=1.0)
    plain = Fact("upstream timeouts", importance=0.9)
    readings = [reading("budgets", echo, topics=(Topic.COST,)), reading("health", plain)]
    assert [fact.source for fact in packed(asked(question), readings).facts] == ["health", "budgets"]


def test_facts_that_share_more_of_the_topics_come_first() -> None:
    """A source about exactly the topics of the question beats one that covers fewer or more topics."""
    topics = frozenset({Topic.HEALTH, Topic.COST})
    fact = Fact("a", importance=0.8)
    readings = [
        reading("health", fact),
        reading("budgets", fact, topics=tuple(topics)),
        reading("volume", fact, topics=tuple(Topic)),
    ]
    order = [entry.source for entry in packed(asked(topics=topics), readings).facts]
    assert order[0] == "budgets"
