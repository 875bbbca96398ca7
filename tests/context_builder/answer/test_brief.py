"""Without a model the answer is a few lines of facts: what was asked first, then what is missing."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.answer.brief import MAX_LINES, write_brief
from context_builder.answer.clause import first_clauses
from context_builder.answer.closing import MAX_LINE
from context_builder.answer.grounding import ground
from context_builder.answering import source_names
from context_builder.prompt.manifest import Manifest
from context_builder.prompt.render import uncited_text
from context_builder.question.request import ContextRequest, NotUsed, Topic, UnknownName
from context_builder.source import Fact, Headline, Role, SourceResult, Status
from tests.support.source_results import any_request, asked, many_readings, packed, reading, roomy

REASON = "no model is configured"
QUESTIONS = (
    "Which deployments are unhealthy?", "Why is it slow?", "How many requests failed?", "Is anything broken?",
    "When did it begin?", "What changed?", "Is gpt-4 or llama slower?", "List all incidents", "status",
    "Does anyone get rate limited?", "Top 3 users by cost", "", "?" * 50,
)  # fmt: skip
FIGURES = (
    "gpt-4/aws p95 3,104 ms since 2026-11-20 08:46 (10 h 51 min), 2.4 times; 12 of 1,204 failed (<0.1 %)"
)


def issues(manifest: Manifest, brief: str) -> list[str]:
    """What grounding finds unsupported in a brief."""
    checked = ground(brief, manifest.shown, source_names(manifest), uncited_text(manifest))
    return [f"{claim.detail}: {claim.doubt}" for claim in checked.unsupported]


def lines_of(manifest: Manifest) -> list[str]:
    return [line for line in write_brief(manifest, REASON).splitlines() if line]


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(any_request(), many_readings(), st.sampled_from(QUESTIONS))
def test_the_form_of_a_brief(request: ContextRequest, readings: list[SourceResult], question: str) -> None:
    """Law 5: for any facts at most 12 lines of 160 characters, grounded, with every quotation closed."""
    manifest = packed(roomy(replace(request, question=question)), readings)
    brief = write_brief(manifest, REASON)
    assert issues(manifest, brief) == []
    lines = lines_of(manifest)
    assert 2 < len(lines) <= MAX_LINES
    assert max(map(len, lines)) <= MAX_LINE
    assert all(line.count("«") == line.count("»") for line in lines)
    assert f"No model was called: {REASON}" in lines


@given(st.lists(st.sampled_from(FIGURES.split("; ")), min_size=1, max_size=6), st.integers(1, 200))
def test_no_figure_is_cut(parts: list[str], limit: int) -> None:
    """Whatever the limit, what is kept holds only whole figures, times and durations of the text."""
    text = "; ".join(parts)
    kept = first_clauses(text, limit)
    assert len(kept) <= limit
    bare = kept.removesuffix(" …")
    assert text.startswith(bare)
    rest = text[len(bare) :]
    assert not re.search(r"\d$", bare) or not re.match(
        r"[\d.,]*\d|:\d| (?:ms|h|min|times|%)| \d\d:\d\d", rest
    )
    assert not re.search(r"\d (?:h|d)$", bare) or not re.match(r" \d", rest)


def test_a_long_quotation_is_closed() -> None:
    """A quotation that does not fit ends between words and is marked as shortened."""
    text = f"inc_0115 was fixed: «{'pin the driver and restart the fabric manager ' * 5}»"
    kept = first_clauses(text, 100)
    assert kept.endswith(" …»")
    assert len(kept) <= 100
    assert first_clauses("7" * 500, 100) == ""


def test_what_was_asked_comes_before_what_is_more_important() -> None:
    """The first line is on topic; facts off topic that are wrong follow as such, the others not at all."""
    down = Headline(text="gpt-4/aws is DOWN", role=Role.STATE, topic=Topic.HEALTH, alarm=True)
    over = Headline(text="2 of 9 users over budget", role=Role.COUNT, topic=Topic.COST, alarm=True)
    manifest = packed(
        asked("How much is spent, and who is over budget?", topics=frozenset({Topic.COST})),
        [
            reading(
                "health",
                Fact("gpt-4/aws is DOWN", importance=1.0, headline=down),
                Fact("k8s is fine", importance=0.9),
            ),
            reading("budgets", header="2 of 9 users over budget", headline=over, topics=(Topic.COST,)),
        ],
    )
    lines = lines_of(manifest)
    assert lines[0] == "2 of 9 users over budget [B0]"
    assert "- Also: gpt-4/aws is DOWN [H1]" in lines
    assert not any("k8s" in line for line in lines)


def test_a_headline_that_the_prompt_does_not_support_is_not_shown() -> None:
    """If a fact is shown short, figures of its headline that are missing there do not appear."""
    headline = Headline(text="gpt-4/aws is DOWN since 07:10", role=Role.STATE, topic=Topic.HEALTH, alarm=True)
    fact = Fact("gpt-4/aws is DOWN", importance=1.0, headline=headline)
    assert lines_of(packed(asked("What is down?"), [reading("health", fact)]))[0] == "gpt-4/aws is DOWN [H1]"


def test_it_says_what_is_not_known() -> None:
    """Law 2: failed and stale sources, gaps, unknown names and what was not used are told in few lines."""
    manifest = packed(
        asked(
            "Is anything down?",
            unknown_names=(UnknownName("gpt-5", ("gpt-4",)), UnknownName("inc_9")),
            not_used=(NotUsed("except gpt-4/aws", "no such deployment"), NotUsed("last Whitsun", "no time")),
            notes=("“sonnet” means 2 models: a, b",),
        ),
        [
            reading("health", header="", status=Status.TIMEOUT, error="no response within 2 s"),
            reading("volume", header="old", status=Status.STALE),
            reading("budgets", Fact("user_acme is near"), gaps=("the budget of 3 users",)),
        ],
    )
    assert lines_of(manifest)[0] == "Not known, since the name is unknown: gpt-5 (similar: gpt-4); inc_9"
    assert [line for line in lines_of(manifest) if not line.endswith(("[B1]", "[B0]", "gateway"))][1:] == [
        "- Could not be read: health (timeout: no response within 2 s) [H0].",
        "- Stale: volume (old) [V0].",
        "- Some data is not known: budgets (the budget of 3 users) [B0].",
        f"No model was called: {REASON}",
        "Not used of the question: “except gpt-4/aws” (no such deployment); “last Whitsun” (no time).",
        "Unknown name: gpt-5 (similar: gpt-4); inc_9.",
        "Read as: “sonnet” means 2 models: a, b.",
    ]
    assert issues(manifest, write_brief(manifest, REASON)) == []


@pytest.mark.parametrize("many", [1, 30])
def test_failed_sources_never_crowd_out_the_answer(many: int) -> None:
    """The first line stays the verdict, and the limit holds, if everything else failed."""
    failed = [reading(f"s{n}", header="", status=Status.ERROR, error="x " * 90) for n in range(many)]
    manifest = packed(asked("Is anything down?"), failed)
    assert lines_of(manifest)[0].startswith("Not known: s0")
    assert len(lines_of(manifest)) <= MAX_LINES


def test_a_failed_call_is_not_hidden() -> None:
    """The brief shows that there was a call, which may be billed."""
    brief = write_brief(packed(asked(), []), "it was cut off", called=True)
    assert "The model returned no complete answer: it was cut off" in brief
