"""A world while it is made: what happens to its requests, what operators recorded, and what is true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from models import AuditEvent, ConfigChange, ErrorLog, Incident, Job
from models.tables.schema import Table
from tests.evaluation.worlds.effect import HOUR, Effect
from tests.evaluation.worlds.gateway import Customer, Gateway, Slice

DAY = 24 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueChange:
    """One thing that is different from some moment on."""

    metric: str
    """`errors`, `latency`, `volume`, `cost` or `quality`."""
    where: Slice
    size: float
    """A factor; of errors the share that fails, of quality the difference."""
    begin: tuple[float, float]
    """Seconds since the start: when it can first and last be seen to begin."""
    end: float | None = None
    needed: bool = True
    """Whether a full answer tells it; the others merely follow from those."""
    turns: tuple[float, float] = (1.0, 1.0)
    """Period and length of what comes and goes; its size is that of the lengths."""

    @property
    def up(self) -> bool:
        """Whether there is more of it."""
        return self.metric == "errors" or self.size > (0 if self.metric == "quality" else 1)


@dataclass(frozen=True, slots=True)
class Cause:
    """What a prompt must show to tell a cause: one fact with all words of one of the alternatives."""

    name: str
    alternatives: tuple[tuple[str, ...], ...]


@dataclass(slots=True)
class Plan:
    """Everything about one world but its requests."""

    gateway: Gateway
    chance: np.random.Generator
    effects: list[Effect] = field(default_factory=list)
    rows: list[Table] = field(default_factory=list)
    changes: list[TrueChange] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    """Empty: no recorded change is the cause."""
    questions: list[str] = field(default_factory=list)
    planned: list[TrueChange] = field(default_factory=list)
    """Of healthy worlds: what differs from before and was to be expected."""
    broken: bool = True
    """Of worlds in which something changed: whether more than the traffic did."""
    down: dict[str, Callable[[float], bool]] = field(default_factory=dict)
    """When health checks of a deployment fail."""

    @property
    def now(self) -> float:
        """The moment asked about, in seconds since the start."""
        return self.gateway.seconds

    def ago(self, least: float, most: float) -> float:
        """Draw a moment so many hours before now, on a whole minute."""
        return float((self.now - self.chance.uniform(least, most) * HOUR) // 60 * 60)

    def happens(self, *effects: Effect) -> None:
        """Let something be done to the requests."""
        self.effects += effects

    def is_true(self, metric: str, where: Slice, size: float, begin: float, /, **more: object) -> None:
        """State a change, by default one whose beginning is known to within ten minutes."""
        change = TrueChange(metric=metric, where=where, size=size, begin=(begin - 300, begin + 300))
        self.changes.append(replace(change, **more))  # type: ignore[arg-type]

    def follows(self, metric: str, begin: float, where: Slice, size: float) -> None:
        """State what is a mere consequence of another change."""
        self.is_true(metric, where, size, begin, needed=False)

    def job(self, kind: str, target: str, at: float, detail: str, **more: str | None) -> str:
        """Record a job that took some minutes; give its public id."""
        public_id, moment = f"job_{self._token()}", self.gateway.moment(at)
        row = Job(
            public_id=public_id, type=kind, status="succeeded", target=target,
            deployment_id=self.id_of(target), detail=detail, created_by="ci-runner",
            created_at=moment - timedelta(seconds=50), started_at=moment,
            finished_at=moment + timedelta(minutes=4), **more,
        )  # fmt: skip
        if moment + timedelta(minutes=4) < self.gateway.as_of:
            self.rows.append(row)
        return public_id

    def config(self, target: str, at: float, parameter: str, old: str | None, new: str | None) -> str:
        """Record a change of configuration; give its public id."""
        public_id = f"cfg_{self._token()}"
        self.rows.append(
            ConfigChange(
                public_id=public_id, changed_at=self.gateway.moment(at), target=target,
                deployment_id=self.id_of(target), parameter=parameter, old_value=old, new_value=new,
                changed_by=str(self.chance.choice(["m.okafor", "l.brandt", "terraform"])),
            )
        )  # fmt: skip
        return public_id

    def audit(self, actor: str, action: str, target: str, at: float, detail: str) -> None:
        """Record an action of a person or a program."""
        self.rows.append(
            AuditEvent(
                occurred_at=self.gateway.moment(at), actor=actor, action=action, target=target,
                deployment_id=self.id_of(target), detail=detail,
            )
        )  # fmt: skip

    def line(self, target: str, at: float, message: str, severity: str = "error") -> None:
        """Record a line of a log."""
        self.rows.append(
            ErrorLog(
                logged_at=self.gateway.moment(at), severity=severity, target=target,
                deployment_id=self.id_of(target), message=message,
            )
        )  # fmt: skip

    def incident(self, title: str, target: str, begin: float, end: float | None, why: str) -> None:
        """Record an incident that someone opened."""
        self.rows.append(
            Incident(
                public_id=f"inc_{self._token()}", title=title, target=target, severity="medium",
                deployment_id=self.id_of(target), status="active" if end is None else "resolved",
                started_at=self.gateway.moment(begin),
                resolved_at=None if end is None else self.gateway.moment(end),
                root_cause=None if end is None else why, resolution=None if end is None else "recovered",
            )
        )  # fmt: skip

    def by_row(self, public_id: str, target: str, at: float) -> None:
        """Name a recorded row as a cause: its id shows it, or its target and time."""
        self.causes.append(Cause(public_id, ((public_id,), (target, f"{self.gateway.moment(at):%H:%M}"))))

    def id_of(self, name: str) -> int | None:
        """The database id of a deployment; None for other names."""
        names = [one.name for one in self.gateway.served]
        return names.index(name) + 1 if name in names else None

    def adapt(self, name: str, change: Callable[[Customer], Customer]) -> None:
        """Make one customer another."""
        customers = tuple(change(one) if one.name == name else one for one in self.gateway.customers)
        self.gateway = replace(self.gateway, customers=customers)

    def larger(self, times: float) -> Callable[[Customer], Customer]:
        """Let a customer send more, for one whose change would not be seen otherwise."""
        return lambda one: replace(one, per_day=one.per_day * times)

    def after_move(self, old: str, new: str, share: float) -> float:
        """The factor by which requests of a model grow that gets a share of another's."""
        sent = [(one.per_day, one.models) for one in self.gateway.customers]
        of_old, of_new = (sum(rate * models[name] for rate, models in sent) for name in (old, new))
        return 1 + share * of_old / of_new

    def _token(self) -> str:
        return f"{self.chance.integers(16**6):06x}"


