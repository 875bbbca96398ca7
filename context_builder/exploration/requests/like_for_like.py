"""Compares requests with earlier ones that are alike, and tells a change of the mix from one of each. Pure.

Requests are alike on the same deployment with the same number of tokens, within a factor of two. Means of
logarithms are compared in each group of like requests, with weights for their numbers (Mantel and Haenszel).
What is left of the change is that of the mix: longer prompts, other models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from context_builder.exploration.requests.request_sample import Codes, RequestSample
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.signal import Floats
from models.tables.schema import NANO

MAX_SAME = 1.15
"""Factor up to which like requests take, or cost, the same as before."""
MIN_MIX = 1.2
"""Factor from which a mix is another."""
MIN_TOKENS_RATIO = 1.5
"""Of tokens per request, from which prompts or outputs are longer, or shorter."""
_MIN_COMPARED = 20.0
"""Like requests on either side, as if of one group: fewer say nothing."""
_MIN_MIXED = 50
"""Answered requests on either side before their lengths, which vary widely, are compared."""

_LENGTHS = {"prompts": "prompt_tokens", "outputs": "completion_tokens"}


@dataclass(frozen=True, slots=True)
class LikeForLike:
    """A change of latency or cost per request as the product of two factors."""

    same: float
    """By which like requests differ from those before."""
    mix: float
    """By which the others that are sent now differ from those sent before."""
    before: float
    """Typical latency in ms, or mean cost of a request in dollars, before the change."""
    tokens: tuple[tuple[str, float], ...] = ()
    """What is longer or shorter, `prompts` or `outputs`, and by which factor."""

    @property
    def is_mix(self) -> bool:
        """True if like requests are as before, and others are sent."""
        return 1 / MAX_SAME <= self.same <= MAX_SAME and self.has_other_mix

    @property
    def has_other_mix(self) -> bool:
        """True if other requests are sent than before, whatever became of like ones."""
        return max(self.mix, 1 / self.mix) >= MIN_MIX


def like_for_like(metric: Metric, after: RequestSample, before: RequestSample) -> LikeForLike | None:
    """Split the change of latency, or of cost per request; None with too few like requests."""
    sides = [_compared(metric, sample) for sample in (after, before)]
    groups, lengths, logs = (np.concatenate(columns) for columns in zip(*sides, strict=True))
    is_after = np.arange(len(logs)) < len(sides[0][2])
    if not is_after.any() or is_after.all():
        return None
    _, group = np.unique(groups, axis=0, return_inverse=True)
    group = group.reshape(-1)
    adjusted = logs - lengths @ _slopes(2 * group + is_after, lengths, logs)
    number, total = (
        np.stack([np.bincount(group, weights=values * side) for side in (is_after, ~is_after)])
        for values in (np.ones(len(logs)), adjusted)
    )
    weight = number[0] * number[1] / np.maximum(number.sum(axis=0), 1)
    if 2 * weight.sum() < _MIN_COMPARED:
        return None
    means = total / np.maximum(number, 1)
    same = math.exp(float((weight * (means[0] - means[1])).sum() / weight.sum()))
    now, past = _mean(metric, logs[is_after]), _mean(metric, logs[~is_after])
    return LikeForLike(same, now / past / same, past, tuple(_tokens(after, before)))


def _slopes(cell: Codes, lengths: Floats, logs: Floats) -> Floats:
    """Return how logarithms follow those of lengths within cells: a factor of two is not nothing."""
    number = np.maximum(np.bincount(cell), 1)

    def centred(values: Floats) -> Floats:
        within: Floats = values - (np.bincount(cell, weights=values) / number)[cell]
        return within

    columns = np.stack([centred(lengths[:, n]) for n in range(lengths.shape[1])], axis=1)
    return np.linalg.lstsq(columns, centred(logs), rcond=None)[0].astype(np.float64)


def _mean(metric: Metric, logs: Floats) -> float:
    """Return the typical latency, or the mean cost: costs are added up."""
    return math.exp(float(logs.mean())) if metric is Metric.LATENCY else float(np.exp(logs).mean())


def _compared(metric: Metric, sample: RequestSample) -> tuple[Floats, Floats, Floats]:
    """Return groups and logarithms of lengths, a row for each answered request, and of what is compared."""
    is_latency = metric is Metric.LATENCY
    values = sample.numbers("latency_ms") if is_latency else sample.numbers("cost_nanousd") / float(NANO)
    chosen = sample.answered & (np.nan_to_num(values) > 0)
    tokens = np.stack([sample.numbers(name) for name in _LENGTHS.values()], axis=1)
    lengths = np.log2(np.nan_to_num(tokens) + 1)
    # Without tokens the task is all that is known of the length.
    task = np.where(np.isnan(tokens[:, 0]), sample.codes("task_type"), -1)
    groups = np.column_stack([sample.numbers("deployment_id"), task, np.floor(lengths)])
    return groups[chosen], lengths[chosen], np.log(values[chosen])


def _tokens(after: RequestSample, before: RequestSample) -> Iterator[tuple[str, float]]:
    for name, column in _LENGTHS.items():
        numbers = [one.numbers(column)[one.answered] for one in (after, before)]
        counts = [one[~np.isnan(one)] for one in numbers]
        if min(len(one) for one in counts) < _MIN_MIXED:
            continue
        now, past = (float(one.mean()) for one in counts)
        if min(now, past) > 0 and max(now, past) >= MIN_TOKENS_RATIO * min(now, past):
            yield name, now / past
