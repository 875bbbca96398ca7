"""Forgetting an incident: no word and no vector of it is left, in the database or in the index."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from memory.embedding.embedder import Vectors
from memory.embedding.hashing import HashingEmbedder
from memory.errors import MemoryUnavailable, UnknownIncident
from models import Incident, Notification, Postmortem, PostmortemCall, Provenance, Question
from tests.support.incident_world import LATER, World, distinct, incident

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "zyzzyva-4711"


async def _secret_world(world: World, others: int) -> int:
    """Store an incident with a secret in every text about it, among others."""
    texts: dict[str, Any] = dict.fromkeys(
        ("title", "symptoms", "root_cause", "resolution"), f"the customer is {SECRET}"
    )
    [number] = await world.add(incident(0, public_id="inc_secret", **texts))
    await world.add(*(distinct(number) for number in range(1, others + 1)))
    facts = {"facts": [{"ref": "M1", "text": f'"inc_secret": {SECRET}'}, {"ref": "M2", "text": "kept"}]}
    async with world.database.write() as session:
        quoting, other = _question("ans_quoting", facts), _question("ans_other", {"facts": []})
        session.add_all([quoting, other])
        await session.flush()
        session.add(
            Postmortem(incident_id=number, question_id=quoting.id, provenance=Provenance.MODEL,
                       markdown=SECRET, summary=SECRET, root_cause=SECRET, created_at=LATER)
        )  # fmt: skip
        session.add(
            PostmortemCall(incident_id=number, custom_id="c", owner="o", leased_until=LATER, manifest=facts,
                           claimed_at=LATER)
        )  # fmt: skip
        session.add(
            Notification(created_at=LATER, provider="p", channel="c", subject=SECRET, status="sent",
                         incident_id=number)
        )  # fmt: skip
    return number


def _question(public_id: str, manifest: dict[str, Any]) -> Question:
    return Question(
        public_id=public_id, asked_at=LATER, question="why?", as_of=LATER, manifest=manifest,
        answer="as inc_secret tells" if manifest["facts"] else "fine", token_budget=1, token_bound=1,
        build_ms=1, latency_ms=1,
    )  # fmt: skip


MARK = np.array([0, 0, 0.5, 0.5, 0.5, 0.5, 0, 0], dtype="<f4")
"""Of unit length, so that Chroma keeps it to the bit."""


class MarkingEmbedder(HashingEmbedder):
    """Gives texts with the secret a vector that can be found in a file."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = await super().embed(texts)
        for row, each in zip(vectors, texts, strict=True):
            if SECRET in each:
                row[:] = 0
                row[100:108] = MARK
        return vectors


async def test_no_word_and_no_vector_is_left_in_any_file(
    own_world: World, folder: Path, tmp_path: Path
) -> None:
    """After forgetting, neither the database's files nor Chroma's hold a byte of text or embedding."""
    await _secret_world(own_world, others=1_200)  # beyond 1,000 Chroma writes vector files
    memory = own_world.memory(embedder=MarkingEmbedder())
    await memory.sync()
    await memory.rebuild()
    assert await asyncio.to_thread(_files_with, tmp_path, SECRET.encode())
    assert await asyncio.to_thread(_files_with, folder, MARK.tobytes())
    [forgotten] = await memory.maintenance.forget(["inc_secret"], at=LATER)
    assert (forgotten.postmortem, forgotten.questions) == (True, 1)
    await own_world.database.close()
    assert await asyncio.to_thread(_files_with, tmp_path, SECRET.encode()) == []
    assert await asyncio.to_thread(_files_with, tmp_path, MARK.tobytes()) == []
    assert len((await own_world.recall(distinct(7).title)).recollections) == 1


def _files_with(folder: Path, wanted: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and wanted in path.read_bytes()]


@pytest.mark.both_databases
async def test_what_is_forgotten_stays_so_and_everything_else_stays_too(world: World) -> None:
    """Id, times and severity remain; no sync brings it back; other incidents and questions are untouched."""
    number = await _secret_world(world, others=3)
    memory = world.memory()
    await memory.sync()
    for _ in range(2):  # again is harmless
        await memory.maintenance.forget(["inc_secret"], at=LATER)
    await memory.sync()
    assert not (await world.recall(f"the customer is {SECRET}", memory=memory)).recollections
    async with world.database.read() as session:
        row = await session.get_one(Incident, number)
        assert (row.title, row.symptoms, row.root_cause, row.resolution) == ("[forgotten]", "", None, None)
        assert (row.public_id, row.severity, row.forgotten_at) == ("inc_secret", "high", LATER)
        assert not (await session.scalars(select(Postmortem))).all()
        assert not (await session.scalars(select(PostmortemCall))).all()
        assert (await session.scalars(select(Notification.subject))).all() == ["[forgotten]"]
        questions = {each.public_id: each for each in await session.scalars(select(Question))}
    assert questions["ans_other"].answer == "fine"
    assert questions["ans_quoting"].answer == "[forgotten]"
    assert [fact["text"] for fact in questions["ans_quoting"].manifest["facts"]] == ["[forgotten]", "kept"]
    status = await memory.status()
    assert (status.entries, status.lag, len(status.kept)) == (3, 0, 1)


async def test_an_unknown_id_changes_nothing(world: World) -> None:
    """Of several ids one wrong one stops all, before anything is erased."""
    await world.add(distinct(1))
    memory = world.memory()
    await memory.sync()
    with pytest.raises(UnknownIncident, match="'inc_nope' is not known; nothing was changed"):
        await memory.maintenance.forget(["inc_1", "inc_nope"], at=LATER)
    assert len((await world.recall(distinct(1).title)).recollections) == 1


class BrokenIndex:
    """A ChromaIndex that fails at what is asked of it."""

    def __init__(self, index: Any) -> None:
        self._index = index

    def __getattr__(self, name: str) -> Any:
        if name == "create":
            raise MemoryUnavailable("the index is gone")
        return getattr(self._index, name)


async def test_texts_go_even_when_the_index_fails_and_again_finishes(world: World) -> None:
    """If the index fails, the texts are erased and the error says so; the next try removes the vectors."""
    await world.add(distinct(1), distinct(2))
    await world.memory().sync()
    with pytest.raises(MemoryUnavailable, match="the index is gone"):
        await world.memory(index=BrokenIndex(world.index)).maintenance.forget(["inc_1"], at=LATER)
    async with world.database.read() as session:
        assert (await session.scalars(select(Incident.title))).all().count("[forgotten]") == 1
    memory = world.memory()
    assert not (
        await world.recall(distinct(1).title, as_of=LATER + timedelta(1), memory=memory)
    ).recollections
    await memory.maintenance.forget(["inc_1"], at=LATER)
    status = await memory.status()
    assert (status.vectors, status.lag, len(status.kept)) == (1, 0, 1)
