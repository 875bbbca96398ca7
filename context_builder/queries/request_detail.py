"""Request detail: one request with its routing reason, quality score and related incident."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from context_builder.queries.errors import NotFound
from context_builder.queries.recent_requests import LoggedRequest, logged_request
from context_builder.queries.scope import resolve_moment
from context_builder.question.checks import check_name
from context_builder.question.names.known_names import unknown_name_text
from context_builder.telemetry.incident_state import affects, open_at, severity_rank
from context_builder.telemetry.newest_requests import load_request
from context_builder.text.wire import WIRE
from models import Deployment, Incident, QualityScore, Request
from models.database import ReadSession

_MAX_NAMES_COMPARED = 1_000
"""Newest ids that are compared with an unknown one."""


@dataclass(frozen=True, slots=True)
class RequestScore:
    """The quality score of a request."""

    score: float
    """From 0 to 1."""
    scorer: str
    scored_at: datetime


@dataclass(frozen=True, slots=True)
class RelatedIncident:
    """The incident that a request was made during."""

    id: str
    title: str
    severity: str
    target: str | None
    started_at: datetime
    resolved_at: datetime | None
    """None: not resolved by `as_of`, in which case cause and fix are None, too."""
    root_cause: str | None
    resolution: str | None


@dataclass(frozen=True, slots=True)
class RequestDetail:
    """Everything known about one request as of a moment."""

    __pydantic_config__ = WIRE

    as_of: datetime
    request: LoggedRequest
    routing_reason: dict[str, Any] | None
    quality: RequestScore | None
    """None: no score had arrived by `as_of`."""
    incident: RelatedIncident | None
    """An incident on the request's deployment, model or backend that was open when the request was made.

    Of several, one of the deployment itself comes first, then the most severe, then the newest.
    """


async def request_detail(
    session: ReadSession, request_id: str, *, as_of: datetime | None = None
) -> RequestDetail:
    """Return one request by public id.

    Raises:
        NotFound: The request is not in the log.
        ColdDayUnreadable: It may be in a file that cannot be read.
        QuestionError: An argument is invalid.
    """
    moment = resolve_moment(as_of)
    check_name(request_id, kind="request")
    found = await load_request(session, request_id)
    # In the present, a gateway clock slightly ahead of ours hides no request.
    if found is None or not (moment.live or found.request.created_at <= moment.as_of):
        raise NotFound(
            unknown_name_text("request", request_id, await _load_newest_names(session, moment.as_of))
        )
    request, deployment = found.request, found.deployment
    return RequestDetail(
        moment.as_of,
        logged_request(found),
        request.routing_reason,
        await _load_score(session, request, None if moment.live else moment.as_of),
        await _load_incident(session, request, deployment, moment.as_of),
    )


async def _load_newest_names(session: ReadSession, as_of: datetime) -> list[str]:
    names = await session.scalars(
        select(Request.public_id)
        .where(Request.created_at <= as_of)
        .order_by(Request.created_at.desc())
        .limit(_MAX_NAMES_COMPARED)
    )
    return list(names)


async def _load_score(
    session: ReadSession, request: Request, known_by: datetime | None
) -> RequestScore | None:
    score = await session.scalar(select(QualityScore).where(QualityScore.request_id == request.id))
    if score is None or (known_by is not None and score.scored_at > known_by):
        return None
    return RequestScore(score.score, score.scorer, score.scored_at)


async def _load_incident(
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
    is_resolved = incident.resolved_at is not None and incident.resolved_at <= as_of
    return RelatedIncident(
        id=incident.public_id,
        title=incident.title,
        severity=incident.severity,
        target=incident.target,
        started_at=incident.started_at,
        resolved_at=incident.resolved_at if is_resolved else None,
        root_cause=incident.root_cause if is_resolved else None,
        resolution=incident.resolution if is_resolved else None,
    )
