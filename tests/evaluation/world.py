"""A gateway before anything goes wrong: its deployments, users, routes and rhythm, all drawn from a seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from models import Tier
from tests.evaluation.names import Names, stream

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HISTORY = timedelta(days=3)
"""How much ordinary history all scenarios of a world share."""
LAST_DAY = DAY
"""What each scenario adds to it, at least."""
CREATED_BEFORE = timedelta(days=200)

_TASKS = ("chat", "extraction", "summarize", "code", "classify", "translate", "agent")
_ENDPOINTS = ("/v1/messages", "/v1/chat/completions", "/v1/responses")
_REGIONS = ("eu-west-1", "us-east-2", "europe-west4", "ap-south-1", "us-central1", "eu-north-1")
_SATURDAY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """One deployment and how it behaves."""

    id: int
    model: str
    backend: str
    region: str
    version: str
    capacity_rpm: int
    median_ms: float
    sigma: float
    failing: float
    codes: tuple[tuple[str, str], ...]
    """Status and error code of its ordinary failures."""
    quality: float
    price: float
    """US dollars for a thousand tokens."""

    @property
    def public_id(self) -> str:
        """`model/backend`."""
        return f"{self.model}/{self.backend}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One user of the gateway."""

    id: int
    public_id: str
    tier: str
    limited: bool
    """Whether a daily budget is set."""
    weight: float


@dataclass(frozen=True, slots=True)
class Task:
    """How long a kind of request takes, relative to others, and how many tokens it moves."""

    pace: float
    prompt_tokens: int
    completion_tokens: int
    endpoint: str


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything that the scenarios of one world have in common."""

    name: str
    """What all its draws begin with."""
    history_end: datetime
    deployments: tuple[Deployed, ...]
    accounts: tuple[Account, ...]
    tasks: Mapping[str, Task]
    routes: Mapping[str, Mapping[str, float]]
    """Weights of deployments by tier."""
    routers: tuple[tuple[datetime, str], ...]
    """Router versions with the moments from which on they decided, oldest first."""
    per_day: int
    swing: float
    peak_hour: float
    weekend: float
    _pace: dict[int, float] = field(default_factory=dict)

    @property
    def history_start(self) -> datetime:
        """When the log begins."""
        return self.history_end - HISTORY

    @property
    def created_at(self) -> datetime:
        """When deployments and users were created."""
        return self.history_end - CREATED_BEFORE

    @property
    def backends(self) -> tuple[str, ...]:
        """All backends."""
        return tuple(dict.fromkeys(deployed.backend for deployed in self.deployments))

    def on_backend(self, backend: str) -> tuple[Deployed, ...]:
        """Its deployments."""
        return tuple(deployed for deployed in self.deployments if deployed.backend == backend)

    def deployed(self, public_id: str) -> Deployed:
        """A deployment by its public id."""
        return next(deployed for deployed in self.deployments if deployed.public_id == public_id)

    def router_at(self, moment: datetime) -> str:
        """The router version that decides at a moment."""
        return next(version for since, version in reversed(self.routers) if since <= moment)

    def rate(self, moment: datetime) -> float:
        """Expected requests per minute: the daily cycle, the weekday, and noise by day and hour."""
        hour = moment.hour + moment.minute / 60
        cycle = 1 + self.swing * math.cos((hour - self.peak_hour) / 24 * 2 * math.pi)
        weekday = self.weekend if moment.weekday() >= _SATURDAY else 1.0
        return self.per_day / 1440 * cycle * weekday * self._noise(moment)

    def _noise(self, moment: datetime) -> float:
        key = int(moment.timestamp() // 3600)
        if key not in self._pace:
            of_day = stream(self.name, "day", moment.date()).lognormvariate(0, 0.07)
            self._pace[key] = of_day * stream(self.name, "hour", key).lognormvariate(0, 0.10)
        return self._pace[key]


def make_world(seed: int, number: int) -> World:
    """The world of a seed with this number."""
    name = f"{seed}/world {number}"
    chance = stream(name, "cast")
    names = Names(chance)
    deployments = _deployments(chance, names)
    history_end = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(
        days=chance.randrange(300), hours=chance.randint(7, 21), minutes=chance.randrange(60)
    )
    major = chance.randint(1, 6)
    return World(
        name=name,
        history_end=history_end,
        deployments=deployments,
        accounts=_accounts(chance, names),
        tasks=_tasks(chance),
        routes={tier: _routes(chance, deployments) for tier in Tier},
        routers=(
            (history_end - CREATED_BEFORE, names.version(major)),
            (history_end - timedelta(hours=chance.uniform(20, 50)), names.version(major)),
        ),
        per_day=chance.randint(2_800, 3_800),
        swing=chance.uniform(0.2, 0.55),
        peak_hour=chance.uniform(9, 18),
        weekend=chance.uniform(0.75, 0.95),
    )


def _deployments(chance: Random, names: Names) -> tuple[Deployed, ...]:
    models = [names.model() for _ in range(chance.randint(3, 4))]
    backends = [names.backend() for _ in range(3)]
    pairs = [(model, backend) for model in models for backend in backends]
    # Each backend and each model is there at least once.
    chosen = list(dict.fromkeys([(model, backends[n % 3]) for n, model in enumerate(models)]))
    rest = [pair for pair in pairs if pair not in chosen]
    chosen += chance.sample(rest, min(len(rest), chance.randint(5, 9) - len(chosen)))
    region = dict(zip(backends, chance.sample(_REGIONS, len(backends)), strict=True))
    codes = (("error", "502"), ("error", "500"), ("timeout", "504"), ("rate_limited", "429"))
    return tuple(
        Deployed(
            id=number,
            model=model,
            backend=backend,
            region=region[backend],
            version=names.version(),
            capacity_rpm=chance.randint(4, 20) * 10,
            median_ms=math.exp(chance.uniform(math.log(350), math.log(2_800))),
            sigma=chance.uniform(0.35, 0.6),
            failing=chance.uniform(0.005, 0.03),
            codes=tuple(chance.sample(codes, 3)),
            quality=chance.uniform(0.78, 0.93),
            price=chance.uniform(0.0005, 0.012),
        )
        for number, (model, backend) in enumerate(sorted(chosen), start=1)
    )


def _accounts(chance: Random, names: Names) -> tuple[Account, ...]:
    number_of_users = chance.randint(8, 15)
    tiers = [*Tier, *Tier, *chance.choices(list(Tier), k=number_of_users - 6)]
    return tuple(
        Account(
            id=number,
            public_id=f"user_{names.stem()}",
            tier=tier,
            limited=number > 3,
            weight=chance.lognormvariate(0, 0.5),
        )
        for number, tier in enumerate(tiers, start=1)
    )


def _tasks(chance: Random) -> dict[str, Task]:
    return {
        name: Task(
            pace=chance.uniform(0.6, 1.7),
            prompt_tokens=chance.randint(200, 3_000),
            completion_tokens=chance.randint(30, 600),
            endpoint=chance.choice(_ENDPOINTS),
        )
        for name in chance.sample(_TASKS, chance.randint(3, 5))
    }


def _routes(chance: Random, deployments: tuple[Deployed, ...]) -> dict[str, float]:
    """A tier's deployments: two or three that it mostly uses, and a little of the others."""
    weights = {deployed.public_id: chance.uniform(0.02, 0.08) for deployed in deployments}
    for favourite in chance.sample(list(weights), chance.randint(2, 3)):
        weights[favourite] += chance.uniform(0.25, 0.6)
    return weights
