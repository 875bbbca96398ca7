"""Failed API requests: answers "with which error do requests fail, since when, where and how slowly?".

Columns: failed requests, p50 and p95 of their response time in ms (within 2 % of a sample), first and last
bucket (UTC) in the window and the 7 days before it; by status and error code, and by deployment. Endpoints
are those of the newest failed requests of the window, at most SAMPLE.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select

from context_builder.question.request import ContextRequest, Topic, Window
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from context_builder.telemetry.newest_requests import count_changed_users, newest_failed
from context_builder.telemetry.rollups import (
    baseline_window,
    concatenated_histograms,
    in_window,
    merge_histograms,
    rollup_scope,
)
from context_builder.text.formatting import (
    format_count,
    format_milliseconds,
    format_name,
    format_percent,
    format_time,
)
from models import FAILED_STATUSES, Deployment, Request, RequestRollup
from models.database import ReadSession
from models.histogram import Histogram
from models.tables.schema import UtcDateTime

SAMPLE = 500
"""Failed requests whose endpoints are read, the newest."""
MAX_GROUPS = 1_000
"""Kinds of failure on a deployment that are read, the most frequent."""
MAX_CODES = 12
MAX_DEPLOYMENTS = 12
MAX_ENDPOINTS = 8
MAX_NAMES = 5
_TOPICS = frozenset({Topic.ERRORS})

Code = tuple[str, str]
"""Status and error code, the latter empty where none was logged."""


@dataclass(frozen=True, slots=True)
class Group:
    """Failed requests of the window that agree in status, error code and deployment."""

    code: Code
    deployment: str
    requests: int
    first: datetime
    last: datetime
    """Start of the last bucket."""
    histogram: Histogram


@dataclass(frozen=True, slots=True)
class Earlier:
    """How often a status and error code occurred in the days before the window, and since when."""

    requests: int
    first: datetime


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Each kind of failure with its response times and since when, then deployments and endpoints."""
    async with stores.snapshot.session() as session:
        groups, before, gaps = await _groups(session, request)
        sample = (await session.execute(_newest(request))).all()
        hidden = await count_changed_users(session, request)
    if hidden:
        gaps += (
            f"endpoints for {format_count(hidden, 'user')} whose tier or budget changed in the window or later",
        )
    if not groups:
        return Section("no failed requests in the window", status=Status.EMPTY, gaps=gaps)
    total = sum(group.requests for group in groups)
    codes = {group.code for group in groups}
    new = sum(code not in before for code in codes)
    facts = [*_by_code(groups, before), *_by_deployment(groups), *_by_endpoint(sample)]
    return Section(
        f"{format_count(total, 'failed request')} of {format_count(len(codes), 'kind')} of failure in the window, "
        f"{new:,} of them not seen in the 7 days before",
        tuple(sorted(facts, key=lambda fact: -fact.importance)),
        gaps=gaps,
    )


async def _groups(
    session: ReadSession, request: ContextRequest
) -> tuple[list[Group], dict[Code, Earlier], tuple[str, ...]]:
    scope = await rollup_scope(session, request)

    def failed(window: Window, *columns: Any) -> Select[Any]:
        return select(*columns).where(
            in_window(RequestRollup, window), RequestRollup.status.in_(FAILED_STATUSES), scope.condition
        )

    requests = func.sum(RequestRollup.requests)
    first = func.min(RequestRollup.bucket_start, type_=UtcDateTime)
    last = func.max(RequestRollup.bucket_start, type_=UtcDateTime)
    code = (RequestRollup.status, RequestRollup.error_code)
    histograms = concatenated_histograms(session)
    # The first id breaks ties: names sort differently in each database.
    order = (requests.desc(), func.min(RequestRollup.id))
    rows = await session.execute(
        failed(request.window, *code, Deployment.public_id, requests, first, last, histograms)
        .join(Deployment, Deployment.id == RequestRollup.deployment_id)
        .group_by(*code, Deployment.public_id)
        .order_by(*order)
        .limit(MAX_GROUPS)
    )
    fetched = rows.all()
    groups = await asyncio.to_thread(lambda: [_group(row) for row in fetched])
    earlier = await session.execute(
        failed(baseline_window(request.window), *code, requests, first)
        .group_by(*code)
        .order_by(*order)
        .limit(MAX_GROUPS)
    )
    before = {(row[0], row[1]): Earlier(int(row[2]), row[3]) for row in earlier}
    gaps = scope.gaps
    if len(groups) == MAX_GROUPS:
        gaps += (f"kinds of failure beside the {MAX_GROUPS:,} most frequent, which alone are counted",)
    return groups, before, gaps


def _group(row: Any) -> Group:
    return Group((row[0], row[1]), row[2], int(row[3]), row[4], row[5], merge_histograms(row[6]))


