"""One tick of the policy: observations and outlooks become verdicts and recorded transitions."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from random import Random
from statistics import median_low
from types import MappingProxyType

from context_builder.risk.outlook import NO_EXPERT, Outlook
from context_builder.risk.policy.breaker import (
    CALM_FLEET,
    Breaker,
    BreakerState,
    BreakerTransition,
    FleetLevel,
)
from context_builder.risk.policy.limits import AT_RISK_SHARE, MAX_ELAPSED_S, USELESS_SHARE, most_ejected
from context_builder.risk.policy.outcomes import Observed
from context_builder.risk.policy.verdicts import RoutingVerdict, VerdictTable
from context_builder.risk.policy.weights import shifted_shares

_MAX_OUTLOOK_AGE = timedelta(minutes=3)
"""Age from which an outlook says nothing: its last minute is up to two old when it is made."""


class RiskController:
    """Holds the breakers of a fleet. Pure but for its random source: no clock, no I/O."""

    def __init__(self, random: Random, *, shadow: bool = True) -> None:
        self.shadow = shadow
        self.table = VerdictTable(None, shadow=shadow)
        self._random = random
        self._breakers: dict[str, Breaker] = {}
        self._shares: dict[str, float] = {}
        self._now_s = 0.0

    def restore(self, transitions: Iterable[BreakerTransition], now: datetime) -> None:
        """Continue from stored transitions, the last one of each deployment; before the first tick."""
        for each in transitions:
            breaker = self._breakers.setdefault(each.deployment, Breaker(self._random))
            ago_s = max(0.0, (now - each.at).total_seconds())
            breaker.restore(each.to_state, each.reason, self._now_s, ago_s)

    def tick(
        self,
        moment: datetime,
        base: Mapping[str, float],
        observed: Mapping[str, Observed],
        outlooks: Mapping[str, Outlook],
        down: Collection[str] = (),
    ) -> tuple[VerdictTable, tuple[BreakerTransition, ...]]:
        """Return the next table and what changed. A tick that was taken in already changes nothing.

        `base` are the deployments that exist, with their usual weights; a weight that is no positive number
        counts as 1. A deployment without `observed` was not measured, which is no sign of anything; those in
        `down` are so by their health checks.
        """
        last = self.table.moment
        if moment == last:
            return self.table, ()
        elapsed_s = 0.0 if last is None else (moment - last).total_seconds()
        self._now_s += min(max(elapsed_s, 0.0), MAX_ELAPSED_S)
        before = self._follow_fleet(base)
        for name, breaker in self._breakers.items():
            breaker.is_down = name in down
            breaker.observe(self._now_s, observed.get(name))
        probabilities = {name: usable_probability(outlooks.get(name), moment) for name in self._breakers}
        usual = self._fleet_level(probabilities)
        for name, breaker in self._breakers.items():
            breaker.advance(self._now_s, observed.get(name), probabilities[name], usual)
        self._bound_ejections()
        self._move_shares(base)
        transitions = tuple(
            BreakerTransition(moment, name, before[name], breaker.state, breaker.reason)
            for name, breaker in self._breakers.items()
            if breaker.state is not before[name]
        )
        weights = {name: usable_weight(weight) for name, weight in base.items()}
        total = sum(weights.values())
        verdicts = {
            name: self._verdict(name, weight / total, outlooks.get(name), moment)
            for name, weight in weights.items()
        }
        number = self.table.number + 1
        self.table = VerdictTable(moment, MappingProxyType(verdicts), self.shadow, number)
        return self.table, transitions

    def _follow_fleet(self, base: Mapping[str, float]) -> dict[str, BreakerState]:
        """Drop what vanished, add what appeared, and return the states before the tick."""
        for name in self._breakers.keys() - base.keys():
            del self._breakers[name]
            self._shares.pop(name, None)
        for name in base:
            if name not in self._breakers:
                self._breakers[name] = Breaker(self._random)
        return {name: breaker.state for name, breaker in self._breakers.items()}

    def _fleet_level(self, probabilities: Mapping[str, float | None]) -> FleetLevel:
        used = [name for name, breaker in self._breakers.items() if not breaker.is_ejected]
        if not used:
            return CALM_FLEET
        strained = median_low(self._breakers[name].seen.strained_share for name in used)
        return FleetLevel(strained, median_low(probabilities[name] or 0.0 for name in used))

    def _bound_ejections(self) -> None:
        """Eject what fails, the worst first, and never more than the fleet can spare."""
        most = most_ejected(len(self._breakers))
        ejected = [breaker for breaker in self._breakers.values() if breaker.is_ejected]
        for breaker in sorted(ejected, key=lambda one: one.earliest_return_s)[: max(0, len(ejected) - most)]:
            breaker.release(f"too few deployments are left: at most {most} may be ejected")
        room = most - len(ejected)
        failing = [breaker for breaker in self._breakers.values() if breaker.wants_to_open()]
        failing.sort(key=lambda one: (-one.is_down, -one.seen.failure_share, -one.seen.failures))
        for breaker in failing[: max(0, room)]:
            breaker.open(self._now_s)

    def _move_shares(self, base: Mapping[str, float]) -> None:
        """Take from those that answer hardly anything, and from others as far as the rest can take it on."""
        used = [breaker for breaker in self._breakers.values() if not breaker.is_ejected]
        useless = [each for each in used if each.wants_to_open() and each.seen.failure_share >= USELESS_SHARE]
        worse = [
            each
            for each in used
            if (each.state is BreakerState.AT_RISK or each.wants_to_open()) and each not in useless
        ]
        worse.sort(key=lambda one: (-one.seen.failure_share, -one.seen.strained_share))
        ejected = len(self._breakers) - len(used)
        room = most_ejected(len(self._breakers)) - ejected - len(useless)
        kept_small = {id(each) for each in (*useless, *worse[: max(0, room)])}
        if len(kept_small) == len(used):
            kept_small = set()
        targets = {
            name: usable_weight(base[name]) * (AT_RISK_SHARE if id(breaker) in kept_small else 1.0)
            for name, breaker in self._breakers.items()
            if not breaker.is_ejected
        }
        self._shares = shifted_shares(self._shares, targets) if targets else {}

    def _verdict(
        self, name: str, base_share: float, outlook: Outlook | None, moment: datetime
    ) -> RoutingVerdict:
        breaker = self._breakers[name]
        probability = usable_probability(outlook, moment)
        reason = "" if breaker.state is BreakerState.CLOSED else breaker.reason
        if breaker.wants_to_open():
            reason = "fails, but as many as may be ejected are"
        is_closed = breaker.state is BreakerState.CLOSED
        return RoutingVerdict(
            deployment=name,
            state=breaker.state,
            share=self._shares.get(name, 0.0),
            base_share=base_share,
            reason=reason,
            probability=probability,
            expert=NO_EXPERT if outlook is None or probability is None else outlook.expert,
            outlook=outlook,
            returns_in_s=None if is_closed else max(0.0, breaker.earliest_return_s - self._now_s),
            tickets=breaker.tickets,
        )


def usable_probability(outlook: Outlook | None, moment: datetime) -> float | None:
    """Return the breach probability; None if there is none, it is no probability, or it is old."""
    if outlook is None or outlook.silence or outlook.breach_probability is None:
        return None
    probability = outlook.breach_probability
    is_probability = math.isfinite(probability) and 0 <= probability <= 1
    return probability if is_probability and abs(moment - outlook.moment) <= _MAX_OUTLOOK_AGE else None


def usable_weight(weight: float) -> float:
    """Return the weight, or 1 if it is no positive number."""
    return weight if math.isfinite(weight) and weight > 0 else 1.0
