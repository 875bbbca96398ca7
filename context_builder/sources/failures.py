"""Failed API requests: answers "with which error do requests fail, since when, where and how slowly?".

Columns: failed requests, p50 and p95 of their response time in ms (within 2 % of a sample), first and last
bucket (UTC) in the window and the 7 days before it; by status and error code, and by deployment. Endpoints
are those of the newest failed requests in the window, at most MAX_SAMPLE.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import numpy as np

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic
from context_builder.rollups.rows import Groups, Rows
from context_builder.rollups.scope import rollup_scope
from context_builder.rollups.span import covering, moment_of
from context_builder.rollups.store import Rollups
from context_builder.rollups.table import REQUESTS
from context_builder.source import (
    ContextSource,
    Fact,
    Headline,
    Role,
    Section,
    Shown,
    Status,
    Stores,
    by_importance,
)
from context_builder.telemetry.newest_requests import count_changed_users, newest_failed, newest_rows
from context_builder.telemetry.rollups import baseline_window
from context_builder.text.formatting import (
    format_count,
    format_milliseconds,
    format_name,
    format_percent,
    format_time,
)
from context_builder.text.lists import format_items, rank_counts
from models import FAILED_STATUSES, Request, RequestStatus
from models.database import ReadSession
from models.histogram import Histogram

MAX_SAMPLE = 500
"""Newest failed requests whose endpoints are read."""
MAX_GROUPS = 1_000
"""Combinations of failure kind and deployment that are read, the most frequent first."""
MAX_CODES = 12
MAX_DEPLOYMENTS = 12
MAX_ENDPOINTS = 8
MAX_NAMES = 5
_TOPICS = frozenset({Topic.ERRORS})
_NOUNS: dict[str, tuple[Noun, ...]] = {
    RequestStatus.RATE_LIMITED: (Noun.RATE_LIMIT,),
    RequestStatus.TIMEOUT: (Noun.TIMEOUT,),
}

FailureCode = tuple[str, str]
"""Status and error code; the code is empty if none was logged."""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failed requests of the window with the same status, error code and deployment."""

    code: FailureCode
    deployment: str
    requests: int
    first: datetime
    last: datetime
    """Start of the last bucket."""
    histogram: Histogram


