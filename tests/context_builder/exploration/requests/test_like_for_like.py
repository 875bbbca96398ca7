"""A change of each request and a change of the mix are told apart, whatever their sizes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.exploration.requests.like_for_like import LikeForLike, like_for_like
from context_builder.exploration.requests.request_sample import RequestSample
from context_builder.exploration.series.metric import Metric
from tests.context_builder.exploration.requests.test_retries import sample

COLUMN = {Metric.LATENCY: "latency_ms", Metric.COST: "cost_nanousd"}


def drawn(seed: int, *, each: float = 1.0, longer: float = 1.0, second: float = 0.5) -> RequestSample:
    """Return 800 requests to two deployments, the second three times as slow and dear.

    Each takes and costs `each` times as much as its tokens make; a part goes to the second one.
    """
    chance = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for _ in range(800):
        deployment = 1 + int(chance.random() < second)
        prompt = round(longer * chance.lognormal(6, 0.8))
        outputs = round(chance.lognormal(5, 0.6))
        work = each * 3.0 ** (deployment - 1) * (200 + 0.2 * prompt + outputs)
        rows.append(
            {
                "deployment_id": deployment, "prompt_tokens": prompt, "completion_tokens": outputs,
                "latency_ms": work * chance.lognormal(0, 0.2), "cost_nanousd": work * 1e3,
            }
        )  # fmt: skip
    return sample(rows)


@settings(max_examples=25, deadline=None)
@given(
    metric=st.sampled_from(list(COLUMN)),
    each=st.floats(0.4, 4),
    longer=st.floats(0.3, 6),
    second=st.floats(0.1, 0.9),
    seed=st.integers(0, 1_000),
)
def test_what_each_request_takes_is_found_whatever_the_mix(
    metric: Metric, each: float, longer: float, second: float, seed: int
) -> None:
    """The two factors make up the whole change."""
    after, before = drawn(seed, each=each, longer=longer, second=second), drawn(seed + 1)
    found = like_for_like(metric, after, before)
    assert found is not None
    assert found.same == pytest.approx(each, rel=0.12)
    levels = [one.numbers(COLUMN[metric]) for one in (after, before)]
    if metric is Metric.LATENCY:
        whole = math.exp(float(np.log(levels[0]).mean() - np.log(levels[1]).mean()))
    else:
        whole = float(levels[0].mean() / levels[1].mean())
    assert found.same * found.mix == pytest.approx(whole)


def test_longer_prompts_are_named() -> None:
    """With their factor of tokens; outputs, which are as before, are not."""
    found = like_for_like(Metric.COST, drawn(1, longer=5), drawn(2))
    assert found is not None
    assert found.is_mix
    ((name, factor),) = found.tokens
    assert name == "prompts"
    assert factor == pytest.approx(5, rel=0.15)


@pytest.mark.parametrize(
    ("same", "mix", "is_mix"), [(1.1, 2.0, True), (0.9, 0.5, True), (1.3, 2.0, False), (1.0, 1.1, False)]
)
def test_it_is_the_mix_only_if_like_requests_are_as_before(same: float, mix: float, *, is_mix: bool) -> None:
    """And if the mix differs at all."""
    assert LikeForLike(same, mix, 100.0).is_mix is is_mix


def test_without_like_requests_nothing_is_said() -> None:
    """Other deployments or lengths, or no requests at all, cannot be compared."""
    empty = sample([{"status": "error"}] * 50)
    assert like_for_like(Metric.LATENCY, drawn(1, second=0), drawn(2, second=1)) is None
    assert like_for_like(Metric.LATENCY, drawn(1), empty) is None
    assert like_for_like(Metric.LATENCY, empty, drawn(1)) is None
