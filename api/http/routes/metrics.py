"""`GET /metrics`: what this service does, and its routing policy, for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from typing_extensions import override

from api.http.auth.guard import VIEWER, GuardedRoute
from api.http.dependencies import RunningServices
from api.http.load_metrics import LoadMetrics
from api.http.openapi import problems
from api.metrics.metrics import Metrics
from api.risk_ticker import RiskTicker
from api.services import Services
from context_builder.risk.policy.breaker import BreakerState
from context_builder.text.clock import utc_now
from memory.entries.outbox import Backlog, backlog
from models.errors import DatabaseError

router = APIRouter(tags=["health"], route_class=GuardedRoute, dependencies=[VIEWER])

_LABEL = ("deployment",)
DATABASE_S = 2.0
"""Of a scrape: one without the database is worth more than none."""


_RESPONSES = problems(500) | {
    200: {
        "description": "Metrics in the text format of Prometheus.",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": "arcpoint_risk_shadow 1.0\n"}},
    }
}


@router.get("/metrics", response_class=PlainTextResponse, responses=_RESPONSES)
async def metrics(request: Request, services: RunningServices) -> Response:
    """Return the metrics of all workers in the text format of Prometheus; of the risk, this worker's."""
    own: Metrics = request.app.state.metrics
    load: LoadMetrics = request.app.state.load_metrics
    load.sample()
    database = DatabaseGauges(await _backlog(services), utc_now())
    # In a thread: the metrics of other workers are in files.
    content = await asyncio.to_thread(own.scrape, RiskGauges(services.risk), database)
    return Response(content, media_type=CONTENT_TYPE_LATEST)


async def _backlog(services: Services) -> Backlog | None:
    """Return what memory has not processed; None if the database does not say so in time."""
    try:
        async with asyncio.timeout(DATABASE_S), services.database.read() as session:
            return await backlog(session)
    except (DatabaseError, SQLAlchemyError, OSError, TimeoutError):
        return None


class DatabaseGauges(Collector):
    """What only the database knows, which is the same in every worker."""

    def __init__(self, waiting: Backlog | None, now: datetime) -> None:
        self._waiting = waiting
        self._now = now

    @override
    def collect(self) -> Iterator[GaugeMetricFamily]:
        waiting = self._waiting
        yield GaugeMetricFamily(
            "arcpoint_database_up", "1 if the database answered this scrape.", value=waiting is not None
        )
        if waiting is None:
            return
        age_s = 0.0 if waiting.since is None else (self._now - waiting.since).total_seconds()
        yield GaugeMetricFamily(
            "arcpoint_memory_outbox_rows", "Changes that memory has not processed.", value=waiting.rows
        )
        yield GaugeMetricFamily(
            "arcpoint_memory_outbox_age_seconds", "Age of the oldest of them.", value=max(0.0, age_s)
        )


class RiskGauges(Collector):
    """Reads one table whenever it is asked, so that gauges of deployments that vanished vanish too."""

    def __init__(self, ticker: RiskTicker) -> None:
        self._ticker = ticker

    @override
    def collect(self) -> Iterator[GaugeMetricFamily]:
        table, age_s = self._ticker.board.read()
        yield GaugeMetricFamily("arcpoint_risk_age_seconds", "Age of the verdicts.", value=age_s)
        yield GaugeMetricFamily("arcpoint_risk_shadow", "1 if the policy only advises.", value=table.shadow)
        share = GaugeMetricFamily("arcpoint_risk_share", "Share of the traffic.", labels=_LABEL)
        probability = GaugeMetricFamily(
            "arcpoint_risk_breach_probability", "That the limit is crossed within 5 minutes.", labels=_LABEL
        )
        state = GaugeMetricFamily(
            "arcpoint_risk_state", "1 for the state that the breaker is in.", labels=(*_LABEL, "state")
        )
        for name, verdict in table.verdicts.items():
            share.add_metric((name,), verdict.share)
            if verdict.probability is not None:
                probability.add_metric((name,), verdict.probability)
            for each in BreakerState:
                state.add_metric((name, each.value), verdict.state is each)
        yield from (share, probability, state)
