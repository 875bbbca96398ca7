"""A scenario while it is being made: what faults and decoys write, and what is true of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from models import (
    AuditEvent,
    ConfigChange,
    ErrorLog,
    Incident,
    Job,
    MaintenanceWindow,
    Notification,
    StateTransition,
    UserAction,
)
from models.tables.schema import Table
from tests.evaluation.names import Names, stream
from tests.evaluation.traffic import Disturbances, Sent, Slice
from tests.evaluation.truth import Requirement
from tests.evaluation.world import HOUR, LAST_DAY, MINUTE, Account, Deployed, World

_OLDEST_ONSET = 20 * HOUR
_YOUNGEST_ONSET = 10 * MINUTE
_MIN_SHARE = 0.08
"""Deployments with a smaller share of the requests are not picked: too little would be seen of a fault."""


@dataclass(slots=True)
class Standing:
    """The health of a deployment as last reported."""

    status: str = "healthy"
    reason: str | None = "all health checks pass"
    since: datetime | None = None
    silent_since: datetime | None = None
    """From when on nothing was reported; None: reports keep coming."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an engineer would ask about, and by which names."""

    subject: str
    """Which questions fit: `latency`, `errors`, `quality`, `cost`, `volume`, `health`."""
    deployed: Deployed | None = None
    tier: str = ""
    user: str = ""


