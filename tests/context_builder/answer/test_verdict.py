"""The first lines of a brief answer the question in its form, from what sources tagged their facts with."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from context_builder.answer.brief import write_brief
from context_builder.prompt.manifest import Manifest
from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Interval, Scope, Side, Topic, UnknownName, Window
from context_builder.question.topics import topics_of
from context_builder.source import Fact, Headline, Role, SourceResult, Status
from tests.support.source_results import AS_OF, asked, packed, reading

ALL = tuple(Topic)
HOUR = timedelta(hours=1)


def told(text: str, role: Role, *nouns: Noun, importance: float = 0.5, **tags: Any) -> Fact:
    """A fact whose headline is its text."""
    headline = Headline(text=text, role=role, nouns=nouns, **tags)
    return Fact(text, importance=importance, headline=headline)


def down(name: str, **tags: Any) -> Fact:
    given: dict[str, Any] = {"topic": Topic.HEALTH, "alarm": True, "importance": 1.0}
    return told(f"{name} is DOWN since 07:10", Role.STATE, Noun.DEPLOYMENT, **given | tags)


def p95(name: str, milliseconds: int) -> Fact:
    return told(
        f"{name} p95 {milliseconds:,} ms",
        Role.RANKING,
        Noun.DEPLOYMENT,
        topic=Topic.LATENCY,
        value=milliseconds,
    )


FINE = told(
    "2 deployments healthy: a, b",
    Role.STATE,
    Noun.DEPLOYMENT,
    topic=Topic.HEALTH,
    alarm=False,
    importance=0.2,
)
SLOWED = told(
    "responses slowed down since 08:54: tier premium drives 94.4 % of the change",
    Role.DRIVER,
    Noun.TIER,
    topic=Topic.LATENCY,
    alarm=True,
    at=AS_OF - HOUR,
    importance=0.96,
)
DEPLOYED = told("rollout job_7 of router began (08:50)", Role.CAUSE, topic=Topic.LATENCY, at=AS_OF - HOUR)
COUNTED = Headline(
    text="19 of 338 requests failed (5.6 %)", role=Role.COUNT, nouns=(Noun.REQUEST,), topic=Topic.ERRORS
)


def answer(question: str, *readings: SourceResult, **request: Any) -> list[str]:
    """The lines of a brief without their marks."""
    given = asked(question, topics=topics_of(question), **request)
    return [
        line.removeprefix("- ")
        for line in write_brief(packed(given, readings), "no key").splitlines()
        if line
    ]


def facts(*found: Fact, name: str = "health", **values: Any) -> SourceResult:
    return reading(name, *found, topics=ALL, **values)


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("How many requests failed?", "19 of 338 requests failed (5.6 %) [H0]"),
        ("What is the error rate?", "19 of 338 requests failed (5.6 %) [H0]"),
        ("Which deployments are unhealthy?", "a is DOWN since 07:10 [H1]; b is DOWN since 07:10 [H2]"),
        ("Is anything broken?", "Yes: a is DOWN since 07:10 [H1]"),
        ("Is everything healthy?", "No: a is DOWN since 07:10 [H1]"),
        ("Which deployment is the slowest?", "d p95 9,000 ms [H4]; c p95 300 ms [H3]"),
        ("Which deployment is the fastest?", "c p95 300 ms [H3]; d p95 9,000 ms [H4]"),
        ("Top 1 deployments by latency", "d p95 9,000 ms [H4]"),
        ("When did it become slow?", f"{SLOWED.text} [H5]"),
        ("Why is it slow?", f"Likely: {SLOWED.text} [H5]"),
        ("Why did quality drop?", "Not known: no fact answers this"),
        ("What changed?", "a is DOWN since 07:10 [H1]"),
        ("What is going on?", "a is DOWN since 07:10 [H1]"),
        ("Who is slow?", "Not known: no fact answers this"),
    ],
)
def test_the_first_line_answers_the_question_in_its_form(question: str, first: str) -> None:
    """A number, names, yes or no, a time, the likely cause; or that it is not known."""
    found = facts(
        down("a"),
        down("b"),
        p95("c", 300),
        p95("d", 9_000),
        SLOWED,
        DEPLOYED,
        header=COUNTED.text,
        headline=COUNTED,
    )
    lines = answer(question, found)
    assert lines[0] == first


def test_a_cause_that_a_digest_includes_is_cited_there() -> None:
    """It is not in the prompt by itself; the brief tells it by the reference of what includes it."""
    cause = replace(DEPLOYED, key="job:7")
    digest = replace(SLOWED, text=f"{SLOWED.text}; {cause.text}", states=frozenset({"job:7"}), leads=True)
    lines = answer("Why is it slow?", facts(digest, cause))
    assert lines[:2] == [f"Likely: {SLOWED.text} [H1]", f"Likely cause: {cause.text} [H1]"]


def test_a_fault_that_is_none_is_denied() -> None:
    """Asked why something is so that is not, a brief says that it is not, with what says so."""
    calm = told("no metric left its usual level: 900 requests", Role.CHANGE, alarm=False)
    assert answer("Why is it down?", facts(calm))[0] == f"It is not: {calm.text} [H1]"


def test_a_cause_is_likely_at_most() -> None:
    """What changed comes first, then what happened at that time, called likely."""
    lines = answer("Why is it slow?", facts(SLOWED, DEPLOYED))
    assert lines[:2] == [
        f"Likely: {SLOWED.text} [H1]",
        "Likely cause: rollout job_7 of router began (08:50) [H2]",
    ]


def test_nothing_wrong_reads_no() -> None:
    """Only if what was read says so: if a source on topic failed, it is not known."""
    failed = reading("incidents", header="", status=Status.TIMEOUT, error="no response", topics=ALL)
    for question, well in (("Is anything broken?", "No: "), ("What is going on?", "Nothing unusual: ")):
        assert answer(question, facts(FINE))[0] == f"{well}2 deployments healthy: a, b [H1]"
        assert answer(question, facts(FINE), failed)[0] == "Not known: incidents could not be read"
    assert (
        answer("Which deployments are unhealthy?", facts(FINE))[0] == "None: 2 deployments healthy: a, b [H1]"
    )
    assert answer("Is anything broken?", facts(Fact("unjudged")))[0] == "Not known: no fact answers this"


def test_what_began_after_the_window_does_not_answer() -> None:
    """A question about yesterday is not answered with an outage of today."""
    window = Window(AS_OF - 48 * HOUR, AS_OF - 24 * HOUR, "“yesterday” in the question")
    lines = answer("Was anything broken yesterday?", facts(FINE, down("a", at=AS_OF - HOUR)), window=window)
    assert lines[0] == "No: 2 deployments healthy: a, b [H1]"


def test_there_is_none_only_if_all_that_could_tell_was_shown() -> None:
    """Kinds of failure that did not fit the prompt may be the ones asked about."""
    limited = told("rate_limited 429: 4 failed requests", Role.RANKING, Noun.RATE_LIMIT, topic=Topic.ERRORS)
    question = "Does anyone get rate limited?"
    assert answer(question, facts(limited))[0] == "Yes: rate_limited 429: 4 failed requests [H1]"
    assert answer(question, facts(FINE))[0] == "No: none is known"
    assert answer("Which users got 429s?", facts(FINE))[0] == "None is known"
    big = Fact("§" * 1_000, importance=0.1, headline=limited.headline)
    assert answer(question, facts(FINE, big), budget=1_600)[0] == "Not known: no fact answers this"
    assert answer("Who got 429s?", facts(FINE, big), budget=1_600)[0] == "Not known: no fact answers this"


def test_what_is_wrong_elsewhere_does_not_answer_for_a_name_that_is_not_known() -> None:
    """The first line says that the name is unknown, the second what is known is of the whole gateway."""
    unknown = (UnknownName("gpt-9", ("gpt-4",)),)
    wrong = facts(down("llama/aws"))
    first, second, *_ = answer("Is anything wrong with gpt-9?", wrong, unknown_names=unknown)
    assert first == "Not known, since the name is unknown: gpt-9 (similar: gpt-4)"
    assert second.startswith("The whole gateway: llama/aws is DOWN")
    scoped = answer(
        "Is llama/aws slower than gpt-9?",
        wrong,
        unknown_names=unknown,
        scope=Scope(labels=("deployment llama/aws",)),
    )
    assert not scoped[0].startswith("Not known, since the name is unknown")
    timed = answer(
        "Is anything wrong with gpt-9 since inc_0117?",
        wrong,
        unknown_names=unknown,
        scope=Scope(labels=("incident inc_0117", "deployment llama/aws")),
    )
    assert timed[0] == first
    assert not any(line.startswith("The whole gateway") for line in timed)


def test_what_only_counts_members_does_not_say_that_they_failed() -> None:
    """Who failed is answered by what measures failures: none, if that says so."""
    members = told("users by tier: premium 3, standard 4", Role.COUNT, Noun.USER)
    none_failed = told(
        "0 of 20 requests failed (0 %)", Role.COUNT, Noun.REQUEST, topic=Topic.ERRORS, alarm=False
    )
    lines = answer("Which users failed?", facts(members, none_failed))
    assert lines[0] == "None: 0 of 20 requests failed (0 %) [H2]"
    calm = told("all requests p95 900 ms", Role.COUNT, Noun.REQUEST, topic=Topic.LATENCY, alarm=False)
    assert answer("Which users are slow?", facts(members, calm))[0] == "all requests p95 900 ms [H2]"


def test_the_figures_of_sides_come_first() -> None:
    """If the question compares two sides, their figures are the answer, whatever else is wrong."""
    text = "error rate: this week 4.2 % (420 of 10,000) vs last week 1.1 % (110 of 9,990): more than chance"
    sides = tuple(
        Side(label, (Interval(AS_OF - HOUR, AS_OF),), Scope()) for label in ("this week", "last week")
    )
    compared = facts(Fact(text, importance=0.4), name="sides")
    lines = answer("Is the error rate higher than last week?", facts(down("a")), compared, sides=sides)
    assert lines[0] == f"{text} [S1]"


def test_states_are_matched_by_word() -> None:
    """`running` asks for the running ones only."""
    jobs = [
        told(f"scale job_{n} {state}", Role.STATE, Noun.JOB, topic=Topic.CHANGES)
        for n, state in enumerate(("FAILED", "is RUNNING: started 08:00"))
    ]
    assert answer("What jobs are running?", facts(*jobs))[0] == "scale job_1 is RUNNING: started 08:00 [H2]"


def test_manifests_without_headlines_still_make_a_brief() -> None:
    """What was stored before headlines existed has none: the most useful facts follow "not known"."""
    request: ContextRequest = asked("Is anything down?")
    document = packed(request, [reading("health", Fact("gpt-4/aws is DOWN"))]).to_json()
    for entry in (*document["facts"], *document["sources"]):
        del entry["headline"]
    for field in ("sides", "not_used", "notes"):
        del document[field]
    brief = write_brief(Manifest.from_json(document), "no key")
    assert "gpt-4/aws is DOWN [H1]" in brief
