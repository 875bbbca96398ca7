"""The digest of an incident: another one tells that a postmortem was written of a different record. Pure."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC

from models import Incident


def incident_digest(incident: Incident) -> str:
    """SHA-256, in hexadecimal digits, of everything that a postmortem says on the record's authority."""
    times = (incident.started_at, incident.resolved_at)
    record = [
        *(incident.title, incident.symptoms, incident.target, incident.severity, incident.status),
        *(incident.root_cause, incident.resolution),
        *(None if each is None else each.astimezone(UTC).isoformat() for each in times),
    ]
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()
