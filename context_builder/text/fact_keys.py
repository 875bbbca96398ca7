"""Keys that identify the same fact when several sources report it. Pure."""

from __future__ import annotations

from datetime import datetime


def change_key(target: str, changed_at: datetime) -> str:
    """Return the key of a configuration change: its target and minute."""
    return f"config:{target}:{changed_at.replace(second=0, microsecond=0).isoformat()}"


def job_key(public_id: str) -> str:
    """Return the key of a job."""
    return f"job:{public_id}"
