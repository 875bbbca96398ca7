"""Incidents: their records and their effect on requests."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

from models import Incident, IncidentStatus

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
    """One incident, placed in time."""

    public_id: str
    title: str
    symptoms: str
    target: str
    severity: str
    started_at: datetime
    resolved_at: datetime | None
    root_cause: str | None
    resolution: str | None
    during: Effect
    after: Effect

    def effect_at(self, moment: datetime) -> Effect:
        """Return its effect on a request of its target at a time."""
        if moment < self.started_at:
            return CALM
        return self.during if self.resolved_at is None or moment < self.resolved_at else self.after

    def row(self, deployment_ids: Mapping[str, int]) -> Incident:
        """Return its row, linked to its deployment if there is one."""
        return Incident(
            public_id=self.public_id,
            title=self.title,
            symptoms=self.symptoms,
            target=self.target,
            deployment_id=deployment_ids.get(self.target),
            severity=self.severity,
            status=IncidentStatus.ACTIVE if self.resolved_at is None else IncidentStatus.RESOLVED,
            started_at=self.started_at,
            resolved_at=self.resolved_at,
            root_cause=self.root_cause,
            resolution=self.resolution,
        )


def read_incidents(anchor: datetime) -> list[DemoIncident]:
    """Load all incidents, oldest first, placed before the anchor. Reads a file: not for the event loop."""
    text = files("api.demo_data").joinpath("incidents.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)["incident"]
    return [_record(number, table, anchor) for number, table in enumerate(tables, _FIRST_NUMBER)]


def _record(number: int, table: Mapping[str, Any], anchor: datetime) -> DemoIncident:
    started_at = anchor - timedelta(**table["began"])
    return DemoIncident(
        public_id=f"inc_{number:04}",
        title=table["title"],
        symptoms=table["symptoms"],
        target=table["target"],
        severity=table["severity"],
        started_at=started_at,
        resolved_at=started_at + timedelta(**table["lasted"]) if "lasted" in table else None,
        root_cause=table.get("root_cause"),
        resolution=table.get("resolution"),
        during=Effect(**table.get("during", {})),
        after=Effect(**table.get("after", {})),
    )


class Disturbances:
    """Combined effect of all incidents on a deployment at a time."""

    def __init__(self, incidents: Sequence[DemoIncident]) -> None:
        self._disturbing = [record for record in incidents if (record.during, record.after) != (CALM, CALM)]

    def at(self, deployment: str, moment: datetime) -> Effect:
        """Return the effect of the latest incident that still has one; a calm effect if there is none."""
        effects = (
            record.effect_at(moment) for record in reversed(self._disturbing) if record.target == deployment
        )
        return next((effect for effect in effects if effect != CALM), CALM)
