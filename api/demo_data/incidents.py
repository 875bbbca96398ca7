"""Incidents: their records and their effect on requests."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

from api.ingest.records import IncidentRecord, parse_record

_FIRST_NUMBER = 101


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Effect of an incident on the requests of its target; none by default."""

    failing: float = 0.0
    errors: Mapping[str, float] = field(default_factory=dict)
    latency_factor: float = 1.0
    quality_loss: float = 0.0


CALM = Effect()


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoIncident:
    """One incident, placed in time, and what it does to requests."""

    record: IncidentRecord
    during: Effect
    after: Effect

    def effect_at(self, moment: datetime) -> Effect:
        """Return its effect on a request of its target at a time."""
        if moment < self.record.started_at:
            return CALM
        resolved_at = self.record.resolved_at
        return self.during if resolved_at is None or moment < resolved_at else self.after


def read_incidents(anchor: datetime) -> list[DemoIncident]:
    """Load all incidents, oldest first, placed before the anchor. Reads a file: not for the event loop."""
    text = files("api.demo_data").joinpath("incidents.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)["incident"]
    return [_placed(number, table, anchor) for number, table in enumerate(tables, _FIRST_NUMBER)]


def _placed(number: int, table: dict[str, Any], anchor: datetime) -> DemoIncident:
    """Turn ages into times, and take out what is no part of the record."""
    started_at = anchor - timedelta(**table.pop("began"))
    during, after = (Effect(**table.pop(name, {})) for name in ("during", "after"))
    if "lasted" in table:
        table["resolved_at"] = started_at + timedelta(**table.pop("lasted"))
    stated = {"id": f"inc_{number:04}", "started_at": started_at} | table
    return DemoIncident(record=parse_record(IncidentRecord, stated), during=during, after=after)


class Disturbances:
    """Combined effect of all incidents on a deployment at a time."""

    def __init__(self, incidents: Sequence[DemoIncident]) -> None:
        self._disturbing = [each for each in incidents if (each.during, each.after) != (CALM, CALM)]

    def at(self, deployment: str, moment: datetime) -> Effect:
        """Return the effect of the latest incident that still has one; a calm effect if there is none."""
        effects = (
            each.effect_at(moment) for each in reversed(self._disturbing) if each.record.target == deployment
        )
        return next((effect for effect in effects if effect != CALM), CALM)
