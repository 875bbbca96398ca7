"""What the database says of an incident, read for the sections that code writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from context_builder.postmortems.affected import load_affected
from context_builder.postmortems.impact import Impact, minutes_of, read_impact
from context_builder.postmortems.recorded_events import Event, Events, read_changes, read_events
from context_builder.question.request import Window
from models import Incident
from models.database import ReadSession

LEAD_IN = timedelta(minutes=30)
"""The window begins this long before the incident, to hold what led to it."""
TRIGGER_REACH = timedelta(days=1)
"""So far back a change may have set it off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentFindings:
    """An incident with what was recorded around it."""

    incident: Incident
    resolved_at: datetime
    impact: Impact
    events: Events
    """From LEAD_IN before the start until the end."""
    changes: tuple[Event, ...]
    """Of the TRIGGER_REACH before the start, oldest first."""


async def read_findings(session: ReadSession, incident: Incident, resolved_at: datetime) -> IncidentFindings:
    """Everything that the code's sections need: rollups, and by narrow indexes bounded numbers of rows."""
    hit = await load_affected(session, incident)
    around = Window(incident.started_at - LEAD_IN, resolved_at)
    before = Window(incident.started_at - TRIGGER_REACH, incident.started_at)
    return IncidentFindings(
        incident=incident,
        resolved_at=resolved_at,
        impact=await read_impact(session, hit, minutes_of(incident, resolved_at)),
        events=await read_events(session, incident, hit, around),
        changes=await read_changes(session, hit, before),
    )
