"""`GET /metrics`: the routing policy as Prometheus gauges."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from typing_extensions import override

from api.http.auth.guard import VIEWER, GuardedRoute
from api.http.dependencies import RunningServices
from api.http.openapi import problems
from api.risk_ticker import RiskTicker
from context_builder.risk.policy.breaker import BreakerState

router = APIRouter(tags=["health"], route_class=GuardedRoute, dependencies=[VIEWER])

_LABEL = ("deployment",)


_RESPONSES = problems(500) | {
    200: {
        "description": "Gauges in the text format of Prometheus.",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": "arcpoint_risk_shadow 1.0\n"}},
    }
}


@router.get("/metrics", response_class=PlainTextResponse, responses=_RESPONSES)
async def metrics(services: RunningServices) -> Response:
    """Return the gauges of the last tick of this worker, in the text format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RiskGauges(services.risk))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


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
