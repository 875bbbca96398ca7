"""`GET /healthz` and `GET /readyz`: whether the process lives, and whether it can answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime

from fastapi import APIRouter, Response

from api.http.dependencies import RunningServices
from api.http.openapi import problems
from api.http.schemas.health import Health, LivenessBody, PartBody, ReadinessBody
from api.services import Services
from memory.errors import MemoryUnavailable
from memory.recall.results import RecallQuery
from models.errors import DatabaseError
from models.migrations import head_revision

router = APIRouter(tags=["health"])

DEADLINE_S = 3.0
"""How long each part may take to show that it works."""
_PROBE = RecallQuery(text="Is incident memory ready?")
_WORST_FIRST = (Health.UNAVAILABLE, Health.DEGRADED, Health.OK)


@router.get("/healthz", responses=problems(500))
async def healthz() -> LivenessBody:
    """The process is alive; says nothing of what it depends on."""
    return LivenessBody(status=Health.OK)


@router.get(
    "/readyz",
    responses=problems(500)
    | {503: {"model": ReadinessBody, "description": "Questions cannot be answered now."}},
)
async def readyz(services: RunningServices, response: Response) -> ReadinessBody:
    """Whether questions can be answered: 503 without the database; trouble with memory only degrades them."""
    database, embedder = await asyncio.gather(
        _part(_database_works(services), Health.UNAVAILABLE), _part(services.embedder.load(), Health.DEGRADED)
    )
    if database.status is Health.OK:
        memory = await _part(_memory_works(services), Health.DEGRADED)
    else:
        memory = PartBody(status=Health.DEGRADED, reason="not looked at: the database cannot be used")
    worst = min((part.status for part in (database, memory, embedder)), key=_WORST_FIRST.index)
    response.status_code = 503 if worst is Health.UNAVAILABLE else 200
    return ReadinessBody(status=worst, database=database, memory=memory, embedder=embedder)


async def _part(check: Awaitable[None], otherwise: Health) -> PartBody:
    """The part is well when its check passes within the deadline."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            await check
    except (DatabaseError, MemoryUnavailable) as error:
        return PartBody(status=otherwise, reason=str(error))
    except TimeoutError:
        return PartBody(status=otherwise, reason=f"not ready within {DEADLINE_S:g} s; ask again in a moment")
    return PartBody(status=Health.OK, reason=None)


async def _database_works(services: Services) -> None:
    await services.database.require_revision(await asyncio.to_thread(head_revision))


async def _memory_works(services: Services) -> None:
    """Recalls something, as a question would."""
    async with services.database.read() as session:
        await services.memory.recall(session, [_PROBE], as_of=datetime.now(UTC), limit=1)
