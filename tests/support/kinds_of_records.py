"""One valid record of each kind, as JSON documents, in an order in which each can be stored."""

from __future__ import annotations

from typing import Any

AT = "2026-11-20T09:00:00Z"
LATER = "2026-11-20T10:00:00Z"

EXAMPLES: dict[str, dict[str, Any]] = {
    "deployments": {"deployment": "gpt-4/aws", "version": "v1", "region": "eu", "reported_at": AT},
    "users": {"user": "ann", "tier": "premium", "daily_budget_usd": 12.5, "updated_at": AT},
    "requests": {
        "id": "req_1", "created_at": AT, "user": "ann", "tier": "premium", "model": "gpt-4", "backend": "aws",
        "status": "success", "latency_ms": 900, "cost_usd": 0.000_000_1,
    },
    "quality": {"request": "req_1", "score": 0.75, "scorer": "judge", "scored_at": LATER},
    "health": {"deployment": "gpt-4/aws", "checked_at": AT, "status": "healthy", "latency_ms": 12},
    "states": {"deployment": "gpt-4/gcp", "changed_at": AT, "to_status": "down", "reason": "disk"},
    "incidents": {"id": "inc_1", "title": "Slow", "severity": "high", "started_at": AT},
    "alerts": {"alert": "am_1", "status": "firing", "starts_at": AT, "title": "Slow", "target": "gpt-4/aws"},
    "changes": {"id": "cfg_1", "changed_at": AT, "target": "router", "parameter": "tries", "new_value": "3"},
    "jobs": {"id": "job_1", "type": "scale", "status": "running", "target": "gpt-4/aws", "created_at": AT},
    "errors": {"logged_at": AT, "target": "gpt-4/aws", "message": "out of memory"},
    "audit": {"occurred_at": AT, "actor": "bob", "action": "key.revoke", "target": "gateway"},
    "notifications": {
        "created_at": AT, "provider": "slack", "channel": "#ops", "subject": "Slow", "incident": "inc_1",
    },
    "activity": {"user": "ann", "occurred_at": AT, "action": "key.create"},
    "maintenance": {
        "backend": "aws", "starts_at": AT, "ends_at": LATER, "announced_at": AT, "reason": "new racks",
    },
    "hours": {
        "backend": "aws", "weekday": 0, "opens_minute": 480, "closes_minute": 1080,
        "time_zone": "Europe/Berlin",
    },
}  # fmt: skip
