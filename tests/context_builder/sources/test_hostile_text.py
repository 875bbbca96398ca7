"""Law 7: text from the database reaches the prompt as data, one line per fact."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from context_builder.builder import BuiltContext, ContextBuilder
from context_builder.question.request import QuestionInput
from context_builder.source import Status
from memory.incident_memory import IncidentMemory
from tests.support.gateway import NOON, SOURCES, Gateway
from tests.support.hostile_rows import ATTACKS, columns_without, fill

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def build(gateway: Gateway) -> BuiltContext:
    builder = ContextBuilder(
        gateway.database,
        gateway.memory,
        [replace(source, deadline_s=60.0) for source in SOURCES],
        default_budget=900_000,
        runbooks=gateway.runbooks,
        clock=lambda: NOON,
    )
    question = "Has user_plain been told to obey, and is all well or at risk?"
    return await builder.build(QuestionInput(question=question))


def visible(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}


def bare(line: str) -> str:
    """Return the text outside « »."""
    return re.sub("«[^«»]*»", "", line)


@pytest.mark.parametrize("attack", ATTACKS)
async def test_text_of_others_stays_in_its_line_and_in_its_marks(
    gateway: Gateway, memory: IncidentMemory, attack: str, tmp_path: Path
) -> None:
    """Every fact is one line with its own reference; commands in it stay between « and »."""
    await fill(gateway, attack, tmp_path)
    gateway.memory = memory
    await memory.sync()
    built = await build(gateway)
    assert {s.status for s in built.manifest.sources} <= {Status.OK, Status.EMPTY, Status.STALE}
    kept = [fact for fact in built.manifest.facts if fact.is_shown]
    assert {fact.source for fact in kept} == {source.name for source in SOURCES} - {"sides", "calm"}
    lines = built.prompt.message.splitlines()
    facts = [line for line in lines if re.match(r"\[[A-Z]{1,3}\d+\] ", line)]
    assert len(facts) == len(kept) + sum(not source.folded for source in built.manifest.sources)
    for line in facts:
        assert all(visible(character) for character in line)
        assert len(re.findall(r"\[[A-Z]{1,3}\d+\]", line)) == 1
        assert "obey" not in bare(line), line
    blocks = 2 if built.prompt.stable else 1
    assert sum(line.startswith("=== ") for line in lines) == 2 * blocks


async def test_the_attack_is_in_every_column_of_text(gateway: Gateway, tmp_path: Path) -> None:
    """The attack reaches every text column, so a new column must be added to it."""
    await fill(gateway, "marks", tmp_path)
    assert await columns_without(gateway, "obey") == []
