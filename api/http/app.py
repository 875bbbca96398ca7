"""Assembles the HTTP service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from api.access.errors import Forbidden, RateLimited, Unauthenticated
from api.access.key_ring import KeyRing
from api.http.admission import Overloaded
from api.http.auth.mounting import add_people
from api.http.docs_page import add_docs_page
from api.http.json_body import prepare
from api.http.load_metrics import LoadMetrics
from api.http.middleware.audit import Audited
from api.http.middleware.body_limit import BodyLimit
from api.http.middleware.cross_site import RefuseCrossSite
from api.http.middleware.disconnect import CancelOnDisconnect
from api.http.middleware.request_id import RequestId
from api.http.middleware.security_headers import SecurityHeaders
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
from api.http.routes.access import audit
from api.http.schemas.bodies import ContextBody, Health, LivenessBody
from api.http.schemas.risk import RiskBody
from api.http.worker_load import WorkerLoad
from api.ingest.errors import IngestError
from api.ingest.live.ingestor import create_ingestor
from api.ingest.live.message import Receipt
from api.metrics.metrics import Metrics
from api.pollers.opening import polling
from api.query import serving
from api.routing import RouteAnswer
from api.services import Services
from api.settings import Settings, load_settings, metrics_folder
from api.tracing import tracing
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
    *(Unauthenticated, Forbidden, RateLimited),
)


_NO_TELEMETRY: TelemetryConfig = {
    "auto_configure": False,
    "tracing": False,
    "metrics": False,
    "logs": False,
}
"""FastAPI's own spans hold the paths and queries that clients send, and one for each export to ourselves."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Create the service; without settings, from those of the environment.

    Reads files: call it before the event loop runs. Starting the service raises what `open_services` raises.

    Raises:
        SettingsError: A variable of the environment cannot be used.
    """
    settings = settings or load_settings()
    app = DescribedApp(
        title="Arcpoint",
        summary="Answers questions about an LLM gateway: one model call, checked citations.",
        version=version(),
        lifespan=_lifespan,
        middleware=_middleware(settings.cors_allowed),
        exception_handlers=dict.fromkeys(_HANDLED, answer_problem),
        docs_url=None,
        redoc_url=None,
        telemetry=_NO_TELEMETRY,
    )
    app.state.settings = settings
    model = settings.model if settings.no_model_reason is None else None
    app.state.liveness = LivenessBody(Health.OK, version(), settings.database_key(), model)
    app.state.load = WorkerLoad(settings)
    app.state.metrics = Metrics(metrics_folder())
    app.state.is_draining = False
    queries = (deployments, incidents, requests, users, traffic, conversations)
    answering = (query, *queries, postmortems, memory, route, risk)
    routers = [resource.router for resource in (*answering, spend, ingest, audit, metrics, health)]
    for router in (*routers, ingest.pollers_router):
        # The routes themselves: `include_router` would build each again, which takes half of a start.
        app.router.routes.extend(router.routes)
    add_people(app, settings)
    add_docs_page(app)
    # Now, since descriptions are read from source files: the event loop must not wait for a disk.
    app.openapi()
    prepare(Answer, ContextBody, IncidentPostmortem, Manifest, Receipt, RiskBody, RouteAnswer)
    return app


def _middleware(cors_allowed: Sequence[str]) -> list[Middleware]:
    """Return what every request passes, from the outside in; no other site is allowed anything by default."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=cors_allowed,
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "x-api-key", "content-type", "last-event-id"],
        expose_headers=["x-request-id", "retry-after"],
    )
    return [
        *(Middleware(RequestId), Middleware(SecurityHeaders), Middleware(CancelOnDisconnect)),
        *([cors] if cors_allowed else []),
        Middleware(Audited),
        *(Middleware(RefuseCrossSite, allowed=cors_allowed), Middleware(BodyLimit)),
    ]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    state = app.state
    opening = serving(state.settings, state.metrics.observe)
    async with tracing(state.settings), opening as services, state.load.lag.measured():
        await attach(app, services)
        async with state.load_metrics.sampled(), polling(state.settings, services.database):
            yield


async def attach(app: FastAPI, services: Services) -> None:
    """Let an application whose lifespan is not entered answer with services that are open already."""
    state = app.state
    state.services = services
    state.keys = KeyRing(services.database)
    state.ingestor = await asyncio.to_thread(
        create_ingestor, state.settings, services.database, state.metrics.observe
    )
    state.load_metrics = LoadMetrics(state.metrics, state.load, state.ingestor)
