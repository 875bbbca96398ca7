"""Operational history: rows written by hand and rows derived from the requests."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

from sqlalchemy import inspect

from api.demo_data.error_logs import error_logs
from api.demo_data.health import health_checks, state_transitions
from api.demo_data.incidents import Disturbances
from api.demo_data.personas import BATCH_ENDPOINT, DEPLOYMENTS
from api.demo_data.traffic import Exchange
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
from models.tables.schema import Table

Row = dict[str, Any]
"""The columns of a row; `deployment`, `incident` and `user` are public ids in place of foreign keys."""
History = Mapping[type[Table], Sequence[Row]]

LINKS = {"deployment_id": "deployment", "incident_id": "incident", "user_id": "user"}
"""Key of a generated row by foreign-key column."""
IDENTIFYING: Mapping[type[Table], tuple[str, str]] = {
    StateTransition: ("to_status", "changed_at"),
    HealthCheck: ("status", "checked_at"),
    Job: ("public_id", "created_at"),
    ConfigChange: ("public_id", "changed_at"),
    ErrorLog: ("message", "logged_at"),
    AuditEvent: ("action", "occurred_at"),
    Notification: ("channel", "created_at"),
    UserAction: ("action", "occurred_at"),
    MaintenanceWindow: ("backend", "starts_at"),
    OperatingHours: ("backend", "weekday"),
}
"""Tables of the history, each with two columns that identify its rows."""

_BY_HAND = (Job, ConfigChange, AuditEvent, Notification, UserAction, MaintenanceWindow, OperatingHours)
_NAMES = frozenset(role.public_id for role in DEPLOYMENTS)
_SUBMITTED_BEFORE = timedelta(seconds=45)
"""Time between the submission of a batch and its first request."""


def history(
    seed: int, anchor: datetime, exchanges: Sequence[Exchange], disturbances: Disturbances
) -> dict[type[Table], list[Row]]:
    """Return all rows of the history by table. Reads files: not for the event loop."""
    text = files("api.demo_data").joinpath("history.toml").read_text(encoding="utf-8")
    written = tomllib.loads(text)
    rows: dict[type[Table], list[Row]] = {
        table: [_row(table, given, anchor) for given in written[table.__tablename__]] for table in _BY_HAND
    }
    rows[UserAction] += _batches(exchanges)
    chains = state_transitions(written[StateTransition.__tablename__], anchor)
    rows[StateTransition] = chains
    rows[HealthCheck] = health_checks(seed, anchor, chains, disturbances)
    rows[ErrorLog] = [_linked(line) for line in error_logs(seed, anchor, exchanges)]
    return rows


def _row(table: type[Table], given: Mapping[str, Any], anchor: datetime) -> Row:
    """Complete a row written by hand: missing columns are null, and ages become times."""
    columns = [column.key for column in inspect(table).column_attrs if column.key != "id"]
    blank = {LINKS.get(name, name): None for name in columns}
    return _linked(blank | {name: _placed(value, anchor) for name, value in given.items()})


def _placed(value: Any, anchor: datetime) -> Any:
    return anchor - timedelta(**value) if isinstance(value, dict) else value


def _linked(row: Row) -> Row:
    """Add the deployment that the target names, or null if it names something else."""
    if "target" not in row:
        return row
    return row | {"deployment": row["target"] if row["target"] in _NAMES else None}


def _batches(exchanges: Sequence[Exchange]) -> list[Row]:
    """Return the user action that submitted the batch of the requests."""
    batch = [sent for sent in exchanges if sent.endpoint == BATCH_ENDPOINT]
    if not batch:
        return []
    first = batch[0]
    return [
        {
            "user": first.user.public_id,
            "occurred_at": first.created_at - _SUBMITTED_BEFORE,
            "action": "batch.submit",
            "detail": f"long documents, {first.task_type}, on {first.deployment}",
        }
    ]
