"""What one user does is put down to that user, and to no tier or model that shares it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from context_builder.exploration.attribution import attribute_change
from context_builder.exploration.exploration import LOOKBACK
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.slices import Slice
from tests.context_builder.exploration.test_change_point import shift
from tests.support.faulty_sources import SURGE_SINCE, SURGE_UNTIL
from tests.support.gateway import Gateway, asking
from tests.support.rollup_views import rollups_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("metric", [Metric.ERRORS, Metric.VOLUME, Metric.COST])
@pytest.mark.parametrize("of_user", [True, False])
async def test_a_change_of_one_user_is_not_broken_down_by_other_dimensions(
    troubled: Gateway, metric: Metric, *, of_user: bool
) -> None:
    """Only a change of other slices is."""
    change = replace(
        shift(SURGE_SINCE, until=SURGE_UNTIL),
        metric=metric,
        slice=Slice((("user", "user_c"),) if of_user else (("tier", "budget"),)),
    )
    async with rollups_of(troubled.database) as rollups:
        parts = await attribute_change(rollups, asking(), change, LOOKBACK)
    assert parts
    assert any(part.is_main for part in parts) is not of_user
