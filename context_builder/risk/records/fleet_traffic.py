"""The fleet and what the request log gained since the last look at it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select

from context_builder.risk.policy.limits import WINDOW_S
from context_builder.risk.policy.outcomes import Observed, UpstreamResult, result_of_logged
from context_builder.risk.request_latency import EndedRequest
from context_builder.telemetry.fleet import STALE_AFTER
from models import Deployment, DeploymentStatus, Request, RequestStatus
from models.database import ReadSession

MAX_ROWS = 20_000
"""Requests that one look counts, the newest: shares are as good, and a tick stays short."""
_MAX_AGE = timedelta(minutes=5)
"""Requests that began earlier are not counted, however late they are logged."""
_LEARNED_FROM = timedelta(days=1)
"""Requests whose latency is learned from at the first look."""
_CLOCK_SKEW = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class FleetTraffic:
    """The deployments of a moment, by name."""

    ids: Mapping[str, int]
    base: Mapping[str, float]
    """Usual weight: the provisioned requests per minute if all have them, else 1."""
    observed: Mapping[str, Observed] = field(default_factory=dict)
    """Only of deployments with requests that ended: no traffic says nothing."""
    down: Collection[str] = ()
    """Those whose last health report says so and is not older than STALE_AFTER."""
    ended: Sequence[EndedRequest] = ()
    """Those that were answered, in the order in which they were stored."""


class TrafficReader:
    """Counts every stored request once, however often it looks."""

    def __init__(self) -> None:
        self._last_id: int | None = None

    async def read(
        self, session: ReadSession, moment: datetime, limits_ms: Mapping[int, float]
    ) -> FleetTraffic:
        """Return the fleet and what was seen of it; `limits_ms` are latency limits by deployment id."""
        statement = select(
            *(Deployment.id, Deployment.public_id, Deployment.capacity_rpm),
            *(Deployment.status, Deployment.updated_at),
        ).order_by(Deployment.id)
        rows = (await session.execute(statement.where(Deployment.created_at <= moment + _CLOCK_SKEW))).all()
        names = {row.id: row.public_id for row in rows}
        are_provisioned = all(row.capacity_rpm for row in rows)
        base = {row.public_id: float(row.capacity_rpm if are_provisioned else 1) for row in rows}
        seen, ended = await self._seen(session, moment, limits_ms, names)
        down = {row.public_id for row in rows if _is_down(row.status, row.updated_at, moment)}
        return FleetTraffic({name: key for key, name in names.items()}, base, seen, down, ended)

    async def _seen(
        self, session: ReadSession, moment: datetime, limits_ms: Mapping[int, float], names: Mapping[int, str]
    ) -> tuple[dict[str, Observed], list[EndedRequest]]:
        first = self._last_id is None
        newest = (await session.scalar(select(func.max(Request.id))) or 0) if first else self._last_id or 0
        counted = moment - (timedelta(seconds=WINDOW_S) if first else _MAX_AGE)
        rows = await session.execute(
            select(
                *(Request.id, Request.created_at, Request.deployment_id, Request.status, Request.error_code),
                *(Request.latency_ms, Request.task_type, Request.prompt_tokens, Request.completion_tokens),
            )
            .where(
                Request.created_at > (moment - _LEARNED_FROM if first else counted),
                Request.created_at <= moment + _CLOCK_SKEW,
                Request.id > (self._last_id or 0),
            )
            .order_by(Request.id.desc())
            .limit(MAX_ROWS)
        )
        seen: dict[str, Observed] = {}
        ended: list[EndedRequest] = []
        for row in rows:
            newest = max(newest, row.id)
            name, result = names.get(row.deployment_id), result_of_logged(row.status, row.error_code)
            if name is None or result is None:
                continue
            if row.created_at > counted:
                limit = limits_ms.get(row.deployment_id)
                is_slow = limit is not None and row.latency_ms is not None and row.latency_ms > limit
                seen[name] = seen.get(name, Observed()) + _one(result, is_slow=is_slow)
            if row.status == RequestStatus.SUCCESS and row.latency_ms is not None:
                task, sizes = row.task_type or "", (row.prompt_tokens, row.completion_tokens)
                ended.append(EndedRequest(name, task, *sizes, row.latency_ms))
        self._last_id = newest
        return seen, ended[::-1]


def _is_down(status: str, reported_at: datetime | None, moment: datetime) -> bool:
    is_known = reported_at is not None and abs(moment - reported_at) <= STALE_AFTER
    return is_known and status == DeploymentStatus.DOWN


def _one(result: UpstreamResult, *, is_slow: bool) -> Observed:
    match result:
        case UpstreamResult.SUCCESS:
            return Observed(successes=1, slow=int(is_slow))
        case UpstreamResult.NEUTRAL:
            return Observed(neutrals=1)
        case _:
            return Observed(failures=1)
