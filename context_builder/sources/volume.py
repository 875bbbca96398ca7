"""Request volume of the window: answers "how many requests, by whom and where, and how many failed?".

Columns: requests, share of the window (%), failed (error, timeout, rate_limited) with their rate (%), and the
same in (up to) 7 days before, per day; by tier, model, backend, deployment, status and error code.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, func, or_, select

from context_builder.question.request import ContextRequest, Topic, Window
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from context_builder.telemetry.rollups import baseline_window, in_window, rollup_scope
from context_builder.text.formatting import (
    format_count,
    format_duration,
    format_name,
    format_percent,
    format_time,
)
from models import FAILED_STATUSES, Deployment, RequestRollup, RequestStatus
from models.tables.schema import UtcDateTime

MAX_GROUPS = 10
SHORT_GROUPS = 3
_UNASKED = {"tier": 0.95, "model": 0.8, "backend": 0.7, "deployment": 0.6}
"""Importance of a dimension that the question does not name."""
_ONE_GROUP = 0.3
"""All requests in one group: the summary line says as much."""
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

    @property
    def failed(self) -> int:
        """How many of them failed: all or none."""
        return self.requests if self.status in FAILED_STATUSES else 0


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Counts and failure rates of the window by each dimension, beside the days before it."""
    cells, gaps = await _cells(request, stores)
    now = [cell for cell in cells if cell.in_window]
    before = [cell for cell in cells if not cell.in_window]
    total, failed = _sums(now)
    past = _before(before, request.window)
    if not total:
        return Section(f"no requests in the window; {past}", status=Status.EMPTY, gaps=gaps)
    pending = sum(cell.requests for cell in now if cell.status == RequestStatus.PENDING)
    header = (
        f"{format_count(total, 'request')} in the window, {failed:,} failed ({format_percent(failed, total)})"
        + (f", {pending:,} pending" if pending else "")
        + f"; {past}"
    )
    return Section(header, tuple(_facts(request.question, now, before)), gaps=gaps)


async def _cells(request: ContextRequest, stores: Stores) -> tuple[list[Cell], tuple[str, ...]]:
    now, before = (
        in_window(RequestRollup, request.window),
        in_window(RequestRollup, baseline_window(request.window)),
    )
    dimensions = (
        RequestRollup.tier, Deployment.model, Deployment.backend, Deployment.public_id,
        RequestRollup.status, RequestRollup.error_code, case((now, 1), else_=0),
    )  # fmt: skip
    async with stores.snapshot.session() as session:
        scope = await rollup_scope(session, request)
        rows = await session.execute(
            select(
                *dimensions,
                func.sum(RequestRollup.requests),
                func.min(RequestRollup.bucket_start, type_=UtcDateTime),
            )
            .join(Deployment, Deployment.id == RequestRollup.deployment_id)
            .where(or_(now, before), scope.condition)
            .group_by(*dimensions)
        )
        cells = [
            Cell(row[0], row[1], row[2], row[3], row[4], row[5], bool(row[6]), int(row[7]), row[8])
            for row in rows
        ]
    return cells, scope.gaps


def _facts(question: str, now: list[Cell], before: list[Cell]) -> Iterator[Fact]:
    total, failed = _sums(now)
    for dimension, importance in _dimensions(question, now):
        ranked = _ranked(now, dimension)
        shares = [
            f"{format_name(name)} {number:,} ({format_percent(number, total)})" for name, number in ranked
        ]
        yield _listing(f"requests by {dimension}", shares, importance, _VOLUME)
        if failed:
            yield _failures(now, before, dimension, importance)
    statuses = [f"{name} {number:,}" for name, number in _ranked(now, "status")]
    yield _listing("requests by status", statuses, 0.6, _VOLUME | _ERRORS)
    codes = _ranked((cell for cell in now if cell.failed and cell.error_code), "error_code")
    if codes:
        listed = [f"{format_name(name)} {number:,}" for name, number in codes]
        yield _listing("failed requests by error code", listed, 0.85, _ERRORS)


def _dimensions(question: str, cells: list[Cell]) -> list[tuple[str, float]]:
    """Dimensions with their importance: those that the question names first, those that tell nothing last."""

    def importance(dimension: str, unasked: float) -> float:
        if len(_counts(cells, dimension)) == 1:
            return unasked * _ONE_GROUP
        return 1.0 if re.search(rf"\b{dimension}s?\b", question, re.IGNORECASE) else unasked

    weighed = [(dimension, importance(dimension, unasked)) for dimension, unasked in _UNASKED.items()]
    return sorted(weighed, key=lambda pair: -pair[1])


def _failures(now: list[Cell], before: list[Cell], dimension: str, importance: float) -> Fact:
    totals, past = _counts(now, dimension), _counts(before, dimension)
    past_failed = _counts([cell for cell in before if cell.failed], dimension)
    groups = []
    for name, number in _ranked((cell for cell in now if cell.failed), dimension):
        was = f", before {format_percent(past_failed[name], past[name])}" if past[name] else ""
        groups.append(
            f"{format_name(name)} {number:,} of {totals[name]:,} ({format_percent(number, totals[name])}{was})"
        )
    return _listing(f"failed requests by {dimension}, most failures first", groups, importance, _ERRORS)


def _counts(cells: Iterable[Cell], dimension: str) -> Counter[str]:
    """Requests by group."""
    counts: Counter[str] = Counter()
    for cell in cells:
        counts[getattr(cell, dimension)] += cell.requests
    return counts


def _ranked(cells: Iterable[Cell], dimension: str) -> list[tuple[str, int]]:
    """Groups, most requests first; ties by name, so that they come out the same everywhere."""
    return sorted(_counts(cells, dimension).items(), key=lambda item: (-item[1], item[0]))


def _listing(title: str, items: list[str], importance: float, topics: frozenset[Topic]) -> Fact:
    def listed(most: int) -> str:
        rest = f", and {len(items) - most} more groups" if len(items) > most else ""
        return f"{title}: {', '.join(items[:most])}{rest}"

    short = listed(SHORT_GROUPS) if len(items) > SHORT_GROUPS else ""
    return Fact(listed(MAX_GROUPS), short, importance, topics, kind="breakdowns")


def _sums(cells: Iterable[Cell]) -> tuple[int, int]:
    """Requests, and those that failed."""
    counted = [(cell.requests, cell.failed) for cell in cells]
    return sum(requests for requests, _ in counted), sum(failed for _, failed in counted)


def _before(cells: list[Cell], window: Window) -> str:
    """Daily rate and failure rate of the baseline, over the part of it that has data."""
    if not cells:
        return "none in the 7 days before"
    first = min(cell.first_bucket for cell in cells)
    span = max(baseline_window(window).end - first, _HOUR)
    total, failed = _sums(cells)
    rate = f"{round(total * (_DAY / span)):,} per day"
    if window.length != _DAY:
        rate += f" ({round(total * (window.length / span)):,} in {format_duration(window.length)})"
    return f"from {format_time(first)} until then {rate}, {format_percent(failed, total)} failed"


source = ContextSource("volume", "V", frozenset({Topic.VOLUME, Topic.ERRORS}), 3.0, read)
