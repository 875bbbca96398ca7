"""A rise that was announced, or provided for, is told with that; what happens just before it is a cause."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from context_builder.exploration.announced import with_announcements
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.slices import Slice
from models import AuditEvent, ConfigChange
from models.tables.schema import Table
from tests.context_builder.exploration.test_change_point import shift
from tests.support.gateway import DAY, HOUR, NOON, Gateway, asking
from tests.support.rollup_views import rollups_of

pytestmark = pytest.mark.asyncio(loop_scope="session")
ONSET = NOON - 10 * HOUR
ROSE = replace(shift(ONSET), metric=Metric.VOLUME, after=3.0, before=1.0, slice=Slice((("user", "hal"),)))


def announced(ago: timedelta, action: str = "launch.announce", target: str = "hal") -> AuditEvent:
    return AuditEvent(
        occurred_at=ONSET - ago, actor="sales", action=action, target=target, detail="expect more"
    )


def limit(ago: timedelta, old: str | None, new: str) -> ConfigChange:
    return ConfigChange(
        public_id="cfg_limit", changed_at=ONSET - ago, target="gateway", parameter="quota.hal.rpm",
        old_value=old, new_value=new, changed_by="ops",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "is_known"),
    [
        (announced(2 * DAY), True),
        (limit(DAY, "100", "400"), True),
        (announced(HOUR), False),
        (announced(20 * DAY), False),
        (announced(2 * DAY, action="key.rotate"), False),
        (announced(2 * DAY, target="ada"), False),
        (limit(DAY, "400", "100"), False),
        (limit(DAY, None, "on"), False),
    ],
)
async def test_what_names_the_user_days_ahead_announces_its_rise(
    gateway: Gateway, row: Table, *, is_known: bool
) -> None:
    """A launch, or a limit that was raised; not another action or user, a lower limit, or hours before."""
    await gateway.add(row)
    async with rollups_of(gateway.database) as rollups:
        (found,) = await with_announcements(rollups, asking(), [ROSE])
    assert bool(found.known_as) is is_known
    assert replace(found, known_as="") == ROSE


async def test_a_fall_is_not_announced(gateway: Gateway) -> None:
    """Nor are failures."""
    await gateway.add(announced(2 * DAY))
    others = [replace(ROSE, after=0.2), replace(ROSE, metric=Metric.ERRORS)]
    async with rollups_of(gateway.database) as rollups:
        assert await with_announcements(rollups, asking(), others) == others
