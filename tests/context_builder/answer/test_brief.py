"""Without a model the answer is the facts themselves, and says what is missing."""

from __future__ import annotations

from hypothesis import given, settings

from context_builder.answer.brief import (
    MAX_CHARACTERS,
    MAX_OFF_TOPIC,
    MAX_ON_TOPIC,
    MAX_SUMMARIES,
    write_brief,
)
from context_builder.answer.grounding import ground
from context_builder.answering import source_names
from context_builder.prompt.manifest import Manifest
from context_builder.prompt.render import uncited_text
from context_builder.question.request import ContextRequest, Topic, UnknownName
from context_builder.source import Fact, SourceResult, Status
from tests.support.source_results import any_request, asked, many_readings, packed, reading, roomy

REASON = "no model is configured"


def issues(manifest: Manifest, brief: str) -> list[str]:
    """What grounding finds unsupported in a brief."""
    checked = ground(brief, manifest.shown, source_names(manifest), uncited_text(manifest))
    return [f"{claim.detail}: {claim.doubt}" for claim in checked.unsupported]


@settings(max_examples=60, deadline=None)
@given(any_request(), many_readings())
def test_a_brief_is_fully_grounded(request: ContextRequest, readings: list[SourceResult]) -> None:
    """Law 5: for any facts, every number and name in a brief is supported by its reference."""
    manifest = packed(roomy(request), readings)
    assert issues(manifest, write_brief(manifest, REASON)) == []


def test_it_leads_with_what_the_question_is_about() -> None:
    """Window, summaries of sources on topic, their facts, then the most useful facts off topic."""
    many = [Fact(f"fact {number}", importance=1.0) for number in range(20)]
    manifest = packed(
        asked("Who is over budget?", topics=frozenset({Topic.COST})),
        [
            reading("health", *many, header="20 deployments"),
            reading("budgets", *many, header="20 users", topics=(Topic.COST,)),
        ],
    )
    brief = write_brief(manifest, REASON)
    head, _, beside = brief.partition("Also happening:")
    assert head.startswith("**No model was called:** no model is configured\n")
    assert "From 2026-11-19 09:30 to 2026-11-20 09:30 UTC, the whole gateway:" in head
    assert "- budgets: 20 users [B0]" in head
    assert "20 deployments" not in head
    assert head.count("[B") == 1 + MAX_ON_TOPIC
    assert beside.count("[H") == MAX_OFF_TOPIC


def test_only_the_first_sources_with_facts_have_summaries() -> None:
    """A source without facts does not take the place of one with facts."""
    names = ("budgets", "cost", "pricing", "spending", "tokens")
    manifest = packed(
        asked("What is it?", topics=frozenset({Topic.COST})),
        [
            reading("accounts", header="nothing on accounts", topics=(Topic.COST,)),
            *(
                reading(name, Fact(f"of {name}"), header=f"all {name}", topics=(Topic.COST,))
                for name in names
            ),
        ],
    )
    lines = write_brief(manifest, REASON).splitlines()
    assert sum(any(f"- {name}: all {name} [" in line for line in lines) for name in names) == MAX_SUMMARIES
    assert not any("nothing on accounts" in line for line in lines)
    assert all(any(f"- of {name} [" in line for line in lines) for name in names)


def test_it_says_what_is_not_known() -> None:
    """Law 2: failed and empty sources, gaps and unknown names are listed, with any references."""
    manifest = packed(
        asked(unknown_names=(UnknownName("gpt-5", ("gpt-4",)), UnknownName("inc_9"))),
        [
            reading("health", header="", status=Status.TIMEOUT, error="no response within 2 s"),
            reading("volume", header="no requests in the window", status=Status.EMPTY),
            reading("budgets", Fact("user_acme is near"), gaps=("the budget of 3 users",)),
        ],
    )
    brief = write_brief(manifest, REASON)
    assert brief.partition("Not known:")[2].strip().splitlines() == [
        "- budgets: the budget of 3 users [B0]",
        "- health could not be read (timeout): no response within 2 s [H0]",
        "- volume: no requests in the window [V0]",
        "- unknown name: gpt-5; similar names: gpt-4",
        "- unknown name: inc_9",
    ]
    assert issues(manifest, brief) == []


def test_a_long_fact_is_cut_after_its_first_clauses() -> None:
    """The cut is between clauses, or at least between words; quotations are closed and figures not split."""
    clauses = "gpt-4/aws failed: " + "; ".join(
        f"«pool {number} full», 1{number},204 ms" for number in range(10, 40)
    )
    words = " ".join(f"1{number},204" for number in range(10, 99))
    facts = (clauses, words, "7" * 500)
    manifest = packed(asked(), [reading("health", *map(Fact, facts))])
    brief = write_brief(manifest, REASON)
    shown = [line for line in brief.splitlines() if line.endswith(("[H1]", "[H2]", "[H3]"))]
    assert all(len(line) <= MAX_CHARACTERS + 12 for line in shown)
    for line, fact in zip(shown, facts, strict=True):
        kept = line.removeprefix("- ").partition(" …")[0]
        assert fact.startswith(kept)
        assert not kept or not (kept[-1].isalnum() and fact[len(kept)].isalnum())
    assert brief.count("«") == brief.count("»")
    assert issues(manifest, brief) == []


def test_a_brief_without_facts_has_no_empty_lists() -> None:
    """Without sources and facts, the brief is the reason and the window."""
    assert write_brief(packed(asked(), []), REASON).splitlines() == [
        "**No model was called:** no model is configured",
        "",
        "From 2026-11-19 09:30 to 2026-11-20 09:30 UTC, the whole gateway:",
    ]


def test_a_failed_call_is_not_hidden() -> None:
    """The brief shows that there was a call, which may be billed."""
    brief = write_brief(packed(asked(), []), "it was cut off", called=True)
    assert brief.startswith("**The model returned no complete answer:** it was cut off")