@dataclass(slots=True)
class Scene:
    """Everything that will be written for one scenario."""

    world: World
    kind: str
    chance: Random
    as_of: datetime
    names: Names
    disturbances: Disturbances = field(default_factory=Disturbances)
    rows: list[Table] = field(default_factory=list)
    standings: dict[str, Standing] = field(default_factory=dict)
    capacity: dict[str, int] = field(default_factory=dict)
    touched: dict[str, datetime] = field(default_factory=dict)
    """Deployments that a fault has hit, since when: no decoy there after that."""
    requirements: list[Requirement] = field(default_factory=list)
    complaints: list[Complaint] = field(default_factory=list)
    onsets: list[datetime] = field(default_factory=list)
    gaps: list[tuple[datetime, datetime, frozenset[str]]] = field(default_factory=list)
    """Spans in which nothing was recorded of these deployments."""
    enforcement: tuple[Account, datetime] | None = None
    """Whose requests are refused from when on until midnight, for want of budget."""
    shares: dict[Slice, float] = field(default_factory=dict)

    def share(self, where: Slice, history: Sequence[Sent]) -> float:
        """How large a part of the ordinary requests a slice is."""
        if where not in self.shares:
            self.shares[where] = sum(where.holds(sent) for sent in history) / len(history)
        return self.shares[where]

    def onset(self, where: Slice, wanted: float, history: Sequence[Sent]) -> datetime:
        """A moment so long ago that about `wanted` requests of a slice came after it."""
        share = self.share(where, history)
        moment, expected = self.as_of - _YOUNGEST_ONSET, 0.0
        while expected < wanted and moment > self.as_of - _OLDEST_ONSET:
            moment -= MINUTE
            expected += self.world.rate(moment) * share
        return moment

    def busy(self, history: Sequence[Sent], least: float = _MIN_SHARE) -> list[Deployed]:
        """Deployments with enough requests that are not hit yet, in random order."""
        found = [
            deployed
            for deployed in self.world.deployments
            if deployed.public_id not in self.touched
            and self.share(Slice(deployments=frozenset({deployed.public_id})), history) >= least
        ]
        return self.chance.sample(found, len(found))

    def hit(self, deployed: Deployed, since: datetime) -> None:
        """Notes that a fault has hit a deployment."""
        self.touched[deployed.public_id] = min(since, self.touched.get(deployed.public_id, since))

    def standing(self, deployed: Deployed) -> Standing:
        """Its health, to be changed."""
        return self.standings.setdefault(deployed.public_id, Standing())

    def transition(self, deployed: Deployed, at: datetime, status: str, reason: str) -> None:
        """Writes a change of health; to be called in order of time."""
        standing = self.standing(deployed)
        self.rows.append(
            StateTransition(
                deployment_id=deployed.id, changed_at=at, from_status=standing.status,
                to_status=status, reason=reason,
            )
        )  # fmt: skip
        standing.status, standing.reason, standing.since = status, reason, at

    def id_of(self, target: str) -> int | None:
        """The deployment that a target names, if it is one."""
        return next((d.id for d in self.world.deployments if d.public_id == target), None)

    def config(self, target: str, at: datetime, parameter: str, old: str, new: str) -> ConfigChange:
        """Writes a configuration change, with its audit event."""
        change = ConfigChange(
            public_id=self.names.public_id("cfg"),
            changed_at=at,
            target=target,
            deployment_id=self.id_of(target),
            parameter=parameter,
            old_value=old,
            new_value=new,
            changed_by=self.names.person(),
        )
        self.rows.append(change)
        self.audit(target, at, change.changed_by, "config.update", f"{parameter}: {old} -> {new}")
        return change

    def audit(self, target: str, at: datetime, actor: str, action: str, detail: str) -> None:
        """Writes an audit event."""
        self.rows.append(
            AuditEvent(
                occurred_at=at, actor=actor, action=action, target=target,
                deployment_id=self.id_of(target), detail=detail,
            )
        )  # fmt: skip

    def job(self, kind: str, target: str, at: datetime, detail: str, **columns: Any) -> Job:
        """Writes a job that started at once and, unless said otherwise, took a few minutes and succeeded."""
        finished = at + self.chance.uniform(0.5, 3) * MINUTE
        done = finished <= self.as_of
        given = {
            "status": "succeeded" if done else "running",
            "finished_at": finished if done else None,
            "started_at": at,
        }
        job = Job(
            public_id=self.names.public_id("job"),
            type=kind,
            target=target,
            deployment_id=self.id_of(target),
            detail=detail,
            created_by=self.names.person(),
            created_at=at - timedelta(seconds=self.chance.randint(2, 40)),
            **given | columns,
        )
        self.rows.append(job)
        return job

    def log(self, target: str, at: datetime, severity: str, message: str) -> None:
        """Writes a line of a log."""
        self.rows.append(
            ErrorLog(
                logged_at=at, severity=severity, target=target,
                deployment_id=self.id_of(target), message=message,
            )
        )  # fmt: skip

    def logs(
        self, target: str, span: tuple[datetime, datetime], severity: str, message: Callable[[], str],
        per_hour: float,
    ) -> None:  # fmt: skip
        """Writes lines of one template, at random times of a span."""
        start, end = span
        for _ in range(max(3, min(120, round((end - start) / HOUR * per_hour)))):
            self.log(target, start + (end - start) * self.chance.random(), severity, message())

    def notify(self, at: datetime, subject: str, **columns: Any) -> None:
        """Writes an alert."""
        provider, channel = self.chance.choice(
            (("slack", "#gateway-alerts"), ("pagerduty", "gateway-primary"), ("email", "oncall@example.com"))
        )
        failed = self.chance.random() < 0.08
        given: dict[str, Any] = {
            "status": "failed" if failed else "sent",
            "error": "429 from provider" if failed else None,
        }
        self.rows.append(
            Notification(
                created_at=at, provider=provider, channel=channel, subject=subject, **given | columns
            )
        )

    def incident(self, target: str, at: datetime, title: str, **columns: Any) -> Incident:
        """Writes an incident, active unless it has a `resolved_at`."""
        given = {
            "severity": self.chance.choice(("critical", "high", "medium")),
            "status": "resolved" if columns.get("resolved_at") else "active",
            "symptoms": "",
        }
        row = Incident(
            public_id=f"inc_{self.names.stem(2)}{self.chance.randint(10, 99)}",
            title=title,
            target=target,
            deployment_id=self.id_of(target),
            started_at=at,
            **given | columns,
        )
        self.rows.append(row)
        return row

    def action(self, account: Account, at: datetime, action: str, detail: str) -> None:
        """Writes what a user did."""
        self.rows.append(UserAction(user_id=account.id, occurred_at=at, action=action, detail=detail))

    def maintenance(
        self, backend: str, start: datetime, end: datetime, announced: datetime, reason: str
    ) -> None:
        """Writes an announced maintenance window."""
        self.rows.append(
            MaintenanceWindow(
                backend=backend, starts_at=start, ends_at=end, announced_at=announced, reason=reason
            )
        )


def empty_scene(world: World, kind: str) -> Scene:
    """A scenario of this kind in which nothing has happened yet."""
    chance = stream(world.name, kind)
    as_of = world.history_end + LAST_DAY + chance.randint(0, 100) * MINUTE
    as_of += timedelta(seconds=chance.randint(0, 59))
    return Scene(world=world, kind=kind, chance=chance, as_of=as_of, names=Names(chance))
