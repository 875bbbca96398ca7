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
    retried, number, are_recorded = _retried(after)
    failed, columns = after.failed, after.columns
    if not are_recorded:
        number -= failed.sum() * _chance(after, before)
    if number < MIN_RETRIED:
        return None
    reasons = Counter(columns["error_code"][n] or columns["status"][n] for n in retried.tolist() if failed[n])
    reason = min(reasons, key=lambda name: (-reasons[name], name), default="")
    return Retries(float(min(number / len(after), 1 - 1 / len(after))), reason)


def may_have_retries(after: RequestSample) -> bool:
    """Return whether there are enough retries since an onset if none of them is by chance."""
    return _retried(after)[1] >= MIN_RETRIED


def _retried(sample: RequestSample) -> tuple[Codes, float, bool]:
    """Return the places of requests that are repeated, how many repeat one, and whether that is recorded."""
    followed, follows = _pairs(sample)
    attempts = [int(one) if str(one).isdecimal() else 0 for one in sample.columns["attempt"]]
    recorded = np.array(attempts) > 1
    if recorded.any():
        return followed[recorded[follows]], float(recorded.sum()), True
    retried = followed[sample.failed[followed]]
    return retried, float(len(retried)), False


def _chance(after: RequestSample, before: RequestSample) -> float:
    """Return the share of answered requests that a like one follows as soon as a retry would."""
    answered = [sample.answered for sample in (after, before)]
    followed = [_pairs(sample)[0] for sample in (after, before)]
    number = sum(int(mask.sum()) for mask in answered)
    return sum(int(mask[pair].sum()) for mask, pair in zip(answered, followed, strict=True)) / max(number, 1)


def _pairs(sample: RequestSample) -> tuple[Codes, Codes]:
    """Return the places of requests that a like one of the same user follows, and of those that follow."""
    prompt = np.nan_to_num(sample.numbers("prompt_tokens"), nan=-1.0)
    _, trace = np.unique([str(one or "") for one in sample.columns["trace_id"]], return_inverse=True)
    at = np.array([moment.timestamp() for moment in sample.columns["created_at"]])
    keys = (trace, sample.codes("task_type"), prompt, np.array(sample.columns["user_id"]))
    order = np.lexsort((at, *keys))
    one, other = order[:-1], order[1:]
    same = np.all([key[one] == key[other] for key in keys], axis=0)
    took = np.nan_to_num(sample.numbers("latency_ms")[one]) / 1000
    soon = at[other] - at[one] <= RETRIED_WITHIN_S + took
    return one[same & soon], other[same & soon]
