"""incident.io: what its webhooks post about public incidents; private ones come without content."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct, field

from api.ingest.errors import BodyUnreadable
from api.ingest.live.message import Decoded, Message, Receiver
from api.ingest.live.redaction import redacted
from api.ingest.live.signatures import standard_webhook
from api.ingest.records import AlertRecord, AlertStatus
from api.ingest.records.severities import severity_of_alert

_OVER = {"learning", "closed", "declined", "merged", "canceled"}
"""Categories of states in which nothing is broken any more, or never was."""
_PUBLIC = "public_incident.incident_"


class Named(Struct):
    """A severity."""

    name: str = ""


class Status(Struct):
    """Where an incident is in its life."""

    category: str = ""


class Time(Struct):
    """A moment."""

    value: str | None = ""


class TimeOf(Struct):
    """A moment of the life of an incident, by its name."""

    incident_timestamp: Named
    value: Time | None = None


class Incident(Struct):
    """What an event is about."""

    id: str
    name: str
    created_at: str
    updated_at: str
    summary: str | None = ""
    severity: Named | None = None
    incident_status: Status = field(default_factory=Status)
    incident_timestamp_values: list[TimeOf] = field(default_factory=list)


class Changed(Struct):
    """The wrapper in which news of a state come."""

    incident: Incident


_ENVELOPE = msgspec.json.Decoder(dict[str, Raw])
_INCIDENT = msgspec.json.Decoder(Incident)
_CHANGED = msgspec.json.Decoder(Changed)


def decode(message: Message) -> Decoded:
    """Return what an event says about its incident."""
    decoded = Decoded()
    try:
        envelope = _ENVELOPE.decode(message.body)
        event_type = msgspec.json.decode(envelope["event_type"], type=str)
        if not event_type.startswith(_PUBLIC):
            decoded.skipped["another event"] += 1
            return decoded
        incident = _incident(envelope[event_type], event_type)
    except (msgspec.DecodeError, RecursionError, KeyError) as error:
        raise BodyUnreadable(f"the body is not a webhook of incident.io: {error}") from None
    is_over = incident.incident_status.category in _OVER
    values = {
        "alert": f"io_{incident.id}",
        "status": AlertStatus.RESOLVED if is_over else AlertStatus.FIRING,
        "starts_at": incident.created_at,
        "ends_at": _ended_at(incident) if is_over else None,
        "title": redacted(incident.name, 1_000),
        "symptoms": redacted(incident.summary or ""),
        "target": message.about,
        "severity": severity_of_alert(incident.severity.name if incident.severity else ""),
    }
    decoded.add(0, AlertRecord, values)
    return decoded


def _incident(raw: Raw, event_type: str) -> Incident:
    return _CHANGED.decode(raw).incident if "status_updated" in event_type else _INCIDENT.decode(raw)


def _ended_at(incident: Incident) -> str:
    """Return when it was resolved, as far as that is stated: states change later than facts."""
    stated = {
        each.incident_timestamp.name: each.value.value
        for each in incident.incident_timestamp_values
        if each.value
    }
    return stated.get("Resolved at") or stated.get("Closed at") or incident.updated_at


receiver = Receiver("incidentio", decode, proof=standard_webhook)
