"""Samples the requests around an onset by user from the request log, since rollups have no users."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from sqlalchemy import Select, select

from context_builder.exploration.breakdown import ComparedSpans
from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.drivers import Breakdown
from context_builder.exploration.series.signal import Distribution, Noise
from context_builder.exploration.series.timeline import HOUR
from context_builder.question.request import ContextRequest, Window
from context_builder.telemetry.newest_requests import newest_of_ranges, one_condition_per_value
from context_builder.telemetry.user_scope import of_users
from models import FAILED_STATUSES, Request, RequestStatus, User
from models.database import ReadSession
from models.request_log.cold import log_rows

MAX_REQUESTS = 2_000
"""Newest requests read on each side of an onset."""


@dataclass(frozen=True, slots=True)
class UserSample:
    """Requests and failed requests by user."""

    requests: Counter[str]
    failed: Counter[str]
    hours: float
    complete: bool
    """True if the sample has all requests of the span."""


async def user_error_breakdown(
    session: ReadSession, request: ContextRequest, spans: ComparedSpans, shift: ChangePoint
) -> tuple[Breakdown, bool]:
    """Load failed requests by user against the baseline rate, and whether the sample is complete."""
    sample = await _sample(session, request, spans.after)
    users = sorted(sample.requests)
    weight = np.array([float(sample.requests[user]) for user in users])
    failed = np.array([float(sample.failed[user]) for user in users])
    noise = Noise(Distribution.BINOMIAL)
    return Breakdown({"user": users}, weight, failed, weight, weight * shift.before, noise), sample.complete


async def user_volume_breakdown(
    session: ReadSession, request: ContextRequest, spans: ComparedSpans
) -> tuple[Breakdown, bool]:
    """Load requests by user on the deployments in scope, and whether the sample is complete."""
    after, before = [await _sample(session, request, span) for span in (spans.after, spans.before)]
    users = sorted({*after.requests, *before.requests})
    now, past = (np.array([float(side.requests[user]) for user in users]) for side in (after, before))
    exposure = after.hours / before.hours if before.hours else 1.0
    complete = after.complete
    return Breakdown({"user": users}, now, now, past, past, Noise(Distribution.POISSON), exposure), complete


async def _sample(session: ReadSession, request: ContextRequest, span: Window) -> UserSample:
    newest = newest_of_ranges(_ranges(request, span), MAX_REQUESTS)
    # Told by row, so that one busy user left out does not make the sample read the whole log.
    in_scope = of_users(request.scope, newest.c.user_id)
    if request.scope.tiers:
        in_scope &= User.tier.in_(request.scope.tiers) & (User.updated_at <= newest.c.created_at)
    chosen = select(newest.c.id, newest.c.created_at, newest.c.user_id, newest.c.status, in_scope)
    if request.scope.tiers:
        chosen = chosen.join(User, User.id == newest.c.user_id)
    chosen = chosen.order_by(newest.c.created_at.desc(), newest.c.id.desc()).limit(MAX_REQUESTS)
    found = await log_rows(session, chosen, since=span.start, until=span.end, newest=MAX_REQUESTS)
    ids = {row.user_id for row in found}
    named = await session.execute(select(User.id, User.public_id).where(User.id.in_(ids)))
    names = {row.id: row.public_id for row in named}
    own = Counter((names[row[2]], row[3]) for row in found if row[4])
    requests: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for (user, status), number in own.items():
        requests[user] += number
        failed[user] += number * (status in FAILED_STATUSES)
    complete = len(found) < MAX_REQUESTS
    start = span.start if complete else found[-1].created_at
    return UserSample(requests, failed, max((span.end - start) / HOUR, 1 / 60), complete)


def _ranges(request: ContextRequest, span: Window) -> Iterator[Select[*tuple[Any, ...]]]:
    """Yield index ranges: of time, or of deployment, status and time."""
    wanted = select(Request.id, Request.created_at, Request.status, Request.user_id).where(
        Request.created_at >= span.start, Request.created_at < span.end
    )
    if not request.scope.deployment_ids:
        yield wanted
        return
    for deployment, status in product(
        one_condition_per_value(Request.deployment_id, request.scope.deployment_ids), RequestStatus
    ):
        yield wanted.where(deployment, Request.status == status)
