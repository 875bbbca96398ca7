"""Request volume of the window: answers "how many requests, by whom and where, and how many failed?".

Columns: requests, share of the window (%), failed (error, timeout, rate_limited) with their rate (%), and
requests per day in up to 7 days before; by tier, model, backend, deployment, status and error code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, func, or_, select

from context_builder.figures import count, moment, percent
from context_builder.request import ContextRequest, Topic, Window
from context_builder.rollup_query import baseline_of, rollups_in, user_gap, within
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from context_builder.untrusted import one_line
from models import FAILED_STATUSES, Deployment, RequestRollup, RequestStatus
from models.schema import UtcDateTime

MOST_GROUPS = 10
SHORT_GROUPS = 3
_VOLUME = frozenset({Topic.VOLUME})
_ERRORS = frozenset({Topic.ERRORS})
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Cell:
    """Requests that agree in all dimensions."""

    tier: str
    model: str
    backend: str
    deployment: str
    status: str
    error_code: str
    in_window: bool
    requests: int
    first_bucket: datetime


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Counts and failure rates of the window by each dimension, beside the days before it."""
    cells = await _cells(request, stores)
    now = [cell for cell in cells if cell.in_window]
    total = _sum(now)
    before = _before([cell for cell in cells if not cell.in_window], request.window)
    if not total:
        return Section(f"no requests in the window; {before}", status=Status.EMPTY)
    failed = _sum(cell for cell in now if cell.status in FAILED_STATUSES)
    pending = _sum(cell for cell in now if cell.status == RequestStatus.PENDING)
    header = (
        f"{count(total, 'request')} in the window, {failed:,} failed ({percent(failed, total)})"
        + (f", {pending:,} pending" if pending else "")
        + f"; {before}"
    )
    return Section(header, tuple(_facts(now, total, failed)), gaps=user_gap(request.scope))


async def _cells(request: ContextRequest, stores: Stores) -> list[Cell]:
    baseline = baseline_of(request.window)
    in_window = case((within(RequestRollup, request.window), 1), else_=0)
    dimensions = (
        RequestRollup.tier, Deployment.model, Deployment.backend, Deployment.public_id,
        RequestRollup.status, RequestRollup.error_code, in_window,
    )  # fmt: skip
    statement = (
        select(
            *dimensions,
            func.sum(RequestRollup.requests),
            func.min(RequestRollup.bucket_start, type_=UtcDateTime),
        )
        .join(Deployment, Deployment.id == RequestRollup.deployment_id)
        .where(
            or_(within(RequestRollup, request.window), within(RequestRollup, baseline)),
            rollups_in(request.scope),
        )
        .group_by(*dimensions)
        .order_by(*dimensions)
    )
    async with stores.snapshot.session() as session:
        rows = await session.execute(statement)
        return [
            Cell(row[0], row[1], row[2], row[3], row[4], row[5], bool(row[6]), int(row[7]), row[8])
            for row in rows
        ]


def _facts(cells: list[Cell], total: int, failed: int) -> Iterable[Fact]:
    for dimension, importance in (("tier", 0.95), ("model", 0.8), ("backend", 0.7), ("deployment", 0.6)):
        by_group = _counts(cells, dimension)
        shares = [f"{name} {number:,} ({percent(number, total)})" for name, number in by_group.most_common()]
        yield _listing(f"requests by {dimension}", shares, importance, _VOLUME)
        if failed:
            yield _failures(cells, dimension, by_group, importance)
    statuses = _counts(cells, "status")
    yield _listing(
        "requests by status", [f"{name} {number:,}" for name, number in statuses.most_common()], 0.6,
        _VOLUME | _ERRORS,
    )  # fmt: skip
    codes = _counts((cell for cell in cells if cell.error_code), "error_code")
    if codes:
        ranked = [f"{name} {number:,}" for name, number in codes.most_common()]
        yield _listing("failed requests by error code", ranked, 0.85, _ERRORS)


def _failures(cells: list[Cell], dimension: str, totals: Mapping[str, int], importance: float) -> Fact:
    failures = _counts((cell for cell in cells if cell.status in FAILED_STATUSES), dimension)
    ranked = [
        f"{name} {number:,} of {totals[name]:,} ({percent(number, totals[name])})"
        for name, number in failures.most_common()
    ]
    return _listing(f"failed requests by {dimension}, most failures first", ranked, importance, _ERRORS)


def _counts(cells: Iterable[Cell], dimension: str) -> Counter[str]:
    """Requests by group; names in order, so that ties come out the same everywhere."""
    counts: Counter[str] = Counter()
    for cell in cells:
        counts[getattr(cell, dimension)] += cell.requests
    return Counter(dict(sorted(counts.items())))


def _listing(title: str, items: list[str], importance: float, topics: frozenset[Topic]) -> Fact:
    def listed(most: int) -> str:
        rest = f", and {len(items) - most} more groups" if len(items) > most else ""
        return one_line(f"{title}: {', '.join(items[:most])}{rest}")

    short = listed(SHORT_GROUPS) if len(items) > SHORT_GROUPS else ""
    return Fact(listed(MOST_GROUPS), short, importance, topics)


def _sum(cells: Iterable[Cell]) -> int:
    return sum(cell.requests for cell in cells)


def _before(cells: list[Cell], window: Window) -> str:
    """The daily rate of the baseline, over the part of it that has data."""
    if not cells:
        return "none in the 7 days before"
    first = min(cell.first_bucket for cell in cells)
    days = max(baseline_of(window).end - first, _HOUR) / _DAY
    return f"from {moment(first)} until then {round(_sum(cells) / days):,} per day"


source = ContextSource("volume", "V", frozenset({Topic.VOLUME, Topic.ERRORS}), 3.0, read)
