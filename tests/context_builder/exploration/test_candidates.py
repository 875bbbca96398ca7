"""What happened near an onset is ranked by its relation to what changed, by its time and by its kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from context_builder.exploration.candidates import (
    NearbyEvent,
    has_candidate,
    nearby_events,
)
from context_builder.exploration.events import Event
from context_builder.exploration.series.slices import Slice
from tests.context_builder.exploration.test_change_point import shift
from tests.support.gateway import HOUR, MINUTE

TIER = Slice((("tier", "premium"),))
DEPLOYMENT = Slice((("deployment", "gpt-4/aws"),))
USER = Slice((("user", "hal"),))
CHANGE = replace(shift(), slice=TIER)
AT = CHANGE.earliest


def event(target: str, text: str = "was changed", kind: str = "config", at: timedelta = -5 * MINUTE) -> Event:
    return Event(at=AT + at, kind=kind, text=text, target=target)


@pytest.mark.parametrize(
    ("one", "event", "whose"),
    [
        (TIER, event("router", "premium_spill_after_ms of router was changed"), "on it"),
        (TIER, event("gateway", "rate_limit.premium.rpm of gateway was changed"), "on it"),
        (TIER, event("gateway", "premiums.rpm of gateway was changed"), "on the whole gateway"),
        (DEPLOYMENT, event("gpt-4/aws"), "on it"),
        (DEPLOYMENT, event("aws"), "on a related target"),
        (DEPLOYMENT, event("gpt-4/k8s"), "on a related target"),
        (DEPLOYMENT, event("llama/k8s"), "elsewhere"),
        (USER, event("hal", "hal did batch.submit on hal", "audit"), "on it"),
    ],
)
def test_an_event_is_on_what_changed_if_it_is_its_target_or_names_it(
    one: Slice, event: Event, whose: str
) -> None:
    """Else on what it depends on, on the whole gateway, or elsewhere."""
    assert NearbyEvent(event, replace(CHANGE, slice=one), 0).whose == whose


def test_what_is_on_it_ranks_above_what_is_closer_elsewhere() -> None:
    """And what came after the onset below what came before; a user's own doing counts in full."""
    near = replace(CHANGE, slice=DEPLOYMENT)
    found = nearby_events(
        [
            event("llama/k8s", at=-1 * MINUTE),
            event("gpt-4/aws", "after", at=30 * MINUTE),
            event("gpt-4/aws", "before", at=-30 * MINUTE),
        ],
        [near],
        frozenset(),
    )
    assert [one.event.text for one in found] == ["before", "was changed", "after"]
    own = NearbyEvent(event("hal", "hal did batch.submit", "audit"), replace(CHANGE, slice=USER), 0)
    other = NearbyEvent(event("zoe", "zoe did batch.submit", "audit"), replace(CHANGE, slice=USER), 0)
    assert own.importance > 2 * other.importance


def test_only_a_change_before_the_onset_on_what_it_depends_on_explains_it() -> None:
    """Not a symptom, not one elsewhere, not a later one, not one of yesterday."""
    near = replace(CHANGE, slice=DEPLOYMENT)
    for one, explains in (
        (event("gpt-4/aws"), True),
        (event("router"), True),
        (event("llama/k8s"), False),
        (event("gpt-4/aws", kind="log"), False),
        (event("gpt-4/aws", at=2 * HOUR), False),
        (event("gpt-4/aws", at=-20 * HOUR), False),
    ):
        assert has_candidate(near, [one], frozenset()) is explains
