"""Whether a change is notable does not depend on its direction, and equal levels are never one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context_builder.exploration.series.metric import Metric, is_notable

every_metric = pytest.mark.parametrize("metric", list(Metric))
LEVELS = st.floats(0, 1e6, allow_subnormal=False) | st.floats(0, 1, allow_subnormal=False)


@every_metric
@given(one=LEVELS, other=LEVELS)
def test_a_change_is_as_notable_as_its_reversal(metric: Metric, one: float, other: float) -> None:
    """Up or down; and no change is not notable."""
    assert is_notable(metric, one, other) == is_notable(metric, other, one)
    assert not is_notable(metric, one, one)


@every_metric
@given(before=st.floats(0.01, 0.4), step=st.floats(0, 0.4), more=st.floats(0, 0.4))
def test_a_larger_change_is_as_notable(metric: Metric, before: float, step: float, more: float) -> None:
    """There is one threshold in each direction."""
    assert is_notable(metric, before + step + more, before) or not is_notable(metric, before + step, before)


@every_metric
def test_a_metric_has_the_topic_of_its_name(metric: Metric) -> None:
    """A question about the metric finds it first."""
    assert metric.topic.value == metric.value