def add_decoys(plan: Plan) -> None:
    """Record what happens on any day, also on other targets near every onset."""
    names = [one.name for one in plan.gateway.served]
    affected = {value for change in plan.changes for value in change.where.values.values()}
    others = [name for name in names if name not in affected] or names
    onsets = [change.begin[0] + 300 for change in plan.changes if change.needed]
    near = [(at + float(plan.chance.uniform(-100, 25)) * 60, others) for at in onsets for _ in range(2)]
    spread = [(float(plan.chance.uniform(0.02, 0.97)) * plan.now, names) for _ in range(10)]
    for n, (at, targets) in enumerate(near + spread):
        target, version = str(plan.chance.choice(targets)), int(plan.chance.integers(2, 90))
        if n % 2:
            plan.job("rollout", target, at, f"v3.{version} -> v3.{version + 1}")
        else:
            plan.config(str(plan.chance.choice(["billing", target])), at, "log.sampling", "0.1", "0.2")
    for _ in range(2):
        at = float(plan.chance.uniform(0.1, 0.7)) * plan.now
        plan.incident(
            "Error rate above threshold", str(plan.chance.choice(names)), at, at + HOUR, "node lost"
        )
    noisy = str(plan.chance.choice(names))
    for at in np.sort(plan.chance.uniform(0, plan.now, int(plan.now / DAY * 4))):
        took = plan.chance.integers(900, 4000)
        plan.line(noisy, float(at), f"slow flush of usage buffer took {took} ms", "warning")


def date(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """A moment of UTC."""
    return datetime(year, month, day, hour, minute, tzinfo=UTC)
