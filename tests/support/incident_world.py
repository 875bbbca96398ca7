"""A small gateway's incidents, and a memory over them, for the tests of memory."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from memory.embedding.hashing import HashingEmbedder
from memory.incident_memory import IncidentMemory
from memory.index.contract import VectorIndex
from memory.recall.results import Recall, RecallQuery
from models import Incident, MemoryEntry
from models.database import Database

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
LATER = EPOCH + timedelta(days=365)

SCENES = [
    ("Connection pool exhausted in the router", "gpt-4/aws", "p95 latency 31 s, 504, requests wait in line",
     "pool capped at 50 connections after a rollout", "raised the cap to 400 and restarted the router"),
    ("Provider returns 429 rate limit errors", "claude-3/anthropic", "18 % fail with rate_limit_exceeded",
     "a batch customer shared the production key", "moved batch traffic to a key of its own"),
    ("Answers cut off mid-sentence", "llama-3/azure", "quality 0.6 instead of 0.9, stop reason max_tokens",
     "default of max_tokens lowered to 256 in router v41", "reverted the router configuration"),
    ("TLS handshake failures on every call", "mistral/gcp", "certificate has expired, all requests fail",
     "renewal job disabled during a migration", "renewed the certificate and added an alert"),
    ("Hourly spend four times the usual", "gpt-4/azure", "budget tier costs explode, no errors",
     "fallback rule sent cheap traffic to the dearest model", "rule removed, spend alarm added"),
    ("Inference pods restart out of GPU memory", "llama-3/onprem", "503, CUDA out of memory, queues grow",
     "context window raised to 128k without a smaller batch", "lowered the batch size"),
]  # fmt: skip
"""Title, target, symptoms, root cause, resolution: no two are alike."""


def incident(number: int, scene: int = 0, **values: Any) -> Incident:
    """Incident `number`: begins at hour `number` of 2026 and lasts half an hour."""
    title, target, symptoms, root_cause, resolution = SCENES[scene % len(SCENES)]
    started = EPOCH + timedelta(hours=number)
    given = {
        "public_id": f"inc_{number}",
        "title": title,
        "symptoms": symptoms,
        "target": target,
        "severity": "high",
        "status": "resolved",
        "started_at": started,
        "resolved_at": started + timedelta(minutes=30),
        "root_cause": root_cause,
        "resolution": resolution,
    }
    return Incident(**given | values)


def distinct(number: int, **values: Any) -> Incident:
    """Return an incident whose words no other incident has."""
    words = " ".join(re.findall("[0-9a-f]{8}", hashlib.sha256(f"incident {number}".encode()).hexdigest()))
    texts = {"title": words, "symptoms": words, "root_cause": words, "resolution": words, "target": None}
    return incident(number, **texts | values)


@dataclass
class World:
    """One database and one index with a memory between them."""

    database: Database
    index: VectorIndex
    embedder: Any = field(default_factory=HashingEmbedder)
    deadline_s: float = 20.0

    def memory(self, **values: Any) -> IncidentMemory:
        """Return a memory over the world; it is not closed, since the index is shared."""
        given = {"embedder": self.embedder, "index": self.index, "deadline_s": self.deadline_s}
        return IncidentMemory(self.database, **given | values)

    async def add(self, *incidents: Incident) -> list[int]:
        """Store incidents and return their ids."""
        async with self.database.write() as session:
            session.add_all(incidents)
            await session.flush()
            return [one.id for one in incidents]

    async def change(self, incident_id: int, **values: Any) -> None:
        """Change columns of an incident."""
        async with self.database.write() as session:
            row = await session.get_one(Incident, incident_id)
            for name, value in values.items():
                setattr(row, name, value)

    async def recall(
        self, *texts: str | RecallQuery, as_of: datetime = LATER, limit: int = 3, memory: Any = None
    ) -> Recall:
        """Return what memory recalls for texts or queries."""
        queries = [text if isinstance(text, RecallQuery) else RecallQuery(text=text) for text in texts]
        async with self.database.read() as session:
            return await (memory or self.memory()).recall(session, queries, as_of=as_of, limit=limit)

    async def entries(self) -> Sequence[tuple[int, str, bytes]]:
        """Return incident, text and embedding of every entry."""
        async with self.database.read() as session:
            rows = await session.execute(
                select(MemoryEntry.incident_id, MemoryEntry.text, MemoryEntry.embedding).order_by(
                    MemoryEntry.incident_id
                )
            )
            return [(incident_id, text, embedding) for incident_id, text, embedding in rows]


def ids(recall: Recall) -> list[int]:
    """Return the ids of the incidents recalled, best first."""
    return [recollection.incident_id for recollection in recall.recollections]
