"""The demo's week comes in through live ingestion, kind after kind, and is the week that `seed` writes."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from api.demo_data.generator import DemoData, generate
from api.demo_data.history import Row
from api.demo_data.personas import DEPLOYMENTS, PERSONAS_AGE, USERS
from api.demo_data.quality import SCORER
from api.ingest import RECORD_TYPES
from models import (
    AuditEvent,
    ConfigChange,
    ErrorLog,
    HealthCheck,
    Job,
    MaintenanceWindow,
    Notification,
    OperatingHours,
    StateTransition,
    UserAction,
)
from models.database import Database
from models.tables.schema import Table
from tests.api.demo_data.test_generator import contents
from tests.support.http_service import client_of, running, settings_of, without_memory
from tests.support.prepared_databases import STORY_ANCHOR, STORY_SEED

HISTORY: Mapping[str, type[Table]] = {
    "states": StateTransition, "health": HealthCheck, "changes": ConfigChange, "jobs": Job,
    "errors": ErrorLog, "audit": AuditEvent, "notifications": Notification, "activity": UserAction,
    "maintenance": MaintenanceWindow, "hours": OperatingHours,
}  # fmt: skip
KNOWN_ONLY_TO_SEED = {
    "requests": {"endpoint"},
    "users": {"created_at", "updated_at"},
    "deployments": {"created_at", "updated_at", "status_reason", "status_since", "last_seen_at", "status"},
    "incidents": {"provenance"},
}
"""Columns that no record has, or that ingestion derives from other records."""


def posts(data: DemoData) -> Iterator[tuple[str, list[Row]]]:
    """What a gateway would have sent, by kind: what others refer to comes first."""
    since = data.anchor - PERSONAS_AGE
    yield "deployments", [
        {"deployment": each.public_id, "region": each.region, "version": each.version,
         "endpoint": each.endpoint, "capacity_rpm": each.capacity_rpm, "reported_at": since}
        for each in DEPLOYMENTS
    ]  # fmt: skip
    yield "users", [
        {"user": each.public_id, "name": each.name, "role": each.role, "tier": each.tier,
         "daily_budget_usd": each.daily_budget_usd, "updated_at": since}
        for each in USERS
    ]  # fmt: skip
    yield "requests", [request(each) for each in data.requests]
    yield (
        "quality",
        [
            {"request": each.request, "score": each.score, "scorer": SCORER, "scored_at": each.scored_at}
            for each in data.scores
        ],
    )
    incident = RECORD_TYPES["incidents"].model_fields.keys() - {"id"}
    yield (
        "incidents",
        [
            {"id": each.public_id} | {name: getattr(each, name) for name in incident}
            for each in data.incidents
        ],
    )
    for kind, table in HISTORY.items():
        known = RECORD_TYPES[kind].model_fields.keys()
        rows = (
            {"id": row.get("public_id"), "target": row.get("deployment")} | row for row in data.history[table]
        )
        yield (
            kind,
            [{name: row[name] for name in known & row.keys() if row[name] is not None} for row in rows],
        )


def request(sent: Any) -> Row:
    model, backend = sent.deployment.split("/")
    outcome = {
        name: getattr(sent.outcome, name)
        for name in ("status", "error_code", "latency_ms", "cost_usd", "prompt_tokens", "completion_tokens")
    }
    return outcome | {
        "id": sent.public_id, "created_at": sent.created_at, "user": sent.user.public_id, "model": model,
        "tier": sent.user.tier, "backend": backend, "task_type": sent.task_type,
        "router_version": sent.router_version, "routing_reason": sent.routing_reason,
    }  # fmt: skip


def as_json(value: object) -> object:
    return (
        value.isoformat()
        if isinstance(value, datetime)
        else str(value)
        if isinstance(value, Decimal)
        else None
    )


@pytest.mark.long
async def test_the_week_that_is_posted_is_the_week_that_is_seeded(
    sqlite_url: str, sqlite_story_url: str, tmp_path: Path
) -> None:
    """Every row of every kind, with rollups and derived tables; what is posted twice adds nothing."""
    data = await asyncio.to_thread(generate, STORY_SEED, STORY_ANCHOR)
    settings = settings_of(sqlite_url, tmp_path, memory_path=without_memory(tmp_path))
    headers = {"content-type": "application/x-ndjson", "content-encoding": "gzip"}
    async with running(settings) as app, client_of(app) as client:
        for again in (False, True):
            for kind, rows in posts(data):
                if again and kind == "requests":
                    continue  # thousands, of which other tests have enough
                lines = "\n".join(json.dumps(row, default=as_json) for row in rows)
                body = await asyncio.to_thread(gzip.compress, lines.encode())
                receipt = (await client.post(f"/v1/ingest/{kind}", content=body, headers=headers)).json()
                told = receipt["accepted"] + receipt["updated"], receipt["duplicate"], receipt["rejected"]
                assert told == ((0, len(rows), 0) if again else (len(rows), 0, 0)), (kind, receipt)
    posted, seeded = Database(sqlite_url), Database(sqlite_story_url)
    found, expected = await contents(posted), await contents(seeded)
    for name, table in Table.metadata.tables.items():
        if name == "memory_outbox":
            assert found[name] == expected[name]
        elif name in found and name != "audit_entries":  # who posted it
            hidden = KNOWN_ONLY_TO_SEED.get(name, set())
            places = [place for place, column in enumerate(table.columns) if column.name not in hidden]
            assert known(found[name], places) == known(expected[name], places), name
    for database in (posted, seeded):
        await database.close()


def known(rows: list[tuple[Any, ...]], places: list[int]) -> list[tuple[Any, ...]]:
    return sorted((tuple(row[place] for place in places) for row in rows), key=repr)
