"""Request volume: requests and failures by tier, model, backend and deployment."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import computed_field
from sqlalchemy import func, select

from context_builder.queries.scope import ALL_TRAFFIC, TrafficFilter, TrafficScope, resolve_traffic
from context_builder.telemetry.rollups import in_window
from context_builder.text.wire import WIRE
from models import FAILED_STATUSES, Deployment, RequestRollup, RequestStatus
from models.database import ReadSession


@dataclass(frozen=True, slots=True)
class Volume:
    """Requests of one group."""

    name: str
    """Name of the tier, model, backend or deployment; `all` for the total."""
    requests: int
    failed: int
    """Requests that ended with an error, a timeout or a rate limit."""
    pending: int
    statuses: dict[str, int]
    """Requests by status; statuses without requests are left out."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def failure_rate(self) -> float | None:
        """Return failed divided by all requests, from 0 to 1; None without requests."""
        return self.failed / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class RequestVolume:
    """The requests in a window; the groups of each dimension add up to the total."""

    __pydantic_config__ = WIRE

    as_of: datetime
    since: datetime
    until: datetime
    total: Volume
    by_tier: tuple[Volume, ...]
    """Sorted by requests, most first, as are the other groups."""
    by_model: tuple[Volume, ...]
    by_backend: tuple[Volume, ...]
    by_deployment: tuple[Volume, ...]


@dataclass(frozen=True, slots=True)
class _VolumeRow:
    tier: str
    model: str
    backend: str
    deployment: str
    status: str
    requests: int


async def request_volume(session: ReadSession, filters: TrafficFilter = ALL_TRAFFIC) -> RequestVolume:
    """Return the counts of the window, by default the last 24 hours, from the rollups.

    Raises:
        QuestionError: A name or a time is invalid.
    """
    traffic = await resolve_traffic(session, filters)
    cells = await _load_rows(session, traffic)
    return RequestVolume(
        traffic.moment.as_of,
        traffic.window.start,
        traffic.window.end,
        _volume("all", cells),
        _group_by(cells, lambda cell: cell.tier),
        _group_by(cells, lambda cell: cell.model),
        _group_by(cells, lambda cell: cell.backend),
        _group_by(cells, lambda cell: cell.deployment),
    )


async def _load_rows(session: ReadSession, traffic: TrafficScope) -> list[_VolumeRow]:
    dimensions = (
        RequestRollup.tier, Deployment.model, Deployment.backend, Deployment.public_id, RequestRollup.status,
    )  # fmt: skip
    rows = await session.execute(
        select(*dimensions, func.sum(RequestRollup.requests))
        .join(Deployment, Deployment.id == RequestRollup.deployment_id)
        .where(in_window(RequestRollup, traffic.window), traffic.condition(RequestRollup))
        .group_by(*dimensions)
    )
    return [_VolumeRow(row[0], row[1], row[2], row[3], row[4], int(row[5])) for row in rows]


def _group_by(cells: Sequence[_VolumeRow], name_of: Callable[[_VolumeRow], str]) -> tuple[Volume, ...]:
    groups: defaultdict[str, list[_VolumeRow]] = defaultdict(list)
    for cell in cells:
        groups[name_of(cell)].append(cell)
    volumes = [_volume(name, members) for name, members in groups.items()]
    return tuple(sorted(volumes, key=lambda volume: (-volume.requests, volume.name)))


def _volume(name: str, cells: Sequence[_VolumeRow]) -> Volume:
    statuses: Counter[str] = Counter()
    for cell in cells:
        statuses[cell.status] += cell.requests
    return Volume(
        name,
        statuses.total(),
        sum(statuses[status] for status in FAILED_STATUSES),
        statuses[RequestStatus.PENDING],
        dict(sorted(statuses.items())),
    )
