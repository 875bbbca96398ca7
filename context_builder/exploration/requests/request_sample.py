"""Reads the newest requests of a slice from the request log, as columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Select, and_, select

from context_builder.exploration.series.signal import Floats
from context_builder.exploration.series.slices import CellMask, Slice
from context_builder.question.request import ContextRequest, Window
from context_builder.rollups.store import Rollups
from context_builder.telemetry.newest_requests import newest_of_ranges, one_condition_per_value
from context_builder.telemetry.user_scope import of_users
from models import FAILED_STATUSES, Request, RequestStatus, User

MAX_REQUESTS = 1_000
"""Read of each span, the newest."""
_DEPLOYMENT_DIMENSIONS = ("deployment", "model", "backend", "region")

Codes = npt.NDArray[np.int64]
_COLUMNS = (
    Request.id, Request.created_at, Request.user_id, Request.deployment_id, Request.status,
    Request.error_code, Request.task_type, Request.latency_ms, Request.cost_usd, Request.prompt_tokens,
    Request.completion_tokens, Request.routing_reason["attempt"].as_string().label("attempt"),
    Request.routing_reason["trace_id"].as_string().label("trace_id"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RequestSample:
    """Requests in the order of time; all arrays have one element per request."""

    at: Floats
    """Seconds since 1970."""
    user: Codes
    deployment: Codes
    task: Codes
    """Places of task types in the order of their names; -1: unknown."""
    status: Sequence[str]
    error_code: Sequence[str]
    """Empty: none."""
    latency_ms: Floats
    """NaN where unknown, as the following."""
    cost_usd: Floats
    prompt_tokens: Floats
    completion_tokens: Floats
    attempt: Floats
    """As the gateway recorded it, from 1."""
    trace: Sequence[str]
    """Empty: none."""
    complete: bool
    """True if these are all requests of the span."""

    def __len__(self) -> int:
        return len(self.at)

    @property
    def failed(self) -> CellMask:
        """Which requests had no answer."""
        return np.array([status in FAILED_STATUSES for status in self.status], dtype=np.bool_)

    @property
    def answered(self) -> CellMask:
        """Which requests had one."""
        return np.array([status == RequestStatus.SUCCESS for status in self.status], dtype=np.bool_)


async def read_requests(
    rollups: Rollups, request: ContextRequest, one: Slice, span: Window
) -> RequestSample | None:
    """Load the newest MAX_REQUESTS of a slice in a span; None if the log cannot tell the slice."""
    async with rollups.snapshot.session() as session:
        user = one.value_of("user")
        user_id = await session.scalar(select(User.id).where(User.public_id == user)) if user else None
        narrowed = _narrowed(rollups, request, one, user_id)
        if narrowed is None:
            return None
        newest = newest_of_ranges(_ranges(narrowed, span), MAX_REQUESTS)
        own = of_users(narrowed.scope, newest.c.user_id)
        found = await session.execute(
            select(newest, User.tier, User.updated_at, own.label("own"))
            .join(User, User.id == newest.c.user_id)
            .order_by(newest.c.created_at.desc(), newest.c.id.desc())
            .limit(MAX_REQUESTS)
        )
        rows = list(found)
    tiers = narrowed.scope.tiers
    # Only here, so that a rare tier does not make the sample read the whole log.
    chosen = [
        row for row in rows
        if row.own and (not tiers or (row.tier in tiers and row.updated_at <= row.created_at))
    ]  # fmt: skip
    return _columns(chosen[::-1], complete=len(rows) < MAX_REQUESTS)


def _narrowed(
    rollups: Rollups, request: ContextRequest, one: Slice, user_id: int | None
) -> ContextRequest | None:
    """Return the request with the scope of a slice too; None if nothing is in both."""
    scope = request.scope
    for dimension, value in one.values:
        if dimension == "user":
            if user_id is None:
                return None
            scope = replace(scope, user_ids=(user_id,), tiers=())
        elif dimension == "tier":
            scope = replace(scope, tiers=(value,))
        elif dimension in _DEPLOYMENT_DIMENSIONS:
            named = rollups.names.deployments.items()
            found = {number for number, names in named if getattr(names, dimension) == value}
            known = tuple(sorted(found & set(scope.deployment_ids or found)))
            if not known:
                return None
            scope = replace(scope, deployment_ids=known)
        else:
            return None
    return replace(request, scope=scope)


def _ranges(request: ContextRequest, span: Window) -> Iterator[Select[*tuple[Any, ...]]]:
    """Yield index ranges: of a user and time, of deployment, status and time, or of time."""
    scope = request.scope
    during = and_(Request.created_at >= span.start, Request.created_at < span.end)
    conditions: Iterator[tuple[ColumnElement[bool], ...]] = iter([()])
    if scope.user_ids and not scope.tiers:
        conditions = product(
            one_condition_per_value(Request.user_id, scope.user_ids),
            [Request.deployment_id.in_(scope.deployment_ids)] if scope.deployment_ids else [during],
        )
    elif scope.deployment_ids:
        statuses = [Request.status == status for status in RequestStatus]
        conditions = product(one_condition_per_value(Request.deployment_id, scope.deployment_ids), statuses)
    for some in conditions:
        yield select(*_COLUMNS).where(during, *some)


def _columns(rows: Sequence[Any], *, complete: bool) -> RequestSample:
    tasks = {name: place for place, name in enumerate(sorted({row.task_type for row in rows} - {None}))}
    return RequestSample(
        at=np.array([row.created_at.timestamp() for row in rows], dtype=np.float64),
        user=np.array([row.user_id for row in rows], dtype=np.int64),
        deployment=np.array([row.deployment_id for row in rows], dtype=np.int64),
        task=np.array([tasks.get(row.task_type, -1) for row in rows], dtype=np.int64),
        status=[row.status for row in rows],
        error_code=[row.error_code or "" for row in rows],
        latency_ms=_numbers(row.latency_ms for row in rows),
        cost_usd=_numbers(row.cost_usd for row in rows),
        prompt_tokens=_numbers(row.prompt_tokens for row in rows),
        completion_tokens=_numbers(row.completion_tokens for row in rows),
        attempt=_numbers(row.attempt if str(row.attempt).isdecimal() else None for row in rows),
        trace=[str(row.trace_id or "") for row in rows],
        complete=complete,
    )


def _numbers(values: Iterator[Any]) -> Floats:
    return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
