"""When customers send: a Poisson count for each customer and minute."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from tests.evaluation.worlds.effect import Effect, Floats, What
from tests.evaluation.worlds.gateway import MINUTES_A_DAY, Customer, Gateway, Habit

Ints = npt.NDArray[np.int64]
_SATURDAY = 5
_FIRST_SECONDS = 40
"""Scheduled clients send within so many seconds after the full hour."""


def draw_arrivals(
    gateway: Gateway, effects: Sequence[Effect], chance: np.random.Generator
) -> tuple[Floats, Ints]:
    """Draw seconds since the start, in order, and the places of the customers that send then."""
    minutes = np.arange(gateway.minutes)
    rates = np.stack([_rates(gateway, customer, minutes, chance) for customer in gateway.customers])
    rates *= (1 + gateway.weekly_growth) ** (minutes / (7 * MINUTES_A_DAY))
    for effect in effects:
        if effect.what is What.VOLUME:
            for place, customer in enumerate(gateway.customers):
                if effect.where.user in ("", customer.name) and effect.where.tier in ("", customer.tier):
                    rates[place] *= effect.factor(minutes * 60.0)
    counts = chance.poisson(rates)
    user, minute = (np.repeat(places, counts[counts > 0]) for places in np.nonzero(counts))
    scheduled = np.array([customer.habit is Habit.HOURLY for customer in gateway.customers])[user]
    second = chance.uniform(0, 1, len(user)) * np.where(scheduled, _FIRST_SECONDS, 60)
    at = minute * 60.0 + second
    order = np.argsort(at, kind="stable")
    return at[order], user[order]


def _rates(gateway: Gateway, customer: Customer, minutes: Ints, chance: np.random.Generator) -> Floats:
    """Requests a minute that are expected, before growth and effects."""
    local, weekday = local_clock(gateway, customer.zone, minutes)
    shape = _shape(customer.habit, local / 60, weekday >= _SATURDAY, minutes)
    hourly = chance.lognormal(0, customer.noise, len(minutes) // 60 + 1)
    rates: Floats = shape / shape.mean() * customer.per_day / MINUTES_A_DAY * hourly[minutes // 60]
    return rates


def _shape(habit: Habit, hour: Floats, weekend: npt.NDArray[np.bool_], minutes: Ints) -> Floats:
    match habit:
        case Habit.OFFICE:
            day = _bump(hour, 10.5, 1.8) + 0.8 * _bump(hour, 15.0, 2.0) + 0.03
            return day * np.where(weekend, 0.12, 1)
        case Habit.CONSUMER:
            return (_bump(hour, 20.5, 3.0) + 0.5 * _bump(hour, 12.5, 2.0) + 0.05) * np.where(weekend, 1.35, 1)
        case Habit.STEADY:
            return 1 + 0.1 * np.sin(hour / 24 * 2 * np.pi)
        case Habit.NIGHTLY:
            return ((hour >= 2) & (hour < 3.5)).astype(float)
        case Habit.HOURLY:
            return np.where(minutes % 60 == 0, 1.0, 0.0)


def _bump(hour: Floats, middle: float, width: float) -> Floats:
    away = np.abs(hour - middle)
    bump: Floats = np.exp(-0.5 * (np.minimum(away, 24 - away) / width) ** 2)
    return bump


def local_clock(gateway: Gateway, zone: str, minutes: Ints) -> tuple[Floats, Ints]:
    """Minute of the local day, and weekday (0 is Monday), as clocks in a zone show them at some minutes."""
    hours = [
        (gateway.start + timedelta(hours=n)).astimezone(ZoneInfo(zone))
        for n in range(int(minutes[-1]) // 60 + 1)
    ]
    offsets = np.array([(local.utcoffset() or timedelta()).total_seconds() // 60 for local in hours])
    local = minutes + offsets[minutes // 60]
    days = (gateway.start.weekday() + local // MINUTES_A_DAY).astype(np.int64)
    return local % MINUTES_A_DAY, days % 7