@dataclass(frozen=True, slots=True)
class EarlierFailures:
    """Count and first time of a status and error code in the baseline."""

    requests: int
    first: datetime


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return each kind of failure with its start and response times, then deployments and endpoints."""
    groups, before, gaps = await _load_groups(stores.rollups, request)
    async with stores.snapshot.session() as session:
        sample = await _load_sample(session, request)
        hidden = await count_changed_users(session, request)
    if hidden:
        users = format_count(hidden, "user")
        gaps += (f"endpoints for {users} whose tier or budget changed in the window or later",)
    if not groups:
        calm = "no failed requests in the window"
        headline = Headline(
            text=calm, role=Role.COUNT, nouns=(Noun.REQUEST, Noun.ERROR), topic=Topic.ERRORS, alarm=False
        )
        return Section(calm, status=Status.EMPTY, gaps=gaps, headline=headline)
    total = sum(group.requests for group in groups)
    codes = {group.code for group in groups}
    new = sum(code not in before for code in codes)
    facts = [*_code_facts(groups, before), *_deployment_facts(groups), *_endpoint_facts(sample)]
    return Section(
        f"{format_count(total, 'failed request')} of {format_count(len(codes), 'kind')} of failure "
        f"in the window, {new:,} of them not seen in the 7 days before",
        by_importance(facts),
        gaps=gaps,
    )


async def _load_groups(
    rollups: Rollups, request: ContextRequest
) -> tuple[list[FailureGroup], dict[FailureCode, EarlierFailures], tuple[str, ...]]:
    scope = await rollup_scope(rollups, request)
    now = scope.of(await rollups.read(REQUESTS, *covering(request.window)))
    past = scope.of(await rollups.read(REQUESTS, *covering(baseline_window(request.window))))
    groups, before = await asyncio.to_thread(lambda: (_groups(now), _earlier(past)))
    gaps = scope.gaps
    if len(groups) == MAX_GROUPS:
        gaps += (f"kinds of failure beyond the {MAX_GROUPS:,} most frequent, which are not counted",)
    return groups, before, gaps


def _groups(rows: Rows) -> list[FailureGroup]:
    rows = rows.where(rows.having("status", FAILED_STATUSES))
    labels = [rows.labels(dimension) for dimension in ("status", "error_code", "deployment")]
    groups = Groups(*(places for _, places in labels))
    histograms = groups.histograms(rows["histogram"])
    requests, first, last = (
        groups.sum(rows["requests"]), groups.min(rows["start"]), groups.max(rows["start"])
    )  # fmt: skip
    found = []
    for n in _most_frequent(groups, rows):
        status, code, deployment = (values[places[groups.first[n]]] for values, places in labels)
        seen = moment_of(first[n]), moment_of(last[n])
        found.append(FailureGroup((status, code), deployment, int(requests[n]), *seen, histograms[n]))
    return found


def _earlier(rows: Rows) -> dict[FailureCode, EarlierFailures]:
    rows = rows.where(rows.having("status", FAILED_STATUSES))
    labels = [rows.labels(dimension) for dimension in ("status", "error_code")]
    groups = Groups(*(places for _, places in labels))
    requests, first = groups.sum(rows["requests"]), groups.min(rows["start"])
    found = {}
    for n in _most_frequent(groups, rows):
        status, code = (values[places[groups.first[n]]] for values, places in labels)
        found[status, code] = EarlierFailures(int(requests[n]), moment_of(first[n]))
    return found


def _most_frequent(groups: Groups, rows: Rows) -> list[int]:
    """Return the MAX_GROUPS groups with the most requests; the first id breaks ties."""
    order = np.lexsort((groups.min(rows["id"]), -groups.sum(rows["requests"])))
    return [int(n) for n in order[:MAX_GROUPS]]


def _code_facts(groups: Sequence[FailureGroup], before: dict[FailureCode, EarlierFailures]) -> Iterator[Fact]:
    total = _requests(groups)
    for code, of_code in _ranked(groups, lambda group: group.code)[:MAX_CODES]:
        number = _requests(of_code)
        first, last = min(group.first for group in of_code), max(group.last for group in of_code)
        requests = format_count(number, "failed request")
        head = f"{_format_code(code)}: {requests} ({format_percent(number, total)} of all failures)"
        earlier = before.get(code)
        if earlier:
            was = f"{earlier.requests:,} in the 7 days before, first seen {format_time(earlier.first)}"
        else:
            was = f"NEW, first seen {format_time(first)}"
        places = _format_counts({format_name(group.deployment): group.requests for group in of_code})
        text = (
            f"{head}; {was}; seen in the window: {format_time(first)} to {format_time(last)}; "
            f"{_times(of_code)}; on {places}"
        )
        importance = 0.6 + 0.3 * number / total + (0 if earlier else 0.1)
        headline = Headline(
            text=f"{_format_code(code)} {head.partition(': ')[2]}, {was}",
            role=Role.RANKING,
            nouns=(Noun.ERROR, *_NOUNS.get(code[0], ())),
            topic=Topic.ERRORS,
            value=number,
        )
        short = f"{head}; {was}"
        yield Fact(text, short, min(1.0, importance), _TOPICS, "kinds of failure", headline=headline)


def _deployment_facts(groups: Sequence[FailureGroup]) -> Iterator[Fact]:
    total = _requests(groups)
    for deployment, of_one in _ranked(groups, lambda group: group.deployment)[:MAX_DEPLOYMENTS]:
        number = _requests(of_one)
        kinds = {_format_code(group.code): group.requests for group in of_one}
        name = format_name(deployment)
        kind, times = rank_counts(kinds)[0]
        head = f"failures on {name}: {number:,}, mostly {kind} {times:,}"
        text = f"failures on {name}: {_format_counts(kinds)}; {_times(of_one)}"
        headline = Headline(
            text=head, role=Role.RANKING, nouns=(Noun.DEPLOYMENT,), topic=Topic.ERRORS, value=number
        )
        importance = 0.45 + 0.3 * number / total
        yield Fact(text, head, importance, _TOPICS, "deployments with failures", headline=headline)


async def _load_sample(session: ReadSession, request: ContextRequest) -> Sequence[Any]:
    """Load endpoint, status, error code and response time of the newest failed requests in scope."""
    shown = (Request.endpoint, Request.status, Request.error_code, Request.latency_ms)
    return await newest_rows(session, newest_failed(request, MAX_SAMPLE), request, MAX_SAMPLE, *shown)


def _endpoint_facts(sample: Iterable[Any]) -> Iterator[Fact]:
    members: defaultdict[str, list[Any]] = defaultdict(list)
    for row in sample:
        members[row.endpoint or ""].append(row)
    total = sum(map(len, members.values()))
    of = (
        f"the newest {MAX_SAMPLE} failed requests"
        if total == MAX_SAMPLE
        else f"all {total:,} failed requests"
    )
    ranked = sorted(members.items(), key=lambda item: (-len(item[1]), item[0]))
    for endpoint, rows in ranked[:MAX_ENDPOINTS]:
        kinds = _format_counts(Counter(_format_code((row.status, row.error_code or "")) for row in rows))
        latencies = Histogram.of(row.latency_ms for row in rows if row.latency_ms is not None)
        name = f"endpoint {format_name(endpoint)}" if endpoint else "without an endpoint"
        head = f"{name}: {len(rows):,} of {of} in scope"
        text = f"{head}; {kinds}; {_format_response_time(latencies)}"
        importance = 0.4 + 0.3 * len(rows) / total if endpoint else 0.2
        yield Fact(text, head, importance, _TOPICS, "endpoints with failures")


_Key = TypeVar("_Key", str, FailureCode)


def _ranked(
    groups: Iterable[FailureGroup], key_of: Callable[[FailureGroup], _Key]
) -> list[tuple[_Key, list[FailureGroup]]]:
    """Return the groups by key, the key with the most failed requests first; ties by key."""
    members: defaultdict[_Key, list[FailureGroup]] = defaultdict(list)
    for group in groups:
        members[key_of(group)].append(group)
    return sorted(members.items(), key=lambda item: (-_requests(item[1]), item[0]))


def _requests(groups: Iterable[FailureGroup]) -> int:
    return sum(group.requests for group in groups)


def _format_code(code: FailureCode) -> str:
    status, error_code = code
    return f"{status} {format_name(error_code)}" if error_code else f"{status} without a code"


def _format_counts(counts: Mapping[str, int], most: int = MAX_NAMES) -> str:
    """Join names with their counts, the highest first."""
    return format_items([f"{name} {number:,}" for name, number in rank_counts(counts)], most)


def _times(groups: Iterable[FailureGroup]) -> str:
    return _format_response_time(Histogram.total_of(group.histogram.counts for group in groups))


def _format_response_time(histogram: Histogram) -> str:
    middle, high = histogram.quantile(0.5), histogram.quantile(0.95)
    if middle is None or high is None:
        return "no response time logged"
    return f"response time p50 {format_milliseconds(middle)}, p95 {format_milliseconds(high)}"


source = ContextSource("failures", "F", _TOPICS, 3.0, read, shows_to_confined=Shown.NOTHING)
