"""PagerDuty: what its webhooks of version 3 post, one event about one incident."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from api.ingest.errors import BodyUnreadable
from api.ingest.live.message import Decoded, Message, Receiver
from api.ingest.live.redaction import redacted
from api.ingest.live.signatures import signed
from api.ingest.records import AlertRecord, AlertStatus, NotificationRecord
from api.ingest.records.severities import severity_of_alert
from models import Severity


class Named(Struct):
    """A service or a priority."""

    summary: str = ""


class Incident(Struct):
    """What an event is about."""

    id: str = ""
    title: str = ""
    status: str = ""
    created_at: str = ""
    urgency: str | None = ""
    service: Named | None = None
    priority: Named | None = None


class Event(Struct):
    """One event; its data is an incident if its type says so."""

    id: str
    event_type: str
    occurred_at: str
    data: Incident | None = None


class Envelope(Struct):
    """What is posted."""

    event: Event


_DECODER = msgspec.json.Decoder(Envelope)


def decode(message: Message) -> Decoded:
    """Return what an event says about its incident; one that was triggered notified somebody too."""
    try:
        event = _DECODER.decode(message.body).event
    except (msgspec.DecodeError, RecursionError) as error:
        raise BodyUnreadable(f"the body is not a webhook of PagerDuty, version 3: {error}") from None
    decoded, incident = Decoded(), event.data
    if incident is None or not incident.status or not incident.id:
        # Notes, responders and pings say nothing about the state of an incident.
        decoded.skipped["another event"] += 1
        return decoded
    service = redacted(incident.service.summary, 200) if incident.service else ""
    title = redacted(incident.title, 1_000) or "incident without a title"
    is_over = incident.status == "resolved"
    # One that is reopened is another outbreak, since it was over in between.
    starts_at = event.occurred_at if event.event_type == "incident.reopened" else incident.created_at
    values = {
        "alert": f"pd_{incident.id}",
        "status": AlertStatus.RESOLVED if is_over else AlertStatus.FIRING,
        "starts_at": starts_at,
        "ends_at": event.occurred_at if is_over else None,
        "title": title,
        "target": message.about or service,
        "severity": _severity(incident),
    }
    decoded.add(0, AlertRecord, values)
    if event.event_type == "incident.triggered" and decoded.records:
        sent = {"created_at": event.occurred_at, "provider": "pagerduty", "subject": title}
        decoded.add(
            0, NotificationRecord, sent | {"channel": service or "unknown", "target": values["target"]}
        )
    return decoded


def _severity(incident: Incident) -> Severity:
    priority = incident.priority.summary if incident.priority else ""
    return severity_of_alert(priority or incident.urgency or "")


receiver = Receiver("pagerduty", decode, proof=signed("x-pagerduty-signature", "v1="))
