"""Facts that tell a fault as a whole come first, and what they include is not repeated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from context_builder.prompt.render import render
from context_builder.question.request import Topic
from context_builder.source import Fact
from tests.support.source_results import AMPLE, LINE, asked, packed, reading


def leading(number: int, **values: Any) -> Fact:
    """A fact that tells a fault as a whole."""
    return Fact(
        f"fault {number}: {LINE}", f"fault {number}", values.pop("importance", 0.1), leads=True, **values
    )


def test_each_fault_comes_before_the_second_fact_of_any() -> None:
    """Where a cause is asked for, facts that lead are first, whatever their importance and the room."""
    results = [
        reading("health", *[Fact(f"{LINE} {n}", importance=1.0) for n in range(40)]),
        reading("volume", leading(1), leading(2), Fact("a detail")),
    ]
    topics = asked().topics | {Topic.CHANGES}
    for budget in (1_400, AMPLE):
        lines = render(packed(replace(asked(budget=budget), topics=topics), results)).user.splitlines()
        facts = [line for line in lines if line.startswith("[") and "0]" not in line]
        assert [line.split(":")[0] for line in facts[:2]] == ["[V1] fault 1", "[V2] fault 2"]


def test_a_question_for_a_list_is_answered_by_the_most_useful_facts() -> None:
    """Which deployments are unhealthy is said by their health, not by when a fault began."""
    readings = [reading("volume", leading(1)), reading("health", Fact("gpt-4/aws is DOWN", importance=0.2))]
    assert Topic.CHANGES not in asked().topics
    assert [fact.source for fact in packed(asked(), readings).facts] == ["health", "volume"]


def test_a_fact_that_leads_off_topic_leads_nothing() -> None:
    """A fault is no answer to a question about something else."""
    fault = replace(leading(1), topics=frozenset({Topic.COST}))
    readings = [reading("volume", fault), reading("health", Fact("gpt-4/aws is DOWN", importance=0.2))]
    request = replace(asked(), topics=asked().topics | {Topic.CHANGES})
    assert [fact.source for fact in packed(request, readings).facts] == ["health", "volume"]


def test_what_a_leading_fact_includes_is_not_shown_beside_it() -> None:
    """The fact that includes another holds its place, even where the other would rank higher."""
    event = Fact("job 7 began", importance=1.0, key="job:7")
    digest = Fact("it failed after job 7", importance=0.1, states=frozenset({"job:7"}))
    manifest = packed(asked(), [reading("health", event), reading("volume", digest)])
    entries = {fact.ref: fact for fact in manifest.facts}
    assert entries["V1"].is_shown
    assert (entries["H1"].is_shown, entries["H1"].same_as) == (False, "V1")
