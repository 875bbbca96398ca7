"""The stored postmortem of one incident."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from context_builder.queries.errors import NotFound, NotResolved
from context_builder.question.checks import MAX_USER_CHARACTERS, check_name
from context_builder.question.names.known_names import sample_incidents, unknown_name_text
from context_builder.text.clock import utc_now
from context_builder.text.wire import WIRE, Usd
from models import Incident, Postmortem, Question
from models.database import ReadSession


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentPostmortem:
    """A postmortem as stored."""

    __pydantic_config__ = WIRE

    incident: str
    """Public id of the incident."""
    status: str
    """`draft`, `approved` or `rejected`."""
    provenance: str
    """Who wrote the current text: `human`, `model`, `import` or `code`."""
    markdown: str
    summary: str
    root_cause: str | None
    resolution: str | None
    template: str | None
    model: str | None
    """None: no model was called."""
    cost_usd: Usd
    question: str | None
    """Public id of the logged question whose manifest replays the prompt."""
    created_at: datetime
    edited_at: datetime | None
    """When a person last changed the text."""
    reviewed_at: datetime | None
    reviewed_by: str | None


async def require_resolved(session: ReadSession, incident_id: str) -> None:
    """Check that an incident can have a postmortem.

    Raises:
        NotFound: The incident is unknown or was forgotten.
        NotResolved: The incident is still active.
    """
    incident = await _load_incident(session, incident_id)
    if incident.resolved_at is None:
        raise NotResolved(
            f"incident {incident_id!r} is still active; a postmortem requires a resolved incident"
        )


async def incident_postmortem(session: ReadSession, incident_id: str) -> IncidentPostmortem:
    """Return the current postmortem of an incident by public id.

    Raises:
        NotFound: The incident is unknown or was forgotten, or it has no postmortem.
    """
    incident = await _load_incident(session, incident_id)
    rows = await session.execute(
        select(Postmortem, Question.public_id)
        .outerjoin(Question, Question.id == Postmortem.question_id)
        .where(Postmortem.incident_id == incident.id)
    )
    row = rows.one_or_none()
    if row is None:
        raise NotFound(
            f"incident {incident_id!r} has no postmortem yet; POST to this path to have one written"
        )
    postmortem, question = row
    return IncidentPostmortem(
        incident=incident.public_id,
        status=postmortem.status,
        provenance=postmortem.provenance,
        markdown=postmortem.markdown,
        summary=postmortem.summary,
        root_cause=postmortem.root_cause,
        resolution=postmortem.resolution,
        template=postmortem.template,
        model=postmortem.model,
        cost_usd=postmortem.cost_usd,
        question=question,
        created_at=postmortem.created_at,
        edited_at=postmortem.edited_at,
        reviewed_at=postmortem.reviewed_at,
        reviewed_by=postmortem.reviewed_by,
    )


async def _load_incident(session: ReadSession, incident_id: str) -> Incident:
    check_name(incident_id, kind="incident", max_characters=MAX_USER_CHARACTERS)
    incident = await session.scalar(select(Incident).where(Incident.public_id == incident_id))
    if incident is None:
        raise NotFound(unknown_name_text("incident", incident_id, await sample_incidents(session, utc_now())))
    if incident.forgotten_at is not None:
        raise NotFound(f"incident {incident_id!r} was forgotten; its texts were erased")
    return incident
