"""Ranks what happened near an onset as its cause: by target, time and kind. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.events import AFTER, BEFORE, Event

RANK_STEP = 0.08
"""Decrease in importance from one onset to the next, for the onset and the events near it."""
SYMPTOMS = ("outage", "state", "log", "incident")
_EVENT_IMPORTANCE = 0.96
"""Importance of an event exactly at the onset of the first shift."""
_HALF_LIFE = timedelta(minutes=90)
"""Distance from the onset at which an event is half as important."""
_GATEWAY_PARTS = ("router", "gateway")
"""Targets that every request passes through."""
_REPEATING_KINDS = ("outage", "state", "log")
_OUTAGE_KINDS = ("outage", "log")
_SHARED_WEIGHT = 0.75
"""Importance factor of an event on another deployment of the same model or backend."""
_GATEWAY_WEIGHT = 0.9
"""The same of one on a part that every request passes through, if it does not name what changed."""
_UNRELATED_WEIGHT = 0.5
_AFTER_WEIGHT = 0.6
"""Importance factor of an event after the onset."""
_ASKED_FOR_WEIGHT = 1.0
"""Of what the user whose requests changed did itself, however little an audited action causes otherwise."""


@dataclass(frozen=True, slots=True)
class NearbyEvent:
    """An event near the onset of a shift."""

    event: Event
    shift: ChangePoint
    rank: int
    """Rank of the shift, from 0."""
    scope: frozenset[str] = frozenset()
    """Names of the deployments in scope."""
    again: int = 0
    """How many more times the same event occurred near an onset."""

    @property
    def distance(self) -> timedelta:
        """Return the time between event and onset, zero within its range; negative before it."""
        if self.event.at < self.shift.earliest:
            return self.event.at - self.shift.earliest
        return max(timedelta(0), self.event.at - self.shift.latest)

    @property
    def relation(self) -> float:
        """Return how closely its target is related to what changed, from 0 to 1.

        1 for what changed itself, or where the event names it, and for an outage anywhere, which moves
        traffic.
        """
        return 1.0 if self.event.kind in _OUTAGE_KINDS else self._kinship

    @property
    def is_own(self) -> bool:
        """True if it is on what changed, or names it."""
        return self._kinship >= 1

    @property
    def is_related(self) -> bool:
        """True if it is on what changed, or on what that depends on or shares."""
        return self._kinship > _UNRELATED_WEIGHT

    @property
    def _kinship(self) -> float:
        names = {*_names_of(self.shift), *self.scope}
        if not names or self.event.target in names:
            return 1.0
        if any(mentions(self.event.text, name) for name in names):
            return 1.0
        if self.event.target in _GATEWAY_PARTS:
            return _GATEWAY_WEIGHT
        parts = {part for name in names for part in name.split("/")}
        return _UNRELATED_WEIGHT if parts.isdisjoint(self.event.target.split("/")) else _SHARED_WEIGHT

    @property
    def whose(self) -> str:
        """Return what its target is to what changed, in words."""
        if self.is_own:
            return "on it"
        if self.event.target in _GATEWAY_PARTS:
            return "on the whole gateway"
        return "on a related target" if self.is_related else "elsewhere"

    @property
    def importance(self) -> float:
        """Return the importance from 0 to 1, by distance, target and kind: changes rank above symptoms."""
        near = 1 / (1 + abs(self.distance) / _HALF_LIFE)
        weight = self.relation * (_ASKED_FOR_WEIGHT if self._is_own_doing else self.event.weight)
        if self.distance > timedelta(0) and self.event.kind != "log":
            weight *= _AFTER_WEIGHT
        return (_EVENT_IMPORTANCE - RANK_STEP * self.rank) * near * weight

    @property
    def _is_own_doing(self) -> bool:
        user = self.shift.slice.value_of("user")
        return user is not None and (self.event.target == user or mentions(self.event.text, user))


def nearby_events(
    events: Sequence[Event], shifts: Sequence[ChangePoint], scope: frozenset[str]
) -> list[NearbyEvent]:
    """Return each event once, with the shift it matters to most; the most important first.

    Repeats of the same event on one target are one entry: the most important of them, with a count.
    """
    found: list[NearbyEvent] = []
    for event in events:
        near = [
            one
            for rank, shift in enumerate(shifts)
            if -BEFORE <= (one := NearbyEvent(event, shift, rank, scope)).distance <= AFTER
        ]
        if near:
            found.append(max(near, key=lambda one: (one.importance, -one.rank)))
    found.sort(key=lambda one: (-one.importance, one.event.at, one.event.text))
    told: dict[tuple[str, ...], NearbyEvent] = {}
    for place, one in enumerate(found):
        repeats = one.event.kind in _REPEATING_KINDS
        key = (one.event.kind, one.event.target) if repeats else (str(place),)
        first = told.setdefault(key, one)
        if first is not one:
            told[key] = replace(first, again=first.again + 1)
    return list(told.values())


def has_candidate(shift: ChangePoint, events: Sequence[Event], scope: frozenset[str]) -> bool:
    """Return whether a change is recorded before an onset, on what changed or what that depends on."""
    near = (NearbyEvent(event, shift, 0, scope) for event in events if event.kind not in SYMPTOMS)
    return any(-BEFORE <= one.distance <= timedelta(0) and one.relation > _UNRELATED_WEIGHT for one in near)


def _names_of(shift: ChangePoint) -> Iterator[str]:
    """Yield what changed by name: its values, or those of the simplest slices of the same change."""
    known = [shift.slice] if shift.slice.values else [one for one in shift.also if len(one.values) == 1]
    for one in known:
        for dimension, value in one.values:
            if dimension != "tier" or len(one.values) == 1:
                yield value


def mentions(text: str, name: str) -> bool:
    """Return whether a text has a name as a whole word, as in `rate_limit.premium.rpm` or `premium_spill`."""
    return re.search(rf"(?<![a-z0-9-]){re.escape(name)}(?![a-z0-9-])", text, re.IGNORECASE) is not None
