"""`GET /healthz` and `GET /readyz`: liveness and readiness."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

import structlog
from fastapi import APIRouter, Request, Response

from api.access.peer import is_local
from api.http.auth.guard import OPEN, GuardedRoute
from api.http.dependencies import Load, RunningServices
from api.http.openapi import problems
from api.http.schemas.bodies import Health, LivenessBody, PartBody, ReadinessBody
from api.services import Services
from context_builder.text.clock import utc_now
from memory.errors import MemoryUnavailable
from memory.recall.results import RecallQuery
from models.database import HEAD_REVISION
from models.errors import DatabaseError

log = structlog.get_logger(__name__)

router = APIRouter(tags=["health"], route_class=GuardedRoute, dependencies=[OPEN])

DEADLINE_S = 3.0
"""Of the check of each part."""
_PROBE = RecallQuery(text="Is incident memory ready?")
_IN_LOG = "the service's log says why, and so does this path to programs on its machine"
_WORST_FIRST = (Health.UNAVAILABLE, Health.DEGRADED, Health.OK)


@router.get("/healthz", responses=problems(500))
async def healthz(request: Request, services: RunningServices, load: Load) -> LivenessBody:
    """Report that the process is alive and how busy it is, without checking its dependencies."""
    body: LivenessBody = request.app.state.liveness
    return replace(body, load=load.state(services.database))


@router.get(
    "/readyz",
    responses=problems(500)
    | {
        503: {
            "model": ReadinessBody,
            "description": "Send no questions here: they cannot be answered, or it stops.",
        }
    },
)
async def readyz(
    request: Request, services: RunningServices, load: Load, response: Response
) -> ReadinessBody:
    """Report whether to send questions here: 503 without the database, and once the service is to stop.

    Without memory it is only degraded. Reasons name hosts and folders: a caller from another machine finds
    them in the log instead.
    """
    busy = load.state(services.database)
    if request.app.state.is_draining:
        response.status_code = 503
        part = PartBody(Health.DRAINING, "not checked: the service is about to stop")
        return ReadinessBody(status=Health.DRAINING, database=part, memory=part, embedder=part, load=busy)
    database, embedder = await asyncio.gather(
        _part(_database_works(services), Health.UNAVAILABLE), _part(services.embedder.load(), Health.DEGRADED)
    )
    if database.status is Health.OK:
        memory = await _part(_memory_works(services), Health.DEGRADED)
    else:
        memory = PartBody(Health.DEGRADED, "not checked: the database is unavailable")
    parts = {"database": database, "memory": memory, "embedder": embedder}
    worst = min((part.status for part in parts.values()), key=_WORST_FIRST.index)
    response.status_code = 503 if worst is Health.UNAVAILABLE else 200
    if worst is not Health.OK and not is_local(request.scope):
        log.warning("not ready", **{name: part.reason for name, part in parts.items()})
        parts = {name: PartBody(part.status, part.reason and _IN_LOG) for name, part in parts.items()}
    return ReadinessBody(status=worst, **parts, load=busy)


async def _part(check: Awaitable[None], otherwise: Health) -> PartBody:
    """Return the health of a part: ok if its check passes within the deadline."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            await check
    except (DatabaseError, MemoryUnavailable) as error:
        return PartBody(otherwise, str(error))
    except TimeoutError:
        return PartBody(otherwise, f"not ready within {DEADLINE_S:g} s; try again in a moment")
    return PartBody(Health.OK)


async def _database_works(services: Services) -> None:
    await services.database.require_revision(HEAD_REVISION)


async def _memory_works(services: Services) -> None:
    """Recall something, as a question would. Raises MemoryUnavailable and DatabaseError."""
    async with services.database.read() as session:
        await services.memory.recall(session, [_PROBE], as_of=utc_now(), limit=1)
