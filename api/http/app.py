"""Assembles the HTTP service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from api.http.admission import Overloaded
from api.http.docs_page import add_docs_page
from api.http.json_body import prepare
from api.http.middleware.body_limit import BodyLimit
from api.http.middleware.cross_site import RefuseCrossSite
from api.http.middleware.disconnect import CancelOnDisconnect
from api.http.middleware.request_id import RequestId
from api.http.openapi import DescribedApp
from api.http.problem import Conflict, answer_problem
from api.http.routes import (
    conversations,
    deployments,
    health,
    incidents,
    ingest,
    memory,
    metrics,
    postmortems,
    query,
    requests,
    risk,
    route,
    spend,
    traffic,
    users,
)
from api.http.schemas.bodies import ContextBody, Health, LivenessBody
from api.http.schemas.risk import RiskBody
from api.http.worker_load import WorkerLoad
from api.ingest.errors import IngestError
from api.ingest.live.ingestor import create_ingestor
from api.ingest.live.message import Receipt
from api.pollers.opening import polling
from api.query import serving
from api.routing import RouteAnswer
from api.settings import Settings, load_settings
from api.version import version
from context_builder.answer.answer import Answer
from context_builder.postmortems.writer import PostmortemFailed
from context_builder.prompt.manifest import Manifest
from context_builder.queries import IncidentPostmortem, QueryTimeout
from context_builder.question.request import QuestionError
from context_builder.risk.policy.decision import UnknownCandidates
from context_builder.spend.ledger import CapReached
from memory.errors import MemoryUnavailable, UnknownIncident, UnusableReviewer
from models.errors import DatabaseError

_HANDLED = (
    *(HTTPException, RequestValidationError, QuestionError, QueryTimeout, DatabaseError),
    *(UnknownCandidates, UnknownIncident, UnusableReviewer, Conflict, CapReached, MemoryUnavailable),
    *(PostmortemFailed, Overloaded, IngestError, Exception),
)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Create the service; without settings, from those of the environment.

    Reads files: call it before the event loop runs. Starting the service raises what `open_services` raises.

    Raises:
        SettingsError: A variable of the environment cannot be used.
    """
    app = DescribedApp(
        title="Arcpoint",
        summary="Answers questions about an LLM gateway: one model call, checked citations.",
        version=version(),
        lifespan=_lifespan,
        middleware=[Middleware(kind) for kind in (RequestId, CancelOnDisconnect, RefuseCrossSite, BodyLimit)],
        exception_handlers=dict.fromkeys(_HANDLED, answer_problem),
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings = settings or load_settings()
    model = settings.model if settings.no_model_reason is None else None
    app.state.liveness = LivenessBody(Health.OK, version(), settings.database_key(), model)
    app.state.load = WorkerLoad(settings)
    queries = (deployments, incidents, requests, users, traffic, conversations)
    answering = (query, *queries, postmortems, memory, route, risk)
    for resource in (*answering, spend, ingest, metrics, health):
        app.include_router(resource.router)
    add_docs_page(app)
    # Now, since descriptions are read from source files: the event loop must not wait for a disk.
    app.openapi()
    prepare(Answer, ContextBody, IncidentPostmortem, Manifest, Receipt, RiskBody, RouteAnswer)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    async with serving(app.state.settings) as services, app.state.load.lag.measured():
        app.state.services = services
        app.state.ingestor = await asyncio.to_thread(create_ingestor, app.state.settings, services.database)
        async with polling(app.state.settings, services.database):
            yield
