"""Health checks that follow from polls: changes, and one a minute while nothing changes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from api.ingest.live.message import Decoded
from api.ingest.records import HealthRecord
from api.pollers.poll import Poll
from models import DeploymentStatus

MIN_SILENT_POLLS = 2
"""Polls without an answer that make a deployment down; a single one may be lost on the way."""
_KEPT_EVERY = timedelta(minutes=1)


def observe(
    decoded: Decoded,
    poll: Poll,
    deployment: str,
    known: Mapping[str, Any],
    state: tuple[DeploymentStatus, str | None],
) -> dict[str, Any]:
    """Add the health check of a deployment, if it is to be kept; return what is known of it now."""
    status, reason = state
    kept_at = datetime.fromisoformat(known["kept_at"]) if "kept_at" in known else None
    # A clock that was set back is no reason to be silent until it is right again.
    if known.get("status") == status and kept_at and abs(poll.at - kept_at) < _KEPT_EVERY:
        return dict(known)
    values = {
        "deployment": deployment,
        "checked_at": poll.at,
        "status": status,
        "latency_ms": None if poll.silence else poll.elapsed_ms,
        "error": reason,
    }
    decoded.add(len(decoded.records), HealthRecord, values)
    return {**known, "status": str(status), "kept_at": poll.at.isoformat()}


def silent_polls(poll: Poll) -> int:
    """Return how many polls running gave no answer, this one included."""
    return int(poll.memory.get("silent", 0)) + 1 if poll.silence else 0
