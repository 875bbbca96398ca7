"""The digest of an incident's record: a different one means that a postmortem describes another record.

Pure.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC

from models import Incident


def incident_digest(incident: Incident) -> str:
    """Return the SHA-256, in hexadecimal, of everything that a postmortem takes from the record."""
    times = (incident.started_at, incident.resolved_at)
    record = [
        *(incident.title, incident.symptoms, incident.target, incident.severity, incident.status),
        *(incident.root_cause, incident.resolution),
        *(None if each is None else each.astimezone(UTC).isoformat() for each in times),
    ]
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()
