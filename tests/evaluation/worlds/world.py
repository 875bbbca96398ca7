"""All kinds of worlds, each broken one with a healthy twin, and how one is drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date as day_of
from datetime import datetime, timedelta

import numpy as np

from tests.evaluation.worlds.calls import Calls, draw_calls
from tests.evaluation.worlds.gateway import draw_gateway
from tests.evaluation.worlds.kinds import broken, healthy
from tests.evaluation.worlds.plan import Plan, add_decoys, date

_SATURDAY = 5
_SUNDAY = 6


@dataclass(frozen=True, slots=True)
class Kind:
    """What a world tells, with its moment and size."""

    name: str
    alter: Callable[[Plan], None]
    twin: str = ""
    """The healthy kind that looks alike; empty of healthy kinds."""
    when: str = "workday"
    days: int = 15
    requests: int = 24_000

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.twin


def _kind(alter: Callable[[Plan], None], twin: Callable[[Plan], None] | None = None, **more: object) -> Kind:
    names = [each.__name__.replace("_", "-") if each else "" for each in (alter, twin)]
    return Kind(names[0], alter, names[1], **more)  # type: ignore[arg-type]


_ALL = (
    _kind(broken.ramp_leak, healthy.quiet_rollout),
    _kind(broken.spike_recovered, healthy.incident_before),
    _kind(broken.shift_ended, healthy.long_summaries),
    _kind(broken.hourly_errors, healthy.cron_load),
    _kind(broken.flapping, healthy.chronic_flapping),
    _kind(broken.user_vanishes, healthy.weekend_low),
    _kind(broken.retry_storm, healthy.daily_limit),
    _kind(broken.region_slow, healthy.slow_region),
    _kind(broken.backend_failing, healthy.daylight_saving, days=29, requests=40_000),
    _kind(broken.longer_prompts, healthy.steady_growth),
    _kind(broken.alias_moved, healthy.announced_launch),
    _kind(broken.user_batch, healthy.batch_night),
    _kind(broken.key_expired, healthy.public_holiday),
    _kind(broken.quota_exhausted, healthy.month_end),
    _kind(broken.two_faults, healthy.noisy_slice),
    _kind(broken.new_template, healthy.chronic_errors),
    _kind(broken.quality_drop, healthy.scheduled_backfill),
    _kind(healthy.quiet_rollout),
    _kind(healthy.incident_before),
    _kind(healthy.long_summaries),
    _kind(healthy.cron_load),
    _kind(healthy.chronic_flapping),
    _kind(healthy.weekend_low, when="sunday"),
    _kind(healthy.daily_limit),
    _kind(healthy.slow_region),
    _kind(healthy.daylight_saving, when="summer time"),
    _kind(healthy.steady_growth),
    _kind(healthy.announced_launch),
    _kind(healthy.batch_night, when="morning"),
    _kind(healthy.public_holiday),
    _kind(healthy.month_end, when="month end", days=36, requests=44_000),
    _kind(healthy.noisy_slice),
    _kind(healthy.chronic_errors),
    _kind(healthy.scheduled_backfill, days=22, requests=32_000),
)
KINDS = {kind.name: kind for kind in _ALL}


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """One drawn world; `usual` are the requests as they would have been without its kind."""

    kind: Kind
    plan: Plan
    calls: Calls
    usual: Calls


def draw_world(kind: Kind, seed: int, number: int = 0) -> World:
    """Draw a world; equal arguments draw equal ones."""
    stream = [seed, number, *kind.name.encode()]
    chance = np.random.default_rng(stream)
    gateway = draw_gateway(chance, _moment(kind.when, chance), kind.days, kind.requests)
    plan = Plan(gateway, chance)
    kind.alter(plan)
    plan.questions += healthy.QUESTIONS if kind.is_healthy else ()
    add_decoys(plan)
    calls = draw_calls(plan.gateway, plan.effects, stream)
    return World(kind, plan, calls, draw_calls(plan.gateway, (), stream))


def _moment(when: str, chance: np.random.Generator) -> datetime:
    """Draw the moment asked about: by default a workday afternoon in Europe, whose night is over."""
    day = day_of(2026, 2, 2) + timedelta(days=int(chance.integers(140)))
    if when == "sunday":
        day += timedelta(days=_SUNDAY - day.weekday())
    elif when == "summer time":
        day = day_of(2026, 3, 30) + timedelta(days=int(chance.integers(2)))
    elif when == "month end":
        day = [day_of(2026, 3, 31), day_of(2026, 4, 30), day_of(2026, 6, 30)][chance.integers(3)]
    elif day.weekday() >= _SATURDAY:
        day -= timedelta(days=int(chance.integers(2, 5)))
    hour = 7 if when == "morning" else int(chance.integers(13, 18))
    return date(day.year, day.month, day.day, hour, int(chance.integers(60)))
