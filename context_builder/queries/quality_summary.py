"""Quality summary: scores by model and task type, with their coverage of the requests.

Scores arrive hours after their requests, so the newest hours have few: read them with their coverage.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import computed_field
from sqlalchemy import BigInteger, func, select

from context_builder.queries.scope import ALL_TRAFFIC, TrafficFilter, TrafficScope, resolve_traffic
from context_builder.question.request import QuestionError, Window
from context_builder.telemetry.rollups import in_window, scored_by
from context_builder.text.wire import WIRE
from models import Deployment, QualityRollup, RequestRollup, RequestStatus
from models.database import ReadSession
from models.quality_log import MILLION
from models.tables.schema import UtcDateTime

DEFAULT_WINDOW = timedelta(days=7)
"""Length of the window without `since`: few requests of the last day have a score yet."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Scores of one group of requests."""

    model: str | None
    """None: all models."""
    task_type: str | None
    """Empty: requests without one. None: all task types."""
    requests: int
    answered: int
    """Requests that succeeded."""
    scored: int
    mean: float | None
    """From 0 to 1; None without scores."""
    deviation: float | None
    """Standard deviation of the scores."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def coverage(self) -> float | None:
        """Return scored divided by all requests; None without requests."""
        return self.scored / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class QualitySummary:
    """Scores of the requests in a window; the groups of each dimension add up to the total."""

    __pydantic_config__ = WIRE

    as_of: datetime
    since: datetime
    until: datetime
    newest_score_hour: datetime | None
    """Start of the hour in which the newest of these scores arrived."""
    overall: Quality
    by_model: tuple[Quality, ...]
    """Sorted by requests, most first, as are the other groups."""
    by_task_type: tuple[Quality, ...]
    by_model_and_task_type: tuple[Quality, ...]


@dataclass(frozen=True, slots=True)
class _QualityKey:
    """Model and task type; None: all."""

    model: str | None
    task_type: str | None


Sums = dict[_QualityKey, Counter[str]]


async def quality_summary(session: ReadSession, filters: TrafficFilter = ALL_TRAFFIC) -> QualitySummary:
    """Return scores of the window, by default the last 7 days, in whole hours: both ends are rounded down.

    At a past `as_of`, only scores that arrived in hours completed by then count.

    Raises:
        QuestionError: A name or a time is invalid, or the window has no whole hour.
    """
    traffic = await resolve_traffic(session, filters, length=DEFAULT_WINDOW)
    traffic = replace(traffic, window=_whole_hours(traffic.window))
    sums: Sums = defaultdict(Counter)
    await _count_requests(session, traffic, sums)
    newest = await _count_scores(session, traffic, sums)
    return QualitySummary(
        traffic.moment.as_of,
        traffic.window.start,
        traffic.window.end,
        newest,
        _quality(_QualityKey(None, None), sums.values()),
        _group_by(sums, lambda group: _QualityKey(group.model, None)),
        _group_by(sums, lambda group: _QualityKey(None, group.task_type)),
        _group_by(sums, lambda group: group),
    )


def _whole_hours(window: Window) -> Window:
    start, end = window.start.replace(minute=0), window.end.replace(minute=0)
    if start >= end:
        raise QuestionError(
            f"the window from {window.start.isoformat()} to {window.end.isoformat()} contains no whole hour; "
            "quality is recorded per hour"
        )
    return Window(start, end, origin=window.origin)


async def _count_requests(session: ReadSession, traffic: TrafficScope, sums: Sums) -> None:
    answered = func.sum(RequestRollup.requests).filter(RequestRollup.status == RequestStatus.SUCCESS)
    rows = await session.execute(
        select(
            Deployment.model,
            RequestRollup.task_type,
            func.sum(RequestRollup.requests),
            func.coalesce(answered, 0),
        )
        .join(Deployment, Deployment.id == RequestRollup.deployment_id)
        .where(in_window(RequestRollup, traffic.window), traffic.condition(RequestRollup))
        .group_by(Deployment.model, RequestRollup.task_type)
    )
    for model, task_type, requests, succeeded in rows:
        sums[_QualityKey(model, task_type)].update(requests=int(requests), answered=int(succeeded))


async def _count_scores(session: ReadSession, traffic: TrafficScope, sums: Sums) -> datetime | None:
    """Add the scores to the sums; return the newest hour in which one arrived."""
    table, moment = QualityRollup, traffic.moment
    rows = await session.execute(
        select(
            Deployment.model,
            table.task_type,
            func.sum(table.scores, type_=BigInteger),
            func.sum(table.score_sum, type_=BigInteger),
            func.sum(table.score_square_sum, type_=BigInteger),
            func.max(table.scored_hour, type_=UtcDateTime),
        )
        .join(Deployment, Deployment.id == table.deployment_id)
        .where(
            table.bucket_start >= traffic.window.start,
            table.bucket_start < traffic.window.end,
            scored_by(moment.as_of, is_now=moment.live),
            traffic.condition(table),
        )
        .group_by(Deployment.model, table.task_type)
    )
    newest: list[datetime] = []
    for model, task_type, scored, total, squares, last in rows:
        group = sums[_QualityKey(model, task_type)]
        group.update(scored=int(scored), total=int(total), squares=int(squares))
        newest.append(last)
    return max(newest, default=None)


def _group_by(sums: Sums, group_of: Callable[[_QualityKey], _QualityKey]) -> tuple[Quality, ...]:
    members: defaultdict[_QualityKey, list[Counter[str]]] = defaultdict(list)
    for group, counts in sums.items():
        members[group_of(group)].append(counts)
    found = [_quality(group, counts) for group, counts in members.items()]
    return tuple(sorted(found, key=lambda one: (-one.requests, one.model or "", one.task_type or "")))


def _quality(group: _QualityKey, members: Iterable[Counter[str]]) -> Quality:
    counts: Counter[str] = Counter()
    for member in members:
        counts.update(member)
    scored = counts["scored"]
    mean = counts["total"] / scored / MILLION if scored else None
    deviation = None
    if mean is not None:
        # Squares are rounded one by one, so the variance of equal scores can be slightly negative.
        deviation = math.sqrt(max(counts["squares"] / scored / MILLION - mean * mean, 0.0))
    return Quality(
        group.model, group.task_type, counts["requests"], counts["answered"], scored, mean, deviation
    )
