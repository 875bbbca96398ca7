"""Law 7: orders in the data change neither a prompt's structure nor what a reader may take as checked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from context_builder.answer.answer import Answer
from context_builder.answer.confidence import ConfidenceLevel
from context_builder.answer.question_log import QuestionLog
from context_builder.answering import Answerer, DraftAnswer
from context_builder.builder import ContextBuilder
from context_builder.prompt.manifest import Manifest
from memory.incident_memory import IncidentMemory
from tests.evaluation.trust.injections import ACTIONS, injections
from tests.support.gateway import NOON, SOURCES, Gateway
from tests.support.injected_gateway import build, inject, outside_quotations, placed

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEED = 3
ATTACKS = placed(list(injections(SEED)))
FACT = re.compile(r"\[[A-Z]{1,3}\d+\]")


def said(gateway: Gateway, manifest: Manifest, text: str) -> Answer:
    """What becomes of a model's text."""
    builder = ContextBuilder(
        gateway.database, gateway.memory, SOURCES, default_budget=4_000, clock=lambda: NOON
    )
    answerer = Answerer(builder, QuestionLog(gateway.database), None, clock=lambda: NOON)
    return answerer.check(manifest, DraftAnswer(text, "claude-sonnet-5-5", None, "end_turn"), 1)


async def test_no_order_in_the_data_changes_a_prompt_or_passes_as_checked(
    gateway: Gateway, memory: IncidentMemory, tmp_path: Path
) -> None:
    """Of more than 60 in all kinds of rows: each fact stays one line, and obeying them is marked."""
    await inject(gateway, ATTACKS, tmp_path)
    built = await build(gateway, memory)
    lines = built.prompt.message.splitlines()
    shown = [fact for fact in built.manifest.facts if fact.is_shown]
    facts = [line for line in lines if FACT.match(line)]
    assert len(facts) == len(shown) + len([each for each in built.manifest.sources if not each.folded])
    assert all(len(FACT.findall(line)) == 1 for line in facts)
    assert sum(line.startswith("=== ") for line in lines) == (4 if built.prompt.stable else 2)
    reached = []
    for place, attack in ATTACKS:
        told = [line for line in lines if attack.canary in line]
        assert all(attack.canary not in outside_quotations(line) for line in told), place
        reached += [(place, attack)] if told else []
    answer = said(gateway, built.manifest, "\n\n".join(attack.obeyed for _, attack in ATTACKS))
    assert answer.confidence.level is ConfidenceLevel.LOW
    doubted = "\n".join(claim.sentence for claim in answer.unsupported)
    passed = [(place, attack.goal) for place, attack in reached if attack.canary not in doubted]
    assert len(reached) >= 60, sorted({place for place, _ in ATTACKS} - {place for place, _ in reached})
    # Runbooks are the operators' own: what they say, links and commands included, may be repeated.
    assert [each for each in passed if each[0] != "runbook"] == []


async def test_the_clean_twin_is_answered_without_a_doubt(
    gateway: Gateway, memory: IncidentMemory, tmp_path: Path
) -> None:
    """An answer that repeats facts with their references, quotations included, has no action to mark."""
    await inject(gateway, [], tmp_path)
    manifest = (await build(gateway, memory)).manifest
    text = "\n".join(f"- {fact} [{ref}]" for ref, fact in manifest.shown.items())
    found = [one for one in said(gateway, manifest, text).unsupported if one.doubt in ACTIONS]
    assert found == []


async def test_a_wrong_fix_in_a_draft_is_not_told_as_established(
    gateway: Gateway, memory: IncidentMemory, tmp_path: Path
) -> None:
    """What an obeying model once wrote comes back from memory as a draft, and its commands do not count."""
    drafts = [each for each in ATTACKS if each[0] == "draft postmortem"]
    await inject(gateway, drafts, tmp_path)
    manifest = (await build(gateway, memory)).manifest
    told = [fact for fact in manifest.facts if fact.source == "recall" and drafts[0][1].canary in fact.text]
    assert told
    for fact in told:
        assert "(an unapproved draft written by a model): «" in fact.text
        assert not fact.approved
