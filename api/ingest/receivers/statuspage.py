"""Statuspage: webhooks, and the summary of a page, about incidents and maintenance."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct, field

from api.ingest.errors import BodyUnreadable
from api.ingest.live.message import Decoded, Message, Receiver
from api.ingest.live.redaction import redacted
from api.ingest.records import AlertRecord, AlertStatus, MaintenanceRecord
from models import Severity

_OVER = {"resolved", "postmortem", "completed"}
_IMPACTS = {
    "none": Severity.LOW,
    "minor": Severity.MEDIUM,
    "major": Severity.HIGH,
    "critical": Severity.CRITICAL,
}


class Named(Struct):
    """A component."""

    name: str = ""


class Update(Struct):
    """What was written about an incident; the newest comes first."""

    body: str | None = ""


class Incident(Struct):
    """An incident, or maintenance if it is scheduled."""

    id: str
    name: str
    status: str
    created_at: str
    updated_at: str | None = None
    started_at: str | None = None
    resolved_at: str | None = None
    impact: str | None = "none"
    scheduled_for: str | None = None
    scheduled_until: str | None = None
    components: list[Named] | None = None
    incident_updates: list[Update] | None = None


class Page(Struct):
    """Whose page it is."""

    id: str = ""
    name: str = ""


class Body(Struct):
    """A webhook, which has one incident or none, or a summary, which has all that are open."""

    page: Page
    incident: Incident | None = None
    incidents: list[Incident] = field(default_factory=list)
    scheduled_maintenances: list[Incident] = field(default_factory=list)


_DECODER = msgspec.json.Decoder(Body)


def decode(message: Message) -> Decoded:
    """Return the incidents and maintenance of a page; `about` names the backend that runs what it shows."""
    try:
        body = _DECODER.decode(message.body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BodyUnreadable(f"the body is neither a webhook nor a summary of Statuspage: {error}") from None
    incidents = [body.incident] if body.incident else [*body.incidents, *body.scheduled_maintenances]
    return decode_incidents(incidents, body.page, message.about)


def decode_incidents(incidents: Sequence[Incident], page: Page, about: str) -> Decoded:
    """Return the records of incidents and maintenance of a page."""
    decoded = Decoded()
    for index, incident in enumerate(incidents):
        if not incident.scheduled_for:
            decoded.add(index, AlertRecord, _incident(incident, page, about))
        elif about:
            decoded.add(index, MaintenanceRecord, _maintenance(incident, about))
        else:
            decoded.skipped["maintenance of no backend"] += 1
            decoded.notes.append("add ?about=BACKEND to the address, so that maintenance is of that backend")
    if not incidents:
        decoded.skipped["component"] += 1
    return decoded


def _incident(incident: Incident, page: Page, about: str) -> dict[str, object]:
    is_over = incident.status in _OVER
    components = ", ".join(each.name for each in incident.components or ())
    written = [each.body for each in reversed(incident.incident_updates or ()) if each.body]
    return {
        "alert": f"sp_{page.id}_{incident.id}",
        "status": AlertStatus.RESOLVED if is_over else AlertStatus.FIRING,
        "starts_at": incident.started_at or incident.created_at,
        "ends_at": (incident.resolved_at or incident.updated_at) if is_over else None,
        "title": redacted(incident.name, 1_000),
        "symptoms": redacted("\n".join(filter(None, [components, *written[:1]]))),
        "target": redacted(about or components or page.name, 200),
        "severity": _IMPACTS.get(incident.impact or "none", Severity.MEDIUM),
    }


def _maintenance(incident: Incident, backend: str) -> dict[str, object]:
    return {
        "backend": backend,
        "starts_at": incident.scheduled_for,
        "ends_at": incident.scheduled_until,
        "announced_at": incident.created_at,
        "reason": redacted(incident.name, 500),
    }


receiver = Receiver("statuspage", decode, takes_key_in_url=True)
