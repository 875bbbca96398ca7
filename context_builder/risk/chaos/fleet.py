"""A simulated fleet: deployments with so many slots each, a queue before them, and injected faults."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from random import Random

from context_builder.risk.chaos.faults import ChaosScenario
from context_builder.risk.policy.outcomes import UpstreamResult

LIMIT_S = 4.0
"""A request that takes longer breaches, as does one that is not answered."""
DEADLINE_S = 30.0
"""A request that would take longer ends in a timeout."""
_MEDIANS_S = (0.8, 0.9, 1.0, 1.1, 1.25, 1.4)
_SPREAD = 0.4
"""Standard deviation of the logarithm of the time that a request takes."""
_SLOTS = 12
"""Requests that a deployment works on at the same time."""


@dataclass(frozen=True, slots=True)
class SimulatedAnswer:
    """How a request ends."""

    start_s: float
    latency_s: float
    result: UpstreamResult

    @property
    def end_s(self) -> float:
        """When the answer comes."""
        return self.start_s + self.latency_s

    @property
    def is_breached(self) -> bool:
        """True if it was not answered within the limit."""
        return self.result is not UpstreamResult.SUCCESS or self.latency_s > LIMIT_S


@dataclass(slots=True)
class _Deployment:
    median_s: float
    free_s: list[float] = field(default_factory=lambda: [0.0] * _SLOTS)
    """When each slot is free again, a heap."""


class SimulatedFleet:
    """Serves requests one after the other, in the order of their arrival."""

    def __init__(self, random: Random, scenario: ChaosScenario) -> None:
        self._random = random
        self._scenario = scenario
        self._deployments = [_Deployment(median) for median in _MEDIANS_S]
        self.names = tuple(f"model/{chr(ord('a') + number)}" for number in range(len(_MEDIANS_S)))

    @property
    def capacity_rps(self) -> float:
        """Return how many requests per second the fleet can answer."""
        return sum(_SLOTS / (each.median_s * math.exp(_SPREAD**2 / 2)) for each in self._deployments)

    def serve(self, deployment: int, now_s: float) -> SimulatedAnswer:
        """Return how a request that arrives now ends."""
        fault = self._scenario.fault_of(deployment, now_s)
        # Always both draws: the same request meets the same luck under every policy.
        luck, pace = self._random.random(), self._random.lognormvariate(0.0, _SPREAD)
        if luck < fault.failing:
            return SimulatedAnswer(now_s, fault.answer_s, UpstreamResult.FAILURE)
        if luck < fault.failing + fault.refusing:
            return SimulatedAnswer(now_s, fault.answer_s, UpstreamResult.NEUTRAL)
        one = self._deployments[deployment]
        start_s = max(now_s, one.free_s[0])
        if start_s - now_s >= DEADLINE_S:
            return SimulatedAnswer(now_s, DEADLINE_S, UpstreamResult.FAILURE)
        end_s = start_s + one.median_s * pace * fault.slowdown
        heapq.heapreplace(one.free_s, min(end_s, now_s + DEADLINE_S))
        if end_s - now_s >= DEADLINE_S:
            return SimulatedAnswer(now_s, DEADLINE_S, UpstreamResult.FAILURE)
        return SimulatedAnswer(now_s, end_s - now_s, UpstreamResult.SUCCESS)
