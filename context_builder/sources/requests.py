"""Example requests: answers "which request failed or was slow, and why was it routed there?".

Columns: request id, time (UTC), deployment, tier, user, status, error code, latency (ms), router version and
routing reason. The newest failed requests come from an index, slow ones from the examples that the rollups
keep, each the slowest of its bucket. The log itself is never scanned.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import select

from context_builder.question.request import ContextRequest, Topic
from context_builder.rollups.scope import rollup_scope
from context_builder.rollups.span import covering
from context_builder.rollups.store import Rollups
from context_builder.rollups.table import REQUESTS
from context_builder.source import ContextSource, Fact, Section, Shown, Status, Stores
from context_builder.telemetry.newest_requests import (
    MAX_RANGES,
    OwnedRequest,
    count_changed_users,
    load_requests,
    newest_failed,
    newest_of_users,
    newest_rows,
)
from context_builder.telemetry.user_scope import of_users
from context_builder.text.formatting import format_count, format_milliseconds, format_name, format_time
from context_builder.text.sanitize import quote
from models import Request
from models.database import ReadSession
from models.request_log.cold import log_rows

MAX_FAILED = 8
MAX_SLOW = 5
MAX_NAMED = 20
MAX_OF_USERS = 500
"""Rollups have no users: slow requests of named users are looked for among this many of their newest."""
_LATENCY = frozenset({Topic.LATENCY})
_ERRORS = frozenset({Topic.ERRORS})


@dataclass(slots=True)
class ExampleRequest:
    """A request with the reasons why it is shown."""

    owned: OwnedRequest
    reasons: list[str] = field(default_factory=list)
    topics: frozenset[Topic] = frozenset()
    importance: float = 0.0

    @property
    def request(self) -> Request:
        """Return the request itself."""
        return self.owned.request


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return the named requests, and the newest failed and the slowest requests of the window."""
    named_ids = request.scope.request_ids[:MAX_NAMED]
    slowest = [] if request.scope.user_ids else await _slowest_of_rollups(stores.rollups, request)
    async with stores.snapshot.session() as session:
        failed = await _load_failed(session, request)
        slow = await _load_slow(session, request, slowest)
        span = {} if named_ids else {"since": request.window.start, "until": request.window.end}
        shown = Request.id.in_(sorted({*named_ids, *failed, *slow}))
        loaded = await load_requests(session, shown, **span)
        examples = {one.request.id: ExampleRequest(one) for one in loaded}
        hidden = await count_changed_users(session, request)
    _add_reason(examples, named_ids, "named in the question", 1.0, _LATENCY | _ERRORS)
    _add_reason(examples, failed, "failed", 0.7, _ERRORS)
    _add_reason(examples, slow, "slow", 0.6, _LATENCY)
    gaps = _gaps(examples.values(), hidden)
    if not examples:
        return Section("no failed or timed requests in the window", status=Status.EMPTY, gaps=gaps)
    ranked = sorted(examples.values(), key=lambda example: (-example.importance, example.request.id))
    header = (
        f"examples from the window: the newest {format_count(len(failed), 'failed request')}, "
        f"{format_count(len(slow), 'slow request')}"
    )
    return Section(header, tuple(_fact(example) for example in ranked), gaps=gaps)


def _add_reason(
    examples: Mapping[int, ExampleRequest],
    ids: Iterable[int],
    reason: str,
    importance: float,
    topics: frozenset[Topic],
) -> None:
    """Add a reason to show these requests; the first of them are the most important."""
    for rank, number in enumerate(number for number in ids if number in examples):
        example = examples[number]
        example.reasons.append(reason)
        example.topics |= topics
        example.importance = max(example.importance, importance - 0.02 * rank)


async def _load_failed(session: ReadSession, request: ContextRequest) -> list[int]:
    """Load ids of the newest failed requests, the newest first."""
    rows = await newest_rows(session, newest_failed(request, MAX_FAILED), request, MAX_FAILED)
    return [row.id for row in rows]


async def _load_slow(session: ReadSession, request: ContextRequest, examples: Sequence[int]) -> Sequence[int]:
    """Load ids of slow requests: examples of the rollups or, for named users, the slowest of their newest."""
    if request.scope.user_ids:
        newest = newest_of_users(request, MAX_OF_USERS, Request.latency_ms.is_not(None))
        # Of equally slow ones the oldest: so many of each user's as the number of users allows.
        ranges = min(len(request.scope.user_ids), MAX_RANGES)
        rows = await newest_rows(session, newest, request, MAX_OF_USERS * ranges)
        return [row.id for row in sorted(rows, key=lambda row: (-row.latency_ms, row.id))[:MAX_SLOW]]
    own = select(Request.id, Request.created_at).where(
        Request.id.in_(examples), of_users(request.scope, Request.user_id)
    )
    found = await log_rows(session, own, since=request.window.start, until=request.window.end)
    there = {row.id for row in found}
    return [number for number in examples if number in there][:MAX_SLOW]


async def _slowest_of_rollups(rollups: Rollups, request: ContextRequest) -> list[int]:
    """Return the ids of the slowest requests of the window's buckets, the slowest first."""
    scope = await rollup_scope(rollups, request)
    rows = scope.of(await rollups.read(REQUESTS, *covering(request.window)))
    numbers, slowest_ms = rows["slowest_request_id"], rows["slowest_ms"]
    order = np.lexsort((numbers, -slowest_ms))
    # Each is the slowest of its hour or minute; users left out are known only from the log.
    most = MAX_OF_USERS if request.scope.excluded_user_ids else MAX_SLOW
    return [int(number) for number in numbers[order[:most]] if number >= 0]


def _gaps(examples: Iterable[ExampleRequest], hidden: int) -> tuple[str, ...]:
    gaps = []
    owned = [example.owned for example in examples]
    unknown = sorted({one.user.public_id for one in owned if one.tier is None})
    if unknown:
        names = ", ".join(format_name(name) for name in unknown)
        gaps.append(f"the tier of {names} when these requests were made: tier or budget changed later")
    if hidden:
        users = format_count(hidden, "user")
        gaps.append(f"failed requests by tier of {users} whose tier or budget changed after the window began")
    return tuple(gaps)


def _fact(example: ExampleRequest) -> Fact:
    request, tier, deployment = example.request, example.owned.tier, example.owned.deployment.public_id
    outcome = request.status + (f" {format_name(request.error_code)}" if request.error_code else "")
    latency = f", {format_milliseconds(request.latency_ms)}" if request.latency_ms is not None else ""
    head = (
        f"{format_name(request.public_id)} ({', '.join(example.reasons)}) at "
        f"{format_time(request.created_at)} on {format_name(deployment)}: {outcome}{latency}"
    )
    details = [f"user {format_name(example.owned.user.public_id)}"]
    if tier:
        details.append(f"tier {tier}")
    if request.router_version:
        details.append(f"router {format_name(request.router_version)}")
    if request.routing_reason:
        reason = json.dumps(request.routing_reason, sort_keys=True, ensure_ascii=False)
        details.append(f"routing reason {quote(reason)}")
    return Fact(f"{head}; {', '.join(details)}", head, example.importance, example.topics, kind="requests")


source = ContextSource(
    "requests",
    "R",
    frozenset({Topic.ERRORS, Topic.LATENCY}),
    3.0,
    read,
    shows_to_confined=Shown.OWN,
)
