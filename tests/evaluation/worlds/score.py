"""What a prompt tells of a world, held against what is true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from context_builder.prompt.manifest import Manifest
from tests.evaluation.worlds.count import count, sizes
from tests.evaluation.worlds.gateway import Slice
from tests.evaluation.worlds.plan import TrueChange
from tests.evaluation.worlds.told import (
    ToldChange,
    rank_of,
    says_nothing_is_broken,
    shown_facts,
    tells_of_traffic,
    told_changes,
    unread,
)
from tests.evaluation.worlds.world import World

FIRST = 5
TOLERANCE = 0.25
"""Of a told size."""
_HOUR = 3600.0
_CONTAINED = 0.9
_NAMED = 0.5
"""Share that a told slice and a true one must have in common to be the same thing."""
_POINTS = {"errors": 0.01, "quality": 0.02}
"""Differences that are right however small they are."""


class Verdict(StrEnum):
    """What becomes of a told change."""

    TRUE = "true"
    SIDE = "side effect"
    """Its slice only crosses that of a true change, which the figures of this slice show too."""
    WRONG_SIZE = "wrong size"
    FALSE = "false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Of one prompt."""

    kind: str
    healthy: bool
    question: str
    judged: Sequence[tuple[ToldChange, Verdict]] = field(default_factory=list)
    missing: Sequence[str] = ()
    """True changes that are not told, and causes that are not shown."""
    rank: int | None = None
    """Of the first cause."""
    has_cause: bool = False
    unread: Sequence[str] = ()
    broken: bool = True
    """Whether more than the traffic changed."""
    calm: bool = False
    """Whether the prompt says that nothing is broken."""
    tells_traffic: bool = False
    """Whether the prompt says of a change that it is only one of the traffic."""
    is_expected: bool = False
    """Whether there is something that people would have known of."""
    planned: int = 0
    """Of a healthy world: findings that were to be expected by people."""

    @property
    def complete(self) -> bool:
        """Whether everything is told."""
        return not self.missing

    def number(self, verdict: Verdict) -> int:
        """How many told changes have a verdict."""
        return sum(one is verdict for _, one in self.judged)


def score(world: World, question: str, manifest: Manifest) -> Score:
    """Judge what the prompt of a question shows."""
    plan, facts = world.plan, shown_facts(manifest)
    told = told_changes(manifest, {one.name: one.tier for one in plan.gateway.customers})
    missing = [
        f"{change.metric} of {change.where}"
        for change in plan.changes
        if change.needed and not any(tells(world, one, change) for one in told)
    ]
    ranks = {cause.name: rank_of(cause.alternatives, facts) for cause in plan.causes}
    missing += [f"cause {name}" for name, rank in ranks.items() if rank is None]
    return Score(
        kind=world.kind.name,
        healthy=world.kind.is_healthy,
        question=question,
        judged=[(one, judge(world, one)) for one in told],
        missing=missing,
        rank=min((rank for rank in ranks.values() if rank), default=None),
        has_cause=bool(plan.causes),
        unread=unread(manifest),
        broken=plan.broken and not world.kind.is_healthy,
        calm=says_nothing_is_broken(facts),
        tells_traffic=tells_of_traffic(facts),
        is_expected=bool(plan.planned),
        planned=sum(
            any(alike(one, change) and nested(world, one.where, change) for change in plan.planned)
            for one in told
        ),
    )


def tells(world: World, told: ToldChange, change: TrueChange) -> bool:
    """Whether this is the change, of the same slice and from about then on."""
    return (
        alike(told, change)
        and same_time(world, told, change)
        and _common(world, told.where, change)[0] >= _NAMED
    )


def judge(world: World, told: ToldChange) -> Verdict:
    """Compare with every true change, and the size with the requests of the told slice."""
    best = Verdict.FALSE
    for change in world.plan.changes:
        if not alike(told, change) or not same_time(world, told, change):
            continue
        if not right_size(world, told, change):
            best = Verdict.WRONG_SIZE if nested(world, told.where, change) and best is Verdict.FALSE else best
            continue
        if nested(world, told.where, change):
            return Verdict.TRUE
        if _common(world, told.where, change)[0] > 0:
            best = Verdict.SIDE
    return best


def alike(told: ToldChange, change: TrueChange) -> bool:
    """Whether metric and direction are the same."""
    return (told.metric, told.up) == (change.metric, change.up)


def same_time(world: World, told: ToldChange, change: TrueChange) -> bool:
    """Whether it is told to begin when it did, to the hour."""
    begin = world.plan.gateway.at(told.begin)
    return change.begin[0] - _HOUR <= begin <= change.begin[1] + _HOUR


def nested(world: World, where: Slice, change: TrueChange) -> bool:
    """Whether one of two slices holds the other."""
    return _common(world, where, change)[1] >= _CONTAINED


def _common(world: World, where: Slice, change: TrueChange) -> tuple[float, float]:
    """What two slices share, of both together and of the smaller one, in what would have been sent."""
    end = change.end or world.plan.now
    one, other = (world.usual.within(each, change.begin[0], end) for each in (where, change.where))
    both, smaller = (one & other).sum(), min(one.sum(), other.sum())
    return (both / (one | other).sum(), both / smaller) if smaller else (0.0, 0.0)


def right_size(world: World, told: ToldChange, change: TrueChange) -> bool:
    """Whether the told size is that of the told slice and time, or the stated one of the same slice."""
    if told.size is None:
        return True
    gateway = world.plan.gateway
    begin, end = gateway.at(told.begin), gateway.at(told.end) if told.end else gateway.seconds
    counted = sizes(told.metric, world.calls, world.usual, told.where, begin, end)
    if told.metric == "errors":
        usual = count("errors", world.usual, told.where, begin, end)[0]
        visible = bool(counted[0] > 2 * usual)
    else:
        nothing = 0.0 if told.metric == "quality" else 1.0
        visible = bool(np.nanmax(np.abs(np.array(counted) - nothing)) > _POINTS.get(told.metric, 0.1))
    equal = told.where == change.where
    return visible and any(
        close(told.size, size, told.metric) for size in (*counted, *((change.size,) if equal else ()))
    )


def close(told: float, size: float, metric: str) -> bool:
    """Whether a told size is right, or nearly."""
    return bool(abs(told - size) <= max(TOLERANCE * abs(size), _POINTS.get(metric, 0.05)))
