"""The gateway of a world: its deployments, its customers and when these are awake, drawn from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np

MODELS = ("kestrel-70b", "kestrel-8b", "lumen-pro", "sable-code", "quill-2")
BACKENDS = ("vega", "ironwood", "basalt")
REGIONS = ("eu-north-1", "us-east-2", "ap-south-1")
TIERS = ("premium", "standard", "budget")
TASKS = ("chat", "summarize", "code", "extract")
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Tokyo", "America/Los_Angeles")
_CUSTOMERS = (
    "nordwind", "otterlabs", "pixelforge", "quarrybank", "ravenpost", "saltmarsh", "tinderbox", "umbra",
    "verdigris", "wayfarer", "yarrow", "zephyrine", "applegate", "bramble", "cobaltworks", "driftwood",
    "emberline", "foxglove", "gullwing", "hazelnut", "inkwell", "juniper",
)  # fmt: skip
MINUTES_A_DAY = 1440


class Habit(StrEnum):
    """When a customer sends."""

    OFFICE = "office"
    CONSUMER = "consumer"
    STEADY = "steady"
    NIGHTLY = "nightly"
    HOURLY = "hourly"


@dataclass(frozen=True, slots=True)
class Slice:
    """Requests that share some values; without any, all requests."""

    deployment: str = ""
    model: str = ""
    backend: str = ""
    region: str = ""
    user: str = ""
    tier: str = ""
    task: str = ""

    @property
    def values(self) -> dict[str, str]:
        """The dimensions that are restricted."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name))}

    def __str__(self) -> str:
        return " ".join(f"{name} {value}" for name, value in self.values.items()) or "all requests"


@dataclass(frozen=True, slots=True)
class Served:
    """A deployment, with what makes its requests fast, dear or fail."""

    model: str
    backend: str
    region: str
    share: float
    """Of the model's requests."""
    first_token_ms: float
    ms_per_token: float
    failing: float
    usd_per_million: float

    @property
    def name(self) -> str:
        """As the gateway calls it."""
        return f"{self.model}/{self.backend}"


@dataclass(frozen=True, slots=True)
class Customer:
    """A user, with the habits of all of its requests."""

    name: str
    tier: str
    zone: str
    habit: Habit
    per_day: float
    models: Mapping[str, float]
    tasks: tuple[float, ...]
    wordiness: float
    """Factor on the lengths of its prompts."""
    noise: float
    """Spread, in logarithms, of its volume from one hour to another."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """All that stays the same in a world."""

    start: datetime
    as_of: datetime
    served: tuple[Served, ...]
    customers: tuple[Customer, ...]
    weekly_growth: float

    @property
    def seconds(self) -> float:
        """Length of the history."""
        return (self.as_of - self.start).total_seconds()

    @property
    def minutes(self) -> int:
        """The same in whole minutes."""
        return int(self.seconds // 60)

    def at(self, moment: datetime) -> float:
        """Seconds since the start."""
        return (moment - self.start).total_seconds()

    def moment(self, seconds: float) -> datetime:
        """The reverse, to the second."""
        return self.start + timedelta(seconds=round(seconds))

    def busiest(self, rank: int = 0, *habits: Habit) -> Customer:
        """A customer of these habits by its volume, the largest first."""
        chosen = [one for one in self.customers if one.habit in (habits or tuple(Habit))]
        return sorted(chosen, key=lambda one: -one.per_day)[rank]

    def model(self, rank: int = 0) -> str:
        """A model by its volume."""
        used = {
            name: sum(one.per_day * one.models[name] for one in self.customers)
            for name in dict.fromkeys(one.model for one in self.served)
        }
        return sorted(used, key=lambda name: -used[name])[rank]

    def deployment(self, rank: int = 0) -> Served:
        """The busiest deployment of a model by its volume."""
        name = self.model(rank)
        return max((one for one in self.served if one.model == name), key=lambda one: one.share)


def draw_gateway(chance: np.random.Generator, as_of: datetime, days: int, total: int) -> Gateway:
    """Draw a gateway that serves about so many requests before a moment."""
    served = _draw_served(chance)
    midnight = as_of.replace(hour=0, minute=0, second=0, microsecond=0)
    return Gateway(
        start=midnight - timedelta(days=days - 1),
        as_of=as_of,
        served=served,
        customers=_draw_customers(chance, tuple(dict.fromkeys(one.model for one in served)), total / days),
        weekly_growth=float(chance.uniform(-0.02, 0.08)),
    )


def _draw_served(chance: np.random.Generator) -> tuple[Served, ...]:
    """Draw two to four models on up to three backends; regions lie across both."""
    served = []
    for m, model in enumerate(chance.permutation(MODELS)[: chance.integers(2, 5)]):
        pace, price = chance.uniform(4, 18), chance.uniform(0.6, 9)
        backends = chance.permutation(len(BACKENDS))[: 3 if m < 2 else chance.integers(1, 4)]
        shares = chance.dirichlet(np.full(len(backends), 12.0))
        served += [
            Served(
                model=str(model),
                backend=BACKENDS[b],
                region=REGIONS[(m + b) % len(REGIONS)],
                share=float(share),
                first_token_ms=float(pace * 25 * chance.uniform(0.85, 1.2)),
                ms_per_token=float(pace * chance.uniform(0.85, 1.2)),
                failing=float(chance.uniform(0.002, 0.012)),
                usd_per_million=float(price),
            )
            for b, share in zip(backends, shares, strict=True)
        ]
    return tuple(served)


def _draw_customers(
    chance: np.random.Generator, models: tuple[str, ...], per_day: float
) -> tuple[Customer, ...]:
    """Draw customers whose sizes fall off; every habit occurs, and the first few are offices."""
    count = int(chance.integers(14, len(_CUSTOMERS) + 1))
    habits = [Habit.OFFICE, Habit.OFFICE, Habit.CONSUMER, Habit.STEADY, Habit.HOURLY, Habit.NIGHTLY]
    habits += [list(Habit)[n] for n in chance.choice(5, count - len(habits), p=(0.4, 0.25, 0.2, 0.1, 0.05))]
    sizes = 1 / np.arange(1.5, count + 1.5) ** 0.8
    sizes *= per_day / sizes.sum()
    names = chance.permutation(_CUSTOMERS)[:count]
    return tuple(
        Customer(
            name=str(name),
            tier=TIERS[n] if n < len(TIERS) else str(chance.choice(TIERS, p=(0.25, 0.5, 0.25))),
            zone=str(chance.choice(ZONES)),
            habit=habits[n],
            per_day=float(sizes[n]),
            models=dict(zip(models, chance.dirichlet(np.full(len(models), 1.2)).tolist(), strict=True)),
            tasks=tuple(chance.dirichlet(np.full(len(TASKS), 1.5)).tolist()),
            wordiness=float(chance.lognormal(0, 0.35)),
            noise=float(chance.uniform(0.05, 0.25)),
        )
        for n, name in enumerate(names)
    )
