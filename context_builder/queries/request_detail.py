"""Request detail: one request, why it was routed there, how good it was, and what was broken meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from context_builder.queries.logged_request import LoggedRequest, logged_request, with_names
from context_builder.queries.moment import moment_of
from context_builder.queries.unknown import Unknown
from context_builder.question.checks import check_name
from context_builder.question.known_names import unknown_name_text
from context_builder.telemetry.incident_state import affects, open_at, severity_rank
from context_builder.text.wire import WIRE
from models import Deployment, Incident, QualityScore, Request
from models.database import ReadSession

_NEAR_NAMES = 1_000
"""How many of the newest ids are compared with one that is not known."""


@dataclass(frozen=True, slots=True)
class Score:
    """The quality score of a request."""

    score: float
    """From 0 to 1."""
    scorer: str
    scored_at: datetime


@dataclass(frozen=True, slots=True)
class RelatedIncident:
    """The incident that a request fell into."""

    id: str
    title: str
    severity: str
    target: str | None
    started_at: datetime
    resolved_at: datetime | None
    """None: not resolved by `as_of`; then neither cause nor fix are told."""
    root_cause: str | None
    resolution: str | None


@dataclass(frozen=True, slots=True)
class RequestDetail:
    """All that is known of one request at a moment."""

    __pydantic_config__ = WIRE

    as_of: datetime
    request: LoggedRequest
    routing_reason: dict[str, Any] | None
    quality: Score | None
    """None: no score has arrived by `as_of`."""
    incident: RelatedIncident | None
    """One that hit the request's deployment, model or backend, and was going on when the request was made.

    Of several, those of the deployment itself come before those of its model or backend; then the worst, then
    the newest.
    """


async def request_detail(
    session: ReadSession, request_id: str, *, as_of: datetime | None = None
) -> RequestDetail:
    """One request by its public id. Raises Unknown for one that is not in the log, else QuestionError."""
    moment = moment_of(as_of)
    check_name(request_id, kind="request")
    row = (await session.execute(with_names().where(Request.public_id == request_id))).one_or_none()
    # The present has no clock to be ahead of.
    if row is None or not (moment.live or row[0].created_at <= moment.as_of):
        raise Unknown(unknown_name_text("request", request_id, await _newest_names(session, moment.as_of)))
    request, deployment, user, tier = row
    return RequestDetail(
        moment.as_of,
        logged_request(request, deployment, user, tier),
        request.routing_reason,
        await _score(session, request, None if moment.live else moment.as_of),
        await _incident(session, request, deployment, moment.as_of),
    )


async def _newest_names(session: ReadSession, as_of: datetime) -> list[str]:
    names = await session.scalars(
        select(Request.public_id)
        .where(Request.created_at <= as_of)
        .order_by(Request.created_at.desc())
        .limit(_NEAR_NAMES)
    )
    return list(names)


async def _score(session: ReadSession, request: Request, known_by: datetime | None) -> Score | None:
    score = await session.scalar(select(QualityScore).where(QualityScore.request_id == request.id))
    if score is None or (known_by is not None and score.scored_at > known_by):
        return None
    return Score(score.score, score.scorer, score.scored_at)


async def _incident(
    session: ReadSession, request: Request, deployment: Deployment, as_of: datetime
) -> RelatedIncident | None:
    itself = (Incident.deployment_id == deployment.id) | (Incident.target == deployment.public_id)
    incident = await session.scalar(
        select(Incident)
        .where(affects(deployment), open_at(request.created_at))
        .order_by(itself.is_not(True), severity_rank(), Incident.started_at.desc(), Incident.id.desc())
        .limit(1)
    )
    if incident is None:
        return None
    over = incident.resolved_at is not None and incident.resolved_at <= as_of
    return RelatedIncident(
        id=incident.public_id,
        title=incident.title,
        severity=incident.severity,
        target=incident.target,
        started_at=incident.started_at,
        resolved_at=incident.resolved_at if over else None,
        root_cause=incident.root_cause if over else None,
        resolution=incident.resolution if over else None,
    )
