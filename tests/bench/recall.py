"""What recall costs as memory grows, and what a service notices of a thousand incidents being taken in."""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np
from sqlalchemy import insert

from memory.embedding.embedder import Embedder, Vectors
from memory.embedding.onnx_embedder import OnnxEmbedder
from memory.incident_memory import IncidentMemory
from memory.index.chroma import ChromaIndex
from memory.recall.results import RecallQuery
from memory.text.recipe import RECIPE, content_hash
from models import EntrySource, Incident, MemoryEntry
from models.database import Database
from tests.bench.measure import QUICK, measure, show
from tests.evaluation.recall.catalogue import families
from tests.evaluation.recall.corpus import Corpus, PastIncident
from tests.evaluation.recall.histories import make_history
from tests.support.loop_ticker import Ticker
from tests.support.prepared_databases import migrate

SIZES = (200,) if QUICK else (1_000, 10_000, 100_000)
"""Incidents in memory; BENCH_INCIDENTS leaves out the larger ones."""
_EMBEDDED = 40 if QUICK else 1_000
"""Texts that the model embeds; the vectors of the others lie near one of theirs, as recurrences do."""
_NEARNESS = 0.35
_TAKEN_IN = 20 if QUICK else 1_000
_QUERIES = 150
_ROWS_PER_INSERT = 2_000
_LATER = datetime(2027, 1, 1, tzinfo=UTC)
_RECALL_COLUMNS = (
    "incidents", "rebuild s", "p50 ms", "p99 ms", "embedding ms", "CPU ms", "service MB", "index process MB",
)  # fmt: skip
_INDEXING_COLUMNS = (
    "incidents", f"{_TAKEN_IN:,} taken in, s", "loop lag p99 ms", "most ms", "recall p50 ms", "p99 ms",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Memory:
    """A filled memory and what it is asked."""

    database: Database
    memory: IncidentMemory
    index: ChromaIndex
    embedder: Embedder
    history: Corpus

    async def recall(self, text: str) -> None:
        async with self.database.read() as session:
            await self.memory.recall(session, [RecallQuery(text=text)], as_of=_LATER)


async def recall_sizes(at_most: int) -> None:
    """Prints a row for every size up to `at_most`."""
    embedder = OnnxEmbedder()
    await embedder.load()
    recalls, indexing = [], []
    for size in [each for each in SIZES if each <= at_most]:
        print(f"recall: {size:,} incidents", file=sys.stderr)  # noqa: T201  progress
        with tempfile.TemporaryDirectory(prefix="arcpoint-bench-") as folder:
            measured = await _measure(Path(folder), size, embedder)
        recalls.append([f"{size:,}", *measured[0]])
        indexing.append([f"{size:,}", *measured[1]])
    await embedder.close()
    show("Recall, embedding of the question included, SQLite and a Chroma folder", _RECALL_COLUMNS, recalls)
    show("While incidents are taken in", _INDEXING_COLUMNS, indexing)


async def _measure(folder: Path, size: int, embedder: Embedder) -> tuple[list[str], list[str]]:
    url = f"sqlite:///{folder}/arcpoint.db"
    await asyncio.to_thread(migrate, url)
    database, index = Database(url), ChromaIndex(folder / "memory")
    history = await asyncio.to_thread(
        lambda: make_history(f"bench {size}", present=families(), asked_about=families(), incidents=size)
    )
    memory = IncidentMemory(database, embedder, index, deadline_s=60)
    filled = _Memory(database, memory, index, embedder, history)
    try:
        await _fill(filled, history.incidents[:size])
        started = time.perf_counter()
        await memory.rebuild()
        rebuild_s = time.perf_counter() - started
        await memory.sync()
        return await _recalls(filled, rebuild_s), await _indexing(filled)
    finally:
        await index.close()
        await database.close()


async def _recalls(filled: _Memory, rebuild_s: float) -> list[str]:
    texts = _distinct(filled.history)
    timing = await measure(lambda: filled.recall(next(texts)), runs=_QUERIES)
    embedding = await measure(lambda: filled.embedder.embed([next(texts)]), runs=_QUERIES)
    return [
        f"{rebuild_s:.1f}", f"{timing.p50_ms:.0f}", f"{timing.p99_ms:.0f}", f"{embedding.p50_ms:.0f}",
        f"{timing.cpu_ms:.0f}", f"{_resident_mb('self'):.0f}",
        f"{_resident_mb(str(filled.index.worker_pid)):.0f}",
    ]  # fmt: skip


async def _indexing(filled: _Memory) -> list[str]:
    """Takes in incidents while questions go on."""
    newcomers = make_history("newcomers", present=families(), asked_about=(), incidents=_TAKEN_IN).incidents
    async with filled.database.write() as session:
        rows = [_row(one, f"new_{one.public_id}") for one in newcomers]
        await session.execute(insert(Incident), rows)
    ticker, texts, walls = Ticker(), _distinct(filled.history), []
    ticking = asyncio.create_task(ticker.run())
    started = time.perf_counter()
    taking_in = asyncio.create_task(filled.memory.maintenance.process_outbox())
    while not taking_in.done():
        asked = time.perf_counter()
        await filled.recall(next(texts))
        walls.append((time.perf_counter() - asked) * 1000)
        await asyncio.sleep(0.05)
    await taking_in
    took_s = time.perf_counter() - started
    ticking.cancel()
    lags = sorted(lag * 1000 for lag in ticker.lags)
    return [
        f"{took_s:.1f}", f"{lags[round(0.99 * (len(lags) - 1))]:.0f}", f"{lags[-1]:.0f}",
        f"{median(walls):.0f}", f"{sorted(walls)[round(0.99 * (len(walls) - 1))]:.0f}",
    ]  # fmt: skip


def _distinct(history: Corpus) -> itertools.chain[str]:
    """Texts that no cache has seen."""
    turn = itertools.count()
    asked = [query.text for query in history.queries]
    return itertools.chain.from_iterable(
        (f"{text} ({next(turn)})" for text in asked) for _ in itertools.count()
    )


async def _fill(filled: _Memory, incidents: Sequence[PastIncident]) -> None:
    """Writes incidents and entries; the model itself would take an hour over the largest memory."""
    texts = [one.text for one in incidents]
    base = await filled.embedder.embed(texts[:_EMBEDDED])
    vectors = await asyncio.to_thread(_near, base, len(texts))
    for start in range(0, len(incidents), _ROWS_PER_INSERT):
        batch = incidents[start : start + _ROWS_PER_INSERT]
        rows = [{"id": start + place + 1, **_row(one, one.public_id)} for place, one in enumerate(batch)]
        entries = [
            _entry(row, one.text, vectors[start + place], filled.embedder)
            for place, (row, one) in enumerate(zip(rows, batch, strict=True))
        ]
        async with filled.database.write() as session:
            await session.execute(insert(Incident), rows)
            await session.execute(insert(MemoryEntry), entries)


def _near(base: Vectors, count: int) -> Vectors:
    chance = np.random.default_rng(1)
    noise = chance.normal(size=(count, base.shape[1])).astype(np.float32)
    noise *= _NEARNESS / np.linalg.norm(noise, axis=1, keepdims=True)
    noise[: len(base)] = 0
    near = base[np.arange(count) % len(base)] + noise
    vectors: Vectors = near / np.linalg.norm(near, axis=1, keepdims=True)
    return vectors


def _row(one: PastIncident, public_id: str) -> dict[str, object]:
    return {
        "public_id": public_id,
        "title": one.facts.title,
        "symptoms": one.facts.symptoms,
        "target": one.facts.target,
        "severity": "high",
        "status": "resolved",
        "started_at": one.started_at,
        "resolved_at": max(one.resolved_at, one.started_at + timedelta(minutes=1)),
        "root_cause": one.facts.root_cause,
        "resolution": one.facts.resolution,
    }


def _entry(row: dict[str, object], text: str, vector: Vectors, embedder: Embedder) -> dict[str, object]:
    return {
        "incident_id": row["id"],
        "source": EntrySource.INCIDENT,
        "text": text,
        "content_hash": content_hash(text, model_id=embedder.model_id, weights_hash=embedder.weights_hash),
        "embedding": np.asarray(vector, dtype="<f4").tobytes(),
        "model_id": embedder.model_id,
        "weights_hash": embedder.weights_hash,
        "recipe": RECIPE,
        "known_at": row["resolved_at"],
        "embedded_at": row["resolved_at"],
    }


def _resident_mb(process: str) -> float:
    """Resident memory of a process of Linux, in megabytes."""
    status = Path(f"/proc/{process}/status").read_text("ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1000
