"""Finds the requests that repeat failed ones. Pure.

A gateway may have recorded which attempt a request is. Else a request repeats a failed one if the same user
sends it with as many tokens, for the same task and in the same trace, soon after. By chance others look so
too: as often as requests follow answered ones that soon, which nobody repeats.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from context_builder.exploration.requests.request_sample import Codes, RequestSample

RETRIED_WITHIN_S = 60.0
"""After the end of a failed request: what comes later is no retry."""
MIN_RETRIED = 8
"""Retries of a sample, or nothing is said of them."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How many requests repeat others."""

    share: float
    """Of all requests, in [0, 1)."""
    reason: str
    """Error code, or status, of most of the failures that they follow."""

    @property
    def factor(self) -> float:
        """Return how many times as many requests there are as there would be without retries."""
        return 1 / (1 - self.share)


def find_retries(after: RequestSample, before: RequestSample) -> Retries | None:
    """Return the retries since an onset, less those by chance; None without enough of them."""
    followed, follows = _pairs(after)
    failed = after.failed
    recorded = after.attempt > 1
    if recorded.any():
        retried, number = followed[recorded[follows]], float(recorded.sum())
    else:
        retried = followed[failed[followed]]
        number = len(retried) - failed.sum() * _chance(after, before)
    if number < MIN_RETRIED:
        return None
    reasons = Counter(after.error_code[n] or after.status[n] for n in retried.tolist() if failed[n])
    reason = min(reasons, key=lambda name: (-reasons[name], name), default="")
    return Retries(float(min(number / len(after), 1 - 1 / len(after))), reason)


def _chance(after: RequestSample, before: RequestSample) -> float:
    """Return the share of answered requests that a like one follows as soon as a retry would."""
    answered = [sample.answered for sample in (after, before)]
    followed = [_pairs(sample)[0] for sample in (after, before)]
    number = sum(int(mask.sum()) for mask in answered)
    return sum(int(mask[pair].sum()) for mask, pair in zip(answered, followed, strict=True)) / max(number, 1)


def _pairs(sample: RequestSample) -> tuple[Codes, Codes]:
    """Return the places of requests that a like one of the same user follows, and of those that follow."""
    prompt = np.nan_to_num(sample.prompt_tokens, nan=-1.0)
    _, trace = np.unique(np.array(sample.trace), return_inverse=True)
    keys = (trace, sample.task, prompt, sample.user)
    order = np.lexsort((sample.at, *keys))
    one, other = order[:-1], order[1:]
    same = np.all([key[one] == key[other] for key in keys], axis=0)
    took = np.nan_to_num(sample.latency_ms[one]) / 1000
    soon = sample.at[other] - sample.at[one] <= RETRIED_WITHIN_S + took
    return one[same & soon], other[same & soon]
