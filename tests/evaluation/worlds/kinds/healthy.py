"""Healthy worlds that look like the broken ones. What differs in them was to be expected."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

from tests.evaluation.worlds.effect import HOUR, Effect, What, between, ramp, repeating
from tests.evaluation.worlds.gateway import Habit, Slice
from tests.evaluation.worlds.plan import DAY, Plan, TrueChange

_GERMANY = ZoneInfo("Europe/Berlin")
QUESTIONS = ("Is anything broken right now?", "What changed in the last 24 hours?")
"""Of every healthy world."""


def _expect(plan: Plan, metric: str, where: Slice, size: float, begin: float) -> None:
    """Note what differs from before as planned; of volume, cost with it."""
    noted = TrueChange(metric=metric, where=where, size=size, begin=(begin - HOUR, begin + HOUR))
    plan.planned.append(noted)
    if metric == "volume":
        plan.planned.append(replace(noted, metric="cost"))


def weekend_low(plan: Plan) -> None:
    """Ask on a Sunday, when offices send little, as on every Sunday."""


def batch_night(plan: Plan) -> None:
    """Run a large batch every night, also in the last."""
    plan.adapt(plan.gateway.busiest(0, Habit.NIGHTLY).name, plan.larger(5))


def month_end(plan: Plan) -> None:
    """Bill at the end of a month, as at the end of the last one."""
    name, factor = plan.gateway.busiest(0, Habit.OFFICE).name, float(plan.chance.uniform(2.5, 4))
    midnight = plan.gateway.at(plan.gateway.as_of.replace(hour=0, minute=0))
    last = plan.gateway.as_of.replace(day=1, hour=0, minute=0)
    before = plan.gateway.at(last) - DAY
    for begin in (before, midnight):
        plan.happens(Effect(What.VOLUME, Slice(user=name), factor, between(begin, begin + DAY)))
    _expect(plan, "volume", Slice(user=name), factor, midnight)


def public_holiday(plan: Plan) -> None:
    """Close the German offices for a day, among them the two largest customers."""
    _move_to_germany(plan, 2)
    midnight = plan.gateway.as_of.astimezone(_GERMANY).replace(hour=0, minute=0)
    begin = plan.gateway.at(midnight)
    for customer in plan.gateway.customers:
        if customer.zone == _GERMANY.key and customer.habit is Habit.OFFICE:
            where = Slice(user=customer.name)
            plan.happens(Effect(What.VOLUME, where, 0.12, between(begin, begin + DAY)))
            _expect(plan, "volume", where, 0.12, begin)


def daylight_saving(plan: Plan) -> None:
    """Change to summer time where the largest customers are: their day begins an hour earlier."""
    _move_to_germany(plan, 5)


def _move_to_germany(plan: Plan, largest: int) -> None:
    for customer in plan.gateway.customers[:largest]:
        plan.adapt(customer.name, lambda one: replace(one, zone=_GERMANY.key))


def announced_launch(plan: Plan) -> None:
    """Grow for days after a launch that was announced and provided for."""
    name, factor = plan.gateway.busiest(0, Habit.CONSUMER).name, float(plan.chance.uniform(2.5, 4))
    begin = plan.ago(70, 80)
    plan.happens(Effect(What.VOLUME, Slice(user=name), factor, ramp(begin, begin + 60 * HOUR)))
    plan.audit("sales", "launch.announce", name, begin - 2 * DAY, f"{name} launches its app, expect 3 times")
    plan.config("gateway", begin - DAY, f"quota.{name}.rpm", "100", "400")
    _expect(plan, "volume", Slice(user=name), factor, begin)


def scheduled_backfill(plan: Plan) -> None:
    """Fill an archive on the same day of each week."""
    name = plan.gateway.busiest(0, Habit.STEADY).name
    begin = (plan.ago(5, 8) - 7 * DAY) // HOUR * HOUR
    for turn in (begin - 7 * DAY, begin, begin + 7 * DAY):
        plan.happens(Effect(What.VOLUME, Slice(user=name), 6, between(turn, turn + 4 * HOUR)))
        plan.audit(name, "batch.submit", name, turn, "weekly archive")


def noisy_slice(plan: Plan) -> None:
    """Have small customers that send in bursts."""
    for customer in plan.gateway.customers[4:]:
        plan.adapt(customer.name, lambda one: replace(one, noise=0.9))


def cron_load(plan: Plan) -> None:
    """Have most requests at the full hour, and time out some there, as in all weeks before."""
    for customer in plan.gateway.customers:
        if customer.habit is Habit.HOURLY:
            plan.adapt(customer.name, plan.larger(3))
    on = repeating(0, plan.now, HOUR, 120)
    plan.happens(Effect(What.ERRORS, Slice(), 0.06, on, "timeout", "upstream_timeout"))


def chronic_flapping(plan: Plan) -> None:
    """Have one deployment that fails for minutes again and again, and always has."""
    name = plan.gateway.deployment().name
    on = repeating(0, plan.now, 3 * HOUR, 8 * 60)
    plan.happens(Effect(What.ERRORS, Slice(deployment=name), 0.8, on, code="connection_reset"))


def slow_region(plan: Plan) -> None:
    """Have one region that is slower than the others, and always was."""
    region = plan.gateway.deployment().region
    plan.happens(Effect(What.LATENCY, Slice(region=region), 2.2, between(0)))


def chronic_errors(plan: Plan) -> None:
    """Have a customer whose old client fails now and then, and lines that come every day."""
    name = plan.gateway.busiest(0, Habit.STEADY).name
    plan.happens(Effect(What.ERRORS, Slice(user=name), 0.12, between(0), code="invalid_api_key"))
    for n in range(int(plan.now / HOUR)):
        plan.line("router", n * HOUR + 7, "lost connection to metrics sink, retrying")


def daily_limit(plan: Plan) -> None:
    """Reject some requests of a tier at the same hours of each day."""
    on = repeating(0, plan.now, DAY, 10 * HOUR)
    busy = Effect(What.ERRORS, Slice(tier="standard"), 0.15, on, "rate_limited", "tier_limit")
    plan.happens(replace(busy, when=lambda at: on(at - 9 * HOUR)))


def quiet_rollout(plan: Plan) -> None:
    """Roll out to the busiest deployment and move an unused alias, after which nothing changes."""
    name, at = plan.gateway.deployment().name, plan.ago(4, 12)
    plan.job("rollout", name, at, "v2.8.1 -> v2.9.0")
    plan.config("router", at + HOUR, "alias.legacy", plan.gateway.model(0), plan.gateway.model(1))


def steady_growth(plan: Plan) -> None:
    """Grow by a quarter each week, with prompts that grow too."""
    plan.gateway = replace(plan.gateway, weekly_growth=0.25)
    plan.happens(Effect(What.PROMPT, Slice(), 1.3, ramp(0, plan.now)))


def incident_before(plan: Plan) -> None:
    """Had an outage three days ago, which is over."""
    name, at = plan.gateway.deployment().name, plan.ago(70, 76)
    plan.happens(Effect(What.ERRORS, Slice(deployment=name), 0.6, between(at, at + HOUR), code="cuda_oom"))
    plan.incident(f"Errors on {name}", name, at, at + HOUR, "memory")


def long_summaries(plan: Plan) -> None:
    """Have a customer with long prompts every weekday afternoon."""
    name = plan.gateway.busiest(0, Habit.OFFICE).name
    on = repeating(0, plan.now, DAY, 4 * HOUR)
    plan.happens(Effect(What.PROMPT, Slice(user=name), 4, lambda at: on(at - 11 * HOUR)))
