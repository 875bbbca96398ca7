"""Request volume: answers "how many requests, by whom and where, and how many failed?".

Columns: requests, share of the window (%), failed requests (error, timeout, rate_limited) with their rate
(%), and the same per day for up to 7 days before; by tier, model, backend, deployment, status and error code.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic, Window, Wording
from context_builder.rollups.rows import Groups, Rows
from context_builder.rollups.scope import rollup_scope
from context_builder.rollups.span import moment_of
from context_builder.rollups.table import REQUESTS
from context_builder.source import ContextSource, Fact, Headline, Role, Section, Shown, Status, Stores
from context_builder.telemetry.rollups import baseline_window, covering_with_baseline
from context_builder.text.formatting import (
    format_count,
    format_duration,
    format_name,
    format_percent,
    format_time,
)
from context_builder.text.lists import rank_counts
from models import FAILED_STATUSES, RequestStatus

MAX_GROUPS = 10
MAX_GROUPS_SHORT = 3
MAX_GROUPS_IN_HEADLINE = 4
_IMPORTANCE = {"tier": 0.95, "model": 0.8, "backend": 0.7, "deployment": 0.6}
"""Importance of a dimension by name, unless the question names it."""
_DIMENSIONS = ("tier", "model", "backend", "deployment", "status", "error_code")
_ONE_GROUP_WEIGHT = 0.3
"""Importance factor of a dimension with only one group: the header says as much."""
_VOLUME = frozenset({Topic.VOLUME})
_ERRORS = frozenset({Topic.ERRORS})
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class VolumeCell:
    """Requests that share all dimensions."""

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
        """Return how many of them failed: all or none, since they share a status."""
        return self.requests if self.status in FAILED_STATUSES else 0


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return counts and failure rates of the window by dimension, compared with the baseline."""
    cells, gaps = await _load_cells(request, stores)
    now = [cell for cell in cells if cell.in_window]
    before = [cell for cell in cells if not cell.in_window]
    total, failed = _totals(now)
    past = _format_baseline(before, request.window)
    if not total:
        return Section(f"no requests in the window; {past}", status=Status.EMPTY, gaps=gaps)
    pending = sum(cell.requests for cell in now if cell.status == RequestStatus.PENDING)
    header = (
        f"{format_count(total, 'request')} in the window, {failed:,} failed ({format_percent(failed, total)})"
        + (f", {pending:,} pending" if pending else "")
        + f"; {past}"
    )
    share = format_percent(failed, total)
    asks_failures = Topic.ERRORS in request.topics
    headline = Headline(
        text=f"{failed:,} of {format_count(total, 'request')} failed ({share})"
        if asks_failures
        else f"{format_count(total, 'request')}, {failed:,} of them failed ({share})",
        role=Role.COUNT,
        nouns=(Noun.REQUEST, Noun.ERROR) if asks_failures else (Noun.REQUEST,),
        topic=Topic.ERRORS if asks_failures else Topic.VOLUME,
    )
    return Section(header, tuple(_facts(request.dimensions, now, before)), gaps=gaps, headline=headline)


async def _load_cells(request: ContextRequest, stores: Stores) -> tuple[list[VolumeCell], tuple[str, ...]]:
    scope = await rollup_scope(stores.rollups, request)
    rows = scope.of(await stores.rollups.read(REQUESTS, *covering_with_baseline(request.window)))
    return await asyncio.to_thread(_cells, rows, request.window), scope.gaps


def _cells(rows: Rows, window: Window) -> list[VolumeCell]:
    labels = [rows.labels(dimension) for dimension in _DIMENSIONS]
    now = rows.since(window.start)
    groups = Groups(*(places for _, places in labels), now)
    names = [[values[place] for place in places[groups.first].tolist()] for values, places in labels]
    return [
        VolumeCell(*cell)
        for cell in zip(
            *names,
            now[groups.first].tolist(),
            groups.sum(rows["requests"]).tolist(),
            map(moment_of, groups.min(rows["start"]).tolist()),
            strict=True,
        )
    ]


