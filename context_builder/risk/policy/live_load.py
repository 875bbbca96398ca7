"""What a process sees of its own requests between two ticks: latency, requests in flight, failures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from context_builder.risk.policy.outcomes import UpstreamResult

DECAY_S = 10.0
"""Time constant with which answers replace a peak of the latency."""
IDLE_DECAY_S = 60.0
"""Time constant with which it is forgotten where no answers come: exploration brings some."""
SUSPENDED_AFTER = 5
"""Failures in a row after which a deployment is left out until the breaker has seen them."""
SUSPENDED_S = 10.0
UNANSWERED_FACTOR = 8.0
"""An answer that was none counts as so many usual latencies: a fast refusal must not look attractive."""
_FIRST_PEAK_MS = 1.0
_USUAL_WEIGHT = 0.02
"""Of the newest answer in the usual latency."""


@dataclass(slots=True)
class _Signals:
    """Of one deployment."""

    peak_ms: float = _FIRST_PEAK_MS
    usual_ms: float = 0.0
    """Moving mean of the latency of answers."""
    updated_s: float = 0.0
    failed_in_row: int = 0
    suspended_until_s: float = -math.inf
    starts: dict[int, float] = field(default_factory=dict)
    """When each request in flight began, oldest first."""

    def faded_ms(self, now_s: float) -> float:
        return self.peak_ms * math.exp(-max(0.0, now_s - self.updated_s) / IDLE_DECAY_S)


class LiveLoad:
    """Live signals by deployment. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._signals: dict[str, _Signals] = {}
        self._number = 0

    def started(self, deployment: str, now_s: float) -> int:
        """Note that a request was sent; returns the key with which its end is reported."""
        signals = self._signals.setdefault(deployment, _Signals())
        self._number += 1
        signals.starts[self._number] = now_s
        return self._number

    def ended(self, deployment: str, key: int, now_s: float, result: UpstreamResult) -> None:
        """Note how a request ended; a key that is not in flight is ignored."""
        signals = self._signals.setdefault(deployment, _Signals())
        started_s = signals.starts.pop(key, None)
        if started_s is None:
            return
        peak = signals.faded_ms(now_s)
        latency = max(0.0, (now_s - started_s) * 1000)
        if result is not UpstreamResult.SUCCESS:
            latency = max(latency, UNANSWERED_FACTOR * signals.usual_ms)
        else:
            signals.usual_ms += _USUAL_WEIGHT * (latency - signals.usual_ms) if signals.usual_ms else latency
        # A peak counts at once and fades; a lower value is taken in over time.
        weight = 1 - math.exp(-max(0.0, now_s - signals.updated_s) / DECAY_S)
        signals.peak_ms = latency if latency > peak else peak + weight * (latency - peak)
        signals.updated_s = now_s
        signals.failed_in_row = signals.failed_in_row + 1 if result is UpstreamResult.FAILURE else 0
        if signals.failed_in_row >= SUSPENDED_AFTER:
            signals.suspended_until_s = now_s + SUSPENDED_S

    def cost(self, deployment: str, now_s: float) -> float:
        """Return what one more request there may cost: peak latency times the requests it would be among.

        The oldest request in flight counts as a latency already: a slow answer is noticed before it comes.
        """
        signals = self._signals.get(deployment)
        if signals is None:
            return 0.0
        waited_ms = (now_s - next(iter(signals.starts.values()))) * 1000 if signals.starts else 0.0
        return max(signals.faded_ms(now_s), waited_ms) * (len(signals.starts) + 1)

    def is_suspended(self, deployment: str, now_s: float) -> bool:
        """Return whether it failed so often in a row that it waits for the breaker."""
        signals = self._signals.get(deployment)
        return signals is not None and now_s < signals.suspended_until_s
