"""What the database records about an incident, for the sections that code writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import inspect

from context_builder.exploration.events import Event
from context_builder.postmortems.affected import load_affected
from context_builder.postmortems.impact import Impact, load_impact, minutes_of
from context_builder.postmortems.recorded_events import RecordedEvents, load_changes, load_events
from context_builder.question.request import Window
from context_builder.text.redaction import Redaction
from models import Incident
from models.database import ReadSession

LEAD_IN = timedelta(minutes=30)
"""How long before the incident the window begins, to include what led to it."""
TRIGGER_LOOKBACK = timedelta(days=1)
"""How far back a change is considered as a trigger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentFindings:
    """An incident and what was recorded around it."""

    incident: Incident
    resolved_at: datetime
    impact: Impact
    events: RecordedEvents
    """From LEAD_IN before the start until the end."""
    changes: tuple[Event, ...]
    """Of the TRIGGER_LOOKBACK before the start, oldest first."""


def redacted_findings(findings: IncidentFindings, redaction: Redaction) -> IncidentFindings:
    """Return the findings without secrets: the one way of records into a document."""
    recorded = {name: getattr(findings.incident, name) for name in inspect(Incident).columns.keys()}  # noqa: SIM118
    return replace(redaction.of(findings), incident=Incident(**redaction.of(recorded)))


async def load_findings(session: ReadSession, incident: Incident, resolved_at: datetime) -> IncidentFindings:
    """Load everything that the code's sections need: rollups, and bounded numbers of indexed rows."""
    affected = await load_affected(session, incident)
    around = Window(incident.started_at - LEAD_IN, resolved_at)
    before = Window(incident.started_at - TRIGGER_LOOKBACK, incident.started_at)
    return IncidentFindings(
        incident=incident,
        resolved_at=resolved_at,
        impact=await load_impact(session, affected, minutes_of(incident, resolved_at)),
        events=await load_events(session, incident, affected, around),
        changes=await load_changes(session, affected, before),
    )