def _facts(named: frozenset[str], now: list[VolumeCell], before: list[VolumeCell]) -> Iterator[Fact]:
    total, failed = _totals(now)
    for dimension, importance in _ranked_dimensions(named, now):
        ranked = _ranked(now, dimension)
        shares = [
            f"{format_name(name)} {number:,} ({format_percent(number, total)})" for name, number in ranked
        ]
        yield _list_fact(f"requests by {dimension}", shares, importance, _VOLUME, Noun(dimension))
        if failed:
            yield _failure_fact(now, before, dimension, importance)
    statuses = [f"{name} {number:,}" for name, number in _ranked(now, "status")]
    yield _list_fact("requests by status", statuses, 0.6, _VOLUME | _ERRORS)
    codes = _ranked((cell for cell in now if cell.failed and cell.error_code), "error_code")
    if codes:
        listed = [f"{format_name(name)} {number:,}" for name, number in codes]
        yield _list_fact("failed requests by error code", listed, 0.85, _ERRORS, Noun.ERROR)


def _ranked_dimensions(named: frozenset[str], cells: list[VolumeCell]) -> list[tuple[str, float]]:
    """Rank the dimensions with their importance: named ones first, uninformative ones last."""

    def importance(dimension: str, unnamed: float) -> float:
        if len(_counts(cells, dimension)) == 1:
            return unnamed * _ONE_GROUP_WEIGHT
        return 1.0 if dimension in named else unnamed

    weighted = [(dimension, importance(dimension, unnamed)) for dimension, unnamed in _IMPORTANCE.items()]
    return sorted(weighted, key=lambda pair: -pair[1])


def _failure_fact(now: list[VolumeCell], before: list[VolumeCell], dimension: str, importance: float) -> Fact:
    totals, past = _counts(now, dimension), _counts(before, dimension)
    past_failed = _counts([cell for cell in before if cell.failed], dimension)
    groups = []
    for name, number in _ranked((cell for cell in now if cell.failed), dimension):
        was = f", before {format_percent(past_failed[name], past[name])}" if past[name] else ""
        rate = format_percent(number, totals[name])
        groups.append(f"{format_name(name)} {number:,} of {totals[name]:,} ({rate}{was})")
    title = f"failed requests by {dimension}, most failures first"
    return _list_fact(title, groups, importance, _ERRORS, Noun(dimension))


def _counts(cells: Iterable[VolumeCell], dimension: str) -> Counter[str]:
    """Count requests by group."""
    counts: Counter[str] = Counter()
    for cell in cells:
        counts[getattr(cell, dimension)] += cell.requests
    return counts


def _ranked(cells: Iterable[VolumeCell], dimension: str) -> list[tuple[str, int]]:
    return rank_counts(_counts(cells, dimension))


def _list_fact(
    title: str, items: list[str], importance: float, topics: frozenset[Topic], noun: Noun | None = None
) -> Fact:
    def listed(most: int) -> str:
        rest = f", and {len(items) - most} more groups" if len(items) > most else ""
        return f"{title}: {', '.join(items[:most])}{rest}"

    short = listed(MAX_GROUPS_SHORT) if len(items) > MAX_GROUPS_SHORT else ""
    headline = (
        None
        if noun is None
        else Headline(
            text=f"{title.partition(', most')[0]}: {'; '.join(items[:MAX_GROUPS_IN_HEADLINE])}",
            role=Role.RANKING,
            nouns=(Noun.REQUEST, noun),
            topic=min(topics),
        )
    )
    return Fact(listed(MAX_GROUPS), short, importance, topics, kind="breakdowns", headline=headline)


def _totals(cells: Iterable[VolumeCell]) -> tuple[int, int]:
    """Return the number of requests and how many of them failed."""
    cells = list(cells)
    return sum(cell.requests for cell in cells), sum(cell.failed for cell in cells)


def _format_baseline(cells: list[VolumeCell], window: Window) -> str:
    """Format the daily rate and failure rate of the baseline, over the part of it that has data."""
    if not cells:
        return "none in the 7 days before"
    first = min(cell.first_bucket for cell in cells)
    span = max(baseline_window(window).end - first, _HOUR)
    total, failed = _totals(cells)
    rate = f"{round(total * (_DAY / span)):,} per day"
    if window.length != _DAY:
        rate += f" ({round(total * (window.length / span)):,} in {format_duration(window.length)})"
    return f"from {format_time(first)} until then {rate}, {format_percent(failed, total)} failed"


source = ContextSource(
    "volume",
    "V",
    frozenset({Topic.VOLUME, Topic.ERRORS}),
    3.0,
    read,
    asks=frozenset({Wording.TOPICS, Wording.DIMENSIONS}),
    shows_to_confined=Shown.NOTHING,
)