def _by_code(groups: Iterable[Group], before: dict[Code, Earlier]) -> Iterator[Fact]:
    members: defaultdict[Code, list[Group]] = defaultdict(list)
    for group in groups:
        members[group.code].append(group)
    total = sum(group.requests for of_code in members.values() for group in of_code)
    ranked = sorted(members.items(), key=lambda item: (-_requests(item[1]), item[0]))
    for code, of_code in ranked[:MAX_CODES]:
        number = _requests(of_code)
        first, last = min(group.first for group in of_code), max(group.last for group in of_code)
        head = f"{_written(code)}: {format_count(number, 'failed request')} ({format_percent(number, total)} of all failures)"
        earlier = before.get(code)
        if earlier:
            was = f"{earlier.requests:,} in the 7 days before, first seen {format_time(earlier.first)}"
        else:
            was = f"NEW, first seen {format_time(first)}"
        places = Counter({group.deployment: group.requests for group in of_code})
        text = (
            f"{head}; {was}; buckets with it in the window: {format_time(first)} to {format_time(last)}; "
            f"{_times(of_code)}; on {_counted(places)}"
        )
        importance = 0.6 + 0.3 * number / total + (0 if earlier else 0.1)
        yield Fact(text, f"{head}; {was}", min(1.0, importance), _TOPICS, "kinds of failure")


def _by_deployment(groups: Iterable[Group]) -> Iterator[Fact]:
    members: defaultdict[str, list[Group]] = defaultdict(list)
    for group in groups:
        members[group.deployment].append(group)
    total = sum(group.requests for of_one in members.values() for group in of_one)
    ranked = sorted(members.items(), key=lambda item: (-_requests(item[1]), item[0]))
    for deployment, of_one in ranked[:MAX_DEPLOYMENTS]:
        number = _requests(of_one)
        codes = Counter({group.code: group.requests for group in of_one})
        kinds = _most({_written(code): requests for code, requests in codes.items()})
        head = f"failures on {format_name(deployment)}: {number:,}, mostly {kinds[0]}"
        text = f"failures on {format_name(deployment)}: {_joined(kinds)}; {_times(of_one)}"
        yield Fact(text, head, 0.45 + 0.3 * number / total, _TOPICS, "deployments with failures")


def _newest(request: ContextRequest) -> Select[str | None, str, str | None, int | None]:
    """Endpoint, status, error code and response time of the newest failed requests in scope."""
    newest = newest_failed(request, SAMPLE)
    return (
        select(Request.endpoint, Request.status, Request.error_code, Request.latency_ms)
        .join(newest, newest.c.id == Request.id)
        .order_by(newest.c.created_at.desc(), newest.c.id.desc())
        .limit(SAMPLE)
    )


def _by_endpoint(sample: Iterable[Any]) -> Iterator[Fact]:
    members: defaultdict[str, list[Any]] = defaultdict(list)
    for row in sample:
        members[row.endpoint or ""].append(row)
    total = sum(map(len, members.values()))
    of = f"the newest {SAMPLE} failed requests" if total == SAMPLE else f"all {total:,} failed requests"
    ranked = sorted(members.items(), key=lambda item: (-len(item[1]), item[0]))
    for endpoint, rows in ranked[:MAX_ENDPOINTS]:
        codes = Counter((row.status, row.error_code or "") for row in rows)
        latencies = Histogram.of(row.latency_ms for row in rows if row.latency_ms is not None)
        name = f"endpoint {format_name(endpoint)}" if endpoint else "without an endpoint"
        head = f"{name}: {len(rows):,} of {of} in scope"
        kinds = _joined(_most({_written(code): requests for code, requests in codes.items()}))
        text = f"{head}; {kinds}; {_response_time(latencies)}"
        importance = 0.4 + 0.3 * len(rows) / total if endpoint else 0.2
        yield Fact(text, head, importance, _TOPICS, "endpoints with failures")


def _requests(groups: Iterable[Group]) -> int:
    return sum(group.requests for group in groups)


def _written(code: Code) -> str:
    status, error_code = code
    return f"{status} {format_name(error_code)}" if error_code else f"{status} without a code"


def _most(counts: dict[str, int]) -> list[str]:
    """Names with their counts, the greatest first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [f"{name} {number:,}" for name, number in ranked]


def _joined(items: list[str]) -> str:
    rest = f" and {len(items) - MAX_NAMES:,} more" if len(items) > MAX_NAMES else ""
    return f"{', '.join(items[:MAX_NAMES])}{rest}"


def _counted(places: dict[str, int]) -> str:
    return _joined(_most({format_name(name): number for name, number in places.items()}))


def _times(groups: Iterable[Group]) -> str:
    counts: Counter[int] = Counter()
    for group in groups:
        counts.update(group.histogram.counts)
    return _response_time(Histogram(dict(counts)))


def _response_time(histogram: Histogram) -> str:
    middle, high = histogram.quantile(0.5), histogram.quantile(0.95)
    if middle is None or high is None:
        return "no response time logged"
    return f"response time p50 {format_milliseconds(middle)}, p95 {format_milliseconds(high)}"


source = ContextSource("failures", "F", _TOPICS, 3.0, read)
