"""Confidence is what code can say of an answer's basis: nothing that is missing goes unmentioned."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.answer.brief import write_brief
from context_builder.answer.confidence import (
    MIN_IMPORTANT,
    MIN_UNSUPPORTED_FOR_LOW,
    Confidence,
    ConfidenceLevel,
    confidence_of,
)
from context_builder.question.request import ContextRequest, NotUsed, Topic, UnknownName
from context_builder.source import Fact, SourceResult, Status
from context_builder.sources import discover
from tests.support.source_results import any_request, asked, many_readings, packed, reading, roomy

LEVELS = list(ConfidenceLevel)
DOWN = Fact("gpt-4/aws is DOWN", importance=1.0)
SOURCES = discover()


def judged(*readings: SourceResult, unsupported: int = 0, **request: Any) -> Confidence:
    """The confidence in an answer to a question about health."""
    return confidence_of(packed(asked(**request), readings), unsupported=unsupported)


def test_an_answer_from_complete_data_is_high() -> None:
    """If nothing is missing there is no reason; an empty source off topic is not one."""
    beside = reading("volume", header="nothing", status=Status.EMPTY, topics=(Topic.VOLUME,))
    assert judged(reading("health", DOWN), beside) == Confidence(ConfidenceLevel.HIGH, ())


@pytest.mark.long
@pytest.mark.parametrize("status", [Status.ERROR, Status.TIMEOUT])
@pytest.mark.parametrize("failed", [source.name for source in SOURCES])
def test_each_source_that_fails_is_named_and_caps_the_answer(failed: str, status: Status) -> None:
    """Law 2: low where the question needs the source, never high otherwise; the answer says which it is."""
    readings = [
        SourceResult(s, reading("x").section, status, 5, "it broke")
        if s.name == failed
        else SourceResult(s, reading("x", DOWN).section, Status.OK, 5)
        for s in SOURCES
    ]
    for topic in Topic:
        manifest = packed(asked(topics=frozenset({topic})), readings)
        needed = any(topic in source.topics for source in SOURCES if source.name == failed)
        confidence = confidence_of(manifest, unsupported=0)
        assert confidence.level is (ConfidenceLevel.LOW if needed else ConfidenceLevel.MEDIUM)
        assert f"{failed} could not be read ({status})" in confidence.reasons
        assert f"- Could not be read: {failed} ({status}: it broke) [" in write_brief(manifest, "no key")


@pytest.mark.parametrize(("parts", "level"), [(1, "medium"), (2, "medium"), (3, "low"), (50, "low")])
def test_what_is_not_used_caps_the_confidence(parts: int, level: str) -> None:
    """Law 11: never high if a part of the question is not taken into account, low from three on."""
    confidence = judged(
        reading("health", DOWN), not_used=tuple(NotUsed(f"part {n}", "unknown") for n in range(parts))
    )
    assert confidence.level == level
    (reason,) = confidence.reasons
    assert reason.startswith("not used of the question: “part 0”")


@pytest.mark.parametrize(
    ("readings", "reason"),
    [
        ([reading("health", DOWN, status=Status.STALE)], "stale data: health"),
        ([reading("health", DOWN, gaps=("why",))], "some data is not available for this moment: health"),
        (
            [reading("health", DOWN, Fact("so " * 900, importance=MIN_IMPORTANT))],
            "1 important fact did not fit the token budget: health",
        ),
    ],
)
def test_stale_unavailable_or_omitted_data_makes_it_medium(readings: list[SourceResult], reason: str) -> None:
    """Each of them is a reason."""
    assert judged(*readings, budget=1_400) == Confidence(ConfidenceLevel.MEDIUM, (reason,))


def test_off_topic_or_unimportant_data_does_not_matter() -> None:
    """Gaps and stale data off topic, unimportant omitted facts and duplicates do not lower the confidence."""
    twins = [Fact(f"job 7 {text}", importance=0.9, key="job:7") for text in ("failed", "broke")]
    readings = [
        reading("health", DOWN, *twins, Fact("so " * 900, importance=MIN_IMPORTANT - 0.1)),
        reading("budgets", DOWN, status=Status.STALE, gaps=("why",), topics=(Topic.COST,)),
    ]
    assert judged(*readings, budget=1_500).level is ConfidenceLevel.HIGH


def test_an_omitted_fact_counts_even_if_another_source_states_it() -> None:
    """The fact that replaces it may be off topic and omitted too; it counts once, as on topic."""
    long = "job 7 failed, " * 300
    probes = [Fact(f"probe {number} is fine", importance=0.1) for number in range(9)]
    readings = [
        reading("health", DOWN, *probes, Fact(long, importance=MIN_IMPORTANT, key="job:7")),
        reading("volume", Fact(long, importance=1.0, key="job:7"), topics=(Topic.VOLUME,)),
    ]
    request = asked(budget=1_500)
    manifest = packed(request, readings)
    (twin,) = (
        fact for fact in manifest.facts if fact.source == "health" and fact.importance == MIN_IMPORTANT
    )
    assert (twin.same_as, "V1" in manifest.shown) == ("V1", False)
    confidence = confidence_of(manifest, unsupported=0)
    assert confidence == Confidence(
        ConfidenceLevel.MEDIUM, ("1 important fact did not fit the token budget: health",)
    )
    assert confidence_of(packed(roomy(request), readings), unsupported=0).level is ConfidenceLevel.HIGH


@pytest.mark.parametrize("readings", [[], [reading("health", header="none", status=Status.EMPTY)]])
def test_an_answer_from_nothing_is_low(readings: list[SourceResult]) -> None:
    """Without any data on topic the confidence is low."""
    assert judged(*readings).level is ConfidenceLevel.LOW


def test_unknown_names_make_it_medium() -> None:
    """The question may be about something that was not read."""
    confidence = judged(reading("health", DOWN), unknown_names=(UnknownName("gpt-5"), UnknownName("gpt-9")))
    reason = "unknown names in the question: gpt-5, gpt-9"
    assert confidence == Confidence(ConfidenceLevel.MEDIUM, (reason,))


@pytest.mark.parametrize(
    ("claims", "level", "reason"),
    [
        (1, ConfidenceLevel.MEDIUM, "1 claim is not supported by the facts"),
        (
            MIN_UNSUPPORTED_FOR_LOW - 1,
            ConfidenceLevel.MEDIUM,
            f"{MIN_UNSUPPORTED_FOR_LOW - 1} claims are not supported by the facts",
        ),
        (
            MIN_UNSUPPORTED_FOR_LOW,
            ConfidenceLevel.LOW,
            f"{MIN_UNSUPPORTED_FOR_LOW} claims are not supported by the facts",
        ),
    ],
)
def test_unsupported_claims_count(claims: int, level: ConfidenceLevel, reason: str) -> None:
    """A few make it medium, several make it low."""
    assert judged(reading("health", DOWN), unsupported=claims) == Confidence(level, (reason,))


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(any_request(), many_readings(), st.integers(0, 5))
def test_the_worst_reason_comes_first_and_sets_the_level(
    request: ContextRequest, readings: list[SourceResult], claims: int
) -> None:
    """It is high exactly if there is no reason; more unsupported claims never raise it."""
    manifest = packed(roomy(request), readings)
    confidence = confidence_of(manifest, unsupported=claims)
    assert (confidence.level is ConfidenceLevel.HIGH) == (not confidence.reasons)
    more = confidence_of(manifest, unsupported=claims + 1)
    assert LEVELS.index(more.level) >= LEVELS.index(confidence.level)
    failed = [r.source.name for r in readings if r.status in (Status.ERROR, Status.TIMEOUT)]
    assert all(any(reason.startswith(f"{name} ") for reason in confidence.reasons) for name in failed)
