"""The figures of a side are those of the requests that were sent, however its time is cut."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.question.request import Window
from context_builder.telemetry.side_figures import Measure, SidesFound, load_sides
from models import FAILED_STATUSES
from models.histogram import RELATIVE_ERROR
from models.request_log import NewRequest
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking, side
from tests.support.rollup_views import rollups_of

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.both_databases]

FIRST = NOON - 9 * DAY
MINUTES = 9 * 24 * 60


async def loaded(gateway: Gateway, *sides: object) -> SidesFound:
    async with rollups_of(gateway.database) as rollups:
        return await load_sides(rollups, asking(sides=sides))  # type: ignore[arg-type]


@st.composite
def ends(draw: st.DrawFn) -> list[datetime]:
    """Draw the ends of one to three intervals of the nine busy days, some of them on whole hours."""
    number = 2 * draw(st.integers(1, 3))
    places = st.integers(0, MINUTES) | st.integers(0, 9 * 24).map(lambda hour: 60 * hour)
    drawn = draw(st.lists(places, min_size=number, max_size=number, unique=True))
    return [FIRST + place * MINUTE for place in sorted(drawn)]


def sent_in(gateway: Gateway, moments: list[datetime], **values: object) -> list[NewRequest]:
    spans = [Window(*pair) for pair in list(pairwise(moments))[::2]]
    return [request for span in spans for request in gateway.sent_in(span, **values)]


@given(ends(), ends())
@settings(max_examples=30, deadline=None)
async def test_any_two_sides_add_up(busy: Gateway, one: list[datetime], other: list[datetime]) -> None:
    """Sums are exact, and percentiles are within the histogram's error of a request's latency."""
    found = await loaded(busy, side("one", *one), side("other", *other, tiers=("premium",)))
    for figures, sent in zip(
        found.sides, (sent_in(busy, one), sent_in(busy, other, tier="premium")), strict=True
    ):
        timed = sorted(request.latency_ms for request in sent if request.latency_ms is not None)
        assert figures.total(Measure.REQUESTS) == len(sent)
        assert figures.total(Measure.FAILED) == sum(r.status in FAILED_STATUSES for r in sent)
        assert figures.total(Measure.TIMEOUTS) == sum(r.status == "timeout" for r in sent)
        assert figures.cost_usd == sum((r.cost_usd for r in sent), Decimal(0))
        assert figures.latency.total == len(timed)
        if timed:
            true = timed[int(0.95 * (len(timed) - 1))]
            assert figures.latency.quantile(0.95) == pytest.approx(true, rel=RELATIVE_ERROR + 1e-9)
    for figures, moments in zip(found.sides, (one, other), strict=True):
        assert figures.recorded == sum((b - a for a, b in list(pairwise(moments))[::2]), 0 * MINUTE)


async def test_users_are_counted_from_their_spend(busy: Gateway) -> None:
    """Two users have requests and cost of their own, not those of their tier."""
    day = (NOON - DAY, NOON)
    names = ("user_a", "user_b")
    found = await loaded(busy, *(side(f"user {name}", *day, user_ids=busy.id_of(name)) for name in names))
    for figures, name in zip(found.sides, names, strict=True):
        sent = sent_in(busy, list(day), user_id=busy.users[name][0])
        assert figures.total(Measure.REQUESTS) == len(sent)
        assert figures.cost_usd == sum((r.cost_usd for r in sent), Decimal(0))
        assert figures.latency.total == figures.total(Measure.FAILED) == 0
    assert found.gaps == ("errors, latency and quality by user, of whom only requests and cost are recorded",)


@pytest.mark.parametrize(
    ("later", "earlier", "paired"),
    [
        ((NOON - DAY, NOON), (NOON - 8 * DAY, NOON - 7 * DAY), True),
        ((NOON - DAY, NOON - 3 * HOUR), (NOON - 2 * DAY, NOON - DAY), True),
        ((NOON - 2 * HOUR, NOON), (NOON - 4 * HOUR, NOON - 2 * HOUR), False),
        ((NOON - DAY, NOON), (NOON - 8 * DAY, NOON - DAY), False),
    ],
    ids=["a day a week before", "most of a day", "before and after", "a day and a week"],
)
async def test_sides_at_the_same_times_of_day_are_paired(
    busy: Gateway, later: tuple[datetime, datetime], earlier: tuple[datetime, datetime], paired: bool
) -> None:
    """Blocks are compared with their like if most of both sides has one."""
    found = await loaded(busy, side("later", *later), side("earlier", *earlier))
    assert found.paired is paired
    one, other = found.alike()
    if paired:
        assert len(one.latencies) == len(other.latencies) >= 8
