"""Single requests to look at: answers "which request failed or was slow, and why was it routed there?".

Columns: request id, time (UTC), deployment, tier, user, status, error code, latency (ms), router version and
routing reason. The newest failed ones by index, the slowest by the examples that the rollups keep: the log
itself is never scanned.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Select, select

from context_builder.figures import count, milliseconds, moment
from context_builder.request import ContextRequest, Topic
from context_builder.rollup_query import rollups_in, within
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from context_builder.untrusted import one_line, quoted
from models import FAILED_STATUSES, Deployment, Request, RequestRollup, User
from models.database import ReadSession

FAILED_SHOWN = 8
SLOW_SHOWN = 5
_LATENCY = frozenset({Topic.LATENCY})
_ERRORS = frozenset({Topic.ERRORS})


@dataclass(frozen=True, slots=True)
class Example:
    """A request with the names behind its ids."""

    request: Request
    deployment: str
    user: str
    tier: str


async def read(request: ContextRequest, stores: Stores) -> Section:
    """The requests the question names, the newest failed ones and the slowest ones of the window."""
    async with stores.snapshot.session() as session:
        named = await _named(session, request)
        failed = await _newest_failed(session, request)
        slow = await _slowest(session, request)
    facts = [
        *(_fact(example, "named in the question", 1.0, _LATENCY | _ERRORS) for example in named),
        *(_fact(example, "failed", 0.7 - 0.03 * rank, _ERRORS) for rank, example in enumerate(failed)),
        *(
            _fact(example, "among the slowest", 0.6 - 0.03 * rank, _LATENCY)
            for rank, example in enumerate(slow)
        ),
    ]
    if not facts:
        return Section("no failed or timed requests in the window", status=Status.EMPTY)
    header = (
        f"examples from the window: the newest {count(len(failed), 'failed request')}, "
        f"the slowest {count(len(slow), 'request')}"
    )
    return Section(header, tuple(facts))


def _rows() -> Select[Request, str, str, str]:
    return (
        select(Request, Deployment.public_id, User.public_id, User.tier)
        .join(Deployment, Deployment.id == Request.deployment_id)
        .join(User, User.id == Request.user_id)
    )


async def _named(session: ReadSession, request: ContextRequest) -> list[Example]:
    if not request.scope.request_ids:
        return []
    statement = _rows().where(Request.id.in_(request.scope.request_ids)).order_by(Request.id)
    return [Example(*row) for row in await session.execute(statement)]


async def _newest_failed(session: ReadSession, request: ContextRequest) -> list[Example]:
    scope = request.scope
    statement = (
        _rows()
        .where(
            Request.status.in_(FAILED_STATUSES),
            Request.created_at >= request.window.start,
            Request.created_at < request.window.end,
        )
        .order_by(Request.created_at.desc(), Request.id.desc())
        .limit(FAILED_SHOWN)
    )
    if scope.deployment_ids:
        statement = statement.where(Request.deployment_id.in_(scope.deployment_ids))
    if scope.user_ids:
        statement = statement.where(Request.user_id.in_(scope.user_ids))
    if scope.tiers:
        statement = statement.where(User.tier.in_(scope.tiers))
    return [Example(*row) for row in await session.execute(statement)]


async def _slowest(session: ReadSession, request: ContextRequest) -> list[Example]:
    examples = await session.scalars(
        select(RequestRollup.slowest_request_id)
        .where(
            within(RequestRollup, request.window),
            rollups_in(request.scope),
            RequestRollup.slowest_request_id.is_not(None),
        )
        .order_by(RequestRollup.slowest_ms.desc(), RequestRollup.slowest_request_id)
        .limit(SLOW_SHOWN)
    )
    statement = _rows().where(Request.id.in_(examples.all())).order_by(Request.latency_ms.desc(), Request.id)
    return [Example(*row) for row in await session.execute(statement)]


def _fact(example: Example, why: str, importance: float, topics: frozenset[Topic]) -> Fact:
    request = example.request
    outcome = request.status + (f" {request.error_code}" if request.error_code else "")
    latency = f", {milliseconds(request.latency_ms)}" if request.latency_ms is not None else ""
    head = one_line(
        f"{request.public_id} ({why}) at {moment(request.created_at)} on {example.deployment}: "
        f"{outcome}{latency}"
    )
    details = [f"user {example.user}, tier {example.tier}"]
    if request.router_version:
        details.append(f"router {request.router_version}")
    if request.routing_reason:
        details.append(f"routing reason {quoted(_compact(request.routing_reason))}")
    return Fact(one_line(f"{head}; {'; '.join(details)}"), head, importance, topics)


def _compact(reason: object) -> str:
    return json.dumps(reason, sort_keys=True, ensure_ascii=False, separators=(", ", ": "))


source = ContextSource("requests", "R", frozenset({Topic.ERRORS, Topic.LATENCY}), 3.0, read)
