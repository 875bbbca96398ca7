"""Health of the deployments: status changes, and the probes of the last two days."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

from api.demo_data.chance import stream
from api.demo_data.incidents import CALM, Disturbances
from api.demo_data.personas import DEPLOYMENTS, PERSONAS_AGE, DeploymentRole
from api.ingest.records import HealthRecord, StateRecord, parse_record
from models import DeploymentStatus

PROBED_FOR = timedelta(days=2)
"""Retention of single probes."""

_PACE = timedelta(minutes=5)
_SUSPICIOUS_PACE = timedelta(minutes=1)
"""Probe interval of a deployment that is down, or whose probes contradict its status."""
_DEAD = 0.9
"""Failure rate of requests from which probes are refused, too."""
_TYPICAL_MS = 70
_SLOWED = 1.8
_SPREAD = 0.35
_STUTTER = 0.002
"""Share of probes of a healthy deployment that are slow for no reason."""

Row = dict[str, Any]


def state_transitions(written: Sequence[Mapping[str, Any]], anchor: datetime) -> list[StateRecord]:
    """Return every status change in chronological order; `written` holds those before the current status.

    A deployment starts out healthy when it is created, and ends with the status of its persona.
    """
    changes = [
        _change(role.public_id, PERSONAS_AGE, DeploymentStatus.HEALTHY, "deployed") for role in DEPLOYMENTS
    ]
    changes += [
        _change(one["deployment"], timedelta(**one["changed_at"]), one["to_status"], one["reason"])
        for one in written
    ]
    changes += [
        _change(role.public_id, role.status_age, role.status, role.status_reason) for role in DEPLOYMENTS
    ]
    status = {role.public_id: DeploymentStatus.UNKNOWN for role in DEPLOYMENTS}
    records = []
    for change in sorted(changes, key=lambda one: one["age"], reverse=True):
        age, name = change.pop("age"), change["deployment"]
        placed = {"changed_at": anchor - age, "from_status": status[name]}
        records.append(parse_record(StateRecord, change | placed))
        status[name] = change["to_status"]
    return records


def _change(deployment: str, age: timedelta, to_status: str, reason: str) -> Row:
    return {
        "deployment": deployment,
        "age": age,
        "to_status": DeploymentStatus(to_status),
        "reason": reason,
    }


def health_checks(
    seed: int, anchor: datetime, transitions: Sequence[StateRecord], disturbances: Disturbances
) -> Iterator[HealthRecord]:
    """Yield the probes of the last two days, by deployment, newest first, consistent with the incidents."""
    chance = stream(seed, "health checks")
    for role in DEPLOYMENTS:
        prober = _Prober(role, transitions, disturbances)
        for moment in prober.moments(anchor):
            seen = prober.seen(moment)
            result = {"deployment": role.public_id, "checked_at": moment, "status": seen}
            yield parse_record(HealthRecord, result | _answer(chance, role, seen))


class _Prober:
    """Probes one deployment."""

    def __init__(
        self, role: DeploymentRole, transitions: Sequence[StateRecord], disturbances: Disturbances
    ) -> None:
        self._role = role
        self._chain: list[tuple[DeploymentStatus, datetime]] = [
            (each.to_status, each.changed_at)
            for each in reversed(transitions)
            if each.deployment == role.public_id
        ]
        self._disturbances = disturbances

    def seen(self, moment: datetime) -> DeploymentStatus:
        """Return what a probe observes: an incident, before the status reflects it."""
        effect = self._disturbances.at(self._role.public_id, moment)
        reported = self._reported(moment)
        if effect.failing >= _DEAD:
            return DeploymentStatus.DOWN
        if effect != CALM and reported is DeploymentStatus.HEALTHY:
            return DeploymentStatus.DEGRADED
        return reported

    def _reported(self, moment: datetime) -> DeploymentStatus:
        return next(status for status, changed_at in self._chain if changed_at <= moment)

    def moments(self, anchor: datetime) -> Iterator[datetime]:
        """Yield the times of its probes, newest first; the newest is the last health report."""
        moment = anchor - self._role.report_age
        while moment >= anchor - PROBED_FOR:
            yield moment
            moment -= _SUSPICIOUS_PACE if self._suspicious(moment - _SUSPICIOUS_PACE) else _PACE

    def _suspicious(self, moment: datetime) -> bool:
        seen = self.seen(moment)
        return seen is DeploymentStatus.DOWN or seen is not self._reported(moment)


def _answer(chance: Random, role: DeploymentRole, seen: DeploymentStatus) -> Row:
    """Draw latency and error of a probe."""
    stutters = chance.random() < _STUTTER
    latency = _TYPICAL_MS * math.exp(_SPREAD * chance.gauss(0, 1))
    host = 40 + chance.randrange(8)
    if seen is DeploymentStatus.DOWN:
        return {"latency_ms": None, "error": f"connect to 203.0.113.{host}:8443: connection refused"}
    if seen is DeploymentStatus.DEGRADED:
        return {"latency_ms": round(latency * _SLOWED), "error": role.status_reason}
    if stutters:
        return {"latency_ms": round(latency * 30), "error": None}
    return {"latency_ms": round(latency), "error": None}
