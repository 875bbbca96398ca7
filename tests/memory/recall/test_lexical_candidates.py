"""What a query names is found by the database, wherever its embedding lies."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from memory.recall.lexical_candidates import NEWEST_OF_EACH
from memory.text.lexical import names
from models import Incident, MemoryName
from tests.support.incident_world import EPOCH, World, distinct, ids, incident

pytestmark = pytest.mark.asyncio(loop_scope="session")

CROWD = 130
"""More than are looked at among the closest."""


def in_a_crowd(identifier: str, number: int = 0) -> list[Incident]:
    """One incident that holds an identifier beside other subjects, among many that are closer."""
    asked = "What do we know about the incident and its log"
    crowd = [distinct(n + 10, title=f"{asked} {n}", root_cause=f"cause {n}") for n in range(CROWD)]
    return [distinct(number, resolution=f"bread with rye, request={identifier}), and sourdough"), *crowd]


@pytest.mark.parametrize("identifier", ["user_3fa2c1", "1f0c22e4", "v3.14.2", "edge-07", "ключ_9"])
async def test_the_one_incident_that_holds_an_identifier_is_found(world: World, identifier: str) -> None:
    """Asked by an id, the only incident that holds it is the answer, whatever else is closer."""
    numbers = await world.add(*in_a_crowd(identifier))
    memory = world.memory()
    await memory.sync()
    question = f"What do we know about {identifier.upper()}?"
    assert ids(await world.recall(question, memory=memory))[:1] == numbers[:1]
    over = EPOCH + timedelta(minutes=30)
    assert ids(await world.recall(question, as_of=over, memory=memory)) == []
    assert ids(await world.recall(question, as_of=over + timedelta(seconds=1), memory=memory)) == numbers[:1]


@pytest.mark.both_databases
async def test_a_name_goes_with_its_entry_and_changes_with_its_text(world: World) -> None:
    """No name outlives the text that held it, be that changed or its incident reopened."""
    first, second = await world.add(
        distinct(1, title="user_aaaaaa1 failed"), distinct(2, title="user_bbbbbb2")
    )
    memory = world.memory()
    await memory.sync()
    assert {"user_aaaaaa1", "user_bbbbbb2"} <= await stored(world)
    await world.change(first, title="user_cccccc3 failed")
    await world.change(second, status="active", resolved_at=None)
    await memory.sync()
    found = await stored(world)
    assert "user_cccccc3" in found
    assert not {"user_aaaaaa1", "user_bbbbbb2"} & found


async def stored(world: World) -> set[str]:
    async with world.database.read() as session:
        return set(await session.scalars(select(MemoryName.name)))


async def test_a_name_that_hundreds_hold_brings_a_few(sqlite_world: World) -> None:
    """A code that everything quotes costs no more than a rare one, and crowds nothing out."""
    many = [incident(n, n % 6, symptoms=f"rate_limit_exceeded {n}") for n in range(10 * NEWEST_OF_EACH)]
    await sqlite_world.add(*many, distinct(900, title="user_3fa2c1 and rate_limit_exceeded"))
    await sqlite_world.memory().sync()
    async with sqlite_world.database.read() as session:
        held = await session.scalar(
            select(func.count()).select_from(MemoryName).where(MemoryName.name == "rate_limit_exceeded")
        )
    assert held == 10 * NEWEST_OF_EACH + 1
    recall = await sqlite_world.recall("rate_limit_exceeded for user_3fa2c1")
    assert recall.recollections[0].title == "user_3fa2c1 and rate_limit_exceeded"


async def test_names_are_bounded_and_hold_their_parts() -> None:
    """Part of a composed name is found too; a dump of ids is cut short, and prose has none."""
    assert names("pod korami-7b-1a2b3c4d died") == ["korami-7b-1a2b3c4d", "1a2b3c4d"]
    assert len(names(" ".join(f"id_{n:09}" for n in range(10_000)))) == 60
    assert names("Requests wait in line at 12:31, 503 of 1,000") == []
    assert names("x_" * 100_000 + "1") is not None
