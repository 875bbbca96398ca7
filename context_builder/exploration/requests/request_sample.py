"""Reads columns of the newest requests of a slice from the request log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog
from sqlalchemy import BigInteger, ColumnElement, Select, and_, select, type_coerce
from sqlalchemy.orm import InstrumentedAttribute

from context_builder.exploration.series.signal import Floats
from context_builder.exploration.series.slices import CellMask, Slice
from context_builder.question.request import ContextRequest, Window
from context_builder.rollups.store import Rollups
from context_builder.telemetry.newest_requests import (
    newest_of_ranges,
    one_condition_per_value,
    tier_at_request,
)
from context_builder.telemetry.user_scope import of_users
from models import FAILED_STATUSES, Request, RequestStatus, User
from models.errors import ColdDayUnreadable
from models.request_log.cold import log_rows

log = structlog.get_logger(__name__)

MAX_REQUESTS = 1_000
"""Read of each span, the newest."""
_DEPLOYMENT_DIMENSIONS = ("deployment", "model", "backend", "region")

Codes = npt.NDArray[np.int64]
Columns = Sequence[ColumnElement[Any] | InstrumentedAttribute[Any]]
MIX_COLUMNS = (
    Request.deployment_id, Request.status, Request.task_type, Request.latency_ms,
    type_coerce(Request.cost_usd, BigInteger).label("cost_nanousd"), Request.prompt_tokens,
    Request.completion_tokens,
)  # fmt: skip
"""By which requests are alike, and what is compared of them."""
RETRY_COLUMNS = (
    Request.created_at, Request.user_id, Request.status, Request.error_code, Request.task_type,
    Request.latency_ms, Request.prompt_tokens,
    Request.routing_reason["attempt"].as_string().label("attempt"),
    Request.routing_reason["trace_id"].as_string().label("trace_id"),
)  # fmt: skip
"""By which a request is recognised as the repetition of another."""


@dataclass(frozen=True)
class RequestSample:
    """Some columns of requests in the order of time."""

    columns: Mapping[str, Sequence[Any]]
    complete: bool
    """True if these are all requests of the span."""

    def __len__(self) -> int:
        return len(self.columns["status"])

    def numbers(self, name: str) -> Floats:
        """Return a column of numbers, NaN where unknown."""
        return np.array(self.columns[name], dtype=np.float64)

    def codes(self, name: str) -> Codes:
        """Return a column of names as their places in order; -1: unknown."""
        names = self.columns[name]
        places = {one: place for place, one in enumerate(sorted({*names} - {None}))}
        return np.array([places.get(one, -1) for one in names], dtype=np.int64)

    @cached_property
    def failed(self) -> CellMask:
        """Which requests had no answer."""
        return self._has_status(FAILED_STATUSES)

    @cached_property
    def answered(self) -> CellMask:
        """Which requests had one."""
        return self._has_status([RequestStatus.SUCCESS])

    def _has_status(self, statuses: Sequence[RequestStatus]) -> CellMask:
        return np.isin(np.array(self.columns["status"], dtype=np.str_), [str(one) for one in statuses])


async def read_requests(
    rollups: Rollups,
    request: ContextRequest,
    one: Slice,
    span: Window,
    columns: Columns,
) -> RequestSample | None:
    """Load some columns of the newest MAX_REQUESTS of a slice in a span; None if the log cannot tell it."""
    async with rollups.snapshot.session() as session:
        user = one.value_of("user")
        user_id = await session.scalar(select(User.id).where(User.public_id == user)) if user else None
        narrowed = _narrowed(rollups, request, one, user_id)
        if narrowed is None:
            return None
        try:
            rows = await log_rows(
                session,
                _statement(narrowed, span, columns),
                since=span.start,
                until=span.end,
                newest=MAX_REQUESTS,
            )
        except ColdDayUnreadable as error:
            log.warning("requests behind a change not read", reason=str(error))
            return None
    # Only here, so that a rare tier does not make the sample read the whole log.
    own = [tuple(row)[3:] for row in reversed(rows) if row[2]]
    names = [str(column.key) for column in columns]
    values = list(zip(*own, strict=True)) or [()] * len(names)
    return RequestSample(dict(zip(names, values, strict=True)), complete=len(rows) < MAX_REQUESTS)


def _statement(request: ContextRequest, span: Window, columns: Columns) -> Select[*tuple[Any, ...]]:
    """Select id, moment, and whether each of the newest requests is in scope, and the columns."""
    scope = request.scope
    found = newest_of_ranges(_ranges(request, span), MAX_REQUESTS)
    order = found.c.created_at.desc(), found.c.id.desc()
    newest = select(found.c.id, found.c.created_at).order_by(*order).limit(MAX_REQUESTS).subquery()
    own = of_users(scope, Request.user_id)
    if scope.tiers:
        own &= tier_at_request().in_(scope.tiers)
    same = and_(newest.c.id == Request.id, newest.c.created_at == Request.created_at)
    chosen = select(Request.id, Request.created_at, own, *columns).join(newest, same)
    # PostgreSQL opens only the days that a constant names.
    chosen = chosen.where(Request.created_at >= span.start, Request.created_at < span.end)
    return chosen.join(User, User.id == Request.user_id) if scope.tiers else chosen


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
        yield select(Request.id, Request.created_at).where(during, *some)
