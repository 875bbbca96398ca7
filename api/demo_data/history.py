"""Operational history: records written by hand and records derived from the requests."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

from api.demo_data.error_logs import error_logs
from api.demo_data.health import health_checks, state_transitions
from api.demo_data.incidents import Disturbances
from api.demo_data.personas import BATCH_ENDPOINT
from api.demo_data.traffic import Exchange
from api.ingest.records import RECORD_TYPES, ActivityRecord, Record, parse_record

_BY_HAND = ("jobs", "changes", "audit", "notifications", "activity", "maintenance", "hours")
_SUBMITTED_BEFORE = timedelta(seconds=45)
"""Time between the submission of a batch and its first request."""


def history(
    seed: int, anchor: datetime, exchanges: Sequence[Exchange], disturbances: Disturbances
) -> dict[str, list[Record]]:
    """Return all records of the history by kind. Reads files: not for the event loop."""
    text = files("api.demo_data").joinpath("history.toml").read_text(encoding="utf-8")
    written = tomllib.loads(text)
    states = state_transitions(written["states"], anchor)
    records: dict[str, list[Record]] = {
        # Before the checks, from which changes of state would be derived.
        "states": [*states],
        "health": [*health_checks(seed, anchor, states, disturbances)],
        "errors": [*error_logs(seed, anchor, exchanges)],
    }
    for kind in _BY_HAND:
        records[kind] = [_record(RECORD_TYPES[kind], given, anchor) for given in written[kind]]
    records["activity"] += _batches(exchanges)
    return records


def _record(record_type: type[Record], given: Mapping[str, Any], anchor: datetime) -> Record:
    """Return a record written by hand, whose ages become times."""
    return parse_record(record_type, {name: _placed(value, anchor) for name, value in given.items()})


def _placed(value: Any, anchor: datetime) -> Any:
    return anchor - timedelta(**value) if isinstance(value, dict) else value


def _batches(exchanges: Sequence[Exchange]) -> Iterator[ActivityRecord]:
    """Yield the user action that submitted the batch of the requests."""
    for sent in exchanges:
        if sent.endpoint == BATCH_ENDPOINT:
            yield ActivityRecord(
                user=sent.user.public_id,
                occurred_at=sent.created_at - _SUBMITTED_BEFORE,
                action="batch.submit",
                detail=f"long documents, {sent.task_type}, on {sent.deployment}",
            )
            return
