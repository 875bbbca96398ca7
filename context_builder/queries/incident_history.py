"""Incident history: all incidents there were by a moment, with what became of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, select

from context_builder.queries.moment import moment_of
from context_builder.queries.page import FIRST_PAGE, Page, Position, listing
from context_builder.question.checks import MAX_NAMES, check_moment, check_name
from context_builder.question.known_names import require_known
from context_builder.question.request import QuestionError
from context_builder.telemetry.incident_state import open_at, unresolved_at
from context_builder.text.wire import WIRE
from models import Deployment, Incident, IncidentStatus, Postmortem, Severity
from models.database import ReadSession


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFilter:
    """Which incidents; an empty field does not restrict anything."""

    statuses: tuple[str, ...] = ()
    """`active`, `resolved`, as it was at `as_of`."""
    severities: tuple[str, ...] = ()
    """`critical`, `high`, `medium`, `low`."""
    targets: tuple[str, ...] = ()
    """What was hit, exactly as it was reported."""
    since: datetime | None = None
    until: datetime | None = None
    """End of the time span in which they started, which does not belong to it."""
    as_of: datetime | None = None
    """None: now. What was recorded later is not told."""


_Found = Row[Incident, str | None, str | None, datetime | None]

ALL_INCIDENTS = HistoryFilter()


@dataclass(frozen=True, slots=True)
class RecordedIncident:
    """One incident, as it was known at a moment."""

    id: str
    title: str
    severity: str
    status: str
    target: str | None
    deployment: str | None
    """The deployment that was hit, where it was one."""
    started_at: datetime
    resolved_at: datetime | None
    symptoms: str
    root_cause: str | None
    """Known from `resolved_at` on, as `resolution`."""
    resolution: str | None
    provenance: str
    """Who wrote the record: `human`, `model`, `import` or `code`."""
    review: str
    """`draft`, `approved` or `rejected`, as it is now."""
    postmortem: str | None
    """The same of its postmortem; None: it had none."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A page of incidents, the newest first."""

    __pydantic_config__ = WIRE

    as_of: datetime
    incidents: tuple[RecordedIncident, ...]
    next: str | None
    """Cursor of the page that follows; None: this is the last."""


async def incident_history(
    session: ReadSession, filters: HistoryFilter = ALL_INCIDENTS, page: Page = FIRST_PAGE
) -> HistoryPage:
    """All incidents but those that were forgotten. Raises QuestionError."""
    moment = moment_of(filters.as_of)
    chosen = listing("incident_history", filters, page)
    statement = (
        select(Incident, Deployment.public_id, Postmortem.status, Postmortem.created_at)
        .outerjoin(Deployment, Deployment.id == Incident.deployment_id)
        .outerjoin(Postmortem, Postmortem.incident_id == Incident.id)
        .where(
            Incident.started_at <= moment.as_of,
            Incident.forgotten_at.is_(None),
            chosen.below(Incident.started_at, Incident.id),
            *_conditions(filters, moment.as_of, moment.now),
        )
        .order_by(Incident.started_at.desc(), Incident.id.desc())
        .limit(chosen.limit + 1)
    )
    found = (await session.execute(statement)).all()
    shown, following = chosen.cut(found, lambda row: Position(row[0].started_at, row[0].id))
    return HistoryPage(moment.as_of, tuple(_recorded(row, moment.as_of) for row in shown), following)


def _conditions(filters: HistoryFilter, as_of: datetime, now: datetime) -> Iterator[ColumnElement[bool]]:
    require_known("status", filters.statuses, list(IncidentStatus))
    require_known("severity", filters.severities, list(Severity))
    since = check_moment(filters.since, name="since", now=now)
    until = check_moment(filters.until, name="until", now=now)
    if since is not None and until is not None and since >= until:
        raise QuestionError(
            f"the time from {since.isoformat()} to {until.isoformat()} is empty; since must be before until"
        )
    if len(filters.targets) > MAX_NAMES:
        raise QuestionError(f"{len(filters.targets):,} targets are named; at most {MAX_NAMES} are accepted")
    for target in filters.targets:
        check_name(target, kind="target")
    if since is not None:
        yield Incident.started_at >= since
    if until is not None:
        yield Incident.started_at < until
    if filters.severities:
        yield Incident.severity.in_(filters.severities)
    if filters.targets:
        yield Incident.target.in_(filters.targets)
    if set(filters.statuses) == {IncidentStatus.ACTIVE}:
        yield open_at(as_of)
    elif set(filters.statuses) == {IncidentStatus.RESOLVED}:
        yield ~unresolved_at(as_of)


def _recorded(row: _Found, as_of: datetime) -> RecordedIncident:
    incident, deployment, postmortem, written_at = row
    is_over = incident.resolved_at is not None and incident.resolved_at <= as_of
    return RecordedIncident(
        id=incident.public_id,
        title=incident.title,
        severity=incident.severity,
        status=IncidentStatus.RESOLVED if is_over else IncidentStatus.ACTIVE,
        target=incident.target,
        deployment=deployment,
        started_at=incident.started_at,
        resolved_at=incident.resolved_at if is_over else None,
        symptoms=incident.symptoms,
        root_cause=incident.root_cause if is_over else None,
        resolution=incident.resolution if is_over else None,
        provenance=incident.provenance,
        review=incident.review,
        postmortem=postmortem if written_at is not None and written_at <= as_of else None,
    )
